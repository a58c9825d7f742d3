"""Learning from a few labels with a GAN: Odena's (2016), and feature matching (Salimans 2016).

D names the digit that it sees, and has one class more: "generated". Every real image, labelled or
not, teaches it what is not generated; a few teach it the names. Eleven scores say no more than ten,
since a softmax stays the same when a number is added to all of them: the eleventh is fixed at 0.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib import Refused
from ganlib.configuration import TrainingConfig
from ganlib.losses import LOSSES, discriminator_loss, probability
from ganlib.models.convolutional import mixing_layers
from ganlib.models.mlp import LEAK, Dropout, Generator
from ganlib.steps import LOGGED, Batch, average_step, each_image_once

GENERATED = 10  # the number of the class of images that G made
N_LABELS = 100  # may be read, unless the configuration says how many
EMA = 0.999  # of D's weights: an epoch's thousand iterations count most

# --- The networks --------------------------------------------------------------------------------


class Recogniser(nn.Module):
    """Which digit? Two convolutions, each of which halves the image, and two layers above them.

    The discriminator of both GANs here, and all of what they are compared with.
    """

    def __init__(
        self,
        img_size: int = 32,
        channels: int = 1,
        n_classes: int = 10,
        widths: tuple[int, ...] = (16, 32),
        n_features: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__()
        side = ((img_size + 1) // 2 + 1) // 2
        self.body = nn.Sequential(
            nn.Conv2d(channels, widths[0], 5, stride=2, padding=2),
            nn.LeakyReLU(LEAK, inplace=True),
            nn.Conv2d(*widths, 3, stride=2, padding=1),
            nn.LeakyReLU(LEAK, inplace=True),
            nn.Flatten(),
            Dropout(dropout),
            nn.Linear(widths[1] * side**2, n_features),
            nn.LeakyReLU(LEAK, inplace=True),
        )
        self.classes = nn.Sequential(Dropout(dropout), nn.Linear(n_features, n_classes))

    def forward(self, images: Tensor) -> Tensor:
        """``images`` (N, channels, H, W) in [-1, 1] to raw scores of the digits, (N, 10)."""
        return self.classes(self.body(images))


def networks(config: TrainingConfig) -> dict[str, nn.Module]:
    """G, D, and the ``reader``: the average of D's weights, which is what reads digits at last."""
    size = config.img_size, config.channels
    widths = {"make_layers": mixing_layers, "widths": (256, 32, 16)}
    generator = Generator(config.latent_dim, *size, bn_eps=config.bn_eps, **widths)
    discriminator, reader = (Recogniser(*size, config.n_classes) for _ in range(2))
    reader.load_state_dict(discriminator.state_dict())
    reader.requires_grad_(False)
    return {"generator": generator, "discriminator": discriminator, "reader": reader}


# --- The labels ----------------------------------------------------------------------------------


def choose_labelled(labels: Tensor, n: int, seed: int) -> Tensor:
    """The indices (n,) of the images whose labels may be read: as many of each digit as can be.

    The same seed chooses the same, and more of them holds all that fewer would: in one random
    order, the first of each digit. Which digits have one more, where ten do not divide ``n``, is
    random too. Of all ``labels`` (N,) only those chosen count: -1 for any other changes nothing.
    Raises Refused if a digit has too few.
    """
    rng = torch.Generator().manual_seed(seed)
    order, found = torch.randperm(len(labels), generator=rng), []
    shuffled = labels.cpu()[order]
    for place, digit in enumerate(torch.randperm(10, generator=rng).tolist()):
        wanted = n // 10 + (place < n % 10)
        mine = order[shuffled == digit][:wanted]
        if len(mine) < wanted:
            raise Refused(f"n_labels must be less: of {n}, {wanted} were {digit}, not {len(mine)}")
        found.append(mine)
    return torch.cat(found).to(labels.device)


def few_labels(
    data: Batch,
    config: TrainingConfig,
    rng: torch.Generator,
    change: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Iterator[list[Batch]]:
    """One epoch: every image once, unlabelled (-1), each batch after one of labelled images.

    The labelled ones are drawn anew each time from the ``config.n_labels``, or else N_LABELS, that
    the seed chose, and ``change``, if given, makes new images of them. ``config.d_steps`` such
    pairs an iteration.
    """
    known = choose_labelled(data.labels, config.n_labels or N_LABELS, config.seed)
    nameless = Batch(data.images, torch.full_like(data.labels, -1))
    for together in each_image_once(nameless, config, rng):
        shown = []
        for unlabelled in together:
            size = (len(unlabelled.images),)
            few = known[torch.randint(len(known), size, generator=rng, device=rng.device)]
            images = data.images[few] if change is None else change(data.images[few], rng)
            shown += [Batch(images, data.labels[few]), unlabelled]
        yield shown


# --- The losses ----------------------------------------------------------------------------------


def realness(scores: Tensor) -> Tensor:
    """D's raw score for "real", (N, 1), from those of the digits, (N, 10): its logarithmic odds.

    All digits' probabilities over that of "generated", whose score is 0: ln sum exp. So the GAN's
    own losses (Eq. 3-6) are those of the eleventh class, and D(x) = Z / (Z + 1) as in Salimans.
    """
    return scores.logsumexp(dim=1, keepdim=True)


def eleven_classes(scores: Tensor, labels: Tensor) -> Tensor:
    """Odena's loss of labelled images: cross-entropy over the ten digits and "generated"."""
    return F.cross_entropy(F.pad(scores, (0, 1)), labels)


def feature_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Salimans' loss of G: the squared distance of the mean features of ``real`` and ``fake``.

    Both (N, F). At least 0; 0 where the means agree, whatever D's scores are.
    """
    return (real.mean(dim=0) - fake.mean(dim=0)).square().sum()


# --- One step of each player ---------------------------------------------------------------------

# What the steps return: as `adversarial`, then the labelled images' loss.
NAMED = (*LOGGED, "class_loss")


def fooling_step(players, real: Tensor, z: Tensor, config: TrainingConfig) -> tuple[Tensor, Tensor]:
    """Odena's: move G towards images that D takes for any digit, not for generated (Eq. 3).

    Nothing of D changes. Returns the images, detached, and the loss, a detached scalar.
    """
    fake = players.generator(z)
    g_loss = LOSSES[config.loss].generator(realness(players.discriminator(fake)))
    return _move_generator(players, fake, g_loss)


def matching_step(
    players, real: Tensor, z: Tensor, config: TrainingConfig
) -> tuple[Tensor, Tensor]:
    """Salimans': move G towards images whose features are, on average, those of ``real`` ones.

    Nothing of D changes. Returns the images, detached, and the loss, a detached scalar.
    """
    body, fake = players.discriminator.body, players.generator(z)
    with torch.no_grad():
        wanted = body(real)
    return _move_generator(players, fake, feature_distance(wanted, body(fake)))


def _move_generator(players, fake: Tensor, g_loss: Tensor) -> tuple[Tensor, Tensor]:
    optimizer = players.optimizers["g_optimizer"]
    optimizer.zero_grad()
    g_loss.backward(inputs=list(players.generator.parameters()))
    optimizer.step()
    return fake.detach(), g_loss.detach()


def naming_step(
    players,
    labelled: Batch,
    real: Tensor,
    fake: Tensor,
    config: TrainingConfig,
    class_loss: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, ...]:
    """Move D towards naming the ``labelled`` and telling ``real`` from ``fake``; then its average.

    G does not change. Returns, detached, the real loss, the fake loss, the scores for "real"
    (2N, 1), real first, and the class loss.
    """
    loss, d = LOSSES[config.loss], players.discriminator
    sizes = [len(labelled.images), len(real), len(fake)]
    scores = d(torch.cat([labelled.images, real, fake]))
    named, *others = scores.split(sizes)
    real_scores, fake_scores = (realness(part) for part in others)
    named_loss = class_loss(named, labelled.labels)
    real_loss, fake_loss = loss.real(real_scores), loss.fake(fake_scores)
    players.optimizers["d_optimizer"].zero_grad()
    (named_loss + discriminator_loss(real_loss, fake_loss)).backward()
    players.optimizers["d_optimizer"].step()
    average_step(players.networks["reader"], d, EMA, players.iteration)
    scores = torch.cat([real_scores, fake_scores])
    return tuple(part.detach() for part in (real_loss, fake_loss, scores, named_loss))


def semi_supervised(
    players,
    shown: list[Batch],
    inputs: Callable[[int], tuple],
    config: TrainingConfig,
    generator_step: Callable = fooling_step,
    class_loss: Callable = eleven_classes,
) -> tuple[Tensor, ...]:
    """G once, then D once on each pair of batches ``shown``; a scalar for each of NAMED.

    See `few_labels` for the pairs. Odena's GAN as it stands; Salimans' with ``matching_step`` and
    a ``class_loss`` over the ten digits alone.
    """
    for labelled, (real, _) in zip(shown[::2], shown[1::2]):
        (z,) = inputs(len(real))
        if labelled is shown[0]:
            fake, g_loss = generator_step(players, real, z, config)
        else:
            with torch.no_grad():
                fake = players.generator(z)
        real_loss, fake_loss, scores, named = naming_step(
            players, labelled, real, fake, config, class_loss
        )
    d_real, d_fake = probability(scores).view(2, -1).mean(dim=1)
    d_loss = discriminator_loss(real_loss, fake_loss)
    return g_loss, d_loss, real_loss, fake_loss, d_real, d_fake, named
