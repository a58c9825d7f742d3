"""One small cell from training to the results file, and that file."""

import json
import threading

import pytest
from conftest import small

from ganlib import data
from ganlib.cli import judging
from ganlib.judge import classifier, metrics
from ganlib.runs import store
from ganlib.runs.files import locked
from ganlib.runs.store import RunError
from ganlib.studies import engine, improvements, paper
from ganlib.studies.engine import add_result, read_results, rounded

CELL = small(paper.cell("label", "mse", 1e-5, "swapped", 2))


@pytest.fixture
def against(judge):
    pair = [data.load("digits", split, 8, size=200) for split in data.SPLITS]
    return metrics.reference(*pair, judge)


# --- One cell ------------------------------------------------------------------------------------


def test_a_cell_is_trained_measured_and_kept(small_studies, against, tmp_path):
    epochs, path = [], tmp_path / "shipped" / "experiment.json"
    found = engine.run_cell(CELL, tmp_path, against, "cpu", lambda: epochs.append(1))
    assert len(epochs) == 2 and list(found["metrics"]) == ["1", "2"]
    assert found["metrics"]["2"]["accuracy"] is not None
    assert "memorised_pixels" in found["metrics"]["2"]
    assert "memorised_pixels" not in found["metrics"]["1"]
    assert {key: found[key] for key in CELL.levels} == CELL.levels

    run = store.read_run(tmp_path / CELL.name)
    low, high = found["losses"]["every iteration"]["d_loss"]
    assert (low, high) == run.losses().range("d_loss")
    for rule in found["losses"].values():
        assert low <= rule["d_loss"][0] <= rule["d_loss"][1] <= high
    assert len(found["epoch_means"]["g_loss"]) == 2

    results = engine.new_results(against, CELL.epochs)
    assert list(results["floor_by_count"]) == ["100", "300"]
    last = run.folder / "samples" / "epoch_0002.png"
    results = add_result(results, found, last.read_bytes(), path)
    add_result(results, found, last.read_bytes(), path)  # again: replaced, not doubled
    stored = read_results(path)
    assert [one["name"] for one in stored["runs"]] == [CELL.name]
    assert stored["runs"][0]["metrics"] == rounded(found["metrics"])
    sheet = path.with_suffix("") / f"{CELL.name}.png"
    assert sheet.read_bytes() == last.read_bytes()


def test_a_finished_cell_is_measured_again_without_training(small_studies, against, tmp_path):
    first = engine.run_cell(CELL, tmp_path, against, "cpu")
    epochs = []
    again = engine.run_cell(CELL, tmp_path, against, "cpu", lambda: epochs.append(1))
    assert not epochs and again["metrics"] == first["metrics"]


def test_epochs_share_their_noise_and_the_last_needs_no_kept_weights(
    small_studies, against, tmp_path
):
    engine.run_cell(CELL, tmp_path, against, "cpu")
    run = store.read_run(tmp_path / CELL.name)
    kept = engine.measure_run(run, [1, 2], against)
    for path in (run.folder / "weights").glob("*"):
        path.unlink()
    assert engine.measure_run(run, [2], against)["2"] == kept["2"]
    with pytest.raises(RunError, match="epoch_0001"):
        engine.measure_run(run, [1], against)


def test_a_cell_with_an_average_is_measured_without_it_too(small_studies, against, tmp_path):
    (cell,) = (one for one in improvements.cells_of(1) if one.levels["model"] == "cbn-cgan")
    found = engine.run_cell(small(cell), tmp_path, against, "cpu")
    run = store.read_run(tmp_path / cell.name)
    for kept, generator in (
        (found["metrics"]["2"], run.generator()),
        (found["latest"], run.latest_generator()),
    ):
        measured = engine.measure_generator(generator, run, against)
        assert kept["frechet"] == measured["frechet"]
    assert found["latest"]["frechet"] != found["metrics"]["2"]["frechet"]


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


def test_results_that_another_process_added_meanwhile_are_kept(against, tmp_path, small_studies):
    path, mine = tmp_path / "experiment.json", engine.new_results(against, (1, 2))
    add_result(mine, {"name": "theirs"}, b"a sheet", path)
    with locked(path.with_suffix("")):  # they are at it again, and soon done
        adding = threading.Thread(target=add_result, args=(mine, {"name": "mine"}, b"", path))
        adding.start()
        adding.join(timeout=0.3)
        assert adding.is_alive()
    adding.join(timeout=30)
    assert [one["name"] for one in read_results(path)["runs"]] == ["mine", "theirs"]


def test_the_results_of_two_judges_do_not_mix(against, tmp_path, monkeypatch, small_studies):
    """Files that name no judge are older, and of the judge that ships."""
    shipped = json.loads(paper.STUDY.path.read_bytes())
    shipped["protocol"].pop("classifier", None)
    assert engine.FIRST_JUDGE == classifier.digest()
    path, first = tmp_path / "experiment.json", engine.new_results(against, CELL.epochs)
    add_result(first, {"name": "one"}, b"", path)
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "another.safetensors")
    with pytest.raises(RunError, match="record classifier"):
        judging.opened_results(path, CELL)
    classifier.save_classifier(against.classifier)
    (tmp_path / "old.json").write_text(json.dumps(shipped))
    for made in (path, tmp_path / "old.json"):
        with pytest.raises(RunError, match=f"classifier {engine.FIRST_JUDGE}, not"):
            judging.opened_results(made, CELL)
    with pytest.raises(RunError, match="another protocol"):
        add_result(engine.new_results(against, CELL.epochs), {"name": "two"}, b"", path)
    assert len(read_results(path)["runs"]) == 1
