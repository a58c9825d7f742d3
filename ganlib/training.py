"""The training loop, the same for every model: epochs, seeds, the log, the average, the end.

What one iteration does is the model's own, see :mod:`ganlib.families` and :mod:`ganlib.steps`. The
loop is a generator function: it yields after every epoch, so that a caller can draw, save, or stop.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ganlib import Refused
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import Family, build, family
from ganlib.products import fast_float32_products
from ganlib.steps import Batch, average_step


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite; the message says at which epoch and iteration."""


# --- The loop ------------------------------------------------------------------------------------


@dataclass
class Players:
    """A model's networks with their optimisers, all by name, and how far they have come."""

    family: Family
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Adam]
    average: nn.Module | None = None  # of G's weights over the iterations, if configured
    epoch: int = 0  # epochs finished
    iteration: int = 0  # iterations finished

    @property
    def generator(self) -> nn.Module:
        return self.networks["generator"]

    @property
    def discriminator(self) -> nn.Module:
        return self.networks["discriminator"]

    @property
    def artist(self) -> nn.Module:
        """The generator that draws samples and is kept: the average if there is one, else G."""
        return self.generator if self.average is None else self.average

    def parts(self) -> dict[str, nn.Module | torch.optim.Adam]:
        """All that an epoch changes, by name: what a checkpoint keeps."""
        average = {} if self.average is None else {"average": self.average}
        return average | self.networks | self.optimizers


def start(config: TrainingConfig, networks: dict[str, nn.Module] | None = None) -> Players:
    """Put the configured model's networks on the configured device, each with its Adam (Table 1).

    ``networks``: others than the model's own, by the same names. With ``config.ema``, an average
    of the generator's weights starts as its copy.
    """
    kind, device = family(config.model), choose_device(config.device)
    networks = build(config) if networks is None else networks
    for network in networks.values():
        network.to(device)
    optimizers = {}
    for name, trained in kind.trains.items():
        weights = [p for network in trained for p in networks[network].parameters()]
        own = config.d_lr if name == "d_optimizer" else None
        lr, betas = config.lr if own is None else own, (config.b1, config.b2)
        # Fused: one pass over each weight instead of several; the update is the same.
        fused = device.type in ("cpu", "cuda")
        optimizers[name] = torch.optim.Adam(weights, lr, betas, fused=fused)
    generator = networks["generator"]
    average = copy.deepcopy(generator).requires_grad_(False) if config.ema else None
    return Players(kind, networks, optimizers, average)


@dataclass(frozen=True)
class Epoch:
    """What one epoch leaves behind.

    ``losses``: (iterations, columns) float32 on the CPU, columns as the family's ``logged``.
    """

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
    on_iteration: Callable[[Players], None] | None = None,
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
        seed = epoch_seed(config.seed, number)
        with global_streams(images.device, seed), fast_float32_products():
            # Dropout draws from the global stream, the rest from `rng`; outside, nothing changes.
            rng = torch.Generator(images.device).manual_seed(seed)
            before = players.iteration
            try:
                losses = _train_epoch(players, Batch(images, labels), config, rng, on_iteration)
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
    kept = []
    for part in players.parts().values():
        states = part.state.values() if hasattr(part, "state") else [part.state_dict()]
        kept += [tensor for state in states for tensor in state.values()]
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
    data: Batch,
    config: TrainingConfig,
    rng: torch.Generator,
    on_iteration: Callable[[Players], None] | None,
) -> Tensor:
    """One pass over the data; returns the log (iterations, columns) on the CPU.

    It stays on the device until the epoch ends, so that no step waits for the CPU to read a number.
    """
    kind = players.family
    for network in players.networks.values():
        network.train()
    inputs = partial(kind.inputs, config, rng=rng, data=data)
    log = []
    for shown in kind.batches(data, config, rng):
        log.append(torch.stack(kind.step(players, shown, inputs, config)))
        if players.average is not None:
            average_step(players.average, players.generator, config.ema, players.iteration)
        players.iteration += 1
        if on_iteration is not None:
            on_iteration(players)
    return torch.stack(log).cpu()


@contextmanager
def global_streams(device: torch.device, seed: int) -> Iterator[None]:
    """Start the CPU's global stream and ``device``'s from ``seed``; no other one is touched.

    Both go on afterwards as if nothing had been.
    """
    accelerator = {"cuda": torch.cuda, "mps": torch.mps}.get(device.type)
    on_it = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
    with torch.random.fork_rng(devices=[]), on_it:
        torch.default_generator.manual_seed(seed)
        if accelerator is None:
            yield
            return
        before = accelerator.get_rng_state()
        accelerator.manual_seed(seed)
        try:
            yield
        finally:
            accelerator.set_rng_state(before)
