"""Points on a plane in place of images: mixtures of round clouds, and what a GAN finds of them.

A cloud is a *mode*: a place where the real points are dense. On a plane one can count them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

NEAR = 3  # standard deviations: a point so close to a mode counts as one of it


class Mixture(NamedTuple):
    """Equally likely round normal clouds: ``centres`` (K, 2), and each one's ``sigma``."""

    title: str
    centres: Tensor
    sigma: float

    @property
    def span(self) -> float:
        """Half the side of a square about the origin that shows every mode."""
        return 1.4 * float(self.centres.abs().max())


def ring(n: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Mixture:
    """``n`` modes at equal distances on a circle about the origin."""
    angles = torch.arange(n) * (2 * torch.pi / n)
    return Mixture(f"ring of {n}", radius * torch.stack([angles.cos(), angles.sin()], 1), sigma)


def grid(side: int = 5, step: float = 2.0, sigma: float = 0.05) -> Mixture:
    """``side`` times ``side`` modes on a square lattice about the origin, ``step`` apart."""
    line = step * (torch.arange(side) - (side - 1) / 2)
    return Mixture(f"grid of {side**2}", torch.cartesian_prod(line, line), sigma)


def draw(mixture: Mixture, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """``n`` points of the mixture (n, 2) float32, and the mode (n,) int64 that each comes from.

    All on one device: the mixture's centres, ``rng``, and what is drawn.
    """
    modes = torch.randint(len(mixture.centres), (n,), generator=rng, device=rng.device)
    around = mixture.sigma * torch.randn(n, 2, generator=rng, device=rng.device)
    return mixture.centres[modes] + around, modes


def points_by_mode(points: Tensor, mixture: Mixture) -> Tensor:
    """How many of ``points`` (..., N, 2) lie within NEAR sigma of each mode: (..., K) int64.

    Each point counts for its nearest mode alone.
    """
    apart = torch.linalg.vector_norm(points.unsqueeze(-2) - mixture.centres, dim=-1)
    distance, mode = apart.min(dim=-1)
    near = distance < NEAR * mixture.sigma
    places = torch.arange(len(mixture.centres))
    return ((mode.unsqueeze(-1) == places) & near.unsqueeze(-1)).sum(dim=-2)


def modes_and_near(points: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor]:
    """The two published measures of ``points`` (..., N, 2), each (...,) float32.

    How many modes have at least one point within NEAR sigma, and which share of all points, in
    [0, 1], lies so near to any (Srivastava et al. 2017, section 4.1; Lin et al. 2018).
    """
    counts = points_by_mode(points, mixture)
    return (counts > 0).sum(-1).float(), counts.sum(-1) / points.shape[-2]


def by_chance(mixture: Mixture, n: int) -> tuple[float, float]:
    """The same two measures, as expected of ``n`` points spread evenly over the mixture's square.

    What a generator finds that has learned where the modes lie about, and no more.
    """
    around_one = math.pi * (NEAR * mixture.sigma) ** 2 / (2 * mixture.span) ** 2
    n_modes = len(mixture.centres)
    return n_modes * (1 - (1 - around_one) ** n), n_modes * around_one
