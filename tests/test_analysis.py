"""Measures, effects, intervals and readings, on results whose answers are known."""

import math
from copy import deepcopy
from itertools import product

import pytest
from scipy import stats

from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import analysis, improvements, paper
from ganlib.studies.analysis import Change, Estimate, Vote, effect, read, select
from ganlib.studies.measures import (
    COVERAGE,
    FALLEN,
    FRECHET,
    LEVEL,
    LOOKS,
    POINTS,
    RANGE,
    UNEVEN,
    WORST_DIGIT,
    by_the_clock,
    logged,
    loss_range,
    resemblance,
)

NONE = {"conditioning": "none", "loss": "bce", "bn_eps": 1e-5, "discriminator": "own"}
LABEL = NONE | {"conditioning": "label"}


def made_run(conditioning, loss, bn_eps, seed, discriminator="own", **measures) -> dict:
    """A run of the paper's cells with the same measures at all epochs."""
    plain = {"accuracy": None, "class_kl": 0.1, "classes": 10, "frechet": 8.0, "precision": 0.8}
    plain |= {"recall": 0.5, "density": 0.5, "coverage": 0.5}
    measured = plain | measures
    ends = {"g_loss": [0.5, 3.0], "d_loss": [0.25, 1.0]}
    return {
        "name": f"{conditioning}-{loss}-{bn_eps:g}-{seed}-{discriminator}",
        "conditioning": conditioning,
        "loss": loss,
        "bn_eps": bn_eps,
        "discriminator": discriminator,
        "seed": seed,
        "metrics": {epoch: dict(measured) for epoch in ("1", "5", "25")},
        "losses": {rule: deepcopy(ends) for rule in LOGGING_RULES},
        "epoch_means": {"g_loss": [1.0], "d_loss": [1.0]},
        "seconds": 100.0 if conditioning == "none" else 200.0,
    }


def made_results(n_seeds: int = 3, value=None) -> dict:
    """A full grid of BCE and MSE; ``value(conditioning, loss, bn_eps, seed)`` gives measures."""
    runs = [
        made_run(c, loss, eps, seed, **(value(c, loss, eps, seed) if value else {}))
        for c, loss, eps, seed in product(
            ("none", "label"), ("bce", "mse"), (1e-5, 0.8), range(n_seeds)
        )
    ]
    floor = {"coverage": 0.95, "recall": 0.94, "precision": 0.93, "frechet": 0.1, "classes": 10}
    floor |= {"class_kl": 0.0, "accuracy": 0.998}
    protocol = {"n_epochs": 25, "epochs": [5, 25], "n_images": 10_000, "dataset": "mnist"}
    made = {"protocol": protocol, "floor": floor, "floor_by_count": {}, "runs": runs}
    return made | paper.STUDY.frame()


def additive(c, loss, eps, seed) -> dict:
    """The label adds 0.2, MSE 0.05, eps 0.8 takes 0.1; seeds differ alike in every cell."""
    return {"coverage": 0.5 + 0.2 * (c == "label") + 0.05 * (loss == "mse") - 0.1 * (eps == 0.8)
            + 0.03 * seed}  # fmt: skip


# --- Estimates -----------------------------------------------------------------------------------


def test_an_interval_is_students():
    """0, 1, 2: mean 1, standard deviation 1; t with 2 degrees of freedom is 4.3027."""
    found = analysis.estimate([0, 1, 2])
    assert (found.mean, found.n) == (1, 3)
    assert found.high - 1 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert 1 - found.low == pytest.approx(found.high - 1)
    assert found.p == pytest.approx(stats.ttest_1samp([0, 1, 2], 0).pvalue)


@pytest.mark.parametrize("second", [[4.0, 5.0, 9.0], [4.0, 4.1], [1.0, 2.0, 30.0, 2.5]])
def test_a_difference_is_welchs(second):
    first = [0.5, 1.0, 2.5]
    found = analysis.difference([(first, second)])
    known = stats.ttest_ind(second, first, equal_var=False)
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()))
    assert found.n == min(len(first), len(second))
    assert analysis.difference([(first, second)] * 2).mean == pytest.approx(found.mean)
    assert analysis.difference([(second, first)]).mean == pytest.approx(-found.mean)


def test_one_run_has_no_interval_and_none_no_mean():
    one = analysis.estimate([0.4])
    assert (one.low, one.high, one.p) == (-math.inf, math.inf, 1)
    assert str(one) == "+0.40 (one seed)"
    assert str(analysis.estimate([])) == str(analysis.difference([([], [1.0])])) == "no run yet"


def test_a_ratio_is_a_geometric_mean():
    found = analysis.estimate([math.log(2), math.log(8)], ratio=True)
    assert found.mean == pytest.approx(4)
    assert found.low * found.high == pytest.approx(16)
    assert str(analysis.estimate([0.0, 0.0], ratio=True)) == "× 1.00 [1.00, 1.00]"


# --- Effects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "size"), [("conditioning", 0.2), ("loss", 0.05), ("bn_eps", -0.1)]
)
def test_additive_effects_are_found_and_seeds_are_not_paired(factor, size):
    found = paper.factor_effects(made_results(value=additive), factor, COVERAGE, 25)
    assert len(found) == 5 and all(one.mean == pytest.approx(size) for one in found.values())
    assert all(one.n == 3 and one.low < size < one.high for one in found.values())
    average, *simple = (one.high - one.low for one in found.values())
    assert average < min(simple)


def test_an_interaction_shows_in_the_settings_where_the_average_hides_it():
    results = made_results(
        value=lambda c, loss, eps, seed: {"coverage": 0.0 if (c, eps) == ("none", 0.8) else 0.6}
    )
    found = paper.factor_effects(results, "conditioning", COVERAGE, 25)
    assert found[paper.AVERAGE].mean == pytest.approx(0.3)
    assert found["bce · eps 1e-05"].mean == pytest.approx(0)
    assert found["mse · eps 0.8"].mean == pytest.approx(0.6)


def test_a_ratio_effect_is_a_factor():
    results = made_results(
        value=lambda c, loss, eps, seed: {"frechet": (2 if c == "label" else 8) * (1 + seed)}
    )
    found = effect(results, [Change(NONE, LABEL)], FRECHET, 25)
    assert found.mean == pytest.approx(0.25) and found.null == 1


def test_every_run_counts_whatever_its_seed():
    results = made_results(value=additive)
    results["runs"] = [r for r in results["runs"] if (r["loss"], r["seed"]) != ("mse", 2)]
    found = paper.factor_effects(results, "loss", COVERAGE, 25)
    assert found["label · eps 0.8"].n == 2  # of MSE
    assert found["label · eps 0.8"].mean == pytest.approx(0.05 - 0.015)
    turned = results | {"runs": results["runs"][::-1]}
    for factor in paper.FACTORS:
        expected = paper.factor_effects(results, factor, COVERAGE, 25)
        again = paper.factor_effects(turned, factor, COVERAGE, 25)
        assert [one.mean for one in again.values()] == pytest.approx(
            [one.mean for one in expected.values()]
        )


def test_a_swapped_discriminator_is_a_cell_of_its_own():
    results = made_results(value=additive)
    results["runs"].append(made_run("none", "bce", 1e-5, 0, "swapped", coverage=0.9))
    assert analysis.values(select(results, **NONE), COVERAGE, 25) == pytest.approx(
        [0.5, 0.53, 0.56]
    )
    (other,) = select(results, **NONE | {"discriminator": "swapped"})
    assert COVERAGE(other, 25) == 0.9


def test_least_squares_is_compared_by_itself():
    results = made_results(value=additive)
    before = paper.factor_effects(results, "conditioning", COVERAGE, 25)
    for label in ("none", "label"):
        results["runs"].append(made_run(label, "least-squares", 0.8, 0, coverage=0.9))
    after = paper.factor_effects(results, "conditioning", COVERAGE, 25)
    assert set(after) - set(before) == {"least-squares · eps 0.8"}
    assert after[paper.AVERAGE] == before[paper.AVERAGE]


def test_the_label_alone_is_compared_with_the_same_discriminator():
    results = made_results(value=additive)
    changes = paper.label_alone(results)
    assert len(changes) == 4
    alone = {name: effect(results, [one], COVERAGE, 25) for name, one in changes.items()}
    assert {str(one) for one in alone.values()} == {"no run yet"}
    results["runs"].append(made_run("none", "bce", 1e-5, 0, "swapped", coverage=0.6))
    results["runs"].append(made_run("label", "mse", 1e-5, 0, "swapped", coverage=0.1))
    with_cgans = effect(results, [changes["bce · eps 1e-05, both the CGAN's D"]], COVERAGE, 25)
    with_gans = effect(results, [changes["mse · eps 1e-05, both the GAN's D"]], COVERAGE, 25)
    assert with_cgans.mean == pytest.approx(0.73 - 0.6)  # label, bce, its own D: the same
    assert with_gans.mean == pytest.approx(0.1 - 0.58)  # none, mse, its own D: the same


def test_an_effect_knows_how_many_runs_collapsed():
    def value(c, loss, eps, seed):
        return {"classes": 9 if (c, seed) == ("none", 1) else 10, "coverage": 0.2 + 0.1 * seed}

    found = effect(made_results(value=value), [Change(NONE, LABEL)], COVERAGE, 25)
    assert found.collapsed == ((2, 1), (1, 2))  # seed 0 covers less than a quarter of 0.95


def test_a_better_measure_is_taken_where_every_run_has_it():
    results = made_results(value=lambda c, loss, eps, seed: {"frechet": 8.0 + seed})
    for run in results["runs"]:
        if run["loss"] == "bce":
            run["metrics"]["25"]["frechet_at_shares"] = (
                2.0 if run["conditioning"] == "none" else 1.0
            )
    del select(results, **LABEL | {"bn_eps": 0.8})[1]["metrics"]["25"]["frechet_at_shares"]
    found = paper.factor_effects(results, "conditioning", LOOKS, 25)
    assert found["bce · eps 1e-05"].mean == pytest.approx(0.5)
    assert found["bce · eps 1e-05"].by != LOOKS.title == found["bce · eps 0.8"].by
    assert found["bce · eps 0.8"].mean == pytest.approx(1)


def test_the_averages_effect_is_within_the_same_runs():
    results = {"protocol": {"n_epochs": 20}, "runs": []}
    for seed in range(3):
        own, before = {"frechet": 4.0 * 9**seed}, {"frechet": 8.0 * 9**seed}
        run = {"model": "cgan", "metrics": {"20": own}, "latest": before}
        results["runs"].append(run)
    found = analysis.average_effect(results, FRECHET, model="cgan")
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert str(analysis.average_effect(results, FRECHET, model="gan")) == "no run yet"


# --- Readings, where nothing has to be corrected -------------------------------------------------


def vote(mean, low, high, p=0.04, measure=COVERAGE, toward=+1, **more) -> Vote:
    return Vote(
        "here", Estimate(mean, low, high, 3, p, float(measure.ratio), **more), measure, toward
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.1, 0.3, 0.01, "for"),
        (-0.3, -0.1, 0.01, "against"),
        (-0.01, 0.04, 0.2, "no difference"),
        (0.01, 0.04, 0.001, "no difference"),  # surely there, and too small to name
        (0.01, 0.08, 0.02, "unclear"),  # its mean is too small to name, and might not be
        (-0.1, 0.3, 0.4, "unclear"),
    ],
)
def test_a_reading_by_itself(low, high, p, expected):
    assert read([vote((low + high) / 2, low, high, p)]) == [expected]
    opposite = {"for": "against", "against": "for"}.get(expected, expected)
    assert read([vote((low + high) / 2, low, high, p, toward=-1)]) == [opposite]
    assert read([vote(-(low + high) / 2, -high, -low, p, toward=-1)]) == [expected]


def test_a_factor_below_one_is_for_a_claim_of_less():
    assert read([vote(0.5, 0.3, 0.8, measure=FRECHET, toward=-1)]) == ["for"]
    assert read([vote(2.0, 1.2, 3.0, measure=FRECHET, toward=-1)]) == ["against"]
    assert read([vote(1.0, 0.95, 1.05, 0.9, measure=FRECHET, toward=-1)]) == ["no difference"]
    assert read([vote(0.95, 0.91, 0.99, measure=FRECHET, toward=-1)]) == ["no difference"]
    assert read([vote(0.0, 0.0, math.inf, 1, measure=FRECHET)]) == ["unclear"]


def test_one_run_is_never_clear():
    assert read([Vote("here", analysis.estimate([0.9]), COVERAGE, +1)]) == ["unclear"]


# --- Measures ------------------------------------------------------------------------------------


def test_a_range_is_of_both_losses_together():
    run = made_run("none", "bce", 1e-5, 0)
    assert loss_range(run["losses"]) == (0.25, 3.0)
    assert RANGE(run, 25) == pytest.approx(2.75)
    run["losses"]["every 400"]["g_loss"] = [0.5, 1.25]
    assert logged(RANGE, "every 400")(run, 25) == pytest.approx(1.0)
    assert logged(RANGE, "every 400")(run | {"losses": None}, 25) is None  # a replicate


def test_resemblance_is_the_worse_ends_factor():
    assert resemblance((1, 4), (1, 4)) == pytest.approx(1)
    assert resemblance((1, 4), (2, 12)) == pytest.approx(3)
    assert resemblance((4, 4), (1, 4)) == pytest.approx(4)


def test_what_fell_back_is_added_up_and_what_rose_is_not():
    run = made_run("none", "bce", 1e-5, 0)
    assert FALLEN(run, 25) == 0
    for epoch, coverage, precision in ((1, 0.2, 0.4), (5, 0.1, 0.7), (25, 0.6, 0.5)):
        run["metrics"][str(epoch)] = {"coverage": coverage, "precision": precision}
    assert FALLEN(run, 25) == pytest.approx(0.1 + 0.2)
    assert FALLEN(run, 5) == pytest.approx(0.1)
    assert FALLEN(run | {"replicate": True}, 25) is None  # measured at other epochs


def test_gs_loss_is_held_beside_ds():
    run = made_run("none", "bce", 1e-5, 0)  # 0.5 to 3, and 0.25 to 1
    assert UNEVEN(run, 25) == pytest.approx(2.5 / 0.75)
    run["epoch_means"] = {"g_loss": [1.0, 3.0, 50.0], "d_loss": [0.5, 0.5, 0.5]}
    assert LEVEL(run, 2) == pytest.approx(4)


def test_the_worst_digit_is_the_one_least_often_drawn_as_asked():
    asked = [[100 if row == column else 0 for column in range(10)] for row in range(10)]
    asked[7] = [0, 30, 0, 0, 0, 0, 0, 70, 0, 0]
    assert WORST_DIGIT({"metrics": {"20": {"confusion": asked}}}, 20) == 0.7
    assert WORST_DIGIT({"metrics": {"20": {"confusion": None}}}, 20) is None
    assert POINTS({"metrics": {"20": {"accuracy": 0.87}}}, 20) == pytest.approx(87)


def test_time_is_counted_from_the_quicker_ones_epochs():
    """A labelled run takes twice as long an epoch: at the GAN's epoch 10 it is at its fifth."""
    results = made_results(1)
    for run in results["runs"]:
        run["metrics"] = {"5": {"coverage": 0.1, "frechet": 16.0, "classes": 10},
                          "25": {"coverage": 0.5, "frechet": 4.0, "classes": 10}}  # fmt: skip
    assert analysis.seconds_by_kind(results) == {"GAN": 100, "CGAN": 200}
    more = [run | {"seconds": 7.0, "timed": False} for run in results["runs"]]  # at another time
    together = results | {"runs": [*results["runs"], *more]}
    assert analysis.seconds_by_kind(together) == {"GAN": 100, "CGAN": 200}
    change = [Change(NONE, LABEL)]
    found = effect(results, change, by_the_clock(COVERAGE), 10)
    assert found.mean == pytest.approx(0.1 - 0.2)
    assert effect(results, change, by_the_clock(FRECHET), 10).mean == pytest.approx(
        16 / (16 * 0.25 ** (5 / 20))
    )
    assert effect(results, change, COVERAGE, 5).mean == 0


def test_parameters_are_those_of_the_networks():
    from conftest import networks_of

    from ganlib.families import n_parameters

    found = improvements.parameters("cbn-dcgan")
    assert found == tuple(map(n_parameters, networks_of("cbn-dcgan")))
