"""Fully connected networks: the generators and discriminators of the paper's GAN and CGAN.

The paper gives no layer widths. These are taken from the public PyTorch scripts whose defaults its
Table 1 repeats (but for the GAN's img_size, there 28). Images are ``(N, channels, img_size,
img_size)`` in [-1, 1]; discriminators return raw scores (logits), see :mod:`ganlib.losses`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

LEAK = 0.2  # slope of LeakyReLU below zero

# --- The GAN -------------------------------------------------------------------------------------


def generator_layers(
    n_in: int, img_size: int, channels: int, widths: tuple[int, ...], bn_eps: float
) -> nn.Sequential:
    """Linear blocks that widen from ``n_in`` values to an image's, squashed to [-1, 1] by Tanh.

    Each block is Linear, BatchNorm, LeakyReLU; the first has no BatchNorm, as in the public
    scripts (the paper's text has one in each).
    """
    layers: list[nn.Module] = [nn.Linear(n_in, widths[0]), nn.LeakyReLU(LEAK, inplace=True)]
    for narrow, wide in zip(widths, widths[1:]):
        layers += [nn.Linear(narrow, wide), nn.BatchNorm1d(wide, eps=bn_eps)]
        layers += [nn.LeakyReLU(LEAK, inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], channels * img_size**2), nn.Tanh())


class Generator(nn.Module):
    """G(z) of the basic GAN (section 2.4): noise in, image out.

    >>> Generator()(torch.zeros(2, 100)).shape
    torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self,
        latent_dim: int = 100,
        img_size: int = 32,
        channels: int = 1,
        widths: tuple[int, ...] = (128, 256, 512, 1024),
        bn_eps: float = 1e-5,
        make_layers: Callable[..., nn.Sequential] = generator_layers,
    ):
        super().__init__()
        self.image_shape = (channels, img_size, img_size)
        self.layers = make_layers(latent_dim, img_size, channels, widths, bn_eps)

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (N, latent_dim), standard normal, to images (N, channels, H, W) in [-1, 1]."""
        return self.layers(z).view(-1, *self.image_shape)


class Dropout(nn.Dropout):
    """Dropout as PyTorch has it, with a mask that a CPU draws three times as fast.

    The mask compares uniform numbers with p, which is a Bernoulli draw by definition; PyTorch's
    own takes the slower way on a CPU, and none is needed on a GPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        keep = 1 - self.p
        return x * torch.rand_like(x).lt_(keep).div_(keep)


def discriminator_layers(n_in: int, widths: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Linear blocks that narrow from ``n_in`` values to one raw score.

    Each block is Linear, LeakyReLU; with ``dropout`` above 0, each but the first drops that share
    of its values in training.
    """
    layers: list[nn.Module] = []
    for block, (wide, narrow) in enumerate(zip((n_in, *widths), widths)):
        layers += [nn.Linear(wide, narrow)]
        layers += [Dropout(dropout)] if dropout and block else []
        layers += [nn.LeakyReLU(LEAK, inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1))


class Discriminator(nn.Module):
    """D(x) of the basic GAN (section 2.4): image in, one raw score out, high for "real"."""

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        widths: tuple[int, ...] = (512, 256),
        dropout: float = 0.0,
    ):
        super().__init__()
        self.layers = discriminator_layers(channels * img_size**2, widths, dropout)

    def forward(self, images: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) in [-1, 1] to raw scores (N, 1)."""
        return self.layers(images.flatten(1))


# --- The CGAN: the label in the input ------------------------------------------------------------


class ConditionalGenerator(nn.Module):
    """G(z, y) of the CGAN (section 2.4): the label's embedding is joined to the noise.

    ``make_layers`` says what follows: fully connected layers, or convolutional ones.
    """

    def __init__(
        self,
        latent_dim: int = 100,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        embedding_dim: int = 10,
        widths: tuple[int, ...] = (128, 256, 512, 1024),
        bn_eps: float = 1e-5,
        make_layers: Callable[..., nn.Sequential] = generator_layers,
    ):
        super().__init__()
        self.image_shape = (channels, img_size, img_size)
        self.embedding = nn.Embedding(n_classes, embedding_dim)
        n_in = latent_dim + embedding_dim
        self.layers = make_layers(n_in, img_size, channels, widths, bn_eps)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """``z`` (N, latent_dim) and ``labels`` (N,) int64 to images (N, channels, H, W)."""
        joined = torch.cat([z, self.embedding(labels)], dim=1)
        return self.layers(joined).view(-1, *self.image_shape)


class ConditionalDiscriminator(nn.Module):
    """D(x, y) of the CGAN (section 2.4): the label's embedding is spliced onto the pixels."""

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        embedding_dim: int = 10,
        widths: tuple[int, ...] = (512, 512, 512),
        dropout: float = 0.4,
    ):
        super().__init__()
        self.embedding = nn.Embedding(n_classes, embedding_dim)
        n_in = channels * img_size**2 + embedding_dim
        self.layers = discriminator_layers(n_in, widths, dropout)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) and ``labels`` (N,) int64 to raw scores (N, 1)."""
        spliced = torch.cat([images.flatten(1), self.embedding(labels)], dim=1)
        return self.layers(spliced)
