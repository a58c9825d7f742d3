"""Figures and tables of a study: its cells at one glance, and their courses.

All take results as `Study.load` gives them, whole or in part.
"""

from collections.abc import Sequence
from itertools import cycle, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from torch import Tensor

from ganlib.figures.plotting import GREEN, GREY, INK, draw_grid, new_figure
from ganlib.figures.tables import Table
from ganlib.judge.classifier import load_classifier, read_digits
from ganlib.sampling import SHEET, from_sheet
from ganlib.studies.analysis import kind, last_epoch, seconds_by_kind, select, values
from ganlib.studies.measures import (
    CLASSES,
    COVERAGE,
    DISTANCE,
    FRECHET,
    PRECISION,
    RECALL,
    Measure,
)
from ganlib.studies.study import Study

SPREAD = "mean ± standard deviation over seeds, or, where that is over a third, each seed"


def floors(results: dict) -> Figure:
    """What real training images score against the test images, by how many are measured."""
    shown = (COVERAGE, RECALL, PRECISION, FRECHET)
    figure, axes = new_figure(9, 2.5, 1, len(shown))
    counts = sorted(results["floor_by_count"], key=int)
    for place, measure in zip(axes, shown):
        values = [results["floor_by_count"][n][measure.key] for n in counts]
        place.plot([int(n) for n in counts], values, "o-", color=INK, ms=4, lw=1.2)
        place.set(xscale="log", xlabel="images", title=measure.title)
        place.set_xticks([200, 1000, 10_000], ["200", "1,000", "10,000"])
        place.minorticks_off()
        place.set_ylim(0, 1.05 if not measure.ratio else None)
    return figure


# --- The cells -----------------------------------------------------------------------------------


def gallery(study: Study, seed: int = 0, n_rows: int = 4, folder: Path | None = None) -> Figure:
    """Samples of a study's cells at their last epoch, as its gallery has them."""
    folder = folder or study.path.with_suffix("")
    rows = study.shown()
    across = max(map(len, rows.values()))
    size = 8.6, len(rows) * (1.22 if across > 2 else 2.05)
    beside = across if across > 2 else 1  # on a narrow screen
    figure, axes = new_figure(*size, len(rows), across, beside, squeeze=False)
    above = [""] * across
    for line, (words, cells) in zip(axes, rows.items()):
        for place in line[len(cells) :]:
            place.axis("off")
        for column, (title, name) in enumerate(cells.items()):
            _draw_sheet(line[column], folder / f"{name}-seed{seed}.png", n_rows)
            if title != above[column]:
                above[column] = title
                line[column].set_title(title, fontsize=9 if len(title) > 10 else 10)
        if across > 2:
            line[0].set_ylabel(words)
    return figure


def _draw_sheet(place: Axes, path: Path, n_rows: int) -> None:
    if path.is_file():
        sheet = np.array(Image.open(path))
        images = from_sheet(sheet, sheet.shape[0] // SHEET)
        draw_grid(place, images[: SHEET * n_rows], SHEET)
    else:
        place.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center")
        place.set(xticks=[], yticks=[])


def courses(
    results: dict,
    study: Study,
    measures: Sequence[Measure] = (DISTANCE, COVERAGE),
    minutes: bool = False,
) -> Figure:
    """Measures by epoch: the study's columns, a thin line for each run, a thick mean.

    Dots are where it was measured. With ``minutes``, beside it the same by minutes of training, at
    the median pace of the runs of its kind.
    """
    columns = [(*one, by) for one in study.columns.items() for by in (False, *[True] * minutes)]
    size = 9, 2.5 * len(measures) + 0.5
    figure, axes = new_figure(*size, len(measures), len(columns), sharex="col", sharey="row",
                           squeeze=False)  # fmt: skip
    for line, (row, measure), (column, (title, levels, by_minutes)) in product(
        study.drawn().values(), enumerate(measures), enumerate(columns)
    ):
        runs = select(results, **levels | line.levels)
        _draw_course(axes[row, column], results, runs, measure, line, by_minutes)
        axes[0, column].set_title(title)
        of_training = "minutes of training, as recorded"
        axes[-1, column].set_xlabel(of_training if by_minutes else "epoch")
    for line, measure in zip(axes, measures):
        floor = results["floor"][measure.key]
        for place in line:
            place.axhline(floor, color=INK, lw=0.8, ls="--")
            place.set_yscale("log" if measure.ratio else "linear")
        line[0].set_ylabel(measure.title)
        first = results["protocol"]["epochs"][0]
        line[0].annotate("real", (first, floor), va="bottom", fontsize=8)
    handles = [Line2D([], [], **_look(line), lw=2, label=name)
               for name, line in study.drawn().items()]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _look(line) -> dict:
    return {"color": GREEN if line.green else GREY, "ls": ":" if line.dotted else "-"}


def _draw_course(place: Axes, results: dict, runs: list, measure: Measure, line, minutes) -> None:
    """Every run at the epochs at which it was measured; the mean where all of them were."""
    known, look = {}, _look(line)
    seconds = seconds_by_kind(results) if minutes else {}
    for run in runs:
        own = {e: measure(run, e) for e in results["protocol"]["epochs"]}
        own = {epoch: value for epoch, value in own.items() if value is not None}
        pace = seconds[kind(run)] / 60 if minutes else 1
        place.plot([pace * epoch for epoch in own], [*own.values()], lw=0.7, alpha=0.6, **look)
        for epoch, value in own.items():
            known.setdefault(epoch, []).append((pace * epoch, value))
    means = [np.mean(points, axis=0) for points in known.values() if len(points) == len(runs)]
    if means:
        place.plot(*zip(*means), lw=2.2, marker="o", ms=3, **look)


def long_courses(results: dict, cell: str, n_rows: int = 5) -> Figure:
    """A cell's seeds over 200 epochs: measures by epoch, and each seed's last samples below."""
    runs, measures = select(results, cell=cell), (COVERAGE, CLASSES, FRECHET, RECALL)
    epochs = results["protocol"]["epochs"]
    figure, (top, bottom) = new_figure(9.6, 4.6, 2, max(len(measures), len(runs)))
    for place in (*top[len(measures) :], *bottom[len(runs) :]):
        place.axis("off")
    for place, measure in zip(top, measures):
        for run, line in zip(runs, cycle(("-", "--", ":", (0, (5, 1, 1, 1))))):
            course = [measure(run, epoch) for epoch in epochs]
            place.plot(epochs, course, ls=line, color=GREEN, label=f"seed {run['seed']}")
        place.axhline(results["floor"][measure.key], color=INK, lw=0.8, ls="-.", label="real")
        place.set(title=measure.title, xlabel="epoch", yscale="log" if measure.ratio else "linear")
        place.set_ylim(None if measure.ratio else 0)
    top[len(measures) - 1].legend(frameon=False, fontsize=8, loc="lower right")
    for place, run in zip(bottom, runs):
        _draw_sheet(place, run["sheet"], n_rows)
        place.set_title(f"seed {run['seed']}, epoch {epochs[-1]}", fontsize=9)
    return figure


def cells_table(results: dict, study: Study, epoch: int | None = None) -> Table:
    """Every cell that has runs: mean and standard deviation of the study's measures.

    Runs of another study with the same cell are counted too.
    """
    epoch, rows = epoch or last_epoch(results), []
    for name, levels in results["cells"].items():
        if runs := select(results, **levels):
            shown = [_mean_and_spread(values(runs, m, epoch), m) for m in study.measures]
            rows.append((name, str(len(runs)), *shown))
    floor = [_shown(results["floor"].get(m.key), m) for m in study.measures]
    rows.append(("real training images", "", *floor))
    header = ("cell", "runs", *(measure.title for measure in study.measures))
    return Table(header, rows, f"epoch {epoch}; {SPREAD}")


def _shown(value: float | None, measure: Measure) -> str:
    return "" if value is None else measure.form.format(value)


def _mean_and_spread(values: Sequence[float], measure: Measure) -> str:
    """Mean and standard deviation; of values too far apart for these, the values themselves."""
    if not values:
        return ""
    form, mean = measure.form.format, np.mean(values)
    if len(values) == 1:
        return form(mean)
    spread = np.std(values, ddof=1)
    if spread > mean / 3 and form(spread) != form(0):
        return ", ".join(map(form, values))
    return f"{form(mean)} ± {form(spread)}"


# --- Recorded runs -------------------------------------------------------------------------------


def best_and_worst(images: Tensor, labels: Tensor, n: int = 5) -> Figure:
    """Of every digit, the images that the judge finds clearest, and those it doubts most.

    By the probability that it gives to the digit asked for; every column is a digit.
    """
    _, scores = read_digits(load_classifier(), images)
    sure = scores.softmax(dim=1).gather(1, labels.unsqueeze(1)).squeeze(1)
    order = [sure.masked_fill(labels != digit, -1).argsort(descending=True) for digit in range(10)]
    counts = [int((labels == digit).sum()) for digit in range(10)]
    best = [ranks[:n] for ranks in order]
    worst = [ranks[:count][-n:].flip(0) for ranks, count in zip(order, counts)]
    figure, axes = new_figure(9, 5.2 * n / 10, 1, 2)
    for place, chosen, title in zip(axes, (best, worst), ("clearest", "most doubtful")):
        grid = images[[int(ranks[row]) for row in range(n) for ranks in chosen]]
        draw_grid(place, grid, 10, title)
    return figure
