"""Figures of images and of losses, and the style of all others.

Each function returns a matplotlib Figure and shows or saves nothing itself.

One convention throughout: the discriminator is orange, the generator blue, as in the paper. The
two stay apart for colour-blind readers, and lines differ in style as well.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ganlib.data import DigitImages
from ganlib.figures.narrow import TwoFold
from ganlib.losses import bce_generator, probability, saturating_generator
from ganlib.runs.history import LossHistory
from ganlib.runs.store import Run
from ganlib.sampling import sheet_columns, to_sheet
from ganlib.training import Epoch

D_ORANGE = "#d95f02"
G_BLUE = "#1f6fb4"
INK = "#333333"
GREEN, GREY = "#1b7f5c", "#8f8f8f"  # what is neither D nor G: images measured; what is left out
PAPER_EPOCHS = (0, 25, 50, 100, 150, 200)  # of Fig. 4 and Fig. 6

_GAP = 2  # pixels between the images of a grid
_STYLE = {
    "figure.facecolor": "white",  # opaque, so that figures stay readable on a dark page
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "figure.dpi": 110,
}


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, across: int = 1, **options
):
    """A styled figure and its axes, taken out of pyplot's hands so that it is shown only once.

    On narrow screens, ``across`` of its panels stand beside each other.
    """
    options |= {"figsize": (width, height), "layout": "constrained", "FigureClass": TwoFold}
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(rows, columns, **options)
    figure.across = across
    plt.close(figure)
    return figure, axes


# --- Images --------------------------------------------------------------------------------------


def mosaic(images: Tensor, columns: int) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] on one picture, uint8, with white gaps between them."""
    return to_sheet(images, columns, _GAP, paper=255)


def draw_grid(
    axes: Axes,
    images: Tensor,
    columns: int,
    title: str = "",
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
) -> None:
    """`image_grid` on axes that are there."""
    axes.imshow(mosaic(images, columns), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    height, width = images.shape[2] + _GAP, images.shape[3] + _GAP
    axes.set_xticks([i * width + width / 2 for i in range(len(column_titles))], column_titles)
    axes.set_yticks([i * height + height / 2 for i in range(len(row_titles))], row_titles)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.set_title(title)


def image_grid(
    images: Tensor,
    columns: int = 10,
    title: str = "",
    column_titles: Sequence[str] = (),
    row_titles: Sequence[str] = (),
    width: float = 6.5,
) -> Figure:
    """Images (N, 1, H, W) in [-1, 1] in rows of ``columns``; ``width`` in inches."""
    rows = -(-len(images) // columns)
    headroom = 0.35 * bool(title) + 0.3 * bool(column_titles)
    figure, axes = new_figure(width, width * rows / columns + headroom)
    draw_grid(axes, images, columns, title, column_titles, row_titles)
    return figure


def epoch_strip(run: Run, epochs: Sequence[int] = PAPER_EPOCHS, n_rows: int = 10) -> Figure:
    """Fig. 4 and Fig. 6: the first rows of a run's sample sheet at several epochs, same z."""
    figure, axes = new_figure(
        9, 3.35 * -(-len(epochs) // 3) * n_rows / 10 + 0.4, -(-len(epochs) // 3), 3, across=2
    )
    columns = sheet_columns(run.config)
    digits = [str(d) for d in range(columns)] if run.conditional else ()
    for place in axes.flat:
        place.axis("off")
    for place, epoch in zip(axes.flat, epochs):
        place.axis("on")
        images = run.samples(epoch)[: n_rows * columns]
        draw_grid(place, images, columns, f"epoch {epoch}", digits)
    return figure


def real_beside_generated(real: Tensor, generated: Tensor, titles: tuple[str, str]) -> Figure:
    """Fig. 5 and Fig. 7: two grids of images (N, 1, H, W) in [-1, 1], ten in a row."""
    rows = -(-max(len(real), len(generated)) // 10)
    figure, axes = new_figure(9, 4.4 * rows / 10 + 0.45, 1, 2)
    for place, images, title in zip(axes, (real, generated), titles):
        draw_grid(place, images, 10, title)
    return figure


def mean_images(dataset: DigitImages) -> Figure:
    """The mean image of each class, and how much its pixels vary (their standard deviation).

    The number is the root mean square of the standard deviations.
    """
    n = len(dataset.class_names)
    figure, axes = new_figure(9, 2.7, 2, n, across=n)
    for label, (top, bottom) in enumerate(axes.T):
        mine = dataset.images[dataset.labels == label].mean(dim=1)  # of the channels
        for place, picture, limits in ((top, mine.mean(0), (-1, 1)), (bottom, mine.std(0), (0, 1))):
            place.imshow(picture.cpu(), cmap="gray", vmin=limits[0], vmax=limits[1])
            place.set(xticks=[], yticks=[])
            place.spines[:].set_visible(False)
        top.set_title(dataset.class_names[label])
        bottom.set_xlabel(f"{float(mine.std(0).square().mean().sqrt()):.2f}")
    axes[0, 0].set_ylabel("mean")
    axes[1, 0].set_ylabel("spread")
    figure.suptitle(dataset.title)
    return figure


def class_counts(datasets: Sequence[DigitImages]) -> Figure:
    """How often each class occurs in each data set given, as a share of its images."""
    figure, axes = new_figure(7, 2.8)
    names = datasets[0].class_names
    bar, top = 0.8 / len(datasets), 15
    for place, (dataset, shade) in enumerate(zip(datasets, ("#4d4d4d", "#b0b0b0", "#7fa6a0"))):
        counts = torch.bincount(dataset.labels.cpu(), minlength=len(names))
        share = 100 * counts / len(dataset)
        top = max(top, 1.2 * float(share.max()))
        at = np.arange(len(names)) + (place - (len(datasets) - 1) / 2) * bar
        label = f"{dataset.split}, {len(dataset):,} images"
        axes.bar(at, share, bar, label=label, color=shade)
    axes.axhline(100 / len(names), color=INK, lw=1, ls=":", label="equal shares")
    axes.set(xlabel="class", ylabel="share of images (%)", title=datasets[0].title, ylim=(0, top))
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="x", visible=False)
    figure.legend(frameon=False, ncols=3, loc="outside lower center")
    return figure


def digits_over_epochs(runs: Sequence[Run]) -> Figure:
    """Which digits a judge has read in each run's images, as shares, at the epochs measured.

    One panel a run, ten bands on top of each other, 0 at the bottom; a band has its digit where it
    is widest, if it is wide enough for one anywhere.
    """
    figure, axes = new_figure(7.5, 3.2, 1, len(runs), sharey=True, squeeze=False)
    colours = plt.get_cmap("viridis")(np.linspace(0.1, 1, 10))
    for place, run in zip(axes.flat, runs):
        measured = run.metrics()
        epochs = np.array(list(measured))
        counts = np.array([found["class_counts"] for found in measured.values()])
        shares = 100 * counts.T / counts.sum(axis=1)
        place.stackplot(epochs, shares, colors=colours, edgecolor="white", lw=0.6)
        room = (epochs >= 10) & (epochs < epochs[-1])  # not at the panel's edges
        tops = shares.cumsum(axis=0)
        for digit, (share, top) in enumerate(zip(shares[:, room], tops[:, room])):
            at = share.argmax()
            if share[at] > 4:
                ink = "white" if digit < 5 else INK
                middle = epochs[room][at], top[at] - share[at] / 2
                place.annotate(str(digit), middle, color=ink, fontsize=9, ha="center", va="center")
        place.set(title=run.name, xlabel="epoch", xlim=(1, epochs[-1]), ylim=(0, 100))
        place.set_xticks([1, *(epoch for epoch in epochs if epoch % 50 == 0)])
        place.grid(False)
    axes[0, 0].set_ylabel("share of images (%)")
    return figure


# --- Losses --------------------------------------------------------------------------------------


def loss_curves(history: LossHistory, title: str = "") -> Figure:
    """Fig. 8 and Fig. 9: both losses by epoch.

    The line is the epoch's mean, the dark band holds 90 % of its iterations, the light band all.
    """
    figure, axes = new_figure(8, 3.2)
    epochs = np.arange(1, len(history.epochs) + 1)
    for column, name, colour, line in (
        ("d_loss", "discriminator", D_ORANGE, "-"),
        ("g_loss", "generator", G_BLUE, "--"),
    ):
        for low, high, alpha in (("min", "max", 0.12), ("p05", "p95", 0.25)):
            band = history.epoch(column, low), history.epoch(column, high)
            axes.fill_between(epochs, *band, color=colour, alpha=alpha, lw=0)
        axes.plot(epochs, history.epoch(column), line, color=colour, lw=1.6, label=name)
    axes.set(xlabel="epoch", ylabel="loss", title=title, xlim=(1, len(epochs)))
    axes.legend(frameon=False, loc="upper left")
    return figure


def generator_gradients() -> Figure:
    """Eq. 1 against Eq. 3: the generator's loss, and its slope, against D's verdict D(G(z)).

    Loss and slope come from ganlib's own functions through autograd, slope with respect to the
    raw score, for that is what flows back into the generator.
    """
    scores = torch.linspace(-6, 6, 241, requires_grad=True)
    verdict = probability(scores).detach()
    figure, (left, right) = new_figure(9, 3.1, 1, 2)
    for loss, name, colour, line in (
        (saturating_generator, "Eq. 1, saturating: log(1 − D)", "#7a7a7a", "--"),
        (bce_generator, "Eq. 3, non-saturating: −log D", G_BLUE, "-"),
    ):
        value = torch.stack([loss(score) for score in scores])
        (slope,) = torch.autograd.grad(value.sum(), scores)
        left.plot(verdict, value.detach(), line, color=colour, label=name)
        right.plot(verdict, slope.abs(), line, color=colour, label=name)
    left.set(xlabel="D(G(z)), D's verdict on a generated image", ylabel="generator's loss")
    right.set(
        xlabel="D(G(z)), D's verdict on a generated image",
        ylabel="size of the gradient (raw score)",
    )
    left.set_title("the loss")
    right.set_title("what reaches the generator")
    right.axvspan(0, 0.1, color="#f2d8c2", alpha=0.6, lw=0)
    right.annotate("D is winning", (0.115, 0.5), fontsize=9, va="center")
    left.legend(frameon=False, fontsize=9)
    return figure


def live_training(images: Tensor, history: Sequence[Epoch], title: str = "") -> Figure:
    """A training so far: the newest images (N, 1, H, W) beside every iteration's losses."""
    figure, (left, right) = new_figure(9, 3.3, 1, 2, width_ratios=(1, 1.5))
    draw_grid(left, images, 10, title)
    losses = torch.cat([epoch.losses for epoch in history])
    iterations = np.arange(1, len(losses) + 1)
    right.plot(iterations, losses[:, 1], color=D_ORANGE, lw=0.8, label="discriminator")
    right.plot(iterations, losses[:, 0], color=G_BLUE, lw=0.8, label="generator")
    right.margins(y=0.2)  # room for the legend
    right.set(xlabel="iteration", ylabel="loss", title="losses, every iteration")
    right.set_ylim(bottom=min(0, right.get_ylim()[0]) if (losses[:, :2] < 0).any() else 0)
    right.legend(frameon=False, loc="upper left", ncols=2)
    return figure
