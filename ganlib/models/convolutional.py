"""Convolution, which section 4.2 proposes: a generator's layers, and a discriminator.

Both know images only through small kernels that slide over them, so an edge learned in one corner
is known in every other, for a fraction of a fully connected layer's weights. Of DCGAN (Radford et
al. 2016) they have neither the batch normalisation in D nor the ReLU in G, unless they are asked
for: `standard_layers`, and ``batch_norm`` of the discriminator.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlib import Refused
from ganlib.models.mlp import LEAK


class UpConv2d(nn.Conv2d):
    """``nn.Upsample(size)``, then a 3 x 3 convolution: the same sums, for less than half the work.

    Up-sampling makes a block of 2 x 2 equal pixels of each pixel, so some of a kernel's weights
    always meet the same value. They are added up first: what is left is a kernel of 2 x 2 on the
    pixels as they were, one for each of the four places in a block. ``size``, in pixels a side, is
    twice that of the maps, or one less.
    """

    def __init__(self, n_in: int, n_out: int, size: int, bias: bool = True):
        super().__init__(n_in, n_out, 3, padding=1, bias=bias)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, n_in, H, W) to (N, n_out, size, size)."""
        n, _, height, width = x.shape
        kernels = _add_up(_add_up(self.weight, dim=2), dim=4).flatten(0, 2)
        bias = None if self.bias is None else self.bias.repeat(4)
        # Maps for (column of the block, row of the block, channel), one pixel too large each way.
        maps = F.conv2d(x, kernels, bias, padding=1)
        maps = maps.view(n, 2, 2, self.out_channels, height + 1, width + 1)
        rows = [
            torch.stack([maps[:, j, i, :, i : i + height, j : j + width] for j in (0, 1)], dim=-1)
            for i in (0, 1)
        ]
        blocks = torch.stack(rows, dim=-3)  # (N, n_out, H, 2, W, 2)
        whole = blocks.reshape(n, self.out_channels, 2 * height, 2 * width)
        return whole[:, :, : self.size, : self.size]


def _add_up(weight: Tensor, dim: int) -> Tensor:
    """Three weights along ``dim`` to two, for a block's first and second pixel: (2, ...).

    The first pixel has itself and its equal twin on one side, the second on the other.
    """
    before, here, after = weight.unbind(dim)
    first, second = (before, here + after), (before + here, after)
    return torch.stack([torch.stack(first, dim), torch.stack(second, dim)])


def dcgan_weights(layer: nn.Module) -> None:
    """DCGAN's start, for ``network.apply``: weights N(0, 0.02^2), biases 0 (Radford 2016)."""
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)


def convolutional_layers(
    n_in: int,
    img_size: int,
    channels: int,
    widths: tuple[int, ...],
    bn_eps: float,
    dcgan_start: bool = True,
) -> nn.Sequential:
    """From ``n_in`` numbers to coarse feature maps, and up to an image, twice as fine each time.

    A step up repeats every pixel, then convolves 3 x 3. A transposed convolution, DCGAN's own way,
    does both at once, but its kernel lands more often on some pixels than on their neighbours and
    prints a checkerboard on the image (Odena et al. 2016). Without ``dcgan_start`` the weights
    start as PyTorch's own do, the first layer's nearly three times as large.
    """
    sizes = [img_size]  # pixels a side, from the coarsest maps to the image: 4, 8, 16, 32
    for _ in widths:
        sizes.insert(0, (sizes[0] + 1) // 2)
    # No bias ahead of a batch normalisation, which would take it away again.
    layers: list[nn.Module] = [
        nn.Linear(n_in, widths[0] * sizes[0] ** 2, bias=False),
        nn.Unflatten(1, (widths[0], sizes[0], sizes[0])),
    ]
    for width, narrower, size in zip(widths, (*widths[1:], channels), sizes[1:]):
        layers += [nn.BatchNorm2d(width, eps=bn_eps), nn.LeakyReLU(LEAK, inplace=True)]
        layers += [UpConv2d(width, narrower, size, bias=size == img_size)]
    network = nn.Sequential(*layers, nn.Tanh())
    return network.apply(dcgan_weights) if dcgan_start else network


def standard_layers(
    n_in: int, img_size: int, channels: int, widths: tuple[int, ...], bn_eps: float
) -> nn.Sequential:
    """DCGAN's own: `convolutional_layers` with transposed convolutions of 4 x 4, and ReLU.

    To an odd number of pixels the kernel has 3 x 3.
    """
    layers: list[nn.Module] = []
    for layer in convolutional_layers(n_in, img_size, channels, widths, bn_eps):
        if isinstance(layer, UpConv2d):
            maps, bias = (layer.in_channels, layer.out_channels), layer.bias is not None
            kernel = 3 if layer.size % 2 else 4
            layer = nn.ConvTranspose2d(*maps, kernel, stride=2, padding=1, bias=bias)
        elif isinstance(layer, nn.LeakyReLU):
            layer = nn.ReLU(inplace=True)
        layers.append(layer)
    return nn.Sequential(*layers).apply(dcgan_weights)


def mixing_layers(
    n_in: int, img_size: int, channels: int, widths: tuple[int, ...], bn_eps: float
) -> nn.Sequential:
    """A fully connected layer of ``widths[0]``, where all inputs mix; then maps, few and small.

    Weights start as PyTorch's own do: from DCGAN's, which are smaller, noise can stay unheard.
    """
    first, *maps = widths
    mixing = [nn.Linear(n_in, first, bias=False), nn.BatchNorm1d(first, eps=bn_eps)]
    size = img_size, channels, tuple(maps)
    drawing = convolutional_layers(first, *size, bn_eps, dcgan_start=False)
    return nn.Sequential(*mixing, nn.LeakyReLU(LEAK, inplace=True), *drawing)


class ConvolutionalDiscriminator(nn.Module):
    """D(x, y) by strided convolutions: each block halves the image and sees twice as far.

    The label's embedding is spliced onto the image, as in the CGAN: each class learns a picture,
    one more channel. With ``projection`` (Miyato & Koyama 2018) it enters at the end instead: the
    score is a linear function of the last features, plus their product with a vector that each
    class learns.
    Dropout takes whole maps: the neighbours of a dropped pixel would give it away. With
    ``spectral`` (Miyato et al. 2018) each layer's weights are divided by their largest singular
    value, so that a score can change only so fast from one image to the next. ``batch_norm``, as
    DCGAN has it, in all blocks but the first: then the images of a batch mix, and real and
    generated ones must come apart, see `ganlib.steps.adversarial_apart`.

    Raises Refused if ``img_size`` cannot be halved once for each of ``widths``.
    """

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        widths: tuple[int, ...] = (24, 48, 96),
        dropout: float = 0.25,
        projection: bool = False,
        dcgan_start: bool = True,
        spectral: bool = False,
        batch_norm: bool = False,
    ):
        super().__init__()
        if img_size < 2 ** len(widths):
            raise Refused(
                f"img_size must be at least {2 ** len(widths)} for a convolutional model, "
                f"which halves it {len(widths)} times, not {img_size}"
            )
        self.projection = projection
        layers: list[nn.Module] = []
        for narrow, wide in zip((channels + (not projection), *widths), widths):
            # A kernel of twice the stride meets every pixel equally often.
            normalised = batch_norm and bool(layers)
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=not normalised)]
            layers += [nn.BatchNorm2d(wide)] if normalised else []
            layers += [nn.LeakyReLU(LEAK, inplace=True)]
            layers += [nn.Dropout2d(dropout)] if dropout else []
        self.layers = nn.Sequential(*layers, nn.Flatten())
        n_features = widths[-1] * (img_size // 2 ** len(widths)) ** 2
        self.score = nn.Linear(n_features, 1)
        self.embedding = nn.Embedding(n_classes, n_features if projection else img_size**2)
        (self if dcgan_start else self.embedding).apply(dcgan_weights)
        if spectral:
            for layer in (*self.layers, self.score, self.embedding):
                if hasattr(layer, "weight"):
                    spectral_norm(layer)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) and ``labels`` (N,) int64 to raw scores (N, 1)."""
        if not self.projection:
            picture = self.embedding(labels).view(-1, 1, *images.shape[2:])
            return self.score(self.layers(torch.cat([images, picture], dim=1)))
        features = self.layers(images)
        score = self.score(features)
        return score + (self.embedding(labels) * features).sum(dim=1, keepdim=True)
