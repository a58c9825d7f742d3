"""Effects with intervals, and the one rule by which effects decide claims.

RULE says it in words. Why so, by principle and by simulation (tests/test_rule.py):

- Seeds pair nothing. Two networks that start from one seed share no more than any other two, and
  pairing them lets chance make small differences of differences. Each cell keeps its own variance
  (Welch): pooled over all healthy and over all collapsed cells, it finds too much as soon as
  spreads differ from cell to cell.
- Whether a run collapses can be a toss. That three of three did and none of three others then has
  one chance in 32, in each setting, however clear the measures are. So collapsed runs are counted
  over all of a claim's settings, and if the counts do not differ by Fisher's exact test, no setting
  in which they differ is read.
- The more readings, the more are significant by chance, so that they are corrected (Holm 1979).
- An effect that is too small to name is none, however surely it is there.

With no effect at all, at most one claim in twenty then has a verdict; without the second point it
can be one in five. The same seed is one more run where the arithmetic was another: the first seven
such pairs went together by a correlation of 0.05. A run that is there twice, to the last bit,
counts once.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import NamedTuple

from scipy import stats
from scipy.special import stdtr, stdtrit

from ganlib.studies.measures import Measure, seconds_an_epoch

ALPHA = 0.05
ENOUGH = 2  # runs, for a spread or an interval
COLLAPSED = 0.25  # of the real images' coverage; below it, or short of a digit, a run collapsed

RULE = """\
An effect is a difference of means between two cells, with Welch's 95 % interval: each cell has its
own spread, and nothing is paired by seed. A cell's runs are all that there are of it, those of 200
epochs too, as they were at the epoch in question; to be compared it needs two, and at 200 epochs
three. A claim has a reading for each setting, measure and way of looking at them, and its p-values
are corrected for their number (Holm). A reading is FOR the claim, or AGAINST it, if it is
significant at 5 % after that and the mean is at least the smallest effect worth naming; where the
cells differ in how many of their runs collapsed, those counts, over all settings of the claim, have
to differ significantly too (Fisher's exact test). Three against three never do: if all
three runs of a cell collapsed and none of the other's, these cells, or all of the study's, may have
a fourth, no fifth. NO DIFFERENCE: the whole interval is smaller than what is worth naming. All else
is UNCLEAR.
All readings for: HOLDS. Some for, none against: HOLDS IN PART. Both: MIXED. Some against, none for:
AGAINST IN PART. All against: DOES NOT HOLD. Neither for nor against: CAN'T BE TOLD. Where ways
of looking end in different verdicts, it DEPENDS ON THE RULE."""

VERDICTS = (
    *("holds", "holds in part", "mixed", "against in part", "does not hold"),
    *("can't be told", "depends on the rule", "runs missing"),
)
READINGS = ("for", "against", "no difference", "unclear")


# --- Estimates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` runs, or a difference between two cells of at least ``n`` runs each.

    With the ends of its 95 % interval, infinite for one run, and its p-value. For a ratio, a
    factor. ``null`` says what no difference would be: 0 or 1. ``collapsed``: of the first cell's
    runs and of the second's, how many collapsed and how many did not, in that order. ``by``: the
    title of the measure that was taken.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float = 1.0
    null: float = 0.0
    collapsed: tuple[tuple[int, int], tuple[int, int]] | None = None
    by: str = ""

    def __str__(self) -> str:
        if self.n == 0:
            return "no run yet"
        sign = "× {:.2f}" if self.null else "{:+.2f}"
        if self.n < ENOUGH:
            return f"{sign.format(self.mean)} (one seed)"
        form = "{:.2f}" if self.null else "{:+.2f}"
        return f"{sign.format(self.mean)} [{form.format(self.low)}, {form.format(self.high)}]"


def estimate(values: Iterable[float], ratio: bool = False) -> Estimate:
    """Mean and 95 % interval of ``values``, one for each run, by Student's t.

    With ``ratio`` the values are logarithms of factors, and the estimate is a factor.
    """
    return _estimate([(1.0, list(values))], ratio)


def difference(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], ratio: bool = False
) -> Estimate:
    """Second less first, on average over ``pairs`` of samples, with Welch's interval.

    Each sample has its own variance; degrees of freedom are Satterthwaite's. A ratio's values are
    logarithms.
    """
    share = 1 / max(1, len(pairs))
    samples = [(sign * share, values) for pair in pairs for sign, values in zip((-1, 1), pair)]
    return _estimate(samples, ratio)


def _estimate(samples: Sequence[tuple[float, Sequence[float]]], ratio: bool) -> Estimate:
    """A weighted sum of the means of samples."""
    n = min((len(values) for _, values in samples), default=0)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, null=float(ratio))
    found = sum(weight * fmean(values) for weight, values in samples)
    half, p = math.inf, 1.0
    if n >= ENOUGH:
        parts = [
            (w * w * _variance(values) / len(values), len(values) - 1) for w, values in samples
        ]
        spread = sum(part for part, _ in parts)
        if spread == 0:
            half, p = 0.0, float(found == 0)
        else:
            freedom = spread**2 / sum(part**2 / degrees for part, degrees in parts)
            half = stdtrit(freedom, 1 - ALPHA / 2) * math.sqrt(spread)
            p = 2 * stdtr(freedom, -abs(found) / math.sqrt(spread))
    ends = found, found - half, found + half
    return Estimate(*(map(_factor, ends) if ratio else ends), n, float(p), float(ratio))


def _variance(values: Sequence[float]) -> float:
    middle = fmean(values)
    return sum((value - middle) ** 2 for value in values) / (len(values) - 1)


def _factor(logarithm: float) -> float:
    return math.exp(logarithm) if logarithm < 700 else math.inf


# --- Cells and their effects ---------------------------------------------------------------------


class Change(NamedTuple):
    """From the runs that have these levels to those that have the others."""

    before: dict
    after: dict


def last_epoch(results: dict) -> int:
    """The epoch that ends every run of a study."""
    return results["protocol"]["n_epochs"]


def select(results: dict, **levels) -> list[dict]:
    """The runs that have these levels."""
    return [run for run in results["runs"] if all(run.get(k) == v for k, v in levels.items())]


def values(runs: Iterable[dict], measure: Measure, epoch: int) -> list[float]:
    """The measure of those runs that have it."""
    return [value for run in runs if (value := measure(run, epoch)) is not None]


def collapsed(run: dict, results: dict) -> bool:
    """Whether a run's last images lack a digit, or cover less than a quarter of what real ones do.

    A digit is there from 1 % of the images on.
    """
    last = run["metrics"][str(last_epoch(results))]
    return last["classes"] < 10 or last["coverage"] < COLLAPSED * results["floor"]["coverage"]


def effect(results: dict, changes: Sequence[Change], measure: Measure, epoch: int) -> Estimate:
    """What a change does to a measure: mean and interval, over all ``changes`` if they are many.

    By the runs that have the measure at ``epoch``; a replicate (see paper) may lack it.
    """
    sides = [[select(results, **levels) for levels in change] for change in changes]
    if measure.better is not None:
        every = [run for side in sides for runs in side for run in runs]
        if len(values(every, measure.better, epoch)) == len(every):
            measure = measure.better
    pairs = []
    for side in sides:
        moments = [epoch / pace for pace in _paces(results, side)] if measure.clock else [epoch] * 2
        pairs.append([_scaled(runs, measure, at) for runs, at in zip(side, moments)])
    counts = tuple(_collapsed_or_not([run for runs in kind for run in runs], results)
                   for kind in zip(*sides))  # fmt: skip
    found = difference(pairs, measure.ratio)
    return replace(found, collapsed=counts or None, by=measure.title)


def _scaled(runs: list[dict], measure: Measure, epoch: float) -> list[float]:
    look = measure.between if measure.clock else measure
    found = (look(run, epoch) for run in runs)
    return [measure.scaled(value) for value in found if value is not None]


def _collapsed_or_not(runs: list[dict], results: dict) -> tuple[int, int]:
    lost = sum(collapsed(run, results) for run in runs)
    return lost, len(runs) - lost


def kind(run: dict) -> str:
    """What decides how long an epoch takes: the model, or label and discriminator."""
    if "model" in run:
        return run["model"]
    model = {"none": "GAN", "label": "CGAN"}[run["conditioning"]]
    return model + (" with the other's D" if run["discriminator"] == "swapped" else "")


def seconds_by_kind(results: dict) -> dict[str, float]:
    """How long an epoch takes, of each kind of runs: the median of what was recorded.

    Of the study's own runs alone, and of those that were ``timed`` with the others; those that
    shared a processor hindered each other.
    """
    known: dict[str, list[float]] = {}
    for run in results["runs"]:
        seconds = seconds_an_epoch(run)
        if seconds is not None and not run.get("replicate"):
            known.setdefault(kind(run), []).append(seconds)
    return {one: median(seconds) for one, seconds in known.items()}


def _paces(results: dict, side: Sequence[list[dict]]) -> list[float]:
    """How many times as long as the quicker one's an epoch takes, of both kinds of runs."""
    known = seconds_by_kind(results)
    own = [known.get(kind(runs[0])) if runs else None for runs in side]
    return [1.0 if None in own else seconds / min(own) for seconds in own]


def where_it_collapsed(
    results: dict, what: str, changes: Mapping[str, Change], measure: Measure, epoch: int
) -> dict[str, Estimate]:
    """The effects in settings in which a run collapsed before, or that lack runs to say so."""
    found = {}
    for where, change in changes.items():
        before, after = (select(results, **levels) for levels in change)
        if len(before) < results["needs"] or any(collapsed(run, results) for run in before):
            n = sum(collapsed(run, results) for run in after)
            name = f"{what} at {where}, {n} of {len(after)} collapsed"
            found[name] = effect(results, [change], measure, epoch)
    return found


def average_effect(results: dict, measure: Measure, **levels) -> Estimate:
    """The average of G's weights in place of the latest ones, at the end of the same runs.

    Here the runs are their own pairs.
    """
    last, changes = last_epoch(results), []
    for run in select(results, **levels):
        pair = measure(run | {"metrics": {str(last): run["latest"]}}, last), measure(run, last)
        if None not in pair:
            before, after = map(measure.scaled, pair)
            changes.append(after - before)
    return estimate(changes, measure.ratio)


# --- Readings and verdicts -----------------------------------------------------------------------


class Vote(NamedTuple):
    """An effect on a measure of which a claim wants more (+1) or less (-1), in a setting."""

    setting: str
    effect: Estimate
    measure: Measure
    toward: int


def corrected(p_values: Sequence[float]) -> list[float]:
    """p-values as they are when each is one of so many (Holm 1979)."""
    found, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = highest
    return found


def read(votes: Sequence[Vote]) -> list[str]:
    """All votes of a claim, each as one of READINGS, by RULE."""
    lost = {vote.setting: vote.effect.collapsed for vote in votes if vote.effect.collapsed}
    tosses = _tossed(lost.values())
    found = []
    for vote, p in zip(votes, corrected([vote.effect.p for vote in votes])):
        one, measure = vote.effect, vote.measure
        size, *ends = (measure.scaled(end) for end in (one.mean, one.low, one.high))
        least = measure.scaled(measure.least)
        if tosses and one.collapsed and _differ(*one.collapsed):
            found.append("unclear")
        elif p <= ALPHA and abs(size) >= least:
            found.append("for" if (size > 0) == (vote.toward > 0) else "against")
        elif one.n >= ENOUGH and max(map(abs, ends)) <= least:
            found.append("no difference")
        else:
            found.append("unclear")
    return found


def _differ(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] * second[1] != second[0] * first[1]


def _tossed(counts: Iterable) -> bool:
    """Whether the numbers of collapsed runs, over all settings, may differ by chance alone.

    Settings in which all runs collapsed, or none, say nothing of it.
    """
    telling = [pair for pair in counts if all(map(sum, zip(*pair)))]
    table = [[sum(part) for part in zip(*kinds)] for kinds in zip(*telling)]
    return bool(table) and float(stats.fisher_exact(table)[1]) > ALPHA


def combine(readings: Sequence[str]) -> str:
    """The readings of a claim as a verdict, by RULE."""
    if {"for", "against"} <= {*readings}:
        return "mixed"
    for word, whole, part in (
        ("for", "holds", "holds in part"),
        ("against", "does not hold", "against in part"),
    ):
        if word in readings:
            return whole if {*readings} == {word} else part
    return "can't be told"


def agreed(verdicts: Sequence[str]) -> str:
    """One verdict from those under several rules: the same, if they agree.

    If all find the same, some of them only in part, it is in part; else it depends on the rule.
    """
    found = {*verdicts}
    if len(found) == 1:
        return verdicts[0]
    for both in ({"holds", "holds in part"}, {"does not hold", "against in part"}):
        if found == both:
            return next(one for one in both if "in part" in one)
    return "depends on the rule"
