"""Wherever the book names one of the paper's equations, the number and what is said of it agree."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from execute import chapters

from ganlib.losses import EQUATIONS, LEAST_SQUARES, MSE

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {str(path): nbformat.read(ROOT / path, as_version=4) for path in chapters()}

# "Eq. 3", "Eqs. 9 and 10", "Equation 1", "Eqs. 7-11"; not another work's, "(Heusel 2017, Eq. 6)".
MENTION = re.compile(r"(?<!\d{4}, )\b(?:Eqs?\.|[Ee]quations?) (\d+)(?:( and | or | to |-|–)(\d+))?")
RANGES = (" to ", "-", "–")
TAGGED = re.compile(r"\$\$([^$]*?)\\tag\{([\d, ]+)\}")
FAMILIES = [{1}, {2}, {3, 4, 5, 6}, {7, 8, 9, 10, 11}]  # of the GAN and the CGAN: game, losses

# A sentence that names one of these equations says which part of D's loss it is: the paper's (9),
# (10) and (11) are easily taken for one another. "MSE, Eq. 9" is D's whole loss as well.
PARTS = {
    "L_D": r"L_D|½|whole|\$?D\$? to minimise|(BCE|MSE),? \(?Eq",
    "L_real": r"L_(\\text\{)?real|\breal\b",
    "L_fake": r"L_(\\text\{)?fake|\b(fake|generated)\b",
}
# Words for a kind of loss, right before a mention ("the squared error of Eq. 7") or after it.
KINDS = {"bce": r"BCE|cross-entropy|\blog\b", "mse": r"MSE|squared errors?|\^2|²"}


def kind(number: int) -> str:
    return "mse" if number >= 7 else "bce"


def numbers(mention: re.Match) -> list[int]:
    """The one or two equations that a mention names; of a range, both ends."""
    return [int(number) for number in mention.group(1, 3) if number]


def named(text: str) -> list[int]:
    return [number for mention in MENTION.finditer(text) for number in numbers(mention)]


def wrong(sentence: str) -> list[str]:
    """What a sentence says wrongly of the equations that it names."""
    faults = []
    for mention in MENTION.finditer(sentence):
        before, after = sentence[: mention.start()], sentence[mention.end() :]
        for number in numbers(mention):
            part, _ = EQUATIONS.get(number, ("missing", None))
            if part == "missing":
                faults.append(f"there is no Eq. {number}")
            elif mention[2] not in RANGES and not re.search(PARTS.get(part, ""), sentence):
                faults.append(f"Eq. {number} is {part}, and nothing here says so")
            for other, words in KINDS.items():
                said = re.search(rf"({words})[, (]*(of )?$", before)
                said = said or re.match(rf"[,:][^,.;]{{0,30}}?({words})", after)
                if said and other != kind(number):
                    faults.append(f"Eq. {number} is not {other}")
    return faults


def sentences(text: str) -> list[str]:
    """The sentences, table rows and list items that name an equation; formulas are left out."""
    text = re.sub(r"\$\$.*?\$\$", "\n\n", text, flags=re.DOTALL)
    pieces = re.split(r"\n\s*\n|\n(?=#|- |\|)|(?<=[.!?])\**\s+(?=[\"A-Z*$`(])", text)
    return [" ".join(piece.split()) for piece in pieces if named(piece)]


def of_code(source: str) -> list[str]:
    """Docstrings, labels and comments."""
    found = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    comments = re.findall(r"(?:^ *#.*\n?)+|#.*", source, flags=re.MULTILINE)
    comments = [re.sub(r"^ *#", "", block, flags=re.MULTILINE) for block in comments]
    return [text for text in found + comments if isinstance(text, str)]


def texts() -> dict[str, list[str]]:
    """All that the project says, by where it says it."""
    found = {
        str(path.relative_to(ROOT)): [path.read_text()]
        for path in (ROOT / "README.md", *ROOT.glob("book/*.md"))
    }
    for folder in ("ganlib", "tests", "bench", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            if path != Path(__file__).resolve():  # which quotes what is wrong
                found[str(path.relative_to(ROOT))] = of_code(path.read_text())
    for name, notebook in NOTEBOOKS.items():
        for place, cell in enumerate(notebook.cells):
            is_code = cell.cell_type == "code"
            said = of_code(re.sub("%pip.*", "pass", cell.source)) if is_code else [cell.source]
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            found[f"{name}, cell {place}"] = [*said, alt]
    return found


def test_what_is_said_of_an_equation_is_what_the_paper_numbers_so():
    faults = [
        f"{place}: {sentence}\n    {', '.join(found)}"
        for place, parts in texts().items()
        for part in parts
        for sentence in sentences(part)
        if (found := wrong(sentence))
    ]
    assert not faults, "\n" + "\n".join(faults)


def test_formulas_carry_the_papers_numbers():
    """Each equation is written once, defines what the paper's does, and stands among its like."""
    seen: list[int] = []
    for name, notebook in NOTEBOOKS.items():
        for place, cell in enumerate(notebook.cells):
            tagged = {
                int(number): formula
                for formula, tag in TAGGED.findall(cell.source)
                for number in tag.split(",")
            }
            for number, formula in tagged.items():
                where = f"{name}, cell {place}, ({number})"
                defined = re.sub(r"\\text|\\mathcal|[{}\s]", "", formula.partition("=")[0])
                part, _ = EQUATIONS[number]
                assert defined == part or defined.endswith("V(D,G)") and part == "V", where
                squares = "^2" in formula
                assert part == "L_D" or squares == (kind(number) == "mse"), where
            assert not tagged or any(tagged.keys() <= family for family in FAMILIES), where
            seen += tagged
    assert sorted(seen) == sorted(EQUATIONS)


@pytest.mark.parametrize("function", dict.fromkeys(f for _, f in EQUATIONS.values() if f))
def test_a_loss_names_its_equations_and_what_they_give(function):
    equations = {number: part for number, (part, own) in EQUATIONS.items() if own is function}
    head, _, body = function.__doc__.partition(":")
    assert named(head) == list(equations)
    assert set(equations.values()) == {body.partition("=")[0].strip()}


def test_least_squares_name_the_equations_whose_squares_they_take():
    for raw, probable in zip(LEAST_SQUARES, MSE):
        assert named(raw.__doc__) == named(probable.__doc__)


@pytest.mark.parametrize(
    ("right", "false"),
    [
        ("a sum without the ½ of Eq. 9", "a sum without the ½ of Eq. 11"),
        (
            "Eq. 6 asks $D$ to minimise $-p \\log D$, and Eq. 9 to minimise $(D-1)^2$",
            "Eq. 6 asks $D$ to minimise $-p \\log D$, and Eq. 11 to minimise $(D-1)^2$",
        ),
        ("MSE, Eq. 9", "MSE, Eq. 11"),
        ("BCE, Eq. 6", "BCE, Eq. 9"),
        ("L_D, Eq. 6 or Eq. 9, as an integral", "L_D, Eq. 6 or Eq. 11, as an integral"),
        ("the real term, Eq. 10, or the fake one, Eq. 11", "the real term, Eq. 9"),
        ("L_fake (Eq. 11)", "L_fake (Eq. 10)"),
        ("the squared error of Eq. 7 lets go", "the squared error of Eq. 3 lets go"),
        ("Eq. 7, (D − 1)²", "Eq. 7, −log D"),
        ("not from Eqs. 7 to 11", "not from Eqs. 7 to 12"),
        ("FID (Heusel et al. 2017, Eq. 6)", "FID (Eq. 6)"),
    ],
)
def test_a_wrong_number_is_found(right, false):
    assert not wrong(right)
    assert wrong(false)
