"""Learning from a few labels without a GAN: what a semi-supervised GAN has to be better than.

The same network (:class:`~ganlib.models.semi_supervised.Recogniser`), the same start, the same
draws of labels, batches and average of weights as the GANs of the same configuration have. Only
what one iteration does is another: see `labels_only` and `averaged_teacher`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import build, evaluating
from ganlib.models.augmentation import jitter, shift
from ganlib.models.semi_supervised import EMA, few_labels
from ganlib.precision import fast_float32_products
from ganlib.steps import Batch, Replayed, average_step, own_stream
from ganlib.training import Adam, epoch_seed, global_streams

Change = Callable[[Tensor, torch.Generator], Tensor]
SURE = 0.95  # the teacher's probability from which on its label counts


def labels_only(
    network: nn.Module, reader: nn.Module, labelled: Batch, images: Tensor, rng: torch.Generator
) -> Tensor:
    """The loss of labelled images alone; the unlabelled ``images`` are not looked at."""
    return F.cross_entropy(network(labelled.images), labelled.labels)


def averaged_teacher(
    network: nn.Module,
    reader: nn.Module,
    labelled: Batch,
    images: Tensor,
    rng: torch.Generator,
    change: Change | None = None,
) -> Tensor:
    """The labelled images' loss, and that of unlabelled ones with the labels that a teacher gives.

    The teacher is the network's own average over the iterations, ``reader`` (Tarvainen and Valpola
    2017). It sees an image as it is, and what it is SURE of the network is to say of the image as
    ``change`` leaves it (as in FixMatch, Sohn et al. 2020). All others count as no loss.
    """
    with torch.no_grad(), evaluating(reader):
        chance, label = reader(images).softmax(dim=1).max(dim=1)
    seen = images if change is None else change(images, rng)
    each = F.cross_entropy(network(seen), label, reduction="none")
    return labels_only(network, reader, labelled, images, rng) + (each * (chance > SURE)).mean()


def train_recogniser(
    config: TrainingConfig,
    data: Batch,
    loss: Callable[..., Tensor] = labels_only,
    change: Change | None = None,
    on_iteration: Callable[[], None] | None = None,
) -> Iterator[tuple[int, nn.Module]]:
    """Train on ``config.n_labels`` of ``data``; yields each epoch's number and its reader.

    ``config``: a semi-supervised GAN's; its discriminator, as it starts, is the network, and its
    labels are read. An epoch is as many iterations as the GAN's. ``change``: of labelled images, as
    in `few_labels`. The reader is the average of the weights, and goes on changing.
    """
    device = choose_device(config.device)
    network = build(config)["discriminator"].to(device)
    reader = build(config)["reader"].to(device)
    rates = config.d_lr or config.lr, (config.b1, config.b2)
    adam = Adam if device.type in ("cpu", "cuda") else torch.optim.Adam
    optimizer = adam(network.parameters(), *rates)
    data, count = Batch(*(part.to(device) for part in data)), SimpleNamespace(iteration=0)
    for number in range(1, config.n_epochs + 1):
        seed = epoch_seed(config.seed, number)
        rng = torch.Generator(device).manual_seed(seed)

        def iterate(count: SimpleNamespace, shown: list[Batch], rng=rng) -> Tensor:
            labelled, (images, _) = shown
            total = loss(network.train(), reader, labelled, images, rng)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            average_step(reader, network, EMA, count.iteration)
            return total.detach()

        if device.type == "cuda":
            iterate = Replayed(iterate, [rng])
        with global_streams(device, seed), fast_float32_products(), own_stream(device):
            for shown in few_labels(data, config, rng, change):
                iterate(count, shown)
                count.iteration += 1
                if on_iteration is not None:
                    on_iteration()
        yield number, reader


@torch.no_grad()
def read(reader: nn.Module, images: Tensor) -> Tensor:
    """The digits (N,) int64, on the CPU, that ``reader``, in evaluation mode, reads in images."""
    device = next(reader.parameters()).device
    with evaluating(reader):
        parts = [reader(part.to(device)).argmax(dim=1) for part in images.split(1000)]
    return torch.cat(parts).cpu()


def share_read(found: Tensor, labels: Tensor) -> float:
    """The share of images (N,) whose digit was ``found`` as they are labelled."""
    return float((found == labels.cpu()).double().mean())


def support_vectors(known: Batch, images: Tensor) -> Tensor:
    """The digits (N,) that a support vector machine, which saw the ``known``, reads in images.

    With scikit-learn's radial kernel as it comes: nobody with few labels has some to choose by.
    """
    from sklearn.svm import SVC

    machine = SVC().fit(known.images.flatten(1).cpu().numpy(), known.labels.cpu().numpy())
    return torch.from_numpy(machine.predict(images.flatten(1).cpu().numpy()))


# By name: how to learn, and what is made of the labelled images; one GAN's rivals.
METHODS: dict[str, dict] = {
    "labels": {},
    "labels-shifts": {"change": shift},
    "labels-affine": {"change": jitter},
    "teacher": {"loss": averaged_teacher},
    "teacher-affine": {"loss": partial(averaged_teacher, change=jitter), "change": jitter},
}
