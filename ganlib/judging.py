"""The commands behind the book's claims: `record`, `evaluate` and `experiment`."""

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ganlib import classifier, data, endurance, experiment, improvements, metrics
from ganlib.commands import check_drawing, duration, follow
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.errors import Refused
from ganlib.experiment import AnyCell
from ganlib.recording import RECIPES, pack
from ganlib.runs import Run, RunError, find_run, read_run, recorded_names, write_whole
from ganlib.sampling import draw
from ganlib.tables import aligned

CLASSIFIER = "classifier"  # a name for `record`, beside those of the recipes

# What `evaluate` prints: (key, title, how to print it).
ROWS = (
    ("accuracy", "drawn as asked", "{:.1%}"),
    ("classes", "digits found (1 % of images or more)", "{}"),
    ("class_kl", "imbalance of digits (KL, nats)", "{:.3f}"),
    ("frechet", "Frechet distance (classifier features)", "{:.1f}"),
    ("precision", "precision", "{:.3f}"),
    ("recall", "recall", "{:.3f}"),
    ("density", "density", "{:.3f}"),
    ("coverage", "coverage", "{:.3f}"),
    ("specks", "specks an image", "{:.2f}"),
    ("memorised_pixels", "looks copied, by pixels", "{:.1%}"),
    ("memorised_features", "looks copied, by features", "{:.1%}"),
)


# --- record --------------------------------------------------------------------------------------


def record_command(options: argparse.Namespace) -> int:
    known = [CLASSIFIER, *RECIPES]
    for name in options.names:
        if name not in known:
            raise Refused(f"unknown recipe {name!r}: choose one of {', '.join(known)}")
    done = [*recorded_names(), *([CLASSIFIER] if classifier.SHIPPED.is_file() else [])]
    names = options.names or [name for name in known if name not in done]
    for name in known:
        if not options.names and name not in names:
            print(f"{name} is recorded already; name it to record it again")
    for name in names:
        if name == CLASSIFIER:
            record_classifier(options.device)
        elif not record_run(name, Path(options.workspace) / name, options.device):
            return 130
        sys.stdout.flush()
    return 0


def record_classifier(device: str, n_epochs: int = 12) -> None:
    """Train the judge on MNIST and ship it; says how well it reads the test split."""
    name, size = classifier.TRAINED_ON, classifier.SIZE
    train, test = (data.load(name, split, size) for split in data.SPLITS)
    steps = n_epochs * math.ceil(len(train) / classifier.BATCH)
    with tqdm(total=steps, desc=CLASSIFIER, unit="it", disable=None) as bar:
        judge = classifier.train_classifier(train, n_epochs, device=device, on_batch=bar.update)
    classifier.save_classifier(judge)
    share = classifier.accuracy(judge, test)
    print(f"{CLASSIFIER}: reads {share:.2%} of the test images; in {classifier.SHIPPED}")


def record_run(name: str, folder: Path, device: str) -> bool:
    """Train, pack and measure a recipe; False if Ctrl-C stopped it."""
    config = replace(RECIPES[name], device=device)
    resume = (folder / "config.json").exists()
    print(f"{name}: {'going on with' if resume else 'training into'} {folder}", flush=True)
    if not follow(folder, config, resume, "python -m ganlib record"):
        return False
    run = read_run(folder)
    packed = pack(run, against=reference_for(run))
    print(f"{name}: recorded in {packed.folder}")
    return True


def reference_for(run: Run) -> metrics.Reference:
    """Both splits of the run's data at its image size, as the judge sees them."""
    if run.config.dataset != classifier.TRAINED_ON:
        raise Refused(
            f"{run.name} was trained on {run.config.dataset}, and the classifier that judges "
            f"reads {classifier.TRAINED_ON} alone"
        )
    pair = [data.load(run.config.dataset, split, run.config.img_size) for split in data.SPLITS]
    return metrics.reference(*pair)


# --- evaluate ------------------------------------------------------------------------------------


def evaluate_command(options: argparse.Namespace) -> int:
    if options.n <= metrics.K:
        raise Refused(f"--n must be above {metrics.K}, the neighbours looked at, not {options.n}")
    check_drawing(options)
    run = find_run(options.run)
    generator = run.generator()  # one that cannot be used is refused at the door
    against = reference_for(run)
    # Now, since what follows takes up to a minute.
    print(f"{run}\n{options.n:,} images against {against.test!r}\n", flush=True)
    images, labels = draw(generator, run.config, options.n, options.seed)
    found = metrics.measure(images, labels if run.conditional else None, against)
    floor = metrics.floor(against, options.n)
    if options.json:
        content = {"run": run.name, "epochs": run.epochs_done, "seed": options.seed}
        content |= {"measures": found, "floor": floor}
        write_whole(Path(options.json), (json.dumps(content, indent=1) + "\n").encode())
    print(aligned(report(found, floor)))
    if found["confusion"]:
        print("\nasked for (rows) and read as (columns)\n" + confusion_text(found["confusion"]))
    return 0


def report(found: dict, floor: dict) -> list[tuple[str, ...]]:
    """Rows of text: each measure, and what real images score."""
    rows = [("measure", "generated", "real images")]
    for key, title, form in ROWS:
        shown = ["-" if side[key] is None else form.format(side[key]) for side in (found, floor)]
        rows.append((title, *shown))
    conditional = found["confusion"] is not None
    words = "  {} drawn as asked" if conditional else "  share of {}"
    for digit in range(10):
        shown = [f"{share_of_digit(side, digit, conditional):.1%}" for side in (found, floor)]
        rows.append((words.format(digit), *shown))
    return rows


def share_of_digit(measured: dict, digit: int, as_asked: bool) -> float:
    """How much of ``digit`` was drawn as asked; or else, how much of all images shows it."""
    if not as_asked:
        return measured["class_counts"][digit] / measured["n_images"]
    asked = measured["confusion"][digit]
    return asked[digit] / max(1, sum(asked))


def confusion_text(counts: list[list[int]]) -> str:
    """The 10 x 10 matrix, with dots for zeros so that the errors stand out."""
    lines = ["     " + "".join(f"{digit:6}" for digit in range(10))]
    for digit, row in enumerate(counts):
        lines.append(f"{digit:5}" + "".join(f"{count or '.':>6}" for count in row))
    return "\n".join(lines)


# --- experiment ----------------------------------------------------------------------------------


def experiment_command(options: argparse.Namespace) -> int:
    device = choose_device(options.device)
    by_default = min(4, os.cpu_count() or 1) if device.type == "cpu" else 1
    n_workers = by_default if options.workers is None else options.workers
    if n_workers < 1:
        raise Refused(f"--workers must be at least 1, not {n_workers}")
    grid, path, epochs = grid_of(options.chapter, options.seeds, options.least_squares_seeds)
    workspace = Path(options.workspace) / path.stem
    results = opened_results(path, epochs)
    done = {one["name"] for one in results["runs"]}
    missing = [cell for cell in grid if cell.name not in done]
    print(f"{len(grid)} cells, {len(grid) - len(missing)} of them done", flush=True)
    began = time.monotonic()
    with tqdm(total=len(missing) * epochs[-1], unit="epoch", disable=None) as bar:

        def show_progress() -> None:
            bar.update(sum(epochs_done(workspace / cell.name) for cell in missing) - bar.n)

        show_progress()
        try:
            cells = run_cells(missing, workspace, options.device, n_workers, show_progress)
            for count, found in enumerate(cells, 1):
                experiment.add_result(results, found, read_run(workspace / found["name"]), path)
                left = (time.monotonic() - began) / count * (len(missing) - count)
                progress = f"{count} of {len(missing)}, about {duration(left)} left"
                tqdm.write(f"{found['name']}: {progress}", file=sys.stdout)
                sys.stdout.flush()
        except KeyboardInterrupt:
            bar.close()
            kept = "finished cells are kept, and the others resume with the same command"
            print(f"ganlib: stopped; {kept}", file=sys.stderr)
            return 130
    print(f"{len(results['runs'])} results in {path}")
    return 0


def grid_of(
    chapter: int, n_seeds: int, n_seeds_least_squares: int
) -> tuple[Sequence[AnyCell], Path, tuple[int, ...]]:
    """A chapter's experiment: its cells, the file of their results, the epochs measured."""
    if chapter == 2:
        return endurance.long_runs(n_seeds), endurance.RESULTS, endurance.EPOCHS
    if chapter == 5:
        return improvements.arms(n_seeds), improvements.RESULTS, improvements.EPOCHS
    grid = experiment.cells(n_seeds, n_seeds_least_squares)
    return grid, experiment.RESULTS, experiment.EPOCHS


def opened_results(path: Path, epochs: tuple[int, ...]) -> dict:
    """The results in ``path``, or new ones; refuses a file made under another protocol."""
    if not path.exists():
        return experiment.new_results(shared_reference(), epochs)
    results, wanted = experiment.read_results(path), experiment.protocol(epochs)
    if results["protocol"] != wanted:
        raise RunError(
            f"{path} follows another protocol ({results['protocol']}, not {wanted}): "
            "move it away to start afresh"
        )
    return results


def shared_reference() -> metrics.Reference:
    """Both splits that every cell trains on and is measured against."""
    size = TrainingConfig.img_size
    return metrics.reference(*(data.load(experiment.DATASET, s, size) for s in data.SPLITS))


def epochs_done(folder: Path) -> int:
    return read_run(folder).epochs_done if (folder / "config.json").exists() else 0


def run_cells(
    cells: list[AnyCell],
    workspace: Path,
    device: str,
    n_workers: int,
    show_progress: Callable[[], None],
) -> Iterator[dict]:
    """Train and measure ``cells``, ``n_workers`` at a time; yields each result as it comes."""
    if n_workers == 1:
        against = shared_reference()
        for cell in cells:
            yield experiment.run_cell(cell, workspace, against, device, show_progress)
        return
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // n_workers)
    with context.Pool(n_workers, open_worker, (workspace, device, threads)) as pool:
        coming = pool.imap_unordered(work, cells)
        for _ in cells:
            while True:
                try:
                    found = coming.next(timeout=2)
                    break
                except multiprocessing.TimeoutError:
                    show_progress()  # the workers' run folders say how far they are
            yield found


_worker: tuple = ()  # what a worker process keeps from cell to cell


def open_worker(workspace: Path, device: str, threads: int) -> None:
    global _worker
    torch.set_num_threads(threads)
    _worker = (workspace, shared_reference(), device)


def work(cell: AnyCell) -> dict:
    return experiment.run_cell(cell, *_worker)
