"""Effects, intervals and readings, on results whose answers are known."""

import json
import math
from copy import deepcopy

import pytest

from ganlib.runs.history import LOGGING_RULES
from ganlib.runs.store import RunError
from ganlib.studies import analysis, experiment
from ganlib.studies.analysis import COVERAGE, FALLEN, FRECHET, LEVEL, RANGE, UNEVEN, Estimate

RULES = LOGGING_RULES


def made_run(conditioning, loss, bn_eps, seed, discriminator="own", **measures) -> dict:
    """A run of the experiment with the same measures at both epochs."""
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
        "metrics": {"5": dict(measured), "25": dict(measured)},
        "losses": {rule: deepcopy(ends) for rule in RULES},
        "epoch_means": {"g_loss": [1.0], "d_loss": [1.0]},
        "seconds": 100.0 if conditioning == "none" else 200.0,
    }


def made_results(n_seeds: int = 3, value=None) -> dict:
    """A full grid of BCE and MSE; ``value(conditioning, loss, bn_eps, seed)`` gives measures."""
    runs = [
        made_run(c, loss, eps, seed, **(value(c, loss, eps, seed) if value else {}))
        for c in ("none", "label")
        for loss in ("bce", "mse")
        for eps in (1e-5, 0.8)
        for seed in range(n_seeds)
    ]
    floor = {"coverage": 0.95, "recall": 0.94, "precision": 0.93, "frechet": 0.1, "classes": 10}
    floor |= {"class_kl": 0.0, "accuracy": 0.998}
    protocol = {"n_epochs": 25, "epochs": [5, 25], "n_images": 10_000, "dataset": "mnist"}
    return {"protocol": protocol, "floor": floor, "floor_by_count": {}, "runs": runs}


def additive(c, loss, eps, seed) -> dict:
    """The label adds 0.2, MSE 0.05, eps 0.8 takes 0.1; a seed adds the same to all its runs."""
    return {"coverage": 0.5 + 0.2 * (c == "label") + 0.05 * (loss == "mse") - 0.1 * (eps == 0.8)
            + 0.03 * seed}  # fmt: skip


# --- Estimates -----------------------------------------------------------------------------------


def test_an_interval_is_students():
    """0, 1, 2: mean 1, standard deviation 1; t with 2 degrees of freedom is 4.3027."""
    found = analysis.estimate([0, 1, 2])
    assert (found.mean, found.n) == (1, 3)
    assert found.high - 1 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-5)
    assert 1 - found.low == pytest.approx(found.high - 1)


def test_one_seed_has_no_interval_and_none_no_mean():
    one = analysis.estimate([0.4])
    assert (one.low, one.high) == (-math.inf, math.inf)
    assert str(one) == "+0.40 (one seed)"
    assert str(analysis.estimate([])) == "no run yet"


def test_a_ratio_is_a_geometric_mean():
    found = analysis.estimate([math.log(2), math.log(8)], ratio=True)
    assert found.mean == pytest.approx(4)
    assert found.low * found.high == pytest.approx(16)
    assert str(analysis.estimate([0.0, 0.0], ratio=True)) == "× 1.00 [1.00, 1.00]"


# --- Effects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "size"), [("conditioning", 0.2), ("loss", 0.05), ("bn_eps", -0.1)]
)
def test_additive_effects_are_found_exactly_and_the_seeds_share_cancels(factor, size):
    results = made_results(value=additive)
    main = analysis.effect(results, factor, COVERAGE, 25)
    assert main.n == 3
    for end in (main.mean, main.low, main.high):
        assert end == pytest.approx(size)
    simple = analysis.simple_effects(results, factor, COVERAGE, 25)
    assert len(simple) == 4
    assert all(found.mean == pytest.approx(size) for found in simple.values())


def test_an_interaction_shows_in_the_settings_where_the_average_hides_it():
    results = made_results(
        value=lambda c, loss, eps, seed: {"coverage": 0.0 if (c, eps) == ("none", 0.8) else 0.6}
    )
    assert analysis.effect(results, "conditioning", COVERAGE, 25).mean == pytest.approx(0.3)
    simple = analysis.simple_effects(results, "conditioning", COVERAGE, 25)
    assert simple["bce · eps 1e-05"].mean == pytest.approx(0)
    assert simple["mse · eps 0.8"].mean == pytest.approx(0.6)


def test_a_ratio_effect_is_a_factor():
    results = made_results(
        value=lambda c, loss, eps, seed: {"frechet": (2 if c == "label" else 8) * (1 + seed)}
    )
    found = analysis.effect(results, "conditioning", FRECHET, 25)
    assert found.mean == pytest.approx(0.25) and found.null == 1


def test_only_seeds_that_have_every_setting_count():
    results = made_results(value=additive)
    results["runs"] = [r for r in results["runs"] if (r["loss"], r["seed"]) != ("mse", 2)]
    assert analysis.effect(results, "conditioning", COVERAGE, 25).n == 2
    assert analysis.effect(results, "conditioning", COVERAGE, 25, loss="bce").n == 3
    assert analysis.simple_effects(results, "loss", COVERAGE, 25)["label · eps 0.8"].n == 2


def test_the_order_of_the_runs_does_not_matter():
    results = made_results(value=additive)
    turned = results | {"runs": results["runs"][::-1]}
    for factor in analysis.FACTORS:
        expected = analysis.effect(results, factor, COVERAGE, 25)
        assert analysis.effect(turned, factor, COVERAGE, 25) == expected


def test_a_swapped_discriminator_is_a_cell_of_its_own():
    results = made_results(value=additive)
    results["runs"].append(made_run("none", "bce", 1e-5, 0, "swapped", coverage=0.9))
    cell = {"conditioning": "none", "loss": "bce", "bn_eps": 1e-5}
    assert analysis.by_seed(results, COVERAGE, 25, **cell)[0] == pytest.approx(0.5)
    assert analysis.by_seed(results, COVERAGE, 25, **cell, discriminator="swapped") == {0: 0.9}
    assert len(analysis.cells(results)) == 9


def test_least_squares_is_compared_by_itself():
    results = made_results(value=additive)
    results["runs"].append(made_run("none", "least-squares", 0.8, 0, coverage=0.9))
    found = analysis.simple_effects(results, "loss", COVERAGE, 25, levels=("bce", "least-squares"))
    assert list(found) == ["no label · eps 0.8"]
    assert found["no label · eps 0.8"].mean == pytest.approx(0.5)
    assert analysis.effect(results, "conditioning", COVERAGE, 25).n == 3  # not in the average


def test_the_label_alone_is_compared_with_the_same_discriminator():
    results = made_results(value=additive)
    assert analysis.label_alone(results, COVERAGE, 25) == {}
    results["runs"].append(made_run("none", "bce", 1e-5, 0, "swapped", coverage=0.6))
    results["runs"].append(made_run("label", "mse", 1e-5, 0, "swapped", coverage=0.1))
    with_cgans, with_gans = analysis.label_alone(results, COVERAGE, 25).values()
    assert with_cgans.mean == pytest.approx(0.7 - 0.6)  # label, bce, its own D: the same
    assert with_gans.mean == pytest.approx(0.1 - 0.55)  # none, mse, its own D: the same


# --- Readings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 0.3, "for"),
        (-0.3, -0.1, "against"),
        (-0.01, 0.04, "no difference"),
        (0.01, 0.04, "no difference"),  # surely there, and too small to name
        (-0.1, 0.3, "unclear"),
    ],
)
def test_readings(low, high, expected):
    found = Estimate((low + high) / 2, low, high, 3)
    assert analysis.reading(found, COVERAGE, +1) == expected
    opposite = {"for": "against", "against": "for"}.get(expected, expected)
    assert analysis.reading(found, COVERAGE, -1) == opposite


def test_a_factor_below_one_is_for_a_claim_of_less():
    found = Estimate(0.5, 0.3, 0.8, 3, null=1.0)
    assert analysis.reading(found, FRECHET, -1) == "for"
    assert analysis.reading(Estimate(1, 0.95, 1.05, 3, 1.0), FRECHET, -1) == "no difference"


def test_one_seed_is_never_clear():
    assert analysis.reading(analysis.estimate([0.9]), COVERAGE, +1) == "unclear"


# --- Ranges --------------------------------------------------------------------------------------


def test_a_range_is_of_both_losses_together():
    run = made_run("none", "bce", 1e-5, 0)
    assert analysis.loss_range(run["losses"]) == (0.25, 3.0)
    assert RANGE(run, 25) == pytest.approx(2.75)


def test_resemblance_is_the_worse_ends_factor():
    assert analysis.resemblance((1, 4), (1, 4)) == pytest.approx(1)
    assert analysis.resemblance((1, 4), (2, 12)) == pytest.approx(3)
    assert analysis.resemblance((4, 4), (1, 4)) == pytest.approx(4)


def test_what_fell_back_is_added_up_and_what_rose_is_not():
    run = made_run("none", "bce", 1e-5, 0)
    assert FALLEN(run, 25) == 0
    for epoch, coverage, precision in ((1, 0.2, 0.4), (5, 0.1, 0.7), (25, 0.6, 0.5)):
        run["metrics"][str(epoch)] = {"coverage": coverage, "precision": precision}
    assert FALLEN(run, 25) == pytest.approx(0.1 + 0.2)
    assert FALLEN(run, 5) == pytest.approx(0.1)


def test_gs_loss_is_held_beside_ds():
    run = made_run("none", "bce", 1e-5, 0)  # 0.5 to 3, and 0.25 to 1
    assert UNEVEN(run, 25) == pytest.approx(2.5 / 0.75)
    run["epoch_means"] = {"g_loss": [1.0, 3.0], "d_loss": [0.5, 0.5]}
    assert LEVEL(run, 25) == pytest.approx(4)


# --- Reading the file ----------------------------------------------------------------------------


def write(results: dict, folder):
    path = folder / "experiment.json"
    path.write_text(json.dumps(results))
    return path


def test_a_written_file_is_read_as_it_is(tmp_path):
    """But for the judge's name, which the first files leave out."""
    results = made_results(n_seeds=1)
    found = analysis.load(write(results, tmp_path))
    judge = found["protocol"].pop("classifier")
    assert found == results and judge == experiment.FIRST_JUDGE


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(RunError, match="python -m ganlib experiment"):
        analysis.load(tmp_path / "nothing.json")


def test_files_of_another_shape_are_refused(tmp_path):
    for spoil, message in (
        (lambda run: run.pop("loss"), "has no loss"),
        (lambda run: run["metrics"].pop("25"), "was not measured at epoch 25"),
    ):
        results = made_results(n_seeds=1)
        spoil(results["runs"][0])
        with pytest.raises(RunError, match=message):
            analysis.load(write(results, tmp_path))


def test_a_protocol_without_epochs_is_refused(tmp_path):
    results = made_results(n_seeds=1)
    del results["protocol"]["epochs"]
    with pytest.raises(RunError, match="protocol has no epochs"):
        analysis.load(write(results, tmp_path))


def test_what_ships_can_be_read_and_names_no_run_twice():
    results = analysis.load()
    names = [run["name"] for run in results["runs"]]
    assert names and len(set(names)) == len(names)
