"""The judge: a small convolutional network that reads digits.

It is trained on MNIST's training split alone and ships with the package. Its answers say which
digit an image shows, and the 128 numbers behind them, its *features*, say how two images differ to
a reader of digits, which pixels tell badly.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ganlib import RunError
from ganlib.configuration import choose_device
from ganlib.data import DigitImages, batches, resize
from ganlib.models.augmentation import jitter
from ganlib.precision import fast_float32_products
from ganlib.runs import files
from ganlib.runs.checkpoint import on_cpu
from ganlib.runs.store import RECORDED

TRAINED_ON = "mnist"  # other digits, scikit-learn's for one, fill their frame: it misreads them
SHIPPED = RECORDED / "classifier.safetensors"
SIZE = 32  # pixels a side; other images are resized
N_FEATURES = 128
BATCH = 128  # images of a training step


class Classifier(nn.Module):
    """Images (N, 1, 32, 32) in [-1, 1] to ten raw scores each, (N, 10)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 64)):
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in zip((1, *widths), widths):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)]
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        side = SIZE // 2 ** len(widths)
        layers += [nn.Flatten(), nn.Linear(widths[-1] * side**2, N_FEATURES), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.scores = nn.Linear(N_FEATURES, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.features(images))


@torch.no_grad()
def read_digits(classifier: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    """The classifier's features (N, 128) and raw scores (N, 10) of images (N, 1, H, W)."""
    device = next(classifier.parameters()).device
    parts = []
    with fast_float32_products():
        for part in images.split(1000):  # in parts, to bound the memory of the layers between
            part = part.to(device)
            if part.shape[-1] != SIZE:
                part = resize(part, SIZE)
            parts.append(classifier.features(part))
        features = torch.cat(parts)
        return features, classifier.scores(features)


def accuracy(classifier: Classifier, digits: DigitImages) -> float:
    """The share of ``digits`` that the classifier reads as labelled."""
    _, scores = read_digits(classifier, digits.images)
    return float((scores.argmax(dim=1) == digits.labels.to(scores.device)).float().mean())


# --- Training ------------------------------------------------------------------------------------


def train_classifier(
    digits: DigitImages, n_epochs: int = 12, seed: int = 0, device: str = "auto", on_batch=None
) -> Classifier:
    """A classifier trained on ``digits`` (32x32), in evaluation mode.

    Adam under a one-cycle learning rate (Smith and Topin 2018), in batches of BATCH. The same seed
    gives the same classifier on the same machine.
    """
    digits = digits.to(choose_device(device))
    rng = torch.Generator(digits.images.device).manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone, which is given back
        classifier = Classifier().to(digits.images.device)
    n_steps = n_epochs * math.ceil(len(digits) / BATCH)
    optimizer = torch.optim.Adam(classifier.parameters(), weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=n_steps)
    for _ in range(n_epochs):
        classifier.train()
        with fast_float32_products():
            for index in batches(len(digits), BATCH, rng):
                scores = classifier(jitter(digits.images[index], rng))
                loss = F.cross_entropy(scores, digits.labels[index], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                if on_batch is not None:
                    on_batch()
    return classifier.eval()


# --- On disk -------------------------------------------------------------------------------------


def save_classifier(classifier: Classifier, path: Path | None = None) -> None:
    """Write the classifier to ``path`` (default: where it ships), whole or not at all."""
    files.write_whole(path or SHIPPED, to_bytes(on_cpu(classifier.state_dict())))


def load_classifier(device: str | torch.device = "cpu", path: Path | None = None) -> Classifier:
    """The trained classifier, in evaluation mode. Raises RunError if its file is not usable."""
    classifier, path = Classifier(), path or SHIPPED
    content = _content(path)
    try:
        classifier.load_state_dict(files.tensors_of(content, path))
    except RuntimeError as error:  # a RunError is one, too
        raise RunError(f"{path} is damaged: python -m ganlib record classifier") from error
    return classifier.to(device).eval()


def digest(path: Path | None = None) -> str:
    """The SHA-256 of the trained classifier's file. Raises RunError if there is none."""
    return files.digest(_content(path or SHIPPED))


def _content(path: Path) -> bytes:
    try:
        return files.read_whole(path)
    except RunError as error:
        raise RunError(
            f"no usable classifier in {path}: python -m ganlib record classifier trains it"
        ) from error
