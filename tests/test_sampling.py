"""Sheets, the fixed z, and walks between two z."""

import io

import numpy as np
import pytest
import torch
from conftest import copies, networks_of, same_tensors, tiny_config
from PIL import Image

from ganlib import sampling
from ganlib.data import scale, unscale
from ganlib.families import build
from ganlib.sampling import from_sheet, generate, interpolate, png, sheet_inputs, to_sheet


@pytest.fixture
def pictures() -> torch.Tensor:
    """100 images of 6x6 whose greys are whole numbers."""
    rng = torch.Generator().manual_seed(0)
    return scale(torch.randint(0, 256, (100, 1, 6, 6), generator=rng))


def test_sheets_and_images_are_inverses(pictures):
    sheet = to_sheet(pictures)
    assert sheet.shape == (60, 60) and sheet.dtype == np.uint8
    back = from_sheet(sheet, 6)
    assert back.shape == pictures.shape and back.dtype == torch.float32
    torch.testing.assert_close(back, pictures, rtol=0, atol=1e-6)
    assert np.array_equal(to_sheet(back), sheet)


def test_a_sheet_is_read_row_by_row(pictures):
    sheet = to_sheet(pictures)
    for row, column in ((0, 0), (0, 9), (3, 7), (9, 0)):
        part = sheet[row * 6 : row * 6 + 6, column * 6 : column * 6 + 6]
        assert np.array_equal(part, unscale(pictures[row * 10 + column, 0]).numpy())


@pytest.mark.parametrize("columns, shape", [(4, (12, 24)), (8, (6, 48)), (1, (48, 6))])
def test_a_sheet_may_have_other_columns(pictures, columns, shape):
    sheet = to_sheet(pictures[:8], columns)
    assert sheet.shape == shape
    torch.testing.assert_close(from_sheet(sheet, 6), pictures[:8], rtol=0, atol=1e-6)


def test_png_keeps_every_grey(pictures):
    sheet = to_sheet(pictures)
    assert np.array_equal(np.array(Image.open(io.BytesIO(png(sheet)))), sheet)


def test_the_sheet_of_a_gan_is_a_hundred_different_z():
    (z,) = sheet_inputs(tiny_config("gan", latent_dim=5))
    assert z.shape == (100, 5) and len(z.unique(dim=0)) == 100


def test_the_sheet_of_a_cgan_shows_one_z_a_row_as_every_digit():
    z, labels = sheet_inputs(tiny_config("cgan", latent_dim=5))
    assert len(z.unique(dim=0)) == 10
    for row in range(10):
        assert len(z[10 * row : 10 * row + 10].unique(dim=0)) == 1
        assert labels[10 * row : 10 * row + 10].tolist() == list(range(10))


def test_a_sheet_depends_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = sheet_inputs(tiny_config(seed=1, n_epochs=3))[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(sheet_inputs(tiny_config(seed=1, n_epochs=7, lr=0.1))[0], one)
    assert not torch.equal(sheet_inputs(tiny_config(seed=2))[0], one)


@pytest.mark.parametrize("model", ["gan", "cgan"])
@pytest.mark.parametrize("training", [True, False])
def test_generating_changes_nothing_in_the_generator(model, training):
    config = tiny_config(model)
    generator = build(config)["generator"].train(training)
    before = copies(generator)
    inputs = sheet_inputs(config)
    images = generate(generator, *inputs)
    assert images.shape == (100, 1, 8, 8) and not images.requires_grad
    assert generator.training is training
    assert same_tensors(generator.state_dict(), before)  # batch statistics too
    assert torch.equal(generate(generator, *inputs), images)


def test_each_image_depends_on_its_own_z_alone():
    """In evaluation mode: the same z alone or among others gives the same digit."""
    config = tiny_config("cgan")
    generator = build(config)["generator"]
    z, labels = sheet_inputs(config)
    together = generate(generator, z, labels)
    torch.testing.assert_close(together[37:38], generate(generator, z[37:38], labels[37:38]))


def test_a_walk_starts_and_ends_at_the_given_z_and_stays_on_the_sphere():
    rng = torch.Generator().manual_seed(0)
    start, end = torch.randn(2, 100, generator=rng)
    end = end * start.norm() / end.norm()
    walk = interpolate(start, end, 7)
    assert walk.shape == (7, 100)
    torch.testing.assert_close(walk[0], start)
    torch.testing.assert_close(walk[-1], end)
    torch.testing.assert_close(walk.norm(dim=1), start.norm().expand(7))
    steps = walk.diff(dim=0).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(6))


def test_a_walk_between_parallel_z_is_finite():
    start = torch.ones(4)
    for end in (start, 2 * start, -start):
        walk = interpolate(start, end, 3)
        assert walk.isfinite().all()
        torch.testing.assert_close(walk, torch.stack([start, (start + end) / 2, end]))


@pytest.mark.parametrize("model", ["cgan", "cbn-cgan", "c-dcgan", "cbn-dcgan"])
def test_a_walk_between_digits_starts_and_ends_at_them(model):
    generator, _ = networks_of(model)
    with torch.no_grad():  # as after some training: no class is like another
        for table in generator.parameters():
            table.add_(0.05 * torch.randn_like(table))
    z = torch.randn(100, generator=torch.Generator().manual_seed(0))
    walk = sampling.between_digits(generator, z, 3, 8, steps=5)
    ends = generate(generator, z.expand(2, -1), torch.tensor([3, 8]))
    torch.testing.assert_close(walk[[0, -1]], ends, atol=1e-4, rtol=0)
    assert walk.shape == (5, 1, 32, 32)
    assert not torch.isclose(walk[2], ends[0]).all() and not torch.isclose(walk[2], ends[1]).all()


def test_a_sheet_has_ten_rows_and_columns():
    assert sampling.SHEET == 10
