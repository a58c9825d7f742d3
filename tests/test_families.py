"""Models and their steps: bit for bit as they were, and new kinds with nothing else changed."""

import pytest
import torch
from conftest import PAIRS, copies, same_tensors
from torch import nn

from ganlib import data, families, sampling
from ganlib.configuration import TrainingConfig
from ganlib.data import batches
from ganlib.families import MODELS, Family, build, family
from ganlib.losses import BCE, LOSSES, discriminator_loss, probability
from ganlib.precision import fast_float32_products
from ganlib.runs import store
from ganlib.steps import (
    Batch,
    adversarial,
    discriminator_step,
    discriminator_step_apart,
    each_image_once,
    generator_step,
    noise,
)
from ganlib.training import average_step, epoch_seed, start, train


def small(model: str, **changes) -> TrainingConfig:
    settings = {"n_epochs": 2, "batch_size": 32, "latent_dim": 8, "img_size": 8, "device": "cpu"}
    return TrainingConfig(**settings | {"model": model, "train_size": 100} | changes)


def digits(config: TrainingConfig) -> data.DigitImages:
    return data.load("digits", "train", config.img_size, size=config.train_size)


# --- The loop as it was when the recorded runs were made -----------------------------------------


def first_loop(networks: dict, images, labels, config: TrainingConfig, kind: Family):
    """The training of all recorded runs, in one function: its log, and the average if any.

    Networks with two players, one order of draws, one list of columns; kept as the measure of what
    later loops must give, bit for bit. (None of them had a D that is shown its images apart.)
    """
    d_step = discriminator_step if kind.step is adversarial else discriminator_step_apart
    generator, discriminator = networks.values()
    adams = [
        torch.optim.Adam(n.parameters(), lr, (config.b1, config.b2), fused=True)
        for n, lr in ((generator, config.lr), (discriminator, config.d_lr or config.lr))
    ]
    average, log, loss = None, [], LOSSES[config.loss]
    if config.ema:
        average = build(config)["generator"]
    for epoch in range(1, config.n_epochs + 1):
        with torch.random.fork_rng([]), fast_float32_products():
            torch.manual_seed(epoch_seed(config.seed, epoch))
            rng = torch.Generator().manual_seed(epoch_seed(config.seed, epoch))
            order = list(batches(len(images), config.batch_size, rng))
            for first in range(0, len(order), config.d_steps):
                for step, index in enumerate(order[first : first + config.d_steps]):
                    z = torch.randn(len(index), config.latent_dim, generator=rng)
                    real = wanted = ()
                    if kind.conditional:
                        real = (labels[index],)
                        wanted = (torch.randint(10, (len(index),), generator=rng),)
                    if step == 0:
                        fake, g_loss = generator_step(
                            generator, discriminator, adams[0], loss, z, wanted
                        )
                    else:
                        with torch.no_grad():
                            fake = generator(z, *wanted)
                    real_loss, fake_loss, scores = d_step(
                        discriminator, adams[1], loss, images[index], fake, real, wanted
                    )
                d_real, d_fake = probability(scores).view(2, -1).mean(dim=1)
                d_loss = discriminator_loss(real_loss, fake_loss)
                log.append(torch.stack([g_loss, d_loss, real_loss, fake_loss, d_real, d_fake]))
                if average is not None:
                    average_step(average, generator, config.ema, len(log) - 1)
    return torch.stack(log), average


@pytest.mark.parametrize("d_steps, ema", [(1, 0.0), (3, 0.9)])
@pytest.mark.parametrize("model", PAIRS)
def test_every_pair_trains_bit_for_bit_as_when_the_recorded_runs_were_made(model, d_steps, ema):
    config = small(model, d_steps=d_steps, ema=ema, loss=family(model).loss, d_lr=0.0004)
    images = digits(config)
    old = build(config)
    log, average = first_loop(old, images.images, images.labels, config, family(model))
    players = start(config)
    epochs = list(train(players, images.images, images.labels, config))
    assert torch.equal(torch.cat([epoch.losses for epoch in epochs]), log)
    for name, network in old.items():
        assert same_tensors(network.state_dict(), players.networks[name].state_dict())
    if ema:
        assert same_tensors(average.state_dict(), players.average.state_dict())
    assert all(v.isfinite().all() for v in log)


# --- New kinds of model: each is what stands here, and one line in the table ---------------------


class Points(nn.Module):
    """The smallest generator: one linear layer from its inputs, joined, to an image."""

    def __init__(self, n_in: int, img_size: int):
        super().__init__()
        self.layer, self.size = nn.Linear(n_in, img_size**2), img_size

    def forward(self, *inputs):
        flat = [part.flatten(1) for part in inputs]
        return self.layer(torch.cat(flat, dim=1)).tanh().view(-1, 1, self.size, self.size)


class Body(nn.Module):
    """The smallest discriminator, with a head of its own beside the score."""

    def __init__(self, img_size: int, n_out: int = 1):
        super().__init__()
        self.layer = nn.Linear(img_size**2, n_out)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Coded(Points):
    """Called with z and with the code that stands in z already."""

    def forward(self, z, code=None):
        return super().forward(z)


def with_code(config, n, rng, data=None, asked=None):
    """z whose first ten numbers are a code: which of ten, as a one-hot vector."""
    (z,) = noise(config, n, rng)
    code = torch.randint(10, (n,), generator=rng) if asked is None else asked
    return torch.cat([nn.functional.one_hot(code, 10).float(), z[:, 10:]], dim=1), code


def guessing_step(players, shown, inputs, config):
    """As InfoGAN's: a third player guesses the code from the image, G is paid for being read."""
    ((images, _),) = shown
    z, code = inputs(len(images))
    fake, guess = players.generator(z), players.networks["q"]
    information = nn.functional.cross_entropy(guess(fake), code)
    g_loss = BCE.generator(players.discriminator(fake))
    for name in ("g_optimizer", "q_optimizer"):
        players.optimizers[name].zero_grad()
    (g_loss + information).backward()
    for name in ("g_optimizer", "q_optimizer"):
        players.optimizers[name].step()
    real_loss, fake_loss, _ = discriminator_step(
        players.discriminator, players.optimizers["d_optimizer"], BCE, images, fake.detach()
    )
    d_loss = discriminator_loss(real_loss, fake_loss)
    return g_loss.detach(), d_loss, information.detach()


def labelled_and_not(data, config, rng):
    """Of the images only the first twenty have a label; each iteration has both kinds."""
    for (batch,) in each_image_once(data, config, rng):
        few = torch.randint(20, (8,), generator=rng)
        unknown = torch.full_like(batch.labels, -1)
        yield [Batch(data.images[few], data.labels[few]), Batch(batch.images, unknown)]


def class_step(players, shown, inputs, config):
    """As the semi-supervised GAN's: D has ten classes, and one more for what G made."""
    labelled, unlabelled = shown
    assert (labelled.labels >= 0).all() and (unlabelled.labels == -1).all()
    fake = players.generator(*inputs(len(unlabelled.images)))
    d, made = players.discriminator, torch.full((len(fake),), 10)
    named = nn.functional.cross_entropy(d(labelled.images), labelled.labels)
    told = nn.functional.cross_entropy(d(fake.detach()), made)
    real = -torch.log(1 - d(unlabelled.images).softmax(1)[:, 10] + 1e-6).mean()
    players.optimizers["d_optimizer"].zero_grad()
    (named + told + real).backward()
    players.optimizers["d_optimizer"].step()
    g_loss = -torch.log(1 - d(fake).softmax(1)[:, 10] + 1e-6).mean()
    players.optimizers["g_optimizer"].zero_grad()
    g_loss.backward(inputs=list(players.generator.parameters()))
    players.optimizers["g_optimizer"].step()
    return g_loss.detach(), named.detach(), told.detach(), real.detach()


def an_image(config, n, rng, data=None, asked=None):
    """The lower half of a training image is wiped: the generator is to mend it."""
    index = torch.randint(len(data.images), (n,), generator=rng)
    wiped = data.images[index].clone()
    wiped[:, :, config.img_size // 2 :] = -1
    return (wiped,)


def two(n_in=None, n_out: int = 1):
    def networks(config):
        return {
            "generator": Points(n_in or config.latent_dim, config.img_size),
            "discriminator": Body(config.img_size, n_out),
        }

    return networks


TRAINS = Family._field_defaults["trains"]
NEW = {
    "guessing": Family(
        "guessing",
        lambda config: (
            two()(config)
            | {"generator": Coded(20, config.img_size), "q": Body(config.img_size, 10)}
        ),
        conditional=True,
        inputs=with_code,
        step=guessing_step,
        logged=("g_loss", "d_loss", "information"),
        trains=TRAINS | {"q_optimizer": ("q",)},
    ),
    "few-labels": Family(
        "few labels",
        two(n_out=11),
        batches=labelled_and_not,
        step=class_step,
        logged=("g_loss", "d_named", "d_made", "d_real"),
    ),
    "mender": Family("mender", two(64), inputs=an_image),
    "patient": Family("patient", two()),
}


@pytest.mark.parametrize("model", NEW)
def test_a_new_kind_of_model_is_one_line_in_the_table(model, monkeypatch, tmp_path):
    """It trains, is kept, goes on after a stop bit for bit, draws and tells its losses by name."""
    monkeypatch.setitem(MODELS, model, NEW[model])
    changes = {"latent_dim": 20, "dataset": "digits", "train_size": 96, "n_epochs": 3}
    config = small(model, **changes, d_steps=3 if model == "patient" else 1)
    images = digits(config)
    before = {name: copies(network) for name, network in build(config).items()}
    for folder, stops in (("whole", (3,)), ("stopped", (1, 3))):
        for number, n_epochs in enumerate(stops):
            settings = TrainingConfig(**vars(config) | {"n_epochs": n_epochs})
            list(store.train_run(tmp_path / folder, settings, images, resume=number > 0))
    whole, stopped = (store.read_run(tmp_path / name) for name in ("whole", "stopped"))
    assert same_tensors(whole.generator().state_dict(), stopped.generator().state_dict())
    assert torch.equal(whole.losses().values, stopped.losses().values)
    assert not same_tensors(whole.generator().state_dict(), before["generator"])
    losses = whole.losses()
    assert losses.logged == NEW[model].logged
    assert all(losses.epoch(name).isfinite().all() for name in losses.logged)
    assert whole.sheet(3).shape == (80, 80)
    data_ = Batch(images.images, images.labels)
    drawn, labels = sampling.draw(whole.generator(), config, 30, seed=0, data=data_)
    assert drawn.shape == (30, 1, 8, 8)
    assert (labels == torch.arange(30) % 10).all() if whole.conditional else (labels == -1).all()


def test_each_network_is_trained_by_the_optimiser_that_names_it(monkeypatch):
    monkeypatch.setitem(families.MODELS, "guessing", NEW["guessing"])
    players = start(small("guessing", latent_dim=20))
    for name, (trained,) in NEW["guessing"].trains.items():
        (group,) = players.optimizers[name].param_groups
        assert group["params"] == list(players.networks[trained].parameters())
