"""Claims about the paper's models that are counted, not compared.

Each count is a rule in words and a function: from a study's results (see study) to our evidence in
words and a verdict. Thresholds stand in the rules.
"""

from collections.abc import Callable, Sequence
from statistics import mean

import numpy as np
import torch

from ganlib.losses import BCE, MSE, Loss
from ganlib.studies.analysis import ENOUGH, collapsed, last_epoch, select, values
from ganlib.studies.measures import ACCURACY, FALLEN, PRECISION
from ganlib.studies.study import Count

OBEYS = 0.9  # of the images are drawn as asked
CLEAR_FROM = 25  # the epoch from which on images have to get clearer


def _all_or_some(flags: Sequence[bool]) -> str:
    return "holds" if all(flags) else "holds in part" if any(flags) else "does not hold"


def _short(results: dict, cells: Sequence[Sequence]) -> str:
    """The verdict while cells lack runs: of a study that needs some number of them, or of two."""
    if results["needs"]:
        return "runs missing" if any(len(runs) < results["needs"] for runs in cells) else ""
    return "" if cells and all(len(runs) >= ENOUGH for runs in cells) else "can't be told"


def _cells(results: dict, **levels) -> dict[str, list[dict]]:
    """The runs of each of a study's cells that has these levels and its own discriminator."""
    wanted = levels | {"discriminator": "own"}
    return {name: select(results, **cell) for name, cell in results["cells"].items()
            if wanted.items() <= cell.items()}  # fmt: skip


def _unlabelled_bce(did: str, flag: Callable[[dict, dict], bool | None]) -> Callable:
    """At each eps, how many unlabelled BCE runs have a flaw.

    It holds if at least half of them have it at each eps, in part if any has it.
    """

    def count(results: dict) -> tuple[str, str]:
        cells = _cells(results, conditioning="none", loss="bce")
        flags = {name: [one for run in runs if (one := flag(run, results)) is not None]
                 for name, runs in cells.items()}  # fmt: skip
        shown = (f"{name}: {sum(own)} of {len(own)}" for name, own in flags.items())
        verdict = _short(results, [*flags.values()])
        if not verdict:
            verdict = _all_or_some([2 * sum(own) >= len(own) for own in flags.values()])
            if verdict == "does not hold" and any(map(any, flags.values())):
                verdict = "holds in part"
        return f"Runs that {did}: {'; '.join(shown)}.", verdict

    return count


def _fell_back(run: dict, results: dict) -> bool | None:
    fallen = FALLEN(run, last_epoch(results))
    return None if fallen is None else fallen >= FALLEN.least


def _obedience(results: dict) -> tuple[str, str]:
    last, cells = last_epoch(results), _cells(results, conditioning="label")
    shares = {name: values(runs, ACCURACY, last) for name, runs in cells.items()}
    if not results["needs"]:
        shares = {name: own for name, own in shares.items() if len(own) >= ENOUGH}
    means = {name: mean(own) for name, own in shares.items() if own}
    ours = f"Drawn as asked: {', '.join(f'{n} {own:.1%}' for n, own in means.items())}; "
    ours += f"chance is 10 %, real digits score {results['floor']['accuracy']:.1%}."
    if other := values(select(results, conditioning="label", discriminator="swapped"), ACCURACY,
                       last):  # fmt: skip
        ours += f" With the GAN's D {mean(other):.1%}."
    verdict = _short(results, [*shares.values()])
    return ours, verdict or _all_or_some([found >= OBEYS for found in means.values()])


def _never_less_clear(results: dict) -> tuple[str, str]:
    """A fall that is too small to name is none."""
    flags, words, cells = [], [], _cells(results)
    for name, runs in cells.items():
        clear = [_got_clearer(run) for run in runs]
        words.append(f"{name} {sum(clear)} of {len(clear)}")
        flags += clear
    verdict = _short(results, [*cells.values()]) or _all_or_some(flags)
    return f"Runs that never got less clear: {', '.join(words)}.", verdict


def _got_clearer(run: dict) -> bool:
    epochs = sorted(epoch for epoch in map(int, run["metrics"]) if epoch >= CLEAR_FROM)
    for measure in (PRECISION, ACCURACY):
        course = [measure(run, epoch) for epoch in epochs]
        if None not in course and max(np.maximum.accumulate(course) - course) > PRECISION.least:
            return False
    return True


def _slope(loss: Loss, probability: torch.Tensor) -> torch.Tensor:
    slope = torch.func.grad(lambda p: loss.generator(torch.logit(p)[None]))
    return torch.vmap(slope)(probability).abs()


def _slopes(_results: dict) -> tuple[str, str]:
    probability = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    ratio = _slope(MSE, probability) / _slope(BCE, probability)
    ours = f"By calculus: L_G's slope in D(x) under MSE is at most × {ratio.max():.2f} of BCE's."
    return ours, _all_or_some([bool(more) for more in ratio > 1])


_HALF = "unlabelled BCE runs, of which at least half at each eps (holds) or any (in part) "
# By name: what decides, in words, and the count.
COUNTS: dict[str, Count] = {
    "unlabelled BCE runs that fell back": (
        f"{_HALF}fell back: all falls of coverage and precision from a measured epoch to the next "
        f"add up to {FALLEN.least} or more", _unlabelled_bce("fell back", _fell_back)),
    "unlabelled BCE runs that collapsed": (
        f"{_HALF}collapsed: short of a digit, or below a quarter of the real images' coverage",
        _unlabelled_bce("collapsed", collapsed)),
    "obedience": (
        f"mean share drawn as asked, at least {OBEYS:.0%} in every labelled cell that has the "
        "CGAN's own discriminator and two or more runs", _obedience),
    "runs that never got less clear": (
        f"precision and drawn as asked, from epoch {CLEAR_FROM} on, never more than "
        f"{PRECISION.least} below their best so far: all runs, or some", _never_less_clear),
    "slopes": ("the slope of L_G in D(x) under MSE: more than under BCE", _slopes),
}  # fmt: skip
