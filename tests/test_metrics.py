"""The nearest-image judge and the measure of repetition."""

import pytest
import torch

from ganlib import data, metrics


def test_a_known_image_gets_its_own_label():
    known = data.load("digits", "train", img_size=8)
    assert torch.equal(metrics.nearest_labels(known.images[:50], known), known.labels[:50])


def test_the_judge_recognises_unseen_digits():
    known = data.load("digits", "train", img_size=8)
    test = data.load("digits", "test", img_size=8)
    right = metrics.nearest_labels(test.images, known) == test.labels
    assert right.float().mean() > 0.95  # published figures for 1-NN on this set: 0.98


def test_another_size_is_refused():
    known = data.load("digits", "train", img_size=8)
    with pytest.raises(ValueError, match="img_size"):
        metrics.nearest_labels(torch.zeros(2, 1, 9, 9), known)


def test_distances_find_copies():
    images = torch.randn(20, 1, 8, 8)
    distances = metrics.nearest_distances(torch.cat([images, images[:5]]))
    copied = torch.zeros(25, dtype=torch.bool)
    copied[:5] = copied[20:] = True
    assert (distances[copied] < 1e-2).all()
    assert (distances[~copied] > 1).all()


def test_distance_of_two_images_is_euclidean():
    images = torch.zeros(2, 1, 4, 4)
    images[1] = 0.5
    assert torch.allclose(metrics.nearest_distances(images), torch.tensor([2.0, 2.0]))
