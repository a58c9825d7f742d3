"""The paper's claims, each with our evidence and a verdict that the results decide.

No verdict is written down here, only how it is reached: more runs can change it. Most claims are
read as an effect in several settings, by the rule of :mod:`ganlib.studies.analysis`; a few are
counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ganlib.studies.analysis import (
    ENOUGH,
    READINGS,
    Estimate,
    Vote,
    agreed,
    combine,
    last_epoch,
    read,
    seconds_by_kind,
)
from ganlib.studies.catalogue import STUDIES
from ganlib.studies.claims import Claim
from ganlib.studies.measures import WAYS, Measure
from ganlib.studies.paper import ASIDE
from ganlib.studies.study import Study

NOT_HERE = "–"  # no verdict at this length: the claim is about another epoch, or there is no study


@dataclass(frozen=True)
class Entry:
    """A line of the ledger, in words: ``rule`` says what the verdict is decided by.

    ``verdicts`` and ``ours``, our evidence, by the epochs that the runs were long.
    """

    claim: Claim
    rule: str
    verdicts: dict[int, str]
    ours: dict[int, str]


def shipped() -> dict[str, dict]:
    """The results of every study that a claim rests on, as they ship, by its name.

    A study that has none yet has no run; then each of its claims lacks runs.
    """
    named = [(study.name, study.longer) for study in STUDIES.values() if study.claims]
    own = {name: STUDIES[name] for names in named for name in names if name}
    return {name: one.load() if one.path.exists() else one.nothing() for name, one in own.items()}


def verdicts(results: Mapping[str, dict]) -> list[Entry]:
    """All claims of all studies, judged by the ``results`` of studies, as loaded, by name."""
    return [_entry(study, claim, results) for study in STUDIES.values() for claim in study.claims]


def _entry(study: Study, claim: Claim, results: Mapping[str, dict]) -> Entry:
    rule, judge = "", {}
    for name in filter(None, (study.name, study.longer)):
        judge[last_epoch(results[name])] = results[name]
    chosen = judge
    if claim.when is not None:  # the shortest that gets there
        enough = [epoch for epoch in judge if epoch >= claim.when]
        chosen = {epoch: judge[epoch] for epoch in [min(enough, default=max(judge))]}
    found = {epoch: NOT_HERE for epoch in judge}, {}
    for epoch, own in chosen.items():
        if claim.contrast in study.counts:
            rule, count = study.counts[claim.contrast]
            found[1][epoch], found[0][epoch] = count(own)
        else:
            rule = study.contrasts[claim.contrast][0]
            found[1][epoch], found[0][epoch] = _by_effects(study, claim, own)
    wanted = "; ".join(f"{m.title}: {'more' if sign > 0 else 'less'}"
                       for m, sign in claim.measures.items())  # fmt: skip
    rule += f": {wanted}" if wanted else ""
    rule += f", at epoch {claim.when}" if claim.when else ""
    if any(measure.better for measure in claim.measures):
        rule += ". At the test set's shares of digits where all runs were measured so"
    rule += f". Ways: {', '.join(WAYS[claim.ways])}" if claim.ways else ""
    return Entry(claim, rule, *found)


def _by_effects(study: Study, claim: Claim, results: dict) -> tuple[str, str]:
    """Our evidence and the verdict, by RULE."""
    effects = study.contrasts[claim.contrast][1]
    epoch = claim.when or last_epoch(results)
    least = results["needs"] or ENOUGH
    votes, told, short = {}, {}, False
    for way, look in WAYS[claim.ways].items():
        for measure, toward in claim.measures.items():
            found = effects(results, look(measure), epoch)
            own = {name: one for name, one in found.items() if not name.startswith(ASIDE)}
            short |= bool(results["needs"]) and any(one.n < least for one in own.values())
            votes[way, measure] = [
                Vote(name, one, measure, toward) for name, one in own.items() if one.n >= ENOUGH
            ]
            told[way, measure] = [f"{one} {name[1:]}" for name, one in found.items()
                                  if name.startswith(ASIDE) and one.n]  # fmt: skip
    words = iter(read([vote for own in votes.values() for vote in own]))
    readings = {key: [next(words) for _ in own] for key, own in votes.items()}
    by_way = {way: combine([one for key, own in readings.items() if key[0] == way for one in own])
              for way in WAYS[claim.ways]}  # fmt: skip
    shown = []
    for way, verdict in by_way.items():
        parts = [_in_words(key[1], votes[key], readings[key], told[key], bool(way))
                 for key in votes if key[0] == way]  # fmt: skip
        shown.append((f"{way}, {verdict}: " if way else "") + ". ".join(parts))
    ours = ". ".join(one[:1].upper() + one[1:] for one in shown) + "."
    if claim.ways == "time":
        ours += _pace_in_words(results)
    return ours, "runs missing" if short else agreed([*by_way.values()])


def _in_words(
    measure: Measure,
    votes: Sequence[Vote],
    readings: Sequence[str],
    asides: Sequence[str],
    brief: bool,
) -> str:
    """How many settings are read how, each effect if they are few, or which they are.

    Then the effects that have no vote; ``brief``, only the first of these, the average.
    """
    title = measure.title[:1].upper() + measure.title[1:]
    each = [f"{vote.effect} {vote.setting}{_by(vote.effect, measure)}" for vote in votes]
    words = []
    for word in READINGS:
        own = [one if len(votes) <= 2 else f"{vote.setting}{_by(vote.effect, measure)}"
               for vote, one, reading in zip(votes, each, readings) if reading == word]  # fmt: skip
        shown = f" ({', '.join(own)})" if len(votes) <= 2 or not brief else ""
        words += [f"{len(own)} {word}{shown}"] if own else []
    words = words or ["no setting to judge by"]
    return f"{title}: {'; '.join([*words, *(asides[:1] if brief else asides)])}"


def _by(one: Estimate, measure: Measure) -> str:
    """Whether a better measure took this one's place."""
    return " at the test set's shares" if measure.better and one.by != measure.title else ""


def _pace_in_words(results: dict) -> str:
    known = seconds_by_kind(results).items()
    return " Seconds an epoch, median: " + ", ".join(f"{k} {own:.0f}" for k, own in known) + "."
