"""A few labels: no other is read, the losses are what they claim, and each player moves its own."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import copies, refused, same_tensors, tiny_config

from ganlib import Refused, data
from ganlib.cli.parser import main
from ganlib.families import MODELS, build, family
from ganlib.losses import BCE, discriminator_loss
from ganlib.models.augmentation import MOST_SHIFT, jitter, shift
from ganlib.models.semi_supervised import (
    GENERATED,
    choose_labelled,
    eleven_classes,
    feature_distance,
    few_labels,
    fooling_step,
    matching_step,
    naming_step,
    realness,
)
from ganlib.runs import store
from ganlib.steps import Batch
from ganlib.studies.recognisers import (
    METHODS,
    averaged_teacher,
    labels_only,
    read,
    share_read,
    support_vectors,
    train_recogniser,
)
from ganlib.training import start, train

GANS = [name for name, kind in MODELS.items() if "n_labels" in kind.settings]
PARTS = "generator", "discriminator", "reader"
FEW = 20


@pytest.fixture(scope="module")
def images() -> data.DigitImages:
    return data.load("digits", "train", img_size=8, size=128)


def config(model: str = "sgan", **changes):
    return tiny_config(model, **{"train_size": 128, "lr": 0.001, "n_labels": FEW} | changes)


def trained(settings, images, labels):
    players = start(settings)
    epochs = list(train(players, images, labels, settings))
    return players, torch.cat([epoch.losses for epoch in epochs])


def unknown_but(labels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """The labels with all but the ``known`` ones erased."""
    erased = torch.full_like(labels, -1)
    erased[known] = labels[known]
    return erased


# --- The draw of labels --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [25, 50, 100, 1000])
def test_labels_are_drawn_balanced_and_the_same_for_the_same_seed(n):
    labels = torch.randint(10, (20_000,))
    chosen = choose_labelled(labels, n, seed=1)
    assert len(chosen.unique()) == n
    counts = torch.bincount(labels[chosen], minlength=10)
    assert counts.max() - counts.min() == (1 if n % 10 else 0)
    assert torch.equal(chosen, choose_labelled(labels, n, seed=1))
    assert set(chosen.tolist()) != set(choose_labelled(labels, n, seed=2).tolist())


def test_fewer_labels_are_among_the_more_of_the_same_seed():
    labels = torch.randint(10, (20_000,))
    draws = [set(choose_labelled(labels, n, seed=5).tolist()) for n in (25, 50, 100, 250, 1000)]
    assert all(fewer < more for fewer, more in zip(draws, draws[1:]))


def test_which_digits_have_one_more_depends_on_the_seed():
    labels = torch.arange(10_000) % 10
    more = {
        tuple(torch.bincount(labels[choose_labelled(labels, 25, seed)]).tolist())
        for seed in range(5)
    }
    assert len(more) > 1


def test_labels_that_are_not_drawn_do_not_change_the_draw():
    labels = torch.randint(10, (5000,))
    chosen = choose_labelled(labels, 25, seed=3)
    assert torch.equal(choose_labelled(unknown_but(labels, chosen), 25, seed=3), chosen)


def test_too_few_of_a_digit_are_refused():
    with pytest.raises(Refused, match="n_labels must be less: of 100, 10 were 7, not 4"):
        choose_labelled(torch.tensor([d for d in range(10) if d != 7] * 50 + [7] * 4), 100, 0)


def test_a_configuration_that_does_not_say_how_many_means_a_hundred():
    labels = torch.arange(1000) % 10
    data = Batch(torch.arange(1000.0).view(-1, 1, 1, 1), labels)
    settings = config(n_labels=None, batch_size=500)
    shown = [pair for pair in few_labels(data, settings, torch.Generator().manual_seed(0))]
    seen = torch.cat([labelled.images.flatten() for labelled, _ in shown]).long()
    assert set(seen.tolist()) == set(choose_labelled(labels, 100, settings.seed).tolist())


def test_every_image_comes_once_without_a_label_beside_as_many_drawn_ones(images):
    settings, whole = config(), Batch(images.images, images.labels)
    known = choose_labelled(images.labels, FEW, settings.seed)
    allowed = {
        image.numpy().tobytes(): int(d)
        for image, d in zip(images.images[known], images.labels[known])
    }
    seen = []
    for labelled, unlabelled in few_labels(whole, settings, torch.Generator().manual_seed(0)):
        assert (unlabelled.labels == -1).all()
        assert len(labelled.images) == len(unlabelled.images)
        for image, label in zip(*labelled):
            assert allowed[image.numpy().tobytes()] == label
        seen += [image.numpy().tobytes() for image in unlabelled.images]
    assert sorted(seen) == sorted(image.numpy().tobytes() for image in images.images)


@pytest.mark.parametrize("model", GANS)
def test_no_label_is_read_but_those_drawn(model, images):
    """With all others erased the training is the same bit for bit; with a drawn one it is not."""
    settings = config(model)
    known = choose_labelled(images.labels, FEW, settings.seed)
    first, log = trained(settings, images.images, images.labels)
    erased = unknown_but(images.labels, known)
    assert (erased == -1).sum() == 128 - FEW
    players, again = trained(settings, images.images, erased)
    assert torch.equal(log, again)
    for name in PARTS:
        mine, others = (p.networks[name].state_dict() for p in (first, players))
        assert same_tensors(mine, others)
    wrong = images.labels.clone()
    wrong[known] = (wrong[known] + 1) % 10
    assert not torch.equal(trained(settings, images.images, wrong)[1], log)


# --- The losses ----------------------------------------------------------------------------------


def test_the_scores_of_the_digits_hold_the_eleventh_class():
    """With "generated" scored 0, the GAN's losses on the log-odds are those of eleven classes."""
    scores, labels = 5 * torch.randn(40, 10), torch.randint(10, (40,))
    p = torch.cat([scores, torch.zeros(40, 1)], dim=1).double().softmax(dim=1)
    real = realness(scores)
    assert real.shape == (40, 1)
    torch.testing.assert_close(BCE.fake(real).double(), -p[:, GENERATED].log().mean())
    torch.testing.assert_close(BCE.real(real).double(), -(p[:, :10].sum(dim=1)).log().mean())
    torch.testing.assert_close(BCE.generator(real), BCE.real(real))
    named = -p[torch.arange(40), labels].log().mean()
    torch.testing.assert_close(eleven_classes(scores, labels).double(), named)
    z = scores.double().exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(real.double().sigmoid(), z / (z + 1))  # Salimans' D(x)


def test_odenas_class_loss_is_salimans_and_that_the_image_is_real():
    scores, labels = torch.randn(40, 10), torch.randint(10, (40,))
    together = F.cross_entropy(scores, labels) + BCE.real(realness(scores))
    torch.testing.assert_close(eleven_classes(scores, labels), together)


def test_feature_distance_is_the_squared_distance_of_the_means():
    real = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    fake = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 3.0]])
    assert float(feature_distance(real, fake)) == pytest.approx((2 - 1) ** 2 + (3 - 1) ** 2)
    assert feature_distance(real, real.flip(0)) == 0


# --- Who moves what ------------------------------------------------------------------------------


def a_pair(images, n: int = 32) -> tuple[Batch, torch.Tensor]:
    return Batch(images.images[:n], images.labels[:n]), images.images[n : 2 * n]


@pytest.mark.parametrize("step", [fooling_step, matching_step])
def test_a_generator_step_moves_g_and_leaves_d_and_its_average_bit_identical(step, images):
    players, (_, real) = start(config()), a_pair(images)
    before = {name: copies(players.networks[name]) for name in PARTS}
    fake, g_loss = step(players, real, torch.randn(32, 8), config())
    assert fake.shape == real.shape and not fake.requires_grad and g_loss.shape == ()
    for name in PARTS[1:]:
        assert same_tensors(before[name], copies(players.networks[name]))
    learned = dict(players.generator.named_parameters())
    assert not any(torch.equal(before["generator"][name], learned[name]) for name in learned)


@pytest.mark.parametrize("class_loss", [eleven_classes, F.cross_entropy])
def test_a_discriminator_step_moves_d_and_its_average_and_leaves_g_bit_identical(
    class_loss, images
):
    players, (labelled, real) = start(config()), a_pair(images)
    players.iteration = 5
    before = {name: copies(players.networks[name]) for name in PARTS}
    fake = torch.rand(32, 1, 8, 8) * 2 - 1
    naming_step(players, labelled, real, fake, config(), class_loss)
    assert same_tensors(before["generator"], copies(players.generator))
    for name in players.discriminator.state_dict():
        old, new = before["discriminator"][name], players.discriminator.state_dict()[name]
        assert not torch.equal(old, new)
        kept = players.networks["reader"].state_dict()[name]
        torch.testing.assert_close(kept, old + (new - old) * (1 - 5 / 15))


def test_the_steps_losses_are_those_of_the_networks_as_they_were(images):
    settings, (labelled, real) = config(), a_pair(images)
    for model, class_loss in (("sgan", eleven_classes), ("matching", F.cross_entropy)):
        players = start(settings)
        d, generator = players.discriminator.eval(), players.generator
        z = torch.randn(32, 8)
        with torch.no_grad():
            fake = generator(z)
            named = class_loss(d(labelled.images), labelled.labels)
            real_loss, fake_loss = (BCE.real(realness(d(real))), BCE.fake(realness(d(fake))))
            wanted = BCE.generator(realness(d(fake)))
            if model == "matching":
                wanted = feature_distance(d.body(real), d.body(fake))
        shown = [labelled, Batch(real, torch.full((32,), -1))]
        logged = dict(
            zip(
                family(model).logged,
                family(model).step(players, shown, lambda n, z=z: (z,), settings),
            )
        )
        torch.testing.assert_close(logged["g_loss"], wanted)
        torch.testing.assert_close(logged["class_loss"], named)
        torch.testing.assert_close(logged["d_loss"], discriminator_loss(real_loss, fake_loss))


def test_several_discriminator_steps_take_as_many_pairs(images):
    settings = config(d_steps=2)
    shown = list(few_labels(Batch(images.images, images.labels), settings, torch.Generator()))
    assert [len(pairs) for pairs in shown] == [4, 4]
    _, log = trained(settings, images.images, images.labels)
    assert log.shape == (4, len(family("sgan").logged)) and log.isfinite().all()


# --- A run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sgan", "matching-affine"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(model, images, tmp_path):
    for folder, stops in (("whole", (3,)), ("stopped", (1, 3))):
        for number, n_epochs in enumerate(stops):
            settings = config(model, n_epochs=n_epochs)
            list(store.train_run(tmp_path / folder, settings, images, resume=number > 0))
    whole, stopped = (store.read_run(tmp_path / name) for name in ("whole", "stopped"))
    mine, others = whole.latest_networks(), stopped.latest_networks()
    assert all(same_tensors(mine[n].state_dict(), others[n].state_dict()) for n in PARTS)
    assert torch.equal(whole.losses().values, stopped.losses().values)
    with pytest.raises(store.RunError, match="n_labels 20, not 30"):
        settings = config(model, n_epochs=4, n_labels=30)
        list(store.train_run(tmp_path / "stopped", settings, images, resume=True))


def test_it_trains_on_the_command_line_and_other_models_take_no_labels(tmp_path, capsys):
    folder = str(tmp_path / "run")
    tiny = ["--dataset", "digits", "--img-size", "8", "--device", "cpu", "--n-epochs", "1"]
    asked = ["--n-labels", "100", "--batch-size", "128"]
    assert main(["train", "sgan", *tiny, *asked, "--out", folder]) == 0
    run = store.read_run(folder)
    assert run.config.n_labels == 100 and "n_labels 100, " in str(run)
    assert main(["sample", folder, "--n", "9", "--out", f"{folder}.png"]) == 0
    capsys.readouterr()
    tiny += ["--out", str(tmp_path / "other"), "--n-labels"]
    refused(capsys, ["train", "gan", *tiny, "100"], "--n-labels is for sgan")
    refused(capsys, ["train", "sgan", *tiny, "9"], "n_labels must be at least 10")
    refused(capsys, ["train", "sgan", *tiny, "1490"], "n_labels must be less")
    assert not (tmp_path / "other" / "config.json").exists()


# --- Without a GAN -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_every_other_method_starts_as_the_gan_does_and_reads_only_the_drawn_labels(method, images):
    settings = config()
    known = choose_labelled(images.labels, FEW, settings.seed)
    found = [
        [copies(reader) for _, reader in train_recogniser(settings, each, **METHODS[method])]
        for each in (
            Batch(images.images, images.labels),
            Batch(images.images, unknown_but(images.labels, known)),
        )
    ]
    assert len(found[0]) == settings.n_epochs
    for mine, others in zip(*found):
        assert same_tensors(mine, others)
    assert not same_tensors(found[0][0], copies(build(settings)["reader"]))


def test_labels_only_looks_at_no_unlabelled_image(images):
    players, (labelled, real) = start(config()), a_pair(images)
    d = players.discriminator.eval()
    one, other = (labels_only(d, d, labelled, x, torch.Generator()) for x in (real, -real))
    assert torch.equal(one, other)
    torch.testing.assert_close(one, F.cross_entropy(d(labelled.images), labelled.labels))


class Fixed(torch.nn.Module):
    """Scores whatever it is told to, whatever it sees."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.nn.Parameter(scores)

    def forward(self, images):
        return self.scores[: len(images)]


def test_the_teachers_labels_count_where_it_is_sure(images):
    """Of four images two are told with certainty: the loss of the four is those two's."""
    _, (labelled, _) = start(config()), a_pair(images)
    sure = F.one_hot(torch.tensor([3, 5]), 10) * 20.0
    teacher = Fixed(torch.cat([sure, torch.zeros(2, 10)]))
    student = Fixed(torch.randn(32, 10))
    unlabelled, rng = torch.zeros(4, 1, 8, 8), torch.Generator()
    whole = averaged_teacher(student, teacher, labelled, unlabelled, rng)
    told = F.cross_entropy(student.scores[:2], torch.tensor([3, 5]), reduction="sum") / 4
    alone = labels_only(student, teacher, labelled, unlabelled, rng)
    torch.testing.assert_close(whole, alone + told)
    whole.backward()
    assert teacher.scores.grad is None and student.scores.grad is not None


def test_what_is_read_and_the_share_of_it(images):
    few = images.images[:10]
    assert torch.equal(read(Fixed(torch.eye(10)), few), torch.arange(10))
    assert share_read(torch.arange(10), torch.arange(10)) == 1
    assert share_read(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 1, 1])) == 0.5


@pytest.mark.parametrize("learn", ["labels", "support vectors"])
def test_labels_alone_teach_to_read_at_all(learn, images):
    """Far better than chance, 10 %, on images whose labels it never saw."""
    settings, test = config(n_labels=50, n_epochs=25), data.load("digits", "test", img_size=8)
    whole = Batch(images.images, images.labels)
    if learn == "labels":
        *_, (_, reader) = train_recogniser(settings, whole, **METHODS["labels"])
        found = read(reader, test.images)
    else:
        known = choose_labelled(whole.labels, 50, seed=0)
        found = support_vectors(Batch(*(part[known] for part in whole)), test.images)
    assert share_read(found, test.labels) > 0.5


# --- Small changes -------------------------------------------------------------------------------


def test_a_shift_moves_whole_pixels_and_lets_the_background_in():
    images = torch.full((400, 1, 9, 9), -1.0)
    images[:, :, 4, 4] = 1.0
    moved = shift(images, torch.Generator().manual_seed(0))
    assert torch.equal(moved.flatten(1).sum(1), images.flatten(1).sum(1))
    places = (moved == 1).nonzero()[:, 2:] - 4
    assert places.abs().max() == MOST_SHIFT
    assert len({tuple(place.tolist()) for place in places}) == (2 * MOST_SHIFT + 1) ** 2
    other = torch.rand(5, 1, 8, 8) * 2 - 1
    shifted = shift(other, torch.Generator().manual_seed(1))
    assert shifted.shape == other.shape and not torch.equal(shifted, other)
    for before, after in zip(other, shifted):
        kept = after[after != -1]
        assert torch.isin(kept, before).all() and len(kept) >= 36


@pytest.mark.parametrize("change", [shift, jitter])
def test_changes_depend_on_their_generator_alone(change):
    images = torch.rand(20, 1, 8, 8) * 2 - 1
    one, same, other = (change(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert math.isclose(float(one.min()), -1, abs_tol=0.2) and one.shape == images.shape
