"""What section 4.2 proposes: conditional batch normalisation, convolution, and both.

Two factors make four cells: layers that are fully connected or convolutional, and a label that
enters G at its input or in its normalisations. All else is equal: Table 1, BCE, and an average of
G's weights that draws the samples. A few variants have one thing changed each.

All three runs of the C-DCGAN had collapsed, and none of the CBN-DCGAN's: by `analysis.RULE` the
four cells have a fourth seed. That it is the last was settled before it was trained.
"""

from pathlib import Path
from statistics import mean

import torch

from ganlib.configuration import TrainingConfig
from ganlib.families import build, n_parameters
from ganlib.studies.analysis import (
    Change,
    Estimate,
    average_effect,
    effect,
    select,
    values,
)
from ganlib.studies.claims import Claim
from ganlib.studies.engine import Cell
from ganlib.studies.measures import (
    ACCURACY,
    COPIED,
    COVERAGE,
    DISTANCE,
    FALLEN,
    LOOKS,
    POINTS,
    PRECISION,
    RECALL,
    SECONDS,
    SPECKS,
    Measure,
)
from ganlib.studies.study import Contrast, Count, Line, Study

EPOCHS = (1, 2, 5, 10)  # measured; the last ends the run
SEEDS = 3  # of a variant; the four cells have one more
EARLY = 5  # the epoch at which a claim about speed is judged
EMA = 0.999  # of G's weights: a run's last thousand iterations, about an epoch, count most
LAYERS = "fully connected", "convolutional"
LABEL = "input", "CBN"
COMPARED = (DISTANCE, POINTS, COVERAGE, RECALL)  # in tables of effects
# (layers, where the label enters G) -> model
MODELS = {
    ("fully connected", "input"): "cgan",
    ("fully connected", "CBN"): "cbn-cgan",
    ("convolutional", "input"): "c-dcgan",
    ("convolutional", "CBN"): "cbn-dcgan",
}
# Beside the four: the C-DCGAN with PyTorch's own start, and as it is usually built; the CBN-DCGAN
# with the label projected in D, and that with spectral normalisation in D in place of dropout, with
# both, and with neither.
LARGER_START = "c-dcgan-larger-start"
STANDARD = "c-dcgan-standard"
PROJECTION = "cbn-dcgan-projection"
SPECTRAL = "cbn-dcgan-spectral"
BOTH_REINS = "cbn-dcgan-spectral-dropout"
NO_REIN = "cbn-dcgan-plain-d"
ALL_MODELS = (
    *MODELS.values(),
    *(LARGER_START, PROJECTION, SPECTRAL, BOTH_REINS, NO_REIN, STANDARD),
)


def cells_of(seed: int) -> list[Cell]:
    """The four cells, and with the first seeds the variants."""
    return [
        Cell(
            f"{model}-seed{seed}",
            {"model": model, "seed": seed},
            TrainingConfig(model=model, loss="bce", n_epochs=EPOCHS[-1], seed=seed, ema=EMA),
            EPOCHS,
        )
        for model in ALL_MODELS
        if seed < SEEDS or model in MODELS.values()
    ]


def parameters(model: str) -> tuple[int, int]:
    """How many numbers G and D of a model learn."""
    with torch.device("meta"):  # shapes alone: no memory, and no random numbers drawn
        generator, discriminator = build(TrainingConfig(model=model)).values()
    return n_parameters(generator), n_parameters(discriminator)


# --- What changes from one model to another ------------------------------------------------------


def _change(before: str, after: str) -> Change:
    return Change({"model": before}, {"model": after})


CBN = {where: _change(MODELS[where, "input"], MODELS[where, "CBN"]) for where in LAYERS}
CONVOLUTION = {
    where: _change(MODELS[LAYERS[0], label], MODELS[LAYERS[1], label])
    for where, label in (("label in the input", "input"), ("CBN", "CBN"))
}
CHANGES = {
    **{f"CBN ({where})": change for where, change in CBN.items()},
    **{f"convolution ({where})": change for where, change in CONVOLUTION.items()},
    "both": _change("cgan", "cbn-dcgan"),
    "PyTorch's start (c-dcgan)": _change("c-dcgan", LARGER_START),
    "projection (cbn-dcgan)": _change("cbn-dcgan", PROJECTION),
    "spectral norm for dropout (projection)": _change(PROJECTION, SPECTRAL),
    "spectral norm (projection, dropout)": _change(PROJECTION, BOTH_REINS),
    "spectral norm (projection, no dropout)": _change(NO_REIN, SPECTRAL),
    "no dropout (projection)": _change(PROJECTION, NO_REIN),
    "no dropout (projection, spectral norm)": _change(BOTH_REINS, SPECTRAL),
    "the standard recipe (c-dcgan)": _change("c-dcgan", STANDARD),
}


def changes(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The effect of every change of the networks, in words."""
    return {name: effect(results, [one], measure, epoch) for name, one in CHANGES.items()}


def averages(results: dict, measure: Measure, _epoch: int) -> dict[str, Estimate]:
    """What the average of G's weights, in place of the latest, does to each model at the end."""
    return {model: average_effect(results, measure, model=model) for model in ALL_MODELS}


# --- What the claims are judged by ---------------------------------------------------------------


def _cbn(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    return {where: effect(results, [one], measure, epoch) for where, one in CBN.items()}


def _convolution(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    return {where: effect(results, [one], measure, epoch) for where, one in CONVOLUTION.items()}


def _where_copied(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The effect of convolution where fully connected runs look copied more than real images."""
    found = {}
    for where, change in CONVOLUTION.items():
        copied = values(select(results, **change.before), COPIED, epoch)
        if copied and mean(copied) > results["floor"][COPIED.key]:
            found[where] = effect(results, [change], measure, epoch)
    return found


def _fewer(_results: dict) -> tuple[str, str]:
    shown, fewer = [], []
    for change in CONVOLUTION.values():
        old, new = (levels["model"] for levels in change)
        many, few = parameters(old), parameters(new)
        shown.append(f"{new} {sum(few):,}, {old} {sum(many):,}")
        fewer.append(all(a < b for a, b in zip(few, many)))
    verdict = "holds" if all(fewer) else "holds in part" if any(fewer) else "does not hold"
    return f"{'; '.join(shown)}; by the widths chosen here.", verdict


CONTRASTS: dict[str, Contrast] = {
    "CBN": ("CBN for the label in G's input (Wang's networks are convolutional)", _cbn),
    "convolution": ("convolution for full connection", _convolution),
    "convolution, where copies are common": (
        "convolution for full connection, where copies are commoner than among real images",
        _where_copied),
}  # fmt: skip
COUNTS: dict[str, Count] = {
    "parameters": ("numbers that G and D learn, with the widths chosen here: less, in both",
                   _fewer),
}  # fmt: skip

_SOONER = {LOOKS: -1, COVERAGE: +1}

CLAIMS = (
    Claim("4.2 a", "CBN gives better images", "improves the quality of the generated images",
          "4.2", "CBN", _SOONER),
    Claim("4.2 b", "CBN gives more control", "can effectively improve such problems", "4.2",
          "CBN", {ACCURACY: +1}),
    Claim("4.2 c", "CBN is more stable", "enhances model stability", "4.2", "CBN", {FALLEN: -1}),
    Claim("4.2 d", "CBN converges sooner", "and convergence speed", "4.2",
          "CBN", _SOONER, EARLY, ways="time"),
    Claim("4.2 e", "convolutions give clearer digits",
          "to generate clearer and more detailed images", "4.2", "convolution",
          {PRECISION: +1, LOOKS: -1, SPECKS: -1}),
    Claim("4.2 f", "convolutions need fewer parameters", "lower the model's parameter count",
          "4.2", "parameters"),
    Claim("4.2 g", "convolutions overfit less", "reduce the risk of overfitting", "4.2",
          "convolution, where copies are common", {COPIED: -1}),
    Claim("4.2 h", "convolutions converge sooner", "accelerate the training convergence speed",
          "4.2", "convolution", _SOONER, EARLY, ways="time"),
    Claim("4.2 i", "convolutions are more stable", "further enhance the stability", "4.2",
          "convolution", {FALLEN: -1}),
)  # fmt: skip


def _timed(results: dict, _path: Path) -> dict:
    """The results, the first runs of the four cells marked as timed: these were trained together.

    Seconds of runs that were trained at other times, beside other work, compare with none.
    """
    runs = [run | {"timed": run["model"] in MODELS.values() and run["seed"] < SEEDS}
            for run in results["runs"]]  # fmt: skip
    return results | {"runs": runs}


def _title(layers: str, label: str) -> str:
    where = "the input" if label == "input" else label
    return f"{MODELS[layers, label]}: {layers}, label in {where}"


STUDY = Study(
    "improvements",
    "conditional batch normalisation, convolution, and both",
    "improvements",
    cells_of,
    join=_timed,
    measures=(DISTANCE, ACCURACY, COVERAGE, RECALL, PRECISION, SPECKS, SECONDS),
    gallery={
        layers: {_title(layers, label): MODELS[layers, label] for label in LABEL}
        for layers in LAYERS
    },
    lines={
        f"{layers}, {label}": Line({"model": model}, layers == LAYERS[1], label == "input")
        for (layers, label), model in MODELS.items()
    },
    claims=CLAIMS,
    contrasts=CONTRASTS,
    counts=COUNTS,
)
