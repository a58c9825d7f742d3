"""Judging images by measurement. The judge so far is the nearest training image."""

import torch
from torch import Tensor

from ganlib.data import DigitImages


def nearest_labels(images: Tensor, known: DigitImages) -> Tensor:
    """For each image the label of the most similar known one (1-nearest neighbour, Euclidean).

    ``images``: (N, C, H, W), of the same size as the known ones, in [-1, 1]. Returns (N,) int64.
    A judge that needs no training; how good it is can be seen on real test images.
    Raises ValueError if the sizes differ.
    """
    if images.shape[1:] != known.images.shape[1:]:
        raise ValueError(
            f"images of {tuple(images.shape[1:])} cannot be compared with known images of "
            f"{tuple(known.images.shape[1:])}: load the data set with the same img_size"
        )
    known_pixels = known.images.flatten(1)
    nearest = [
        torch.cdist(part, known_pixels).argmin(dim=1)  # 1000 at a time, to bound the memory
        for part in images.to(known_pixels).flatten(1).split(1000)
    ]
    return known.labels[torch.cat(nearest)]


def nearest_distances(images: Tensor) -> Tensor:
    """How far each image (N, C, H, W) is from the most similar *other* one: (N,), Euclidean.

    Small values mean that images repeat each other.
    """
    pixels = images.flatten(1)
    return torch.cdist(pixels, pixels).fill_diagonal_(torch.inf).amin(dim=1)
