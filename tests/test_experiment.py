"""The grid of chapter 4, one small cell from training to the results file, and what ships."""

import json
import threading
from dataclasses import replace

import pytest

from ganlib import data
from ganlib.cli import judging
from ganlib.configuration import TrainingConfig
from ganlib.judge import classifier, metrics
from ganlib.runs import store
from ganlib.runs.files import locked
from ganlib.runs.store import RunError
from ganlib.studies import experiment
from ganlib.studies.experiment import Cell, add_result, cells, read_results, rounded

CELL = Cell("label", "mse", 1e-5, "swapped", 2)


@pytest.fixture
def against(judge):
    pair = [data.load("digits", split, 8, size=200) for split in data.SPLITS]
    return metrics.reference(*pair, judge)


# --- The grid ------------------------------------------------------------------------------------


def test_the_grid_has_every_combination_and_both_swapped_arms():
    grid = cells(3, 1)
    assert len(grid) == len({cell.name for cell in grid}) == 3 * (8 + 2) + 4
    own = [cell for cell in grid if cell.discriminator == "own" and cell.seed == 0]
    assert len({(cell.conditioning, cell.loss, cell.bn_eps) for cell in own}) == 12
    assert {cell.seed for cell in grid if cell.loss == "least-squares"} == {0}
    assert [cell.seed for cell in grid] == sorted(cell.seed for cell in grid)


def test_another_seed_adds_cells_and_changes_none():
    assert set(cells(3)) < set(cells(4))
    assert {cell.seed for cell in set(cells(4)) - set(cells(3))} == {3}


def test_a_cell_is_table_1_but_for_its_levels():
    config = CELL.config()
    assert CELL.name == "label-mse-eps1e-05-swapped-seed2"
    levels = {"model": "cgan-small-d", "loss": "mse", "seed": 2, "n_epochs": 25}
    assert config == replace(TrainingConfig(), **levels)
    assert Cell("none", "bce", 0.8, "own", 0).config().model == "gan"


@pytest.mark.parametrize("seeds", [(0, 1), (-1, 0)])
def test_no_seeds_are_refused(seeds):
    with pytest.raises(ValueError, match="at least 1"):
        cells(*seeds)


# --- One cell ------------------------------------------------------------------------------------


def test_a_cell_is_trained_measured_and_kept(small_experiment, against, tmp_path):
    epochs, path = [], tmp_path / "shipped" / "experiment.json"
    found = experiment.run_cell(CELL, tmp_path, against, "cpu", lambda: epochs.append(1))
    assert len(epochs) == 2 and list(found["metrics"]) == ["1", "2"]
    assert found["metrics"]["2"]["accuracy"] is not None
    assert "memorised_pixels" in found["metrics"]["2"]
    assert "memorised_pixels" not in found["metrics"]["1"]
    assert {key: found[key] for key in vars(CELL)} == vars(CELL)

    run = store.read_run(tmp_path / CELL.name)
    low, high = found["losses"]["every iteration"]["d_loss"]
    assert (low, high) == run.losses().range("d_loss")
    for rule in found["losses"].values():
        assert low <= rule["d_loss"][0] <= rule["d_loss"][1] <= high
    assert len(found["epoch_means"]["g_loss"]) == 2

    results = experiment.new_results(against, CELL.epochs)
    assert list(results["floor_by_count"]) == ["100", "300"]
    last = run.folder / "samples" / "epoch_0002.png"
    results = add_result(results, found, last.read_bytes(), path)
    add_result(results, found, last.read_bytes(), path)  # again: replaced, not doubled
    stored = read_results(path)
    assert [one["name"] for one in stored["runs"]] == [CELL.name]
    assert stored["runs"][0]["metrics"] == rounded(found["metrics"])
    sheet = path.with_suffix("") / f"{CELL.name}.png"
    assert sheet.read_bytes() == last.read_bytes()


def test_a_finished_cell_is_measured_again_without_training(small_experiment, against, tmp_path):
    first = experiment.run_cell(CELL, tmp_path, against, "cpu")
    epochs = []
    again = experiment.run_cell(CELL, tmp_path, against, "cpu", lambda: epochs.append(1))
    assert not epochs and again["metrics"] == first["metrics"]


def test_epochs_share_their_noise_and_the_last_needs_no_kept_weights(
    small_experiment, against, tmp_path
):
    experiment.run_cell(CELL, tmp_path, against, "cpu")
    run = store.read_run(tmp_path / CELL.name)
    kept = experiment.measure_run(run, [1, 2], against)
    for path in (run.folder / "weights").glob("*"):
        path.unlink()
    assert experiment.measure_run(run, [2], against)["2"] == kept["2"]
    with pytest.raises(RunError, match="epoch_0001"):
        experiment.measure_run(run, [1], against)


def test_six_digits_are_kept():
    assert rounded({"a": [1 / 3, 2], "b": None, "c": True}) == {
        "a": [0.333333, 2],
        "b": None,
        "c": True,
    }


# --- The results file ----------------------------------------------------------------------------


def test_missing_and_damaged_results_say_what_to_do(tmp_path):
    with pytest.raises(RunError, match="ganlib experiment makes them"):
        read_results(tmp_path / "none.json")
    for content in ("", "[]", "{}", '{"runs": []}'):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(RunError, match="damaged"):
            read_results(tmp_path / "bad.json")


def test_results_of_another_protocol_are_refused(tmp_path):
    parts = {"protocol": {"n_epochs": 1}, "floor": {}, "floor_by_count": {}, "runs": []}
    (tmp_path / "old.json").write_text(json.dumps(parts))
    with pytest.raises(RunError, match="another protocol"):
        judging.opened_results(tmp_path / "old.json", CELL)


def test_results_that_another_process_added_meanwhile_are_kept(against, tmp_path, small_experiment):
    path, mine = tmp_path / "experiment.json", experiment.new_results(against, (1, 2))
    add_result(mine, {"name": "theirs"}, b"a sheet", path)
    with locked(path.with_suffix("")):  # they are at it again, and soon done
        adding = threading.Thread(target=add_result, args=(mine, {"name": "mine"}, b"", path))
        adding.start()
        adding.join(timeout=0.3)
        assert adding.is_alive()
    adding.join(timeout=30)
    assert [one["name"] for one in read_results(path)["runs"]] == ["mine", "theirs"]


def test_the_results_of_two_judges_do_not_mix(against, tmp_path, monkeypatch, small_experiment):
    """Files that name no judge are older, and of the judge that ships."""
    shipped = experiment.RESULTS.read_bytes()
    assert "classifier" not in json.loads(shipped)["protocol"]
    assert experiment.FIRST_JUDGE == classifier.digest()
    path, first = tmp_path / "experiment.json", experiment.new_results(against, CELL.epochs)
    add_result(first, {"name": "one"}, b"", path)
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "another.safetensors")
    with pytest.raises(RunError, match="record classifier"):
        judging.opened_results(path, CELL)
    classifier.save_classifier(against.classifier)
    (tmp_path / "old.json").write_bytes(shipped)
    for made in (path, tmp_path / "old.json"):
        with pytest.raises(RunError, match=f"classifier {experiment.FIRST_JUDGE}, not"):
            judging.opened_results(made, CELL)
    with pytest.raises(RunError, match="another protocol"):
        add_result(experiment.new_results(against, CELL.epochs), {"name": "two"}, b"", path)
    assert len(read_results(path)["runs"]) == 1


def test_the_shipped_results_are_of_this_grid_and_each_has_its_sheet():
    results = read_results()
    assert results["protocol"] == experiment.protocol(experiment.EPOCHS)
    assert list(results["floor_by_count"]) == [str(n) for n in experiment.COUNTS]
    by_name = {cell.name: cell for cell in cells(99, 99)}
    assert results["runs"]
    for one in results["runs"]:
        cell = by_name[one["name"]]
        assert {key: one[key] for key in vars(cell)} == vars(cell)
        assert [int(epoch) for epoch in one["metrics"]] == list(experiment.EPOCHS)
        assert (experiment.RESULTS.with_suffix("") / f"{cell.name}.png").is_file()
        for found in one["metrics"].values():
            assert sum(found["class_counts"]) == found["n_images"] == metrics.N_IMAGES
            assert (found["accuracy"] is None) == (cell.conditioning == "none")
