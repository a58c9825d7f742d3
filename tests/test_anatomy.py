"""What the figures of networks are made of."""

import pytest
import torch
from conftest import networks_of
from torch import nn

from ganlib.figures import anatomy


def made(model: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    generator, _ = networks_of(model)
    z = torch.randn(200, 100, generator=torch.Generator().manual_seed(0))
    return generator, z, torch.arange(200) % 10


@pytest.mark.parametrize("model", ["cgan", "cbn-cgan", "c-dcgan", "cbn-dcgan"])
def test_normalisation_holds_for_the_batch_and_for_no_digit(model):
    generator, z, labels = made(model)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    means, spreads = anatomy.class_statistics(generator, z, labels)
    assert means.shape == spreads.shape == (3, 10, means.shape[2])
    torch.testing.assert_close(means[1].mean(dim=0), torch.zeros(means.shape[2]), atol=1e-4, rtol=0)
    assert means[1].std(dim=0).min() > 1e-3  # digits keep means of their own
    torch.testing.assert_close(means[1:2], means[2:])  # scale 1, shift 0 to start with
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_cbn_moves_one_digit_alone():
    generator, z, labels = made("cbn-dcgan")
    norm = [layer for layer in generator.modules() if "BatchNorm" in type(layer).__name__][-1]
    with torch.no_grad():
        norm.bias[7] += 2
    means, _ = anatomy.class_statistics(generator, z, labels)
    moved = (means[2] - means[1]).mean(dim=1)
    torch.testing.assert_close(moved, 2.0 * (torch.arange(10) == 7))


@pytest.mark.parametrize("model, plain", [("c-dcgan", True), ("cbn-dcgan", False)])
def test_the_figure_shows_the_scale_and_shift_of_each_digit(model, plain):
    generator, z, labels = made(model)
    norm = [layer for layer in generator.modules() if "BatchNorm" in type(layer).__name__][-1]
    with torch.no_grad():
        norm.bias[3] += 2  # a digit's own shifts, or a channel's of all digits
    figure = anatomy.normalisation_by_class({"a": generator, "b": generator}, z, labels)
    scale, shift = (line.get_ydata() for line in figure.axes[1].lines)
    assert list(scale) == [1] * 10
    assert set(shift[:3]) | set(shift[4:]) == ({shift[3]} if plain else {0.0})
    assert plain or shift[3] == 2


def test_fields_grow_with_depth():
    _, discriminator = networks_of("cbn-dcgan-projection")
    image = torch.zeros(1, 32, 32)
    titles = [
        axes.get_title() for axes in anatomy.receptive_fields(*networks_of("cbn-dcgan"), image).axes
    ]
    sides = [int(title.split()[-1]) for title in titles]
    assert sides == [4, 10, 22, 22, 10, 4]  # k + (k - 1) * 2 + ..., and the same way back
    seen = anatomy.seen_by(discriminator.layers[:1], (1, 32, 32))
    assert int(seen.sum()) == 16 and not seen[0, 0]


def test_checkerboards_are_printed_by_uneven_transposed_convolutions_alone():
    figure = anatomy.checkerboards()
    counted = [axes.images[0].get_array() for axes in figure.axes[:3]]
    assert [len(set(map(int, counts.flatten()))) for counts in counted] == [3, 1, 1]
