"""Figures of losses: beside the paper's, beside measures of the images, and on a line."""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ganlib.figures.plotting import D_ORANGE, G_BLUE, GREEN, GREY, INK, draw_grid, new_figure
from ganlib.figures.tables import Table
from ganlib.losses import BCE, MSE, bce_generator, mse_generator, saturating_generator
from ganlib.runs.history import LossHistory
from ganlib.runs.store import Run
from ganlib.studies import densities
from ganlib.studies.analysis import ENOUGH, Vote, combine, last_epoch, read
from ganlib.studies.measures import COVERAGE, FRECHET, RANGE, WAYS
from ganlib.studies.paper import AVERAGE, FIGURES, factor_effects

_PLAYERS = (("d_loss", "discriminator", D_ORANGE, "-"), ("g_loss", "generator", G_BLUE, "--"))
_EPOCH_TICKS = (1, 5, 25, 100)


# --- Fig. 8 and Fig. 9 ---------------------------------------------------------------------------


def _paper_range(run: Run) -> tuple[str, tuple[float, float]]:
    """The paper's figure that a run answers to, and its range."""
    return list(FIGURES.items())[run.conditional]


def _draw_losses(axes: Axes, history: LossHistory) -> None:
    """Both losses by epoch: mean, 90 % of the iterations (dark), all of them (light)."""
    epochs = np.arange(1, len(history.epochs) + 1)
    for column, name, colour, line in _PLAYERS:
        for low, high, alpha in (("min", "max", 0.15), ("p05", "p95", 0.3)):
            band = history.epoch(column, low), history.epoch(column, high)
            axes.fill_between(epochs, *band, color=colour, alpha=alpha, lw=0)
        axes.plot(epochs, history.epoch(column), line, color=colour, lw=1.4, label=name)


def recorded_losses(runs: Sequence[Run]) -> Figure:
    """Fig. 8 and Fig. 9 for each of four runs, two in a row; dotted: the paper's extremes."""
    figure, axes = new_figure(9.5, 5.6, 2, 2)
    for place, run in zip(axes.flat, runs):
        _draw_losses(place, run.losses())
        name, ends = _paper_range(run)
        for end in ends:
            place.axhline(end, color=INK, lw=1, ls=":")
        place.annotate(f"the paper's {name}: {ends[0]} to {ends[1]}", (200, ends[1]), ha="right",
                       va="bottom", fontsize=8)  # fmt: skip
        place.set(title=f"{run.name} ({run.config.loss})", xlabel="epoch", ylabel="loss")
        place.set(xlim=(1, 200), ylim=(0, None))
    axes[1, 1].legend(frameon=False, fontsize=8, loc="upper right", ncols=2)
    return figure


def range_effects_table(results: dict) -> Table:
    """What label and loss do to the width of the losses' range, under each rule of logging.

    The verdicts are those of a claim that is judged under all of these rules at once.
    """
    found, rows = {}, []
    for rule, look in WAYS["logging"].items():
        label, loss = (
            factor_effects(results, factor, look(RANGE), last_epoch(results))
            for factor in ("conditioning", "loss")
        )
        votes = [Vote(name, one, RANGE, -1) for name, one in label.items() if name != AVERAGE]
        found[rule] = [vote for vote in votes if vote.effect.n >= ENOUGH]
        rows.append((rule, str(label[AVERAGE]), str(loss[AVERAGE])))
    readings = iter(read([vote for votes in found.values() for vote in votes]))
    verdicts = [combine([next(readings) for _ in votes]) for votes in found.values()]
    rows = [(rule, label, verdict, loss) for (rule, label, loss), verdict in zip(rows, verdicts)]
    header = (
        "logged",
        "CGAN for GAN, same loss",
        "“smaller for the CGAN”",
        "MSE for BCE, same label",
    )
    return Table(header, rows, "width of both losses' range, a factor [95 % interval]")


# --- On a line -----------------------------------------------------------------------------------


def discriminators_on_a_line(real: Tensor, fake: Tensor, trained: dict[str, Tensor]) -> Figure:
    """Two densities, and D between them: the closed form and trained ones, as probabilities."""
    figure, (left, right) = new_figure(9, 3.0, 1, 2)
    x = densities.GRID
    for density, name, colour in ((real, "real, p(x)", INK), (fake, "generated, q(x)", G_BLUE)):
        left.fill_between(x, density, color=colour, alpha=0.25, lw=0)
        left.plot(x, density, color=colour, label=name)
    best = densities.optimal_discriminator(real, fake)
    right.plot(x, best, color=INK, lw=4, alpha=0.25, label="closed form")
    for (name, scores), line in zip(trained.items(), ("-", "--")):
        right.plot(x, torch.sigmoid(scores), line, color=D_ORANGE, lw=1.3, label=f"trained, {name}")
    right.axhline(0.5, color=INK, lw=0.8, ls=":")
    left.set(title="two densities", xlabel="x", ylabel="density", xlim=(-4.5, 4.5))
    right.set(title="the best discriminator", xlabel="x", ylabel="D(x)", xlim=(-4.5, 4.5))
    right.set_ylim(-0.03, 1.4)
    left.set_ylim(0, 1.35 * float(max(real.max(), fake.max())))  # room for the legend
    left.legend(frameon=False, fontsize=8.5, loc="upper center", ncols=2)
    right.legend(frameon=False, fontsize=8.5, loc="upper center", ncols=2)
    return figure


def two_failures(real: Tensor, failures: dict[str, Tensor]) -> Figure:
    """Generators that fail in different ways, each with the lowest L_D that D could reach."""
    figure, axes = new_figure(9, 2.6, 1, len(failures), sharey=True)
    x = densities.GRID
    for place, (name, fake) in zip(axes, failures.items()):
        place.plot(x, real, color=INK, lw=1, label="real")
        place.fill_between(x, fake, color=G_BLUE, alpha=0.3, lw=0)
        place.plot(x, fake, color=G_BLUE, label="generated")
        bce = densities.lowest_loss(real, fake, BCE)
        place.set(title=f"{name}: best D has BCE loss {bce:.3f}", xlabel="x", xlim=(-5, 5))
    axes[0].set_ylabel("density")
    axes[0].legend(frameon=False, fontsize=8.5, loc="upper left")
    return figure


def losses_and_pulls() -> Figure:
    """A generator at N(d, 1), data at N(0, 1), D at its best: D's loss, and the pull on G, by d."""
    figure, (left, right) = new_figure(9, 3.1, 1, 2)
    distances = np.linspace(0.01, 6, 40)
    real = densities.mixture([0.0], 1.0)
    for loss, name, line in ((BCE, "BCE, Eq. 6", "-"), (MSE, "MSE, Eq. 9", "--")):
        fakes = (densities.mixture([float(d)], 1.0) for d in distances)
        lowest = [densities.lowest_loss(real, fake, loss) for fake in fakes]
        left.plot(distances, lowest, line, color=D_ORANGE, label=name)
    for loss, name, colour, line in (
        (bce_generator, "Eq. 3, −log D", G_BLUE, "-"),
        (saturating_generator, "Eq. 1, log(1 − D)", GREY, "--"),
        (mse_generator, "Eq. 7, (D − 1)²", G_BLUE, ":"),
    ):
        pulls = [densities.pull(float(d), loss) for d in distances]
        right.plot(distances, pulls, line, color=colour, label=name)
    left.set(title="the best D's loss", ylabel="L_D", ylim=(0, 0.75))
    right.set(title="the pull on the generator", ylabel="slope in d, D held still", ylim=(0, 3))
    for place in (left, right):
        place.set_xlabel("distance d of generated from real")
        place.legend(frameon=False, fontsize=9)
    return figure


# --- Losses beside images ------------------------------------------------------------------------


def losses_beside_measures(runs: Sequence[Run], floor: dict) -> Figure:
    """For each run, by epoch: both losses, and below them what the images are worth."""
    figure, axes = new_figure(9.5, 5.8, 3, len(runs), sharex=True, sharey="row")
    for run, (top, middle, bottom) in zip(runs, axes.T):
        history, measured = run.losses(), run.metrics()
        epochs = np.arange(1, len(history.epochs) + 1)
        for column, name, colour, line in _PLAYERS:
            top.plot(epochs, history.epoch(column), line, color=colour, label=name)
        top.set_title(f"{run.name}\n({run.config.loss})", fontsize=10)
        for place, measure in ((middle, COVERAGE), (bottom, FRECHET)):
            values = [measured[epoch][measure.key] for epoch in measured]
            place.plot(list(measured), values, "o-", color=GREEN, ms=3.5)
            place.axhline(floor[measure.key], color=INK, lw=0.8, ls="--")
        middle.set_ylim(0, 1)
        bottom.set(yscale="log", xscale="log", xlabel="epoch")
        bottom.set_xticks(_EPOCH_TICKS, [str(tick) for tick in _EPOCH_TICKS])
        bottom.minorticks_off()
    for place, name in zip(axes[:, 0], ("loss, mean", "coverage", "Fréchet distance")):
        place.set_ylabel(name)
    axes[1, 0].annotate("real images", (1, floor["coverage"]), fontsize=8, va="top")
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


_SHOWN = (  # under each frame: key, words, form
    ("classes", "digits found", "{}"),
    ("accuracy", "drawn as asked", "{:.0%}"),
    ("coverage", "coverage", "{:.2f}"),
    ("recall", "recall", "{:.2f}"),
    ("precision", "precision", "{:.2f}"),
    ("frechet", "Fréchet distance", "{:.1f}"),
)


def frames(run: Run, epochs: Sequence[int], n_rows: int = 6) -> Iterator[np.ndarray]:
    """A picture for each epoch: samples, measures, the losses with a cursor at it; (H, W, 3) uint8.

    All frames of all runs are of one size.
    """
    figure, (above, below) = new_figure(4.8, 4.8, 2, 1, height_ratios=(1.9, 1))
    canvas = FigureCanvasAgg(figure)
    _draw_losses(below, run.losses())
    below.set(xlim=(0, run.epochs_done), ylim=(0, None), xlabel="epoch", ylabel="loss")
    cursor = below.axvline(0, color=INK, lw=1.5)
    measured = run.metrics()
    for epoch in epochs:
        above.clear()
        draw_grid(above, run.samples(epoch)[: 10 * n_rows], 10)
        above.set_title(f"{run.name}, epoch {epoch}", fontsize=10)
        above.set_xlabel(_measures_in_words(measured.get(epoch)), fontsize=9.5)
        cursor.set_xdata([epoch, epoch])
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _measures_in_words(measured: dict | None) -> str:
    """Two lines of measures; the same height whether or not the epoch was measured."""
    if measured is None:
        return "not measured\n"
    words = [f"{name} {form.format(measured[key])}" for key, name, form in _SHOWN
             if measured[key] is not None]  # fmt: skip
    half = len(words) // 2
    return " · ".join(words[:half]) + "\n" + " · ".join(words[half:])


def palette_png(picture: np.ndarray) -> bytes:
    """A frame (H, W, 3) uint8 as the bytes of a small PNG file: greys, orange and blue only."""
    shades = [grey / 19 * np.ones(3) for grey in range(20)]
    for colour in (D_ORANGE, G_BLUE):
        shades += [
            1 - share * (1 - np.array(to_rgb(colour))) for share in (1, 0.7, 0.4, 0.25, 0.12)
        ]
    palette = Image.new("P", (1, 1))
    palette.putpalette([round(255 * part) for shade in shades for part in shade])
    buffer = io.BytesIO()
    small = Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
