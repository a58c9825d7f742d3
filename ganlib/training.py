"""The training step and loop, the same for every pair of networks.

One iteration trains G once, then D on the same images that G just made (detached). The loop is a
generator function: it yields after every epoch, so that a caller can draw, save, or stop.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig, choose_device
from ganlib.data import batches
from ganlib.errors import Refused
from ganlib.losses import LOSSES, Loss, discriminator_loss, probability
from ganlib.products import fast_float32_products

# What is logged at every iteration, in this order.
LOGGED = ("g_loss", "d_loss", "d_real_loss", "d_fake_loss", "d_real", "d_fake")


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite; the message says at which epoch and iteration."""


# --- One step of each player ---------------------------------------------------------------------


def generator_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    z: Tensor,
    labels: tuple[Tensor, ...] = (),
) -> tuple[Tensor, Tensor]:
    """Move G one step towards images that D takes for real. D's weights do not change.

    ``z``: (N, latent_dim). ``labels``: ``()`` for a GAN, ``(labels,)`` for a CGAN. Returns the
    images that G made, detached (N, C, H, W), and the loss, a detached scalar.
    """
    fake = generator(z, *labels)
    g_loss = loss.generator(discriminator(fake, *labels))
    optimizer.zero_grad()
    # `inputs` stops at G's weights: the error flows through D, but D's own gradients are not made.
    g_loss.backward(inputs=list(generator.parameters()))
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
    discriminator_loss(real_loss, fake_loss).backward()
    optimizer.step()
    return real_loss.detach(), fake_loss.detach(), scores.detach()


@torch.no_grad()
def average_step(average: nn.Module, generator: nn.Module, decay: float, iteration: int) -> None:
    """Move ``average``, weights and running statistics alike, a little towards ``generator``.

    What lies n iterations back counts for ``decay`` to the power n; in the first iterations for
    less, so that G's random start is soon forgotten.
    """
    decay = min(decay, iteration / (iteration + 10))
    for kept, latest in zip(average.state_dict().values(), generator.state_dict().values()):
        if kept.is_floating_point():  # what is none counts batches
            kept.lerp_(latest, 1 - decay)


# --- The loop ------------------------------------------------------------------------------------


@dataclass
class Players:
    """Both networks with their optimisers, and how far they have come."""

    generator: nn.Module
    discriminator: nn.Module
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    conditional: bool
    epoch: int = 0  # epochs finished
    iteration: int = 0  # iterations finished
    average: nn.Module | None = None  # of G's weights over the iterations, if configured

    @property
    def artist(self) -> nn.Module:
        """The generator that draws samples and is kept: the average if there is one, else G."""
        return self.generator if self.average is None else self.average


def start(
    generator: nn.Module, discriminator: nn.Module, config: TrainingConfig, conditional: bool
) -> Players:
    """Put both networks on the configured device and give each its Adam (Table 1).

    With ``config.ema``, an average of the generator's weights starts as its copy.
    """
    device = choose_device(config.device)
    # One pass over each weight instead of several; the update is the same.
    fused = device.type in ("cpu", "cuda")

    def adam(network: nn.Module, lr: float) -> torch.optim.Adam:
        betas = (config.b1, config.b2)
        return torch.optim.Adam(network.to(device).parameters(), lr, betas, fused=fused)

    d_lr = config.lr if config.d_lr is None else config.d_lr
    optimizers = adam(generator, config.lr), adam(discriminator, d_lr)
    average = copy.deepcopy(generator).requires_grad_(False) if config.ema else None
    return Players(generator, discriminator, *optimizers, conditional, average=average)


@dataclass(frozen=True)
class Epoch:
    """What one epoch leaves behind: ``losses`` is (iterations, 6) float32, columns as LOGGED."""

    number: int
    losses: Tensor


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all that is random in one epoch.

    Every epoch starts its random streams afresh from (seed, epoch). A run resumed after any epoch
    therefore draws the same numbers as one that never stopped, whatever was drawn in between.
    """
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def train(
    players: Players,
    images: Tensor,
    labels: Tensor,
    config: TrainingConfig,
    on_iteration=None,
) -> Iterator[Epoch]:
    """Train up to ``config.n_epochs``, yielding an Epoch after each, from ``players.epoch`` on.

    ``images``: (N, C, H, W) in [-1, 1] and ``labels``: (N,), both on the players' device.
    ``on_iteration(players)``, if given, is called after every iteration, for progress bars.

    Raises Refused as `check_batches` does, and TrainingDiverged when a loss or a weight stops
    being a number.
    """
    check_batches(len(images), config)
    while players.epoch < config.n_epochs:
        number = players.epoch + 1
        with torch.random.fork_rng(_devices(images.device)), fast_float32_products():
            # Dropout draws from the global stream, the rest from `rng`; outside, nothing changes.
            torch.manual_seed(epoch_seed(config.seed, number))
            rng = torch.Generator(images.device).manual_seed(epoch_seed(config.seed, number))
            before = players.iteration
            try:
                losses = _train_epoch(players, images, labels, config, rng, on_iteration)
            except BaseException:
                players.iteration = before  # those of finished epochs
                raise
        _check_finite(players, losses, number)
        players.epoch = number
        yield Epoch(number, losses)


def check_batches(n_images: int, config: TrainingConfig) -> None:
    """Raises Refused if the last batch would be a single image, which has no variance."""
    if n_images % config.batch_size == 1:
        raise Refused(
            f"{n_images:,} images in batches of {config.batch_size} leave a last batch of one, "
            "which batch normalisation cannot use: change batch_size or train_size by one"
        )


def _check_finite(players: Players, losses: Tensor, number: int) -> None:
    """Raises TrainingDiverged if an epoch left a loss, a weight or Adam's moments without number.

    All that a run keeps is looked at, for the last iteration can ruin weights unseen by any loss.
    """
    finite = losses.isfinite().all(dim=1)
    networks = (players.generator, players.discriminator, players.average)
    kept = [t for network in networks if network is not None for t in network.state_dict().values()]
    for adam in (players.g_optimizer, players.d_optimizer):
        kept += [tensor for state in adam.state.values() for tensor in state.values()]
    if not finite.all():
        what = "a loss"
        where = f"epoch {number}, iteration {int(finite.logical_not().nonzero()[0]) + 1}"
    elif not all(tensor.isfinite().all() for tensor in kept):
        what, where = "a weight", f"epoch {number}"
    else:
        return
    before = f"the {number - 1} epochs before it are kept" if number > 1 else "none was finished"
    raise TrainingDiverged(
        f"{what} stopped being a number in {where}: {before}; start again with a smaller lr"
    )


def _train_epoch(
    players: Players,
    images: Tensor,
    labels: Tensor,
    config: TrainingConfig,
    rng: torch.Generator,
    on_iteration,
) -> Tensor:
    """One pass over the images; returns the log (iterations, 6) on the CPU.

    An iteration takes ``d_steps`` batches: G trains once, D once on each. The log stays on the
    device until the epoch ends, so that no step waits for the CPU to read a number.
    """
    loss = LOSSES[config.loss]
    players.generator.train()
    players.discriminator.train()
    order = list(batches(len(images), config.batch_size, rng))
    log = []
    for first in range(0, len(order), config.d_steps):
        for step, index in enumerate(order[first : first + config.d_steps]):
            z = torch.randn(len(index), config.latent_dim, generator=rng, device=rng.device)
            real_labels = fake_labels = ()
            if players.conditional:
                real_labels = (labels[index],)
                wanted = torch.randint(
                    config.n_classes, (len(index),), generator=rng, device=rng.device
                )
                fake_labels = (wanted,)
            if step == 0:
                fake, g_loss = generator_step(
                    players.generator,
                    players.discriminator,
                    players.g_optimizer,
                    loss,
                    z,
                    fake_labels,
                )
            else:
                with torch.no_grad():
                    fake = players.generator(z, *fake_labels)
            real_loss, fake_loss, scores = discriminator_step(
                players.discriminator,
                players.d_optimizer,
                loss,
                images[index],
                fake,
                real_labels,
                fake_labels,
            )
        # After several D steps, the last one is logged: it is the state that G meets next.
        d_real, d_fake = probability(scores).view(2, -1).mean(dim=1)
        d_loss = discriminator_loss(real_loss, fake_loss)
        log.append(torch.stack([g_loss, d_loss, real_loss, fake_loss, d_real, d_fake]))
        if players.average is not None:
            average_step(players.average, players.generator, config.ema, players.iteration)
        players.iteration += 1
        if on_iteration is not None:
            on_iteration(players)
    return torch.stack(log).cpu()


def _devices(device: torch.device) -> list[torch.device]:
    """The accelerators whose global random state an epoch borrows."""
    return [device] if device.type == "cuda" else []
