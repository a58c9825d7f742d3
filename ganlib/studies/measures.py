"""What is measured of a run: a number at an epoch, and which difference in it is worth naming."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ganlib.runs.history import LOGGING_RULES


@dataclass(frozen=True)
class Measure:
    """A number of a run, and how its differences are to be read.

    A ``ratio`` is compared by its factor, not by its difference. ``least`` is the smallest
    difference (or factor) worth naming. ``better``: a measure that takes this one's place between
    cells all of whose runs have it. ``clock``: between two kinds of runs, looked at when both have
    trained for the same time.
    """

    key: str
    title: str
    form: str
    least: float
    ratio: bool = False
    of: Callable[[dict, int], float | None] | None = None  # from a run and an epoch
    better: "Measure | None" = None
    clock: bool = False

    def __call__(self, run: dict, epoch: int) -> float | None:
        """The run's value at ``epoch``, or None if it has none."""
        if self.of is not None:
            return self.of(run, epoch)
        value = run["metrics"].get(str(epoch), {}).get(self.key)
        return None if value is None or not math.isfinite(value) else value

    def between(self, run: dict, epoch: float) -> float | None:
        """The run's value at any moment between two epochs, by interpolation; or None."""
        values = {known: self(run, known) for known in sorted(map(int, run["metrics"]))}
        values = {known: self.scaled(value) for known, value in values.items() if value is not None}
        if not values or not min(values) <= epoch <= max(values):
            return None
        found = float(np.interp(epoch, [*values], [*values.values()]))
        return math.exp(found) if self.ratio else found

    def scaled(self, value: float) -> float:
        """As values are averaged and compared: for a ratio, the logarithm."""
        return math.log(max(value, 1e-12)) if self.ratio else value  # log 0 is none


def by_the_clock(measure: Measure) -> Measure:
    """The measure when the quicker of two kinds of runs has done the epochs asked about."""
    better = measure.better and replace(measure.better, clock=True)
    return replace(measure, clock=True, better=better)


def logged(measure: Measure, rule: str) -> Measure:
    """A measure of losses as if they had been logged by ``rule`` alone (ganlib.runs.history)."""

    def of(run: dict, epoch: int) -> float | None:
        losses = run.get("losses")
        return measure(run | {"losses": losses and {"every iteration": losses[rule]}}, epoch)

    return replace(measure, of=of)


# By which rules some claims are judged, each with a way to look at the same runs.
WAYS: dict[str, dict[str, Callable[[Measure], Measure]]] = {
    "": {"": lambda measure: measure},
    "logging": {rule: lambda measure, rule=rule: logged(measure, rule) for rule in LOGGING_RULES},
    "time": {"by epochs": lambda measure: measure, "by the clock": by_the_clock},
}


# --- Of losses, and of a whole course ------------------------------------------------------------


def loss_range(losses: dict, rule: str = "every iteration") -> tuple[float, float]:
    """Smallest and largest value of both losses together, of ``losses`` as a run keeps them."""
    lows, highs = zip(*losses[rule].values())
    return min(lows), max(highs)


def resemblance(found: tuple[float, float], other: tuple[float, float]) -> float:
    """How far a range is from another: the larger of both ends' factors, at least 1.

    2 means that an end is twice, or half, the other's.
    """
    logs = (math.log(max(end, 1e-12)) for ends in zip(found, other) for end in ends)
    return math.exp(max(abs(a - b) for a, b in zip(logs, logs)))


def _range_width(run: dict, _epoch: int) -> float | None:
    if not run.get("losses"):
        return None
    low, high = loss_range(run["losses"])
    return high - low


def _width_of_g_over_d(run: dict, _epoch: int) -> float | None:
    if not run.get("losses"):
        return None
    ends = run["losses"]["every iteration"]
    return _ratio_of(*(ends[loss][1] - ends[loss][0] for loss in ("g_loss", "d_loss")))


def _level_of_g_over_d(run: dict, epoch: int) -> float:
    return _ratio_of(*(sum(run["epoch_means"][loss][:epoch]) for loss in ("g_loss", "d_loss")))


def _ratio_of(first: float, second: float) -> float:
    return first / max(second, 1e-12)


def _fallen_back(run: dict, epoch: int) -> float | None:
    """By how much coverage and precision fell, in sum, from each measured epoch to the next."""
    if run.get("replicate"):  # it was measured at fewer epochs
        return None
    known = sorted(known for known in map(int, run["metrics"]) if known <= epoch)
    courses = ([measure(run, at) for at in known] for measure in (COVERAGE, PRECISION))
    return sum(max(0.0, a - b) for course in courses for a, b in pairwise(course))


def _worst_digit(run: dict, epoch: int) -> float | None:
    asked = run["metrics"][str(epoch)]["confusion"]
    return None if asked is None else min(row[digit] / sum(row) for digit, row in enumerate(asked))


def _points(run: dict, epoch: int) -> float | None:
    share = ACCURACY(run, epoch)
    return None if share is None else 100 * share


def seconds_an_epoch(run: dict, _epoch: int = 0) -> float | None:
    """How long an epoch of a run took, on average; None if it was not ``timed`` with the others."""
    if not run.get("timed", True):
        return None
    return run["seconds"] / len(run["epoch_means"]["g_loss"])


COVERAGE = Measure("coverage", "coverage", "{:.2f}", 0.05)
RECALL = Measure("recall", "recall", "{:.2f}", 0.05)
PRECISION = Measure("precision", "precision", "{:.2f}", 0.05)
FRECHET = Measure("frechet", "Fréchet distance", "{:.1f}", 1.1, ratio=True)
DISTANCE = replace(FRECHET, form="{:.2f}")  # below 1, the second decimal counts
# How the digits look, whatever there is of each; the first runs were not measured so.
_AT_SHARES = replace(
    FRECHET, key="frechet_at_shares", title="Fréchet distance at the test set's shares"
)
LOOKS = replace(FRECHET, better=_AT_SHARES)
ACCURACY = Measure("accuracy", "drawn as asked", "{:.1%}", 0.02)
POINTS = Measure("points", "drawn as asked, points", "{:.1f}", 2, of=_points)  # for differences
WORST_DIGIT = Measure("worst", "worst digit", "{:.1%}", 0.02, of=_worst_digit)
SPECKS = Measure("specks", "specks an image", "{:.2f}", 0.1)
CLASSES = Measure("classes", "digits found", "{:.1f}", 0.5)
COPIED = Measure("memorised_features", "looks copied", "{:.1%}", 0.01)
FALLEN = Measure("fallen", "fallen back", "{:.2f}", 0.05, of=_fallen_back)
RANGE = Measure("range", "width of the loss range", "{:.2f}", 1.1, ratio=True, of=_range_width)
UNEVEN = Measure(
    "uneven", "width of L_G's range over L_D's", "{:.2f}", 1.1, ratio=True, of=_width_of_g_over_d
)
LEVEL = Measure("level", "mean L_G over L_D", "{:.2f}", 1.1, ratio=True, of=_level_of_g_over_d)
SECONDS = Measure("seconds", "seconds an epoch", "{:.0f}", 1.1, ratio=True, of=seconds_an_epoch)
