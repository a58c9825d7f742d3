"""Flow charts of the networks, drawn from the modules themselves.

They answer to Fig. 1 to 3. A chart is made by sending a batch through the network and noting what
each layer receives and returns; change a network and its chart changes with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganlib.families import evaluating, n_parameters
from ganlib.figures.narrow import WIDTH
from ganlib.figures.plotting import D_ORANGE, G_BLUE, INK, new_figure
from ganlib.models.convolutional import UpConv2d
from ganlib.models.normalisation import ConditionalBatchNorm

CBN = "CBN"  # conditional batch normalisation, as a chart writes it
_LABEL_GREY = "#6b6b6b"


@dataclass
class Block:
    """Layers that act together, led by the one with weights: its text, and the shape it returns."""

    lines: list[str]
    shape: tuple[int, ...]
    embedding: bool = False


def trace(network: nn.Module, *inputs: Tensor) -> list[Block]:
    """The network's blocks in the order in which a batch meets them.

    A layer with a weight matrix or kernel opens a block; normalisation and activation join it.
    Shapes leave out the batch.
    """
    blocks: list[Block] = []

    def note(layer: nn.Module, _inputs, output: Tensor) -> None:
        shape = tuple(output.shape[1:])
        if isinstance(layer, nn.Flatten):
            return
        if isinstance(layer, nn.Unflatten):
            blocks[-1].shape = shape
        elif isinstance(layer, nn.Embedding):
            text = f"Embedding\n{layer.num_embeddings} → {layer.embedding_dim}"
            blocks.append(Block([text, *_reined(layer)], shape, embedding=True))
        elif isinstance(layer, nn.Linear):
            text = f"Linear\n{layer.in_features} → {layer.out_features}"
            blocks.append(Block([text, *_reined(layer)], shape))
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            stride = f"\nstride {layer.stride[0]}" if layer.stride[0] > 1 else ""
            kind = "Conv" if isinstance(layer, nn.Conv2d) else "Transposed"
            text = f"{kind} {_by(layer.kernel_size)}{stride}"
            text += f"\n{layer.in_channels} → {layer.out_channels}"
            first = [f"Upsample\nto {_by(shape[1:])}"] if isinstance(layer, UpConv2d) else []
            blocks.append(Block([*first, text, *_reined(layer)], shape))
        else:
            blocks[-1].lines.append(_short_name(layer))
            blocks[-1].shape = shape

    hooks = [layer.register_forward_hook(note) for layer in _layers(network)]
    try:
        with torch.no_grad(), evaluating(network):
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return blocks


def _layers(module: nn.Module) -> list[nn.Module]:
    """The parts that have no parts, each once; how a weight is made (spectral norm) is no part."""
    parts = {part for name, part in module.named_children() if name != "parametrizations"}
    found = dict.fromkeys(layer for part in parts for layer in _layers(part))
    return list(found) or [module]


def _reined(layer: nn.Module) -> list[str]:
    """What the layer's weights are put through before each use."""
    made = layer.parametrizations.weight if parametrize.is_parametrized(layer, "weight") else []
    return [type(one).__name__.strip("_") for one in made]


def _by(sizes: tuple[int, ...]) -> str:
    return " × ".join(map(str, sizes))


def _short_name(layer: nn.Module) -> str:
    if isinstance(layer, (nn.Dropout, nn.Dropout2d)):
        return f"Dropout {layer.p:g}"
    if isinstance(layer, ConditionalBatchNorm):
        return CBN
    name = type(layer).__name__
    return "BatchNorm" if name.startswith("BatchNorm") else name


def _box(axes: Axes, x: float, y: float, text: str, colour: str, width: float, height: float):
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=colour + "1f",  # the colour, nearly transparent
        edgecolor=colour,
        lw=1.3,
    )
    axes.add_patch(shape)
    axes.text(x, y, text, ha="center", va="center", fontsize=8, linespacing=1.35)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    colour: str = INK,
    **look,
):
    """``look``: what else matplotlib's arrowprops are told."""
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.1} | look
    axes.annotate("", end, start, arrowprops=style)
    if text:
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(middle[0], middle[1] + 0.1, text, ha="center", fontsize=7.5)


def _draw_network(axes: Axes, network: nn.Module, blocks: list[Block], ends: tuple[str, str]):
    """One network from left to right; the height of a box grows with the width of its layer."""
    colour = G_BLUE if ends[1] == "image" else D_ORANGE
    chain = [block for block in blocks if not block.embedding]
    step, width, x_in = 1.75, 1.2, -1.75
    normalised: list[tuple[float, float]] = []  # below each box that is told the label
    axes.text(x_in, 0, ends[0], ha="center", va="center", fontsize=9, weight="bold")
    for place, block in enumerate(chain):
        text = "\n".join(block.lines)
        height = max(1.0 + 0.05 * block.shape[0] ** 0.5, 0.5 + 0.28 * (text.count("\n") + 1))
        x = place * step
        _box(axes, x, 0, text, colour, width, height)
        if place:
            arriving = _by(chain[place - 1].shape[:1]) + "".join(
                f"\n× {side}" for side in chain[place - 1].shape[1:]
            )
            _arrow(axes, (x - step + width / 2, 0), (x - width / 2, 0), arriving)
        if CBN in block.lines:
            normalised.append((x, -height / 2))
    _arrow(axes, (x_in + 0.55, 0), (-width / 2, 0))
    end = (len(chain) - 1) * step + width / 2
    _arrow(axes, (end, 0), (end + 0.5, 0))
    axes.text(end + 0.6, 0, ends[1], ha="left", va="center", fontsize=9, weight="bold")
    if normalised:
        _draw_classes(axes, x_in, normalised)
    for place, block in enumerate(blocks):
        if block.embedding and place == 0:
            _draw_embedding(axes, block, x_in, (-0.9, -0.05), "joined")
        elif block.embedding:  # met behind the last features: a projection
            _draw_embedding(axes, block, x, (x + 0.3, -height / 2), "product")
    axes.set_title(f"{type(network).__name__}: {n_parameters(network):,} parameters", loc="left")
    low = -2.5 if normalised or len(chain) < len(blocks) else -1.45
    axes.set(xlim=(-2.5, 8.9), ylim=(low, 1.45))
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_classes(axes: Axes, x: float, ends: list[tuple[float, float]]) -> None:
    """The label's way into conditional normalisation: one line below, an arrow up to each box."""
    axes.text(x, -2.3, "label y", ha="center", va="center", fontsize=9, weight="bold")
    axes.plot([x + 0.5, ends[-1][0]], [-2.3, -2.3], color=_LABEL_GREY, lw=1.1)
    for end in ends:
        _arrow(axes, (end[0], -2.3), end, colour=_LABEL_GREY, shrinkA=0)


def _draw_embedding(
    axes: Axes, block: Block, x: float, joint: tuple[float, float], how: str
) -> None:
    """The label's way in through an embedding, whose arrow ends at ``joint``."""
    axes.text(x, -2.3, "label y", ha="center", va="center", fontsize=9, weight="bold")
    _box(axes, x, -1.4, "\n".join(block.lines), _LABEL_GREY, 1.2, 0.75)
    _arrow(axes, (x, -2.12), (x, -1.78), colour=_LABEL_GREY)
    _arrow(axes, (x + 0.3, -1.02), joint, colour=_LABEL_GREY)
    axes.text(x - 0.05, -0.72, how, ha="right", fontsize=8, color=_LABEL_GREY)


def flow_chart(generator: nn.Module, discriminator: nn.Module, latent_dim: int = 100) -> Figure:
    """Fig. 1 (GAN), Fig. 3 (CGAN) and their kind: both networks, layer by layer, with sizes."""
    told = nn.Embedding, ConditionalBatchNorm
    conditional = any(isinstance(layer, told) for layer in generator.modules())
    labels = (torch.zeros(2, dtype=torch.long),) if conditional else ()
    z = torch.zeros(2, latent_dim)
    g_blocks = trace(generator, z, *labels)
    with torch.no_grad(), evaluating(generator):
        images = generator(z, *labels)
    d_blocks = trace(discriminator, images, *labels)
    both = (
        (generator, g_blocks, (f"noise z\n{latent_dim}", "image")),
        (discriminator, d_blocks, (f"image\n{_by(images.shape[1:])}", "score")),
    )
    figure, places = new_figure(9.5, 7.6 if conditional else 6.2, 2, 1)
    for place, player in zip(places, both):
        _draw_network(place, *player)
    figure.narrowed = partial(_narrow_flow, both)
    return figure


def _narrow_flow(both: Sequence[tuple]) -> Figure:
    """`flow_chart` for a narrow screen: each network from top to bottom, one below the other."""
    heights = [_height_down(blocks) for _, blocks, _ in both]
    figure, places = new_figure(WIDTH, sum(heights) + 0.7, 2, 1, height_ratios=heights)
    for place, player in zip(places, both):
        _draw_down(place, *player)
    return figure


def _lines_down(block: Block) -> list[str]:
    """A block's text in few lines: one for each layer with sizes, one for all others."""
    sized = [line.replace("\n", " ") for line in block.lines if "\n" in line]
    others = ", ".join(line for line in block.lines if "\n" not in line)
    return [*sized, others] if others else sized


_LINE, _GAP = 0.17, 0.34  # inches: of text; between two boxes


def _height_down(blocks: list[Block]) -> float:
    boxes = [_LINE * (len(_lines_down(block)) + 1) for block in blocks if not block.embedding]
    return sum(boxes) + _GAP * (len(boxes) + 1) + 3 * _LINE


def _draw_down(axes: Axes, network: nn.Module, blocks: list[Block], ends: tuple[str, str]):
    """One network from top to bottom, in inches, the label's ways in at the right."""
    colour = G_BLUE if ends[1] == "image" else D_ORANGE
    x, wide, x_label, y = 1.25, 2.1, 3.35, -_LINE
    known = {"ha": "center", "va": "center", "fontsize": 9, "weight": "bold"}
    axes.text(x, 0, ends[0].replace("\n", ", "), **known)
    chain = [block for block in blocks if not block.embedding]
    for place, block in enumerate(chain):
        lines = _lines_down(block)
        height = _LINE * (len(lines) + 1)
        _arrow(axes, (x, y), (x, y - _GAP))
        if place:
            axes.text(x + 0.1, y - _GAP / 2, _by(chain[place - 1].shape), va="center", fontsize=7.5)
        y -= _GAP + height
        _box(axes, x, y + height / 2, "\n".join(lines), colour, wide, height)
        edge = x + wide / 2, y + height / 2
        for at, how in ((0, "joined"), (len(blocks) - 1, "product")):
            last = how == "product" and place == len(chain) - 1
            if blocks[at].embedding and (last or at == place == 0):
                _box(axes, x_label, edge[1], "\n".join(blocks[at].lines), _LABEL_GREY, 1.1, 0.5)
                _arrow(axes, (x_label - 0.55, edge[1]), edge, colour=_LABEL_GREY)
                axes.text(edge[0] + 0.25, edge[1] + 0.06, how, ha="center", fontsize=7.5)
                axes.text(x_label, edge[1] + 0.75, "label y", **known)
                _arrow(axes, (x_label, edge[1] + 0.65), (x_label, edge[1] + 0.25))
        if CBN in block.lines:
            axes.text(x_label, edge[1], "label y", **known)
            _arrow(axes, (x_label - 0.35, edge[1]), edge, colour=_LABEL_GREY)
    _arrow(axes, (x, y), (x, y - _GAP))
    axes.text(x, y - _GAP - 0.1, ends[1], **known)
    title = f"{type(network).__name__}: {n_parameters(network):,} parameters"
    axes.set_title(title, loc="left", fontsize=10)
    axes.set(xlim=(0, WIDTH), ylim=(y - _GAP - 0.25, 0.25))
    axes.axis("off")


def game_chart(conditional: bool = False) -> Figure:
    """Fig. 2 and its unconditional twin: who sees what, and where the score goes."""
    figure, axes = new_figure(8, 3.0 if conditional else 2.7)
    _box(axes, 2, 1, "generator G", G_BLUE, 1.5, 0.8)
    _box(axes, 5.6, 0, "discriminator D", D_ORANGE, 1.7, 0.8)
    axes.text(0, 1, "noise z", ha="center", va="center", weight="bold")
    axes.text(2, -1, "real image x", ha="center", va="center", weight="bold")
    axes.text(8.1, 0, "score:\nreal or not?", ha="center", va="center", weight="bold")
    _arrow(axes, (0.5, 1), (1.25, 1))
    _arrow(axes, (2.75, 1), (4.75, 0.2))
    _arrow(axes, (2.75, -1), (4.75, -0.2))
    _arrow(axes, (6.45, 0), (7.3, 0))
    made = "G(z, y)" if conditional else "G(z)"
    axes.text(4.0, 0.85, made, ha="left", va="center", fontsize=9, color=G_BLUE)
    _arrow(axes, (4.72, 0), (2.2, 0.58), colour=D_ORANGE, ls="--")
    axes.text(2.75, 0.1, "gradient", ha="center", va="center", fontsize=9, color=D_ORANGE)
    if conditional:
        axes.text(2, 2.15, "label y", ha="center", color=_LABEL_GREY, weight="bold")
        axes.text(5.6, 2.15, "the same label y", ha="center", color=_LABEL_GREY, weight="bold")
        for x, y in ((2, 1.4), (5.6, 0.4)):
            _arrow(axes, (x, 2.05), (x, y), colour=_LABEL_GREY)
    axes.set(xlim=(-0.7, 9.1), ylim=(-1.4, 2.5 if conditional else 1.6))
    axes.axis("off")
    figure.narrowed = partial(_narrow_game, conditional)
    return figure


def _narrow_game(conditional: bool) -> Figure:
    """`game_chart` for a narrow screen, in inches: from the noise down to the score."""
    figure, axes = new_figure(WIDTH, 3.6)
    _box(axes, 1.3, 2.5, "generator G", G_BLUE, 1.1, 0.5)
    _box(axes, 2.2, 1.2, "discriminator D", D_ORANGE, 1.1, 0.5)
    known = {"ha": "center", "va": "center", "weight": "bold"}
    axes.text(1.3, 3.35, "noise z", **known)
    axes.text(3.1, 2.5, "real image x", **known)
    axes.text(2.2, 0.3, "score: real or not?", **known)
    _arrow(axes, (1.3, 3.25), (1.3, 2.75))
    _arrow(axes, (1.5, 2.25), (2.1, 1.45))
    _arrow(axes, (3.0, 2.38), (2.4, 1.45))
    _arrow(axes, (2.2, 0.95), (2.2, 0.4))
    _arrow(axes, (1.75, 1.45), (1.2, 2.25), colour=D_ORANGE, ls="--")
    axes.text(1.9, 1.95, "G(z, y)" if conditional else "G(z)", fontsize=9, color=G_BLUE)
    axes.text(1.3, 1.75, "gradient", ha="right", fontsize=9, color=D_ORANGE)
    if conditional:
        known["color"] = _LABEL_GREY
        for y, end, words in ((2.5, 0.75, "label\ny"), (1.2, 1.65, "the same\nlabel y")):
            axes.text(0.25 if y > 2 else 0.6, y, words, **known)
            _arrow(axes, (0.45 if y > 2 else 1.0, y), (end, y), colour=_LABEL_GREY)
    axes.set(xlim=(0, WIDTH), ylim=(0.1, 3.5))
    axes.axis("off")
    return figure
