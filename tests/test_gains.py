"""Effects of chapter 5's changes, on results whose answers are known."""

import math

import pytest
from conftest import networks_of

from ganlib.families import n_parameters
from ganlib.figures import comparisons
from ganlib.studies import gains
from ganlib.studies.analysis import COVERAGE, FRECHET
from ganlib.studies.gains import WORST_DIGIT
from ganlib.studies.improvements import MODELS, VARIANTS


def measured(**measures) -> dict:
    asked = [[100 if row == column else 0 for column in range(10)] for row in range(10)]
    plain = {"accuracy": 1.0, "frechet": 1.0, "coverage": 0.5, "recall": 0.5, "precision": 0.8}
    plain |= {"specks": 0.5, "memorised_features": 0.001}
    return plain | {"confusion": asked} | measures


def made_improvements(n_seeds: int = 3, value=None, latest=None) -> dict:
    """All models; ``value(layers, label, seed)`` gives measures, the same at every epoch."""
    runs = []
    others = {("convolutional", f"as in {model}"): model for model in VARIANTS}
    for (layers, label), model in (MODELS | others).items():
        for seed in range(n_seeds):
            found = measured(**(value(layers, label, seed) if value else {}))
            run = {"name": f"{model}-seed{seed}", "model": model, "seed": seed, "seconds": 40.0}
            run |= {"metrics": {"5": found, "20": found}, "latest": found | (latest or {})}
            runs.append(run | {"epoch_means": {"g_loss": [1.0] * 20, "d_loss": [1.0] * 20}})
    protocol = {"n_epochs": 20, "epochs": [5, 20], "n_images": 10_000, "dataset": "mnist"}
    floor = measured(frechet=0.1, coverage=0.95)
    return {"protocol": protocol, "floor": floor, "floor_by_count": {}, "runs": runs}


def additive(layers, label, seed) -> dict:
    """CBN halves the distance, convolution takes it to a tenth; a seed shifts all its runs."""
    factor = (0.5 if label == "CBN" else 1) * (0.1 if layers == "convolutional" else 1)
    return {"frechet": 4.0 * factor * (1 + 0.3 * seed), "coverage": 0.3 + 0.1 * seed}


def test_effects_are_found_whatever_the_seeds_share():
    results = made_improvements(value=additive)
    for found in gains.label_effects(results, FRECHET, 20).values():
        assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
        assert found.n == 3
    for found in gains.layer_effects(results, FRECHET, 20).values():
        assert found.mean == pytest.approx(0.1)
    assert gains.changes(results, FRECHET)["both"].mean == pytest.approx(0.05)
    assert gains.changes(results, COVERAGE)["both"].mean == pytest.approx(0)
    assert gains.changes(results, FRECHET)["projection (cbn-dcgan)"].mean == pytest.approx(2)


def test_a_seed_counts_only_if_both_models_have_it():
    results = made_improvements(value=additive)
    results["runs"] = [run for run in results["runs"] if run["name"] != "cgan-seed1"]
    assert gains.label_effects(results, FRECHET, 20)["fully connected"].n == 2
    assert gains.label_effects(results, FRECHET, 20)["convolutional"].n == 3


def test_the_averages_effect_is_within_the_same_runs():
    results = made_improvements(value=additive, latest={"frechet": 8.0, "coverage": 0.25})
    found = gains.average_effect(results, "cgan", FRECHET)
    product = math.prod(4.0 * (1 + 0.3 * seed) / 8.0 for seed in range(3))
    assert found.mean == pytest.approx(product ** (1 / 3))
    assert gains.average_effect(results, "cgan", COVERAGE).mean == pytest.approx(0.15)
    assert gains.averages(results, COVERAGE).keys() == {*MODELS.values(), *VARIANTS}


def test_shares_are_compared_in_points():
    results = made_improvements(value=lambda layers, label, seed: {"accuracy": 0.9})
    for run in results["runs"]:
        run["latest"]["accuracy"] = 0.87
    assert gains.averages(results, gains.POINTS)["cgan"].mean == pytest.approx(3)


def test_the_worst_digit_is_the_one_least_often_drawn_as_asked():
    found = measured()
    found["confusion"][7] = [0, 30, 0, 0, 0, 0, 0, 70, 0, 0]
    assert WORST_DIGIT({"metrics": {"20": found}}, 20) == 0.7
    assert WORST_DIGIT({"metrics": {"20": {"confusion": None}}}, 20) is None


def test_tables_and_figures_take_results_with_gaps():
    results = made_improvements(value=additive)
    results["runs"] = [run for run in results["runs"] if run["model"] in ("cgan", "cbn-dcgan")][:4]
    rows = {row[0]: row for row in comparisons.cells_table(results).rows}
    assert rows["cgan"][1:3] == ("3", "5.20 ± 1.20") and rows["c-dcgan"][1] == "0"
    assert rows["cbn-dcgan"][1:3] == ("1", "0.20")
    assert gains.parameters("cbn-dcgan") == tuple(map(n_parameters, networks_of("cbn-dcgan")))
    assert "no run yet" in rows_of(comparisons.effects_table(results))
    comparisons.courses(results)
    for measure in (FRECHET, COVERAGE):
        assert str(gains.changes(results, measure)["both"]) in rows_of(
            comparisons.effects_table(results)
        )


def rows_of(table) -> list[str]:
    return [cell for row in table.rows for cell in row]
