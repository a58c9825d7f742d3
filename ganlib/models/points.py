"""Fully connected networks for points on a plane.

They take the place of the GAN's networks (:mod:`ganlib.families`): step, losses and loop are the
book's, unchanged, since none of these asks how many numbers a sample has. What speaks of images in
a configuration (``img_size``, ``dataset``) does not concern them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LABEL = 10  # numbers that a label becomes, as in the CGAN


class Maxout(nn.Module):
    """The greatest of every ``pieces`` values: (N, pieces * W) to (N, W)."""

    def __init__(self, pieces: int):
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.pieces, -1)).max(-2).values


def layers(
    n_in: int,
    widths: Sequence[int],
    n_out: int,
    pieces: int = 1,
    bn_eps: float | None = None,
    start: float | None = None,
) -> nn.Sequential:
    """Linear, batch normalisation if there is a ``bn_eps``, and ReLU, or Maxout of ``pieces``.

    ``start``: the standard deviation of all weights at the start; None: Xavier's uniform one, that
    of TensorFlow's layers. Biases start at 0.
    """
    parts: list[nn.Module] = []
    for before, width in zip((n_in, *widths), widths):
        parts.append(nn.Linear(before, width * pieces, bias=bn_eps is None))
        if bn_eps is not None:
            # Blocks, which PacGAN's authors use, moves its running statistics by 0.05 a step.
            parts.append(nn.BatchNorm1d(width * pieces, eps=bn_eps, momentum=0.05))
        parts.append(Maxout(pieces) if pieces > 1 else nn.ReLU())
    parts.append(nn.Linear(widths[-1] if widths else n_in, n_out))
    for part in parts:
        if isinstance(part, nn.Linear):
            if start is None:
                nn.init.xavier_uniform_(part.weight)
            else:
                nn.init.normal_(part.weight, std=start)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return nn.Sequential(*parts)


class PointGenerator(nn.Module):
    """G: ``z`` (N, latent_dim), and modes (N,) if it is told ``n_modes``, to points (N, 2)."""

    def __init__(self, latent_dim: int, widths: Sequence[int], n_modes: int = 0, **options):
        super().__init__()
        self.embedding = nn.Embedding(n_modes, LABEL) if n_modes else None
        self.layers = layers(latent_dim + LABEL * bool(n_modes), widths, 2, **options)

    def forward(self, z: Tensor, *modes: Tensor) -> Tensor:
        return self.layers(torch.cat([z, *map(self.embedding, modes)], 1) if modes else z)


class PointDiscriminator(nn.Module):
    """D: points (N, 2), and modes (N,) if it is told ``n_modes``, to raw scores (N, 1).

    ``pack``: D judges so many points at once, neighbours in the batch, all real or all generated
    (PacGAN, Lin et al. 2018). Each point of a pack is given the pack's score, so that there are as
    many scores as points, and their mean is the mean over packs. N is divisible by ``pack``.
    """

    def __init__(self, widths: Sequence[int], pack: int = 1, n_modes: int = 0, **options):
        super().__init__()
        self.pack = pack
        self.embedding = nn.Embedding(n_modes, LABEL) if n_modes else None
        self.layers = layers(pack * (2 + LABEL * bool(n_modes)), widths, 1, **options)

    def forward(self, points: Tensor, *modes: Tensor) -> Tensor:
        seen = torch.cat([points, *map(self.embedding, modes)], 1) if modes else points
        scores = self.layers(seen.reshape(len(seen) // self.pack, -1))
        return scores.expand(-1, self.pack).reshape(-1, 1)
