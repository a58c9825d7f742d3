"""The GAN's long runs from several seeds: which they are, and how the recorded one joins them."""

import json
from dataclasses import replace

import pytest

from ganlib.configuration import TrainingConfig
from ganlib.runs import store
from ganlib.studies import analysis, endurance, experiment, recording
from ganlib.studies.endurance import LongRun, long_runs

MEASURED = {"coverage": 0.5, "classes": 10, "recall": 0.5, "precision": 0.8, "frechet": 8.0}
MEASURED |= {
    "specks": 0.1,
    "accuracy": None,
    "class_counts": [10, 30, *[10] * 6, 0, 0],
    "n_images": 100,
}


def made_long(*coverages: float, epochs: tuple[int, ...] = (25, 200)) -> dict:
    """Long runs as `load` gives them, without their sheets: one for each coverage at the end."""
    made = [
        {
            "name": f"gan-seed{seed}",
            "seed": seed,
            "metrics": {
                str(epoch): MEASURED | {"coverage": coverage if epoch == epochs[-1] else 0.7}
                for epoch in epochs
            },
        }
        for seed, coverage in enumerate(coverages)
    ]
    floor = MEASURED | {"coverage": 0.95, "frechet": 0.1}
    return {"protocol": experiment.protocol(epochs), "floor": floor, "runs": made}


def test_a_long_run_is_its_cell_with_another_seed():
    asked = long_runs(3)
    for run in asked:
        config = run.config()
        label, eps = run.cell.startswith("cgan"), 0.8 if "eps0.8" in run.cell else 1e-5
        assert config == TrainingConfig(  # Table 1, and the defaults
            model="cgan" if label else "gan", loss=config.loss, bn_eps=eps, seed=run.seed
        )
        assert config.n_epochs == run.epochs[-1] == 200
        if run.cell in recording.RECIPES:  # then the recorded run is seed 0
            assert run.seed > 0 and replace(config, seed=0) == recording.RECIPES[run.cell]
    assert len({run.name for run in asked}) == len(asked) == 3 * 6 - 4
    losses = {run.cell: run.config().loss for run in asked}
    assert losses["gan-mse"] == losses["cgan"] == "mse" and losses["cgan-bce"] == "bce"
    assert losses["cgan-linear-eps0.8"] == "least-squares"


def test_the_recorded_run_is_seed_0_if_it_was_measured_alike(tmp_path):
    path = tmp_path / "endurance.json"
    made = made_long(0.5) | {"floor_by_count": {}}
    path.write_text(json.dumps(made))
    found = endurance.load(path)
    recorded, other = found["runs"]
    assert (recorded["name"], recorded["seed"]) == (endurance.FIRST, 0)
    measured = store.find_run(endurance.FIRST).metrics()
    assert recorded["metrics"] == {str(epoch): measured[epoch] for epoch in measured}
    assert recorded["sheet"].is_file()
    low, high = store.find_run(endurance.FIRST).losses().range("g_loss", "d_loss")
    assert analysis.loss_range(recorded["losses"]) == (low, high)
    assert other["sheet"] == tmp_path / "endurance" / "gan-seed0.png"
    path.write_text(json.dumps(made | {"protocol": experiment.protocol((3, 200))}))
    with pytest.raises(store.RunError, match="not measured at epoch 3"):
        endurance.load(path)


def test_missing_results_say_what_makes_them(tmp_path):
    with pytest.raises(store.RunError, match="experiment --chapter 2"):
        endurance.load(tmp_path / "endurance.json")


def test_the_shipped_results_are_of_these_runs_and_each_has_its_sheet():
    known = {run.name for run in long_runs()}
    for cell in endurance.CELLS:
        found = endurance.load(cell=cell)
        assert found["protocol"] == experiment.protocol(endurance.EPOCHS)
        trained = [run for run in found["runs"] if run["name"] != cell]
        assert {run["name"] for run in trained} <= known
        assert [LongRun(cell, run["seed"]).name for run in trained] == [r["name"] for r in trained]
        for run in found["runs"]:
            assert [int(epoch) for epoch in run["metrics"]] == list(endurance.EPOCHS)
            assert run["sheet"].is_file()
    assert [run["seed"] for run in endurance.load()["runs"]] == [0, 1, 2]
