"""Each loss equals its equation, stays finite, and pulls the way the book says."""

import math

import pytest
import torch

from ganlib import losses
from ganlib.losses import BCE, LEAST_SQUARES, LOSSES, MSE, SATURATING

# The equations, word for word, on the probability d = D(x); the least squares on the score itself.
CLOSED_FORMS = {
    losses.bce_generator: lambda s: -torch.log(torch.sigmoid(s)).mean(),
    losses.saturating_generator: lambda s: torch.log(1 - torch.sigmoid(s)).mean(),
    losses.bce_real: lambda s: -torch.log(torch.sigmoid(s)).mean(),
    losses.bce_fake: lambda s: -torch.log(1 - torch.sigmoid(s)).mean(),
    losses.mse_generator: lambda s: ((torch.sigmoid(s) - 1) ** 2).mean(),
    losses.mse_real: lambda s: ((torch.sigmoid(s) - 1) ** 2).mean(),
    losses.mse_fake: lambda s: ((torch.sigmoid(s) - 0) ** 2).mean(),
    losses.least_squares_generator: lambda s: ((s - 1) ** 2).mean(),
    losses.least_squares_real: lambda s: ((s - 1) ** 2).mean(),
    losses.least_squares_fake: lambda s: (s**2).mean(),
}
every_loss = pytest.mark.parametrize("loss", CLOSED_FORMS, ids=lambda loss: loss.__name__)


@every_loss
def test_equals_its_closed_form(loss):
    logits = torch.linspace(-6, 6, 49, dtype=torch.float64).view(-1, 1)
    torch.testing.assert_close(loss(logits), CLOSED_FORMS[loss](logits), rtol=1e-12, atol=1e-12)


@every_loss
def test_gradient_equals_that_of_the_closed_form(loss):
    logits = torch.linspace(-6, 6, 49, dtype=torch.float64, requires_grad=True)
    (mine,) = torch.autograd.grad(loss(logits), logits)
    (theirs,) = torch.autograd.grad(CLOSED_FORMS[loss](logits), logits)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@every_loss
def test_is_the_scalar_mean_over_the_batch_in_either_shape(loss):
    logits = torch.tensor([-2.0, 0.5, 3.0, 1.0])
    each = torch.stack([loss(logit.view(1)) for logit in logits])
    assert loss(logits).shape == loss(logits.view(-1, 1)).shape == ()
    torch.testing.assert_close(loss(logits), each.mean())
    torch.testing.assert_close(loss(logits.view(-1, 1)), loss(logits), rtol=0, atol=0)


@every_loss
@pytest.mark.parametrize("logit", [-1000.0, 1000.0])
def test_stays_finite_where_the_sigmoid_is_0_or_1(loss, logit):
    logits = torch.full((4, 1), logit, requires_grad=True)
    value = loss(logits)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_bce_grows_like_the_logit_where_the_discriminator_errs():
    """log(sigmoid(-1000)) taken in two steps would be log(0)."""
    surely_fake, surely_real = torch.tensor([-1000.0]), torch.tensor([1000.0])
    assert losses.bce_generator(surely_fake) == losses.bce_real(surely_fake) == 1000
    assert losses.bce_fake(surely_real) == 1000
    assert losses.saturating_generator(surely_real) == -1000
    assert losses.bce_real(surely_real) == losses.bce_fake(surely_fake) == 0


def test_only_the_squares_on_the_probability_are_bounded():
    logits = torch.tensor([-1000.0, -3.0, 0.0, 3.0, 1000.0])
    for loss in MSE:
        each = torch.stack([loss(logit.view(1)) for logit in logits])
        assert ((each >= 0) & (each <= 1)).all()
    for loss in LEAST_SQUARES:
        assert max(float(loss(logit.view(1))) for logit in logits) > 1


def test_saturating_loss_gives_no_gradient_when_d_is_sure():
    """The reason for Eq. 3: at D(G(z)) near 0 the two differ by a factor of e^10 here."""
    logit = torch.tensor([-10.0], dtype=torch.float64, requires_grad=True)
    (saturating,) = torch.autograd.grad(losses.saturating_generator(logit), logit)
    (non_saturating,) = torch.autograd.grad(losses.bce_generator(logit), logit)
    d = 1 / (1 + math.exp(10))
    assert float(saturating) == pytest.approx(-d)  # d/ds log(1 - sigmoid(s)) = -sigmoid(s)
    assert float(non_saturating) == pytest.approx(d - 1)  # d/ds -log sigmoid(s) = sigmoid(s) - 1
    assert saturating.sign() == non_saturating.sign()  # both push D's score up


def test_values_at_equilibrium():
    """A discriminator that cannot tell says one half: ln 2 for BCE, a quarter for squares."""
    undecided = torch.zeros(8, 1)
    assert torch.equal(losses.probability(undecided), torch.full((8, 1), 0.5))
    for loss in BCE:
        assert float(loss(undecided)) == pytest.approx(math.log(2))
    assert float(SATURATING.generator(undecided)) == pytest.approx(-math.log(2))
    for loss in MSE:
        assert float(loss(undecided)) == pytest.approx(0.25)
    for loss in LEAST_SQUARES:  # raw scores: one half is the score itself
        assert float(loss(undecided + 0.5)) == pytest.approx(0.25)
    for name in ("bce", "mse"):
        halves = LOSSES[name].real(undecided), LOSSES[name].fake(undecided)
        assert float(losses.discriminator_loss(*halves)) == pytest.approx(float(halves[0]))


def test_discriminator_loss_is_the_mean_of_its_halves():
    halved = losses.discriminator_loss(torch.tensor(3.0), torch.tensor(1.0))
    assert halved == 2


@pytest.mark.parametrize("name", LOSSES)
def test_generator_and_discriminator_want_opposite_scores(name):
    """On fake images G's loss falls as the score rises (up to the target), and D's grows."""
    low, high = torch.tensor([0.1]), torch.tensor([0.9])
    assert LOSSES[name].generator(high) < LOSSES[name].generator(low)
    assert LOSSES[name].fake(high) > LOSSES[name].fake(low)
    assert LOSSES[name].real(high) < LOSSES[name].real(low)


def test_names_stand_for_the_losses_they_say():
    assert LOSSES == {
        "bce": BCE,
        "saturating": SATURATING,
        "mse": MSE,
        "least-squares": LEAST_SQUARES,
    }
    assert SATURATING.real is BCE.real and SATURATING.fake is BCE.fake
    assert BCE == (losses.bce_generator, losses.bce_real, losses.bce_fake)
    assert MSE == (losses.mse_generator, losses.mse_real, losses.mse_fake)


def test_probability_keeps_the_shape():
    logits = torch.randn(5, 1, generator=torch.Generator().manual_seed(0))
    assert losses.probability(logits).shape == (5, 1)
    torch.testing.assert_close(losses.probability(logits), 1 / (1 + (-logits).exp()))
