"""What the paper's claims are judged by: effects in several settings, under one rule or several.

Each of CONTRASTS compares two kinds of runs in every setting that has them; each of WAYS looks at
the same runs by another rule, of logging or of time.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mean, median
from typing import NamedTuple

import numpy as np

from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import analysis, gains
from ganlib.studies.analysis import COPIED, FACTORS, Estimate, Measure, estimate
from ganlib.studies.improvements import MODELS

COLLAPSED = 0.25  # of the real images' coverage; below it, or short of a digit, a run collapsed
ASIDE = "~"  # an effect whose name begins with it is shown, and has no vote
AVERAGE = f"{ASIDE}on average"  # over settings


class Evidence(NamedTuple):
    """All results: of chapter 4, of chapter 5, and of 200 epochs by cell (see endurance)."""

    grid: dict
    improved: dict
    long: dict[str, dict]


def collapsed(run: dict, results: dict) -> bool:
    """Whether a run's last images lack a digit, or cover less than a quarter of what real ones do.

    A digit is there from 1 % of the images on.
    """
    last = run["metrics"][str(results["protocol"]["n_epochs"])]
    bar = COLLAPSED * results["floor"]["coverage"]
    return last["classes"] < 10 or last["coverage"] < bar


def grid_runs(results: dict, **levels) -> list[dict]:
    """Chapter 4's runs with these levels; their own discriminator unless named otherwise."""
    wanted = {"discriminator": "own"} | levels
    return [r for r in results["runs"] if all(r[key] == value for key, value in wanted.items())]


# --- What is compared: effects by setting ---------------------------------------------------------


def _factor(factor: str) -> Callable:
    def found(evidence: Evidence, measure: Measure, epoch: int) -> dict[str, Estimate]:
        average = {AVERAGE: analysis.effect(evidence.grid, factor, measure, epoch)}
        return average | analysis.simple_effects(evidence.grid, factor, measure, epoch)

    return found


def _alone(evidence: Evidence, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The label with one discriminator on both sides; without a vote."""
    alone = analysis.label_alone(evidence.grid, measure, epoch)
    return {f"{ASIDE}label alone at {name}": one for name, one in alone.items()}


def _label_and_alone(evidence: Evidence, measure: Measure, epoch: int) -> dict[str, Estimate]:
    whole = _factor("conditioning")(evidence, measure, epoch)
    return whole | _alone(evidence, measure, epoch)


_AFTER = {"mse": "MSE", "least-squares": "least squares", "label": "CGAN"}


def _where_it_collapsed(
    evidence: Evidence, factor: str, levels: Sequence[str], measure: Measure, epoch: int
) -> dict[str, Estimate]:
    """A factor's effect in the settings in which a run at its first level collapsed."""
    grid, found = evidence.grid, {}
    effects = analysis.simple_effects(grid, factor, measure, epoch, levels)
    for setting in analysis.settings(factor):
        before, after = (grid_runs(grid, **setting, **{factor: level}) for level in levels)
        if any(collapsed(run, grid) for run in before):
            n = sum(collapsed(run, grid) for run in after)
            where = analysis.in_words(setting)
            name = f"{_AFTER[levels[1]]} at {where}, {n} of {len(after)} collapsed"
            found[name] = effects.get(where, estimate([]))
    return found


def _loss_where_bce_collapsed(evidence: Evidence, measure: Measure, epoch: int):
    """Both readings of MSE have a vote: on the probability, as written, and on the raw score."""
    found = {}
    for loss in ("mse", "least-squares"):
        found |= _where_it_collapsed(evidence, "loss", ("bce", loss), measure, epoch)
    return found


def _label_where_collapsed(evidence: Evidence, measure: Measure, epoch: int):
    levels = FACTORS["conditioning"]
    found = _where_it_collapsed(evidence, "conditioning", levels, measure, epoch)
    return found | _alone(evidence, measure, epoch)


def _both_losses(evidence: Evidence, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """A ratio of the two losses within each run, in each cell of BCE and MSE."""
    found = {}
    for label in analysis.settings("bn_eps"):
        for setting in (label | {"bn_eps": eps} for eps in FACTORS["bn_eps"]):
            values = analysis.by_seed(evidence.grid, measure, epoch, **setting).values()
            found[analysis.in_words(setting)] = estimate(map(np.log, values), ratio=True)
    return {name: one for name, one in found.items() if one.n}


def _against_real(evidence: Evidence, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """What the GAN's images measure, less what real ones do."""
    found = {}
    for cell in ("gan", "gan-eps0.8"):
        long = evidence.long[cell]
        values = [measure(run, epoch) for run in long["runs"]]
        found[cell] = estimate(value - long["floor"][measure.key] for value in values)
    return found


def _convolution_where_copied(evidence: Evidence, measure: Measure, epoch: int):
    """The effect of convolution where fully connected runs look copied more than real images."""
    effects, found = gains.layer_effects(evidence.improved, measure, epoch), {}
    for label, (name, effect) in zip(gains.LABEL, effects.items()):
        model = MODELS[gains.LAYERS[0], label]
        copied = gains.by_seed(evidence.improved, model, COPIED, epoch).values()
        if copied and mean(copied) > evidence.improved["floor"][COPIED.key]:
            found[name] = effect
    return found


_Effects = Callable[[Evidence, Measure, int], dict[str, Estimate]]
# By name: what is compared, in words, and its effects.
CONTRASTS: dict[str, tuple[str, _Effects]] = {
    "label": ("CGAN for GAN at the same loss", _factor("conditioning")),
    "label, and alone": ("CGAN for GAN at the same loss", _label_and_alone),
    "label, where unlabelled runs collapsed": (
        "CGAN for GAN at the same loss, where an unlabelled run collapsed", _label_where_collapsed),
    "loss": ("MSE for BCE", _factor("loss")),
    "loss, where BCE collapsed": (
        "MSE, and least squares, for BCE, where a BCE run collapsed", _loss_where_bce_collapsed),
    "both losses of a run": ("L_G beside L_D, within each run", _both_losses),
    "GAN's images for real ones": ("the GAN's images, for real ones", _against_real),
    "CBN": (
        "CBN for the label in G's input (Wang's networks are convolutional)",
        lambda e, m, at: gains.label_effects(e.improved, m, at)),
    "convolution": (
        "convolution for full connection", lambda e, m, at: gains.layer_effects(e.improved, m, at)),
    "convolution, where copies are common": (
        "convolution for full connection, where copies are commoner than among real images",
        _convolution_where_copied),
}  # fmt: skip
CHAPTER_5 = ("CBN", "convolution", "convolution, where copies are common")


# --- By which rules: of logging, and of time -----------------------------------------------------

Way = Callable[[str, Evidence, Measure], tuple[Evidence, Measure]]  # the first: a contrast's name


def _as_it_is(_contrast: str, evidence: Evidence, measure: Measure) -> tuple[Evidence, Measure]:
    return evidence, measure


def logged(rule: str) -> Way:
    """The evidence as if losses had been logged by ``rule`` alone, see ganlib.runs.history."""

    def way(_contrast: str, evidence: Evidence, measure: Measure) -> tuple[Evidence, Measure]:
        runs = [r | {"losses": {"every iteration": r["losses"][rule]}} for r in
                evidence.grid["runs"]]  # fmt: skip
        return evidence._replace(grid=evidence.grid | {"runs": runs}), measure

    return way


def _kind(run: dict) -> str:
    return run.get("model") or run["conditioning"]


def paces(contrast: str, evidence: Evidence) -> dict[str, float]:
    """How many times as long as the quicker one's an epoch takes, of each kind that is compared.

    By the medians of recorded seconds, since runs that shared a processor hindered each other.
    """
    pairs, runs = [FACTORS["conditioning"]], grid_runs(evidence.grid)
    if contrast in CHAPTER_5:
        down, across = gains.LAYERS, gains.LABEL
        pairs = [[MODELS[layers, label] for label in across] for layers in down]
        pairs, runs = pairs if contrast == "CBN" else list(zip(*pairs)), evidence.improved["runs"]
    found = {}
    for pair in pairs:
        known = {kind: [run["seconds"] for run in runs if _kind(run) == kind] for kind in pair}
        seconds = {kind: median(all_) for kind, all_ in known.items() if all_}
        found |= {kind: own / min(seconds.values()) for kind, own in seconds.items()}
    return found


def by_the_clock(contrast: str, evidence: Evidence, measure: Measure) -> tuple[Evidence, Measure]:
    """The measure when the quicker of two kinds of runs has done the epochs that are asked about.

    Between measured epochs it is interpolated, on a logarithmic scale if it is a ratio.
    """
    known = paces(contrast, evidence)

    def of(run: dict, epoch: int) -> float:
        epochs = sorted(map(int, run["metrics"]))
        values = np.array([measure(run, one) for one in epochs])
        found = np.interp(
            epoch / known[_kind(run)], epochs, np.log(values) if measure.ratio else values
        )
        return float(np.exp(found) if measure.ratio else found)

    return evidence, replace(measure, of=of)


WAYS: dict[str, dict[str, Way]] = {
    "": {"": _as_it_is},
    "logging": {rule: logged(rule) for rule in LOGGING_RULES},
    "time": {"by epochs": _as_it_is, "by the clock": by_the_clock},
}
