"""Points on a plane by many GANs at once: train all seeds of a protocol together, count the modes.

Every seed is trained as it would be alone, by the book's own step, `steps.adversarial`, on networks
that are stacked (:class:`ganlib.together.Many`): one call in place of ten.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig
from ganlib.judge.mixtures import Mixture, draw, grid, modes_and_near, ring
from ganlib.losses import LOSSES
from ganlib.models.points import PointDiscriminator, PointGenerator
from ganlib.steps import Batch, Replayed, adversarial, average_step, own_stream
from ganlib.studies.unrolled import unrolled_step
from ganlib.together import Many, of_each
from ganlib.training import Players, epoch_seed, start

DATA = {"ring": ring(), "wide ring": ring(radius=2.0, sigma=0.02), "grid": grid()}
SEEDS = tuple(range(10))
MEASURED = 2500  # points generated for each measure, as in both papers
CHECKS = 20  # times that a training is measured
EMA = 0.999


@dataclass(frozen=True)
class Protocol:
    """All that decides a training but its seed. See `PointGenerator` and `PointDiscriminator`."""

    data: str = "ring"
    latent_dim: int = 254
    g_widths: tuple[int, ...] = (128, 128)
    d_widths: tuple[int, ...] = (128, 128)
    pieces: int = 1  # of D's Maxout; 1: ReLU
    bn_eps: float | None = None  # of G's batch normalisation; None: there is none
    start: float | None = None  # standard deviation of the first weights; None: Xavier's
    lr: float = 1e-3
    b1: float = 0.5
    batch_size: int = 500  # what D judges at once: points, or packs of them
    pack: int = 1
    label: bool = False  # both players are told the mode
    unroll: int = 0  # steps that D looks ahead while G learns
    iterations: int = 5000

    @property
    def mixture(self) -> Mixture:
        return DATA[self.data]

    def networks(self) -> dict[str, nn.Module]:
        """A generator and a discriminator, from the global random state."""
        told = {"n_modes": len(self.mixture.centres) if self.label else 0, "start": self.start}
        return {
            "generator": PointGenerator(self.latent_dim, self.g_widths, bn_eps=self.bn_eps, **told),
            "discriminator": PointDiscriminator(
                self.d_widths, self.pack, pieces=self.pieces, **told
            ),
        }

    def config(self, **changes) -> TrainingConfig:
        """The same as the book's configuration, as far as that has a place for it."""
        same = {name: getattr(self, name) for name in ("latent_dim", "lr", "b1")}
        batch_size = self.batch_size * self.pack
        return TrainingConfig(**same | {"batch_size": batch_size, "device": "cpu"} | changes)


def players_for(protocol: Protocol, seeds: tuple[int, ...], device: str = "cpu") -> Players:
    """One GAN for each seed, all as one; each starts as it would alone."""
    networks: dict[str, list[nn.Module]] = {"generator": [], "discriminator": []}
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            for name, network in protocol.networks().items():
                networks[name].append(network)
    together = {name: Many(all_of_them) for name, all_of_them in networks.items()}
    return start(protocol.config(ema=EMA, device=device), together)


def _for_each(draw_one: Callable[[torch.Generator], tuple[Tensor, ...]], rngs) -> list[Tensor]:
    return [torch.stack(parts, dim=1) for parts in zip(*map(draw_one, rngs))]


def training(
    protocol: Protocol, seeds: tuple[int, ...] = SEEDS, device: str = "cpu"
) -> Iterator[tuple[int, Players]]:
    """Train all seeds; yields (iterations done, players) at each of CHECKS equal distances."""
    players, config = players_for(protocol, seeds, device), protocol.config()
    rngs = [torch.Generator(device).manual_seed(epoch_seed(seed, 1)) for seed in seeds]
    mixture, loss = protocol.mixture, of_each(LOSSES[config.loss])
    mixture = mixture._replace(centres=mixture.centres.to(device))

    def made(rng: torch.Generator, n: int) -> tuple[Tensor, ...]:
        z = torch.randn(n, protocol.latent_dim, generator=rng, device=device)
        if not protocol.label:
            return (z,)
        modes = torch.randint(len(mixture.centres), (n,), generator=rng, device=device)
        return z, modes

    def inputs(n: int) -> list[Tensor]:
        return _for_each(partial(made, n=n), rngs)

    def iterate(players: Players, _shown: list) -> Tensor:
        real = Batch(*_for_each(partial(draw, mixture, config.batch_size), rngs))
        ahead = {"d_optimizer": players.optimizers["d_optimizer"], "steps": protocol.unroll}
        g_step = partial(unrolled_step, real=real, **ahead) if protocol.unroll else None
        found = adversarial(players, [real], inputs, config, g_step=g_step, loss=loss)
        average_step(players.average, players.generator, EMA, players.iteration)
        return torch.stack(found)

    if torch.device(device).type == "cuda":
        iterate = Replayed(iterate, rngs)
    n = protocol.iterations
    for check in (done for done in range(1, n + 1) if done * CHECKS % n < CHECKS):
        with own_stream(rngs[0].device):
            while players.iteration < check:
                iterate(players, [])
                players.iteration += 1
        yield check, players


@torch.no_grad()
def generated(protocol: Protocol, generator: nn.Module, seeds: tuple[int, ...]) -> Tensor:
    """MEASURED points by each seed's generator, (S, MEASURED, 2), from the same z every time."""
    rngs = [torch.Generator().manual_seed(epoch_seed(seed, 0)) for seed in seeds]
    n_modes = len(protocol.mixture.centres)
    z = torch.stack(
        [torch.randn(MEASURED, protocol.latent_dim, generator=rng) for rng in rngs], dim=1
    )
    told = (torch.arange(MEASURED).remainder(n_modes).unsqueeze(1).expand(-1, len(seeds)),)
    device = next(generator.parameters()).device
    generator.eval()
    points = generator(*(one.to(device) for one in (z, *told * protocol.label)))
    generator.train()
    return points.transpose(0, 1).cpu()


def measure(
    protocol: Protocol, seeds: tuple[int, ...] = SEEDS, watched: int = 0, device: str = "cpu"
) -> dict:
    """Train and measure: what one row of the study keeps, plain enough for JSON.

    ``modes`` and ``near`` hold a list for each check, with a number for each seed; so does
    ``average``, of the averaged weights at the end. ``points``: the first ``watched`` points of the
    first seed at each check, in hundredths.
    """
    mixture, row = protocol.mixture, {"protocol": asdict(protocol), "seeds": list(seeds)}
    row |= {"iterations": [], "modes": [], "near": [], "points": []}
    for iteration, players in training(protocol, seeds, device):
        points = generated(protocol, players.generator, seeds)
        row["iterations"].append(iteration)
        for name, values in _measures(points, mixture).items():
            row[name].append(values)
        row["points"].append((points[0, :watched] * 100).round().int().tolist())
    row["average"] = _measures(generated(protocol, players.average, seeds), mixture)
    return row


def _measures(points: Tensor, mixture: Mixture) -> dict[str, list]:
    modes, near = modes_and_near(points, mixture)
    return {"modes": modes.int().tolist(), "near": [round(share, 4) for share in near.tolist()]}
