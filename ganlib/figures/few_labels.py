"""Figures of what is read with a few labels: by each method, draw by draw, and what a GAN adds."""

from collections.abc import Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganlib.figures.plotting import G_BLUE, GREY, INK, new_figure
from ganlib.studies.analysis import ENOUGH, Estimate, estimate, last_epoch, select, values
from ganlib.studies.few_labels import (
    GANS,
    GOAL_SHARE,
    METHODS,
    MORE,
    MORE_AT,
    N_LABELS,
    NO_GAN,
    READ,
    WITHOUT,
    gain,
)

NAMES = {
    "svm": "support vector machine",
    "labels": "labels only",
    "labels-shifts": "labels, with shifts",
    "labels-affine": "labels, with affine changes",
    "teacher": "averaged teacher",
    "teacher-affine": "averaged teacher, affine changes",
    "sgan": "Odena's GAN",
    "sgan-shifts": "Odena's GAN, with shifts",
    "sgan-affine": "Odena's GAN, affine changes",
    "matching": "feature matching",
    "matching-shifts": "feature matching, with shifts",
    "matching-affine": "feature matching, affine changes",
}
# Line, marker and colour: GANs in blue; what has none, in greys.
_LOOKS = {
    "svm": (":", "x", GREY),
    "labels": (":", "s", INK),
    "labels-affine": ("--", "s", INK),
    "teacher-affine": ("-", "D", INK),
    "sgan": ("--", "o", G_BLUE),
    "matching-affine": ("-", "o", G_BLUE),
}


def of_method(results: dict, method: str, n: int, epoch: int | None = None) -> Estimate:
    """The share of test digits that a method reads with ``n`` labels: mean and 95 % interval."""
    runs = select(results, method=method, n_labels=n)
    return estimate(values(runs, READ, epoch or last_epoch(results)))


def shares(results: dict) -> Figure:
    """The share read by number of labels, a line a method: mean over draws, 95 % interval."""
    figure, place = new_figure(7.2, 4.4)
    for number, method in enumerate(METHODS):
        line, marker, colour = _LOOKS[method]
        known = [(n, of_method(results, method, n)) for n in N_LABELS]
        known = [(n, one) for n, one in known if one.n]
        aside = 1.03 ** (number - len(METHODS) / 2)  # so that no interval hides another
        at = [n * aside for n, _ in known]
        look = {"color": colour, "marker": marker, "ms": 5, "lw": 1.4}
        place.plot(at, [one.mean for _, one in known], line, label=NAMES[method], **look)
        for x, (_, one) in zip(at, known):
            _upright(place, x, one, colour)
    place.set(xscale="log", xlabel="labels", ylabel="test digits read rightly, share")
    place.set_xticks(N_LABELS, [f"{n:,}" for n in N_LABELS])
    place.minorticks_off()
    place.set_ylim(top=1)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


def _upright(place: Axes, x: float, one: Estimate, colour: str) -> None:
    if one.n >= ENOUGH:
        place.plot([x, x], [one.low, one.high], color=colour, lw=1.1)


def at_a_hundred(results: dict) -> Figure:
    """Every method with a hundred labels: a dot a draw, a stroke for the mean, best on top."""
    found = {
        method: values(select(results, method=method, n_labels=MORE_AT), READ, last_epoch(results))
        for method in (*METHODS, *MORE)
    }
    rows = sorted(filter(found.get, found), key=lambda method: -mean(found[method]))
    figure, place = new_figure(7.2, 0.3 * len(rows) + 1)
    for line, method in enumerate(rows):
        colour = INK if method.split("-")[0] in ("svm", "labels", "teacher") else G_BLUE
        place.plot(found[method], [line] * len(found[method]), "o", color=colour, ms=5, alpha=0.7)
        place.plot(mean(found[method]), line, "|", color=colour, ms=16, mew=1.8)
    place.axvline(GOAL_SHARE, color=INK, lw=0.9, ls="--")
    place.set_yticks(range(len(rows)), [NAMES[method] for method in rows], fontsize=9)
    place.set(ylim=(len(rows) - 0.5, -0.5), xlabel="test digits read rightly, share")
    place.grid(axis="y", visible=False)
    return figure


# What each GAN is held against: the same network, labels and changes; and unlabelled images too.
QUESTIONS = {
    "less the same without a GAN": WITHOUT,
    "less the averaged teacher": dict.fromkeys(GANS, NO_GAN),
}


def gains(results: dict) -> Figure:
    """What each GAN reads more than what it is held against: mean over draws, pair by pair."""
    figure, panels = new_figure(8.6, 3.2, 1, len(QUESTIONS), sharey=True)
    for place, (words, pairs) in zip(panels, QUESTIONS.items()):
        _gains(place, results, pairs)
        place.set_title(words, fontsize=10)
        place.set_xlabel("more test digits read, share")
    names = (NAMES[gan].partition(",")[0] for gan in GANS)
    lines = [f"{name}, {n:,} labels" for name in names for n in N_LABELS]
    panels[0].set_yticks(range(len(lines)), lines, fontsize=8.5)
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    return figure


def _gains(place: Axes, results: dict, pairs: dict[str, str]) -> None:
    place.axvspan(-READ.least, READ.least, color=GREY, alpha=0.25, lw=0)
    place.axvline(0, color=INK, lw=0.8, ls="--")
    for line, (gan, n) in enumerate((gan, n) for gan in GANS for n in N_LABELS):
        one = gain(results, gan, pairs[gan], n)
        if one.n >= ENOUGH:
            place.plot([one.low, one.high], [line, line], color=INK, lw=1.4)
        if one.n:
            place.plot(one.mean, line, "o", color=INK, mfc=INK if one.n >= ENOUGH else "white",
                       ms=4.5)  # fmt: skip
    place.locator_params(axis="x", nbins=5)
    place.grid(axis="y", visible=False)


def courses(results: dict, n: int = MORE_AT, methods: Sequence[str] = METHODS) -> Figure:
    """The share read with ``n`` labels by epoch of the GANs, which is time; means over draws."""
    figure, place = new_figure(7.2, 3.8)
    epochs = results["protocol"]["epochs"]
    for method in methods:
        line, marker, colour = _LOOKS[method]
        if (means := [of_method(results, method, n, epoch) for epoch in epochs])[0].n:
            look = {"color": colour, "marker": marker, "ms": 4, "lw": 1.5}
            place.plot(epochs, [one.mean for one in means], line, label=NAMES[method], **look)
    place.axhline(GOAL_SHARE, color=INK, lw=0.9, ls="--")
    place.set(xlabel="epoch of the GANs; the others in the same time", ylim=(None, 1))
    place.set(ylabel="test digits read rightly, share", title=f"{n:,} labels")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure
