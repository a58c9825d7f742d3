"""Each measure on sets for which its value is known."""

import math

import pytest
import torch

from ganlib import data
from ganlib.judge import metrics
from ganlib.judge.metrics import (
    class_kl,
    confusion,
    copied_share,
    frechet_at_shares,
    frechet_distance,
    measure,
    nearest,
    nearest_distances,
    prdc,
    specks,
)


@pytest.fixture(scope="module")
def against(judge) -> metrics.Reference:
    splits = [data.load("digits", split, img_size=16) for split in data.SPLITS]
    return metrics.reference(*splits, judge)


# --- Neighbours ----------------------------------------------------------------------------------


def test_distances_find_copies():
    images = torch.randn(20, 1, 8, 8)
    distances = nearest_distances(torch.cat([images, images[:5]]))
    copied = torch.zeros(25, dtype=torch.bool)
    copied[:5] = copied[20:] = True
    assert (distances[copied] < 1e-2).all()
    assert (distances[~copied] > 1).all()


def test_distance_of_two_images_is_euclidean():
    images = torch.zeros(2, 1, 4, 4)
    images[1] = 0.5
    assert torch.allclose(nearest_distances(images), torch.tensor([2.0, 2.0]))


@pytest.mark.parametrize("part", [3, 1000])
def test_neighbours_of_points_on_a_line(monkeypatch, part):
    monkeypatch.setattr(metrics, "PART", part)
    points = torch.tensor([0.0, 1.0, 3.0, 7.0, 15.0]).unsqueeze(1)
    assert nearest_distances(points).tolist() == [1, 1, 2, 4, 8]
    assert nearest_distances(points, k=2).tolist() == [3, 2, 3, 6, 12]
    distances, index = nearest(torch.tensor([[2.9], [11.5]]), points)
    assert torch.allclose(distances, torch.tensor([0.1, 3.5])) and index.tolist() == [2, 4]


# --- Pixels --------------------------------------------------------------------------------------


def test_specks_are_counted_and_strokes_are_not():
    images = torch.full((4, 1, 8, 8), -1.0)
    images[0, 0, 3, 3] = images[0, 0, 0, 7] = images[0, 0, 6, 1] = -0.5  # one in a corner
    images[1, 0, 2:7, 4] = 1.0  # a stroke
    images[2, 0, 3, 3] = -0.85  # too faint
    assert specks(images) == 3 / 4
    images[3] = torch.linspace(-1, 1, 64).view(1, 8, 8)
    assert specks(images) == 3 / 4


def test_real_digits_have_few_specks_and_noise_has_many():
    digits = data.load("digits", "test", img_size=32).images
    rng = torch.Generator().manual_seed(0)
    noise = torch.rand(digits.shape, generator=rng) * 2 - 1
    assert specks(digits) < 1 < 40 < specks(noise)


# --- Distances between sets ----------------------------------------------------------------------


def test_frechet_distance_of_gaussians_in_closed_form():
    """Independent normals: |m1 - m2|^2 + the sum of (s1 - s2)^2."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(2, 200_000, 3, generator=rng, dtype=torch.float64)
    z = (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)
    real, fake = z[0] * torch.tensor([1.0, 2, 3]), z[1] * torch.tensor([2.0, 2, 1]) + 5
    assert frechet_distance(real, fake) == pytest.approx(3 * 25 + 1 + 0 + 4, rel=0.01)
    assert frechet_distance(real, fake) == pytest.approx(frechet_distance(fake, real))


def test_frechet_distance_of_equal_sets_is_zero_and_of_constants_their_distance():
    features = torch.randn(500, 20)
    assert frechet_distance(features, features) < 1e-5
    zeros = torch.zeros(50, 4)
    assert frechet_distance(zeros, zeros + 3) == pytest.approx(36)


def test_frechet_distance_at_equal_shares_does_not_mind_how_many_there_are_of_each():
    """Both digits look right, one of them fills nine tenths: only the plain distance sees it."""
    rng = torch.Generator().manual_seed(0)
    digits = torch.arange(2).repeat(2000)
    real = torch.randn(4000, 3, generator=rng) + 9 * digits[:, None]
    fake = torch.randn(4000, 3, generator=rng) + 9 * digits[:, None]
    many = torch.cat([torch.arange(4000)[digits == 0], torch.arange(4000)[digits == 1][:220]])
    assert frechet_distance(real, fake[many]) > 10
    assert frechet_at_shares(real, fake[many], digits, digits[many]) < 0.1
    same = frechet_at_shares(real, fake, digits, digits)
    assert same == pytest.approx(frechet_distance(real, fake), abs=1e-3)
    alone = fake[digits == 0]  # a digit that is not there cannot be weighted, and is missed
    missed = frechet_at_shares(real, alone, digits, torch.zeros(len(alone), dtype=torch.long))
    assert missed == pytest.approx(frechet_distance(real, alone), rel=1e-3) and missed > 10


def test_prdc_of_equal_sets_is_ideal():
    """Each point lies in the balls of its neighbours and in its own: density (k + 1) / k."""
    points = torch.randn(400, 10)
    found = prdc(points, points, k=5)
    assert {found[name] for name in ("precision", "recall", "coverage")} == {1}
    assert found["density"] == pytest.approx(6 / 5, abs=0.01)


def test_prdc_by_hand():
    """Reals 0, 1, 3 have radii 1, 1, 2 for k = 1; fakes 0.5, 9, 10 have 8.5, 1, 1."""
    real, fake = torch.tensor([[0.0], [1], [3]]), torch.tensor([[0.5], [9], [10]])
    found = prdc(real, fake, k=1)
    assert found == pytest.approx(
        {"precision": 1 / 3, "recall": 1, "density": 2 / 3, "coverage": 2 / 3}
    )


def test_prdc_of_distant_sets_is_zero():
    points = torch.randn(100, 5)
    assert set(prdc(points, points + 1000).values()) == {0}


@pytest.mark.slow
def test_prdc_reproduces_its_authors_self_test():
    """Equal Gaussians in 1,000 dimensions (Naeem et al. 2020, the self-test of their code)."""
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 10_000, 1000, generator=rng)
    found = prdc(real, fake, k=5)
    published = {"precision": 0.477, "recall": 0.471, "density": 1.056, "coverage": 0.974}
    assert found == pytest.approx(published, abs=0.03)  # from draw to draw: about 0.01


# --- Classes -------------------------------------------------------------------------------------


def test_class_kl_of_equal_and_single_classes():
    assert class_kl(torch.full((10,), 7)) == pytest.approx(0, abs=1e-12)
    assert class_kl(torch.tensor([0] * 9 + [50])) == pytest.approx(math.log(10))
    assert class_kl(torch.tensor([5] * 2 + [0] * 8)) == pytest.approx(math.log(5))


def test_confusion_has_a_row_for_each_request():
    table = confusion(torch.tensor([0, 0, 3]), torch.tensor([0, 8, 3]))
    assert table.shape == (10, 10) and table.sum() == 3
    assert table[0, 0] == table[0, 8] == table[3, 3] == 1


# --- Everything together -------------------------------------------------------------------------


def test_a_judge_warns_of_images_that_it_cannot_read(judge, recwarn):
    """The shipped one reads about a quarter of scikit-learn's digits, which fill their frame."""
    pair = [data.load("digits", split, img_size=16) for split in data.SPLITS]
    metrics.reference(*pair, judge)
    assert not recwarn
    with pytest.warns(UserWarning, match=r"reads only \d\d% of the test images of digits"):
        metrics.reference(*pair)


def test_real_images_score_well_and_are_not_copies(against):
    found = metrics.floor(against, n_images=1000)
    assert found["n_images"] == 1000 and found["classes"] == 10
    assert found["accuracy"] > 0.8 and found["class_kl"] < 0.1
    assert found["precision"] > 0.7 and found["recall"] > 0.7 and found["coverage"] > 0.7
    assert found["memorised_pixels"] < 0.1 and found["memorised_features"] < 0.1
    assert sum(map(sum, found["confusion"])) == sum(found["class_counts"]) == 1000


def test_shuffled_labels_are_right_one_time_in_ten(against):
    rng = torch.Generator().manual_seed(0)
    labels = against.train.labels[torch.randperm(len(against.train), generator=rng)]
    found = measure(against.train.images, labels, against, copies=False)
    # 1,497 images: a standard deviation is 0.008.
    assert found["accuracy"] == pytest.approx(0.1, abs=0.04)
    assert "memorised_pixels" not in found


def test_no_labels_no_accuracy(against):
    found = measure(against.train.images[:50], None, against, copies=False)
    assert found["accuracy"] is None and found["confusion"] is None


def test_replayed_training_images_are_flagged_and_slight_noise_hides_nothing(against):
    replay = against.train.images[:200]
    for images in (replay, (replay + 0.02 * torch.randn_like(replay)).clamp(-1, 1)):
        found = measure(images, None, against)
        assert found["memorised_pixels"] > 0.9
        assert found["memorised_features"] > 0.8


def test_one_image_again_and_again_covers_nothing(against):
    found = measure(against.test.images[:1].expand(300, -1, -1, -1), None, against, copies=False)
    assert found["coverage"] < 0.1 and found["recall"] < 0.1 and found["classes"] == 1
    good = metrics.floor(against, 300, copies=False)
    assert found["frechet"] > 5 * good["frechet"]


def test_copied_share_compares_both_distances():
    to_train, to_test = torch.tensor([0.0, 1, 4, 10]), torch.tensor([5.0, 3, 5, 5])
    assert copied_share(to_train, to_test) == 0.5
