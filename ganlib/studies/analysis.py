"""What the experiment of chapter 4 says: cells, effects with intervals, ranges of losses.

Chance enters by the seed, so the seed is the unit: two cells are compared run by run, each run
with the one of the same seed, and an interval is Student's t over the seeds' differences.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from scipy import stats

from ganlib.runs.store import RunError
from ganlib.studies.experiment import BN_EPS, read_results

CONFIDENCE = 0.95
# The factors, each from its first level to its second. Least squares has fewer seeds and stays
# out of the averages over losses; it is compared by itself.
FACTORS = {"conditioning": ("none", "label"), "loss": ("bce", "mse"), "bn_eps": BN_EPS}
LEVELS = ("conditioning", "loss", "bn_eps", "discriminator")  # what makes a cell
ENOUGH = 2  # seeds, for a spread or an interval
PAPER_RANGES = {"Fig. 8, GAN": (0.19, 6.91), "Fig. 9, CGAN": (0.06, 1.17)}

_KEYS = {*LEVELS, "name", "seed", "metrics", "losses", "epoch_means"}


def load(path=None) -> dict:
    """The experiment's results, see ganlib.studies.experiment, with the shape of every run checked.

    Raises RunError, saying what is wrong, if there are none or they are not of that shape.
    """
    results = read_results() if path is None else read_results(path)
    if missing := {"epochs", "n_epochs"} - results["protocol"].keys():
        raise RunError(f"the experiment's protocol has no {', '.join(sorted(missing))}")
    epochs = {str(epoch) for epoch in results["protocol"]["epochs"]}
    for run in results["runs"]:
        if missing := _KEYS - run.keys():
            raise RunError(f"a run of the experiment has no {', '.join(sorted(missing))}")
        if missing := epochs - run["metrics"].keys():
            raise RunError(f"{run['name']} was not measured at epoch {', '.join(sorted(missing))}")
    return results


def last_epoch(results: dict) -> int:
    """The epoch that ends every run of the experiment."""
    return results["protocol"]["n_epochs"]


# --- What is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """A number of a run, and how its differences are to be read.

    A ``ratio`` is compared by its factor, not by its difference. ``least`` is the smallest
    difference (or factor) worth naming.
    """

    key: str
    title: str
    form: str
    least: float
    ratio: bool = False
    of: Callable[[dict, int], float | None] | None = None  # from a run and an epoch

    def __call__(self, run: dict, epoch: int) -> float | None:
        """The run's value at ``epoch``, or None if it has none."""
        if self.of is not None:
            return self.of(run, epoch)
        value = run["metrics"][str(epoch)].get(self.key)
        return None if value is None or not math.isfinite(value) else value


def loss_range(losses: dict, rule: str = "every iteration") -> tuple[float, float]:
    """Smallest and largest value of both losses together, of ``losses`` as a run keeps them."""
    lows, highs = zip(*losses[rule].values())
    return min(lows), max(highs)


def _range_width(run: dict, _epoch: int) -> float:
    low, high = loss_range(run["losses"])
    return high - low


def _width_of_g_over_d(run: dict, _epoch: int) -> float:
    ends = run["losses"]["every iteration"]
    return _ratio_of(*(ends[loss][1] - ends[loss][0] for loss in ("g_loss", "d_loss")))


def _level_of_g_over_d(run: dict, _epoch: int) -> float:
    return _ratio_of(*(sum(run["epoch_means"][loss]) for loss in ("g_loss", "d_loss")))


def _ratio_of(first: float, second: float) -> float:
    return first / max(second, 1e-12)


def _fallen_back(run: dict, epoch: int) -> float:
    """By how much coverage and precision fell, in sum, from each measured epoch to the next."""
    known = sorted(known for known in map(int, run["metrics"]) if known <= epoch)
    courses = ([measure(run, at) for at in known] for measure in (COVERAGE, PRECISION))
    return sum(max(0.0, a - b) for course in courses for a, b in pairwise(course))


COVERAGE = Measure("coverage", "coverage", "{:.2f}", 0.05)
RECALL = Measure("recall", "recall", "{:.2f}", 0.05)
PRECISION = Measure("precision", "precision", "{:.2f}", 0.05)
FRECHET = Measure("frechet", "Fréchet distance", "{:.1f}", 1.1, ratio=True)
ACCURACY = Measure("accuracy", "drawn as asked", "{:.1%}", 0.02)
SPECKS = Measure("specks", "specks an image", "{:.2f}", 0.1)
CLASSES = Measure("classes", "digits found", "{:.1f}", 0.5)
RANGE = Measure("range", "width of the loss range", "{:.2f}", 1.1, ratio=True, of=_range_width)
UNEVEN = Measure(
    "uneven", "width of L_G's range over L_D's", "{:.2f}", 1.1, ratio=True, of=_width_of_g_over_d
)
LEVEL = Measure("level", "mean L_G over L_D", "{:.2f}", 1.1, ratio=True, of=_level_of_g_over_d)
FALLEN = Measure("fallen", "fallen back", "{:.2f}", 0.05, of=_fallen_back)
COPIED = Measure("memorised_features", "looks copied", "{:.1%}", 0.01)
IN_TABLES = (COVERAGE, RECALL, PRECISION, FRECHET, CLASSES, ACCURACY)


# --- Means with intervals ------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds and the ends of its 95 % interval, infinite for one seed.

    For a ratio, the geometric mean of factors. ``null`` says what no difference would be: 0 or 1.
    """

    mean: float
    low: float
    high: float
    n: int
    null: float = 0.0

    def __str__(self) -> str:
        if self.n == 0:
            return "no run yet"
        sign = "× {:.2f}" if self.null else "{:+.2f}"
        if self.n < ENOUGH:
            return f"{sign.format(self.mean)} (one seed)"
        form = "{:.2f}" if self.null else "{:+.2f}"
        return f"{sign.format(self.mean)} [{form.format(self.low)}, {form.format(self.high)}]"


def estimate(values: Iterable[float], ratio: bool = False) -> Estimate:
    """Mean and 95 % interval of ``values``, one for each seed, by Student's t.

    With ``ratio`` the values are logarithms of factors, and the estimate is a factor.
    """
    values = list(values)
    n = len(values)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, float(ratio))
    mean, half = sum(values) / n, math.inf
    if n >= ENOUGH:
        variance = sum((value - mean) ** 2 for value in values) / (n - 1)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * math.sqrt(variance / n)
    ends = mean, mean - half, mean + half
    return Estimate(*(map(_factor, ends) if ratio else ends), n, float(ratio))


def _factor(logarithm: float) -> float:
    return math.exp(logarithm) if logarithm < 700 else math.inf


# --- Cells and their contrasts -------------------------------------------------------------------


def cells(results: dict) -> dict[tuple, list[dict]]:
    """The runs of each cell, by its LEVELS, in the order of the grid."""
    found: dict[tuple, list[dict]] = {}
    for run in results["runs"]:
        found.setdefault(tuple(run[level] for level in LEVELS), []).append(run)
    order = {"own": 0, "swapped": 1, "none": 0, "label": 1, "bce": 0, "mse": 1, "least-squares": 2}
    return dict(
        sorted(
            found.items(), key=lambda item: [order.get(x, x) for x in (item[0][3], *item[0][:3])]
        )
    )


def cell_name(conditioning: str, loss: str, bn_eps: float, discriminator: str = "own") -> str:
    """A cell in words: no label · bce · eps 1e-05."""
    other = " · other D" if discriminator == "swapped" else ""
    setting = {"conditioning": conditioning, "loss": loss, "bn_eps": bn_eps}
    return in_words(setting) + other


def in_words(setting: dict) -> str:
    """Levels of some factors in words: no label · eps 0.8."""
    words = {"conditioning": {"none": "no label"}, "bn_eps": {e: f"eps {e:g}" for e in BN_EPS}}
    return " · ".join(words.get(key, {}).get(value, value) for key, value in setting.items())


def by_seed(results: dict, measure: Measure, epoch: int, **levels) -> dict[int, float]:
    """The measure of each seed's run in one cell; its own discriminator unless named otherwise."""
    wanted = {"discriminator": "own"} | levels
    found = {}
    for run in results["runs"]:
        if all(run[level] == value for level, value in wanted.items()):
            value = measure(run, epoch)
            if value is not None:
                found[run["seed"]] = value
    return found


def contrast(
    results: dict, before: dict, after: dict, measure: Measure, epoch: int
) -> dict[int, float]:
    """``after`` minus ``before`` for each seed that both cells have; for a ratio, logarithms."""
    first = by_seed(results, measure, epoch, **before)
    return paired(first, by_seed(results, measure, epoch, **after), measure)


def paired(first: dict[int, float], second: dict[int, float], measure: Measure) -> dict[int, float]:
    """``second`` minus ``first`` for each seed that both have; for a ratio, logarithms."""
    scale = _log if measure.ratio else float
    return {s: scale(second[s]) - scale(first[s]) for s in sorted(first.keys() & second.keys())}


def _log(value: float) -> float:
    return math.log(max(value, 1e-12))  # a distance of exactly 0 has no logarithm


def settings(factor: str, **held) -> list[dict]:
    """All combinations of the levels of the other factors, but for those ``held``."""
    others = {f: FACTORS[f] if f not in held else (held[f],) for f in FACTORS if f != factor}
    return [dict(zip(others, levels)) for levels in product(*others.values())]


def effect(
    results: dict,
    factor: str,
    measure: Measure,
    epoch: int,
    levels: Sequence | None = None,
    **held,
) -> Estimate:
    """What changing ``factor`` from its first level to its second does to a measure.

    Pairs of runs differ in the factor alone: same seed, same other levels. For each seed, the mean
    over all settings of the other factors (fewer if some are ``held``); a seed counts only if it
    has them all. The interval is over seeds.
    """
    first, second = levels or FACTORS[factor]
    pairs = [
        contrast(results, s | {factor: first}, s | {factor: second}, measure, epoch)
        for s in settings(factor, **held)
    ]
    seeds = set.intersection(*(set(pair) for pair in pairs))
    means = [sum(pair[seed] for pair in pairs) / len(pairs) for seed in sorted(seeds)]
    return estimate(means, measure.ratio)


def simple_effects(
    results: dict,
    factor: str,
    measure: Measure,
    epoch: int,
    levels: Sequence | None = None,
) -> dict[str, Estimate]:
    """The effect of ``factor`` in each setting of the others, where an average could mislead.

    Settings with least squares are included if any seed has them.
    """
    first, second = levels or FACTORS[factor]
    every = settings(factor)
    if factor != "loss":
        every += settings(factor, loss="least-squares")
    found = {}
    for setting in every:
        before, after = setting | {factor: first}, setting | {factor: second}
        pairs = contrast(results, before, after, measure, epoch)
        if pairs:
            found[in_words(setting)] = estimate(pairs.values(), measure.ratio)
    return found


def label_alone(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The label's effect with one and the same discriminator on both sides.

    Elsewhere the label comes with the CGAN's discriminator, as in the paper. The arm with swapped
    discriminators tells the two apart, in two settings.
    """
    found = {}
    for loss, whose, before, after in (
        ("bce", "CGAN's", "swapped", "own"),
        ("mse", "GAN's", "own", "swapped"),
    ):
        setting = {"loss": loss, "bn_eps": BN_EPS[0]}
        first = {"conditioning": "none", "discriminator": before}
        second = {"conditioning": "label", "discriminator": after}
        pairs = contrast(results, setting | first, setting | second, measure, epoch)
        if pairs:
            name = f"{in_words(setting)}, both the {whose} D"
            found[name] = estimate(pairs.values(), measure.ratio)
    return found


def reading(found: Estimate, measure: Measure, toward: int) -> str:
    """An effect in a word: for, against, no difference, or unclear.

    ``toward`` is +1 if the claim wants more of the measure, -1 if less. "No difference" means that
    the whole interval lies within the smallest difference worth naming.
    """
    if found.n < ENOUGH:
        return "unclear"
    null, least = found.null, measure.least
    near = (1 / least, least) if measure.ratio else (-least, least)
    if near[0] <= found.low and found.high <= near[1]:
        return "no difference"
    if found.low > null or found.high < null:
        return "for" if (found.mean > null) == (toward > 0) else "against"
    return "unclear"


# --- Ranges of losses ----------------------------------------------------------------------------


def resemblance(found: tuple[float, float], paper: tuple[float, float]) -> float:
    """How far a range is from another: the larger of both ends' factors, at least 1.

    2 means that an end is twice, or half, the other's.
    """
    return math.exp(max(abs(_log(a) - _log(b)) for a, b in zip(found, paper)))
