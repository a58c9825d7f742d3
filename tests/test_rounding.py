"""The study of bfloat16: nothing differs but the precision, and what that changes is told."""

import json
from dataclasses import replace

import pytest

from ganlib.runs.store import RunError, find_run
from ganlib.studies import engine, paper, rounding
from ganlib.studies.analysis import select
from ganlib.studies.improvements import SPECTRAL
from ganlib.studies.recording import RECIPES

LAST = rounding.EPOCHS[-1]


def a_run(model: str, precision: str, seed: int, coverage: float) -> dict:
    """A result as the engine keeps it; only its coverage differs from seed to seed."""
    found = {"coverage": coverage + seed / 100, "recall": 0.5, "precision": 0.8, "frechet": 3.0}
    found |= {"classes": 10, "accuracy": 0.9, "specks": 0.1, "memorised_features": 0.0}
    ends = {"every iteration": {"g_loss": [0.5, 3.0], "d_loss": [0.25, 1.0]}}
    run = {"name": f"{model}-{precision}-seed{seed}", "model": model, "precision": precision}
    run |= {"seed": seed, "seconds": 1.0, "losses": ends}
    run |= {"metrics": {str(epoch): found for epoch in rounding.EPOCHS}}
    return run | {"epoch_means": {"g_loss": [1.0] * LAST, "d_loss": [0.5] * LAST}}


def results_of(*runs: dict) -> dict:
    protocol = engine.protocol(rounding.EPOCHS)
    return {"protocol": protocol, "floor": {"coverage": 0.9}, "floor_by_count": {}, "runs": runs}


@pytest.fixture
def path(tmp_path):
    """Results in which bfloat16 costs the best model its coverage, and the CGAN nothing.

    Of the best model in float32 the recorded run is the third one.
    """
    mine = [
        a_run(model, precision, seed, coverage)
        for model, precision, coverage, seeds in (
            *((SPECTRAL, "float32", 0.8, (1, 2)), (SPECTRAL, "bfloat16", 0.2, (0, 1, 2))),
            *(("cgan", "bfloat16", 0.7, (0, 1, 2)), ("gan", "bfloat16", 0.7, (0, 1, 2))),
        )
        for seed in seeds
    ]
    others = []
    for conditioning, loss, seeds in (("label", "mse", 3), ("none", "bce", 2), ("none", "mse", 3)):
        for seed in range(seeds):
            levels = paper.cell(conditioning, loss, 1e-5, "own", seed).levels
            run = a_run("", "", seed, 0.7) | {"name": f"{conditioning}-{loss}-{seed}"} | levels
            run["metrics"] |= {"15": {}}  # measured more often than what it is held against
            others.append({k: v for k, v in run.items() if k not in ("model", "precision")})
    (tmp_path / "experiment.json").write_text(json.dumps(results_of(*others)))
    path = tmp_path / "rounding.json"
    path.write_text(json.dumps(results_of(*mine)))
    return path


def test_its_cells_differ_in_precision_and_seed_alone():
    grid = {cell.name: cell for cell in rounding.STUDY.cells(2)}
    assert len(grid) == 2 * 4 - 1
    best = {one: grid.get(f"{SPECTRAL}-{one}-seed0") for one in rounding.PRECISIONS}
    assert best["float32"] is None  # it is recorded
    assert replace(best["bfloat16"].config, precision="float32") == RECIPES[SPECTRAL]
    twin = [grid[f"{SPECTRAL}-{one}-seed1"].config for one in rounding.PRECISIONS]
    assert replace(twin[0], precision="bfloat16") == twin[1] and twin[0].seed == 1
    assert replace(twin[0], seed=0) == RECIPES[SPECTRAL]
    for seed in (0, 1):
        for model, levels in (("gan", ("none", "bce")), ("cgan", ("label", "mse"))):
            shipped = paper.cell(*levels, 1e-5, "own", seed)
            mine = grid[f"{model}-bfloat16-seed{seed}"]
            assert replace(mine.config, precision="float32") == shipped.config
            assert {*mine.epochs} <= {*shipped.epochs}


def test_float32_runs_that_are_there_are_its_other_side(path):
    results = rounding.STUDY.load(path)
    assert len(results["cells"]) == 6 and list(results["cells"])[0] == "gan · float32"
    assert [len(select(results, **one)) for one in results["cells"].values()] == [2, 3, 3, 3, 3, 3]
    joined = select(results, model="gan", precision="float32")
    assert [run["name"] for run in joined] == ["none-bce-0", "none-bce-1"]
    assert [*joined[0]["metrics"]] == [str(epoch) for epoch in rounding.EPOCHS]
    recorded = select(results, model=SPECTRAL, precision="float32", seed=0)[0]
    assert recorded["metrics"]["25"] == find_run(SPECTRAL).metrics()[25]
    assert joined[0]["sheet"] == path.parent / "experiment" / "none-bce-0.png"
    path.with_name("experiment.json").unlink()
    with pytest.raises(RunError, match="python -m ganlib experiment paper makes them"):
        rounding.STUDY.load(path)


def test_what_tells_two_precisions_apart_is_told(path):
    results = rounding.STUDY.load(path)
    effects = rounding.changes(results, rounding.COVERAGE, LAST)
    assert effects["cgan"].mean == pytest.approx(0) and effects["cgan"].n == 3
    assert effects[SPECTRAL].high < -0.3 and effects[SPECTRAL].n == 3
    # The GAN's cell in float32 has two runs, one too few.
    assert rounding.told_apart(results) == {"cgan": [], SPECTRAL: ["coverage"]}
