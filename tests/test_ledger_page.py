"""The page with the ledger shows the verdicts of the shipped results, and says what they say."""

import re
from pathlib import Path

import nbformat
import pytest

from ganlib.figures import verdicts
from ganlib.studies import ledger

PAGE = Path(__file__).resolve().parents[1] / "book" / "ledger.ipynb"
# (C8), (C7 a), (4.2 e, f), (1 a)
NAMED = re.compile(r"\((C\d+(?: [a-c])?|(?:4\.2|1) [a-i](?:, [a-i])*)\)")


@pytest.fixture(scope="module")
def entries() -> list[ledger.Entry]:
    return ledger.verdicts(ledger.shipped())


@pytest.fixture
def notebook():
    return nbformat.read(PAGE, as_version=4)


def test_it_shows_the_verdicts_of_the_shipped_results(notebook, entries):
    """After `python -m ganlib experiment` the page has to be executed again."""
    (cell,) = [cell for cell in notebook.cells if "ledger_table" in cell.source]
    shown = [o["data"]["text/plain"] for o in cell.outputs if o.output_type == "execute_result"]
    assert shown == [repr(verdicts.ledger_table(entries))]


def named(paragraph: str, known: dict[str, list[str]]) -> dict[str, list[str]]:
    """The claims that a paragraph names, with their verdicts; (C1) stands for C1 a and C1 b."""
    ids = []
    for mention in NAMED.findall(paragraph):
        first, *more = mention.split(", ")
        ids += [first, *(f"{first.rpartition(' ')[0]} {letter}" for letter in more)]
    return {id_: sum((own for key, own in known.items() if key == id_ or key[:-2] == id_), [])
            for id_ in ids}  # fmt: skip


@pytest.mark.parametrize(
    ("begins", "may", "least"),
    [
        ("**For it.**", {"holds", "holds in part", "mixed"}, 5),
        ("**Against it.**", {"against in part", "does not hold", "can't be told", "mixed"}, 4),
    ],
)
def test_its_prose_names_claims_on_the_side_of_their_verdicts(
    notebook, entries, begins, may, least
):
    known = {entry.claim.id: [*entry.verdicts.values()] for entry in entries}
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    (paragraph,) = [part for part in prose.split("\n\n") if part.startswith(begins)]
    found = named(paragraph, known)
    assert len(found) >= least
    for id_, own in found.items():
        assert own and set(own) & may, f"{id_} is {own}"


def test_in_short_there_are_no_brackets_of_evidence(entries):
    for row in verdicts.ledger_table(entries).rows:
        assert len(row) == 4 and row[-1].endswith(".") and len(row[-1]) < 400
    assert len(verdicts.evidence_table(entries).rows) == len(entries)
