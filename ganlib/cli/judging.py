"""The commands behind the book's claims: `record`, `evaluate` and `experiment`."""

import argparse
import json
import math
import os
import sys
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from ganlib import Refused, data
from ganlib.cli.commands import check_drawing, duration, follow
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.figures.tables import aligned
from ganlib.judge import classifier, metrics
from ganlib.runs.files import locked
from ganlib.runs.store import Run, RunError, find_run, read_run, recorded_names, write_whole
from ganlib.sampling import draw
from ganlib.studies import engine, workers
from ganlib.studies.catalogue import STUDIES
from ganlib.studies.engine import Cell
from ganlib.studies.recording import RECIPES, pack

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
    packed = pack(run, against=reference_for(run, device))
    print(f"{name}: recorded in {packed.folder}")
    return True


def reference_for(run: Run, device: str = "cpu") -> metrics.Reference:
    """Both splits of the run's data at its image size, as the judge sees them."""
    if run.config.dataset != classifier.TRAINED_ON:
        raise Refused(
            f"{run.name} was trained on {run.config.dataset}, and the classifier that judges "
            f"reads {classifier.TRAINED_ON} alone"
        )
    pair = [data.load(run.config.dataset, split, run.config.img_size) for split in data.SPLITS]
    return metrics.reference(*pair, device=device)


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
    found = metrics.measure(images, labels if run.labelled else None, against)
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
    n_workers = workers_here(options)
    study = STUDIES[options.study]
    grid, path = study.cells(options.seeds), study.path
    workspace, device = Path(options.workspace) / study.file, options.device
    cluster = workers.connected(options.scheduler) if options.scheduler else nullcontext()
    with cluster as client, locked(workspace):
        results = opened_results(path, grid[0], "cpu" if client else device)
        done = {one["name"] for one in results["runs"]}
        missing = [cell for cell in grid if cell.name not in done]
        print(f"{len(grid)} cells, {len(grid) - len(missing)} of them done", flush=True)
        began, length, failed = time.monotonic(), grid[0].epochs[-1], 0
        ended: set[str] = set()
        with tqdm(total=len(missing) * length, unit="epoch", disable=None) as bar:

            def tick() -> None:
                """The run folders say how far the cells are; a cluster's may lie elsewhere."""
                done = (
                    length if cell.name in ended else epochs_done(workspace / cell.name)
                    for cell in missing
                )
                bar.update(sum(done) - bar.n)

            def tell(line: str) -> None:
                tqdm.write(f"ganlib: {line}", file=sys.stderr)

            if client:
                outcomes = workers.on_cluster(missing, workspace, device, client, tell)
            elif n_workers == 1:
                outcomes = workers.one_by_one(missing, workspace, device, tick)
            else:
                outcomes = workers.in_processes(missing, workspace, device, n_workers, tick, tell)
            try:
                with closing(outcomes):
                    for count, outcome in enumerate(outcomes, 1):
                        ended.add(outcome.name)
                        tick()
                        if outcome.error:
                            failed += 1
                            tell(f"{outcome.name}: {outcome.error}")
                            continue
                        results = engine.add_result(results, outcome.found, outcome.sheet, path)
                        left = (time.monotonic() - began) / count * (len(missing) - count)
                        progress = f"{count} of {len(missing)}, about {duration(left)} left"
                        tqdm.write(f"{outcome.name}: {progress}", file=sys.stdout)
                        sys.stdout.flush()
            except KeyboardInterrupt:
                bar.close()
                kept = "finished cells are kept, and the others resume with the same command"
                print(f"ganlib: stopped; {kept}", file=sys.stderr)
                return 130
    print(f"{len(results['runs'])} results in {path}")
    if failed:
        again = "the same command tries them again"
        print(f"ganlib: {failed} of {len(missing)} cells failed; {again}", file=sys.stderr)
    return 1 if failed else 0


def workers_here(options: argparse.Namespace) -> int:
    """How many cells to train at once on this machine; 0 if a cluster does."""
    if options.scheduler:
        if options.workers is not None:
            raise Refused("--workers is for this machine: a cluster has its own, leave it out")
        TrainingConfig(device=options.device)  # there, not here, it must exist
        return 0
    device = choose_device(options.device)
    by_default = min(4, os.cpu_count() or 1) if device.type == "cpu" else 1
    n_workers = by_default if options.workers is None else options.workers
    if n_workers < 1:
        raise Refused(f"--workers must be at least 1, not {n_workers}")
    return n_workers


def opened_results(path: Path, cell: Cell, device: str = "cpu") -> dict:
    """The results in ``path``, or new ones for cells such as this; refuses another protocol's."""
    if not path.exists():
        return engine.new_results(workers.shared_reference(cell.config, device), cell.epochs)
    results = engine.read_results(path)
    engine.check_protocol(results, engine.protocol(cell.epochs), path)
    return results


def epochs_done(folder: Path) -> int:
    """How far a cell is; 0 too where its folder is damaged, which the cell itself tells."""
    try:
        return read_run(folder).epochs_done
    except RunError:
        return 0
