"""The experiment of chapter 5: what do conditional batch normalisation and convolution each change?

Two factors of section 4.2 make four cells: layers that are fully connected or convolutional, and a
label that enters G at its input or in its normalisations. All else is equal: Table 1, BCE, and an
average of G's weights that draws the samples. Cells are trained, measured and kept as those of
chapter 4 are (:mod:`ganlib.studies.experiment`), in ``improvements.json``.
"""

from dataclasses import dataclass

from ganlib import Refused
from ganlib.configuration import TrainingConfig
from ganlib.runs.store import RECORDED

RESULTS = RECORDED / "improvements.json"
EPOCHS = (1, 2, 5, 10)  # measured; the last ends the run
EMA = 0.999  # of G's weights: a run's last thousand iterations, about an epoch, count most
# (layers, where the label enters G) -> model
MODELS = {
    ("fully connected", "input"): "cgan",
    ("fully connected", "CBN"): "cbn-cgan",
    ("convolutional", "input"): "c-dcgan",
    ("convolutional", "CBN"): "cbn-dcgan",
}
# Beside the four, each with one thing changed: the C-DCGAN with PyTorch's own start; the CBN-DCGAN
# with the label projected in D; and that with spectral normalisation in D in place of dropout.
LARGER_START = "c-dcgan-larger-start"
PROJECTION = "cbn-dcgan-projection"
SPECTRAL = "cbn-dcgan-spectral"
VARIANTS = LARGER_START, PROJECTION, SPECTRAL


@dataclass(frozen=True)
class Arm:
    """One run of the experiment: a model and a seed."""

    model: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.model}-seed{self.seed}"

    @property
    def epochs(self) -> tuple[int, ...]:
        return EPOCHS

    def config(self, **changes) -> TrainingConfig:
        """The run's configuration: Table 1's with BCE and the average, but for ``changes``."""
        chosen = {"model": self.model, "seed": self.seed, "loss": "bce", "ema": EMA}
        return TrainingConfig(**{"n_epochs": self.epochs[-1]} | chosen | changes)


def models() -> tuple[str, ...]:
    """The models of the four cells, then the variants."""
    return *MODELS.values(), *VARIANTS


def arms(n_seeds: int = 3) -> list[Arm]:
    """The four cells and the variants, seed by seed. Raises Refused if there are no seeds."""
    if n_seeds < 1:
        raise Refused(f"the number of seeds must be at least 1, not {n_seeds}")
    return [Arm(model, seed) for seed in range(n_seeds) for model in models()]
