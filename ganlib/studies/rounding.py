"""What do products in bfloat16, in place of float32, change in the digits?

Three models, 25 epochs of each: the paper's two, as the study `paper` trains them, and chapter 5's
best, as it is recorded. Those runs are the float32 side here too. Nothing differs but the precision
(:mod:`ganlib.precision`). How much time it saves is not asked here: `make bench` measures that.
"""

from dataclasses import replace
from pathlib import Path

from ganlib.configuration import TrainingConfig
from ganlib.studies import improvements, length, paper
from ganlib.studies.analysis import Change, Estimate, effect, last_epoch, select
from ganlib.studies.engine import Cell, read_results
from ganlib.studies.measures import (
    CLASSES,
    COPIED,
    COVERAGE,
    DISTANCE,
    FALLEN,
    POINTS,
    PRECISION,
    RANGE,
    RECALL,
    SPECKS,
    Measure,
)
from ganlib.studies.recording import RECIPES
from ganlib.studies.study import Study

EPOCHS = (1, 2, 5, 10, 25)  # measured, as of recorded runs; the last ends the run
SEEDS = 3  # of each cell, before `told_apart` says anything
PRECISIONS = ("float32", "bfloat16")
# The cells of the study `paper` that are these models in float32.
SHIPPED = {
    "gan": paper.cell("none", "bce", 1e-5, "own", 0),
    "cgan": paper.cell("label", "mse", 1e-5, "own", 0),
}
CONFIGS: dict[str, TrainingConfig] = {
    **{model: cell.config for model, cell in SHIPPED.items()},
    improvements.SPECTRAL: RECIPES[improvements.SPECTRAL],
}
COMPARED = (
    *(DISTANCE, POINTS, COVERAGE, RECALL, PRECISION),
    *(CLASSES, SPECKS, COPIED, FALLEN, RANGE),
)


def cells_of(seed: int) -> list[Cell]:
    """What is trained: each model in each precision, but for what is there already."""
    return [
        Cell(
            f"{model}-{precision}-seed{seed}",
            {"model": model, "precision": precision, "seed": seed},
            replace(config, seed=seed, precision=precision),
            EPOCHS,
        )
        for model, config in CONFIGS.items()
        for precision in PRECISIONS
        if precision != "float32" or not (model in SHIPPED or seed == RECIPES[model].seed)
    ]


def with_shipped(results: dict, path: Path) -> dict:
    """The results with the float32 runs that others made, and all six cells.

    Raises RunError if the results of `paper`, in a file beside, are missing or damaged, or the
    recorded run was not measured at EPOCHS.
    """
    beside = path.with_name(paper.STUDY.path.name)
    others, runs = read_results(beside, "python -m ganlib experiment paper"), []
    for model, cell in SHIPPED.items():
        levels = {name: level for name, level in cell.levels.items() if name != "seed"}
        for run in select(others, **levels):
            sheet = beside.with_suffix("") / f"{run['name']}.png"
            measured = {str(epoch): run["metrics"][str(epoch)] for epoch in EPOCHS}
            runs.append(run | {"model": model, "sheet": sheet, "metrics": measured})
    best = improvements.SPECTRAL
    runs.append(length.as_result(best, EPOCHS) | {"model": best})
    runs = [run | {"precision": "float32"} for run in runs]
    pairs = [{"model": model, "precision": one} for model in CONFIGS for one in PRECISIONS]
    cells = {STUDY.named(levels): levels for levels in pairs}
    return results | {"runs": runs + results["runs"], "cells": cells}


def changes(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The effect of bfloat16 in place of float32 on each model."""
    return {
        model: effect(
            results,
            [Change(*({"model": model, "precision": one} for one in PRECISIONS))],
            measure,
            epoch,
        )
        for model in CONFIGS
    }


def told_apart(results: dict) -> dict[str, list[str]]:
    """By which measures of COMPARED each model's two precisions differ at the end, by title.

    They do where the 95 % interval leaves out "no difference", uncorrected, so that chance tells
    some apart too. Models with fewer than SEEDS runs a cell are left out. The rule, set before the
    first result: for a model that nothing tells apart, bfloat16 may become the default of live
    cells and of recordings to come.
    """
    found: dict[str, list[str]] = {}
    for measure in COMPARED:
        for model, one in changes(results, measure, last_epoch(results)).items():
            enough = all(
                len(select(results, model=model, precision=precision)) >= SEEDS
                for precision in PRECISIONS
            )
            if enough:
                differ = one.n > 0 and not one.low <= one.null <= one.high
                found.setdefault(model, []).extend([measure.title] if differ else [])
    return found


STUDY = Study(
    "rounding",
    "products in bfloat16 for products in float32",
    "rounding",
    cells_of,
    join=with_shipped,
    measures=(DISTANCE, COVERAGE, RECALL, PRECISION, SPECKS),
    gallery={"bfloat16": {model: f"{model}-bfloat16" for model in CONFIGS}},
)
