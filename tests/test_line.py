"""A generator on a line: how it follows a loss, and how both networks move."""

import pytest
import torch

from ganlib.figures import lines
from ganlib.losses import BCE, bce_generator, mse_generator, saturating_generator
from ganlib.studies import densities, line

REAL = [-2.0, 2.0], 0.5


@pytest.mark.parametrize("loss", [bce_generator, saturating_generator, mse_generator])
def test_a_walk_goes_down_and_never_past_the_data(loss):
    distances = line.walk(1.0, loss, n_steps=30)
    assert len(distances) == 31 and distances[0] == 1.0
    assert all(0 <= after < before for before, after in zip(distances, distances[1:]))


def test_from_afar_only_the_non_saturating_loss_pulls():
    ends = [
        line.walk(6.0, loss, 10)[-1]
        for loss in (bce_generator, saturating_generator, mse_generator)
    ]
    assert ends[0] < 0.2 and min(ends[1:]) > 5.8


def test_a_game_begins_with_two_networks_that_know_nothing_and_finds_both_clusters():
    first, last = line.game(REAL, BCE, (0, 100))
    assert (first.step, last.step) == (0, 100)
    for moment in (first, last):
        assert densities.integral(moment.density) == pytest.approx(1, abs=1e-3)
        assert moment.scores.shape == densities.GRID.shape
    left = densities.integral(last.density * (densities.GRID < 0))
    assert 0.3 < left < 0.7
    real = densities.mixture(*REAL)
    playing, best = lines.losses_of([first, last], real, BCE)
    assert all(ours > lowest for ours, lowest in zip(playing, best))
    assert best[1] > best[0] + 0.1  # the generator has come nearer


def test_a_game_is_repeated_by_its_seed_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    once, again = (line.game(REAL, BCE, (5,), seed=3) for _ in range(2))
    assert torch.equal(once[0].density, again[0].density)
    assert torch.equal(once[0].scores, again[0].scores)
    assert torch.equal(before, torch.random.get_rng_state())


def test_every_frame_has_one_size_and_is_another():
    moments = line.game(REAL, BCE, (0, 2, 4))
    frames = list(lines.game_frames(moments, densities.mixture(*REAL), BCE))
    assert len({frame.shape for frame in frames}) == 1
    assert len({frame.tobytes() for frame in frames}) == 3
