"""What one iteration does: a short function for each player, and the step that joins the two.

A family of models (:mod:`ganlib.families`) names its step, what its generator is called with, and
what it learns from in one iteration; :mod:`ganlib.training` repeats that, knowing none of it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig
from ganlib.data import batches
from ganlib.losses import LOSSES, Loss, discriminator_loss, probability


class Batch(NamedTuple):
    """Images (N, C, H, W) in [-1, 1] and their classes (N,) int64, -1 where none is known."""

    images: Tensor
    labels: Tensor


# --- One step of each player ---------------------------------------------------------------------


def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    z: Tensor,
    labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Move G one step towards images that D takes for real. D's parameters do not change.

    Nor do its buffers, but under spectral normalisation: there each pass in training mode, this
    one too, improves the estimate of every weight's largest singular value a little.

    ``z``: (N, latent_dim). ``labels``: ``()`` for a GAN, ``(labels,)`` for a CGAN. Returns the
    images that G made, detached (N, C, H, W), and the loss, a detached scalar, or one for each of
    several networks trained as one (:mod:`ganlib.together`).
    """
    fake = generator(z, *labels)
    g_loss = loss.generator(discriminator(fake, *labels))
    optimizer.zero_grad()
    # `inputs` stops at G's weights: the error flows through D, but D's own gradients are not made.
    g_loss.sum().backward(inputs=list(generator.parameters()))
    optimizer.step()
    return fake.detach(), g_loss.detach()


def discriminator_step(
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    real: Tensor,
    fake: Tensor,
    real_labels: tuple[Tensor, ...] = (),
    fake_labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """Move D one step towards telling ``real`` from ``fake``. G does not change.

    ``real`` and ``fake``: (N, C, H, W); ``fake`` is detached, so no gradient reaches G. Both go
    through D in one pass: D has no batch normalisation, so images in a batch do not mix. Returns
    the real loss, the fake loss (scalars) and all scores (2N, 1), real first, detached.
    """
    labels = tuple(torch.cat(pair) for pair in zip(real_labels, fake_labels))
    scores = discriminator(torch.cat([real, fake]), *labels)
    real_scores, fake_scores = scores.split([len(real), len(fake)])
    real_loss, fake_loss = loss.real(real_scores), loss.fake(fake_scores)
    optimizer.zero_grad()
    discriminator_loss(real_loss, fake_loss).sum().backward()
    optimizer.step()
    return real_loss.detach(), fake_loss.detach(), scores.detach()


def discriminator_step_apart(
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    real: Tensor,
    fake: Tensor,
    real_labels: tuple[Tensor, ...] = (),
    fake_labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor, Tensor]:
    """`discriminator_step` in two passes, real and fake, for a D with batch normalisation.

    So each kind is normalised by its own mean and variance (Radford et al. 2016).
    """

    def in_two_passes(images: Tensor, *labels: Tensor) -> Tensor:
        halves = (both.split([len(real), len(fake)]) for both in (images, *labels))
        return torch.cat([discriminator(*half) for half in zip(*halves)])

    return discriminator_step(in_two_passes, optimizer, loss, real, fake, real_labels, fake_labels)


@torch.no_grad()
def average_step(
    average: nn.Module, latest: nn.Module, decay: float, iteration: int | Tensor
) -> None:
    """Move ``average``, weights and running statistics alike, a little towards ``latest``'s.

    What lies n iterations back counts for ``decay`` to the power n; in the first iterations for
    less, so that the random start is soon forgotten. ``iteration``: from 0 on; a tensor () in what
    is replayed, see `Replayed`.
    """
    if isinstance(iteration, Tensor):
        moved = 1 - (iteration.double() / (iteration + 10)).clamp(max=decay)
        moved = moved.to(next(average.parameters()).dtype)
    else:
        moved = 1 - min(decay, iteration / (iteration + 10))
    for kept, new in zip(average.state_dict().values(), latest.state_dict().values()):
        if kept.is_floating_point():  # what is none counts batches
            kept.lerp_(new, moved)


# --- The step that joins them --------------------------------------------------------------------

# What `adversarial` returns, in this order.
LOGGED = ("g_loss", "d_loss", "d_real_loss", "d_fake_loss", "d_real", "d_fake")


def adversarial(
    players,
    shown: list[Batch],
    inputs: Callable[[int], tuple],
    config: TrainingConfig,
    d_step: Callable | None = None,
    g_step: Callable | None = None,
    loss: Loss | None = None,
) -> tuple[Tensor, ...]:
    """G once, then D once on each of the batches ``shown``; a scalar for each of LOGGED.

    ``inputs(n)``: what G is called with to make n images: noise, and for a CGAN labels, which D
    hears too. Each batch has as many fakes as real images; the first fakes are those that G learned
    from. After several D steps, the last is logged: it is the state that G meets next. ``d_step``
    and ``g_step``: others than `discriminator_step` and `generator_step`, of their forms;
    ``loss``: another than the configuration's.
    """
    d_step, g_step = d_step or discriminator_step, g_step or generator_step
    loss = loss or LOSSES[config.loss]
    generator, discriminator = players.generator, players.discriminator
    for number, (images, labels) in enumerate(shown):
        z, *wanted = inputs(len(images))
        wanted = tuple(wanted)
        if number == 0:
            g_optimizer = players.optimizers["g_optimizer"]
            fake, g_loss = g_step(generator, discriminator, g_optimizer, loss, z, wanted)
        else:
            with torch.no_grad():
                fake = generator(z, *wanted)
        known = (labels,) if wanted else ()
        d_optimizer = players.optimizers["d_optimizer"]
        real_loss, fake_loss, scores = d_step(
            discriminator, d_optimizer, loss, images, fake, known, wanted
        )
    d_real, d_fake = probability(scores).unflatten(0, (2, -1)).mean(dim=1).squeeze(-1)
    return g_loss, discriminator_loss(real_loss, fake_loss), real_loss, fake_loss, d_real, d_fake


adversarial_apart = partial(adversarial, d_step=discriminator_step_apart)


# --- The same step again and again, on a GPU -----------------------------------------------------


class Replayed:
    """An iteration as one CUDA graph: its hundred small kernels are launched as one.

    So small a network keeps a GPU waiting for Python, which calls kernel after kernel. Here the
    first calls run as they are, the next is recorded, and all others replay the recording on other
    images. They draw the same random numbers and make the same sums. Batches of another shape, such
    as an epoch's last, run as they are; and so does all, from then on, where an iteration cannot be
    recorded, since it reads a number off the GPU.

    ``iterate(players, shown)`` returns a tensor. It has to do the same whenever it is called, but
    for ``players.iteration``, which is a tensor () on the device while it is recorded. ``rngs``:
    the random streams that it draws from beside the global one, all on the device.
    """

    WARM = 3  # calls as they are: the optimisers' moments and the libraries' workspaces come to be

    def __init__(self, iterate: Callable[..., Tensor], rngs: Sequence[torch.Generator]):
        self.iterate, self.rngs, self.device = iterate, rngs, rngs[0].device
        self.calls, self.graph = 0, None

    def __call__(self, players, shown: list[Batch]) -> Tensor:
        self.calls += 1
        if self.calls == self.WARM + 1:
            self._record(players, shown)
        if self.graph is None or _shapes(shown) != _shapes(self.shown):
            return self.iterate(players, shown)
        for kept, new in zip(self.shown, shown):
            for mine, part in zip(kept, new):
                mine.copy_(part)
        self.iteration.fill_(players.iteration)
        self.graph.replay()
        return self.found.clone()

    def _record(self, players, shown: list[Batch]) -> None:
        """Sets ``graph``, the tensors that it reads and the one that it writes; runs nothing."""
        self.shown = [Batch(*(part.clone() for part in batch)) for batch in shown]
        self.iteration = torch.tensor(players.iteration, device=self.device)
        graph = torch.cuda.CUDAGraph()
        index = self.device.index or torch.cuda.current_device()
        streams = [torch.cuda.default_generators[index], *self.rngs]
        for rng in self.rngs:
            graph.register_generator_state(rng)
        before, players.iteration = players.iteration, self.iteration
        drawn = [(rng, rng.get_state()) for rng in streams]
        try:
            torch.cuda.synchronize(self.device)
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self.found = self.iterate(players, self.shown)
            finally:
                graph.capture_end()
            self.graph = graph
        except RuntimeError:  # what it asks for cannot be recorded
            for rng, state in drawn:  # which would wait for ever for the recording to end
                fresh = torch.Generator(self.device)
                fresh.set_state(state)
                rng.graphsafe_set_state(fresh)
        finally:
            players.iteration = before


def _shapes(shown: list[Batch]) -> list[torch.Size]:
    return [part.shape for batch in shown for part in batch]


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On CUDA a stream of its own meanwhile, without which nothing can be `Replayed`."""
    if device.type != "cuda":
        yield
        return
    around, own = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    own.wait_stream(around)
    with torch.cuda.stream(own):
        yield
    around.wait_stream(own)


# --- What a step is given ------------------------------------------------------------------------


def noise(
    config: TrainingConfig,
    n: int,
    rng: torch.Generator,
    data: Batch | None = None,
    asked: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """A GAN's inputs: ``n`` points z, standard normal (n, latent_dim), on the device of ``rng``.

    All inputs of generators are made by functions of this form. ``data``: the training images,
    for a generator that is given one. ``asked``: classes (n,) to draw, else random ones.
    """
    return (torch.randn(n, config.latent_dim, generator=rng, device=rng.device),)


def noise_and_label(
    config: TrainingConfig,
    n: int,
    rng: torch.Generator,
    data: Batch | None = None,
    asked: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """A CGAN's inputs: z, see `noise`, and classes (n,) int64."""
    (z,) = noise(config, n, rng)
    if asked is None:
        asked = torch.randint(config.n_classes, (n,), generator=rng, device=rng.device)
    return z, asked


def each_image_once(
    data: Batch, config: TrainingConfig, rng: torch.Generator
) -> Iterator[list[Batch]]:
    """One epoch: every image once, in random order, ``config.d_steps`` batches an iteration."""
    order = list(batches(len(data.images), config.batch_size, rng))
    for first in range(0, len(order), config.d_steps):
        together = order[first : first + config.d_steps]
        yield [Batch(data.images[index], data.labels[index]) for index in together]
