"""What decides a run: its settings, checked when they are made, and its device."""

import re
import reprlib
from dataclasses import dataclass, field, fields

import torch

from ganlib import Refused
from ganlib.data import DATASETS
from ganlib.losses import LOSSES
from ganlib.precision import PRECISIONS

DEVICES = ("auto", "cpu", "cuda", "mps")


def setting(default, text: str, least: int | None = None, most: int | None = None, unset: str = ""):
    """A field of TrainingConfig with its help, which the command line shows.

    ``least`` and ``most`` bound a whole number. ``unset``: what the default means, in words, where
    it says too little by itself.
    """
    about = {"help": text, "least": least, "most": most, "unset": unset}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a run. The first nine fields are Table 1 of the paper, in its order.

    ``channels`` and ``n_classes`` are those of the data set, whether they are given or not. Raises
    Refused, naming the setting, for a value that cannot be.
    """

    n_epochs: int = setting(200, "passes over the training images", 1, 10**6)
    batch_size: int = setting(64, "images in a batch", 2, 10**6)
    lr: float = setting(0.0002, "Adam's learning rate")
    b1: float = setting(0.5, "Adam's decay of the first moment")
    b2: float = setting(0.999, "Adam's decay of the second moment")
    latent_dim: int = setting(100, "numbers in the noise z", 1, 10**4)
    img_size: int = setting(32, "pixels a side", 4, 256)
    channels: int | None = setting(None, "colour channels", unset="the data set's")
    sample_interval: int = 400  # as in Table 1; here sheets of samples are drawn by the epoch
    n_classes: int | None = setting(None, "classes of the data set", unset="the data set's")
    model: str = "gan"  # one of ganlib.families.MODELS
    loss: str = setting("bce", f"one of {', '.join(LOSSES)}")
    bn_eps: float = setting(1e-5, "added to the variance in batch normalisation")
    d_steps: int = setting(1, "discriminator steps for each generator step", 1, 10**3)
    seed: int = setting(0, "decides every random number", 0, 2**63 - 1)
    device: str = setting("auto", f"one of {', '.join(DEVICES)}")
    dataset: str = setting("mnist", f"one of {', '.join(DATASETS)}")
    train_size: int | None = setting(
        None, "train on the first so many images only", 2, 10**9, unset="all of them"
    )
    interval_samples: bool = False  # only read: earlier runs could keep samples by the iteration
    d_lr: float | None = setting(
        None, "the discriminator's own learning rate", unset="that of --lr"
    )
    ema: float = setting(
        0.0,
        "decay of an average of G's weights that draws the samples, such as 0.999",
        unset="0, no average",
    )
    precision: str = setting(
        "float32", f"of the networks' products, one of {', '.join(PRECISIONS)}"
    )
    n_labels: int | None = setting(
        None,
        "of a semi-supervised model: labels that it may read, balanced",
        10,
        10**6,
        unset="100 for those models",
    )

    def __post_init__(self):
        for name, known in (("loss", LOSSES), ("dataset", DATASETS), ("precision", PRECISIONS)):
            self._require(name, getattr(self, name) in list(known), f"one of {', '.join(known)}")
        for each in fields(self):
            left_open = each.default is None and getattr(self, each.name) is None
            if each.metadata.get("most") and not left_open:
                self._require_whole(each.name, each.metadata["least"], each.metadata["most"])
        self._require_whole("sample_interval", 1, 10**9)
        rates = ("lr",) if self.d_lr is None else ("lr", "d_lr")
        for name in (*rates, "b1", "b2", "bn_eps", "ema"):
            self._require(name, type(getattr(self, name)) in (int, float), "a number")
        self._require("interval_samples", type(self.interval_samples) is bool, "True or False")
        for name in rates:  # NaN fails every comparison
            self._require(name, 0 < getattr(self, name) <= 1, "above 0 and at most 1")
        for name in ("b1", "b2", "ema"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._require("bn_eps", 0 < self.bn_eps <= 1e6, "above 0 and at most 1,000,000")
        shown = DATASETS[self.dataset]
        for name, due in (("channels", shown.channels), ("n_classes", len(shown.class_names))):
            found = getattr(self, name)
            fits = found is None or type(found) is int and found == due
            self._require(name, fits, f"{due}, as {shown.title} has")
            object.__setattr__(self, name, due)
        named = re.fullmatch(r"auto|(cpu|cuda|mps)(:\d{1,3})?", str(self.device))
        self._require("device", bool(named), f"one of {', '.join(DEVICES)}")

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        require(name, holds, wanted, getattr(self, name))

    def _require_whole(self, name: str, least: int, most: int) -> None:
        value = getattr(self, name)
        self._require(name, type(value) is int, "a whole number")  # and not True or False
        self._require(name, value >= least, f"at least {least}")
        self._require(name, value <= most, f"at most {most:,}")


def require(name: str, holds: bool, wanted: str, found: object) -> None:
    """Raises Refused, in one line of bounded length, unless ``holds``."""
    if not holds:
        raise Refused(f"{name} must be {wanted}, not {reprlib.repr(found)}")


def config_fields() -> dict[str, object]:
    """Every field of TrainingConfig with its default, in order."""
    return dict(vars(TrainingConfig()))


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
