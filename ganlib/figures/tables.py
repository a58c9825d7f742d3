"""Tables for a page and for a terminal: the same rows, as HTML and as aligned text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _unbroken(cell: str) -> str:
    """The cell with spaces that do not break, but for one before an interval."""
    return str(cell).replace(" ", "\N{NO-BREAK SPACE}").replace("\N{NO-BREAK SPACE}[", " [")


@dataclass(frozen=True)
class Table:
    """Rows of text under a header. A notebook shows it as HTML, `print` as aligned columns.

    ``wide``: its columns hold sentences; otherwise every column but the first is set to the right,
    as numbers are read, and breaks only before an interval. Raises ValueError if a row has not as
    many cells as the header.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    wide: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{len(self.header)} columns, but a row has {len(row)}: {row}")

    def __repr__(self) -> str:
        text = aligned([self.header, *self.rows])
        return f"{self.caption}\n{text}" if self.caption else text

    def only(self, *columns: str, rows: Sequence[str] = ()) -> "Table":
        """Some columns of it, and some ``rows``, by their first cell (all, if none are named).

        Raises ValueError if a column or a row is not there.
        """
        places = [list(self.header).index(name) for name in columns]
        named = {row[0]: row for row in self.rows}
        if missing := [name for name in rows if name not in named]:
            raise ValueError(f"no row is called {', '.join(missing)}")
        chosen = [named[name] for name in rows] or self.rows
        kept = [[row[place] for place in places] for row in chosen]
        return replace(self, header=columns, rows=kept)

    def _repr_html_(self) -> str:
        def cells(row: Sequence[str], tag: str) -> str:
            side = ["left", *["left" if self.wide else "right"] * (len(row) - 1)]
            style = "vertical-align: top; padding: 0.15rem 0.25rem; white-space: pre-wrap"
            if not self.wide and tag == "td":
                row = [row[0], *(_unbroken(cell) for cell in row[1:])]
            shown = (f'<{tag} style="text-align: {s}; {style}">{escape(str(c))}</{tag}>'
                     for c, s in zip(row, side))  # fmt: skip
            return "".join(shown)

        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = f"<thead><tr>{cells(self.header, 'th')}</tr></thead>"
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.rows)
        table = '<table class="dataframe" style="font-size: 0.75rem">'
        table += f"{caption}{head}<tbody>{body}</tbody></table>"
        # On a narrow screen the table scrolls in its box, which the keyboard can reach.
        return f'<div tabindex="0" style="overflow-x: auto; margin-bottom: 1rem">{table}</div>'
