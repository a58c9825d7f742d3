"""Figures of a generator that moves on a line, see ganlib.studies.line."""

from collections.abc import Iterator, Sequence

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from ganlib.figures.curves import palette_png
from ganlib.figures.plotting import D_ORANGE, G_BLUE, GREY, INK, new_figure
from ganlib.figures.widgets import new_slider, stacked
from ganlib.losses import Loss
from ganlib.studies import densities
from ganlib.studies.line import Moment

_LOOKS = ((G_BLUE, "-"), (GREY, "--"), (G_BLUE, ":"))


def walks(found: dict[str, Sequence[float]]) -> Figure:
    """The distance from the data, step by step, of generators that follow different losses."""
    figure, axes = new_figure(7, 3)
    for (name, distances), (colour, line) in zip(found.items(), _LOOKS):
        axes.plot(distances, line, color=colour, lw=1.8, label=name)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set(xlabel="step", ylabel="distance from the data", xlim=(0, None))
    axes.legend(frameon=False, fontsize=9)
    return figure


def losses_of(moments: Sequence[Moment], real: Tensor, loss: Loss) -> tuple[list, list]:
    """L_D at each moment: the playing D's, and that of the best D against the same generator."""
    playing = [densities.expected_loss(m.scores, real, m.density, loss) for m in moments]
    return playing, [densities.lowest_loss(real, m.density, loss) for m in moments]


def _draw_game(place: Axes, moment: Moment, real: Tensor) -> None:
    x = densities.GRID
    place.plot(x, real, color=INK, lw=1.2, label="real, p(x)")
    place.fill_between(x, moment.density, color=G_BLUE, alpha=0.3, lw=0)
    place.plot(x, moment.density, color=G_BLUE, lw=1.2, label="generated, q(x)")
    verdict = torch.sigmoid(moment.scores)
    place.plot(x, verdict, "--", color=D_ORANGE, lw=1.6, label="D(x)")
    best = densities.optimal_discriminator(real, moment.density)
    place.plot(x, best, color=D_ORANGE, lw=4, alpha=0.25, label="best D(x)")
    place.set(xlim=(-4.5, 4.5), ylim=(0, 1.4), xlabel="x", title=f"step {moment.step}")
    look = {"framealpha": 1, "edgecolor": "none"}  # a narrow density may rise behind it
    place.legend(fontsize=9, loc="upper center", ncols=2, **look)


def game_frames(moments: Sequence[Moment], real: Tensor, loss: Loss) -> Iterator[np.ndarray]:
    """A picture for each moment, (H, W, 3) uint8: densities and D above, L_D so far below."""
    figure, (top, bottom) = new_figure(4.8, 5, 2, 1, height_ratios=(2, 1))
    canvas = FigureCanvasAgg(figure)
    steps = [moment.step for moment in moments]
    playing, best = losses_of(moments, real, loss)
    bottom.plot(steps, playing, "--", color=D_ORANGE, label="L_D of the D that plays")
    bottom.plot(steps, best, "-", color=D_ORANGE, lw=4, alpha=0.25, label="of the best D")
    bottom.set(xlabel="step", ylabel="L_D", ylim=(0, 0.8), xlim=(-5, steps[-1] + 5))
    bottom.legend(frameon=False, fontsize=9, loc="lower right")
    cursor = bottom.axvline(0, color=INK, lw=1.5)
    for moment in moments:
        top.clear()
        _draw_game(top, moment, real)
        cursor.set_xdata([moment.step] * 2)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def game_slider(moments: Sequence[Moment], real: Tensor, loss: Loss) -> ipywidgets.Widget:
    """A slider over the steps of a game, which works in a page without a kernel."""
    slider = new_slider([str(moment.step) for moment in moments], "step", 0)
    pictures = []
    for frame in game_frames(moments, real, loss):
        picture = ipywidgets.Image(value=palette_png(frame), format="png")
        picture.layout.max_width = "100%"
        picture.add_class("smooth")  # text is not to be shown as pixels
        pictures.append(picture)
    return ipywidgets.VBox([slider, stacked(pictures, slider)])
