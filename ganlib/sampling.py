"""Asking a generator for images: the fixed z of a run, sample sheets, walks between two z."""

import copy
import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ganlib import networks
from ganlib.configuration import TrainingConfig
from ganlib.data import unscale
from ganlib.training import epoch_seed

SHEET = 10  # a sheet of samples has so many rows and columns


def fixed_z(config: TrainingConfig) -> tuple[Tensor, Tensor]:
    """The noise and labels of every sample sheet of a run: z (100, latent_dim), labels (100,).

    A GAN's sheet has 100 different z. A conditional sheet has ten: row r shows one z as all ten
    digits, one a column. They depend on the seed alone, so sheets of different epochs compare.
    """
    rng = torch.Generator().manual_seed(epoch_seed(config.seed, 0))
    conditional = networks.family(config.model).conditional
    z = torch.randn(SHEET if conditional else SHEET**2, config.latent_dim, generator=rng)
    if conditional:
        z = z.repeat_interleave(SHEET, dim=0)
    return z, torch.arange(SHEET).repeat(SHEET)


@torch.no_grad()
def generate(generator: nn.Module, z: Tensor, labels: Tensor, conditional: bool) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] on the CPU, the generator in evaluation mode meanwhile.

    ``z`` (N, latent_dim); ``labels`` (N,) are used only if ``conditional``.
    """
    device = next(generator.parameters()).device
    arguments = (z.to(device), labels.to(device)) if conditional else (z.to(device),)
    with networks.evaluating(generator):
        return generator(*arguments).cpu()


def draw(
    generator: nn.Module, config: TrainingConfig, n: int, seed: int, digit: int | None = None
) -> tuple[Tensor, Tensor]:
    """``n`` images by a generator of ``config``, (n, 1, H, W) on the CPU, and their labels (n,).

    The same ``seed`` gives the same noise. A conditional generator draws ``digit``, or 0 to 9 in
    turn; for any other the labels are -1.
    """
    conditional = networks.family(config.model).conditional
    z = torch.randn(n, config.latent_dim, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(n) % config.n_classes if digit is None else torch.full((n,), digit)
    # In parts, so that a great many images need no great memory for the layers between.
    parts = [
        generate(generator, *part, conditional) for part in zip(z.split(1024), labels.split(1024))
    ]
    return torch.cat(parts), labels if conditional else torch.full((n,), -1)


def to_sheet(images: Tensor, columns: int = SHEET) -> np.ndarray:
    """Images (R * columns, 1, H, W) in [-1, 1] to one grey picture (R * H, columns * W), uint8."""
    n, _, height, width = images.shape
    grid = unscale(images).view(n // columns, columns, height, width)
    return grid.permute(0, 2, 1, 3).reshape(-1, columns * width).numpy()


def from_sheet(sheet: np.ndarray, img_size: int) -> Tensor:
    """The inverse of :func:`to_sheet`, to 1/255: images (N, 1, H, W) float32 in [-1, 1]."""
    pixels = torch.from_numpy(sheet.astype(np.float32))
    rows, columns = (side // img_size for side in pixels.shape)
    grid = pixels.view(rows, img_size, columns, img_size).permute(0, 2, 1, 3)
    return grid.reshape(-1, 1, img_size, img_size) / 127.5 - 1


def png(sheet: np.ndarray) -> bytes:
    """A grey picture (H, W) uint8 as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def interpolate(start: Tensor, end: Tensor, steps: int = 10) -> Tensor:
    """``steps`` points from one z to another, both (latent_dim,): (steps, latent_dim).

    Along the arc, not the chord: in many dimensions the points of a standard normal lie close to
    a sphere, and the middle of a chord falls inside it, where G was never trained.
    """
    angle = torch.arccos(F.cosine_similarity(start, end, dim=0).clamp(-1, 1))
    share = torch.linspace(0, 1, steps).unsqueeze(1)
    if angle.sin() < 1e-4:  # the same direction, or opposite ones: no arc to follow
        return start + share * (end - start)
    weights = ((1 - share) * angle).sin(), (share * angle).sin()
    return (weights[0] * start + weights[1] * end) / angle.sin()


@torch.no_grad()
def between_digits(
    generator: nn.Module, z: Tensor, start: int, end: int, steps: int = 10
) -> Tensor:
    """One ``z`` (latent_dim,) drawn as ``start``, as ``end`` and as what lies between the two.

    All that a digit has for itself in a conditional generator, its embedding or its scales and
    shifts, is mixed, from the one's to the other's. Returns (steps, 1, H, W) in [-1, 1].
    """
    mixed = copy.deepcopy(generator).cpu()
    share = torch.linspace(0, 1, steps).unsqueeze(1)
    for layer in mixed.modules():
        if isinstance(layer, (nn.Embedding, networks.ConditionalBatchNorm)):
            for name, table in list(layer.named_parameters(recurse=False)):  # a row a class
                rows = table[start] + share * (table[end] - table[start])
                setattr(layer, name, nn.Parameter(rows))
    return generate(mixed, z.expand(steps, -1), torch.arange(steps), conditional=True)
