"""What a batch normalisation does to a batch of activations, as a figure."""

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from ganlib.families import evaluating
from ganlib.figures.plotting import G_BLUE, GREY, INK, new_figure


@torch.no_grad()
def stages(generator: nn.Module, norm: nn.BatchNorm1d, *inputs: Tensor) -> Tensor:
    """A batch on its way through ``norm``, a layer of ``generator``: (3, N, units).

    What arrives; normalised by the batch's own mean and variance, as in training; scaled and
    shifted. The generator stays as it is.
    """
    met: list[Tensor] = []
    hook = norm.register_forward_hook(lambda _, given, __: met.append(given[0].clone()))
    try:
        with evaluating(generator):
            generator(*inputs)
    finally:
        hook.remove()
    (arrives,) = met
    variance, mean = torch.var_mean(arrives, dim=0, correction=0)
    normal = (arrives - mean) / (variance + norm.eps).sqrt()
    return torch.stack([arrives, normal, norm.weight * normal + norm.bias])


def histograms(found: Tensor, units: tuple[int, ...]) -> Figure:
    """Some units of :func:`stages`, one above the other at each stage; a dot is one image's."""
    figure, axes = new_figure(6.4, 1.1 * len(units) + 1.6, 1, 3, sharex=True, sharey=True)
    titles = "what arrives", "normalised", "scaled, shifted"
    for place, stage, title in zip(axes, found, titles):
        for line, unit in enumerate(units):
            values = stage[:, unit]
            spread = torch.linspace(-0.16, 0.16, len(values))  # so that equal ones can be told
            look = {"color": G_BLUE, "ms": 3, "alpha": 0.5, "mew": 0}
            place.plot(values.numpy(), (line + spread).numpy(), "o", **look)
            mean, width = float(values.mean()), float(values.std(correction=0))
            place.plot([mean - width, mean + width], [line + 0.3] * 2, color=INK, lw=1.5)
            place.plot(mean, line + 0.3, "|", color=INK, ms=9, mew=1.5)
            words = f"{round(mean, 1) + 0:.1f} ± {width:.1f}"  # + 0: no "-0.0"
            place.annotate(words, (mean, line + 0.38), ha="center", va="top", fontsize=8)
        place.axvline(0, color=GREY, lw=0.8)
        place.set(title=title, ylim=(len(units) - 0.3, -0.4))
        place.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(units)), [f"unit {unit}" for unit in units])
    figure.supxlabel("activation", fontsize=10)
    return figure
