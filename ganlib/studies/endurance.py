"""The paper's own length: 200 epochs of the cells that its claims rest on, three seeds of each.

Chapter 2's and 3's recorded runs are seed 0 of four of these cells. All other runs are trained,
measured and kept as the cells of :mod:`ganlib.studies.experiment` are, one by one:
``python -m ganlib experiment --chapter 2`` goes on where it stopped.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ganlib import Refused
from ganlib.configuration import TrainingConfig
from ganlib.runs.store import RECORDED, SAMPLE_EPOCHS, RunError, find_run
from ganlib.studies.experiment import loss_ranges, read_results
from ganlib.studies.recording import RECIPES

RESULTS = RECORDED / "endurance.json"
EPOCHS = SAMPLE_EPOCHS[1:]  # measured, as of the recorded runs; the last ends the run
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
BN_EPS = CELLS[FIRST].bn_eps


@dataclass(frozen=True)
class LongRun:
    """One long run: a cell and a seed."""

    cell: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.cell}-seed{self.seed}"

    @property
    def epochs(self) -> tuple[int, ...]:
        return EPOCHS

    def config(self, **changes) -> TrainingConfig:
        """The run's configuration: the cell's, but for its seed and ``changes``."""
        return replace(CELLS[self.cell], **{"seed": self.seed} | changes)


def long_runs(n_seeds: int = 3) -> list[LongRun]:
    """The runs beside the recorded ones, seed by seed. Raises Refused if there are no seeds."""
    if n_seeds < 1:
        raise Refused(f"the number of seeds must be at least 1, not {n_seeds}")
    runs = [LongRun(cell, seed) for seed in range(n_seeds) for cell in CELLS]
    return [run for run in runs if run.seed > 0 or run.cell not in RECIPES]


def load(path: Path | None = None, cell: str = FIRST) -> dict:
    """The results of one cell, see experiment.read_results; a recorded run comes first.

    Each run also has the path of its last ``sheet`` of samples. Raises RunError if the results are
    missing or damaged, or if the recorded run was not measured at their epochs.
    """
    path = path or RESULTS
    results = read_results(path, "python -m ganlib experiment --chapter 2")
    runs = []
    if cell in RECIPES:
        first = find_run(cell)
        measured = {str(epoch): found for epoch, found in first.metrics().items()}
        if missing := {str(epoch) for epoch in results["protocol"]["epochs"]} - measured.keys():
            raise RunError(f"{first.name} was not measured at epoch {', '.join(sorted(missing))}")
        last = first.folder / "samples" / f"epoch_{results['protocol']['n_epochs']:04d}.png"
        recorded = {"name": first.name, "seed": first.config.seed, "metrics": measured}
        runs.append(recorded | {"sheet": last, "losses": loss_ranges(first)})
    for run in results["runs"]:
        if run.get("cell", FIRST) == cell:  # the first results named none
            runs.append(run | {"sheet": path.with_suffix("") / f"{run['name']}.png"})
    return results | {"runs": runs}
