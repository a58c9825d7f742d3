"""Two densities on a line, one of real data and one of a generator: GAN theory that can be checked.

Images have no density that we could write down; a number has. Here the best discriminator is known
in closed form, every expected loss is an integral, and a trained discriminator can be held against
both. Densities are tensors on GRID, as are functions of x.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganlib.losses import Loss, discriminator_loss

GRID = torch.linspace(-15, 15, 3001, dtype=torch.float64)  # the line, finely enough for integrals


def integral(values: Tensor) -> float:
    """The integral of a function given on GRID."""
    return float(torch.trapezoid(values, GRID))


def mixture(means: Sequence[float], width: float) -> Tensor:
    """The density of equally likely normal distributions with these means, on GRID (3001,).

    ``width``: the standard deviation of each, above 0.
    """
    z = (GRID - torch.tensor(means, dtype=torch.float64).unsqueeze(1)) / width
    return torch.exp(-z.square() / 2).mean(dim=0) / (width * math.sqrt(2 * math.pi))


def draw_mixture(
    means: Sequence[float], width: float, n: int, rng: torch.Generator | None = None
) -> Tensor:
    """``n`` numbers from :func:`mixture`: (n, 1) float32."""
    which = torch.randint(len(means), (n, 1), generator=rng)
    return torch.tensor(means)[which] + width * torch.randn(n, 1, generator=rng)


def optimal_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """D*(x) = p(x) / (p(x) + q(x)), the best answer to densities p and q (Goodfellow et al. 2014).

    It minimises L_D, Eq. 6 and Eq. 9 alike, each point x by itself. In [0, 1]; 1/2 where both
    densities are too small for a computer.
    """
    total = real + fake
    return torch.where(total > 0, real / total.clamp(min=1e-300), 0.5)


def expected_loss(scores: Tensor, real: Tensor, fake: Tensor, loss: Loss) -> float:
    """L_D, Eq. 6 or Eq. 9, of a discriminator given by its raw scores on GRID: an integral."""
    on_real = integral(real * _each(loss.real, scores))
    on_fake = integral(fake * _each(loss.fake, scores))
    return (on_real + on_fake) / 2


def _each(loss, scores: Tensor) -> Tensor:
    """A loss of ganlib is a mean over a batch; here it is wanted for each score by itself."""
    return torch.vmap(loss)(scores)


def lowest_loss(real: Tensor, fake: Tensor, loss: Loss) -> float:
    """L_D of the optimal discriminator, for a loss on the probability (BCE or MSE)."""
    best = optimal_discriminator(real, fake)
    return expected_loss(torch.logit(best, eps=1e-12), real, fake, loss)


def width_of_equal_loss(real: Tensor, means: Sequence[float], target: float, loss: Loss) -> float:
    """How wide normals at ``means`` must be for the lowest L_D against ``real`` to be ``target``.

    Looked for from the width of 0.5 up, where the loss falls as the width grows; by halving.
    """
    low, high = 0.5, 5.0
    for _ in range(40):
        middle = (low + high) / 2
        if lowest_loss(real, mixture(means, middle), loss) > target:
            low = middle
        else:
            high = middle
    return low


def train_discriminator(
    real: tuple[Sequence[float], float],
    fake: tuple[Sequence[float], float],
    loss: Loss,
    n_steps: int = 600,
    seed: int = 0,
) -> Tensor:
    """The raw scores on GRID of a small network trained on draws from two mixtures, (3001,).

    ``real`` and ``fake``: the means and the width of each mixture.
    """
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers = [nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)]
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, n_steps)
    for _ in range(n_steps):
        real_scores, fake_scores = (network(draw_mixture(*m, 256, rng)) for m in (real, fake))
        step_loss = discriminator_loss(loss.real(real_scores), loss.fake(fake_scores))
        optimizer.zero_grad()
        step_loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return network(GRID.float().unsqueeze(1)).squeeze(1).double()


def pull(distance: float, generator_loss) -> float:
    """How strongly a generator's loss pulls its density N(distance, 1) towards the real N(0, 1).

    The size of the gradient with respect to the generator's mean, with D optimal and held still.
    """
    x = GRID.clone().requires_grad_(True)
    scores = distance**2 / 2 - distance * x  # the raw score of D*: log p - log q
    (slope,) = torch.autograd.grad(_each(generator_loss, scores).sum(), x)
    return abs(integral(mixture([distance], 1.0) * slope))
