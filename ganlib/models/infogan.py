"""InfoGAN: a generator with codes, and a reader Q that finds them in its images.

By Chen et al. (2016). G is given, beside noise, a *code* c: one of ten, and CONTINUOUS numbers in
(-1, 1). Q is to read them off the image, and G is paid for images in which it can. What each code
comes to mean nobody says: no label is read. Equations are those of Chen et al., not of the paper
that the book follows.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib.configuration import TrainingConfig
from ganlib.losses import LOSSES, Loss, discriminator_loss, probability
from ganlib.models.convolutional import mixing_layers
from ganlib.models.mlp import LEAK, ConditionalGenerator
from ganlib.steps import LOGGED, Batch, noise_and_label

MAPS, N_FEATURES = (16, 32), 256  # of D's convolutions, and of what Q shares
CONTINUOUS = 2  # so many of z's numbers, its first, are continuous codes
SCALE = 6.0  # the one that stands in a one-hot code; see CodedGenerator

# --- The networks --------------------------------------------------------------------------------


class CodedGenerator(ConditionalGenerator):
    """G(z, c): the CGAN's, but that a code's embedding is fixed: a one-hot vector times ``scale``.

    A number of the noise has a variance of 1, one of a one-hot vector of ten not a tenth of that:
    with a scale of 3.3 the code's numbers vary as much as the noise's do, with 6 three times so.
    """

    def __init__(
        self,
        latent_dim: int = 64,
        img_size: int = 32,
        channels: int = 1,
        n_codes: int = 10,
        scale: float = SCALE,
        widths: tuple[int, ...] = (N_FEATURES, *reversed(MAPS)),
        bn_eps: float = 1e-5,
    ):
        size = latent_dim, img_size, channels
        super().__init__(*size, n_codes, n_codes, widths, bn_eps, make_layers=mixing_layers)
        self.embedding = nn.Embedding.from_pretrained(scale * torch.eye(n_codes), freeze=True)


class SharedDiscriminator(nn.Module):
    """D(x): a ``body`` that Q shares, and on its features the ``score``: raw, high for "real".

    With batch normalisation, so real and generated images go through it apart, never in one batch.
    """

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        widths: tuple[int, ...] = MAPS,
        n_features: int = N_FEATURES,
    ):
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in zip((channels, *widths), widths):
            first = not layers  # is not normalised, as in DCGAN
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1, bias=first)]
            layers += [] if first else [nn.BatchNorm2d(wide)]
            layers += [nn.LeakyReLU(LEAK, inplace=True)]
        n_in = widths[-1] * (img_size // 2 ** len(widths)) ** 2
        layers += [nn.Flatten(), nn.Linear(n_in, n_features, bias=False)]
        layers += [nn.BatchNorm1d(n_features), nn.LeakyReLU(LEAK, inplace=True)]
        self.body = nn.Sequential(*layers)
        self.score = nn.Linear(n_features, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) in [-1, 1] to raw scores (N, 1)."""
        return self.score(self.body(images))


class CodeReader(nn.Module):
    """Q(c | x), a head on the features of D's body: what code does the image show?"""

    def __init__(self, n_features: int = N_FEATURES, width: int = 128, n_codes: int = 10):
        super().__init__()
        self.n_codes = n_codes
        self.layers = nn.Sequential(
            nn.Linear(n_features, width),
            nn.LeakyReLU(LEAK, inplace=True),
            nn.Linear(width, n_codes + CONTINUOUS),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, n_features) to raw scores (N, 10) of the code, and means (N, CONTINUOUS).

        The continuous codes' distribution is Gaussian around the means, with variance 1.
        """
        scores, means = self.layers(features).split([self.n_codes, CONTINUOUS], dim=1)
        return scores, means


def networks(
    config: TrainingConfig,
    scale: float = SCALE,
    maps: tuple[int, int] = MAPS,
    n_features: int = N_FEATURES,
) -> dict[str, nn.Module]:
    """G, D and Q of a configuration; D narrows to ``n_features`` what G widens, with equal maps."""
    size, n_codes = (config.img_size, config.channels), config.n_classes
    widths = (n_features, *reversed(maps))
    return {
        "generator": CodedGenerator(
            config.latent_dim, *size, n_codes, scale, widths, bn_eps=config.bn_eps
        ),
        "discriminator": SharedDiscriminator(*size, maps, n_features),
        "q": CodeReader(n_features, n_codes=n_codes),
    }


# --- What G is called with -----------------------------------------------------------------------


def noise_and_codes(
    config: TrainingConfig,
    n: int,
    rng: torch.Generator,
    data: Batch | None = None,
    asked: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """z (n, latent_dim) and the codes of ten (n,) int64, those ``asked`` for or random ones.

    z's first CONTINUOUS numbers are uniform in (-1, 1), the others standard normal.
    """
    z, code = noise_and_label(config, n, rng, data, asked)
    z[:, :CONTINUOUS] = torch.rand(n, CONTINUOUS, generator=rng, device=rng.device) * 2 - 1
    return z, code


def traverse(config: TrainingConfig, which: int, seed: int, steps: int = 10) -> tuple[Tensor, ...]:
    """What G is called with for a sheet of codes: a row a code, one z in all of them.

    From column to column the continuous code number ``which`` goes from -1 to 1. Returns
    z (10 * steps, latent_dim) and codes (10 * steps,), row by row.
    """
    (z, _) = noise_and_codes(config, 1, torch.Generator().manual_seed(seed))
    z = z.repeat(config.n_classes * steps, 1)
    z[:, which] = torch.linspace(-1, 1, steps).repeat(config.n_classes)
    return z, torch.arange(config.n_classes).repeat_interleave(steps)


# --- The information term ------------------------------------------------------------------------


def information(
    scores: Tensor, means: Tensor, code: Tensor, continuous: Tensor
) -> tuple[Tensor, Tensor]:
    """A lower bound of the mutual information of code and image, in nats.

    It is L_I (Chen et al. 2016, Eq. 5), E log Q(c | x) + H(c). ``scores`` (N, K) and
    ``means`` (N, M): what Q reads; ``code`` (N,) and ``continuous`` (N, M): what G was given.
    Returns the part of the code of K, at most ln K, and that of the continuous codes, scalars.
    The latter's Gaussian has variance 1, which fits no code in (-1, 1): its bound is true but
    low, below 0 even where Q errs nowhere.
    """
    n_codes, n_continuous = scores.shape[1], means.shape[1]
    errors = (continuous - means).square().sum(dim=1).mean()
    gaussian = (errors + n_continuous * math.log(2 * math.pi)) / 2  # -E log Q
    return (
        math.log(n_codes) - F.cross_entropy(scores, code),
        n_continuous * math.log(2) - gaussian,
    )


# --- One step of each player ---------------------------------------------------------------------

# What `infogan` returns: as `adversarial`, then both parts of L_I, in nats.
INFORMATION = (*LOGGED, "code_information", "continuous_information")


def coded_generator_step(
    players, loss: Loss, z: Tensor, code: Tensor, weights: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Move G towards images that D takes for real and, by ``weights``, in which Q finds the codes.

    No weight of D or Q changes. Returns the images and Eq. 3's loss alone, a scalar, detached.
    """
    generator, discriminator = players.generator, players.discriminator
    fake = generator(z, code)
    features = discriminator.body(fake)
    g_loss = loss.generator(discriminator.score(features))
    total = g_loss
    if any(weights):
        found = information(*players.networks["q"](features), code, z[:, :CONTINUOUS])
        total = g_loss - sum(weight * part for weight, part in zip(weights, found))
    players.optimizers["g_optimizer"].zero_grad()
    total.backward(inputs=[p for p in generator.parameters() if p.requires_grad])
    players.optimizers["g_optimizer"].step()
    return fake.detach(), g_loss.detach()


def reading_discriminator_step(
    players,
    loss: Loss,
    real: Tensor,
    fake: Tensor,
    z: Tensor,
    code: Tensor,
    weights: tuple[float, float],
    shared: bool = True,
) -> tuple[Tensor, ...]:
    """Move D towards telling ``real`` from ``fake``, and Q towards reading the codes of ``fake``.

    Both move the body; unless ``shared``, Q's error stops at its own head. Returns, detached, the
    real loss, the fake loss, the scores (2N, 1), real first, and both parts of the information.
    """
    discriminator, q = players.discriminator, players.networks["q"]
    features = discriminator.body(fake)
    real_scores, fake_scores = discriminator(real), discriminator.score(features)
    scores = torch.cat([real_scores, fake_scores])
    real_loss, fake_loss = loss.real(real_scores), loss.fake(fake_scores)
    found = information(*q(features if shared else features.detach()), code, z[:, :CONTINUOUS])
    total = discriminator_loss(real_loss, fake_loss)
    total = total - sum(weight * part for weight, part in zip(weights, found))
    players.optimizers["d_optimizer"].zero_grad()
    total.backward()
    players.optimizers["d_optimizer"].step()
    return tuple(part.detach() for part in (real_loss, fake_loss, scores, *found))


def infogan(
    players,
    shown: list[Batch],
    inputs: Callable[[int], tuple],
    config: TrainingConfig,
    weights: tuple[float, float] = (1.0, 0.5),
    hold: float = 2,
) -> tuple[Tensor, ...]:
    """G once, then D and Q once on each of the batches ``shown``; a scalar for each of INFORMATION.

    ``weights``: lambda (Chen et al. 2016, Eq. 6), for the code of ten and for the continuous ones.
    In the first ``hold`` epochs only Q's own head hears of the term; with infinitely many, G never
    does. The labels of the batches are not looked at.
    """
    loss, shared = LOSSES[config.loss], players.epoch >= hold
    for number, (images, _) in enumerate(shown):
        z, code = inputs(len(images))
        if number == 0:
            heard = weights if shared else (0.0, 0.0)
            fake, g_loss = coded_generator_step(players, loss, z, code, heard)
        else:
            with torch.no_grad():
                fake = players.generator(z, code)
        real_loss, fake_loss, scores, *found = reading_discriminator_step(
            players, loss, images, fake, z, code, weights, shared
        )
    d_real, d_fake = probability(scores).view(2, -1).mean(dim=1)
    d_loss = discriminator_loss(real_loss, fake_loss)
    return g_loss, d_loss, real_loss, fake_loss, d_real, d_fake, *found
