"""For Sphinx: the picture of the rooms and the tables of files and models, from the code itself.

The rooms are drawn from the import contracts in pyproject.toml; a file's line is the first sentence
of its docstring; the models are those of ganlib.families. The README has both tables as well:
``python book/_ext/house.py`` writes them there.
"""

import ast
import tomllib
from html import escape
from pathlib import Path

import ganlib
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, build, n_parameters
from ganlib.runs.store import find_run, recorded_names

PACKAGE = Path(ganlib.__file__).parent
ROOT = PACKAGE.parent
PICTURE = "<!-- the picture of the rooms -->"
SUBJECT = "sampling"  # the highest file of the core; what stands above it is built on the subject

Floors = list[list[str]]  # from the top; on each, what knows only the floors below


# --- What the code says --------------------------------------------------------------------------


def contracts(pyproject: Path = ROOT / "pyproject.toml") -> dict[str, Floors]:
    """Each package of the contracts of import-linter, and its floors."""
    stored = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    return {
        each["containers"][0]: [floor.split(" | ") for floor in each["layers"]] for each in stored
    }


def about(path: Path) -> str:
    """The first sentence of a module's docstring, as Markdown on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    sentence = " ".join(docstring.split("\n\n")[0].split()).split(". ")[0]
    return sentence.rstrip(".").replace("``", "`").replace(":mod:`", "`").replace("|", "\\|")


def files_table() -> str:
    """A line for each file of ganlib, in an order in which they can be read: from the ground up."""
    floors = contracts()
    rows = ["| file | what it is for |", "|---|---|"]
    for name in (name for floor in reversed(floors["ganlib"]) for name in floor):
        folder = PACKAGE / name
        if not folder.is_dir():
            rows.append(f"| `{name}.py` | {about(folder.with_suffix('.py'))} |")
            continue
        rows.append(f"| **`{name}/`** | **{about(folder / '__init__.py')}** |")
        for file in (file for floor in reversed(_inside(name, floors)) for file in floor):
            rows.append(f"| `{name}/{file}.py` | {about(folder / f'{file}.py')} |")
    return "\n".join(rows) + "\n"


def _inside(package: str, floors: dict[str, Floors]) -> Floors:
    """The floors of a package; those of a contract, or one with all that is there."""
    files = sorted(path.stem for path in (PACKAGE / package).glob("[!_]*.py"))
    return floors.get(f"ganlib.{package}") or ([files] if files else [])


def models_table() -> str:
    """A row for each model: its title, its size at Table 1's settings, the runs that ship."""
    runs: dict[str, list[str]] = {model: [] for model in MODELS}
    for name in recorded_names():
        runs[find_run(name).config.model].append(f"`{name}`")
    rows = ["| model | what it is | numbers that G learns | D, and others | recorded runs |"]
    rows.append("|---|---|--:|--:|---|")
    for model, kind in MODELS.items():
        networks = build(TrainingConfig(model=model))
        sizes = {name: f"{n_parameters(network):,}" for name, network in networks.items()}
        cells = [f"`{model}`", kind.title, sizes.pop("generator"), " + ".join(sizes.values())]
        rows.append(f"| {' | '.join([*cells, ', '.join(runs[model])])} |")
    return "\n".join(rows) + "\n"


# --- The picture ---------------------------------------------------------------------------------

# On a small screen it scrolls, by keyboard as well, so that its words can be read.
FIGURE = '<figure tabindex="0" style="overflow-x:auto">{}</figure>'
WIDTH, LEFT, ROW, GAP = 760, 130, 26, 10  # of the picture, a room's name, a floor, between rooms
LETTER = 7.3  # the width of a letter, at 12 pixels


def picture() -> str:
    """The rooms as an SVG: whatever stands higher may import what stands below it, and no other.

    It has no colours of its own but takes those of the text around it, light or dark.
    """
    floors = contracts()
    parts, y, core = [], 0.0, None
    for floor in floors["ganlib"]:
        if SUBJECT in floor:
            core = y
        inner = _inside(floor[0], floors)
        height = ROW * max(1, len(inner)) + 8
        name = " · ".join(floor)
        parts += [_box(0, y, WIDTH - 60, height), _text(10, y + ROW / 2 + 8, name, bold=True)]
        for row, files in enumerate(inner):
            x = float(LEFT)
            for file in files:
                wide = LETTER * len(file) + 14
                parts += [_box(x, y + 5 + ROW * row, wide, ROW - 4)]
                parts += [_text(x + 7, y + ROW * row + ROW / 2 + 7, file)]
                x += wide + 6
        y += height + GAP
    parts.append(_brace(0, core - GAP, "built on it"))
    parts.append(_brace(core, y - GAP, "the subject"))
    says = "; ".join(", ".join(floor) for floor in floors["ganlib"])
    label = f"The rooms of ganlib, one above the other, from the command line down: {says}."
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="-1 -1 {WIDTH + 2} {y:.0f}" '
        'style="width:100%;min-width:38rem;font-family:monospace;font-size:12px" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _box(x: float, y: float, width: float, height: float) -> str:
    look = 'rx="5" fill="currentColor" fill-opacity="0.06" stroke="currentColor"'
    size = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<rect {size} {look} stroke-opacity="0.35"/>'


def _text(x: float, y: float, text: str, bold: bool = False, turn: str = "") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="currentColor"{weight}{turn}>{escape(text)}</text>'


def _brace(top: float, bottom: float, text: str) -> str:
    x, middle = WIDTH - 45, (top + bottom) / 2
    line = f'd="M{x - 8},{top:.0f} h8 V{bottom:.0f} h-8" fill="none" stroke="currentColor"'
    turn = f' transform="rotate(90 {x + 12} {middle:.0f})" text-anchor="middle"'
    return f"<path {line}/>{_text(x + 12, middle, text, turn=turn)}"


# --- Into the pages ------------------------------------------------------------------------------

TABLES = {"the files": files_table, "the models": models_table}


def marks(what: str) -> tuple[str, str]:
    """What stands before and after a table in the README."""
    return f"<!-- {what} -->\n", f"<!-- end of {what} -->\n"


def with_tables(readme: str) -> str:
    """The README with the tables between its marks made anew."""
    for what, table in TABLES.items():
        begin, end = marks(what)
        before, rest = readme.split(begin)
        _, after = rest.split(end)
        readme = f"{before}{begin}\n{table()}\n{end}{after}"
    return readme


def fill_in(app, docname: str, source: list[str]) -> None:
    """Replace the placeholders of a page."""
    for what, table in TABLES.items():
        if marks(what)[0] in source[0]:
            source[0] = source[0].replace(marks(what)[0], table())
    source[0] = source[0].replace(PICTURE, FIGURE.format(picture()))


def setup(app) -> dict:
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text()))
