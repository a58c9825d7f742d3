"""Draw the still pictures of two pages and the README: ``python tools/pictures.py [ROW]``.

The front page: one z as all ten digits at five epochs, so a row is a moment and a column a digit.
The playground, where scripts are off: the run's last sheet, one z a row and one digit a column.
The README: samples of the experiment's cells, and its tables, from the shipped results.
"""

import io
import sys
from pathlib import Path

import torch
from execute import with_palette

from ganlib.figures import cells
from ganlib.figures.plotting import mosaic
from ganlib.figures.tables import Table
from ganlib.runs import store
from ganlib.sampling import png
from ganlib.studies.catalogue import STUDIES

EPOCHS = (0, 1, 5, 25, 50)  # the run is at its best at the last
ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "book" / "_static"
MARKS = [  # around the tables in the README
    (f"<!-- {what} -->\n", f"<!-- end of {what} -->\n")
    for what in ("what was found", "what was improved")
]


def cover(run: store.Run, row: int = 0) -> bytes:
    """The PNG: five epochs of row ``row`` of a conditional run's sheets, twice as large."""
    images = torch.cat([run.samples(epoch)[10 * row : 10 * row + 10] for epoch in EPOCHS])
    return png(mosaic(images, columns=10).repeat(2, axis=0).repeat(2, axis=1))


def gallery() -> bytes:
    """The PNG of samples of every cell of the experiment, on white for the README's both modes."""
    buffer = io.BytesIO()
    cells.gallery(STUDIES["paper"]).savefig(buffer, dpi=110, facecolor="white")
    return with_palette(buffer.getvalue())


def markdown(table: Table, wanted: dict[str, str]) -> str:
    """Some columns of a table in Markdown, a line each; ``wanted`` gives them their names here."""
    columns = [table.header.index(name) for name in wanted]
    lines = ["| " + " | ".join(wanted.values()) + " |", "|---" * len(wanted) + "|"]
    for row in table.rows:
        lines.append("| " + " | ".join(row[column] or "–" for column in columns) + " |")
    return "\n".join(lines) + "\n"


def table_of(name: str) -> Table:
    """The cells of a study, from its shipped results."""
    return cells.cells_table(STUDIES[name].load(), STUDIES[name])


def with_tables(readme: str) -> str:
    """The README with the tables between its marks made anew, from the shipped results."""
    names = ["cell", "runs", "coverage", "Fréchet distance", "digits found", "drawn as asked"]
    found = markdown(table_of("paper"), dict(zip(names, names)))
    names = ["runs", "coverage", "recall", "Fréchet distance", "drawn as asked"]
    names += ["specks an image", "seconds an epoch"]
    better = markdown(table_of("improvements"), {"cell": "model"} | dict(zip(names, names)))
    for (begin, end), table in zip(MARKS, (found, better)):
        before, rest = readme.split(begin)
        _, after = rest.split(end)
        readme = f"{before}{begin}\n{table}\n{end}{after}"
    return readme


if __name__ == "__main__":
    row = int(sys.argv[1]) if len(sys.argv) > 1 else 0  # a z whose digits are all legible
    run = store.find_run("cgan")
    store.write_whole(STATIC / "cover.png", cover(run, row))
    best = store.find_run("cbn-dcgan-spectral")
    store.write_whole(STATIC / "playground.png", png(best.sheet(best.epochs_done)))
    store.write_whole(STATIC / "findings.png", gallery())
    readme = ROOT / "README.md"
    store.write_whole(readme, with_tables(readme.read_text()).encode())
