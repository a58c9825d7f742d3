"""The GAN of the paper's text for all of its 200 epochs, from several seeds: does it collapse?

Chapter 2's recorded run does, long after the 25 epochs of chapter 4's grid. It is seed 0 here; the
other seeds are trained, measured and kept as the cells of :mod:`ganlib.experiment` are, in
``endurance.json``, and chapter 4 shows all of them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ganlib.configuration import TrainingConfig
from ganlib.experiment import loss_ranges, read_results
from ganlib.recording import RECIPES
from ganlib.runs import RECORDED, SAMPLE_EPOCHS, Run, RunError, find_run

RESULTS = RECORDED / "endurance.json"
EPOCHS = SAMPLE_EPOCHS[1:]  # measured, as of the recorded run; the last ends the run
FIRST = "gan"  # the recorded run that is seed 0
BN_EPS = RECIPES[FIRST].bn_eps  # of all of them: PyTorch's


@dataclass(frozen=True)
class LongRun:
    """One long run: a seed is all that tells it from the others."""

    seed: int

    @property
    def name(self) -> str:
        return f"gan-seed{self.seed}"

    @property
    def epochs(self) -> tuple[int, ...]:
        return EPOCHS

    def config(self, **changes) -> TrainingConfig:
        """The run's configuration: the recorded run's, but for its seed and ``changes``."""
        return replace(RECIPES[FIRST], **{"seed": self.seed} | changes)


def long_runs(n_seeds: int = 3) -> list[LongRun]:
    """The runs beside the recorded one. Raises ValueError if ``n_seeds`` leaves none."""
    if n_seeds < 2:
        raise ValueError(
            f"the number of seeds must be at least 2, not {n_seeds}: seed 0 is recorded as {FIRST}"
        )
    return [LongRun(seed) for seed in range(1, n_seeds)]


def load(path: Path | None = None, first: Run | None = None) -> dict:
    """The results, see ganlib.experiment.read_results; the recorded run is the first of the runs.

    Each run also has the path of its last ``sheet`` of samples. Raises RunError if the results are
    missing or damaged, or if the recorded run was not measured at their epochs.
    """
    path = path or RESULTS
    results = read_results(path, "python -m ganlib experiment --chapter 2")
    first = first or find_run(FIRST)
    measured = {str(epoch): found for epoch, found in first.metrics().items()}
    if missing := {str(epoch) for epoch in results["protocol"]["epochs"]} - measured.keys():
        raise RunError(f"{first.name} was not measured at epoch {', '.join(sorted(missing))}")
    last = first.folder / "samples" / f"epoch_{results['protocol']['n_epochs']:04d}.png"
    recorded = {"name": first.name, "seed": first.config.seed, "metrics": measured, "sheet": last}
    runs = [recorded | {"losses": loss_ranges(first)}]
    for run in results["runs"]:
        runs.append(run | {"sheet": path.with_suffix("") / f"{run['name']}.png"})
    return results | {"runs": runs}
