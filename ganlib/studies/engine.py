"""The engine of every study: a cell is trained, measured, and kept in the study's results file.

A cell is an ordinary run with a name, filed under the levels of the study's factors. Whatever is
in the file is skipped, so that a study can grow by cells and seeds at any time. What is studied is
said elsewhere (:mod:`ganlib.studies.study`).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ganlib.configuration import TrainingConfig
from ganlib.judge import classifier, metrics
from ganlib.runs.files import locked
from ganlib.runs.store import Run, RunError, read_run, train_run, write_whole
from ganlib.sampling import draw

COUNTS = (200, 500, 1000, 2000, 5000, metrics.N_IMAGES)  # of images that the floor is measured on
DATASET = "mnist"


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    ``levels``: of the study's factors, and the ``seed``, as its result is filed. ``epochs``: when
    it is measured; the last ends the run. ``run``: what does that, if it is not `run_cell`.
    ``sheet``: whether its last sheet of samples is kept beside the results.
    """

    name: str
    levels: dict
    config: TrainingConfig
    epochs: tuple[int, ...]
    run: Callable[..., dict] | None = None
    sheet: bool = True


# --- One cell ------------------------------------------------------------------------------------


def run_cell(
    cell: Cell,
    workspace: Path,
    against: metrics.Reference,
    device: str = "auto",
    on_epoch: Callable[[], None] | None = None,
) -> dict:
    """Train a cell into ``workspace/NAME``, or go on with it, and measure it; see `result`."""
    folder = workspace / cell.name
    config = replace(cell.config, dataset=against.train.name, device=device)
    resume = (folder / "config.json").exists()
    for _ in train_run(folder, config, against.train, (0, *cell.epochs), resume):
        if on_epoch is not None:
            on_epoch()
    return result(cell, read_run(folder), against)


def measure_run(
    run: Run,
    epochs: Iterable[int],
    against: metrics.Reference,
    copies: bool = True,
) -> dict[str, dict]:
    """The run's measures at ``epochs``, by epoch (as text, for JSON); copies at the last only.

    Every epoch draws from the same 10,000 points z. The run's latest weights need no kept
    ones, so a packed run can be measured at its end.
    """
    found, epochs = {}, list(epochs)
    for epoch in epochs:
        generator = run.generator(None if epoch == run.epochs_done else epoch)
        look = copies and epoch == epochs[-1]
        found[str(epoch)] = measure_generator(generator, run, against, look)
    return found


def measure_generator(
    generator: nn.Module, run: Run, against: metrics.Reference, copies: bool = False
) -> dict:
    """The measures of a generator of the run's kind, on 10,000 images from the same z always."""
    generator.to(next(against.classifier.parameters()).device)
    images, labels = draw(generator, run.config, metrics.N_IMAGES, seed=0)
    return metrics.measure(images, labels if run.labelled else None, against, copies)


def result(cell: Cell, run: Run, against: metrics.Reference) -> dict:
    """What is kept of a finished cell: its measures, and its losses under each logging rule.

    If the run averaged G's weights, also what its latest weights score at the end: ``latest``.
    """
    means = {column: run.losses().epoch(column).tolist() for column in ("g_loss", "d_loss")}
    made = {"device": run.made["device"], "seconds": run.made["seconds"]}
    measured = {"metrics": measure_run(run, cell.epochs, against)}
    if run.config.ema:
        measured["latest"] = measure_generator(run.latest_generator(), run, against)
    named = {"name": cell.name} | cell.levels
    return named | made | measured | {"losses": loss_ranges(run), "epoch_means": means}


def loss_ranges(run: Run) -> dict[str, dict[str, tuple[float, float]]]:
    """Smallest and largest G loss and D loss of a run, by logging rule."""
    ranges = {column: run.losses().ranges(column) for column in ("g_loss", "d_loss")}
    rules = ranges["g_loss"]
    return {rule: {column: found[rule] for column, found in ranges.items()} for rule in rules}


# --- All results ---------------------------------------------------------------------------------


# The classifier's digest when results did not name it yet: it judged all that lack one.
FIRST_JUDGE = "a84254ef84927b1378e4997fbc3d98bd0e64cddabd08c896102583c00bcd4090"


def protocol(epochs: tuple[int, ...]) -> dict:
    """What all results in one file share, the judge among it: its file's SHA-256."""
    return {
        "n_epochs": epochs[-1],
        "epochs": list(epochs),
        "n_images": metrics.N_IMAGES,
        "k": metrics.K,
        "dataset": DATASET,
        "classifier": classifier.digest(),
    }


def check_protocol(results: dict, wanted: dict, path: Path) -> None:
    """Raises RunError if ``results``, those in ``path``, were not made as ``wanted``."""
    found = results["protocol"]
    if other := [key for key in wanted | found if wanted.get(key) != found.get(key)]:
        what = ", ".join(f"{key} {found.get(key)}, not {wanted.get(key)}" for key in other)
        raise RunError(f"{path} follows another protocol ({what}): move it away to start afresh")


def read_results(path: Path, makes_them: str = "python -m ganlib experiment") -> dict:
    """A results file: ``protocol``, ``floor``, ``floor_by_count`` and ``runs``.

    Raises RunError if it is missing or damaged.
    """
    try:
        found = json.loads(path.read_bytes())
        if {"protocol", "floor", "floor_by_count", "runs"} - found.keys():
            raise ValueError("parts are missing")
        found["protocol"].setdefault("classifier", FIRST_JUDGE)
        return found
    except OSError as error:
        raise RunError(f"no results in {path}: {makes_them} makes them") from error
    except (ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}): delete it and run the experiment") from error


def new_results(against: metrics.Reference, epochs: tuple[int, ...]) -> dict:
    """Results without a run: the protocol, and the floor of every measure, by number of images."""
    floors = {str(n): metrics.floor(against, n, copies=n == COUNTS[-1]) for n in COUNTS}
    return {
        "protocol": protocol(epochs),
        "floor": floors[str(COUNTS[-1])],
        "floor_by_count": floors,
        "runs": [],
    }


def add_result(results: dict, found: dict, sheet: bytes, path: Path) -> dict:
    """Put a cell's result into the file ``path``, its last ``sheet``, a PNG, into a folder beside.

    An empty sheet is none. ``results`` are those of a file that is not there yet; one that is there
    is read again, since another process may add to it too. Returns what is in the file now. Raises
    RunError if that follows another protocol.
    """
    sheets = path.with_suffix("")
    with locked(sheets, wait=60):
        if path.exists():
            kept = read_results(path)
            check_protocol(kept, results["protocol"], path)
            results = kept
        others = [other for other in results["runs"] if other["name"] != found["name"]]
        runs = sorted([*others, found], key=lambda one: one["name"])
        results = rounded(results | {"runs": runs})
        if sheet:
            write_whole(sheets / f"{found['name']}.png", sheet)
        write_whole(path, (json.dumps(results) + "\n").encode())
    return results


def rounded(found):
    """Every number to six significant digits, which are more than the measures are worth."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [rounded(value) for value in found]
    return float(f"{found:.6g}") if isinstance(found, float) else found
