"""The commands behind the claims: record, evaluate and experiment, on tiny runs."""

import json
import socket
import sys
from dataclasses import replace

import pytest
import torch
from conftest import refused, tiny_config
from PIL import Image

from ganlib import data
from ganlib.cli import commands, judging
from ganlib.cli.parser import main
from ganlib.judge import classifier, metrics
from ganlib.runs import store
from ganlib.runs.files import locked
from ganlib.sampling import draw
from ganlib.studies import engine, recording, study, workers
from ganlib.studies.catalogue import STUDIES
from ganlib.training import TrainingDiverged


@pytest.fixture
def here(tmp_path, monkeypatch, judge):
    """A folder of its own, for what ships too; a judge of the digits at hand."""
    monkeypatch.chdir(tmp_path)
    for room in (commands, recording, store, study):
        monkeypatch.setattr(room, "RECORDED", tmp_path / "recorded")
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "recorded" / "classifier.safetensors")
    monkeypatch.setattr(classifier, "TRAINED_ON", "digits")
    monkeypatch.setattr(metrics, "load_classifier", lambda *_: judge)
    monkeypatch.setattr(metrics, "N_IMAGES", 200)
    return tmp_path


@pytest.fixture
def recipes(monkeypatch):
    """Two small recipes in place of the real ones."""
    small = replace(tiny_config(), device="auto")
    found = {"one": small, "two": replace(small, model="cgan", loss="mse")}
    for room in (judging, recording):
        monkeypatch.setattr(room, "RECIPES", found)
    monkeypatch.setattr("ganlib.cli.parser.RECIPES", found)
    return found


# --- record --------------------------------------------------------------------------------------


def test_record_trains_packs_measures_and_skips(here, recipes, monkeypatch, capsys, judge):
    monkeypatch.setattr(judging, "record_classifier", lambda device: print("the judge"))
    asked = []
    monkeypatch.setattr(metrics, "load_classifier", lambda *on: asked.append(on) or judge)
    assert main(["record", "one", "--device", "cpu"]) == 0
    assert asked == [(torch.device("cpu"),)]  # the judge is where the training was
    assert store.recorded_names() == ["one"]
    assert "the judge" not in capsys.readouterr().out
    assert main(["record", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert store.recorded_names() == ["one", "two"]
    assert "one is recorded already" in said and "the judge" in said
    folder = here / "recorded" / "two"
    assert not (folder / "checkpoint.safetensors").exists()
    found = store.find_run("two").metrics()
    assert list(found) == [1, 2] and found[1]["n_images"] == 200
    assert found[2]["memorised_pixels"] is not None and "memorised_pixels" not in found[1]
    assert main(["sample", "two", "--digit", "7", "--n", "4", "--out", "seven.png"]) == 0
    assert Image.open("seven.png").size == (16, 16)
    assert main(["list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert listed[-4:] == ["one", "two", "runs/one", "runs/two"]


def test_a_stopped_recording_goes_on(here, recipes, capsys):
    folder, digits = here / "runs" / "one", data.load("digits", "train", 8, size=70)
    config = replace(recipes["one"], device="cpu")
    for _ in store.train_run(folder, config, digits):
        break
    assert main(["record", "one", "--device", "cpu"]) == 0
    assert "going on with" in capsys.readouterr().out
    assert store.find_run("one").epochs_done == 2


def test_a_run_that_is_being_trained_is_not_recorded_meanwhile(here, recipes, capsys):
    with locked(here / "runs" / "one"):
        refused(capsys, ["record", "one", "--device", "cpu"], "runs/one is in use", "wait")
    assert not [path for path in here.rglob("*") if path.is_file()]


def test_the_judge_is_recorded_from_both_splits(here, monkeypatch, capsys):
    own = data.load
    monkeypatch.setattr(
        data, "load", lambda name, split, size: own("digits", split, size, size=100)
    )
    judging.record_classifier("cpu", n_epochs=1)
    assert "of the test images" in capsys.readouterr().out
    assert classifier.SHIPPED.is_file()


def test_an_unknown_recipe_is_refused_with_the_known_ones(here, capsys):
    refused(capsys, ["record", "best"], "best", "classifier, gan, gan-eps0.8")
    assert not list(here.iterdir())


# --- evaluate ------------------------------------------------------------------------------------


@pytest.fixture(params=["gan", "cgan"])
def run(request, here, digits) -> store.Run:
    for _ in store.train_run(here / request.param, tiny_config(request.param), digits):
        pass
    return store.read_run(here / request.param)


def test_evaluate_prints_what_measure_finds_and_writes_it(run, here, capsys, judge):
    arguments = [str(run.folder), "--n", "150", "--seed", "3", "--json", "found.json"]
    assert main(["evaluate", *arguments]) == 0
    said = capsys.readouterr().out
    stored = json.loads((here / "found.json").read_text())
    pair = [data.load("digits", split, 8) for split in data.SPLITS]
    images, labels = draw(run.generator(), run.config, 150, seed=3)
    labels = labels if run.conditional else None
    found = metrics.measure(images, labels, metrics.reference(*pair, judge))
    assert stored["measures"] == found
    assert f"{found['coverage']:.3f}" in said and f"{stored['floor']['coverage']:.3f}" in said
    assert ("asked for (rows)" in said) == run.conditional
    rows = [line for line in said.splitlines() if line.startswith("  ")]
    assert len([row for row in rows if "%" in row]) == 10


def test_the_matrix_shows_each_count(capsys):
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts[3, 8], counts[0, 0] = 17, 983
    lines = judging.confusion_text(counts.tolist()).splitlines()
    assert lines[1].split() == ["0", "983", *"........."]
    assert lines[4].split() == ["3", *"........", "17", "."]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("nothing", ["no run called 'nothing'"]),
        ("gan --n 1", ["--n", "above 5"]),
        ("gan --n many", ["whole number"]),
        ("gan --seed -1", ["--seed", "at least 0"]),
        ("gan --n 50 --json /dev/null/x.json", ["cannot write"]),
        ("fashion", ["fashion-mnist", "digits alone"]),
    ],
)
def test_what_evaluate_refuses(here, digits, capsys, arguments, words):
    for _ in store.train_run(here / "gan", tiny_config(n_epochs=1), digits):
        pass
    other = replace(digits, name="fashion-mnist")
    config = tiny_config(n_epochs=1, dataset="fashion-mnist")
    for _ in store.train_run(here / "fashion", config, other):
        pass
    refused(capsys, ["evaluate", *arguments.split()], *words)


# --- experiment ----------------------------------------------------------------------------------


@pytest.fixture
def small_grid(here, small_studies, monkeypatch, judge):
    """A grid of two epochs on small digits."""
    pair = [data.load("digits", split, 8, size=100) for split in data.SPLITS]
    against = metrics.reference(*pair, judge)
    monkeypatch.setattr(workers, "shared_reference", lambda *_: against)
    classifier.save_classifier(judge)  # whose digest the results name


ONE = ["experiment", "paper", "--device", "cpu", "--workers", "1"]


@pytest.fixture
def few_cells(small_grid, monkeypatch):
    """Of each study the first three cells."""
    for name, own in STUDIES.items():
        few = replace(own, cells_of=lambda seed, own=own.cells_of: own(seed)[:3])
        monkeypatch.setitem(STUDIES, name, few)


@pytest.mark.parametrize("name", STUDIES)
def test_an_experiment_grows_by_a_seed_and_repeats_nothing(few_cells, here, capsys, name):
    made = STUDIES[name]
    command = ["experiment", name, "--device", "cpu", "--workers", "1"]
    n_first, n_second = len(made.cells(1)), len(made.cells(2))
    assert main([*command, "--seeds", "1"]) == 0
    first = engine.read_results(made.path)
    assert [one["name"] for one in first["runs"]] == sorted(c.name for c in made.cells(1))
    assert f"{n_first} cells, 0 of them done" in capsys.readouterr().out
    assert main([*command, "--seeds", "2"]) == 0
    assert f"{n_second} cells, {n_first} of them done" in capsys.readouterr().out
    second = engine.read_results(made.path)
    assert len(second["runs"]) == n_second
    assert [one for one in second["runs"] if one["seed"] == 0] == first["runs"]
    sheets = made.path.with_suffix("").glob("*.png")
    assert {sheet.stem for sheet in sheets} == {c.name for c in made.cells(2) if c.sheet}
    folders = (here / "runs" / made.file).glob("*/")
    runs = [c for c in made.cells(2) if c.levels.get("method", c.config.model) == c.config.model]
    assert {folder.name for folder in folders} == {c.name for c in runs}


def test_ctrl_c_keeps_finished_cells(few_cells, monkeypatch, capsys):
    own, calls = engine.run_cell, []

    def pressed_in_the_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return own(*arguments)

    monkeypatch.setattr(engine, "run_cell", pressed_in_the_third)
    assert main(ONE) == 130
    assert "the same command" in capsys.readouterr().err
    assert len(engine.read_results(STUDIES["paper"].path)["runs"]) == 2


def test_a_cell_that_fails_is_told_and_leaves_the_others(few_cells, monkeypatch, capsys):
    own = engine.run_cell

    def diverges_once(cell, *arguments):
        if cell.name == "none-bce-eps0.8-seed0":
            raise TrainingDiverged("a loss stopped being a number in epoch 1:\nagain")
        return own(cell, *arguments)

    monkeypatch.setattr(engine, "run_cell", diverges_once)
    command = [*ONE, "--seeds", "1"]
    assert main(command) == 1
    told, ended = capsys.readouterr().err.splitlines()
    assert told.startswith("ganlib: none-bce-eps0.8-seed0: TrainingDiverged: a loss")
    assert ended == "ganlib: 1 of 3 cells failed; the same command tries them again"
    assert len(engine.read_results(STUDIES["paper"].path)["runs"]) == 2
    monkeypatch.setattr(engine, "run_cell", own)
    assert main(command) == 0
    assert len(engine.read_results(STUDIES["paper"].path)["runs"]) == 3


def test_a_second_experiment_in_one_workspace_is_refused(small_grid, here, capsys):
    with locked(here / "runs" / "experiment"):
        refused(capsys, ONE, "another process")
    assert not STUDIES["paper"].path.exists()


def test_a_cluster_that_is_not_there_is_told_soon(small_grid, here, monkeypatch, capsys):
    monkeypatch.setattr(workers, "CONNECT", 1)
    with socket.socket() as closed:  # taken, but nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        refused(
            capsys, ["experiment", "paper", "--scheduler", address], "no Dask scheduler", address
        )
    refused(capsys, ["experiment", "paper", "--scheduler", "no scheme://:x"], "no Dask scheduler")
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused(
        capsys, ["experiment", "paper", "--scheduler", address], "ganlib[cluster]", "pip install"
    )
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("--seeds 0", ["at least 1"]),
        ("--scheduler tcp://127.0.0.1:9 --workers 2", ["--workers", "this machine"]),
        ("--scheduler tcp://127.0.0.1:9 --device abacus", ["abacus"]),
        ("--seeds two", ["whole number"]),
        ("--workers 0", ["--workers", "at least 1"]),
        ("--device abacus", ["abacus"]),
    ],
)
def test_what_an_experiment_refuses(small_grid, capsys, arguments, words):
    refused(capsys, ["experiment", "paper", *arguments.split()], *words)


def test_a_study_has_to_be_named(capsys):
    refused(capsys, ["experiment"], "STUDY")
    refused(capsys, ["experiment", "chapter"], "'chapter'", *STUDIES)
