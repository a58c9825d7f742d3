"""What an InfoGAN's codes came to mean: which digit each code of ten is, what the others change.

Labels are used here, after the training, which saw none; and only those of the training split say
which code is which digit, so that the error on the test split is no choice made on it.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig
from ganlib.data import DigitImages
from ganlib.families import evaluating
from ganlib.judge.classifier import Classifier, read_digits
from ganlib.judge.metrics import N_IMAGES, class_kl, confusion
from ganlib.models.infogan import CONTINUOUS, noise_and_codes
from ganlib.sampling import generate

PART = 1000  # images read at once
MEASURED = ("slant", "width", "ink")  # of an image, see `moments`

# --- The code of ten -----------------------------------------------------------------------------


@torch.no_grad()
def read_codes(discriminator: nn.Module, q: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What Q reads in images (N, 1, H, W): codes (N,) int64 and means (N, CONTINUOUS).

    In evaluation mode, on the networks' device; the answers are on the CPU.
    """
    device = next(q.parameters()).device
    with evaluating(discriminator, q):
        parts = [q(discriminator.body(part.to(device))) for part in images.split(PART)]
    scores, means = (torch.cat(kind).cpu() for kind in zip(*parts))
    return scores.argmax(dim=1), means


def match(codes: Tensor, labels: Tensor) -> Tensor:
    """The digit of each code, (10,) int64: the one-to-one choice that reads most images rightly.

    ``codes`` and ``labels`` (N,), of the training split. Found by the Hungarian method (Kuhn 1955).
    """
    counts = confusion(codes, labels)
    _, digits = linear_sum_assignment(counts.numpy(), maximize=True)
    return torch.from_numpy(digits)


# --- The continuous codes ------------------------------------------------------------------------


def moments(images: Tensor) -> Tensor:
    """Slant, width and ink of images (N, 1, H, W) in [-1, 1], each as in MEASURED: (N, 3).

    A pixel's ink, 0 to 1, is its weight. ``slant``: how many pixels to the left the stroke leans
    for each pixel down, the covariance of column and row over the variance of rows. ``width``: the
    standard deviation of columns, in pixels, with that lean taken out. ``ink``: the mean over all
    pixels, a stand-in for the stroke's weight. An image without ink has no moments: zeros.
    """
    ink = (images.flatten(2).squeeze(1).double() + 1) / 2
    height, width = images.shape[-2:]
    rows, columns = (
        axis.flatten().double()
        for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    )
    share = ink / ink.sum(dim=1, keepdim=True).clamp(min=1e-9)

    def covariance(one: Tensor, other: Tensor) -> Tensor:
        return share @ (one * other) - (share @ one) * (share @ other)

    upright = covariance(rows, rows).clamp(min=1e-9)
    lean = covariance(columns, rows)
    spread = covariance(columns, columns) - lean.square() / upright
    return torch.stack([-lean / upright, spread.clamp(min=0).sqrt(), ink.mean(dim=1)], dim=1)


def explained(values: Tensor, continuous: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The share of the variance of ``values`` that each continuous code explains, by a line.

    ``values`` (N, M), ``continuous`` (N, C), ``codes`` (N,): of N images, each from another z. For
    each code of ten the squared correlation, (10, M, C); and over all of them (M, C), where each
    code has its own line, and means that differ from code to code count for nothing. 0 where a
    value never changes. With one z held fixed nearly anything follows a code: hence many z.
    """
    found, varied = [], []
    for code in range(10):
        mine = codes == code
        y, x = (part[mine].double() for part in (values, continuous))
        y, x = y - y.mean(dim=0), x - x.mean(dim=0)
        both = y.square().sum(dim=0)[:, None] * x.square().sum(dim=0)
        found.append((y.T @ x).square() / both.clamp(min=1e-12))
        varied.append(y.square().sum(dim=0))
    by_code, weights = torch.stack(found), torch.stack(varied)[:, :, None]
    return by_code, (by_code * weights).sum(dim=0) / weights.sum(dim=0).clamp(min=1e-12)


# --- All of it -----------------------------------------------------------------------------------


def measure_codes(
    networks: dict[str, nn.Module],
    config: TrainingConfig,
    train: DigitImages,
    test: DigitImages,
    classifier: Classifier,
    n_images: int = N_IMAGES,
) -> dict:
    """What the codes of a trained InfoGAN mean, as numbers and lists of them, for JSON.

    ``networks``: generator, discriminator and q. What is found:

    digit_of_code     see `match`, on the training split
    error, confusion  of the test split read so; a row a digit, a column what it was read as
    code_kl           `class_kl` of the codes read in training images: needs no label
    drawn             of ``n_images``, how many of each code (row) the judge reads as each digit
    drawn_as_matched  the share that it reads as the code's own digit
    explained         for each of MEASURED, what each continuous code explains, see `explained`
    by_code           the same for each code of ten
    """
    discriminator, q = networks["discriminator"], networks["q"]
    codes, _ = read_codes(discriminator, q, train.images)
    digits = match(codes, train.labels.cpu())
    read, _ = read_codes(discriminator, q, test.images)
    labels = test.labels.cpu()
    rng, asked = torch.Generator().manual_seed(0), torch.arange(n_images) % 10
    z, _ = noise_and_codes(config, n_images, rng, asked=asked)
    parts = zip(z.split(PART), asked.split(PART))
    images = torch.cat([generate(networks["generator"], *part) for part in parts])
    _, scores = read_digits(classifier, images)
    seen = scores.argmax(dim=1).cpu()
    by_code, pooled = explained(moments(images), z[:, :CONTINUOUS], asked)
    return {
        "digit_of_code": digits.tolist(),
        "error": float((digits[read] != labels).double().mean()),
        "confusion": confusion(labels, digits[read]).tolist(),
        "code_kl": class_kl(torch.bincount(codes, minlength=10)),
        "drawn": confusion(asked, seen).tolist(),
        "drawn_as_matched": float((digits[asked] == seen).double().mean()),
        "explained": dict(zip(MEASURED, pooled.tolist())),
        "by_code": dict(zip(MEASURED, by_code.transpose(0, 1).tolist())),
    }
