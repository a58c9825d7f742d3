"""A cell measured while it trains, by what is gone afterwards: all networks, not G alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ganlib.judge.metrics import Reference
from ganlib.runs.files import read_json, write_whole
from ganlib.runs.store import Run, read_run, train_run
from ganlib.studies.engine import Cell


def train_along(
    cell: Cell,
    workspace: Path,
    against: Reference,
    device: str,
    measure: Callable[[Run], dict],
    on_epoch: Callable[[], None] | None = None,
) -> tuple[Run, dict[str, dict]]:
    """Train a cell into ``workspace/NAME``, or go on with it, and ``measure`` it at its epochs.

    Returns the run and what was measured, by epoch. That is kept beside the run, in
    ``workspace/NAME.json``: a training that is killed at any moment loses none of it.
    """
    folder, kept = workspace / cell.name, workspace / f"{cell.name}.json"
    found = read_json(kept.read_bytes()) if kept.exists() else {}
    for epoch in cell.epochs:
        if str(epoch) in found:
            continue
        resume = (folder / "config.json").exists()
        if not resume or read_run(folder).epochs_done < epoch:
            config = replace(cell.config, n_epochs=epoch, dataset=against.train.name, device=device)
            for _ in train_run(folder, config, against.train, (0, *cell.epochs), resume):
                if on_epoch is not None:
                    on_epoch()
        found[str(epoch)] = measure(read_run(folder))
        write_whole(kept, json.dumps(found).encode())
    return read_run(folder), found
