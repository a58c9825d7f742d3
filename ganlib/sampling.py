"""Asking a generator for images: the fixed z of a run, sample sheets, walks between two z."""

import copy
import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig
from ganlib.data import scale, unscale
from ganlib.families import evaluating, family
from ganlib.models.normalisation import ConditionalBatchNorm
from ganlib.steps import Batch
from ganlib.training import epoch_seed

SHEET = 10  # rows of a sheet of samples, and images in a row unless these are the classes


def sheet_columns(config: TrainingConfig) -> int:
    """Images in a row of a run's sample sheets: one of each class, if G can be asked for them."""
    return config.n_classes if family(config.model).conditional else SHEET


def sheet_inputs(config: TrainingConfig, data: Batch | None = None) -> tuple[Tensor, ...]:
    """What the generator of every sample sheet of a run is called with, for ten rows of images.

    A GAN's sheet has 100 different z. A conditional sheet has ten: row r shows one z as all the
    classes, one a column. They depend on the seed alone, so sheets of different epochs compare.
    ``data``: the training images, for a generator that is given one.
    """
    kind, seed = family(config.model), epoch_seed(config.seed, 0)
    if not kind.conditional:
        return kind.inputs(config, SHEET**2, torch.Generator().manual_seed(seed), data)
    columns = [
        kind.inputs(
            config, SHEET, torch.Generator().manual_seed(seed), data, torch.full((SHEET,), label)
        )
        for label in range(config.n_classes)
    ]
    return tuple(torch.stack(column, dim=1).flatten(0, 1) for column in zip(*columns))


@torch.no_grad()
def generate(generator: nn.Module, *inputs: Tensor) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] on the CPU, the generator in evaluation mode meanwhile.

    ``inputs``: what it is called with, z (N, latent_dim), and labels (N,) if it is told any.
    """
    device = next(generator.parameters()).device
    with evaluating(generator):
        return generator(*(part.to(device) for part in inputs)).cpu()


def draw(
    generator: nn.Module,
    config: TrainingConfig,
    n: int,
    seed: int,
    digit: int | None = None,
    data: Batch | None = None,
) -> tuple[Tensor, Tensor]:
    """``n`` images by a generator of ``config``, (n, C, H, W) on the CPU, and their labels (n,).

    The same ``seed`` gives the same noise. A conditional generator draws ``digit``, or each class
    in turn; for any other the labels are -1. ``data``: images, for a generator that is given one.
    """
    kind = family(config.model)
    labels = torch.arange(n) % config.n_classes if digit is None else torch.full((n,), digit)
    inputs = kind.inputs(config, n, torch.Generator().manual_seed(seed), data, labels)
    # In parts, so that a great many images need no great memory for the layers between.
    parts = [generate(generator, *part) for part in zip(*(whole.split(1024) for whole in inputs))]
    return torch.cat(parts), labels if kind.conditional else torch.full((n,), -1)


def to_sheet(images: Tensor, columns: int = SHEET, gap: int = 0, paper: int = 0) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] on one picture, ``columns`` in a row: uint8, grey or RGB.

    ``gap`` pixels of the grey ``paper``, 0 to 255, lie between them; so does the end of a last row
    that is not full. Without gaps (rows * H, columns * W), and for RGB a third axis.
    """
    n, channels, height, width = images.shape
    height, width = height + gap, width + gap
    size = -(-n // columns) * height - gap, columns * width - gap
    sheet = np.full((*size, channels), paper, np.uint8)
    for place, image in enumerate(unscale(images.cpu()).permute(0, 2, 3, 1).numpy()):
        top, left = (place // columns) * height, (place % columns) * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet[..., 0] if channels == 1 else sheet


def from_sheet(sheet: np.ndarray, img_size: int) -> Tensor:
    """The inverse of :func:`to_sheet` without gaps, to 1/255: images (N, C, H, W) in [-1, 1]."""
    rows, columns = (side // img_size for side in sheet.shape[:2])
    cells = torch.from_numpy(sheet).reshape(rows, img_size, columns, img_size, -1)
    return scale(cells.permute(0, 2, 4, 1, 3).flatten(0, 1))


def png(sheet: np.ndarray) -> bytes:
    """A picture (H, W), or (H, W, 3), uint8 as the bytes of a PNG file."""
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
    shifts, is mixed, from the one's to the other's. Returns (steps, C, H, W) in [-1, 1].
    """
    mixed = copy.deepcopy(generator).cpu()
    share = torch.linspace(0, 1, steps).unsqueeze(1)
    for layer in mixed.modules():
        if isinstance(layer, (nn.Embedding, ConditionalBatchNorm)):
            for name, table in list(layer.named_parameters(recurse=False)):  # a row a class
                rows = table[start] + share * (table[end] - table[start])
                setattr(layer, name, nn.Parameter(rows))
    return generate(mixed, z.expand(steps, -1), torch.arange(steps))
