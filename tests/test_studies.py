"""The studies: which cells they have, what ships, how they are joined, and a new one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import small, tiny_config

from ganlib import data
from ganlib.cli.parser import main
from ganlib.configuration import TrainingConfig
from ganlib.families import family
from ganlib.figures import cells
from ganlib.judge import classifier, metrics
from ganlib.runs import store
from ganlib.runs.store import RunError
from ganlib.studies import engine, improvements, length, paper, recording, study, workers
from ganlib.studies.analysis import Change, effect, select
from ganlib.studies.catalogue import STUDIES
from ganlib.studies.measures import COVERAGE, loss_range
from ganlib.studies.study import Study

every_study = pytest.mark.parametrize("name", STUDIES)
# Of these, results come with the first recording after them.
LATER = "rounding", "codes", "few-labels", "ones"
SHIPPED = [name for name in STUDIES if name not in LATER or STUDIES[name].path.exists()]
every_shipped_study = pytest.mark.parametrize("name", SHIPPED)


# --- Which cells ---------------------------------------------------------------------------------


@every_study
def test_another_seed_adds_cells_and_changes_none(name):
    made = STUDIES[name]
    three, four = made.cells(3), made.cells(4)
    assert len({cell.name for cell in four}) == len(four) and four[: len(three)] == three
    assert {cell.levels["seed"] for cell in four[len(three) :]} == {3}
    assert [cell.levels["seed"] for cell in four] == sorted(c.levels["seed"] for c in four)
    assert all(cell.config.seed == cell.levels["seed"] for cell in four)
    assert all(cell.config.n_epochs == cell.epochs[-1] for cell in four)


@every_study
@pytest.mark.parametrize("n_seeds", [0, -1])
def test_no_seeds_are_refused(name, n_seeds):
    with pytest.raises(ValueError, match="at least 1"):
        STUDIES[name].cells(n_seeds)


def test_the_papers_grid_has_every_combination_and_both_discriminators():
    grid = paper.STUDY.cells(3)
    assert len(grid) == 3 * (8 + 4) + 4
    own = [c.levels for c in grid if c.levels["discriminator"] == "own" and c.levels["seed"] == 0]
    assert len({(one["conditioning"], one["loss"], one["bn_eps"]) for one in own}) == 12
    assert {c.levels["seed"] for c in grid if c.levels["loss"] == "least-squares"} == {0}
    swapped = [c for c in grid if c.levels["discriminator"] == "swapped"]
    assert {(c.config.model, c.config.loss) for c in swapped} == {
        (model, loss) for model in ("gan-large-d", "cgan-small-d") for loss in ("bce", "mse")
    }


def test_a_cell_of_the_paper_is_table_1_but_for_its_levels():
    cell = paper.cell("label", "mse", 1e-5, "swapped", 2)
    assert cell.name == "label-mse-eps1e-05-swapped-seed2"
    levels = {"model": "cgan-small-d", "loss": "mse", "seed": 2, "n_epochs": 25}
    assert cell.config == replace(TrainingConfig(), **levels)
    assert paper.cell("none", "bce", 0.8, "own", 0).config.model == "gan"


def test_a_long_run_is_its_cell_with_another_seed():
    asked = length.STUDY.cells(4)
    for run in asked:
        cell, seed = run.levels["cell"], run.levels["seed"]
        label, eps = cell.startswith("cgan"), 0.8 if "eps0.8" in cell else 1e-5
        model = "cgan" if label else "gan"
        wanted = TrainingConfig(model=model, loss=run.config.loss, bn_eps=eps, seed=seed)
        assert run.config == wanted and run.epochs[-1] == 200  # Table 1, and the defaults
        if cell in recording.RECIPES:  # then the recorded run is seed 0
            assert seed > 0 and replace(run.config, seed=0) == recording.RECIPES[cell]
    assert len(asked) == 3 * 6 - 4 + 2  # four are recorded, two have a fourth seed
    losses = {run.levels["cell"]: run.config.loss for run in asked}
    assert losses["gan-mse"] == losses["cgan"] == "mse" and losses["cgan-bce"] == "bce"
    assert losses["cgan-linear-eps0.8"] == "least-squares"


def test_improvements_differ_in_model_and_seed_alone():
    grid = improvements.STUDY.cells(4)
    assert len(grid) == 3 * 10 + 4 and all(family(cell.config.model).conditional for cell in grid)
    for cell in grid:
        changes = cell.levels | {"n_epochs": 10, "ema": 0.999}
        assert cell.config == replace(TrainingConfig(loss="bce"), **changes)


def test_seconds_are_of_the_runs_that_were_trained_together():
    timed = {run["name"] for run in improvements.STUDY.load()["runs"] if run["timed"]}
    models = improvements.MODELS.values()
    assert timed == {f"{model}-seed{seed}" for model in models for seed in range(3)}


# --- What ships ----------------------------------------------------------------------------------


@every_shipped_study
def test_the_shipped_results_are_of_these_cells_and_each_has_its_sheet(name):
    made, stored = STUDIES[name], engine.read_results(STUDIES[name].path)
    epochs = made.cells_of(0)[0].epochs
    assert stored["protocol"] == engine.protocol(epochs)
    assert list(stored["floor_by_count"]) == [str(n) for n in engine.COUNTS]
    by_name = {cell.name: cell for cell in made.cells(99)}
    assert stored["runs"]
    for one in stored["runs"]:
        cell = by_name[one["name"]]
        assert {key: (made.levels(one) | one)[key] for key in cell.levels} == cell.levels
        assert [int(epoch) for epoch in one["metrics"]] == list(epochs)
        assert (made.path.with_suffix("") / f"{cell.name}.png").is_file() == cell.sheet
        for found in (*one["metrics"].values(), *filter(None, [one.get("latest")])):
            if [*found] == ["read"]:  # of test digits: nothing was drawn
                assert 0 <= found["read"] <= 1
                continue
            assert sum(found["class_counts"]) == found["n_images"] == metrics.N_IMAGES
            kind = family(cell.config.model)
            assert (found["accuracy"] is None) == (not kind.conditional or kind.codes)


@every_shipped_study
def test_what_ships_is_loaded_whole_and_names_no_run_twice(name):
    made, results = STUDIES[name], STUDIES[name].load()
    names = [(run["name"], run.get("replicate")) for run in results["runs"]]
    assert len(set(names)) == len(names)
    assert {run["name"] for run in engine.read_results(made.path)["runs"]} <= {n for n, _ in names}
    shown = made.cells_of(0)[0].sheet
    assert all(run["sheet"].is_file() == shown for run in results["runs"])
    assert all(any(levels.items() <= run.items() for levels in results["cells"].values())
               for run in results["runs"])  # fmt: skip


# --- How results are joined ----------------------------------------------------------------------


def write(results: dict, path):
    path.write_text(json.dumps(results))
    return path


def long_run(cell: str, seed: int, coverage: float = 0.5) -> dict:
    """A run of the study `length` as its results keep it, measured at all of its epochs."""
    found = {"coverage": coverage, "classes": 10, "recall": 0.5, "precision": 0.8, "frechet": 8.0}
    found |= {"class_counts": [seed, *[10] * 9], "accuracy": None, "specks": 0.1}
    ends = {"every iteration": {"g_loss": [0.5, 3.0], "d_loss": [0.25, 1.0]}}
    run = {"name": f"{cell}-seed{seed}", "cell": cell, "seed": seed, "seconds": 100.0}
    run |= {"metrics": {str(e): found | {"n": e} for e in length.EPOCHS}, "losses": ends}
    return run | {"epoch_means": {"g_loss": [1.0] * 200, "d_loss": [0.5] * 200}}


def results_of(*runs: dict, epochs=length.EPOCHS) -> dict:
    protocol = engine.protocol(epochs)
    return {"protocol": protocol, "floor": {}, "floor_by_count": {}, "runs": list(runs)}


def test_the_recorded_run_is_seed_0_if_it_was_measured_alike(tmp_path):
    path = write(results_of(long_run("gan", 1)), tmp_path / "endurance.json")
    recorded, other = select(length.STUDY.load(path), cell="gan")
    assert (recorded["name"], recorded["seed"]) == (length.FIRST, 0)
    run = store.find_run(length.FIRST)
    assert recorded["metrics"] == {str(epoch): found for epoch, found in run.metrics().items()}
    assert recorded["sheet"].is_file()
    assert loss_range(recorded["losses"]) == run.losses().range("g_loss", "d_loss")
    assert (other["conditioning"], other["loss"], other["bn_eps"]) == ("none", "bce", 1e-5)
    assert other["sheet"] == tmp_path / "endurance" / "gan-seed1.png"
    write(results_of(epochs=(3, 200)), path)
    with pytest.raises(RunError, match="not measured at epoch 3"):
        length.STUDY.load(path)


def test_long_runs_are_replicates_of_the_papers_cells_up_to_epoch_25(tmp_path, monkeypatch):
    monkeypatch.setattr(length, "RECIPES", {})  # no recorded runs
    names = "gan", "cgan-bce", "gan-mse"
    write(results_of(*(long_run(cell, 7) for cell in names)), tmp_path / "endurance.json")
    mine = long_run("gan", 7) | paper.cell("none", "bce", 1e-5, "own", 7).levels
    mine["metrics"] = {str(epoch): mine["metrics"]["25"] for epoch in paper.EPOCHS}
    other = mine | {"loss": "mse", "name": "other", "metrics": json.loads(
        json.dumps(mine["metrics"]).replace("[7,", "[8,"))}  # fmt: skip
    path = write(results_of(mine, other, epochs=paper.EPOCHS), tmp_path / "experiment.json")
    results = paper.STUDY.load(path)
    joined = [run for run in results["runs"] if run.get("replicate")]
    assert [run["name"] for run in joined] == ["gan-mse-seed7", "cgan-bce-seed7"]  # not gan's: same
    assert [*joined[0]["metrics"]] == ["1", "2", "5", "10", "25"] and joined[0]["losses"] is None
    assert len(select(results, conditioning="none", loss="mse", discriminator="own")) == 2
    (tmp_path / "endurance.json").unlink()
    assert len(paper.STUDY.load(path)["runs"]) == 2


@every_study
def test_missing_results_say_what_makes_them(name, tmp_path):
    with pytest.raises(RunError, match=f"python -m ganlib experiment {name} makes them"):
        STUDIES[name].load(tmp_path / "nothing.json")


def test_files_of_another_shape_are_refused(tmp_path):
    for spoil, message in (
        (lambda made: made["runs"][0].pop("model"), "has no model"),
        (lambda made: made["runs"][0]["metrics"].pop("10"), "was not measured at epoch 10"),
        (lambda made: made["protocol"].pop("epochs"), "protocol has no epochs"),
    ):
        run = long_run("gan", 0) | {"model": "cgan"}
        made = results_of(run, epochs=improvements.EPOCHS)
        spoil(made)
        with pytest.raises(RunError, match=message):
            improvements.STUDY.load(write(made, tmp_path / "improvements.json"))


# --- A new study: this, and a line in STUDIES ----------------------------------------------------


def toy_cells(seed: int) -> list[engine.Cell]:
    return [
        engine.Cell(f"lr{lr:g}-seed{seed}", {"lr": lr, "seed": seed},
                    tiny_config(lr=lr, seed=seed), (1, 2))
        for lr in (2e-4, 1e-2)
    ]  # fmt: skip


TOY = Study("toy", "a tenth, and five, of a learning rate", "toy", toy_cells)


def test_a_new_study_is_trained_read_drawn_and_compared(
    small_studies, judge, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(STUDIES, "toy", TOY)
    monkeypatch.setattr(study, "RECORDED", tmp_path / "recorded")
    monkeypatch.setattr(classifier, "SHIPPED", tmp_path / "classifier.safetensors")
    classifier.save_classifier(judge)
    pair = [data.load("digits", split, 8, size=100) for split in data.SPLITS]
    pair[0] = data.load("digits", "train", 8, size=70)
    against = metrics.reference(*pair, judge)
    monkeypatch.setattr(workers, "shared_reference", lambda *_: against)
    monkeypatch.chdir(tmp_path)
    command = ["experiment", "toy", "--device", "cpu", "--workers", "1", "--seeds", "2"]
    assert main(command) == 0
    assert "4 results in" in capsys.readouterr().out
    results = TOY.load()
    assert list(results["cells"]) == ["0.0002", "0.01"]
    assert [len(select(results, **one)) for one in results["cells"].values()] == [2, 2]
    found = effect(results, [Change(*results["cells"].values())], COVERAGE, 2)
    assert found.n == 2 and np.isfinite([found.low, found.high]).all()

    assert [row[:2] for row in cells.cells_table(results, TOY).rows[:2]] == [
        ("0.0002", "2"),
        ("0.01", "2"),
    ]
    assert sum(bool(place.images) for place in cells.gallery(TOY).axes) == 2
    assert len(cells.courses(results, TOY).axes[0].lines) == 2 * (2 + 1) + 1
    assert small(toy_cells(0)[0]).epochs == (1, 2)
