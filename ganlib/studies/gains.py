"""What the experiment of chapter 5 says: each change's effect, as numbers with intervals.

Effects are differences between runs of the same seed, read with the measures and intervals of
chapter 4 (:mod:`ganlib.studies.analysis`).
"""

from dataclasses import replace

import torch

from ganlib.configuration import TrainingConfig
from ganlib.families import build, n_parameters
from ganlib.studies.analysis import (
    ACCURACY,
    COVERAGE,
    FRECHET,
    RECALL,
    Estimate,
    Measure,
    estimate,
    last_epoch,
    paired,
)
from ganlib.studies.experiment import read_results
from ganlib.studies.improvements import LARGER_START, MODELS, PROJECTION, RESULTS, SPECTRAL, models

LAYERS = "fully connected", "convolutional"
LABEL = "input", "CBN"


def _worst_digit(run: dict, epoch: int) -> float | None:
    asked = run["metrics"][str(epoch)]["confusion"]
    return None if asked is None else min(row[digit] / sum(row) for digit, row in enumerate(asked))


def _points(run: dict, epoch: int) -> float | None:
    share = ACCURACY(run, epoch)
    return None if share is None else 100 * share


def _seconds(run: dict, _epoch: int) -> float:
    return run["seconds"] / len(run["epoch_means"]["g_loss"])


DISTANCE = replace(FRECHET, form="{:.2f}")  # below 1, the second decimal counts
WORST_DIGIT = Measure("worst", "worst digit", "{:.1%}", 0.02, of=_worst_digit)
SECONDS = Measure("seconds", "seconds an epoch", "{:.0f}", 1.1, ratio=True, of=_seconds)
JUDGED = (DISTANCE, ACCURACY, COVERAGE, RECALL)
# As differences are shown: of two shares in per cent, points.
POINTS = Measure("points", "drawn as asked, points", "{:.1f}", 2, of=_points)
COMPARED = (DISTANCE, POINTS, COVERAGE, RECALL)


def load(path=None) -> dict:
    """Chapter 5's results, see ganlib.studies.experiment.read_results."""
    return read_results(path or RESULTS, "python -m ganlib experiment --chapter 5")


def runs_of(results: dict, model: str) -> list[dict]:
    """A model's runs, by seed."""
    mine = (run for run in results["runs"] if run["model"] == model)
    return sorted(mine, key=lambda run: run["seed"])


def by_seed(results: dict, model: str, measure: Measure, epoch: int) -> dict[int, float]:
    """The measure of each seed's run of a model."""
    found = {run["seed"]: measure(run, epoch) for run in runs_of(results, model)}
    return {seed: value for seed, value in found.items() if value is not None}


def parameters(model: str) -> tuple[int, int]:
    """How many numbers G and D of a model learn."""
    with torch.device("meta"):  # shapes alone: no memory, and no random numbers drawn
        generator, discriminator = build(TrainingConfig(model=model)).values()
    return n_parameters(generator), n_parameters(discriminator)


# --- Effects -------------------------------------------------------------------------------------


def change(results: dict, before: str, after: str, measure: Measure, epoch: int) -> Estimate:
    """What one model in place of another does to a measure: mean and interval over seeds."""
    pair = (by_seed(results, model, measure, epoch) for model in (before, after))
    return estimate(paired(*pair, measure).values(), measure.ratio)


def label_effects(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """CBN in place of the label in G's input, with either kind of layers."""
    return {
        layers: change(results, *(MODELS[layers, label] for label in LABEL), measure, epoch)
        for layers in LAYERS
    }


def layer_effects(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """Convolution in place of fully connected layers, with the label in either place."""
    names = {"input": "label in the input", "CBN": "CBN"}
    return {
        names[label]: change(results, *(MODELS[layers, label] for layers in LAYERS), measure, epoch)
        for label in LABEL
    }


def average_effect(results: dict, model: str, measure: Measure) -> Estimate:
    """The average of G's weights in place of the latest ones, at the end of the same runs."""
    last = last_epoch(results)
    runs = runs_of(results, model)
    unaveraged = [run | {"metrics": {str(last): run["latest"]}} for run in runs]
    pair = (by_seed({"runs": either}, model, measure, last) for either in (unaveraged, runs))
    return estimate(paired(*pair, measure).values(), measure.ratio)


def changes(results: dict, measure: Measure) -> dict[str, Estimate]:
    """The effect of every change of the chapter's networks, in words, at the end of the runs."""
    last = last_epoch(results)
    cbn = label_effects(results, measure, last)
    convolution = layer_effects(results, measure, last)
    found = {f"CBN ({where})": one for where, one in cbn.items()}
    found |= {f"convolution ({where})": one for where, one in convolution.items()}
    for name, before, after in (
        ("both", "cgan", "cbn-dcgan"),
        ("PyTorch's start (c-dcgan)", "c-dcgan", LARGER_START),
        ("projection (cbn-dcgan)", "cbn-dcgan", PROJECTION),
        ("spectral norm for dropout (projection)", PROJECTION, SPECTRAL),
    ):
        found[name] = change(results, before, after, measure, last)
    return found


def averages(results: dict, measure: Measure) -> dict[str, Estimate]:
    """What the average of G's weights, in place of the latest, does to each model."""
    return {model: average_effect(results, model, measure) for model in models()}
