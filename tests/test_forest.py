"""Figures of many intervals draw each of them, where it belongs."""

from ganlib.figures import forest
from ganlib.runs import store
from ganlib.studies.analysis import Estimate, estimate
from ganlib.studies.measures import COVERAGE, FRECHET

NONE = Estimate(0.0, 0.0, 0.0, 0)


def dots(axes) -> list[tuple[float, float]]:
    return [
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axes.lines
        if len(line.get_xdata()) == 1
    ]


def test_every_effect_has_its_line_and_its_panel():
    several, single = estimate([0.1, 0.2, 0.3]), estimate([0.4])
    factor = estimate([0.0, 0.5], ratio=True)
    found = {"a heading": (), "  all runs": (several, factor), "  one": (single, NONE)}
    figure = forest.forest(found, (COVERAGE, FRECHET))
    left, right = figure.axes
    assert dots(left) == [(several.mean, 1), (single.mean, 2)] and dots(right) == [(factor.mean, 1)]
    labels = left.get_yticklabels()
    assert [label.get_text() for label in labels] == ["a heading", "all runs", "one"]
    assert [label.get_weight() for label in labels] == ["bold", "normal", "normal"]
    assert left.lines[-1].get_markerfacecolor() == "white"  # a single run


def test_ranges_are_those_of_the_runs():
    runs = [store.find_run(name) for name in ("gan", "cgan")]
    figure = forest.ranges(runs)
    for place, run in zip(figure.axes, runs):
        found = run.losses().ranges("g_loss", "d_loss")
        ends = [tuple(line.get_xdata()) for line in place.lines]
        assert ends == [(max(low, 0.001), high) for low, high in found.values()]
        assert len(place.texts) == len(found)
