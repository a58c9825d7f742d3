"""What a study is, and its results as they are read.

A study is one file: its factors, cells, epochs, and the claims it judges, in one `Study`. A line in
:mod:`ganlib.studies.catalogue` makes it known to ``python -m ganlib experiment``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ganlib import Refused
from ganlib.runs.store import RECORDED, RunError
from ganlib.studies.analysis import Estimate
from ganlib.studies.claims import Claim
from ganlib.studies.engine import Cell, read_results
from ganlib.studies.measures import COVERAGE, FRECHET, PRECISION, RECALL, Measure

# What is compared, in words, and its effects by setting, on a measure at an epoch.
Contrast = tuple[str, Callable[[dict, Measure, int], dict[str, Estimate]]]
# What is counted, in words, and of a study's results our evidence and the verdict.
Count = tuple[str, Callable[[dict], tuple[str, str]]]


class Line(NamedTuple):
    """How runs with these levels are drawn, by epoch."""

    levels: dict
    green: bool  # or grey
    dotted: bool


@dataclass(frozen=True)
class Study:
    """Some cells, trained with several seeds, and what they can judge.

    ``asks``: in a few words. ``file``: the stem of its results, and of its runs' folder.
    ``cells_of`` a seed: what it trains, in order. ``levels`` of a run: further ones, by which it
    can be found. ``join``: the results in a file, with runs that others made. ``needs``: how many
    runs each compared cell must have before there is a verdict; where 0, cells of fewer than two
    are left out. ``longer``: the study that judges the same claims at greater length.

    How it is shown: a cell as ``named`` by its levels, with ``measures``; samples in a ``gallery``,
    row by row, of titles and cells' names without their seed; courses in ``columns`` that have
    some levels, with ``lines``. What is left out is shown cell by cell.
    """

    name: str
    asks: str
    file: str
    cells_of: Callable[[int], list[Cell]]
    levels: Callable[[dict], dict] = lambda run: {}
    join: Callable[[dict, Path], dict] = lambda results, path: results
    needs: int = 0
    longer: str = ""
    named: Callable[[dict], str] = lambda levels: " · ".join(map(str, levels.values()))
    measures: Sequence[Measure] = (COVERAGE, RECALL, PRECISION, FRECHET)
    gallery: dict[str, dict[str, str]] = field(default_factory=dict)
    columns: dict[str, dict] = field(default_factory=lambda: {"": {}})
    lines: dict[str, Line] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    contrasts: dict[str, Contrast] = field(default_factory=dict)
    counts: dict[str, Count] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file of its results; their last sheets of samples lie in a folder beside."""
        return RECORDED / f"{self.file}.json"

    def cells(self, n_seeds: int = 3) -> list[Cell]:
        """Seed by seed, so that a study cut short has as many seeds as possible everywhere.

        Raises Refused if there are no seeds.
        """
        if n_seeds < 1:
            raise Refused(f"the number of seeds must be at least 1, not {n_seeds}")
        return [cell for seed in range(n_seeds) for cell in self.cells_of(seed)]

    def load(self, path: Path | None = None) -> dict:
        """The results, see engine.read_results, each run with all of its levels and its ``sheet``.

        Also ``cells``, the levels of each by its name, and what it ``needs``. Raises RunError,
        saying what is wrong, if there are none or they are not of that shape.
        """
        path = path or self.path
        results = read_results(path, f"python -m ganlib experiment {self.name}")
        if missing := {"epochs", "n_epochs"} - results["protocol"].keys():
            raise RunError(f"{path}: its protocol has no {', '.join(sorted(missing))}")
        epochs = {str(epoch) for epoch in results["protocol"]["epochs"]}
        needed = {*self.cells_of(0)[0].levels, "name", "metrics", "losses", "epoch_means"}
        runs = []
        for run in results["runs"]:
            run = self.levels(run) | run
            if missing := needed - run.keys():
                raise RunError(f"{path}: a run has no {', '.join(sorted(missing))}")
            if missing := epochs - run["metrics"].keys():
                missing = ", ".join(sorted(missing))
                raise RunError(f"{path}: {run['name']} was not measured at epoch {missing}")
            runs.append(run | {"sheet": path.with_suffix("") / f"{run['name']}.png"})
        return self.join(results | {"runs": runs} | self.frame(), path)

    def nothing(self) -> dict:
        """Results as :meth:`load` gives them, of no run: before the study was first trained."""
        epochs = self.cells_of(0)[0].epochs
        made = {"protocol": {"epochs": list(epochs), "n_epochs": epochs[-1]}, "runs": []}
        return made | {"floor": {}, "floor_by_count": {}} | self.frame()

    def frame(self) -> dict:
        """What results have beside runs and measures: ``cells``, levels by name, and ``needs``."""
        fuller_first = sorted((self.cells_of(0), self.cells_of(1)), key=len, reverse=True)
        cells = [cell.levels for own in fuller_first for cell in own]
        cells = [{k: v for k, v in one.items() if k != "seed"} for one in cells]
        cells = [self.levels(levels) | levels for levels in cells]
        return {"cells": {self.named(levels): levels for levels in cells}, "needs": self.needs}

    def shown(self) -> dict[str, dict[str, str]]:
        """The gallery, or else a row of the first cells."""
        names = [cell.name.removesuffix("-seed0") for cell in self.cells_of(0)]
        return self.gallery or {"": {name: name for name in names}}

    def drawn(self) -> dict[str, Line]:
        """The lines, or else one for each cell."""
        cells = enumerate(self.frame()["cells"].items())
        return self.lines or {
            name: Line(levels, bool(i % 2), bool(i // 2 % 2)) for i, (name, levels) in cells
        }
