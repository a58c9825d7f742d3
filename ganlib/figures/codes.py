"""Figures of an InfoGAN's codes: every seed's error, what each code draws, what changes what."""

from collections.abc import Sequence
from statistics import median

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from ganlib.figures.forest import forest
from ganlib.figures.plotting import G_BLUE, GREEN, GREY, INK, image_grid, new_figure
from ganlib.figures.widgets import crossed
from ganlib.judge.codes import MEASURED
from ganlib.models.infogan import CONTINUOUS, noise_and_codes, traverse
from ganlib.runs.store import Run
from ganlib.sampling import generate
from ganlib.studies.analysis import last_epoch, select, values
from ganlib.studies.codes import (
    CONTROL,
    ERROR,
    EXPLAINED,
    LEAST_EXPLAINED,
    MOST_ERROR,
    RECIPE,
    SCALE,
    TERM,
    effects,
)
from ganlib.studies.measures import Measure

_WHITE_TO_BLUE = LinearSegmentedColormap.from_list("", ("white", G_BLUE))
_LOOKS = ((GREEN, "-", "o"), (INK, "--", "s"), (GREY, ":", "^"))  # of the term's three times

# --- The study -----------------------------------------------------------------------------------


def seeds(results: dict) -> Figure:
    """Each seed of each cell at the end: a dot for its error and one for what a code explains.

    The upright stroke is the cell's median, the dashed line the goal.
    """
    figure, panels = new_figure(8.6, 3.1, 1, 2, sharey=True)
    last, goals = last_epoch(results), (MOST_ERROR, LEAST_EXPLAINED)
    cells = [(scale, term) for scale in SCALE for term in TERM]
    for place, measure, goal in zip(panels, (ERROR, EXPLAINED), goals):
        for line, (scale, term) in enumerate(cells):
            found = values(select(results, term=term, scale=scale), measure, last)
            colour, _, marker = _LOOKS[TERM.index(term)]
            place.plot(found, [line] * len(found), marker, color=colour, ms=6, alpha=0.75, mew=0)
            if found:
                place.plot(median(found), line, "|", color=INK, ms=18, mew=1.6)
        place.axvline(goal, color=INK, lw=0.9, ls="--")
        place.grid(axis="y", visible=False)
    labels = [f"term {term}, scale {scale:g}" for scale, term in cells]
    panels[0].set_yticks(range(len(cells)), labels, fontsize=9)
    panels[0].set_ylim(len(cells) - 0.4, -0.6)
    panels[0].set(xlabel="real digits misread, share", xlim=(0, 1))
    panels[1].set(xlabel="variance explained, share", xlim=(0, 1))
    return figure


def courses(results: dict, measure: Measure = ERROR) -> Figure:
    """A measure by epoch, a panel for each scale: a thin line for each seed, a thick median."""
    figure, panels = new_figure(8.6, 3.3, 1, len(SCALE), sharey=True)
    epochs = results["protocol"]["epochs"]
    for place, scale in zip(panels, SCALE):
        for term, (colour, line, marker) in zip(TERM, _LOOKS):
            runs = select(results, term=term, scale=scale)
            each = [[measure(run, epoch) for epoch in epochs] for run in runs]
            for course in each:
                place.plot(epochs, course, line, color=colour, lw=0.7, alpha=0.6)
            if each:
                middle = np.median(each, axis=0)
                place.plot(epochs, middle, line, color=colour, marker=marker, ms=4, lw=2)
        place.set(title=f"codes of scale {scale:g}", xlabel="epoch", ylim=(0, 1))
    for term, (colour, line, marker) in zip(TERM, _LOOKS):
        panels[0].plot([], [], line, color=colour, marker=marker, label=f"term {term}")
    panels[0].set_ylabel(f"{measure.title}, share")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def factorial(results: dict, measures: Sequence[Measure] = (ERROR, EXPLAINED)) -> Figure:
    """Each factor changed with the other held: the effect on each measure, with its interval."""
    columns = [effects(results, measure, last_epoch(results)) for measure in measures]
    found: dict[str, Sequence] = {}
    for name in columns[0]:
        change, _, held = name.partition(", ")  # "scale 6 for 1, term never"
        if change.startswith("term"):  # "term from the start for never, scale 1"
            change, held = "the term for none", f"{change.removesuffix(' for never')}, {held}"
        found.setdefault(change, ())
        found[f"  {held}"] = [column[name] for column in columns]
    return forest(found, measures)


def shapes(results: dict) -> Figure:
    """What the better of the continuous codes explains of each shape, in every seed.

    Filled: the recipe; hollow: the same without the information term.
    """
    figure, place = new_figure(6.4, 2.5)
    last = last_epoch(results)
    for model, offset, fill in ((RECIPE, -0.14, GREEN), (CONTROL, 0.14, "white")):
        for line, name in enumerate(MEASURED):
            found = [max(_codes(run, last)["explained"][name]) for run in
                     select(results, model=model)]  # fmt: skip
            place.plot(found, [line + offset] * len(found), "o", mfc=fill, mec=GREEN, ms=6)
    for fill, label in ((GREEN, "with the term"), ("white", "without it")):
        place.plot([], [], "o", mfc=fill, mec=GREEN, ms=6, label=label)
    place.axvline(LEAST_EXPLAINED, color=INK, lw=0.9, ls="--")
    place.set_yticks(range(len(MEASURED)), MEASURED)
    place.set(ylim=(len(MEASURED) - 0.5, -0.5), xlim=(0, 1))
    place.set_xlabel("variance explained by one continuous code, share")
    place.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8.5)
    return figure


# --- One run -------------------------------------------------------------------------------------


def _codes(run: dict, epoch: int) -> dict:
    return run["metrics"][str(epoch)]["codes"]


def confusions(results: dict, run: dict) -> Figure:
    """A run at its end: real test digits as its code reads them, and its images as the judge does.

    Codes stand in the order of the digits that they were matched to.
    """
    found = _codes(run, last_epoch(results))
    order = np.argsort(found["digit_of_code"])
    figure, (left, right) = new_figure(8.6, 4.9, 1, 2)
    digits = [str(digit) for digit in range(10)]
    _counts(left, np.array(found["confusion"]), digits)
    left.set(title="real test digits", xlabel="read as, by the code", ylabel="digit")
    _counts(right, np.array(found["drawn"])[order], [str(code) for code in order])
    right.set(title="images of each code", xlabel="read as, by the judge", ylabel="code")
    return figure


def _counts(place: Axes, counts: np.ndarray, rows: Sequence[str]) -> None:
    """A table of counts, each shaded by its share of the row; zeros are left empty."""
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    place.imshow(shares, cmap=_WHITE_TO_BLUE, vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(counts):
        if n:
            colour = "white" if shares[row, column] > 0.5 else INK
            place.text(column, row, str(n), ha="center", va="center", fontsize=7, color=colour)
    place.set_xticks(range(10), range(10))
    place.set_yticks(range(10), rows)
    place.tick_params(length=0)
    place.grid(False)
    place.spines[:].set_visible(False)


def traversal(run: Run, which: int, seed: int = 0, digits: Sequence[int] = ()) -> Figure:
    """A row a code, one z in all of them; from left to right a continuous code goes from -1 to 1.

    ``digits``: those that the codes were matched to, by which the rows are then ordered.
    """
    images = generate(run.generator(), *traverse(run.config, which, seed)).unflatten(0, (10, -1))
    order = np.argsort(digits) if len(digits) else np.arange(10)
    rows = [f"code {code}" for code in order]
    ends = ["−1", *[""] * (images.shape[1] - 2), "1"]
    images = images[torch.from_numpy(order)].flatten(0, 1)
    title = f"continuous code {which + 1}"
    return image_grid(images, 10, title, column_titles=ends, row_titles=rows, width=4.6)


def at_codes(run: Run, continuous: tuple[float, float], seed: int = 0) -> Tensor:
    """One z as all codes of ten, with these continuous codes: images (10, 1, H, W)."""
    z, _ = noise_and_codes(run.config, 1, torch.Generator().manual_seed(seed))
    z[:, :CONTINUOUS] = torch.tensor(continuous)
    asked = torch.arange(run.config.n_classes)
    return generate(run.generator(), z.repeat(len(asked), 1), asked)


PLACES = (-1.0, -0.67, -0.33, 0.0, 0.33, 0.67, 1.0)  # of a continuous code's slider


def code_sliders(run: Run, seed: int = 0) -> ipywidgets.Widget:
    """A slider for each continuous code; one z as all ten codes, in a row."""
    pages = [[at_codes(run, (one, other), seed) for other in PLACES] for one in PLACES]
    return crossed(pages, [f"{place:g}" for place in PLACES], ("1st code", "2nd code"))
