"""A second drawing of every figure, for a phone: narrow, its panels below each other.

A notebook keeps it in the output's metadata, where Jupyter leaves it alone; the book's pages show
it on small screens (book/_ext/narrow.py).
"""

import base64
import io
import pickle
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

KEY = "narrow"  # in an output's metadata: a PNG, in base64
WIDTH = 4.0  # inches; on a screen of 360 pixels, letters of 8 points are 10 pixels high
_DPI = 150
_LONG = 14  # letters of a row's name that leave too little room beside it


class TwoFold(Figure):
    """A figure that a notebook keeps twice, wide and narrow.

    ``across``: so many of its panels stand beside each other in the narrow one. ``narrowed``: how
    that is drawn, if not from the wide one.
    """

    across: int = 1
    narrowed: Callable[[], Figure] | None = None

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """Nothing but the narrow drawing; the wide one is the notebook's own affair."""
        drawn = self.narrowed() if self.narrowed else restacked(self)
        buffer = io.BytesIO()
        drawn.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.05)
        return {}, {KEY: base64.b64encode(buffer.getvalue()).decode()}


def restacked(figure: TwoFold) -> Figure:
    """A copy of the figure, WIDTH inches wide, with ``across`` panels in a row.

    Panels that took title, labels or ticks from the edges of the grid get their own.
    """
    copy: TwoFold = pickle.loads(pickle.dumps(figure))  # deepcopy loses what axes share
    panels = [place for place in copy.axes if place.get_subplotspec() is not None]
    grid = panels[0].get_gridspec()
    across = min(figure.across, grid.ncols)
    if across < grid.ncols:
        _complete(panels, grid.ncols)
    for place in panels:
        _names_inside(place)
    heights = _heights(panels, copy.get_figheight(), across)
    lines = sum(len(legend.get_texts()) for legend in copy.legends)
    copy.set_size_inches(WIDTH, sum(heights) + 0.2 * lines)
    new = copy.add_gridspec(len(heights), across, height_ratios=heights)
    for number, place in enumerate(panels):
        place.set_subplotspec(new[number // across, number % across])
    for legend in copy.legends:  # again, in one column
        words = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        copy.legend(legend.legend_handles, words, loc="outside lower center", frameon=False)
    return copy


def _complete(panels: list[Axes], columns: int) -> None:
    """Say at each panel what the grid says once for a row or a column."""
    for number, place in enumerate(panels):
        row, column = divmod(number, columns)
        left, top, bottom = panels[row * columns], panels[column], panels[column - columns]
        place.set_ylabel(place.get_ylabel() or left.get_ylabel())
        place.set_xlabel(place.get_xlabel() or bottom.get_xlabel())
        if not any(place.get_title(side) for side in ("left", "center")):
            place.set_title(top.get_title())
        for axis, shared in (("x", place.get_shared_x_axes()), ("y", place.get_shared_y_axes())):
            if len(shared.get_siblings(place)) > 1:
                place.tick_params(axis, **{"labelbottom" if axis == "x" else "labelleft": True})
        if _has_names(place):
            for label, named in zip(place.get_yticklabels(), left.get_yticklabels()):
                label.set_weight(named.get_weight())


def _has_names(place: Axes) -> bool:
    """Whether what stands at its left are names of rows, or numbers that were chosen."""
    chosen = isinstance(place.yaxis.get_major_locator(), FixedLocator)
    return chosen and place.get_aspect() == "auto"


def _names_inside(place: Axes) -> None:
    """Long names of rows would leave no room for the rows: each moves above its own."""
    labels = place.get_yticklabels() if _has_names(place) else ()
    if max((len(label.get_text()) for label in labels), default=0) < _LONG:
        return
    for at, label in zip(place.get_yticks(), labels):
        look = {"fontsize": 8.5, "weight": label.get_weight(), "va": "bottom"}
        place.annotate(label.get_text(), (0, at), (0, 4), place.get_yaxis_transform(),
                       textcoords="offset points", **look)  # fmt: skip
    place.tick_params("y", labelleft=False)
    place.set_ylim(top=min(place.get_yticks()) - 0.9)  # upside down; room for the first


def _heights(panels: list[Axes], height: float, across: int) -> list[float]:
    """Of the rows of the narrow figure, in inches: pictures keep their shape, plots their height.

    ``height``: of the wide figure.
    """
    found = []
    for place in panels:
        ratios = place.get_gridspec().get_height_ratios() or [1] * place.get_gridspec().nrows
        row = place.get_subplotspec().rowspan.start
        if place.get_aspect() == "auto":
            found.append(height * ratios[row] / sum(ratios))
        else:
            room = 0.15 + 0.35 * bool(place.get_title()) + 0.25 * bool(place.get_xlabel())
            room += place.get_data_ratio() * (WIDTH / across - 0.1)
            along = max(map(len, place.get_ylabel().split("\n")))  # letters, set upwards
            found.append(max(room, 0.09 * along))
    return [max(found[first : first + across]) for first in range(0, len(found), across)]
