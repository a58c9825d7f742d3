"""Tables and figures of the experiment: its cells at one glance, its effects, the ledger."""

from collections.abc import Iterable, Sequence
from itertools import cycle, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from ganlib.figures.plotting import GREEN, GREY, INK, draw_grid, new_figure
from ganlib.figures.tables import Table
from ganlib.sampling import SHEET, from_sheet
from ganlib.studies import analysis
from ganlib.studies.analysis import (
    CLASSES,
    COVERAGE,
    ENOUGH,
    FACTORS,
    FRECHET,
    PRECISION,
    RANGE,
    RECALL,
    SPECKS,
    Estimate,
    Measure,
    last_epoch,
)
from ganlib.studies.claims import NOT_JUDGED, Claim
from ganlib.studies.experiment import LOSSES, RESULTS, SWAPPED
from ganlib.studies.ledger import Entry

# One look for a cell in every figure: the colour says the label, the line says the eps.
_COLOURS = {"none": GREY, "label": GREEN}
_LINES = {1e-5: "-", 0.8: ":"}
_WORDS = {"none": "no label", "label": "label"}
_CHANGES = {
    "conditioning": "a label (and the CGAN's D), where there was none",
    "loss": "MSE, where there was BCE",
    "bn_eps": "eps 0.8, where there was 1e-05",
}
SPREAD = "mean ± standard deviation over seeds, or, where that is over a third, each seed"
_JUDGED = (COVERAGE, RECALL, PRECISION, FRECHET)  # of every effect


# --- What a measure says of real images ----------------------------------------------------------


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


def gallery(seed: int = 0, n_rows: int = 4, folder: Path | None = None) -> Figure:
    """Samples of every cell at the last epoch: losses across, label and eps down.

    The last row holds the cells with the other model's discriminator.
    """
    folder = folder or RESULTS.with_suffix("")
    rows = [(c, eps) for eps, c in product(FACTORS["bn_eps"], FACTORS["conditioning"])]
    figure, axes = new_figure(8.6, 6.1, len(rows) + 1, len(LOSSES))
    for (down, (condition, eps)), (across, loss) in product(enumerate(rows), enumerate(LOSSES)):
        name = f"{condition}-{loss}-eps{eps:g}-seed{seed}"
        draw_sheet(axes[down, across], folder / f"{name}.png", n_rows)
        if down == 0:
            axes[down, across].set_title(loss)
        if across == 0:
            axes[down, across].set_ylabel(f"{_WORDS[condition]}\neps {eps:g}")
    for place, (condition, loss, eps) in zip(axes[-1], SWAPPED):
        draw_sheet(place, folder / f"{condition}-{loss}-eps{eps:g}-swapped-seed{seed}.png", n_rows)
        whose = {"none": "CGAN", "label": "GAN"}[condition]
        place.set_title(f"{_WORDS[condition]}, {loss}, the {whose}'s D", fontsize=9)
    axes[-1, 0].set_ylabel(f"other D\neps {SWAPPED[0][2]:g}")
    for place in axes[-1, len(SWAPPED) :]:
        place.axis("off")
    return figure


def draw_sheet(place: Axes, path: Path, n_rows: int) -> None:
    """The first rows of a sheet of samples, if its file is there."""
    if path.is_file():
        sheet = np.array(Image.open(path))
        images = from_sheet(sheet, sheet.shape[0] // SHEET)
        draw_grid(place, images[: SHEET * n_rows], SHEET)
    else:
        place.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center")
        place.set(xticks=[], yticks=[])


def courses(results: dict, measures: Sequence[Measure] = (COVERAGE, FRECHET)) -> Figure:
    """Measures by epoch: one column for each loss, a thin line for each run, a thick mean."""
    epochs = results["protocol"]["epochs"]
    size = 9, 2.5 * len(measures) + 0.5
    figure, axes = new_figure(*size, len(measures), len(LOSSES), sharex=True, sharey="row")
    for key, runs in analysis.cells(results).items():
        condition, loss, eps, discriminator = key
        if discriminator != "own":
            continue
        for row, measure in enumerate(measures):
            place = axes[row, LOSSES.index(loss)]
            values = np.array([[measure(run, epoch) for epoch in epochs] for run in runs])
            look = {"color": _COLOURS[condition], "ls": _LINES[eps]}
            place.plot(epochs, values.T, lw=0.7, alpha=0.6, **look)
            place.plot(epochs, values.mean(axis=0), lw=2.2, **look)
    for row, measure in enumerate(measures):
        for place in axes[row]:
            floor = results["floor"][measure.key]
            place.axhline(floor, color=INK, lw=0.8, ls="--")
            if measure.ratio:
                place.set_yscale("log")
        axes[row, 0].set_ylabel(measure.title)
        axes[row, 0].annotate("real", (epochs[0], floor), va="bottom", fontsize=8)
    for place, loss in zip(axes[0], LOSSES):
        place.set_title(loss)
    for place in axes[-1]:
        place.set_xlabel("epoch")
    handles = [
        Line2D([], [], color=_COLOURS[c], ls=_LINES[e], lw=2, label=f"{_WORDS[c]}, eps {e:g}")
        for c, e in product(_COLOURS, _LINES)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


def endurance(long: dict, n_rows: int = 5) -> Figure:
    """The GAN's seeds over 200 epochs: measures by epoch, and each seed's last samples below."""
    runs, epochs, measures = long["runs"], long["protocol"]["epochs"], (COVERAGE, CLASSES, FRECHET)
    figure, (top, bottom) = new_figure(9, 4.6, 2, max(len(measures), len(runs)))
    for place, measure in zip(top, measures):
        for run, line in zip(runs, cycle(("-", "--", ":"))):
            values = [measure(run, epoch) for epoch in epochs]
            place.plot(epochs, values, line, color=GREEN, label=f"seed {run['seed']}")
        place.axhline(long["floor"][measure.key], color=INK, lw=0.8, ls="-.", label="real")
        place.set(title=measure.title, xlabel="epoch", yscale="log" if measure.ratio else "linear")
        place.set_ylim(None if measure.ratio else 0)
    top[0].legend(frameon=False, fontsize=8)
    for place, run in zip(bottom, runs):
        draw_sheet(place, run["sheet"], n_rows)
        place.set_title(f"seed {run['seed']}, epoch {epochs[-1]}", fontsize=9)
    return figure


def endurance_table(long: dict, epochs: Sequence[int]) -> Table:
    """The GAN's seeds at some epochs: measures, and the digit that is drawn most often."""
    measures, rows = (COVERAGE, RECALL, PRECISION, FRECHET), []
    for run, epoch in product(long["runs"], epochs):
        shown = [as_text(measure(run, epoch), measure) for measure in measures]
        measured = run["metrics"][str(epoch)]
        counts = measured["class_counts"]
        most = f"{np.argmax(counts)}, {max(counts) / sum(counts):.0%}"
        name = f"seed {run['seed']}, epoch {epoch}"
        rows.append((name, *shown, str(measured["classes"]), most))
    header = ("run", *(m.title for m in measures), CLASSES.title, "commonest digit")
    return Table(header, rows, "the GAN with BCE and PyTorch's eps, all of Table 1")


def cells_table(results: dict, epoch: int | None = None) -> Table:
    """Every cell: mean and, over at least two seeds, standard deviation of each measure."""
    epoch = epoch or last_epoch(results)
    measures = analysis.IN_TABLES
    rows = []
    for key, runs in analysis.cells(results).items():
        shown = []
        for measure in measures:
            values = [v for run in runs if (v := measure(run, epoch)) is not None]
            shown.append(mean_and_spread(values, measure))
        rows.append((analysis.cell_name(*key), str(len(runs)), *shown))
    floor = [as_text(results["floor"][m.key], m) for m in measures]
    rows.append(("real training images", "", *floor))
    header = ("cell", "seeds", *(measure.title for measure in measures))
    return Table(header, rows, f"epoch {epoch}; {SPREAD}")


def as_text(value: float | None, measure: Measure) -> str:
    """A value as its measure is written; none is no text."""
    return "" if value is None else measure.form.format(value)


def mean_and_spread(values: Sequence[float], measure: Measure) -> str:
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


# --- The effects ---------------------------------------------------------------------------------


def _with_simple_effects(results, factor, measure, epoch) -> dict[str, Estimate]:
    main = {"on average": analysis.effect(results, factor, measure, epoch)}
    simple = analysis.simple_effects(results, factor, measure, epoch)
    if factor == "conditioning":
        simple |= analysis.label_alone(results, measure, epoch)
    return main | {f"at {name}": found for name, found in simple.items()}


def effects(results: dict, epoch: int | None = None) -> Figure:
    """Each factor's effect on each measure: the mean over all settings, then in each setting.

    Bars are 95 % intervals over seeds; a hollow dot is a single seed, which has none.
    """
    epoch = epoch or last_epoch(results)
    found = {
        (factor, measure): _with_simple_effects(results, factor, measure, epoch)
        for factor, measure in product(FACTORS, _JUDGED)
    }
    heights = [max(1, len(found[factor, COVERAGE])) for factor in FACTORS]
    size = 9.5, 0.26 * sum(heights) + 1.6
    options = {"sharex": "col", "height_ratios": heights}
    figure, axes = new_figure(*size, len(FACTORS), len(_JUDGED), **options)
    for (row, factor), (column, measure) in product(enumerate(FACTORS), enumerate(_JUDGED)):
        place = axes[row, column]
        _forest(place, found[factor, measure], measure)
        place.set_yticks(range(heights[row]), found[factor, measure] if column == 0 else [])
        if column == 0:
            place.set_title(_CHANGES[factor], loc="left", weight="bold", fontsize=9.5)
        if row == len(FACTORS) - 1:
            place.set_xlabel(measure.title + (", factor" if measure.ratio else ", difference"))
    return figure


def _forest(place: Axes, found: dict[str, Estimate], measure: Measure) -> None:
    """Dots and intervals, the first line being the mean over the others."""
    for line, one in enumerate(found.values()):
        if one.n == 0:
            continue
        colour = INK if line == 0 else "#6f6f6f"
        fill = colour if one.n >= ENOUGH else "white"
        size = 6 if line == 0 else 4
        if one.n >= ENOUGH:
            low, high = one.low, one.high
            place.plot([low, high], [line, line], color=colour, lw=2.2 if line == 0 else 1.2)
        place.plot(one.mean, line, "o", color=colour, mfc=fill, ms=size)
    place.axvline(float(measure.ratio), color=INK, lw=0.8, ls="--")
    place.set_ylim(len(found) - 0.5, -0.5)
    place.tick_params(axis="y", length=0, labelsize=8)
    place.grid(axis="y", visible=False)
    if measure.ratio:
        place.set(xscale="log")
        place.set_xlim(0.005, 200)
        place.set_xticks([0.01, 1, 100], ["× 0.01", "× 1", "× 100"])
    else:
        place.set_xlim(-1, 1)


def effects_table(results: dict, epoch: int | None = None) -> Table:
    """The figure's numbers: mean and 95 % interval of each effect, by factor and setting."""
    epoch = epoch or last_epoch(results)
    rows = []
    for factor in FACTORS:
        columns = [_with_simple_effects(results, factor, m, epoch) for m in _JUDGED]
        for line, name in enumerate(columns[0]):
            shown = [str(list(column.values())[line]) for column in columns]
            rows.append((_CHANGES[factor] if line == 0 else f"  {name}", *shown))
    header = ("change", *(measure.title for measure in _JUDGED))
    seeds = _span(map(len, analysis.cells(results).values()))
    caption = f"epoch {epoch}; mean difference of {seeds} seeds [95 % interval]"
    return Table(header, rows, caption)


def _span(counts: Iterable[int]) -> str:
    """The least and the greatest of some counts of seeds; one seed makes no interval."""
    several = sorted({n for n in counts if n >= ENOUGH}) or [0]
    return " to ".join(dict.fromkeys((str(several[0]), str(several[-1]))))


def steps_table(results: dict) -> Table:
    """The step from the paper's GAN to its CGAN, and what it is made of, each change alone.

    Label and loss change in that step, and the discriminator: its last rows give each model the
    other's.
    """
    rows, gan = [], {"conditioning": "none", "loss": "bce"}
    cgan = {"conditioning": "label", "loss": "mse"}
    for eps in FACTORS["bn_eps"]:
        for words, change in (
            ("the whole step: label, its D, MSE", cgan),
            ("the label and its D", {"conditioning": "label"}),
            ("MSE alone", {"loss": "mse"}),
        ):
            before = gan | {"bn_eps": eps}
            rows.append(_step(results, f"{words}; eps {eps:g}", before, before | change))
    for words, cell in (("GAN", gan), ("CGAN", cgan)):
        before = cell | {"bn_eps": FACTORS["bn_eps"][0]}
        name = f"{words} with the other's D; eps {before['bn_eps']:g}"
        rows.append(_step(results, name, before, before | {"discriminator": "swapped"}))
    header = ("change", *(measure.title for measure in _JUDGED))
    caption = f"epoch {last_epoch(results)}; from no label and BCE, the last from label and MSE"
    return Table(header, rows, caption)


def _step(results: dict, name: str, before: dict, after: dict) -> tuple[str, ...]:
    epoch = last_epoch(results)
    pairs = [analysis.contrast(results, before, after, m, epoch) for m in _JUDGED]
    shown = [analysis.estimate(pair.values(), m.ratio) for pair, m in zip(pairs, _JUDGED)]
    return (name, *map(str, shown))


def ledger_table(entries: Sequence[Entry]) -> Table:
    """The paper's claims and their verdicts, see ganlib.studies.ledger."""
    header = ("claim", "verdict", "the paper's words (section)", "ours")
    rows = [
        (f"{e.claim.id}: {e.claim.says}", e.verdict.upper(), _quoted(e.claim), e.ours)
        for e in entries
    ]
    seeds = _span(n for entry in entries for n in entry.seeds)
    return Table(header, rows, f"seeds of each setting that has a vote: {seeds}", wide=True)


def _quoted(claim: Claim) -> str:
    return f"“{claim.quote}” ({claim.section})"


def rules_table(entries: Sequence[Entry]) -> Table:
    """What each claim's verdict is decided by."""
    judged = (COVERAGE, RECALL, PRECISION, FRECHET, RANGE, SPECKS)
    least = ", ".join(f"{m.title} {'× ' if m.ratio else ''}{m.least:g}" for m in judged)
    caption = f"the smallest effects that are worth naming: {least}"
    return Table(("claim", "decided by"), [(e.claim.id, e.rule) for e in entries], caption, True)


def not_judged_table() -> Table:
    """The paper's claims that no experiment here can judge, and why."""
    rows = [(c.says, _quoted(c), c.why) for c in NOT_JUDGED]
    return Table(("claim", "the paper's words (section)", "not judged here:"), rows, wide=True)
