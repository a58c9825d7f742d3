"""Digit images, all in memory: load, scale to [-1, 1], resize, and draw shuffled batches.

A data set of this size fits in memory whole (MNIST at 32x32 takes 0.25 GB), so it is read, resized
and moved to the device once. A batch is then one indexing operation, on the device, with no
loader processes in between.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib import Refused, sources
from ganlib.sources import FOLDER_VARIABLE, SPLITS, DataUnavailable, check_fit, data_folders

__all__ = ["FOLDER_VARIABLE", "SPLITS", "DataUnavailable", "data_folders"]  # of sources, found here


class DataSet(NamedTuple):
    """What is known of a data set. A new one, a folder of images for one, is a line in DATASETS.

    ``read``: a split's name to pixels in [0, 255], (N, H, H) or (N, channels, H, H), and labels
    (N,), whole numbers that count ``class_names``; DataUnavailable if they cannot be had.
    """

    title: str
    class_names: tuple[str, ...]
    read: Callable[[str], tuple[Tensor, Tensor]]
    channels: int = 1


def _sklearn_digits(split: str) -> tuple[Tensor, Tensor]:
    """scikit-learn's 1,797 8x8 digits: 1,497 to train and 300 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(
        digits.images, digits.target, test_size=300, stratify=digits.target, random_state=0
    )
    images, labels = (parts[0], parts[2]) if split == "train" else (parts[1], parts[3])
    return torch.from_numpy(images * (255 / 16)), torch.from_numpy(labels)


def _of_mnists_kind(name: str, title: str, *class_names: str) -> DataSet:
    return DataSet(title, class_names, partial(sources.read, name, title))


_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat")
_CLOTHES += ("sandal", "shirt", "sneaker", "bag", "ankle boot")
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
DATASETS = {
    "mnist": _of_mnists_kind("mnist", "MNIST", *"0123456789"),
    "fashion-mnist": _of_mnists_kind("fashion-mnist", "Fashion-MNIST", *_CLOTHES),
    "kmnist": _of_mnists_kind("kmnist", "Kuzushiji-MNIST", *_KANA),
    "digits": DataSet("scikit-learn's digits", tuple("0123456789"), _sklearn_digits),
}
STAND_IN = "digits"  # always here


@dataclass(frozen=True, repr=False)
class DigitImages:
    """One split of a data set, in memory on one device.

    ``images``: (N, channels, H, H) float32 in [-1, 1]; ``labels``: (N,) int64, which count the
    data set's classes. ``replaces``: the title of the data set that was asked for and could not
    be had, else "".

    Raises Refused if the images are not square, of as many channels and in that range, or the
    labels not theirs.
    """

    images: Tensor
    labels: Tensor
    name: str
    split: str
    replaces: str = ""

    def __post_init__(self):
        known = DATASETS[self.name]
        check_fit(self.images, self.labels, known.channels, len(known.class_names))
        object.__setattr__(self, "labels", self.labels.long())
        if not self.images.is_meta:
            low, high = (float(end) for end in self.images.aminmax())
            if not (self.images.is_floating_point() and -1 <= low <= high <= 1):  # nor NaN
                kind = f"{self.images.dtype} from {low:g} to {high:g}"
                raise Refused(f"the images are {kind}, where floats in [-1, 1] are expected")

    @property
    def title(self) -> str:
        return DATASETS[self.name].title

    @property
    def class_names(self) -> tuple[str, ...]:
        return DATASETS[self.name].class_names

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = " x ".join(str(n) for n in self.images.shape[2:])
        text = f"{self.title}, {self.split} split: {len(self):,} images of {size} pixels"
        if self.replaces:
            text += f" (a stand-in: {self.replaces} could not be loaded here)"
        return text

    def to(self, device: torch.device | str) -> "DigitImages":
        """The same images on another device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


def scale(pixels: Tensor) -> Tensor:
    """Pixel values in [0, 255] to float32 in [-1, 1]; 0 and 255 map to -1 and 1 exactly."""
    return pixels.float() / 127.5 - 1


def unscale(images: Tensor) -> Tensor:
    """The inverse of :func:`scale`: floats in [-1, 1] to uint8 in 0..255, rounded."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def resize(images: Tensor, img_size: int) -> Tensor:
    """Images (N, C, H, W) to (N, C, img_size, img_size), bilinear with antialiasing.

    Bilinear weights are positive and sum to 1, so values stay within [-1, 1].
    """
    if images.shape[-2:] == (img_size, img_size):
        return images
    size = (img_size, img_size)
    parts = [
        F.interpolate(part, size, mode="bilinear", antialias=True) for part in images.split(4096)
    ]
    return torch.cat(parts).clamp_(-1, 1)


def load(
    name: str = "mnist",
    split: str = "train",
    img_size: int = 32,
    device: torch.device | str = "cpu",
    size: int | None = None,
    fallback: bool = False,
) -> DigitImages:
    """One split of a data set as tensors on ``device``.

    ``img_size``: 28 leaves MNIST as it is, other sizes resize it. ``size``: only the first
    ``size`` images. ``fallback``: if either split cannot be had, return scikit-learn's digits,
    marked as the stand-in that they are, in place of raising; and if there are fewer images than
    ``size``, return all of them.

    Raises Refused for an unknown name or split or a size out of range, DataUnavailable if the
    data set is not here and cannot be downloaded.
    """
    if name not in DATASETS:
        raise Refused(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise Refused(f"unknown split {split!r}: choose train or test")
    if img_size < 4:
        raise Refused(f"img_size must be at least 4 pixels, not {img_size}")
    replaces = ""
    try:
        pixels, labels = DATASETS[name].read(split)
        if fallback:  # or one split would be this data set's and the other the stand-in's
            DATASETS[name].read("test" if split == "train" else "train")
    except DataUnavailable:
        if not fallback:
            raise
        replaces, name = DATASETS[name].title, STAND_IN
        pixels, labels = DATASETS[name].read(split)
    if size is not None:
        if size < 1:
            raise Refused(f"the number of images must be at least 1, not {size}")
        if size > len(pixels) and not fallback:
            raise Refused(f"{name} has {len(pixels):,} images in its {split} split, not {size:,}")
        pixels, labels = pixels[:size], labels[:size]
    pixels = pixels if pixels.ndim == 4 else pixels.unsqueeze(1)
    images = resize(scale(pixels), img_size)
    return DigitImages(images, labels, name, split, replaces).to(device)


def batches(n_images: int, batch_size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """The indices 0..n_images-1 in a fresh random order, ``batch_size`` at a time.

    Every image comes once; the last batch is smaller if ``batch_size`` does not divide
    ``n_images``. Indices are int64 on the device of ``rng``, which alone decides the order.
    """
    order = torch.randperm(n_images, generator=rng, device=rng.device)
    yield from order.split(batch_size)
