"""Figures and tables of chapter 5: its cells, their effects, and all models of the book."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ganlib.figures.findings import SPREAD, as_text, draw_sheet, mean_and_spread
from ganlib.figures.plotting import GREEN, GREY, INK, draw_grid, new_figure
from ganlib.figures.tables import Table
from ganlib.judge.classifier import load_classifier, read_digits
from ganlib.runs.store import Run
from ganlib.studies import analysis, gains
from ganlib.studies.analysis import ACCURACY, COVERAGE, PRECISION, RECALL, SPECKS, Measure
from ganlib.studies.gains import COMPARED, DISTANCE, JUDGED, LABEL, LAYERS, SECONDS, WORST_DIGIT
from ganlib.studies.improvements import MODELS, RESULTS, models

# One look for a model in every figure: the colour says its layers, the line where the label enters.
_COLOURS = dict(zip(LAYERS, (GREY, GREEN)))
_LINES = {"input": ":", "CBN": "-"}
_IN_THE_END = (DISTANCE, ACCURACY, WORST_DIGIT, COVERAGE, RECALL, PRECISION, SPECKS)


def gallery(seed: int = 0, n_rows: int = 4, folder: Path | None = None) -> Figure:
    """Samples of the four cells at the last epoch: layers down, the label's way in across."""
    folder = folder or RESULTS.with_suffix("")
    figure, axes = new_figure(8.6, 4.1, 2, 2)
    for (layers, label), model in MODELS.items():
        place = axes[LAYERS.index(layers), LABEL.index(label)]
        draw_sheet(place, folder / f"{model}-seed{seed}.png", n_rows)
        where = "the input" if label == "input" else label
        place.set_title(f"{model}: {layers}, label in {where}")
    return figure


def cells_table(results: dict) -> Table:
    """Every model at the last epoch: mean and standard deviation over seeds.

    Seconds are those of the four cells, which were trained side by side; the variants were not.
    """
    last, rows = analysis.last_epoch(results), []
    measures = (*JUDGED, PRECISION, SPECKS)
    for model in models():
        shown = [_over_seeds(results, model, measure, last) for measure in measures]
        seconds = _over_seeds(results, model, SECONDS, last) if model in MODELS.values() else ""
        rows.append((model, str(len(gains.runs_of(results, model))), *shown, seconds))
    floor = {"metrics": {str(last): results["floor"]}}
    real = [as_text(measure(floor, last), measure) for measure in measures]
    rows.append(("real training images", "", *real, ""))
    header = ("model", "seeds", *(measure.title for measure in (*measures, SECONDS)))
    return Table(header, rows, f"epoch {last}; {SPREAD}")


def _over_seeds(results: dict, model: str, measure: Measure, epoch: int) -> str:
    return mean_and_spread([*gains.by_seed(results, model, measure, epoch).values()], measure)


def effects_table(
    results: dict, effects: Callable[[dict, Measure], dict] = gains.changes, what: str = "change"
) -> Table:
    """Effects on each measure, with their intervals: of gains.changes, or of gains.averages."""
    columns = [effects(results, measure) for measure in COMPARED]
    rows = [(name, *(str(column[name]) for column in columns)) for name in columns[0]]
    counts = sorted({one.n for one in columns[0].values()})
    seeds = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    caption = (
        f"epoch {analysis.last_epoch(results)}; mean difference of {seeds} seeds [95 % interval]"
    )
    return Table((what, *(measure.title for measure in COMPARED)), rows, caption)


def course_table(
    results: dict, models: Sequence[str], measures: Sequence[Measure] = JUDGED
) -> Table:
    """Models epoch by epoch: mean and standard deviation over seeds."""
    epochs, rows = results["protocol"]["epochs"], []
    for measure in measures:
        for model in models:
            shown = [_over_seeds(results, model, measure, epoch) for epoch in epochs]
            n_seeds = len(gains.runs_of(results, model))
            rows.append((measure.title, model, str(n_seeds), *shown))
    header = ("measure", "model", "seeds", *(f"epoch {epoch}" for epoch in epochs))
    return Table(header, rows, SPREAD)


def courses(results: dict, measures: Sequence[Measure] = (DISTANCE, COVERAGE)) -> Figure:
    """Measures by epoch and by minutes of training: a thin line for each run, a thick mean.

    Dots are where it was measured. A run's minutes are its epochs, each as long as its mean.
    """
    epochs = results["protocol"]["epochs"]
    figure, axes = new_figure(9, 5.6, len(measures), 2, sharey="row", sharex="col")
    for (layers, label), model in MODELS.items():
        runs = gains.runs_of(results, model)
        for row, measure in zip(axes, measures):
            look = {"color": _COLOURS[layers], "ls": _LINES[label]}
            values = np.array([[measure(run, epoch) for epoch in epochs] for run in runs])
            minutes = [SECONDS(run, epochs[-1]) / 60 * np.array(epochs) for run in runs]
            if not runs:
                continue
            for times, line in zip(minutes, values):
                row[0].plot(epochs, line, lw=0.7, alpha=0.6, **look)
                row[1].plot(times, line, lw=0.7, alpha=0.6, **look)
            look |= {"lw": 2.2, "marker": "o", "ms": 4}
            row[0].plot(epochs, values.mean(axis=0), **look)
            row[1].plot(np.mean(minutes, axis=0), values.mean(axis=0), **look)
    for row, measure in zip(axes, measures):
        for place in row:
            place.axhline(results["floor"][measure.key], color=INK, lw=0.8, ls="--")
            if measure.ratio:
                place.set_yscale("log")
        row[0].set_ylabel(measure.title)
        row[0].annotate("real", (epochs[0], results["floor"][measure.key]), va="bottom", fontsize=8)
    axes[-1, 0].set_xlabel("epoch")
    axes[-1, 1].set_xlabel("minutes of training, one core of a CPU")
    names = [f"{layers}, {label}" for layers, label in MODELS]
    handles = [
        Line2D([], [], color=_COLOURS[layers], ls=_LINES[label], lw=2, label=name)
        for (layers, label), name in zip(MODELS, names)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


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


def all_models(runs: Sequence[Run], floor: dict) -> Table:
    """Every recorded run at its end, beside real images."""
    rows = []
    for run in runs:
        measured = {"metrics": {str(k): v for k, v in run.metrics().items()}}
        shown = [as_text(m(measured, run.epochs_done), m) for m in _IN_THE_END]
        rows.append((run.name, run.config.loss, str(run.epochs_done), *shown))
    real = [as_text(m({"metrics": {"0": floor}}, 0), m) for m in _IN_THE_END]
    rows.append(("real training images", "", "", *real))
    header = ("run", "loss", "epochs", *(m.title for m in _IN_THE_END))
    return Table(header, rows, "recorded runs, one seed each")
