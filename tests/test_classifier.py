"""The judge: what ships, how it is trained, how it reads images of any size."""

import pytest
import torch
from conftest import need_mnist, same_tensors

from ganlib import data
from ganlib.judge import classifier
from ganlib.judge.classifier import (
    Classifier,
    jitter,
    load_classifier,
    read_digits,
    train_classifier,
)
from ganlib.runs.store import RunError, find_run


@pytest.fixture(scope="module")
def digits() -> data.DigitImages:
    return data.load("digits", "train", img_size=32, size=300)


def test_the_shipped_judge_is_small_and_reads_what_a_recorded_run_was_asked_to_draw():
    assert classifier.SHIPPED.stat().st_size < 1e6
    sheet = find_run("cgan-linear-eps0.8").samples(200)
    _, scores = read_digits(load_classifier(), sheet)
    assert (scores.argmax(1) == torch.arange(10).repeat(10)).float().mean() > 0.9


def test_the_shipped_judge_reads_mnists_test_split():
    need_mnist()
    judge = load_classifier()
    assert classifier.accuracy(judge, data.load("mnist", "test", classifier.SIZE)) >= 0.994


def test_features_lie_behind_the_scores_and_sizes_are_resized(digits):
    judge = load_classifier()
    features, scores = read_digits(judge, digits.images)
    assert features.shape == (300, classifier.N_FEATURES) and scores.shape == (300, 10)
    assert torch.allclose(judge(digits.images[:50]), scores[:50], atol=1e-4)
    small = data.resize(digits.images, 28)
    _, others = read_digits(judge, small)
    assert (others.argmax(1) == scores.argmax(1)).float().mean() > 0.9


def test_training_learns_and_repeats_itself(digits):
    steps = []
    judge = train_classifier(digits, 4, device="cpu", on_batch=lambda: steps.append(1))
    again = train_classifier(digits, 4, device="cpu")
    assert len(steps) == 4 * 3 and not judge.training
    assert same_tensors(judge.state_dict(), again.state_dict())
    assert classifier.accuracy(judge, digits) > 0.6
    other = train_classifier(digits, 1, seed=1, device="cpu")
    assert not same_tensors(judge.state_dict(), other.state_dict())


def test_jitter_keeps_the_range_the_background_and_most_of_the_ink(digits):
    rng = torch.Generator().manual_seed(0)
    moved = jitter(digits.images, rng)
    assert moved.shape == digits.images.shape and not torch.equal(moved, digits.images)
    assert moved.min() >= -1 and moved.max() <= 1
    blank = torch.full((4, 1, 32, 32), -1.0)
    assert torch.equal(jitter(blank, rng), blank)
    ink, before = (images.add(1).mean() for images in (moved, digits.images))
    assert 0.8 < ink / before < 1.2


def test_a_judge_comes_back_as_it_was_saved(tmp_path):
    judge = Classifier().eval()
    classifier.save_classifier(judge, tmp_path / "judge.safetensors")
    loaded = load_classifier(path=tmp_path / "judge.safetensors")
    assert same_tensors(judge.state_dict(), loaded.state_dict())


def test_an_unusable_file_says_how_to_make_another(tmp_path):
    path = tmp_path / "judge.safetensors"
    with pytest.raises(RunError, match="record classifier"):
        load_classifier(path=path)
    whole = classifier.SHIPPED.read_bytes()
    for content in (b"", b"no weights", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(RunError, match="record classifier"):
            load_classifier(path=path)
