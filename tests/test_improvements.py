"""The experiment of chapter 5: its cells, a small one made, and what ships."""

from dataclasses import replace

import pytest

from ganlib import data
from ganlib.configuration import TrainingConfig
from ganlib.families import family
from ganlib.judge import metrics
from ganlib.runs import store
from ganlib.studies import experiment, improvements
from ganlib.studies.improvements import Arm, arms


def test_the_cells_cross_layers_and_the_labels_way_in():
    grid = arms(3)
    assert len(grid) == len({arm.name for arm in grid}) == 3 * 7
    assert [arm.seed for arm in grid] == sorted(arm.seed for arm in grid)
    assert set(arms(3)) < set(arms(4))
    assert all(family(arm.model).conditional for arm in grid)


def test_cells_differ_in_model_and_seed_alone():
    for arm in arms(2):
        changes = {"model": arm.model, "seed": arm.seed, "n_epochs": 10, "ema": 0.999}
        assert arm.config() == replace(TrainingConfig(loss="bce"), **changes)


@pytest.mark.parametrize("n_seeds", [0, -1])
def test_no_seeds_are_refused(n_seeds):
    with pytest.raises(ValueError, match="at least 1"):
        arms(n_seeds)


def test_a_cell_is_measured_with_and_without_the_average(small_experiment, judge, tmp_path):
    pair = [data.load("digits", split, 8, size=200) for split in data.SPLITS]
    arm, against = Arm("cbn-cgan", 1), metrics.reference(*pair, judge)
    found = experiment.run_cell(arm, tmp_path, against, "cpu")
    assert {key: found[key] for key in vars(arm)} == vars(arm)
    run = store.read_run(tmp_path / arm.name)
    for kept, generator in (
        (found["metrics"]["2"], run.generator()),
        (found["latest"], run.latest_generator()),
    ):
        measured = experiment.measure_generator(generator, run, against)
        assert kept["frechet"] == measured["frechet"]
    assert found["latest"]["frechet"] != found["metrics"]["2"]["frechet"]


def test_the_shipped_results_are_of_these_cells_and_each_has_its_sheet():
    results = experiment.read_results(improvements.RESULTS)
    assert results["protocol"] == experiment.protocol(improvements.EPOCHS)
    by_name = {arm.name: arm for arm in arms(99)}
    assert results["runs"]
    for one in results["runs"]:
        arm = by_name[one["name"]]
        assert {key: one[key] for key in vars(arm)} == vars(arm)
        assert [int(epoch) for epoch in one["metrics"]] == list(improvements.EPOCHS)
        assert (improvements.RESULTS.with_suffix("") / f"{arm.name}.png").is_file()
        for found in (*one["metrics"].values(), one["latest"]):
            assert sum(map(sum, found["confusion"])) == found["n_images"] == metrics.N_IMAGES
