"""Tables of the ledger: the paper's claims, their verdicts, and what decides them."""

import re
from collections.abc import Sequence

from ganlib.figures.tables import Table
from ganlib.studies.analysis import RULE, VERDICTS
from ganlib.studies.claims import NOT_JUDGED, Claim
from ganlib.studies.ledger import NOT_HERE, Entry
from ganlib.studies.measures import COVERAGE, FRECHET, PRECISION, RANGE, RECALL, SPECKS


def ledger_table(entries: Sequence[Entry]) -> Table:
    """The paper's claims, their verdicts at either length, and our evidence in short."""
    rows = []
    for entry in entries:
        verdicts = [verdict.upper() for verdict in entry.verdicts.values()]
        verdicts += [NOT_HERE] * (2 - len(verdicts))
        rows.append((f"{entry.claim.id}: {entry.claim.says}", *verdicts, _in_short(entry)))
    caption = (
        "section 4.2's at 10 epochs, section 1's at 15 and 8; runs missing: too few of a cell; "
    )
    caption += f"{NOT_HERE}: there is no such study, or the claim is about one epoch, or about none"
    return Table(("claim", "at 25 epochs", "at 200", "our evidence, in short"), rows, caption, True)


def _in_short(entry: Entry) -> str:
    """The evidence without its numbers: at the shortest length, or at each, if verdicts differ."""
    told = {entry.verdicts[epoch] for epoch in entry.ours}
    if len(told) == 1:
        return _without_numbers(entry.claim, next(iter(entry.ours.values())))
    return " ".join(
        f"At {epoch}: {_without_numbers(entry.claim, words)}" for epoch, words in entry.ours.items()
    )


def _without_numbers(claim: Claim, words: str) -> str:
    """Of several ways, their verdicts; else how many settings are read how."""
    if claim.ways:
        verdicts = "|".join(VERDICTS)
        ways = re.findall(rf"(?:^|\. )([A-Z][\w ]+), ({verdicts}):", words)
        if len({verdict for _, verdict in ways}) == 1:
            return f"{ways[0][1]}, by {len(ways)} rules alike".capitalize() + "."
        return "; ".join(f"{way.lower()}, {verdict}" for way, verdict in ways).capitalize() + "."
    words = re.sub(r"; [^;]*? label alone at [^;.]*", "", words)  # what has no vote
    return re.sub(r" \((?:[^()]|\([^()]*\))*\)", "", words)  # one bracket in another, at most


def evidence_table(entries: Sequence[Entry]) -> Table:
    """What each verdict rests on: the paper's words, and every effect with its interval."""
    rows = []
    for entry in entries:
        ours = (f"At {epoch}: {words}" for epoch, words in entry.ours.items())
        rows.append((entry.claim.id, _quoted(entry.claim), " ".join(ours)))
    return Table(("claim", "the paper's words (section)", "our evidence"), rows, wide=True)


def _quoted(claim: Claim) -> str:
    return f"“{claim.quote}” ({claim.section})"


def rules_table(entries: Sequence[Entry]) -> Table:
    """What each claim's verdict is decided by."""
    judged = (COVERAGE, RECALL, PRECISION, FRECHET, RANGE, SPECKS)
    least = ", ".join(f"{m.title} {'× ' if m.ratio else ''}{m.least:g}" for m in judged)
    caption = f"{RULE}\nThe smallest effects that are worth naming: {least}"
    return Table(("claim", "decided by"), [(e.claim.id, e.rule) for e in entries], caption, True)


def not_judged_table() -> Table:
    """The paper's claims that no experiment here can judge, and why."""
    rows = [(c.says, _quoted(c), c.why) for c in NOT_JUDGED]
    return Table(("claim", "the paper's words (section)", "not judged here:"), rows, wide=True)
