"""The paper's claims, each with our evidence and a verdict that the results decide.

No verdict is written down here, only how it is reached: more seeds can change it. Most claims
(:mod:`ganlib.studies.claims`) are read as an effect in several settings, and :func:`combine` turns
those readings into one of VERDICTS; a few are counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean

import numpy as np
import torch

from ganlib.losses import BCE, MSE, Loss
from ganlib.studies import analysis, gains
from ganlib.studies.analysis import (
    ACCURACY,
    ENOUGH,
    FACTORS,
    FALLEN,
    PRECISION,
    Estimate,
    Measure,
    reading,
)
from ganlib.studies.claims import JUDGED, Claim
from ganlib.studies.contrasts import (
    ASIDE,
    CHAPTER_5,
    CONTRASTS,
    WAYS,
    Evidence,
    collapsed,
    grid_runs,
    paces,
)
from ganlib.studies.experiment import LOSSES
from ganlib.studies.improvements import MODELS

VERDICTS = ("holds", "holds in part", "does not hold", "can't be told", "depends on the rule")
OBEYS = 0.9  # of the images are drawn as asked


@dataclass(frozen=True)
class Entry:
    """A line of the ledger, in words: ``rule`` says what the verdict is decided by."""

    claim: Claim
    rule: str
    ours: str
    seeds: tuple[int, ...]  # of each setting that had a vote
    verdict: str


def combine(readings: Sequence[str]) -> str:
    """Readings of one claim in several settings, as a verdict.

    It holds if every reading is for it, and in part if some are. If none is, it does not hold
    when one is against it or all find no difference; otherwise it can't be told.
    """
    if readings and all(r == "for" for r in readings):
        return "holds"
    if "for" in readings:
        return "holds in part"
    if "against" in readings or (readings and all(r == "no difference" for r in readings)):
        return "does not hold"
    return "can't be told"


def _all_or_some(flags: Sequence[bool]) -> str:
    return "holds" if all(flags) else "holds in part" if any(flags) else "does not hold"


# --- From effects to an entry --------------------------------------------------------------------


def agreed(verdicts: Sequence[str]) -> str:
    """One verdict from those under several rules: the same, if they agree.

    If all find something, one of them less, it holds in part; else it depends on the rule.
    """
    if len(set(verdicts)) == 1:
        return verdicts[0]
    return "holds in part" if {*verdicts} == {"holds", "holds in part"} else "depends on the rule"


_ORDER = ("for", "against", "no difference", "unclear")


def _in_words(found: dict[str, Estimate], readings: dict[str, str], brief: bool) -> str:
    """Effects: each by itself if they are few, else how many settings, or which, are read how."""
    asides = [f"{one} {name[1:]}" for name, one in found.items() if name.startswith(ASIDE)]
    votes = {name: one for name, one in found.items() if not name.startswith(ASIDE)}
    if not votes:
        words = ["(nothing here to reduce)"]
    elif len(votes) <= 2:
        words = [f"{one} ({name})" for name, one in votes.items()]
    else:
        words = []
        for word in _ORDER:
            names = [name for name, own in readings.items() if own == word]
            if names:
                words.append(f"{len(names)} {word}" if brief else f"{word} at {', '.join(names)}")
        words = words or ["no setting has two seeds yet"]
        asides, words = asides[1:], asides[:1] + words  # the average comes first
    return "; ".join(words + asides)


def _by_effects(claim: Claim, evidence: Evidence) -> Entry:
    what, effects = CONTRASTS[claim.contrast]
    results = evidence.improved if claim.contrast in CHAPTER_5 else evidence.grid
    epoch = claim.when or analysis.last_epoch(results)
    verdicts, told, seeds = {}, [], []
    for way, change in WAYS[claim.ways].items():
        words, all_readings = [], []
        for measure, toward in claim.measures.items():
            found = effects(*change(claim.contrast, evidence, measure), epoch)
            votes = {n: e for n, e in found.items() if n[0] != ASIDE and e.n >= ENOUGH}
            readings = {name: reading(one, measure, toward) for name, one in votes.items()}
            name = "" if way and len(claim.measures) == 1 else f"{measure.title} "
            words.append(name[:1].upper() + name[1:] + _in_words(found, readings, bool(way)))
            all_readings += readings.values()
            seeds += [one.n for one in votes.values()]
        verdicts[way] = combine(all_readings)
        told.append((f"{way}, {verdicts[way]}: " if way else "") + ". ".join(words))
    wanted = (f"{m.title}: {'more' if sign > 0 else 'less'}" for m, sign in claim.measures.items())
    rule = f"{what}, at epoch {epoch}: {'; '.join(wanted)}"
    ours = ". ".join(one[0].upper() + one[1:] for one in told) + "."
    if claim.ways:
        rule += f". Rules: {', '.join(verdicts)}"
    if claim.ways == "time":
        known = paces(claim.contrast, evidence).items()
        kinds = dict(zip(FACTORS["conditioning"], ("GAN", "CGAN")))
        ours += " Time of an epoch, beside the quicker one's: "
        ours += ", ".join(f"{kinds.get(kind, kind)} × {own:.1f}" for kind, own in known) + "."
    return Entry(claim, rule, ours, tuple(seeds), agreed([*verdicts.values()]))


def _at_200(evidence: Evidence, measure: Measure) -> str:
    """The measure's mean over the runs of each cell at the end of 200 epochs, in words."""
    shown = []
    for cell, long in evidence.long.items():
        values = [measure(run, long["protocol"]["n_epochs"]) for run in long["runs"]]
        if values and None not in values:
            shown.append(f"{cell} {measure.form.format(mean(values))} (n = {len(values)})")
    return f" {measure.title.capitalize()} after 200 epochs: {', '.join(shown)}." if shown else ""


# --- Claims that are counted ---------------------------------------------------------------------


def _unlabelled_bce(
    evidence: Evidence, did: str, flag: Callable[[dict, dict], bool]
) -> tuple[str, str]:
    """At each eps, how many unlabelled BCE runs have a flaw, after the longest training of several.

    It holds if at least half of them have it at each eps, in part if any has it.
    """
    grid, flawed, words = evidence.grid, [], []
    for eps, cell in zip(FACTORS["bn_eps"], ("gan", "gan-eps0.8")):
        runs, long = (
            grid_runs(grid, conditioning="none", loss="bce", bn_eps=eps),
            evidence.long[cell],
        )
        after = {analysis.last_epoch(grid): [flag(run, grid) for run in runs]}
        if long["runs"]:
            after[analysis.last_epoch(long)] = [flag(run, long) for run in long["runs"]]
        shown = (f"{sum(flags)} of {len(flags)} by epoch {at}" for at, flags in after.items())
        words.append(f"eps {eps:g}: {', '.join(shown)}")
        several = [flags for flags in after.values() if len(flags) >= ENOUGH]
        flawed += several[-1:]
    verdict = "can't be told"
    if len(flawed) == len(words):
        verdict = _all_or_some([2 * sum(flags) >= len(flags) for flags in flawed])
        if verdict == "does not hold" and any(map(any, flawed)):
            verdict = "holds in part"
    return f"Runs that {did}: {'; '.join(words)}.", verdict


def _fell_back(run: dict, results: dict) -> bool:
    return FALLEN(run, analysis.last_epoch(results)) >= FALLEN.least


def _obeyed(runs: Sequence[dict], epoch: int) -> list[float]:
    return [share for run in runs if (share := ACCURACY(run, epoch)) is not None]


def _obedience(evidence: Evidence) -> tuple[str, str]:
    grid, last = evidence.grid, analysis.last_epoch(evidence.grid)
    labelled = [grid_runs(grid, conditioning="label", loss=loss, bn_eps=eps)
                for loss, eps in product(LOSSES, FACTORS["bn_eps"])]  # fmt: skip
    shares = [_obeyed(runs, last) for runs in labelled]
    several = [mean(cell) for cell in shares if len(cell) >= ENOUGH]
    if not several:
        return "No cell has two seeds yet.", "can't be told"
    ours = f"At epoch {last}, {min(several):.1%} to {max(several):.1%} of a cell's images; chance "
    ours += f"is 10 %, real digits score {grid['floor']['accuracy']:.1%}."
    if swapped := _obeyed(grid_runs(grid, conditioning="label", discriminator="swapped"), last):
        ours += f" With the GAN's D {mean(swapped):.1%}."
    long = [_obeyed(one["runs"], analysis.last_epoch(one)) for one in evidence.long.values()]
    several += [mean(cell) for cell in long if len(cell) >= ENOUGH]
    return ours, _all_or_some([found >= OBEYS for found in several])


def _never_less_clear(evidence: Evidence) -> tuple[str, str]:
    """Of all long runs, from epoch 25 on; a fall that is too small to name is none."""
    flags, words = [], []
    for cell, long in evidence.long.items():
        clear = []
        for run in long["runs"]:
            epochs = sorted(epoch for epoch in map(int, run["metrics"]) if epoch >= 25)
            clear.append(True)
            for measure in (PRECISION, ACCURACY):
                course = [measure(run, epoch) for epoch in epochs]
                if None not in course:
                    clear[-1] &= max(np.maximum.accumulate(course) - course) <= PRECISION.least
        if clear:
            words.append(f"{cell} {sum(clear)} of {len(clear)}")
        flags += clear
    verdict = _all_or_some(flags) if len(flags) >= ENOUGH else "can't be told"
    return (
        f"Runs of 200 epochs that never got less clear: {', '.join(words) or 'none yet'}.",
        verdict,
    )


def _slope(loss: Loss, probability: torch.Tensor) -> torch.Tensor:
    slope = torch.func.grad(lambda p: loss.generator(torch.logit(p)[None]))
    return torch.vmap(slope)(probability).abs()


def _slopes(_evidence: Evidence) -> tuple[str, str]:
    probability = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    ratio = _slope(MSE, probability) / _slope(BCE, probability)
    ours = f"By calculus: L_G's slope in D(x) under MSE is at most × {ratio.max():.2f} of BCE's."
    return ours, _all_or_some([bool(more) for more in ratio > 1])


def _parameters(_evidence: Evidence) -> tuple[str, str]:
    pairs = [[MODELS[layers, label] for layers in gains.LAYERS] for label in gains.LABEL]
    counts = [[gains.parameters(model) for model in pair] for pair in pairs]
    shown = (
        f"{new} {sum(few):,}, {old} {sum(many):,}" for (old, new), (many, few) in zip(pairs, counts)
    )
    fewer = [all(few < many for many, few in zip(*pair)) for pair in counts]
    return f"{'; '.join(shown)}; by the widths chosen here.", _all_or_some(fewer)


_HALF = (
    "unlabelled BCE runs after the longest training of several seeds, of which at least half at "
)
_HALF += "each eps (holds) or any (in part) "
# By name: what decides, in words, and the count: our evidence and the verdict.
COUNTS: dict[str, tuple[str, Callable[[Evidence], tuple[str, str]]]] = {
    "unlabelled BCE runs that fell back": (
        f"{_HALF}fell back: all falls of coverage and precision from a measured epoch to the next "
        f"add up to {FALLEN.least} or more", lambda e: _unlabelled_bce(e, "fell back", _fell_back)),
    "unlabelled BCE runs that collapsed": (
        f"{_HALF}collapsed: short of a digit, or below a quarter of the real images' coverage",
        lambda e: _unlabelled_bce(e, "collapsed", collapsed)),
    "obedience": (
        f"mean share drawn as asked, at least {OBEYS:.0%} in every labelled cell that has the "
        "CGAN's own discriminator and two or more seeds", _obedience),
    "runs that never got less clear": (
        f"precision and drawn as asked, from epoch 25 on, never more than {PRECISION.least} below "
        "their best so far: all runs, or some", _never_less_clear),
    "slopes": ("the slope of L_G in D(x) under MSE: more than under BCE", _slopes),
    "parameters": ("numbers that G and D learn, with the widths chosen here: less, in both",
                   _parameters),
}  # fmt: skip


def _by_count(claim: Claim, evidence: Evidence) -> Entry:
    rule, count = COUNTS[claim.contrast]
    ours, verdict = count(evidence)
    return Entry(claim, rule, ours, (), verdict)


def verdicts(results: dict, improved: dict, long: dict[str, dict]) -> list[Entry]:
    """All claims of ganlib.studies.claims.JUDGED, judged by the results of chapters 4 and 5.

    ``long``: the runs of 200 epochs of each cell, see endurance; a cell may have none.
    """
    evidence, entries = Evidence(results, improved, long), []
    for claim in JUDGED:
        entry = (_by_count if claim.contrast in COUNTS else _by_effects)(claim, evidence)
        also = _at_200(evidence, claim.also) if claim.also else ""
        entries.append(replace(entry, ours=entry.ours + also))
    return entries
