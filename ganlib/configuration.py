"""What decides a run: its settings, checked when they are made, and its device."""

import re
import reprlib
from dataclasses import dataclass, fields

import torch

from ganlib import Refused
from ganlib.data import DATASETS
from ganlib.losses import LOSSES

DEVICES = ("auto", "cpu", "cuda", "mps")
# Smallest and largest value of each field that counts something.
WHOLE_NUMBERS = {
    "n_epochs": (1, 10**6),
    "batch_size": (2, 10**6),
    "latent_dim": (1, 10**4),
    "img_size": (4, 256),
    "sample_interval": (1, 10**9),
    "d_steps": (1, 10**3),
    "train_size": (2, 10**9),
    "seed": (0, 2**63 - 1),
    "n_labels": (10, 10**6),
}


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a run. The first nine fields are Table 1 of the paper, in its order."""

    n_epochs: int = 200  # passes over the training images
    batch_size: int = 64
    lr: float = 0.0002  # Adam's learning rate
    b1: float = 0.5  # Adam's decay of the first moment
    b2: float = 0.999  # and of the second
    latent_dim: int = 100  # numbers in z
    img_size: int = 32  # pixels a side
    channels: int = 1
    sample_interval: int = 400  # iterations between sample images, if interval_samples
    n_classes: int = 10
    model: str = "gan"  # one of ganlib.families.MODELS
    loss: str = "bce"
    bn_eps: float = 1e-5  # added to the variance in batch normalisation
    d_steps: int = 1  # discriminator steps for each generator step
    seed: int = 0
    device: str = "auto"
    dataset: str = "mnist"
    train_size: int | None = None  # train on the first so many images; None: all
    interval_samples: bool = False  # also keep samples every sample_interval iterations
    d_lr: float | None = None  # the discriminator's learning rate; None: lr, as for the generator
    ema: float = 0.0  # decay of the running average of G's weights that draws samples; 0: none
    n_labels: int | None = (
        None  # that the training may read, as many of each class; None: see model
    )

    def __post_init__(self):
        for name, (least, most) in WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if name in ("train_size", "n_labels") and value is None:
                continue
            self._require(name, type(value) is int, "a whole number")  # and not True or False
            self._require(name, value >= least, f"at least {least}")
            self._require(name, value <= most, f"at most {most:,}")
        rates = ("lr",) if self.d_lr is None else ("lr", "d_lr")
        for name in (*rates, "b1", "b2", "bn_eps", "ema"):
            self._require(name, type(getattr(self, name)) in (int, float), "a number")
        self._require("interval_samples", type(self.interval_samples) is bool, "True or False")
        for name in rates:  # NaN fails every comparison
            self._require(name, 0 < getattr(self, name) <= 1, "above 0 and at most 1")
        for name in ("b1", "b2", "ema"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        for name, only, why in (
            ("channels", 1, "the images are grey"),
            ("n_classes", 10, "every data set here has ten classes"),
        ):
            value = getattr(self, name)
            self._require(name, type(value) is int and value == only, f"{only}: {why}")
        self._require("bn_eps", 0 < self.bn_eps <= 1e6, "above 0 and at most 1,000,000")
        for name, known in (("loss", LOSSES), ("dataset", DATASETS)):
            self._require(name, getattr(self, name) in list(known), f"one of {', '.join(known)}")
        named = re.fullmatch(r"auto|(cpu|cuda|mps)(:\d{1,3})?", str(self.device))
        self._require("device", bool(named), f"one of {', '.join(DEVICES)}")

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        require(name, holds, wanted, getattr(self, name))


def require(name: str, holds: bool, wanted: str, found: object) -> None:
    """Raises Refused, in one line of bounded length, unless ``holds``."""
    if not holds:
        raise Refused(f"{name} must be {wanted}, not {reprlib.repr(found)}")


def config_fields() -> dict[str, object]:
    """Every field of TrainingConfig with its default, in order."""
    return {field.name: field.default for field in fields(TrainingConfig)}


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is CUDA if there is one, else MPS, else the CPU.

    Raises Refused if the device is unknown or this machine has none.
    """
    here = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, present in here.items() if present))
    named = re.fullmatch(r"(cpu|cuda|mps)(?::([0-9]{1,3}))?", name)
    if not named:
        raise Refused(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    kind, index = named[1], int(named[2] or 0)
    if not here[kind]:
        raise Refused(f"this machine has no {kind} device: use --device auto or cpu")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if index >= count:
        raise Refused(f"there is no {name}: this machine's last one is {kind}:{count - 1}")
    return torch.device(kind, index) if named[2] else torch.device(kind)
