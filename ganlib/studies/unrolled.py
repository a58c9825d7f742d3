"""Unrolling: G learns from a D that has already answered.

Metz, Poole, Pfau, Sohl-Dickstein 2017; see `unrolled_step` for what is theirs.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ganlib.losses import Loss, discriminator_loss
from ganlib.steps import Batch, generator_step

TINY = 1e-30  # far below the square of Adam's eps; under it a root's slope would be infinite


def unrolled_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    z: Tensor,
    labels: tuple[Tensor, ...] = (),
    *,
    real: Batch,
    d_optimizer: torch.optim.Adam,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """`generator_step` against the D that ``steps`` steps on these very images would lead to.

    The surrogate objective of Metz et al. 2017: the error also flows back through all of D's steps
    ahead, so that G is told how D would answer. D itself and its optimiser stay as they are. G's
    loss is the one configured; in the authors' public notebook it is minus D's. ``real``: as many
    images as ``z`` makes, the same in every step ahead, and so are G's.
    """

    def in_some_steps(fake: Tensor, *labels: Tensor) -> Tensor:
        weights = look_ahead(discriminator, d_optimizer, loss, real, fake, labels, steps)
        return functional_call(discriminator, weights, (fake, *labels))

    return generator_step(generator, in_some_steps, optimizer, loss, z, labels)


def look_ahead(
    discriminator: nn.Module,
    optimizer: torch.optim.Adam,
    loss: Loss,
    real: Batch,
    fake: Tensor,
    labels: tuple[Tensor, ...],
    steps: int,
) -> dict[str, Tensor]:
    """D's weights by name after ``steps`` more `discriminator_step`, as functions of ``fake``.

    By D's own Adam from where it stands, as in the authors' public notebook: these are the steps
    that D would make.
    """
    own, (group,) = dict(discriminator.named_parameters()), optimizer.param_groups
    sizes, (b1, b2) = [weight.numel() for weight in own.values()], group["betas"]

    def one(each: Iterable[Tensor]) -> Tensor:
        return torch.cat([tensor.flatten() for tensor in each])  # few calls in place of many

    def apart(flat: Tensor) -> dict[str, Tensor]:
        parts = zip(own.items(), flat.split(sizes))
        return {name: part.view_as(weight) for (name, weight), part in parts}

    flat, states = one(own.values()), [optimizer.state.get(weight, {}) for weight in own.values()]
    begun = all(states)
    mean, square = (
        one(state[key] for state in states) if begun else torch.zeros_like(flat)
        for key in ("exp_avg", "exp_avg_sq")
    )
    # () in double: 0.999 to a power loses digits in float32.
    step = states[0]["step"].double() if begun else flat.new_zeros((), dtype=torch.double)
    known = (real.labels,) if labels else ()
    heard = tuple(torch.cat(pair) for pair in zip(known, labels))
    seen = torch.cat([real.images, fake])
    for _ in range(steps):
        scores = functional_call(discriminator, apart(flat), (seen, *heard))
        of_real, of_fake = scores.split([len(real.images), len(fake)])
        d_loss = discriminator_loss(loss.real(of_real), loss.fake(of_fake))
        (slope,) = torch.autograd.grad(d_loss.sum(), flat, create_graph=True)
        step = step + 1
        mean, square = mean.lerp(slope, 1 - b1), square.lerp(slope.square(), 1 - b2)
        size = (square / (1 - b2**step)).clamp(min=TINY).sqrt() + group["eps"]
        flat = flat - group["lr"] / (1 - b1**step) * mean / size
    return apart(flat)
