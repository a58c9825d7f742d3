"""Many intervals in one figure: ranges of losses, and the effects of an experiment."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganlib.figures.plotting import G_BLUE, GREY, INK, new_figure
from ganlib.runs.history import LOGGING_RULES
from ganlib.runs.store import Run
from ganlib.studies.analysis import ENOUGH, Estimate
from ganlib.studies.measures import Measure
from ganlib.studies.paper import FIGURES


def ranges(runs: Sequence[Run]) -> Figure:
    """Both losses' range in each run, by each rule of logging, beside the paper's (shaded).

    A panel for each of the paper's figures: all ``runs`` without a label, then all with one.
    """
    papers = list(FIGURES.items())
    size = 6.4, 0.3 * len(LOGGING_RULES) * len(runs) + 1.4
    figure, axes = new_figure(*size, 2, 1, sharex=True)
    for conditional, (place, (name, ends)) in enumerate(zip(axes, papers)):
        place.axvspan(*ends, color=GREY, alpha=0.2, lw=0)
        place.set_title(f"the paper's {name}: {ends[0]} to {ends[1]}", loc="left", fontsize=10)
        names = []
        for run in (run for run in runs if run.conditional == bool(conditional)):
            found = run.losses().ranges("g_loss", "d_loss")
            for rule in LOGGING_RULES:
                low, high = found[rule]
                line, at = len(names), max(low, 0.001)
                place.plot([at, high], [line, line], "o-", color=G_BLUE, ms=4, lw=1.3)
                place.annotate(f"{low:.2f} to {high:.2f}", (high, line), (6, 0), fontsize=8,
                               textcoords="offset points", va="center")  # fmt: skip
                names.append(f"{run.name}, {rule}")
        _lines(place, names)
        place.set(xscale="log", xlim=(0.0008, 300))
        place.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        place.minorticks_off()
    axes[1].set_xlabel("loss")
    return figure


def _lines(place: Axes, names: Sequence[str]) -> None:
    place.set_yticks(range(len(names)), names)
    place.set_ylim(len(names) - 0.5, -0.5)
    place.tick_params(axis="y", length=0, labelsize=8.5)
    place.grid(axis="y", visible=False)


def forest(found: dict[str, Sequence[Estimate]], measures: Sequence[Measure]) -> Figure:
    """Effects with their intervals: a line for each change, a panel for each of ``measures``.

    ``found``: by name, an effect on each measure, or none, ``()``, if the name is a heading. Names
    that are not set in are bold. A hollow dot is a single run; the band holds effects too small to
    name.
    """
    figure, axes = new_figure(7.6, 0.27 * len(found) + 1.0, 1, len(measures), sharey=True)
    for column, (place, measure) in enumerate(zip(axes, measures)):
        least = measure.least
        place.axvspan(1 / least if measure.ratio else -least, least, color=GREY, alpha=0.25, lw=0)
        place.axvline(float(measure.ratio), color=INK, lw=0.8, ls="--")
        for line, row in enumerate(found.values()):
            if row and row[column].n:
                _interval(place, row[column], line)
        place.set_xlabel(measure.title + (", factor" if measure.ratio else ", difference"))
        if measure.ratio:
            place.set(xscale="log", xlim=(0.005, 200))
            place.set_xticks([0.01, 1, 100], ["× 0.01", "× 1", "× 100"])
            place.minorticks_off()
        else:
            place.set_xlim(-1, 1)
        _lines(place, [name.strip() for name in found])
    for label, name in zip(axes[0].get_yticklabels(), found):
        label.set_weight("normal" if name.startswith(" ") else "bold")
    return figure


def _interval(place: Axes, one: Estimate, line: int) -> None:
    if one.n >= ENOUGH:
        place.plot([one.low, one.high], [line, line], color=INK, lw=1.5)
    place.plot(one.mean, line, "o", color=INK, mfc=INK if one.n >= ENOUGH else "white", ms=4.5)
