"""Points on a plane: mixtures and what is found of them, the networks, many networks as one."""

import pytest
import torch

from ganlib.judge.mixtures import by_chance, draw, grid, modes_and_near, points_by_mode, ring
from ganlib.models.points import Maxout, PointDiscriminator, PointGenerator


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- The data, and what is found of it -----------------------------------------------------------


def test_the_ring_and_the_grid_are_those_of_the_papers():
    assert ring().centres.norm(dim=1).allclose(torch.ones(8)) and ring().sigma == 0.01
    sides = sorted({round(x, 5) for x in grid().centres.flatten().tolist()})
    assert sides == [-4, -2, 0, 2, 4] and len(grid().centres) == 25 and grid().sigma == 0.05


@pytest.mark.parametrize("mixture", [ring(), grid()], ids=lambda mixture: mixture.title)
def test_drawn_points_come_from_every_mode_with_its_spread(mixture):
    points, modes = draw(mixture, 20_000, seeded())
    counts = torch.bincount(modes, minlength=len(mixture.centres)) / len(modes)
    assert counts.allclose(torch.full_like(counts, 1 / len(counts)), atol=0.01)
    spread = (points - mixture.centres[modes]).std(dim=0) / mixture.sigma
    assert spread.allclose(torch.ones(2), atol=0.03)
    assert points.dtype == torch.float32


def test_real_points_have_all_modes_and_nearly_all_are_near():
    """Within three sigma lie 1 - exp(-9/2) of a round normal cloud on a plane: 98.9 %."""
    modes, near = modes_and_near(draw(ring(), 50_000, seeded())[0], ring())
    assert modes == 8 and near == pytest.approx(0.98889, abs=0.002)


def test_modes_are_counted_as_by_hand():
    """One point at a mode is enough; just outside three sigma is none; nobody counts twice."""
    a, b = ring().centres[0], ring().centres[3]
    step = torch.tensor([0.01, 0.0])
    points = torch.stack([a, a + 2.9 * step, a + 3.1 * step, b, torch.zeros(2)])
    assert points_by_mode(points, ring()).tolist() == [2, 0, 0, 1, 0, 0, 0, 0]
    modes, near = modes_and_near(points, ring())
    assert (modes, near) == (2, pytest.approx(3 / 5))


def test_many_sets_of_points_are_measured_each_by_itself():
    sets = torch.stack([draw(grid(), 100, seeded(seed))[0] for seed in range(3)])
    together = modes_and_near(sets, grid())
    alone = [modes_and_near(each, grid()) for each in sets]
    assert together[0].tolist() == [modes for modes, _ in alone]
    assert together[1].tolist() == [near for _, near in alone]


@pytest.mark.parametrize("mixture", [ring(), grid()], ids=lambda mixture: mixture.title)
def test_chance_is_what_points_anywhere_find(mixture):
    anywhere = (torch.rand(400, 2500, 2, generator=seeded()) * 2 - 1) * mixture.span
    modes, near = modes_and_near(anywhere, mixture)
    expected = by_chance(mixture, 2500)
    assert modes.mean().item() == pytest.approx(expected[0], abs=0.25)
    assert near.mean().item() == pytest.approx(expected[1], rel=0.05)


# --- The networks --------------------------------------------------------------------------------


def test_maxout_takes_the_greatest_piece():
    found = Maxout(2)(torch.tensor([[1.0, 5.0, 3.0, 4.0]]))  # units (1, 3) and (5, 4)
    assert found.tolist() == [[3.0, 5.0]]


@pytest.mark.parametrize("start", [None, 0.02])
def test_first_weights(start):
    torch.manual_seed(0)
    weight = PointGenerator(2, (400, 400), start=start).layers[2].weight
    wanted = 0.02 if start else (2 / 800) ** 0.5
    assert weight.std().item() == pytest.approx(wanted, rel=0.02)
    assert PointGenerator(2, (400,), start=start).layers[0].bias.eq(0).all()


@pytest.mark.parametrize("pack", [1, 2, 4])
def test_a_pack_is_judged_as_one_and_packs_never_mix(pack):
    torch.manual_seed(0)
    judge = PointDiscriminator((16,), pack)
    points = torch.randn(8, 2)
    scores = judge(points).detach()
    assert scores.shape == (8, 1)
    assert torch.equal(scores.view(-1, pack), scores.view(-1, pack)[:, :1].expand(-1, pack))
    points[0] += 1
    changed = judge(points).detach() != scores
    assert changed[:pack].all() and not changed[pack:].any()


def test_a_label_changes_what_is_made_and_how_it_is_judged():
    torch.manual_seed(0)
    maker, judge = PointGenerator(2, (16,), n_modes=8), PointDiscriminator((16,), n_modes=8)
    z, one, other = torch.randn(4, 2), torch.zeros(4).long(), torch.full((4,), 5)
    assert not maker(z, one).allclose(maker(z, other))
    assert not judge(z, one).allclose(judge(z, other))
