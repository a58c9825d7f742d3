"""The step, the loop, and the configuration. No test here expects a loss to reach a value."""

import copy
import itertools
import math
from dataclasses import replace

import pytest
import torch
from conftest import PAIRS, copies, networks_of, same_tensors, tiny_config
from torch import nn

from ganlib import steps, training
from ganlib.configuration import TrainingConfig, choose_device, config_fields
from ganlib.data import batches
from ganlib.families import family
from ganlib.losses import LOSSES
from ganlib.models.mlp import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    Discriminator,
    Generator,
)
from ganlib.precision import PRECISIONS
from ganlib.steps import LOGGED, discriminator_step, generator_step
from ganlib.training import Adam, TrainingDiverged, epoch_seed, start, train

both_models = pytest.mark.parametrize("model", ["gan", "cgan"])
matmul = getattr(torch.backends.mkldnn, "matmul", None)


def small_config(**changes) -> TrainingConfig:
    settings = {"n_epochs": 3, "batch_size": 8, "latent_dim": 4, "img_size": 4, "device": "cpu"}
    return TrainingConfig(**settings | changes)


def small_networks(model: str, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """The real classes at 4x4 pixels with a few units; training is handed any networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if model == "cgan":
            return (
                ConditionalGenerator(4, 4, widths=(6, 8, 8)),
                ConditionalDiscriminator(4, widths=(8, 8, 8)),
            )
        return Generator(4, 4, widths=(6, 8, 8)), Discriminator(4, widths=(8, 8))


def small_players(model: str, config: TrainingConfig) -> training.Players:
    names = "generator", "discriminator"
    config = replace(config, model=model)
    return start(config, dict(zip(names, small_networks(model))))


def adam(players: training.Players, whose: str) -> torch.optim.Adam:
    """The optimiser of the player "g" or "d"."""
    return players.optimizers[f"{whose}_optimizer"]


def small_images(n: int = 21) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i shows the value i / n everywhere, and is labelled i % 10: traceable in a batch."""
    return (torch.arange(n) / n).view(n, 1, 1, 1).expand(n, 1, 4, 4), torch.arange(n) % 10


def play(model: str, config: TrainingConfig, n: int = 21, between=lambda: None):
    """A whole training: the players and each epoch's log."""
    players = small_players(model, config)
    epochs = []
    for epoch in train(players, *small_images(n), config):
        epochs.append(epoch)
        between()
    return players, epochs


# --- Configuration -------------------------------------------------------------------------------


def test_defaults_are_table_1():
    table_1 = {
        "n_epochs": 200,
        "batch_size": 64,
        "lr": 0.0002,
        "b1": 0.5,
        "b2": 0.999,
        "latent_dim": 100,
        "img_size": 32,
        "channels": 1,
        "sample_interval": 400,
        "n_classes": 10,
    }
    assert list(config_fields().items())[:10] == list(table_1.items())
    assert TrainingConfig().bn_eps == nn.BatchNorm1d(1).eps


BAD_VALUES = {
    "n_epochs": [0, -1, 1.5, "3", None, True, 10**7],
    "batch_size": [1, 0, -8, 8.0, 10**22],
    "lr": [0, -0.1, 1.5, math.nan, math.inf, "fast", None, True],
    "b1": [-0.1, 1, 1.5, math.nan, "0.5"],
    "b2": [-0.1, 1, math.nan, None],
    "latent_dim": [0, -1, 2.5, 10**9],
    "img_size": [3, 0, 257, 28.0, "28"],
    "channels": [0, 3, True, 1.0],
    "sample_interval": [0, -400, 0.5, 10**22],
    "n_classes": [1, 9, 11, 10.0],
    "loss": ["wasserstein", "", "BCE"],
    "dataset": ["letters", "MNIST", None],
    "interval_samples": [1, "yes", None],
    "bn_eps": [0, -1e-5, math.nan, math.inf, "small", 1e7],
    "d_steps": [0, -1, 1.5, 10**9],
    "seed": [-1, 2**63, 0.5, "0", None],
    "device": ["tpu", "", "gpu", None, "cpu:", "cuda:-1", "cpu:x", "auto:0"],
    "train_size": [1, 0, -5, 100.0, "all"],
    "d_lr": [0, -0.1, 1.5, math.nan, math.inf, "fast"],
    "ema": [-0.1, 1, 1.5, math.nan, "0.999", None],
    "precision": ["half", "", "BFLOAT16", None, 16],
}


@pytest.mark.parametrize(
    "name, value", [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
def test_a_bad_value_is_refused_by_name(name, value):
    with pytest.raises(ValueError) as caught:
        TrainingConfig(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"{name} must be ") and message.endswith(f", not {value!r}")
    assert "\n" not in message


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 2, "img_size": 4, "latent_dim": 1, "n_epochs": 1, "sample_interval": 1},
        {"b1": 0, "b2": 0, "lr": 1, "bn_eps": 0.8},
        {"d_lr": 1, "ema": 0.999},
        {"d_lr": None, "ema": 0},
        {"seed": 2**63 - 1, "train_size": 2, "img_size": 256},
        *({"loss": loss} for loss in LOSSES),
        *({"precision": precision} for precision in PRECISIONS),
        *({"device": device} for device in ("auto", "cpu", "cuda", "mps", "cuda:1")),
    ],
)
def test_values_at_the_edges_are_accepted(changes):
    config = TrainingConfig(**changes)
    assert all(getattr(config, name) == value for name, value in changes.items())


def test_a_configuration_can_not_change():
    with pytest.raises(AttributeError):
        TrainingConfig().lr = 1


# --- Devices -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cuda, mps, chosen",
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_then_mps_then_cpu(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "", "cuda:x", "cpu:one", "auto:1"])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(ValueError, match="unknown device .*: choose one of auto, cpu, cuda, mps"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_here_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="this machine has no (cuda|mps) device: .* auto or cpu"):
        choose_device(name)


def test_a_gpu_beyond_the_last_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="no cuda:7: this machine's last one is cuda:1"):
        choose_device("cuda:7")


def test_start_gives_each_player_its_adam_of_table_1():
    config = small_config(lr=0.01, b1=0.3, b2=0.9)
    players = small_players("gan", config)
    pairs = [
        (players.generator, adam(players, "g")),
        (players.discriminator, adam(players, "d")),
    ]
    for network, optimizer in pairs:
        (group,) = optimizer.param_groups
        assert group["lr"] == 0.01 and group["betas"] == (0.3, 0.9)
        assert group["weight_decay"] == 0 and not group["amsgrad"]
        mine = list(network.parameters())
        assert len(group["params"]) == len(mine)
        assert all(one is other for one, other in zip(group["params"], mine))
    assert players.epoch == players.iteration == 0


def test_two_timescales_give_d_a_learning_rate_of_its_own():
    players = small_players("gan", small_config(lr=0.01, d_lr=0.04))
    assert [group["lr"] for group in adam(players, "g").param_groups] == [0.01]
    assert [group["lr"] for group in adam(players, "d").param_groups] == [0.04]


@pytest.mark.parametrize("player", [0, 1])
@pytest.mark.parametrize("model", PAIRS)
def test_adam_moves_weights_as_pytorchs_bit_for_bit(model, player):
    """Sixty steps, the first of them with one parameter that gets no gradient yet."""
    one, other = (networks_of(model, latent_dim=8, img_size=8)[player] for _ in range(2))
    settings = {"lr": 0.002, "betas": (0.5, 0.9)}
    adams = [
        Adam(one.parameters(), **settings),
        torch.optim.Adam(other.parameters(), **settings, fused=True),
    ]
    rng = torch.Generator().manual_seed(2)
    gradients = [torch.randn(p.shape, generator=rng) for p in one.parameters()]
    for step in range(60):
        for network, adam in zip((one, other), adams):
            adam.zero_grad()
            assert all(p.grad is None for p in network.parameters())
            for number, (p, gradient) in enumerate(zip(network.parameters(), gradients)):
                if number or step > 4:
                    p.grad = gradient * math.sin(step + number)
            adam.step()
    assert same_tensors(one.state_dict(), other.state_dict())
    mine, theirs = (adam.state_dict() for adam in adams)
    assert mine["param_groups"] == theirs["param_groups"]
    assert mine["state"].keys() == theirs["state"].keys()
    for number, state in theirs["state"].items():
        assert same_tensors(mine["state"][number], state)
    # And what PyTorch's kept, as the checkpoints of before did, goes on as if it were its own.
    adams[0].load_state_dict(copy.deepcopy(theirs))
    one.load_state_dict(other.state_dict())
    for network, adam in zip((one, other), adams):
        for p, gradient in zip(network.parameters(), gradients):
            p.grad = gradient.clone()
        adam.step()
    assert same_tensors(one.state_dict(), other.state_dict())


# --- One step of each player ---------------------------------------------------------------------


def one_batch(model: str, n: int = 8):
    rng = torch.Generator().manual_seed(1)
    z = torch.randn(n, 4, generator=rng)
    labels = (torch.arange(n) % 10,) if model == "cgan" else ()
    return z, torch.rand(n, 1, 4, 4, generator=rng) * 2 - 1, labels


@pytest.mark.parametrize("model", PAIRS)
def test_a_step_of_one_player_leaves_the_other_bit_identical(model):
    """Of every pair; but any pass of D moves what normalises it, batch or spectral norm."""
    generator, discriminator = networks_of(model, latent_dim=4)
    optimizers = [torch.optim.Adam(net.parameters()) for net in (generator, discriminator)]
    rng = torch.Generator().manual_seed(1)
    z, real = torch.randn(8, 4, generator=rng), torch.rand(8, 1, 32, 32, generator=rng) * 2 - 1
    labels = (torch.arange(8),) if family(model).conditional else ()
    before_d = copies(discriminator)
    step = generator, discriminator, optimizers[0], LOSSES["bce"], z, labels
    fake, _ = generator_step(*step)
    after, parameters = copies(discriminator), dict(discriminator.named_parameters())
    moved = {name for name in after if not torch.equal(after[name], before_d[name])}
    assert not moved & parameters.keys()
    assert bool(moved) == ("spectral" in model or "standard" in model)
    normalising = "._u", "._v", "running_mean", "running_var", "num_batches_tracked"
    assert all(name.endswith(normalising) for name in moved), moved

    before_g, before_d = copies(generator), after
    discriminator_step(discriminator, optimizers[1], LOSSES["bce"], real, fake, labels, labels)
    assert same_tensors(generator.state_dict(), before_g)
    assert not same_tensors(discriminator.state_dict(), before_d)


@both_models
@pytest.mark.parametrize("loss", LOSSES)
def test_a_generator_step_moves_g_and_leaves_d_bit_identical(model, loss):
    players = small_players(model, small_config())
    z, _, labels = one_batch(model)
    before_g, before_d = copies(players.generator), copies(players.discriminator)
    fake, g_loss = generator_step(
        players.generator,
        players.discriminator,
        adam(players, "g"),
        LOSSES[loss],
        z,
        labels,
    )
    assert same_tensors(players.discriminator.state_dict(), before_d)
    after = players.generator.state_dict()
    learned = dict(players.generator.named_parameters())
    assert not any(torch.equal(after[name], before_g[name]) for name in learned)
    assert fake.shape == (8, 1, 4, 4) and g_loss.shape == ()
    assert not fake.requires_grad and not g_loss.requires_grad


@both_models
def test_a_generator_step_computes_no_gradient_of_d(model):
    players = small_players(model, small_config())
    z, real, labels = one_batch(model)
    arguments = (
        players.generator,
        players.discriminator,
        adam(players, "g"),
        LOSSES["bce"],
        z,
    )
    generator_step(*arguments, labels)
    assert all(p.grad is None for p in players.discriminator.parameters())
    d_step = (
        players.discriminator,
        adam(players, "d"),
        LOSSES["bce"],
        real,
        real.flip(0),
    )
    discriminator_step(*d_step, labels, labels)
    before = [p.grad.clone() for p in players.discriminator.parameters()]
    generator_step(*arguments, labels)
    assert all(map(torch.equal, before, (p.grad for p in players.discriminator.parameters())))


@both_models
@pytest.mark.parametrize("loss", LOSSES)
def test_a_discriminator_step_moves_d_and_leaves_g_bit_identical(model, loss):
    players = small_players(model, small_config())
    z, real, labels = one_batch(model)
    fake = players.generator(z, *labels).detach()
    before_g, before_d = copies(players.generator), copies(players.discriminator)
    real_loss, fake_loss, scores = discriminator_step(
        players.discriminator,
        adam(players, "d"),
        LOSSES[loss],
        real,
        fake,
        labels,
        labels,
    )
    assert same_tensors(players.generator.state_dict(), before_g)  # parameters and buffers
    assert all(p.grad is None for p in players.generator.parameters())
    after = players.discriminator.state_dict()
    assert not torch.equal(
        after["layers.0.weight"],
        before_d["layers.0.weight"],
    )
    assert real_loss.shape == fake_loss.shape == () and scores.shape == (16, 1)
    assert not any(value.requires_grad for value in (real_loss, fake_loss, scores))


def test_a_discriminator_step_reports_the_losses_of_the_scores_it_saw():
    players = small_players("gan", small_config())
    z, real, _ = one_batch("gan")
    fake = players.generator(z).detach()
    expected = players.discriminator(real).detach(), players.discriminator(fake).detach()
    real_loss, fake_loss, scores = discriminator_step(
        players.discriminator, adam(players, "d"), LOSSES["bce"], real, fake
    )
    torch.testing.assert_close(scores, torch.cat(expected))
    torch.testing.assert_close(real_loss, LOSSES["bce"].real(expected[0]))
    torch.testing.assert_close(fake_loss, LOSSES["bce"].fake(expected[1]))


def test_a_discriminator_step_follows_the_gradient_of_the_mean_of_both_halves():
    players = small_players("gan", small_config())
    z, real, _ = one_batch("gan")
    fake = players.generator(z).detach()
    weights = list(players.discriminator.parameters())
    halves = (
        LOSSES["bce"].real(players.discriminator(real)),
        LOSSES["bce"].fake(players.discriminator(fake)),
    )
    expected = torch.autograd.grad((halves[0] + halves[1]) / 2, weights)
    discriminator_step(players.discriminator, adam(players, "d"), LOSSES["bce"], real, fake)
    for weight, gradient in zip(weights, expected):
        torch.testing.assert_close(weight.grad, gradient)


def test_a_step_forgets_the_gradients_of_the_one_before():
    """Two G steps without learning: the second gradient equals the first, not their sum."""
    generator, discriminator = small_networks("gan")
    still = torch.optim.SGD(generator.parameters(), lr=0.0)
    z, _, _ = one_batch("gan")
    gradients = []
    for _ in range(2):
        generator_step(generator, discriminator, still, LOSSES["bce"], z)
        gradients.append([p.grad.clone() for p in generator.parameters()])
    assert all(map(torch.equal, *gradients))


# --- The loop ------------------------------------------------------------------------------------


@both_models
@pytest.mark.parametrize("n, batch_size, d_steps", [(21, 8, 1), (24, 8, 1), (21, 8, 2), (21, 8, 5)])
def test_every_iteration_is_logged(model, n, batch_size, d_steps):
    config = small_config(batch_size=batch_size, d_steps=d_steps)
    players, epochs = play(model, config, n)
    expected = math.ceil(math.ceil(n / batch_size) / d_steps)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    for epoch in epochs:
        assert epoch.losses.shape == (expected, len(LOGGED))
        assert epoch.losses.dtype == torch.float32 and not epoch.losses.requires_grad
    assert players.epoch == 3 and players.iteration == 3 * expected


@both_models
@pytest.mark.parametrize("loss", LOSSES)
def test_logged_columns_agree_with_each_other(model, loss):
    _, epochs = play(model, small_config(loss=loss))
    for epoch in epochs:
        log = dict(zip(LOGGED, epoch.losses.unbind(dim=1)))
        torch.testing.assert_close(log["d_loss"], (log["d_real_loss"] + log["d_fake_loss"]) / 2)
        for name in ("d_real", "d_fake"):
            assert (log[name] > 0).all() and (log[name] < 1).all()


def test_the_log_says_what_the_steps_said(monkeypatch):
    """d_real and d_fake are the mean probability of the real and the generated half."""
    said = {"g": [], "d": []}

    def g_step(*arguments):
        said["g"].append(generator_step(*arguments))
        return said["g"][-1]

    def d_step(*arguments):
        said["d"].append(discriminator_step(*arguments))
        return said["d"][-1]

    monkeypatch.setattr(steps, "generator_step", g_step)
    monkeypatch.setattr(steps, "discriminator_step", d_step)
    _, epochs = play("gan", small_config(n_epochs=1))
    for row, (_, g_loss), (real, fake, scores) in zip(epochs[0].losses, said["g"], said["d"]):
        half = len(scores) // 2
        probabilities = torch.sigmoid(scores)
        expected = [g_loss, (real + fake) / 2, real, fake]
        expected += [probabilities[:half].mean(), probabilities[half:].mean()]
        torch.testing.assert_close(row, torch.stack(expected))


@both_models
@pytest.mark.parametrize("d_steps", [1, 2, 3, 5])
def test_each_iteration_trains_g_once_and_d_once_on_each_of_its_batches(
    monkeypatch, model, d_steps
):
    calls = []

    def g_step(*arguments):
        fake, g_loss = generator_step(*arguments)
        calls.append(("g", fake, arguments[5]))
        return fake, g_loss

    def d_step(discriminator, optimizer, loss, real, fake, real_labels, fake_labels):
        calls.append(("d", real, fake, real_labels, fake_labels))
        return discriminator_step(
            discriminator, optimizer, loss, real, fake, real_labels, fake_labels
        )

    monkeypatch.setattr(steps, "generator_step", g_step)
    monkeypatch.setattr(steps, "discriminator_step", d_step)
    play(model, small_config(n_epochs=1, d_steps=d_steps), n=29)  # batches of 8, 8, 8 and 5
    n_batches, kinds = 4, "".join(call[0] for call in calls)
    whole, rest = divmod(n_batches, d_steps)
    assert kinds == ("g" + "d" * d_steps) * whole + ("g" + "d" * rest) * (rest > 0)

    d_calls = [call for call in calls if call[0] == "d"]
    assert [len(real) for _, real, *_ in d_calls] == [8, 8, 8, 5]
    seen = torch.cat([real[:, 0, 0, 0] for _, real, *_ in d_calls])
    assert torch.equal(seen.sort().values, torch.arange(29) / 29)  # each real image once
    for before, call in itertools.pairwise(calls):
        _, real, fake, real_labels, fake_labels = call if call[0] == "d" else (None,) * 5
        if fake is None:
            continue
        assert len(fake) == len(real) and not fake.requires_grad
        if before[0] == "g":  # D is trained on the very images that G was just trained on
            assert fake is before[1] and fake_labels is before[2]
        elif len(before[2]) == len(fake):  # further D steps get fresh ones
            assert not torch.equal(before[2], fake)
        if model == "gan":
            assert real_labels == fake_labels == ()
        else:
            (mine,), (wanted,) = real_labels, fake_labels
            which = (real[:, 0, 0, 0] * 29).round().long()
            assert torch.equal(mine, which % 10)  # an image keeps its own label
            assert wanted.shape == mine.shape and wanted.min() >= 0 and wanted.max() <= 9


def test_training_is_in_training_mode_and_calls_back_after_every_iteration():
    seen = []

    def look(players):
        seen.append((players.iteration, players.generator.training, players.discriminator.training))

    config = small_config(n_epochs=2)
    players = small_players("cgan", config)
    for _ in train(players, *small_images(), config, look):
        players.generator.eval()  # as drawing a sheet between epochs may leave it
        players.discriminator.eval()
    assert seen == [(i, True, True) for i in range(1, 7)]


@both_models
def test_the_same_seed_gives_the_same_training_and_another_does_not(model):
    one, two = (play(model, small_config(seed=3)) for _ in range(2))
    other = play(model, small_config(seed=4))
    for network in ("generator", "discriminator"):
        states = [getattr(players, network).state_dict() for players, _ in (one, two, other)]
        assert same_tensors(states[0], states[1])
        assert not same_tensors(states[0], states[2])
    logs = [torch.cat([epoch.losses for epoch in epochs]) for _, epochs in (one, two, other)]
    assert torch.equal(logs[0], logs[1]) and not torch.equal(logs[0], logs[2])


@both_models
def test_training_leaves_the_global_random_state_alone(model):
    config = small_config()
    players = small_players(model, config)
    before = torch.get_rng_state()
    for _ in train(players, *small_images(), config):
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


@both_models
def test_draws_between_epochs_do_not_change_training(model):
    def draw():
        torch.rand(17)
        torch.manual_seed(torch.randint(1000, (1,)).item())

    quiet, noisy = play(model, small_config()), play(model, small_config(), between=draw)
    for one, two in zip(quiet[1], noisy[1]):
        assert torch.equal(one.losses, two.losses)
    assert same_tensors(quiet[0].generator.state_dict(), noisy[0].generator.state_dict())
    assert same_tensors(quiet[0].discriminator.state_dict(), noisy[0].discriminator.state_dict())


@both_models
def test_stopping_and_going_on_equals_never_stopping(model):
    config = small_config()
    whole, _ = play(model, config)
    players = small_players(model, config)
    numbers = []
    for _ in range(3):  # a new loop for each epoch, left after one
        for epoch in train(players, *small_images(), config):
            numbers.append(epoch.number)
            break
    assert numbers == [1, 2, 3]
    assert list(train(players, *small_images(), config)) == []
    assert same_tensors(players.generator.state_dict(), whole.generator.state_dict())
    assert same_tensors(players.discriminator.state_dict(), whole.discriminator.state_dict())


@pytest.mark.skipif(not hasattr(matmul, "fp32_precision"), reason="this PyTorch has no setting")
def test_the_setting_for_products_is_put_back_between_epochs():
    before = matmul.fp32_precision
    for _ in train(small_players("gan", small_config()), *small_images(), small_config()):
        assert matmul.fp32_precision == before
    assert matmul.fp32_precision == before


def test_epoch_seeds_are_distinct_and_usable():
    seeds = [epoch_seed(seed, epoch) for seed in range(50) for epoch in range(201)]
    assert len(set(seeds)) == len(seeds)
    assert all(type(seed) is int and 0 <= seed < 2**63 for seed in seeds)
    torch.Generator().manual_seed(epoch_seed(2**63 - 1, 10**6))
    # Neighbours do not meet: (seed, epoch) is not seed + epoch.
    assert epoch_seed(0, 1) != epoch_seed(1, 0)


def test_epochs_see_the_images_in_different_orders(monkeypatch):
    orders = []

    def spy(n, size, rng):
        orders.append(torch.cat(list(batches(n, size, rng))))
        return orders[-1].split(size)

    monkeypatch.setattr("ganlib.data.batches", spy)
    monkeypatch.setattr(steps, "batches", spy, raising=False)
    play("gan", small_config(), n=60)
    assert len(orders) == 3
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(orders, 2))


# --- The average of G's weights ------------------------------------------------------------------


def test_without_an_average_g_itself_draws():
    players = small_players("gan", small_config())
    assert players.average is None and players.artist is players.generator


@both_models
def test_an_average_changes_neither_player_nor_their_losses(model):
    """Whether it is on or off, the same numbers are drawn and the same steps are made."""
    (off, off_log), (on, on_log) = (play(model, small_config(ema=ema)) for ema in (0, 0.9))
    assert on.artist is on.average and not any(p.requires_grad for p in on.average.parameters())
    for network in ("generator", "discriminator"):
        one, other = (getattr(players, network).state_dict() for players in (off, on))
        assert same_tensors(one, other)
    assert all(torch.equal(a.losses, b.losses) for a, b in zip(off_log, on_log))


def test_the_average_is_the_weighted_mean_of_every_iterations_weights():
    config, visited = small_config(n_epochs=6, ema=0.6), []
    players = small_players("gan", config)

    def visit(players):
        visited.append(copies(players.generator))

    for _ in train(players, *small_images(), config, visit):
        pass
    expected = {name: torch.zeros_like(value) for name, value in visited[0].items()}
    for iteration, state in enumerate(visited):  # from 0; at first the latest counts for more
        decay = min(0.6, iteration / (iteration + 10))
        for name, value in state.items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    averaged = players.average.state_dict()
    for name in dict(players.generator.named_parameters()):
        torch.testing.assert_close(averaged[name], expected[name])
        assert not torch.equal(averaged[name], visited[-1][name])
    for name in ("layers.3.running_mean", "layers.3.running_var"):
        torch.testing.assert_close(averaged[name], expected[name])


def test_the_average_of_a_generator_that_stands_still_is_that_generator():
    generator, _ = small_networks("gan")
    average, _ = small_networks("gan", seed=1)
    for iteration in range(3):  # the first takes the generator as it is
        training.average_step(average, generator, 0.9, iteration)
        for kept, latest in zip(average.parameters(), generator.parameters()):
            torch.testing.assert_close(kept, latest)


# --- What stops a training -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_training_and_says_when(value):
    def spoil(players):
        if players.iteration == 5:  # three iterations an epoch: the second of epoch 2
            with torch.no_grad():
                players.discriminator.layers[-1].bias.fill_(value)

    config = small_config(n_epochs=4)
    players = small_players("gan", config)
    kept = []
    with pytest.raises(TrainingDiverged, match="in epoch 2, iteration 3: the 1 ") as caught:
        for epoch in train(players, *small_images(), config, spoil):
            kept.append(epoch.number)
    assert kept == [1] and players.epoch == 1
    assert "\n" not in str(caught.value) and "lr" in str(caught.value)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("where", ["weight", "statistics", "moment"])
def test_no_epoch_is_kept_that_ended_in_a_weight_without_number(where, ema):
    """The last iteration can spoil what no loss sees any more, and a run would keep."""

    def spoil(players):
        if players.iteration == 6:  # the last of epoch 2
            tensors = {
                "weight": players.discriminator.layers[0].bias,
                "statistics": players.artist.layers[3].running_var,
                "moment": adam(players, "g").state[players.generator.layers[0].bias]["exp_avg"],
            }
            with torch.no_grad():
                tensors[where].fill_(math.nan)

    config = small_config(n_epochs=4, ema=ema)
    players, kept = small_players("gan", config), []
    with pytest.raises(TrainingDiverged, match="a weight stopped .* in epoch 2: the 1 epochs"):
        for epoch in train(players, *small_images(), config, spoil):
            kept.append(epoch.number)
    assert kept == [1] and players.epoch == 1


def test_a_last_batch_of_one_is_refused_before_anything_moves():
    config = small_config()
    players = small_players("gan", config)
    before = copies(players.generator)
    with pytest.raises(ValueError, match="17 images in batches of 8 leave a last batch of one"):
        next(train(players, *small_images(17), config))
    assert same_tensors(players.generator.state_dict(), before)
    assert players.iteration == 0
    assert len(list(train(players, *small_images(18), config))) == 3  # by one more it works


def test_the_iterations_of_an_interrupted_epoch_do_not_count(digits):
    def stop(players):
        if players.iteration == 5:
            raise KeyboardInterrupt

    config = tiny_config(n_epochs=2)
    players = start(config)
    with pytest.raises(KeyboardInterrupt):
        list(train(players, digits.images, digits.labels, config, stop))
    assert (players.epoch, players.iteration) == (1, 3)
