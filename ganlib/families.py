"""The models: which networks each has, what one iteration does with them, and what it is given.

A new model is a file in :mod:`ganlib.models`, with its networks and its step if it needs one, and a
line in MODELS.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ganlib.configuration import TrainingConfig, require
from ganlib.models import infogan, semi_supervised
from ganlib.models.augmentation import jitter, shift
from ganlib.models.convolutional import (
    ConvolutionalDiscriminator,
    convolutional_layers,
    standard_layers,
)
from ganlib.models.mlp import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    Discriminator,
    Generator,
)
from ganlib.models.normalisation import CBNGenerator
from ganlib.steps import (
    LOGGED,
    adversarial,
    adversarial_apart,
    each_image_once,
    noise,
    noise_and_label,
)


class Family(NamedTuple):
    """All that tells one model's training from another's; see ganlib.steps for each form."""

    title: str
    networks: Callable[[TrainingConfig], dict[str, nn.Module]]  # "generator" is one of them
    conditional: bool = False  # G can be asked for a class
    codes: bool = False  # and no label says what it is: it need be no digit
    loss: str = "bce"  # the one that its paper trains it with
    settings: dict = {}  # others that it is trained with, where they are not Table 1's
    step: Callable = adversarial
    logged: tuple[str, ...] = LOGGED  # what the step returns, by name
    inputs: Callable = noise
    batches: Callable = each_image_once
    # Each optimiser and the networks that it trains.
    trains: dict[str, tuple[str, ...]] = {
        "g_optimizer": ("generator",),
        "d_optimizer": ("discriminator",),
    }


def gan(title: str, generator: Callable, discriminator: Callable, **other) -> Family:
    """A pair of networks that know no label."""

    def networks(config: TrainingConfig) -> dict[str, nn.Module]:
        size = config.img_size, config.channels
        return {
            "generator": generator(config.latent_dim, *size, bn_eps=config.bn_eps),
            "discriminator": discriminator(*size),
        }

    return Family(title, networks, **other)


def cgan(title: str, generator: Callable, discriminator: Callable, **other) -> Family:
    """A pair of networks that are both told the label."""

    def networks(config: TrainingConfig) -> dict[str, nn.Module]:
        told = {"n_classes": config.n_classes}
        pair = gan(title, partial(generator, **told), partial(discriminator, **told))
        return pair.networks(config)

    return Family(title, networks, conditional=True, inputs=noise_and_label, **other)


def coded(title: str, networks: Callable = infogan.networks, **terms) -> Family:
    """An InfoGAN. ``networks``: of that form; ``terms``: settings of `infogan.infogan`."""
    return Family(
        title,
        networks,
        conditional=True,
        codes=True,
        settings={"n_epochs": 15, "lr": 0.001, "d_lr": 0.0002, "latent_dim": 64},
        step=partial(infogan.infogan, **terms),
        logged=infogan.INFORMATION,
        inputs=infogan.noise_and_codes,
        trains={"g_optimizer": ("generator",), "d_optimizer": ("discriminator", "q")},
    )


def few(title: str, change: Callable | None = None, **other) -> Family:
    """A semi-supervised GAN. ``change``: of its labelled images; ``other``: for its step."""
    return Family(
        title,
        semi_supervised.networks,
        settings={"n_epochs": 40, "lr": 0.001, "n_labels": semi_supervised.N_LABELS},
        step=partial(semi_supervised.semi_supervised, **other),
        logged=semi_supervised.NAMED,
        batches=partial(semi_supervised.few_labels, change=change),
    )


# Salimans' generator learns from D's features, and his D's ten classes are a loss of their own.
matching = partial(few, generator_step=semi_supervised.matching_step, class_loss=cross_entropy)

small_codes = partial(infogan.networks, scale=1.0)

# What makes a generator convolutional: its layers, and how many maps each of them has.
CONVOLUTIONAL = {"make_layers": convolutional_layers, "widths": (128, 64, 32)}
ConvolutionalGenerator = partial(ConditionalGenerator, **CONVOLUTIONAL)
ConvolutionalCBNGenerator = partial(CBNGenerator, **CONVOLUTIONAL)
ProjectionDiscriminator = partial(ConvolutionalDiscriminator, projection=True)

MODELS = {
    "gan": gan("GAN", Generator, Discriminator),
    "cgan": cgan("CGAN", ConditionalGenerator, ConditionalDiscriminator, loss="mse"),
    # The two discriminators swapped, to see what they owe to their size and dropout.
    "gan-large-d": gan(
        "GAN with the CGAN's discriminator",
        Generator,
        partial(Discriminator, widths=(512, 512, 512), dropout=0.4),
    ),
    "cgan-small-d": cgan(
        "CGAN with the GAN's discriminator",
        ConditionalGenerator,
        partial(ConditionalDiscriminator, widths=(512, 256), dropout=0.0),
        loss="mse",
    ),
    # What section 4.2 proposes, apart and together: the label in the input or in the
    # normalisation, fully connected layers or convolutions. It names no loss; DCGAN's is Eq. 3-6,
    # whose gradient for G does not fade where D is sure.
    "cbn-cgan": cgan("CBN-CGAN", CBNGenerator, ConditionalDiscriminator),
    "c-dcgan": cgan("C-DCGAN", ConvolutionalGenerator, ConvolutionalDiscriminator),
    "cbn-dcgan": cgan("CBN-DCGAN", ConvolutionalCBNGenerator, ConvolutionalDiscriminator),
    # The C-DCGAN with weights that start as PyTorch's own: does its generator hear the noise then?
    "c-dcgan-larger-start": cgan(
        "C-DCGAN with a larger start",
        partial(
            ConvolutionalGenerator, make_layers=partial(convolutional_layers, dcgan_start=False)
        ),
        partial(ConvolutionalDiscriminator, dcgan_start=False),
    ),
    # The C-DCGAN and the CBN-DCGAN with another way for the label into D.
    "c-dcgan-projection": cgan(
        "C-DCGAN with projection", ConvolutionalGenerator, ProjectionDiscriminator
    ),
    "cbn-dcgan-projection": cgan(
        "CBN-DCGAN with projection", ConvolutionalCBNGenerator, ProjectionDiscriminator
    ),
    # The same, with another rein on D: spectral normalisation, and no dropout.
    "cbn-dcgan-spectral": cgan(
        "CBN-DCGAN with spectral norm",
        ConvolutionalCBNGenerator,
        partial(ProjectionDiscriminator, spectral=True, dropout=0.0),
    ),
    # And with both reins, and with neither.
    "cbn-dcgan-spectral-dropout": cgan(
        "CBN-DCGAN with spectral norm and dropout",
        ConvolutionalCBNGenerator,
        partial(ProjectionDiscriminator, spectral=True),
    ),
    "cbn-dcgan-plain-d": cgan(
        "CBN-DCGAN with neither spectral norm nor dropout",
        ConvolutionalCBNGenerator,
        partial(ProjectionDiscriminator, dropout=0.0),
    ),
    # DCGAN as it is usually built, told the label as the C-DCGAN is.
    "c-dcgan-standard": cgan(
        "C-DCGAN by the standard recipe",
        partial(ConditionalGenerator, make_layers=standard_layers, widths=(256, 128, 64)),
        partial(ConvolutionalDiscriminator, widths=(64, 128, 256), dropout=0.0, batch_norm=True),
        step=adversarial_apart,
    ),
    # Codes that no label names. What makes digits of them: the information term, from the third
    # epoch on, from the start ("early") or never; or the size of the code among the noise?
    "infogan": coded("InfoGAN"),
    "infogan-early": coded("InfoGAN, the term from the start", hold=0),
    "infogan-never": coded("InfoGAN without the term", hold=inf),
    "infogan-scale1": coded("InfoGAN with small codes", small_codes),
    "infogan-early-scale1": coded("InfoGAN with small codes, early", small_codes, hold=0),
    "infogan-never-scale1": coded("InfoGAN with small codes, no term", small_codes, hold=inf),
    # A few labels, and all other images without one. The labelled as they are, or changed a little.
    "sgan": few("SGAN"),
    "sgan-shifts": few("SGAN with shifts", shift),
    "sgan-affine": few("SGAN with small affine changes", jitter),
    "matching": matching("Feature matching"),
    "matching-shifts": matching("Feature matching with shifts", shift),
    "matching-affine": matching("Feature matching with small affine changes", jitter),
}


def family(model: str) -> Family:
    """The family called ``model``. Raises Refused, naming the known ones, for any other."""
    require("model", model in list(MODELS), f"one of {', '.join(MODELS)}", model)
    return MODELS[model]


def build(config: TrainingConfig) -> dict[str, nn.Module]:
    """The configured model's networks by name, initialised from the configured seed, on the CPU.

    PyTorch's global random state is left as it was.
    """
    kind = family(config.model)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)  # and no GPU's, whose state stays
        return kind.networks(config)


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
