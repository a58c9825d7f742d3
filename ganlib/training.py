"""The training step and loop, the same for every pair of networks.

One iteration trains G once, then D on the same images that G just made (detached). The loop is a
generator function: it yields after every epoch, so that a caller can draw, save, or stop.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from ganlib.data import batches
from ganlib.losses import LOSSES, Loss, discriminator_loss, probability
from ganlib.products import fast_float32_products

# What is logged at every iteration, in this order.
LOGGED = ("g_loss", "d_loss", "d_real_loss", "d_fake_loss", "d_real", "d_fake")
DEVICES = ("auto", "cpu", "cuda", "mps")


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite; the message says at which epoch and iteration."""


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a run. The first ten fields are Table 1 of the paper, name for name."""

    n_epochs: int = 200  # passes over the training images
    batch_size: int = 64
    lr: float = 0.0002  # Adam's learning rate
    b1: float = 0.5  # Adam's decay of the first moment
    b2: float = 0.999  # and of the second
    latent_dim: int = 100  # numbers in z
    img_size: int = 32  # pixels a side
    channels: int = 1
    sample_interval: int = 400  # iterations between sample images, if interval_samples
    n_classes: int = 10
    model: str = "gan"  # which pair of networks
    loss: str = "bce"
    bn_eps: float = 1e-5  # added to the variance in batch normalisation
    d_steps: int = 1  # discriminator steps for each generator step
    seed: int = 0
    device: str = "auto"
    dataset: str = "mnist"
    train_size: int | None = None  # train on the first so many images; None: all
    interval_samples: bool = False  # also keep samples every sample_interval iterations
    d_lr: float | None = None  # the discriminator's learning rate; None: lr, as for the generator
    ema: float = 0.0  # decay of the running average of G's weights that draws samples; 0: none

    def __post_init__(self):
        least = {"n_epochs": 1, "batch_size": 2, "latent_dim": 1, "img_size": 4}
        least |= {"sample_interval": 1, "d_steps": 1, "seed": 0}
        if self.train_size is not None:
            least |= {"train_size": 2}
        for name, value in least.items():
            self._require(name, isinstance(getattr(self, name), int), "a whole number")
            self._require(name, getattr(self, name) >= value, f"at least {value}")
        rates = ("lr",) if self.d_lr is None else ("lr", "d_lr")
        for name in (*rates, "b1", "b2", "bn_eps", "ema"):
            self._require(name, isinstance(getattr(self, name), (int, float)), "a number")
        self._require("img_size", self.img_size <= 256, "at most 256")
        for name in rates:  # NaN fails every comparison
            self._require(name, 0 < getattr(self, name) <= 1, "above 0 and at most 1")
        self._require("b1", 0 <= self.b1 < 1, "at least 0 and below 1")
        self._require("b2", 0 <= self.b2 < 1, "at least 0 and below 1")
        self._require("ema", 0 <= self.ema < 1, "at least 0 and below 1")
        self._require("channels", self.channels == 1, "1: the images are grey")
        self._require("n_classes", self.n_classes == 10, "10: every data set here has ten classes")
        self._require("bn_eps", math.isfinite(self.bn_eps) and self.bn_eps > 0, "above 0")
        self._require("loss", self.loss in LOSSES, f"one of {', '.join(LOSSES)}")
        self._require("seed", self.seed < 2**63, "below 2**63")
        kind = str(self.device).split(":")[0]
        self._require("device", kind in DEVICES, f"one of {', '.join(DEVICES)}")

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {wanted}, not {getattr(self, name)!r}")


def config_fields() -> dict[str, object]:
    """Every field of TrainingConfig with its default, in order."""
    return {field.name: field.default for field in fields(TrainingConfig)}


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is CUDA if there is one, else MPS, else the CPU.

    Raises ValueError if the device is unknown or this machine has none.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, present in here.items() if present))
    kind, _, index = name.partition(":")
    if kind not in here or (index and not index.isdecimal()):
        raise ValueError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    if not here[kind]:
        raise ValueError(f"this machine has no {kind} device: use --device auto or cpu")
    return torch.device(name)


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

    Raises ValueError if the last batch would hold a single image, which batch normalisation can
    not use, and TrainingDiverged when a loss stops being a number.
    """
    if len(images) % config.batch_size == 1:
        raise ValueError(
            f"{len(images):,} images in batches of {config.batch_size} leave a last batch of one, "
            "which batch normalisation cannot use: change batch_size or train_size by one"
        )
    while players.epoch < config.n_epochs:
        number = players.epoch + 1
        with torch.random.fork_rng(_devices(images.device)), fast_float32_products():
            # Dropout draws from the global stream, the rest from `rng`; outside, nothing changes.
            torch.manual_seed(epoch_seed(config.seed, number))
            rng = torch.Generator(images.device).manual_seed(epoch_seed(config.seed, number))
            losses = _train_epoch(players, images, labels, config, rng, on_iteration)
        finite = losses.isfinite().all(dim=1)
        if not finite.all():
            first = int(finite.logical_not().nonzero()[0]) + 1
            raise TrainingDiverged(
                f"a loss stopped being a number in epoch {number}, iteration {first}: "
                f"the {number - 1} epochs before it are kept; try a smaller lr"
            )
        players.epoch = number
        yield Epoch(number, losses)


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
