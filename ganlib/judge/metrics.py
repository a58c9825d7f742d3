"""Judging generated images by measurement, against real ones.

Most measures look at the features of the digit classifier (:mod:`ganlib.judge.classifier`), in
which images that read alike lie close. A measure means little by itself: hold it beside its
*floor*, what real training images score against the same real test images (:func:`floor`).
"""

import warnings
from dataclasses import dataclass
from functools import reduce
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib.configuration import choose_device
from ganlib.data import DigitImages
from ganlib.judge.classifier import TRAINED_ON, Classifier, load_classifier, read_digits
from ganlib.precision import fast_float32_products

N_IMAGES = 10_000  # generated for a measurement, as many as MNIST's test split has
N_COPIES = 2_000  # of those, looked up among all training images
K = 5  # the neighbour whose distance is an image's radius
FOUND = 0.01  # a class counts as found from this share of images on
COPIED = 0.5  # see `copied_share`
SPECK = 0.2  # how much a speck outshines its surroundings: a tenth of the range of pixels
PART = 1000  # rows of a distance matrix held at once
READ = 0.8  # of real test images, the share that a judge must read as labelled


# --- Neighbours ----------------------------------------------------------------------------------


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """For each of ``points`` (N, ...) the nearest of ``others`` (M, ...): distances (N,), indices.

    Euclidean, over all but the first dimension.
    """
    others = others.flatten(1)
    found = [torch.cdist(part, others).min(dim=1) for part in points.flatten(1).split(PART)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def nearest_distances(points: Tensor, k: int = 1) -> Tensor:
    """How far each of ``points`` (N, ...) is from its k-th nearest *other* one: (N,).

    Small values mean that images repeat each other.
    """
    points = points.flatten(1)
    found = []
    for first in range(0, len(points), PART):
        distances = torch.cdist(points[first : first + PART], points)
        rows = torch.arange(len(distances), device=points.device)
        distances[rows, first + rows] = torch.inf  # not itself; but a twin counts
        # Ten times as fast as kthvalue here.
        found.append(distances.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(found)


# --- Distances between two sets of points --------------------------------------------------------


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The squared Frechet distance of two sets of features (N, F) and (M, F), taken as Gaussians.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the formula of FID (Heusel et al. 2017, Eq. 6),
    but on the digit classifier's features: its values compare with no Inception FID. At least 0,
    and 0 for equal sets; needs more images than features.
    """
    real, fake = _exact(real), _exact(fake)
    return _frechet(real.mean(0), torch.cov(real.T), fake.mean(0), torch.cov(fake.T))


def _exact(points: Tensor) -> Tensor:
    """In double precision, on the CPU, since not every accelerator has it."""
    return points.cpu().double()


def _frechet(mean: Tensor, cov: Tensor, other_mean: Tensor, other_cov: Tensor) -> float:
    apart = (mean - other_mean).square().sum()
    # The trace of a matrix's root is the sum of the roots of its eigenvalues, here real and >= 0.
    roots = torch.linalg.eigvals(cov @ other_cov).real.clamp(min=0).sqrt().sum()
    return max(0.0, float(apart + cov.trace() + other_cov.trace() - 2 * roots))


def frechet_at_shares(real: Tensor, fake: Tensor, real_read: Tensor, fake_read: Tensor) -> float:
    """The Frechet distance with ``fake`` weighted to the digits' shares in ``real``.

    ``real_read`` (N,) and ``fake_read`` (M,): the digit that each image was read as. An image of a
    digit that fills twice its share counts half, and so on: what is left of the distance is how
    the digits look, not how many there are of each. A digit never drawn cannot be weighted.
    """
    shares = [
        torch.bincount(read, minlength=10).double() / len(read) for read in (real_read, fake_read)
    ]
    weights = (shares[0] / shares[1].clamp(min=1e-12))[fake_read]
    weights = weights / weights.sum()
    real, fake = _exact(real), _exact(fake)
    mean = weights @ fake
    around = fake - mean
    cov = (weights * around.T) @ around / (1 - weights.square().sum())
    return _frechet(real.mean(0), torch.cov(real.T), mean, cov)


def prdc(real: Tensor, fake: Tensor, k: int = K, radii: Tensor | None = None) -> dict[str, float]:
    """Precision, recall, density and coverage of ``fake`` (M, F) against ``real`` (N, F).

    A ball around each point reaches to its k-th neighbour in its own set. ``precision``: the share
    of fakes inside a real ball; ``recall``: the share of reals inside a fake ball (Kynkaanniemi et
    al. 2019, Eq. 1-2). ``density``: in how many real balls a fake lies, over k; ``coverage``: the
    share of real balls that hold a fake (Naeem et al. 2020, Eq. 3-4). All are at least 0, and at
    most 1 but for density. ``radii`` (N,): the real balls', if known already.
    """
    radii = nearest_distances(real, k) if radii is None else radii
    fake_radii = nearest_distances(fake, k)
    # In how many real balls each fake lies.
    inside = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    recalled = covered = 0
    for first in range(0, len(real), PART):
        distances = torch.cdist(real[first : first + PART], fake)
        in_ball = distances <= radii[first : first + PART, None]
        inside += in_ball.sum(dim=0)
        covered += int(in_ball.any(dim=1).sum())
        recalled += int((distances <= fake_radii).any(dim=1).sum())
    return {
        "precision": float((inside > 0).float().mean()),
        "recall": recalled / len(real),
        "density": float(inside.float().mean()) / k,
        "coverage": covered / len(real),
    }


def copied_share(to_train: Tensor, to_held_out: Tensor) -> float:
    """The share of images that look copied from the training split.

    An image counts if its nearest training image is less than half as far as its nearest held-out
    one; both (N,). A generator that learned digits is about as near to the one as to the other.
    """
    return float((to_train < COPIED * to_held_out).float().mean())


# --- Pixels --------------------------------------------------------------------------------------


def specks(images: Tensor) -> float:
    """How many specks an image has, on average: of ``images`` (N, C, H, W) in [-1, 1].

    A speck is a pixel that outshines all its eight neighbours by more than SPECK. A pen's stroke
    hardly ever does; and a classifier, which reads the strokes, hardly notices.
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), value=-1.0)
    around = [place for place in product(range(3), repeat=2) if place != (1, 1)]
    brightest = reduce(
        torch.maximum, (padded[..., i : i + height, j : j + width] for i, j in around)
    )
    return int((images - brightest > SPECK).sum()) / len(images)


# --- Classes -------------------------------------------------------------------------------------


def confusion(requested: Tensor, recognised: Tensor) -> Tensor:
    """Counts (10, 10): row for the digit asked for, column for the digit that it was read as."""
    return torch.bincount(requested * 10 + recognised, minlength=100).view(10, 10)


def class_kl(counts: Tensor) -> float:
    """The Kullback-Leibler divergence of class counts (10,) from ten equal ones, in nats.

    0 for balanced classes, ln 10 = 2.30 if all images are of one.
    """
    shares = counts.double() / counts.sum()
    return float(torch.special.xlogy(shares, shares * len(counts)).sum())


# --- All of it -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """Real images as the classifier sees them: what generated ones are held against.

    The images and all about them are on the classifier's device, but ``test_read``, on the CPU.
    """

    classifier: Classifier
    train: DigitImages
    test: DigitImages
    train_features: Tensor  # (N, 128)
    test_features: Tensor
    radii: Tensor  # of the test features' balls
    test_read: Tensor  # the digits that the test images are read as (N,)

    def spaces(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Where copies are looked for: points of the training images, and of the test images."""
        return {
            "pixels": (self.train.images, self.test.images),
            "features": (self.train_features, self.test_features),
        }


def reference(
    train: DigitImages, test: DigitImages, classifier: Classifier | None = None, device: str = "cpu"
) -> Reference:
    """A Reference from both splits of a data set, at the image size of what will be measured.

    The shipped classifier, trained on MNIST, judges on ``device``, unless another is given, which
    judges where it is. Warns if the judge misreads more than a fifth of the test images.
    """
    classifier = classifier or load_classifier(choose_device(device))
    place = next(classifier.parameters()).device
    train, test = train.to(place), test.to(place)
    train_features, _ = read_digits(classifier, train.images)
    test_features, test_scores = read_digits(classifier, test.images)
    test_read = test_scores.argmax(1).cpu()
    share = float((test_read == test.labels.cpu()).float().mean())
    if share < READ:
        warnings.warn(
            f"the judge reads only {share:.0%} of the test images of {test.name} as labelled (it "
            f"knows {TRAINED_ON}): what it says of images like them means little",
            stacklevel=2,
        )
    with fast_float32_products():
        radii = nearest_distances(test_features, K)
    return Reference(classifier, train, test, train_features, test_features, radii, test_read)


def measure(
    images: Tensor, labels: Tensor | None, against: Reference, copies: bool = True
) -> dict[str, object]:
    """Every measure of generated ``images`` (N, 1, H, W) in [-1, 1], as plain numbers.

    ``labels`` (N,): the digits asked for, or None if none were; then ``accuracy`` and
    ``confusion`` are None. ``copies`` looks for copied training images too, which takes longest.
    Both may be on any device.
    """
    images = images.to(against.test_features.device)
    features, scores = read_digits(against.classifier, images)
    recognised = scores.argmax(dim=1).cpu()
    counts = torch.bincount(recognised, minlength=10)
    table = None if labels is None else confusion(labels.cpu(), recognised)
    with fast_float32_products():
        found = {
            "n_images": len(images),
            "accuracy": None if table is None else float(table.trace() / table.sum()),
            "class_kl": class_kl(counts),
            "classes": int((counts >= FOUND * len(images)).sum()),
            "class_counts": counts.tolist(),
            "confusion": None if table is None else table.tolist(),
            "frechet": frechet_distance(against.test_features, features),
            "frechet_at_shares": frechet_at_shares(
                against.test_features, features, against.test_read, recognised
            ),
            **prdc(against.test_features, features, radii=against.radii),
            "specks": specks(images),
        }
        if copies:
            for (name, known), made in zip(against.spaces().items(), (images, features)):
                to_train, to_test = (nearest(made[:N_COPIES], real)[0] for real in known)
                found[f"memorised_{name}"] = copied_share(to_train, to_test)
    return found


def floor(against: Reference, n_images: int = N_IMAGES, copies: bool = True) -> dict[str, object]:
    """What real images score: the best that a generator can hope for.

    The first ``n_images`` training images are measured as if they were generated. Copies are
    counted for the test images instead, each against the other test images.
    """
    found = measure(
        against.train.images[:n_images], against.train.labels[:n_images], against, copies=False
    )
    if copies:
        with fast_float32_products():
            for name, (train, test) in against.spaces().items():
                to_train, _ = nearest(test[:N_COPIES], train)
                to_others = nearest_distances(test)[:N_COPIES]
                found[f"memorised_{name}"] = copied_share(to_train, to_others)
    return found
