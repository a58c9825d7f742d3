"""Why do ones take over? One property of them is changed in the training data at a time.

Of all digits in MNIST ones differ least from each other, and have least ink; sevens and nines,
which multiply beside them, come next in both. So the ones among the training images are made more
varied, or bolder, and no other image is touched. Their number stays what it is. The rest is the
GAN with squared error as the study `length` trains it, whose runs are what both are compared with:
in them the share of ones grows evenly, and from seed to seed by a point or two.

The rule, set before the first run. A change explains why ones take over if it leaves fewer of them
at the last epoch: significantly by ganlib.studies.analysis.RULE (Welch's interval, Holm over both
changes), and by five points at least, half of what the ones have gained by then.
"""

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ganlib.data import DigitImages
from ganlib.judge.metrics import Reference
from ganlib.models.augmentation import shift
from ganlib.studies import engine, length
from ganlib.studies.analysis import Change, Estimate, Vote, effect, last_epoch, read
from ganlib.studies.engine import Cell, read_results
from ganlib.studies.measures import COVERAGE, Measure
from ganlib.studies.study import Line, Study

EPOCHS = (10, 25, 50, 75)  # measured; the last ends the run
DIGIT = 1
AS_THEY_ARE = "as they are"
BASELINE = "gan-mse"  # of the study `length`
MOST_SHIFT = 4  # pixels each way: as far as a digit can go and stay whole
STROKE = 3  # pixels: the side of the brush that makes ones bolder


def varied(ones: Tensor) -> Tensor:
    """Images (N, 1, H, W), each moved by up to MOST_SHIFT pixels each way, once and for all."""
    return shift(ones, torch.Generator(ones.device).manual_seed(0), MOST_SHIFT)


def bold(ones: Tensor) -> Tensor:
    """Images (N, 1, H, W), each pixel the brightest of the STROKE x STROKE around it."""
    return F.max_pool2d(ones, STROKE, stride=1, padding=STROKE // 2)


CHANGES = {"varied": varied, "bold": bold}


def changed(digits: DigitImages, arm: str) -> DigitImages:
    """The same digits, the ones among them changed: ``arm`` names one of CHANGES."""
    images, ones = digits.images.clone(), digits.labels == DIGIT
    images[ones] = CHANGES[arm](images[ones])
    return replace(digits, images=images)


def train(cell: Cell, workspace: Path, against: Reference, *others) -> dict:
    """`engine.run_cell` on changed training images; they are measured against MNIST as it is."""
    train_on = changed(against.train, cell.levels["arm"])
    return engine.run_cell(cell, workspace, replace(against, train=train_on), *others)


def cells_of(seed: int) -> list[Cell]:
    """Both changes."""
    config = replace(length.CELLS[BASELINE], n_epochs=EPOCHS[-1], seed=seed)
    return [
        Cell(f"{arm}-seed{seed}", {"arm": arm, "seed": seed}, config, EPOCHS, train)
        for arm in CHANGES
    ]


def with_baseline(results: dict, path: Path) -> dict:
    """The results, and before them the runs of `length` in which the ones are as they are."""
    beside = path.with_name(length.STUDY.path.name)
    kept = read_results(beside, "python -m ganlib experiment length")["runs"]
    sheets = beside.with_suffix("")
    runs = [
        run | {"arm": AS_THEY_ARE, "sheet": sheets / f"{run['name']}.png"}
        for run in kept
        if run.get("cell") == BASELINE
    ]
    cells = {AS_THEY_ARE: {"arm": AS_THEY_ARE}} | results["cells"]
    floor = results["floor"] | {ONES.key: _share_of(results["floor"])}
    return results | {"runs": runs + results["runs"], "cells": cells, "floor": floor}


def _share_of(measured: dict) -> float:
    return measured["class_counts"][DIGIT] / sum(measured["class_counts"])


ONES = Measure(
    *("ones", "share of ones", "{:.1%}", 0.05),
    of=lambda run, epoch: _share_of(run["metrics"][str(epoch)]),
)


def effects(results: dict) -> dict[str, Estimate]:
    """What each change does to the share of ones at the last epoch."""
    return {
        arm: effect(
            results, [Change({"arm": AS_THEY_ARE}, {"arm": arm})], ONES, last_epoch(results)
        )
        for arm in CHANGES
    }


def answers(results: dict) -> dict[str, str]:
    """Of each change, whether it explains the ones ("for"); else one of analysis.READINGS."""
    votes = [Vote(arm, one, ONES, -1) for arm, one in effects(results).items()]
    return dict(zip(CHANGES, read(votes)))


STUDY = Study(
    "ones",
    "why ones take over: more varied ones, or bolder ones, to train on",
    "ones",
    cells_of,
    join=with_baseline,
    measures=(ONES, COVERAGE),
    lines={
        AS_THEY_ARE: Line({"arm": AS_THEY_ARE}, False, False),
        "varied": Line({"arm": "varied"}, True, False),
        "bold": Line({"arm": "bold"}, True, True),
    },
)
