"""The convolutional networks of the C-DCGAN (section 4.2): a generator and a discriminator.

Both know images only through small kernels that slide over them, so an edge learned in one corner
is known in every other, for a fraction of a fully connected layer's weights. :mod:`ganlib.networks`
pairs them into families.
"""

import torch
from torch import Tensor, nn

LEAK = 0.2  # slope of LeakyReLU below zero


class Unflatten(nn.Unflatten):
    """Unflatten as PyTorch has it, with each pixel's channels side by side in memory.

    The values are the same; on a CPU, a training step with such maps takes a quarter less time.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous(memory_format=torch.channels_last)


def dcgan_weights(layer: nn.Module) -> None:
    """DCGAN's start, for ``network.apply``: weights from N(0, 0.02), biases 0 (Radford 2016)."""
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Embedding)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if getattr(layer, "bias", None) is not None:
            nn.init.zeros_(layer.bias)


def convolutional_layers(
    n_in: int, img_size: int, channels: int, widths: tuple[int, ...], bn_eps: float
) -> nn.Sequential:
    """From ``n_in`` numbers to coarse feature maps, and up to an image, twice as fine each time.

    A step up repeats every pixel, then convolves 3 x 3. A transposed convolution, DCGAN's own way,
    does both at once, but its kernel lands more often on some pixels than on their neighbours and
    prints a checkerboard on the image (Odena et al. 2016).
    """
    sizes = [img_size]  # pixels a side, from the coarsest maps to the image: 4, 8, 16, 32
    for _ in widths:
        sizes.insert(0, (sizes[0] + 1) // 2)
    # No bias ahead of a batch normalisation, which would take it away again.
    layers: list[nn.Module] = [
        nn.Linear(n_in, widths[0] * sizes[0] ** 2, bias=False),
        Unflatten(1, (widths[0], sizes[0], sizes[0])),
    ]
    for width, narrower, size in zip(widths, widths[1:], sizes[1:]):
        layers += [nn.BatchNorm2d(width, eps=bn_eps), nn.LeakyReLU(LEAK, inplace=True)]
        layers += [nn.Upsample(size), nn.Conv2d(width, narrower, 3, padding=1, bias=False)]
    layers += [nn.BatchNorm2d(widths[-1], eps=bn_eps), nn.LeakyReLU(LEAK, inplace=True)]
    layers += [nn.Upsample(img_size), nn.Conv2d(widths[-1], channels, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*layers).apply(dcgan_weights)


class ConvolutionalGenerator(nn.Module):
    """G(z, y) of the C-DCGAN: as in the CGAN, the label's embedding is joined to the noise."""

    def __init__(
        self,
        latent_dim: int = 100,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        embedding_dim: int = 10,
        widths: tuple[int, ...] = (128, 64, 32),
        bn_eps: float = 1e-5,
    ):
        super().__init__()
        self.embedding = nn.Embedding(n_classes, embedding_dim)
        n_in = latent_dim + embedding_dim
        self.layers = convolutional_layers(n_in, img_size, channels, widths, bn_eps)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """``z`` (N, latent_dim) and ``labels`` (N,) int64 to images (N, channels, H, W)."""
        return self.layers(torch.cat([z, self.embedding(labels)], dim=1))


class ConvolutionalDiscriminator(nn.Module):
    """D(x, y) by strided convolutions: each block halves the image and sees twice as far.

    The label enters at the end, by projection (Miyato & Koyama 2018): the score is a linear
    function of the last features, plus their product with a vector that each class learns. With
    ``projection`` off, each class learns a picture, spliced onto the image as one more channel.
    Dropout takes whole maps: the neighbours of a dropped pixel would give it away.

    Raises ValueError if ``img_size`` cannot be halved once for each of ``widths``.
    """

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        widths: tuple[int, ...] = (32, 64, 128),
        dropout: float = 0.25,
        projection: bool = True,
    ):
        super().__init__()
        if img_size < 2 ** len(widths):
            raise ValueError(
                f"img_size must be at least {2 ** len(widths)} for a convolutional model, "
                f"which halves it {len(widths)} times, not {img_size}"
            )
        self.projection = projection
        layers: list[nn.Module] = []
        for narrow, wide in zip((channels + (not projection), *widths), widths):
            # A kernel of twice the stride meets every pixel equally often.
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1)]
            layers += [nn.LeakyReLU(LEAK, inplace=True), nn.Dropout2d(dropout)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        n_features = widths[-1] * (img_size // 2 ** len(widths)) ** 2
        self.score = nn.Linear(n_features, 1)
        self.embedding = nn.Embedding(n_classes, n_features if projection else img_size**2)
        self.apply(dcgan_weights)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) and ``labels`` (N,) int64 to raw scores (N, 1)."""
        if not self.projection:
            picture = self.embedding(labels).view(-1, 1, *images.shape[2:])
            return self.score(self.layers(torch.cat([images, picture], dim=1)))
        features = self.layers(images)
        score = self.score(features)
        return score + (self.embedding(labels) * features).sum(dim=1, keepdim=True)
