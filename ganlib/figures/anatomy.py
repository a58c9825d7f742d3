"""A look inside the networks of chapter 5, as figures: what a layer does, and how far it sees."""

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from ganlib.families import evaluating
from ganlib.figures.plotting import D_ORANGE, G_BLUE, INK, new_figure
from ganlib.models.convolutional import ConvolutionalDiscriminator, UpConv2d, dcgan_weights
from ganlib.models.normalisation import ConditionalBatchNorm

STAGES = ("what arrives", "normalised", "scaled and shifted")
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, ConditionalBatchNorm)


# --- Normalisation, class by class ---------------------------------------------------------------


def _last_norm(generator: nn.Module) -> nn.Module:
    return [layer for layer in generator.modules() if isinstance(layer, _NORMS)][-1]


def learnt_by_class(generator: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift of the last normalisation, both (10, channels); equal rows if it is plain."""
    norm = _last_norm(generator)
    return tuple(p.detach().expand(10, p.shape[-1]) for p in (norm.weight, norm.bias))


@torch.no_grad()
def class_statistics(generator: nn.Module, z: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a generator's last normalisation, class by class.

    ``z`` (N, latent_dim) and ``labels`` (N,), every class at least twice. Both results are
    (3, 10, channels), over a class's images and their pixels, at the three STAGES. The batch is
    normalised by its own statistics, as in training.
    """
    norm = _last_norm(generator)
    met: list[Tensor] = []
    # Copies: the activation that follows works in place.
    hook = norm.register_forward_hook(
        lambda _, inputs, output: met.extend((inputs[0].clone(), output.clone()))
    )
    kept = {key: value.clone() for key, value in generator.state_dict().items()}
    try:
        with evaluating(generator):  # which gives the modes back
            generator.train()(z, labels)
    finally:
        generator.load_state_dict(kept)  # training mode has moved the running statistics
        hook.remove()
    arrives, leaves = (x.unflatten(1, (-1, 1)).flatten(2) for x in met)  # (N, channels, pixels)
    over = (0, 2)
    variance, mean = torch.var_mean(arrives, dim=over, correction=0, keepdim=True)
    stages = torch.stack([arrives, (arrives - mean) / (variance + norm.eps).sqrt(), leaves])
    of_class = [stages[:, labels == digit] for digit in range(10)]
    means = torch.stack([x.mean(dim=(1, 3)) for x in of_class], dim=1)
    return means, torch.stack([x.std(dim=(1, 3)) for x in of_class], dim=1)


def normalisation_by_class(generators: dict[str, nn.Module], z: Tensor, labels: Tensor) -> Figure:
    """For each generator, one channel of its last normalisation: ten digits, normalised, what
    scale and shift they meet, and what leaves.

    It is the channel in which the last step moves the digits most unlike each other. A dot is a
    digit's mean, a line its standard deviation each way.
    """
    figure, axes = new_figure(9, 2.5 * len(generators), len(generators), 3, sharex=True)
    for row, (title, generator) in zip(axes, generators.items()):
        means, spreads = class_statistics(generator, z, labels)
        channel = int((means[2] - means[1]).std(dim=0).argmax())
        for place, stage in ((row[0], 1), (row[2], 2)):
            mean, spread = means[stage, :, channel], spreads[stage, :, channel]
            look = {"fmt": "o", "color": G_BLUE, "ms": 5, "lw": 1.2}
            place.errorbar(range(10), mean.numpy(), spread.numpy(), **look)
            place.axhline(0, color=INK, lw=0.8)
            place.set_title(STAGES[stage])
        for level in (-1, 1):
            row[0].axhline(level, color=INK, lw=0.8, ls=":")
        scale, shift = learnt_by_class(generator)
        for learnt, mark, name in ((scale, "s", "scale γ"), (shift, "o", "shift β")):
            row[1].plot(range(10), learnt[:, channel].numpy(), mark, mfc="none", c=INK, label=name)
        row[1].set_title("what each digit meets")
        row[0].set_ylabel(f"{title}\nchannel {channel}")
        for place in row:
            place.set_xticks(range(10))
    axes[0, 1].legend(frameon=False, ncols=2, loc="center")
    for place in axes[-1]:
        place.set_xlabel("digit asked for")
    return figure


# --- How far a layer sees ------------------------------------------------------------------------


def seen_by(layers: nn.Sequential, shape: tuple[int, ...]) -> Tensor:
    """Which pixels of an image of ``shape`` (C, H, W) the middle of the last map hears of: (H, W).

    True where the gradient is not zero.
    """
    image = torch.zeros(1, *shape, requires_grad=True)
    with evaluating(layers):
        maps = layers(image)
    middle = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum()
    (gradient,) = torch.autograd.grad(middle, image)
    return gradient[0].abs().sum(dim=0) > 0


@torch.no_grad()
def painted_by(layers: nn.Sequential, shape: tuple[int, ...]) -> Tensor:
    """Which pixels of the image change with the middle of the maps of ``shape`` (C, H, W): (H, W).

    ``layers`` lead from those maps to the image.
    """
    maps = torch.zeros(2, *shape)
    maps[1, :, shape[1] // 2, shape[2] // 2] = 1
    with evaluating(layers):
        without, with_it = layers(maps)
    return (with_it - without).abs().sum(dim=0) > 0


def _box(mask: Tensor) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest rectangle that holds all of ``mask``."""
    rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


def receptive_fields(
    generator: nn.Module, discriminator: ConvolutionalDiscriminator, image: Tensor
) -> Figure:
    """On ``image`` (1, H, W): what one unit of D's maps sees, and what one of G's maps paints.

    Found in the modules themselves, block by block: orange for D, blue for G.
    """
    layers, panels = list(generator.layers), []
    ends = [i for i, layer in enumerate(discriminator.layers) if isinstance(layer, nn.Conv2d)]
    heard = (discriminator.layers[0].in_channels, *image.shape[1:])  # a label's picture, too
    for end in ends:
        part = discriminator.layers[: end + 1]
        with evaluating(part):
            size = part(torch.zeros(1, *heard)).shape[-1]
        mask = seen_by(part, heard)
        panels.append((mask, D_ORANGE, f"D, {size} × {size} maps\nsees"))
    starts = [i for i, layer in enumerate(layers) if isinstance(layer, UpConv2d)]
    for start in starts:
        size = layers[start].size // 2
        part = nn.Sequential(*(one for one in layers[start:] if not isinstance(one, _NORMS)))
        mask = painted_by(part, (layers[start].in_channels, size, size))
        panels.append((mask, G_BLUE, f"G, {size} × {size} maps\npaints"))
    figure, axes = new_figure(8, 5.6, 2, len(ends), across=len(ends))
    for place, (mask, colour, title) in zip(axes.flat, panels):
        left, top, width, height = _box(mask)
        place.imshow(image[0].numpy(), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        look = {"facecolor": colour + "40", "edgecolor": colour, "lw": 2.5}
        place.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, **look))
        place.set_title(f"{title} {width} × {height}", fontsize=10)
        place.axis("off")
    return figure


# --- Checkerboards -------------------------------------------------------------------------------

# Three ways to make maps twice as fine; each is given the numbers of maps before and after.
WAYS = {
    "transposed\n3 × 3": lambda a, b, size: nn.ConvTranspose2d(
        a, b, 3, stride=2, padding=1, output_padding=1
    ),
    "transposed\n4 × 4": lambda a, b, size: nn.ConvTranspose2d(a, b, 4, stride=2, padding=1),
    "Upsample\n3 × 3": UpConv2d,
}


@torch.no_grad()
def checkerboards(seed: int = 0, n_maps: int = 16) -> Figure:
    """What the ways of up-sampling print on an image before they have learnt anything.

    Above, every weight and every input is 1: how many values meet in a pixel. Below, the same
    smooth maps of 8 x 8 go through two such layers with random weights.
    """
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, n_maps, 3, 3, generator=rng)
    smooth = nn.functional.interpolate(coarse, size=8, mode="bilinear", align_corners=True)
    figure, axes = new_figure(8, 5.4, 2, len(WAYS), across=len(WAYS))
    for (above, below), (title, way) in zip(axes.T, WAYS.items()):
        counting = way(1, 1, 16)
        counting.weight.fill_(1), counting.bias.zero_()
        counts = counting(torch.ones(1, 1, 8, 8))[0, 0, 2:-2, 2:-2]
        above.imshow(counts.numpy(), cmap="gray", vmin=0, vmax=11, interpolation="nearest")
        for row, column in torch.cartesian_prod(torch.arange(4), torch.arange(4)).tolist():
            count = float(counts[row, column])
            ink = "black" if count > 5 else "white"
            above.text(column, row, f"{count:g}", ha="center", va="center", color=ink, fontsize=9)
        above.set_title(title)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            finer = nn.Sequential(way(n_maps, n_maps, 16), nn.LeakyReLU(0.2), way(n_maps, 1, 32))
            finer.apply(dcgan_weights)
        below.imshow(finer(smooth)[0, 0].numpy(), cmap="gray", interpolation="nearest")
        for place in (above, below):
            place.set(xticks=[], yticks=[])
            place.grid(False)
            place.spines[:].set_visible(False)
    axes[0, 0].set_ylabel("values that meet")
    axes[1, 0].set_ylabel("random weights")
    return figure
