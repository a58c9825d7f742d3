"""Unrolling: G's gradient through D's steps ahead, and a D that is put back."""

import copy

import pytest
import torch

from ganlib.judge.mixtures import draw, ring
from ganlib.losses import LOSSES
from ganlib.models.points import PointDiscriminator, PointGenerator
from ganlib.steps import Batch, discriminator_step, generator_step
from ganlib.studies.modes import Protocol, training
from ganlib.studies.unrolled import look_ahead, unrolled_step
from ganlib.training import Adam

N, LOSS = 12, LOSSES["bce"]


class Game:
    """Tiny players in double precision, D some steps old, so that its Adam has moments."""

    def __init__(self, n_modes: int = 0):
        torch.manual_seed(0)
        self.generator = PointGenerator(2, (5,), n_modes).double()
        self.discriminator = PointDiscriminator((6,), n_modes=n_modes).double()
        self.g_optimizer = torch.optim.SGD(self.generator.parameters(), lr=0.1)
        self.d_optimizer = Adam(self.discriminator.parameters(), 0.05, (0.5, 0.9))
        rng = torch.Generator().manual_seed(1)
        points, modes = draw(ring(), N, rng)
        self.real, self.z = Batch(points.double(), modes), torch.randn(N, 2, generator=rng).double()
        self.known, self.wanted = ((modes,), (modes.roll(1),)) if n_modes else ((), ())
        for _ in range(3):
            self.d_steps(1)

    def d_steps(self, n: int) -> None:
        """The book's own, all against the same images."""
        fake = self.generator(self.z, *self.wanted).detach()
        sides = self.real.images, fake, self.known, self.wanted
        for _ in range(n):
            discriminator_step(self.discriminator, self.d_optimizer, LOSS, *sides)

    def unrolled(self, steps: int):
        return unrolled_step(
            self.generator, self.discriminator, self.g_optimizer, LOSS, self.z, self.wanted,
            real=self.real, d_optimizer=self.d_optimizer, steps=steps,
        )  # fmt: skip

    def loss_after(self, steps: int) -> float:
        """G's loss once a copy of D has really made so many steps."""
        judge = copy.deepcopy(self)
        judge.d_optimizer = Adam(judge.discriminator.parameters(), 0.05, (0.5, 0.9))
        judge.d_optimizer.load_state_dict(copy.deepcopy(self.d_optimizer.state_dict()))
        judge.d_steps(steps)
        fake = judge.generator(self.z, *self.wanted)
        return LOSS.generator(judge.discriminator(fake, *self.wanted)).item()


def copied(weights) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in weights]


told_or_not = pytest.mark.parametrize("n_modes", [0, 8], ids=["no label", "label"])


@told_or_not
@pytest.mark.parametrize("steps", [1, 5])
def test_the_gradient_equals_finite_differences(steps, n_modes):
    """Of the loss against a D that the book's own step and Adam have moved."""
    game, small, slopes = Game(n_modes), 1e-6, []
    for weight in game.generator.parameters():
        flat = weight.data.view(-1)
        for place in range(len(flat)):
            kept, sides = flat[place].item(), []
            for aside in (small, -small):
                flat[place] = kept + aside
                sides.append(game.loss_after(steps))
            flat[place] = kept
            slopes.append((sides[0] - sides[1]) / (2 * small))
    loss = game.loss_after(steps)
    assert game.unrolled(steps)[1].item() == pytest.approx(loss, abs=1e-12)
    found = torch.cat([weight.grad.view(-1) for weight in game.generator.parameters()])
    torch.testing.assert_close(found, torch.tensor(slopes).double(), rtol=1e-4, atol=1e-7)

    plain = Game(n_modes)
    plain.unrolled(0)
    apart = torch.cat([weight.grad.view(-1) for weight in plain.generator.parameters()])
    assert (found - apart).abs().max() > 100 * 1e-4 * apart.abs().max()  # it is another gradient


@told_or_not
def test_no_step_ahead_is_the_ordinary_step_bit_for_bit(n_modes):
    ordinary, unrolled = Game(n_modes), Game(n_modes)
    fake, loss = generator_step(
        ordinary.generator, ordinary.discriminator, ordinary.g_optimizer, LOSS,
        ordinary.z, ordinary.wanted,
    )  # fmt: skip
    found = unrolled.unrolled(0)
    assert torch.equal(found[0], fake) and torch.equal(found[1], loss)
    pairs = zip(ordinary.generator.parameters(), unrolled.generator.parameters())
    assert all(torch.equal(*pair) for pair in pairs)


def test_d_and_its_optimiser_are_where_they_were():
    game = Game()
    state = copy.deepcopy(game.d_optimizer.state_dict())
    weights, ours = copied(game.discriminator.parameters()), copied(game.generator.parameters())
    gradients = copied(weight.grad for weight in game.discriminator.parameters())
    game.unrolled(5)
    assert all(map(torch.equal, weights, game.discriminator.parameters()))
    now = (weight.grad for weight in game.discriminator.parameters())
    assert all(map(torch.equal, gradients, now))
    for one, other in zip(state["state"].values(), game.d_optimizer.state_dict()["state"].values()):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not any(map(torch.equal, ours, game.generator.parameters()))


def test_a_d_that_never_stepped_looks_ahead_to_its_first_step():
    """Its Adam has no moments yet; and units that no point reaches have a slope of exactly 0."""
    game = Game()
    game.d_optimizer = Adam(game.discriminator.parameters(), 0.05, (0.5, 0.9))
    with torch.no_grad():
        game.discriminator.layers[0].bias[0] = -1e6
    fake = game.generator(game.z)
    ahead = look_ahead(game.discriminator, game.d_optimizer, LOSS, game.real, fake, (), steps=1)
    game.unrolled(1)
    assert all(weight.isfinite().all() for weight in game.generator.parameters())
    game = copy.deepcopy(game)
    discriminator_step(
        game.discriminator, Adam(game.discriminator.parameters(), 0.05, (0.5, 0.9)), LOSS,
        game.real.images, fake.detach(),
    )  # fmt: skip
    for name, weight in game.discriminator.named_parameters():
        torch.testing.assert_close(ahead[name].detach(), weight.detach(), rtol=0, atol=1e-10)


def test_in_the_whole_step_d_still_makes_one_ordinary_step():
    """Two trainings of one iteration: unrolling moves G elsewhere, and D to the same place."""
    tiny = {"latent_dim": 3, "g_widths": (8,), "d_widths": (8,), "batch_size": 20, "iterations": 1}
    (_, plain), (_, unrolled) = (
        list(training(Protocol(**tiny, unroll=steps), (0, 1)))[-1] for steps in (0, 5)
    )
    for name, same in (("discriminator", True), ("generator", False)):
        sides = (players.networks[name].parameters() for players in (plain, unrolled))
        assert {torch.equal(*pair) for pair in zip(*sides)} == {same}
