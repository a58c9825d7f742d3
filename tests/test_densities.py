"""On a line, the theory of GANs has exact answers."""

import math

import pytest
import torch

from ganlib.losses import BCE, MSE, bce_generator, mse_generator, saturating_generator
from ganlib.studies import densities

TWO = densities.mixture([-2.0, 2.0], 0.5)
ONE = densities.mixture([2.0], 0.5)


def test_a_density_integrates_to_one_and_has_its_mean():
    density = densities.mixture([-1.0, 4.0], 0.7)
    assert densities.integral(density) == pytest.approx(1)
    assert densities.integral(density * densities.GRID) == pytest.approx(1.5)


def test_draws_are_those_of_the_density():
    drawn = densities.draw_mixture([-1.0, 4.0], 0.7, 20_000, torch.Generator().manual_seed(0))
    assert drawn.shape == (20_000, 1)
    assert drawn.mean() == pytest.approx(1.5, abs=0.06)
    assert drawn.var() == pytest.approx(0.7**2 + 2.5**2, rel=0.03)


@pytest.mark.parametrize(("loss", "balance"), [(BCE, math.log(2)), (MSE, 0.25)])
def test_equal_densities_leave_the_best_discriminator_guessing(loss, balance):
    assert torch.allclose(densities.optimal_discriminator(TWO, TWO), torch.tensor(0.5).double())
    assert densities.lowest_loss(TWO, TWO, loss) == pytest.approx(balance)


def test_a_missing_half_has_the_loss_of_its_closed_form():
    """Where both are, p = q / 2, so D* = 1/3; elsewhere, half of the real mass is given away."""
    bce = -(0.5 * math.log(1 / 3) + math.log(2 / 3)) / 2
    mse = (0.5 * (2 / 3) ** 2 + (1 / 3) ** 2) / 2
    assert densities.lowest_loss(TWO, ONE, BCE) == pytest.approx(bce, rel=1e-3)
    assert densities.lowest_loss(TWO, ONE, MSE) == pytest.approx(mse, rel=1e-3)


@pytest.mark.parametrize("loss", [BCE, MSE])
def test_no_other_discriminator_does_better(loss):
    best = torch.logit(densities.optimal_discriminator(TWO, ONE), eps=1e-12)
    lowest = densities.lowest_loss(TWO, ONE, loss)
    for change in (0.3, -0.3, torch.sin(densities.GRID)):
        assert densities.expected_loss(best + change, TWO, ONE, loss) > lowest


def test_the_blurred_generator_has_the_loss_that_was_asked_for():
    target = densities.lowest_loss(TWO, ONE, BCE)
    width = densities.width_of_equal_loss(TWO, [-2.0, 2.0], target, BCE)
    blurred = densities.mixture([-2.0, 2.0], width)
    assert densities.lowest_loss(TWO, blurred, BCE) == pytest.approx(target, abs=1e-6)
    assert width > 1


def test_pulls_close_to_the_data_and_far_from_it():
    """Near, D is about 1/2, where Eq. 1 and Eq. 3 have slope 1/2 and Eq. 7 has 1/4 (times d)."""
    for loss, slope in ((bce_generator, 0.5), (saturating_generator, 0.5), (mse_generator, 0.25)):
        assert densities.pull(0.01, loss) == pytest.approx(0.01 * slope, rel=0.02)
    assert densities.pull(6.0, bce_generator) == pytest.approx(6, rel=0.02)  # D is 0, slope 1
    assert densities.pull(6.0, saturating_generator) < 0.05
    assert densities.pull(6.0, mse_generator) < 0.05


def test_training_comes_closer_to_the_best_discriminator():
    real, fake = ([-2.0, 2.0], 0.5), ([2.0], 0.5)
    losses = [
        densities.expected_loss(
            densities.train_discriminator(real, fake, BCE, n_steps), TWO, ONE, BCE
        )
        for n_steps in (1, 60)
    ]
    lowest = densities.lowest_loss(TWO, ONE, BCE)
    assert lowest < losses[1] < losses[0]
    assert losses[1] - lowest < 0.1
