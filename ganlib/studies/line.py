"""A generator that moves on a line: against the best discriminator, and against one that learns.

The densities and the best discriminator are those of :mod:`ganlib.studies.densities`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlib.losses import Loss, discriminator_loss
from ganlib.studies.densities import GRID, draw_mixture, pull

_BLUR = 0.12  # width of the small normal that stands for each draw in a density


def walk(start: float, generator_loss, n_steps: int = 60, rate: float = 0.5) -> list[float]:
    """Where a generator N(d, 1) stands, step by step, on its way from ``start`` to N(0, 1).

    Gradient descent with the best discriminator at every step: ``n_steps`` + 1 distances.
    """
    distances = [start]
    for _ in range(n_steps):
        distances.append(distances[-1] - rate * pull(distances[-1], generator_loss))
    return distances


def network() -> nn.Sequential:
    """A small network from numbers (N, 1) to numbers (N, 1): a generator or a raw score."""
    layers = nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
    return nn.Sequential(*layers)


@dataclass(frozen=True)
class Moment:
    """A game on the line after ``step`` steps: q(x) and D's raw scores, both (3001,) on GRID."""

    step: int
    density: Tensor
    scores: Tensor


def game(
    real: tuple[Sequence[float], float],
    loss: Loss,
    at: Sequence[int],
    seed: int = 0,
    rate: float = 1e-3,
) -> list[Moment]:
    """Train both networks, one step each in turn, and keep the moments ``at`` (steps, rising).

    ``real``: means and width of the real mixture; z is a number from N(0, 1). The same seed gives
    the same game, whatever was drawn before it.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        generator, discriminator = network(), network()
    moves = [
        torch.optim.Adam(one.parameters(), lr=rate, betas=(0.5, 0.999))
        for one in (generator, discriminator)
    ]
    moments = []
    for step in range(max(at) + 1):
        if step in at:
            moments.append(_moment(step, generator, discriminator))
        for player, optimizer in zip(("G", "D"), moves):
            fake = generator(torch.randn(256, 1, generator=rng))
            if player == "G":
                step_loss = loss.generator(discriminator(fake))
            else:
                on_real = loss.real(discriminator(draw_mixture(*real, 256, rng)))
                step_loss = discriminator_loss(on_real, loss.fake(discriminator(fake.detach())))
            optimizer.zero_grad()
            step_loss.backward()
            optimizer.step()
    return moments


@torch.no_grad()
def _moment(step: int, generator: nn.Module, discriminator: nn.Module) -> Moment:
    """The density is that of 2,000 evenly spread z, each blurred a little: no chance in it."""
    z = torch.distributions.Normal(0, 1).icdf((torch.arange(2000) + 0.5) / 2000).unsqueeze(1)
    scores = discriminator(GRID.float().unsqueeze(1)).squeeze(1).double()
    apart = (GRID - generator(z).double()) / _BLUR
    density = torch.exp(-apart.square() / 2).mean(dim=0) / (_BLUR * (2 * torch.pi) ** 0.5)
    return Moment(step, density, scores)
