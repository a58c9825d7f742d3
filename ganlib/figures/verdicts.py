"""Tables of the ledger: the paper's claims, their verdicts, and what decides them."""

from collections.abc import Sequence

from ganlib.figures.tables import Table
from ganlib.studies.analysis import RULE
from ganlib.studies.claims import NOT_JUDGED, Claim
from ganlib.studies.ledger import NOT_HERE, Entry
from ganlib.studies.measures import COVERAGE, FRECHET, PRECISION, RANGE, RECALL, SPECKS


def ledger_table(entries: Sequence[Entry]) -> Table:
    """The paper's claims and their verdicts at either length, see ganlib.studies.ledger."""
    rows = []
    for entry in entries:
        verdicts = [verdict.upper() for verdict in entry.verdicts.values()]
        ours = [f"At {epoch}: {words}" for epoch, words in entry.ours.items()]
        claim = f"{entry.claim.id}: {entry.claim.says}"
        verdicts += [NOT_HERE] * (2 - len(verdicts))
        rows.append((claim, *verdicts, _quoted(entry.claim), " ".join(ours)))
    header = ("claim", "at 25 epochs", "at 200", "the paper's words (section)", "ours")
    caption = "section 4.2's at 10 epochs; runs missing: fewer than three of a cell so far; "
    caption += f"{NOT_HERE}: there is no such study, or the claim is about one epoch, or about none"
    return Table(header, rows, caption, wide=True)


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
