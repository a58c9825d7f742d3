"""The training loop, the same for every model: epochs, seeds, the log, the average, the end.

What one iteration does is the model's own, see :mod:`ganlib.families` and :mod:`ganlib.steps`. The
loop is a generator function: it yields after every epoch, so that a caller can draw, save, or stop.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ganlib import Refused
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import Family, build, family
from ganlib.precision import (
    LossScale,
    ScaledLosses,
    choose_precision,
    fast_float32_products,
    multiply_in,
)
from ganlib.steps import Batch, Replayed, average_step, own_stream


class TrainingDiverged(RuntimeError):
    """A loss became NaN or infinite; the message says at which epoch and iteration."""


class Adam(torch.optim.Adam):
    """PyTorch's Adam, the same numbers, in one call a step and with less around it.

    Fused: one pass over each weight instead of several. ``scale``: the factor by which all losses
    were multiplied (float16); where a gradient overflowed, the step moves nothing.
    """

    def __init__(self, parameters, lr: float, betas: tuple[float, float], scale=None):
        super().__init__(parameters, lr, betas, fused=True)
        self.scale = scale

    def zero_grad(self) -> None:
        for parameter in self.param_groups[0]["params"]:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        (group,) = self.param_groups
        moved = [p for p in group["params"] if p.grad is not None]
        for p in moved:
            if p not in self.state:
                self.state[p] = {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p),
                    "exp_avg_sq": torch.zeros_like(p),
                }
        states, gradients = [self.state[p] for p in moved], [p.grad for p in moved]
        steps = [state["step"] for state in states]
        overflowed = None if self.scale is None else self.scale.unscale(gradients)
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            moved,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
            found_inf=overflowed,
        )
        if overflowed is not None:
            torch._foreach_sub_(steps, [overflowed] * len(steps))


# --- The loop ------------------------------------------------------------------------------------


@dataclass
class Players:
    """A model's networks with their optimisers, all by name, and how far they have come."""

    family: Family
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Adam]
    average: nn.Module | None = None  # of G's weights over the iterations, if configured
    scale: LossScale | None = None  # of the losses, in float16
    rngs: Sequence[torch.Generator] = ()  # random streams of its own, beside the epoch's
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
        extra = {"average": self.average, "scale": self.scale}
        extra = {name: part for name, part in extra.items() if part is not None}
        return extra | self.networks | self.optimizers


def start(config: TrainingConfig, networks: dict[str, nn.Module] | None = None) -> Players:
    """Put the configured model's networks on the configured device, each with its Adam (Table 1).

    ``networks``: others than the model's own, by the same names. With ``config.ema``, an average
    of the generator's weights starts as its copy. Raises Refused if the device cannot make
    products in ``config.precision``.
    """
    kind, device = family(config.model), choose_device(config.device)
    precision = choose_precision(config.precision, device)
    networks = build(config) if networks is None else networks
    for network in networks.values():
        network.to(device)
    scale = LossScale().to(device) if precision == "float16" else None
    optimizers = {}
    for name, trained in kind.trains.items():
        weights = [p for network in trained for p in networks[network].parameters()]
        own = config.d_lr if name == "d_optimizer" else None
        lr, betas = config.lr if own is None else own, (config.b1, config.b2)
        fused = device.type in ("cpu", "cuda")
        adam = partial(Adam, scale=scale) if fused else torch.optim.Adam
        optimizers[name] = adam(weights, lr, betas)
    generator = networks["generator"]
    average = copy.deepcopy(generator).requires_grad_(False) if config.ema else None
    if precision != "float32":
        for network in networks.values():
            multiply_in(network, precision)
    return Players(kind, networks, optimizers, average, scale)


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
        scaled = nullcontext() if players.scale is None else ScaledLosses(players.scale)
        with global_streams(images.device, seed), fast_float32_products(), scaled:
            # Dropout draws from the global stream, the rest from `rng`; outside, nothing changes.
            rng = torch.Generator(images.device).manual_seed(seed)
            before = players.iteration
            try:
                losses = train_epoch(players, Batch(images, labels), config, rng, on_iteration)
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
    finite = losses.flatten(1).isfinite().all(dim=1)
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


def train_epoch(
    players: Players,
    data: Batch,
    config: TrainingConfig,
    rng: torch.Generator,
    on_iteration: Callable[[Players], None] | None = None,
) -> Tensor:
    """One pass over the data; returns the log (iterations, columns) on the CPU.

    It stays on the device until the epoch ends, so that no step waits for the CPU to read a number.
    """
    kind = players.family
    for network in players.networks.values():
        network.train()
    inputs = partial(kind.inputs, config, rng=rng, data=data)

    def iterate(players: Players, shown: list[Batch]) -> Tensor:
        found = torch.stack(kind.step(players, shown, inputs, config))
        if players.average is not None:
            average_step(players.average, players.generator, config.ema, players.iteration)
        return found

    if rng.device.type == "cuda":
        iterate = Replayed(iterate, [rng, *players.rngs])
    log = []
    with own_stream(rng.device):
        for shown in kind.batches(data, config, rng):
            log.append(iterate(players, shown))
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
