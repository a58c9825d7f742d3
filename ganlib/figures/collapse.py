"""Points on a plane: a training in pictures, modes over time, what each setting changes, tables."""

from collections.abc import Sequence

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from ganlib.figures.curves import palette_png
from ganlib.figures.plotting import G_BLUE, GREEN, GREY, INK, new_figure
from ganlib.figures.tables import Table
from ganlib.figures.widgets import new_slider, stacked
from ganlib.judge.mixtures import Mixture, by_chance
from ganlib.studies import collapse
from ganlib.studies.analysis import Estimate
from ganlib.studies.modes import DATA, MEASURED

# --- Points --------------------------------------------------------------------------------------


def _draw_points(axes: Axes, points: np.ndarray, mixture: Mixture, title: str) -> None:
    """The modes as grey rings, much wider than they are, or none would be seen; points in blue."""
    axes.scatter(*mixture.centres.T, s=90, facecolors="none", edgecolors=GREY, lw=1.2)
    axes.scatter(*points.T, s=7, color=G_BLUE, alpha=0.7, lw=0)
    axes.set(xlim=(-mixture.span, mixture.span), ylim=(-mixture.span, mixture.span))
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.set_title(title, fontsize=10)


def clouds(pages: Sequence[Tensor], mixture: Mixture, titles: Sequence[str]) -> Figure:
    """Generated points (N, 2) of several moments or settings, side by side, over the modes."""
    figure, axes = new_figure(2.3 * len(pages), 2.6, 1, len(pages), 2, squeeze=False)
    for place, points, title in zip(axes.flat, pages, titles):
        _draw_points(place, points.numpy(), mixture, title)
    return figure


def frame(results: dict, name: str, iteration: int) -> np.ndarray:
    """A recorded training at one of its checks, as a picture (H, W, 3) uint8, all of one size."""
    row = results[name]
    check = row["iterations"].index(iteration)
    figure, axes = new_figure(3.4, 3.7)
    found = f"first seed: modes {row['modes'][check][0]}, near one {row['near'][check][0]:.0%}"
    points = np.array(row["points"][check]) / 100
    _draw_points(axes, points, DATA[row["protocol"]["data"]], f"{name}\niteration {iteration:,}")
    axes.title.set_size(9)
    axes.set_xlabel(found, fontsize=9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def training_slider(results: dict) -> ipywidgets.Widget:
    """Pick a recorded training and an iteration; the same z throughout."""
    names = [name for name in collapse.KEPT_POINTS if name in results]
    iterations = results[names[0]]["iterations"]
    which = new_slider(names, "training", 0)
    when = new_slider(
        [str(iteration) for iteration in iterations], "iteration", len(iterations) - 1
    )
    inner = []
    for name in names:
        pictures = []
        for iteration in iterations:
            png = palette_png(frame(results, name, iteration))
            picture = ipywidgets.Image(value=png, format="png")
            picture.layout.max_width = "100%"
            picture.add_class("smooth")
            pictures.append(picture)
        inner.append(stacked(pictures, when))
    return ipywidgets.VBox([which, when, stacked(inner, which)])


# --- What the study found ------------------------------------------------------------------------


def courses(results: dict, names: Sequence[str]) -> Figure:
    """Modes and the share near one over the iterations: mean of the seeds, 95 % interval."""
    figure, (left, right) = new_figure(8.6, 3.2, 1, 2)
    styles = ((INK, "-"), (GREEN, "--"))
    for name, (colour, line) in zip(names, styles):
        row = results[name]
        for place, of in ((left, collapse.modes_of), (right, collapse.near_of)):
            found = [of(row, check) for check in range(len(row["iterations"]))]
            place.plot(row["iterations"], [one.mean for one in found], line, color=colour)
            low, high = ([getattr(one, end) for one in found] for end in ("low", "high"))
            place.fill_between(row["iterations"], low, high, color=colour, alpha=0.15, lw=0)
        left.plot([], [], line, color=colour, label=name)
    modes = len(DATA[results[names[0]]["protocol"]["data"]].centres)
    left.set(xlabel="iteration", ylabel=f"modes found, of {modes}", ylim=(0, modes + 0.3))
    right.set(xlabel="iteration", ylabel="points near a mode, %", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


def _dots(axes: Axes, labels: Sequence[str], found: Sequence[Estimate], chance: float) -> None:
    for place, one in enumerate(found):
        axes.plot([one.low, one.high], [place] * 2, color=INK, lw=1.4)
        axes.plot(one.mean, place, "o", color=INK, ms=5)
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.axvline(found[0].mean, color=INK, lw=0.8, ls=":")
    axes.axvline(chance, color=GREEN, lw=1.2, ls="--", label="by chance")


def changed_from(base: str) -> dict[str, str]:
    """The rows with one thing changed from ``base``: what changed -> the row's name."""
    return {
        name.removeprefix(f"{base}, but "): name
        for name in collapse.ROWS
        if name.startswith(f"{base}, but ")
    }


def factors(results: dict) -> Figure:
    """One factor at a time, from either small copy towards the other: means, 95 % intervals."""
    bases = ("VEEGAN, small, ring", "PacGAN, small, ring")
    figure, axes = new_figure(8.6, 6.2, 2, 2, sharex="col", sharey="row")
    chance = by_chance(DATA["ring"], MEASURED)
    for line, base, other in zip(axes, bases, reversed(bases)):
        rows = {"as it is": base} | changed_from(base)
        rows = {label: name for label, name in rows.items() if name in results}
        kept = [results[name] for name in rows.values()]
        _dots(line[0], list(rows), [collapse.modes_of(row) for row in kept], chance[0])
        _dots(line[1], list(rows), [collapse.near_of(row) for row in kept], 100 * chance[1])
        paper, towards = (name.partition(",")[0] for name in (base, other))
        title = f"{paper}'s small copy,\none setting towards {towards}'s"
        line[0].set_title(title, loc="left")
    axes[1, 0].set(xlabel="modes found, of 8", xlim=(0, 8.2))
    axes[1, 1].set(xlabel="points near a mode, %", xlim=(0, None))
    axes[0, 1].legend(fontsize=8.5)
    return figure


def _spread(one: Estimate) -> str:
    mean, low, high = (round(number, 1) + 0.0 for number in (one.mean, one.low, one.high))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"  # 0.0 was added: none is to be -0.0


def rows_table(results: dict, names: Sequence[str], labels: Sequence[str] = ()) -> Table:
    """Some rows: modes, and percent near one, of G and of the average of its weights."""
    rows = []
    for name, label in zip(names, labels or names):
        row = results[name]
        averaged = {"modes": [row["average"]["modes"]], "near": [row["average"]["near"]]}
        cells = [
            of(each) for each in (row, averaged) for of in (collapse.modes_of, collapse.near_of)
        ]
        rows.append((label, *map(_spread, cells)))
    header = ("", "modes", "near a mode, %", "averaged G: modes", "near, %")
    return Table(header, rows)


def published_table(results: dict) -> Table:
    """The ledger: what two papers print, what ours finds, and the verdict by the rule."""
    rows = []
    for one in collapse.PUBLISHED:
        printed = f"{one.modes:g}; {one.near:g} %"
        if one.modes_error:
            printed = f"{one.modes:g} ± {one.modes_error:g}; {one.near:g} ± {one.near_error:g} %"
        row = results.get(one.ours)
        ours = agrees = "not trained here"
        if row is not None:
            ours = f"{_spread(collapse.modes_of(row))}; {_spread(collapse.near_of(row))} %"
            agrees = ", ".join(
                f"{name} {'yes' if holds else 'no'}"
                for name, holds in collapse.agreement(one, row).items()
            )
        rows.append(
            (f"{one.paper}'s table: {one.method}, {one.data}", collapse.verdict(one, results))
            + (printed, ours, agrees)
        )
    header = ("row", "verdict", "printed", "ours", "intervals overlap")
    return Table(header, rows, wide=True)
