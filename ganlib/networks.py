"""The networks: a generator and a discriminator for each model, and conditional normalisation.

The paper gives no layer widths. Those of its GAN and CGAN are taken from the public PyTorch scripts
whose defaults its Table 1 repeats (but for the GAN's img_size, there 28). Images are ``(N,
channels, img_size, img_size)`` in [-1, 1]; discriminators return raw scores (logits), see
:mod:`ganlib.losses`. The convolutional networks are in :mod:`ganlib.convolutional`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.convolutional import LEAK, ConvolutionalDiscriminator, convolutional_layers
from ganlib.errors import Refused

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
    ):
        super().__init__()
        self.image_shape = (channels, img_size, img_size)
        self.layers = generator_layers(latent_dim, img_size, channels, widths, bn_eps)

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

    ``make_layers`` says what follows: fully connected layers, or those of ganlib.convolutional.
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


# --- Section 4.2: the label in the normalisation -------------------------------------------------


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are looked up by class (de Vries et al. 2017).

    The whole batch shares its mean and variance, as in ``nn.BatchNorm1d`` and ``nn.BatchNorm2d``;
    what follows them is the class's own. (Section 4.2 speaks of mean and variance by label.) All
    classes start with scale 1 and shift 0, so that the layer starts as plain batch normalisation.
    """

    def __init__(
        self, n_features: int, n_classes: int = 10, eps: float = 1e-5, momentum: float = 0.1
    ):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(n_classes, n_features))
        self.bias = nn.Parameter(torch.zeros(n_classes, n_features))
        self.register_buffer("running_mean", torch.zeros(n_features))
        self.register_buffer("running_var", torch.ones(n_features))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """``x`` (N, n_features) or (N, n_features, H, W) and ``labels`` (N,) int64; x's shape."""
        running = self.running_mean, self.running_var
        normal = F.batch_norm(
            x, *running, training=self.training, momentum=self.momentum, eps=self.eps
        )
        for_all_pixels = (len(x), -1, *[1] * (x.ndim - 2))
        scale = F.embedding(labels, self.weight).view(for_all_pixels)
        shift = F.embedding(labels, self.bias).view(for_all_pixels)
        return scale * normal + shift


def conditional(layer: nn.Module, n_classes: int) -> nn.Module:
    """A batch normalisation's conditional twin; any other layer as it is."""
    if not isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return layer
    return ConditionalBatchNorm(layer.num_features, n_classes, layer.eps, layer.momentum)


class CBNGenerator(nn.Module):
    """G(z, y) with conditional batch normalisation: the label enters there and nowhere else.

    The batch normalisations among the layers that ``make_layers`` gives are made conditional.
    """

    def __init__(
        self,
        latent_dim: int = 100,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        widths: tuple[int, ...] = (128, 256, 512, 1024),
        bn_eps: float = 1e-5,
        make_layers: Callable[..., nn.Sequential] = generator_layers,
    ):
        super().__init__()
        self.image_shape = (channels, img_size, img_size)
        layers = make_layers(latent_dim, img_size, channels, widths, bn_eps)
        self.layers = nn.ModuleList(conditional(layer, n_classes) for layer in layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """``z`` (N, latent_dim) and ``labels`` (N,) int64 to images (N, channels, H, W)."""
        x = z
        for layer in self.layers:
            x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm) else layer(x)
        return x.view(-1, *self.image_shape)


# --- The families --------------------------------------------------------------------------------


class Family(NamedTuple):
    """A pair of networks that play against each other, and whether they are told the label."""

    title: str
    conditional: bool
    generator: Callable[..., nn.Module]
    discriminator: Callable[..., nn.Module]


# What makes a generator convolutional: its layers, and how many maps each of them has.
CONVOLUTIONAL = {"make_layers": convolutional_layers, "widths": (128, 64, 32)}

MODELS = {
    "gan": Family("GAN", False, Generator, Discriminator),
    "cgan": Family("CGAN", True, ConditionalGenerator, ConditionalDiscriminator),
    # The two discriminators swapped, to see what they owe to their size and dropout (chapter 4).
    "gan-large-d": Family(
        "GAN with the CGAN's discriminator",
        False,
        Generator,
        partial(Discriminator, widths=(512, 512, 512), dropout=0.4),
    ),
    "cgan-small-d": Family(
        "CGAN with the GAN's discriminator",
        True,
        ConditionalGenerator,
        partial(ConditionalDiscriminator, widths=(512, 256), dropout=0.0),
    ),
    # What section 4.2 proposes, apart and together (chapter 5): the label in the input or in the
    # normalisation, fully connected layers or convolutions.
    "cbn-cgan": Family("CBN-CGAN", True, CBNGenerator, ConditionalDiscriminator),
    "c-dcgan": Family(
        "C-DCGAN", True, partial(ConditionalGenerator, **CONVOLUTIONAL), ConvolutionalDiscriminator
    ),
    "cbn-dcgan": Family(
        "CBN-DCGAN", True, partial(CBNGenerator, **CONVOLUTIONAL), ConvolutionalDiscriminator
    ),
    # The C-DCGAN with weights that start as PyTorch's own: does its generator hear the noise then?
    "c-dcgan-larger-start": Family(
        "C-DCGAN with a larger start",
        True,
        partial(
            ConditionalGenerator,
            make_layers=partial(convolutional_layers, dcgan_start=False),
            widths=CONVOLUTIONAL["widths"],
        ),
        partial(ConvolutionalDiscriminator, dcgan_start=False),
    ),
    # The C-DCGAN and the CBN-DCGAN with another way for the label into D.
    "c-dcgan-projection": Family(
        "C-DCGAN with projection",
        True,
        partial(ConditionalGenerator, **CONVOLUTIONAL),
        partial(ConvolutionalDiscriminator, projection=True),
    ),
    "cbn-dcgan-projection": Family(
        "CBN-DCGAN with projection",
        True,
        partial(CBNGenerator, **CONVOLUTIONAL),
        partial(ConvolutionalDiscriminator, projection=True),
    ),
    # The same, with another rein on D: spectral normalisation, and no dropout.
    "cbn-dcgan-spectral": Family(
        "CBN-DCGAN with spectral norm",
        True,
        partial(CBNGenerator, **CONVOLUTIONAL),
        partial(ConvolutionalDiscriminator, projection=True, spectral=True, dropout=0.0),
    ),
}


def family(model: str) -> Family:
    """The family called ``model``. Raises Refused, naming the known ones, for any other."""
    if model not in MODELS:
        raise Refused(f"unknown model {model!r}: choose one of {', '.join(MODELS)}")
    return MODELS[model]


def build(
    model: str,
    latent_dim: int = 100,
    img_size: int = 32,
    channels: int = 1,
    n_classes: int = 10,
    bn_eps: float = 1e-5,
) -> tuple[nn.Module, nn.Module]:
    """A freshly initialised (generator, discriminator) of the family called ``model``.

    Weights come from PyTorch's global random state: seed it first for repeatable networks.
    """
    kind = family(model)
    classes = {"n_classes": n_classes} if kind.conditional else {}
    generator = kind.generator(latent_dim, img_size, channels, bn_eps=bn_eps, **classes)
    discriminator = kind.discriminator(img_size, channels, **classes)
    return generator, discriminator


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """The networks in evaluation mode meanwhile; afterwards each part in the mode it had."""
    modes = [(part, part.training) for network in networks for part in network.modules()]
    try:
        for network in networks:
            network.eval()
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def n_parameters(network: nn.Module) -> int:
    """How many numbers the network learns."""
    return sum(p.numel() for p in network.parameters())
