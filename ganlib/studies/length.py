"""The paper's own length: 200 epochs of the cells that its claims rest on, from 3 or 4 seeds.

Chapter 2's and 3's recorded runs are seed 0 of four of these cells and join the results. What the
claims are is said in :mod:`ganlib.studies.paper`.

With BCE all three GANs had collapsed by epoch 200, and none of three CGANs: by `analysis.RULE`
these two cells have a fourth seed. That it is the last was settled before it was trained.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ganlib.configuration import TrainingConfig
from ganlib.runs.store import SAMPLE_EPOCHS, RunError, find_run
from ganlib.studies.engine import Cell, loss_ranges
from ganlib.studies.measures import ACCURACY, CLASSES, COVERAGE, FRECHET, PRECISION, RECALL
from ganlib.studies.recording import RECIPES
from ganlib.studies.study import Study

EPOCHS = SAMPLE_EPOCHS[1:]  # measured, as of the recorded runs; the last ends the run
SEEDS = 3  # before a verdict is printed
ONE_MORE = "gan", "cgan-bce"  # cells with a seed more; why, is said above
FIRST = "gan"  # the cell that chapter 2 trains, and the only one of the first results
# What each cell trains. Those with a recipe's name are its further seeds: the recorded run is
# seed 0. The order is that of training, seed by seed.
CELLS: dict[str, TrainingConfig] = {
    "gan": RECIPES["gan"],
    "cgan": RECIPES["cgan"],
    "gan-mse": replace(RECIPES["gan"], loss="mse"),
    "cgan-bce": replace(RECIPES["cgan"], loss="bce"),
    "gan-eps0.8": RECIPES["gan-eps0.8"],
    "cgan-linear-eps0.8": RECIPES["cgan-linear-eps0.8"],
}


def cells_of(seed: int) -> list[Cell]:
    """The runs of a seed beside the recorded ones."""
    return [
        Cell(f"{cell}-seed{seed}", {"cell": cell, "seed": seed}, replace(config, seed=seed), EPOCHS)
        for cell, config in CELLS.items()
        if (seed > 0 or cell not in RECIPES) and (seed < SEEDS or cell in ONE_MORE)
    ]


def levels(run: dict) -> dict:
    """A run's levels of the factors of the study `paper`."""
    cell = run.get("cell", FIRST)  # the first results named none
    config = CELLS[cell]
    label = "label" if config.model == "cgan" else "none"
    return {"cell": cell, "conditioning": label, "loss": config.loss, "bn_eps": config.bn_eps,
            "discriminator": "own"}  # fmt: skip


def as_result(name: str, epochs: Iterable[int]) -> dict:
    """A recorded run as the engine keeps one's result, measured at ``epochs``, with its ``sheet``.

    Raises RunError if it was not measured at one of them.
    """
    run, last = find_run(name), max(epochs)
    measured = run.metrics()
    if missing := sorted({*epochs} - measured.keys()):
        raise RunError(f"{name} was not measured at epoch {', '.join(map(str, missing))}")
    means = {one: run.losses().epoch(one).tolist() for one in ("g_loss", "d_loss")}
    found = {"name": name, "seed": run.config.seed, "seconds": run.made["seconds"]}
    found |= {"metrics": {str(epoch): measured[epoch] for epoch in epochs}}
    found |= {"losses": loss_ranges(run), "epoch_means": means}
    return found | {"sheet": run.folder / "samples" / f"epoch_{last:04d}.png"}


def with_recorded(results: dict, _path: Path) -> dict:
    """The results, cell by cell, the recorded run of a cell first; see `as_result`."""
    runs = []
    for cell in CELLS:
        if cell in RECIPES:
            first = as_result(cell, results["protocol"]["epochs"]) | {"cell": cell}
            runs.append(levels(first) | first)
        runs += [run for run in results["runs"] if run["cell"] == cell]
    return results | {"runs": runs}


STUDY = Study(
    "length",
    "200 epochs of what the paper trains, from several seeds",
    "endurance",
    cells_of,
    levels,
    with_recorded,
    needs=SEEDS,
    named=lambda levels: levels["cell"],
    measures=(COVERAGE, RECALL, PRECISION, FRECHET, CLASSES, ACCURACY),
)
