"""Small changes that leave a digit what it is: of one labelled image they make many."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_SHIFT = 2  # pixels


def shift(images: Tensor, rng: torch.Generator, most: int = MOST_SHIFT) -> Tensor:
    """Each image (N, C, H, W) moved by up to ``most`` whole pixels each way; -1 enters."""
    n, _, height, width = images.shape
    padded = F.pad(images, (most,) * 4, value=-1.0)
    down, right = torch.randint(2 * most + 1, (2, n, 1), generator=rng, device=rng.device)
    rows = torch.arange(height, device=rng.device) + down
    columns = torch.arange(width, device=rng.device) + right
    each = torch.arange(n, device=rng.device)[:, None, None]
    return padded.movedim(1, 3)[each, rows[:, :, None], columns[:, None, :]].movedim(3, 1)


def jitter(images: Tensor, rng: torch.Generator) -> Tensor:
    """Each image (N, 1, H, W) turned by up to 10 degrees, scaled by up to 10 % and shifted by up
    to a tenth of its side: the same digit, written a little differently."""
    turn, scale, right, down = torch.rand(4, len(images), generator=rng, device=rng.device) * 2 - 1
    turn, scale = turn * math.radians(10), 1 + 0.1 * scale
    cos, sin = turn.cos() * scale, turn.sin() * scale
    # A shift of 0.2 is a tenth of the side, which runs from -1 to 1.
    rows = torch.stack([cos, -sin, 0.2 * right, sin, cos, 0.2 * down], dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    # Padded with zeros, so the background, -1, has to be 0 meanwhile.
    return F.grid_sample(images + 1, grid, align_corners=False) - 1
