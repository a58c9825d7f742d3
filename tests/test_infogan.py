"""InfoGAN: no label is read, its terms are what they claim, and each player moves its own parts."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import copies, refused, same_tensors, tiny_config
from torch.distributions import Categorical, Normal, Uniform

from ganlib import data
from ganlib.cli.parser import main
from ganlib.families import MODELS, build, evaluating, family
from ganlib.judge import classifier, codes
from ganlib.losses import BCE, bce_generator, discriminator_loss
from ganlib.models.infogan import (
    CONTINUOUS,
    SCALE,
    coded_generator_step,
    information,
    noise_and_codes,
    reading_discriminator_step,
    traverse,
)
from ganlib.page import export
from ganlib.runs import store
from ganlib.sampling import generate
from ganlib.steps import Batch
from ganlib.training import start, train

INFOGANS = [name for name in MODELS if name.startswith("infogan")]
PARTS = "generator", "discriminator", "q"


def config(model: str = "infogan", **changes):
    return tiny_config(model, **{"lr": 0.001, "d_lr": 0.0002, "n_epochs": 3} | changes)


def trained(settings, images, labels):
    players = start(settings)
    epochs = list(train(players, images, labels, settings))
    return players, torch.cat([epoch.losses for epoch in epochs])


def weights(players) -> dict[str, torch.Tensor]:
    """All weights of all networks, by name; running statistics are none."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, network in players.networks.items()
        for key, value in network.named_parameters()
    }


def moved(before: dict, players) -> set[str]:
    """What has changed, by network; D's body and its score apart."""
    after = weights(players)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    parts = ("discriminator.body", "discriminator.score", "generator", "q")
    found = {part for part in parts for name in changed if name.startswith(f"{part}.")}
    assert all(name.startswith(parts) for name in changed)
    return found


def a_batch(n: int = 16):
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(n, 1, 8, 8, generator=rng) * 2 - 1
    return images, *noise_and_codes(config(), n, rng)


# --- No label ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", INFOGANS)
def test_no_label_is_read_in_training(model, digits):
    """Shuffled, or all gone: every weight of every network is the same bit for bit."""
    settings, images, labels = config(model), digits.images, digits.labels
    first, log = trained(settings, images, labels)
    shuffled = labels[torch.randperm(len(labels))]
    assert not torch.equal(shuffled, labels)
    for other in (shuffled, torch.full_like(labels, -1)):
        players, again = trained(settings, images, other)
        assert torch.equal(log, again)
        for name in PARTS:
            mine, others = (p.networks[name].state_dict() for p in (first, players))
            assert same_tensors(mine, others)


# --- The codes -----------------------------------------------------------------------------------


def test_z_begins_with_uniform_codes_and_goes_on_as_standard_normal():
    settings = config(latent_dim=12)
    z, code = noise_and_codes(settings, 5000, torch.Generator().manual_seed(0))
    told, noise = z[:, :CONTINUOUS], z[:, CONTINUOUS:]
    assert z.shape == (5000, 12) and -1 <= told.min() < -0.99 and 0.99 < told.max() < 1
    # Of a uniform in (-1, 1) the variance is 1/3; five standard deviations of each estimate.
    assert (told.mean(0).abs() < 0.042).all() and ((told.var(0) - 1 / 3).abs() < 0.03).all()
    assert (noise.mean(0).abs() < 0.071).all() and ((noise.var(0) - 1).abs() < 0.1).all()
    assert torch.bincount(code, minlength=10).min() > 400
    asked = torch.arange(30) % 10
    _, code = noise_and_codes(settings, 30, torch.Generator().manual_seed(0), asked=asked)
    assert torch.equal(code, asked)


@pytest.mark.parametrize("model, scale", [("infogan", SCALE), ("infogan-early-scale1", 1.0)])
def test_a_code_stands_in_as_a_fixed_one_hot_vector_of_its_scale(model, scale, digits):
    settings = config(model)
    players, _ = trained(settings, digits.images, digits.labels)
    table = players.generator.embedding.weight
    assert torch.equal(table, scale * torch.eye(10)) and not table.requires_grad


def test_a_traversal_has_a_row_a_code_and_one_z():
    z, code = traverse(config(latent_dim=9), which=1, seed=3, steps=5)
    assert torch.equal(code, torch.arange(10).repeat_interleave(5)) and z.shape == (50, 9)
    others = torch.cat([z[:, :1], z[:, 2:]], dim=1)
    assert (others == others[0]).all()
    assert torch.equal(z[:, 1].view(10, 5)[7], torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]))


# --- The bound -----------------------------------------------------------------------------------


def test_the_terms_of_the_bound_equal_their_closed_forms():
    """E log Q(c | x) + H(c), by PyTorch's own distributions."""
    scores, means = torch.randn(50, 10), torch.randn(50, 2)
    code, continuous = torch.randint(10, (50,)), torch.rand(50, 2) * 2 - 1
    named, told = information(scores, means, code, continuous)
    entropy = Categorical(torch.ones(10)).entropy()
    torch.testing.assert_close(named, Categorical(logits=scores).log_prob(code).mean() + entropy)
    entropy = 2 * Uniform(-1, 1).entropy()
    likely = Normal(means, 1.0).log_prob(continuous).sum(dim=1).mean()
    torch.testing.assert_close(told, likely + entropy)


def test_the_bound_is_tight_where_q_knows_and_zero_where_it_guesses():
    code, continuous = torch.arange(10), torch.zeros(10, 2)
    sure, told = information(F.one_hot(code, 10) * 1000.0, continuous, code, continuous)
    assert float(sure) == pytest.approx(math.log(10), abs=1e-6)
    assert float(told) == pytest.approx(2 * math.log(2) - math.log(2 * math.pi)) and told < 0
    none, _ = information(torch.zeros(10, 10), continuous, code, continuous)
    assert float(none) == pytest.approx(0, abs=1e-6)


def test_the_bound_stays_below_the_mutual_information():
    """A channel that tells the code of ten wrong with a known chance: I(c; x) is known."""
    wrong, n = 0.3, 200_000
    code = torch.randint(10, (n,))
    x = torch.where(torch.rand(n) < wrong, (code + torch.randint(1, 10, (n,))) % 10, code)
    spread = torch.full((10, 10), wrong / 9).fill_diagonal_(1 - wrong)
    true = math.log(10) + float((spread[0] * spread[0].log()).sum())
    zeros = torch.zeros(n, 2)
    best, _ = information(spread.log()[x], zeros, code, zeros)  # Q is the posterior itself
    worse, _ = information(2 * spread.log()[x], zeros, code, zeros)
    assert float(best) == pytest.approx(true, abs=0.02) and worse < best - 0.01


# --- Who moves what ------------------------------------------------------------------------------


@pytest.mark.parametrize("lambdas", [(1.0, 0.5), (0.0, 0.0)])
def test_a_generator_step_moves_g_alone(lambdas):
    players, (_, z, code) = start(config()), a_batch()
    before = weights(players)
    coded_generator_step(players, BCE, z, code, lambdas)
    assert moved(before, players) == {"generator"}


@pytest.mark.parametrize("shared", [True, False])
def test_a_discriminator_step_moves_d_and_q_alone(shared):
    players, (images, z, code) = start(config()), a_batch()
    before, generator = weights(players), copies(players.generator)
    fake = torch.rand(16, 1, 8, 8) * 2 - 1
    reading_discriminator_step(players, BCE, images, fake, z, code, (1.0, 0.5), shared)
    assert moved(before, players) == {"discriminator.body", "discriminator.score", "q"}
    assert same_tensors(players.generator.state_dict(), generator)


def test_qs_error_moves_the_shared_body_only_where_it_is_shared():
    """D's own loss is made to weigh nothing: what then moves the body is Q."""
    nothing = BCE._replace(real=lambda s: 0 * s.sum(), fake=lambda s: 0 * s.sum())
    for shared, expected in ((True, {"discriminator.body", "q"}), (False, {"q"})):
        players, (images, z, code) = start(config()), a_batch()
        before = weights(players)
        fake = torch.rand(16, 1, 8, 8) * 2 - 1
        reading_discriminator_step(players, nothing, images, fake, z, code, (1.0, 0.5), shared)
        assert moved(before, players) == expected


def test_the_term_reaches_g_after_the_held_epochs_and_where_it_is_never_to_not_at_all(digits):
    """Up to the second epoch's end as without the term, and from the third on no more."""
    results = {
        (model, n): trained(config(model, n_epochs=n), digits.images, digits.labels)[0]
        for model, n in (("infogan", 2), ("infogan", 3), ("infogan-early", 2))
        + (("infogan-never", 2), ("infogan-never", 3))
    }
    without = {n: results["infogan-never", n].generator.state_dict() for n in (2, 3)}
    assert same_tensors(results["infogan", 2].generator.state_dict(), without[2])
    assert not same_tensors(results["infogan", 3].generator.state_dict(), without[3])
    assert not same_tensors(results["infogan-early", 2].generator.state_dict(), without[2])


def test_the_log_holds_the_losses_of_the_step():
    """The adversarial part alone, as the networks scored before they moved."""
    settings = config("infogan-early")
    images, z, code = a_batch(32)
    players, as_they_were = start(settings), start(settings)
    logged = family("infogan").step(
        players, [Batch(images, torch.full((32,), -1))], lambda n: (z, code), settings
    )
    named = dict(zip(family("infogan").logged, logged))
    fake = as_they_were.generator(z, code)
    torch.testing.assert_close(named["g_loss"], bce_generator(as_they_were.discriminator(fake)))
    half = discriminator_loss(named["d_real_loss"], named["d_fake_loss"])
    torch.testing.assert_close(named["d_loss"], half)
    q = as_they_were.networks["q"]
    found = information(*q(as_they_were.discriminator.body(fake)), code, z[:, :CONTINUOUS])
    torch.testing.assert_close(named["code_information"], found[0])
    torch.testing.assert_close(named["continuous_information"], found[1])
    assert 0 < named["d_real"] < 1 and all(v.shape == () for v in logged)


def test_a_term_that_counts_teaches_q_to_read(digits):
    """Ninety iterations: Q's bound rises from nothing to a third of ln 10."""
    _, log = trained(config("infogan-early", n_epochs=30, d_lr=0.001), digits.images, digits.labels)
    column = family("infogan").logged.index("code_information")
    assert log[0, column] < 0.1 < 0.7 < log[-9:, column].mean() <= math.log(10)


# --- A run ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run that was stopped after its first epoch."""
    folder, images = tmp_path_factory.mktemp("runs") / "stopped", tiny_images()
    for n_epochs in (1, 3):
        settings = config(n_epochs=n_epochs, ema=0.9)
        list(store.train_run(folder, settings, images, resume=n_epochs > 1))
    return store.read_run(folder)


def tiny_images():
    return data.load("digits", "train", img_size=8, size=70)


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(run, tmp_path):
    list(store.train_run(tmp_path / "whole", config(ema=0.9), tiny_images()))
    whole = store.read_run(tmp_path / "whole")
    mine, others = run.latest_networks(), whole.latest_networks()
    assert list(mine) == list(PARTS)
    assert all(same_tensors(mine[n].state_dict(), others[n].state_dict()) for n in PARTS)
    assert same_tensors(run.generator().state_dict(), whole.generator().state_dict())
    assert torch.equal(run.losses().values, whole.losses().values)
    assert run.losses().logged == family("infogan").logged


def test_a_sheet_of_samples_has_a_column_a_code_in_each_row_one_z(run):
    assert run.sheet(3).shape == (80, 80)
    images = run.samples(3).view(10, 10, -1)
    assert all(not torch.equal(images[0, 0], images[0, code]) for code in range(1, 10))


def test_its_generator_exports_to_layers_of_the_browser(run, tmp_path):
    generator = run.generator()
    layers = export.layers_of(generator, run.config.latent_dim, 10)
    assert [layer["kind"] for layer in layers].count("embedding") == 1
    z, code = noise_and_codes(run.config, 40, torch.Generator().manual_seed(5))
    made = export.play(layers, z, code)
    torch.testing.assert_close(made, generate(generator, z, code), atol=1e-4, rtol=0)
    assert export.export(run, tmp_path).is_file()


def test_it_trains_and_draws_a_code_on_the_command_line(tmp_path, capsys):
    folder = str(tmp_path / "run")
    tiny = ["--dataset", "digits", "--train-size", "70", "--img-size", "8", "--device", "cpu"]
    assert main(["train", "infogan", "--n-epochs", "1", *tiny, "--out", folder]) == 0
    settings = store.read_run(folder).config
    assert (settings.lr, settings.d_lr, settings.latent_dim) == (0.001, 0.0002, 64)
    assert main(["sample", folder, "--digit", "3", "--n", "9", "--out", f"{folder}.png"]) == 0
    assert main(["show", folder]) == 0
    assert "q " in capsys.readouterr().out
    refused(capsys, ["train", "infogan", "--n-epochs", "0", "--out", f"{folder}2"], "n_epochs")


# --- What the codes mean -------------------------------------------------------------------------


def test_codes_are_matched_to_digits_one_to_one_by_most_images():
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])  # the digit that each code is
    codes_ = torch.arange(1000) % 10
    labels = order[codes_].clone()
    labels[:150] = torch.randint(10, (150,))
    assert torch.equal(codes.match(codes_, labels), order)


def test_a_code_that_reads_two_digits_gets_one_and_the_empty_code_the_other():
    labels = torch.tensor([4] * 60 + [9] * 50 + [d for d in range(10) if d not in (4, 9)] * 10)
    read = torch.where((labels == 4) | (labels == 9), 4, labels)  # code 9 reads nothing
    digits = codes.match(read, labels)
    assert sorted(digits.tolist()) == list(range(10)) and digits[4] == 4 and digits[9] == 9


def shapes(slant: float = 0.0, width: int = 3, n: int = 1) -> torch.Tensor:
    """A bar 12 pixels high, ``width`` wide, whose foot stands ``slant`` to the left per row."""
    images = torch.full((n, 1, 32, 32), -1.0)
    for row in range(10, 22):
        left = 16 + round(slant * (15.5 - row)) - width // 2
        images[:, :, row, left : left + width] = 1.0
    return images


def test_moments_of_bars_are_their_slant_width_and_ink():
    slant, width, ink = codes.moments(shapes())[0].tolist()
    assert slant == pytest.approx(0, abs=1e-9)
    assert width == pytest.approx(math.sqrt((3**2 - 1) / 12))  # of a uniform over 3 columns
    assert ink == pytest.approx(36 / 1024)
    leaning, _, same = codes.moments(shapes(slant=0.5))[0].tolist()
    assert leaning == pytest.approx(0.5, abs=0.02) and same == pytest.approx(36 / 1024)
    assert codes.moments(shapes(slant=-0.5))[0, 0] == pytest.approx(-0.5, abs=0.02)
    assert codes.moments(shapes(width=7))[0, 1] == pytest.approx(2.0)
    assert torch.equal(codes.moments(torch.full((2, 1, 8, 8), -1.0)), torch.zeros(2, 3).double())


def test_where_the_bar_stands_changes_none_of_its_moments():
    moved_ = shapes(slant=0.5).roll((4, -5), dims=(2, 3))
    torch.testing.assert_close(codes.moments(moved_), codes.moments(shapes(slant=0.5)))


def test_the_share_explained_is_within_a_code_and_by_the_one_that_explains():
    n = 20_000
    code, continuous, noise = torch.arange(n) % 10, torch.rand(n, 2) * 2 - 1, torch.randn(n)
    # Slant: the first code's, its variance 1/3, with as much noise; each code a mean of its own.
    slant = continuous[:, 0] * (1 - 2 * (code % 2)) + noise / math.sqrt(3) + 100.0 * code
    values = torch.stack([slant, continuous[:, 1], torch.zeros(n)], dim=1)
    by_code, pooled = codes.explained(values, continuous, code)
    assert by_code.shape == (10, 3, 2) and pooled.shape == (3, 2)
    wanted = torch.tensor([[0.5, 0.0], [0.0, 1.0], [0.0, 0.0]]).double()
    torch.testing.assert_close(pooled, wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(by_code, wanted.expand(10, 3, 2), atol=0.06, rtol=0)


def test_reading_codes_leaves_the_networks_as_they_were():
    networks = build(config())
    before = {name: copies(networks[name]) for name in PARTS}
    read, means = codes.read_codes(networks["discriminator"], networks["q"], tiny_images().images)
    assert read.shape == (70,) and means.shape == (70, 2)
    assert all(same_tensors(before[name], copies(networks[name])) for name in PARTS)
    assert all(part.training for name in PARTS for part in networks[name].modules())


def test_all_measures_of_a_run(run):
    images = tiny_images()
    test = data.load("digits", "test", img_size=8)
    with evaluating(reader := classifier.Classifier()):
        found = codes.measure_codes(
            run.latest_networks(), run.config, images, test, reader, n_images=200
        )
    assert sorted(found["digit_of_code"]) == list(range(10))
    table = torch.tensor(found["confusion"])
    assert table.sum() == len(test) and torch.equal(
        table.sum(dim=1), torch.bincount(test.labels, minlength=10)
    )
    assert found["error"] == pytest.approx(1 - float(table.trace() / table.sum()))
    assert torch.tensor(found["drawn"]).sum(dim=1).tolist() == [20] * 10
    assert found["explained"].keys() == {"slant", "width", "ink"}
    assert all(0 <= share <= 1 for pair in found["explained"].values() for share in pair)
    assert torch.tensor(found["by_code"]["ink"]).shape == (10, 2)
