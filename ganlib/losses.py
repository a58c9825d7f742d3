"""The losses of the paper, by the numbers of its equations (EQUATIONS), and two variants.

Every function takes the discriminator's raw scores (*logits*, shape ``(N, 1)`` or ``(N,)``, any
real number) and returns a scalar tensor, the mean over the batch. The paper ends its
discriminator with a Sigmoid; here the Sigmoid belongs to the loss, because ``log(sigmoid(x))``
computed in one go neither overflows nor rounds to ``log(0)``.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def probability(logits: Tensor) -> Tensor:
    """D(x) as the paper writes it: the Sigmoid of the raw score, in (0, 1), same shape."""
    return torch.sigmoid(logits)


# --- Binary cross-entropy: the basic GAN (Eq. 1, 3-6) -------------------------------------------


def bce_generator(fake_logits: Tensor) -> Tensor:
    """Eq. 3: L_G = -E log D(G(z)), the non-saturating generator loss. At least 0."""
    return F.softplus(-fake_logits).mean()  # -log sigmoid(x) = softplus(-x)


def saturating_generator(fake_logits: Tensor) -> Tensor:
    """The generator's part of Eq. 1: E log(1 - D(G(z))), to be minimised. At most 0.

    Its gradient vanishes when D is sure that an image is fake, just when G needs it most
    (Goodfellow et al. 2014, section 3); Eq. 3 replaces it for that reason.
    """
    return -F.softplus(fake_logits).mean()


def bce_real(real_logits: Tensor) -> Tensor:
    """Eq. 4: L_real = -E log D(x). At least 0."""
    return F.softplus(-real_logits).mean()


def bce_fake(fake_logits: Tensor) -> Tensor:
    """Eq. 5: L_fake = -E log(1 - D(G(z))). At least 0."""
    return F.softplus(fake_logits).mean()  # -log(1 - sigmoid(x)) = softplus(x)


# --- Mean squared error on the probability: the CGAN (Eq. 7-11) ---------------------------------


def mse_generator(fake_logits: Tensor) -> Tensor:
    """Eq. 7-8: L_G = E (D(G(z, y), y) - 1)^2 with D a probability. In [0, 1]."""
    return (probability(fake_logits) - 1).square().mean()


def mse_real(real_logits: Tensor) -> Tensor:
    """Eq. 10: L_real = E (D(x, y) - 1)^2 with D a probability. In [0, 1]."""
    return (probability(real_logits) - 1).square().mean()


def mse_fake(fake_logits: Tensor) -> Tensor:
    """Eq. 11: L_fake = E (D(G(z, y), y) - 0)^2 with D a probability. In [0, 1]."""
    return probability(fake_logits).square().mean()


# --- Least squares: the same squares on the raw score (Mao et al. 2017, LSGAN) -------------------


def least_squares_generator(fake_scores: Tensor) -> Tensor:
    """Eq. 7-8 without the Sigmoid: L_G = E (s - 1)^2 on the raw score s. At least 0, unbounded."""
    return (fake_scores - 1).square().mean()


def least_squares_real(real_scores: Tensor) -> Tensor:
    """Eq. 10 without the Sigmoid: L_real = E (s - 1)^2. At least 0, unbounded."""
    return (real_scores - 1).square().mean()


def least_squares_fake(fake_scores: Tensor) -> Tensor:
    """Eq. 11 without the Sigmoid: L_fake = E s^2. At least 0, unbounded."""
    return fake_scores.square().mean()


# --- The discriminator's two halves, and the three as one choice --------------------------------


def discriminator_loss(real_loss: Tensor, fake_loss: Tensor) -> Tensor:
    """Eq. 6 and Eq. 9: L_D = (L_real + L_fake) / 2."""
    return (real_loss + fake_loss) / 2


class Loss(NamedTuple):
    """What a training step needs of a loss: three functions of the discriminator's raw scores."""

    generator: Callable[[Tensor], Tensor]
    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]


BCE = Loss(bce_generator, bce_real, bce_fake)
SATURATING = Loss(saturating_generator, bce_real, bce_fake)
MSE = Loss(mse_generator, mse_real, mse_fake)
LEAST_SQUARES = Loss(least_squares_generator, least_squares_real, least_squares_fake)

# The names that a configuration and the command line use.
LOSSES = {"bce": BCE, "saturating": SATURATING, "mse": MSE, "least-squares": LEAST_SQUARES}

# The paper's equations by its numbers: what each one gives, and the function that computes it. From
# Eq. 7 on they are the CGAN's.
EQUATIONS: dict[int, tuple[str, Callable | None]] = {
    1: ("V", None),  # the game of the GAN
    2: ("V", None),  # and of the CGAN
    3: ("L_G", bce_generator),
    4: ("L_real", bce_real),
    5: ("L_fake", bce_fake),
    6: ("L_D", discriminator_loss),
    7: ("L_G", mse_generator),  # as an expectation
    8: ("L_G", mse_generator),  # and its squares as a mean over the batch
    9: ("L_D", discriminator_loss),
    10: ("L_real", mse_real),
    11: ("L_fake", mse_fake),
}
