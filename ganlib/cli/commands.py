"""What the command line does: train, sample, list, show, record and export.

Each command takes its parsed options and returns an exit code; what was asked wrongly is raised
as one of EXPECTED, whose message is one line that says what would be right.
"""

import argparse
import contextlib
import io
import math
import shlex
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ganlib import Refused, data
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import MODELS, build, family, n_parameters
from ganlib.figures.tables import aligned
from ganlib.page.export import export
from ganlib.runs.files import write_whole
from ganlib.runs.store import RECORDED, Run, RunError, find_run, read_run, recorded_names, train_run
from ganlib.sampling import draw, png, to_sheet
from ganlib.training import TrainingDiverged

# What may go wrong without a bug: told in one line. Anything else shows its traceback.
EXPECTED = (Refused, RunError, data.DataUnavailable, TrainingDiverged, PermissionError)

UNCHECKED = "unchecked, since an earlier ganlib kept no SHA-256 of its files"
WORKSPACE = Path("runs")  # where own runs go, unless said otherwise
MOST_IMAGES = 100_000  # drawn at once: 0.4 GB
# Of what a model logs, what a training in progress shows.
SHOWN = {"g_loss": "G {:.3f}", "d_loss": "D {:.3f}", "d_real": "D(x) {:.2f}"}


# --- train ---------------------------------------------------------------------------------------


def train_command(options: argparse.Namespace) -> int:
    kind = family(options.model)
    given = {f.name: getattr(options, f.name) for f in fields(TrainingConfig) if f.name in options}
    folder = Path(options.out or WORKSPACE / f"{options.model}-seed{given.get('seed', 0)}")
    resume = "resume" in options
    if resume:
        stored = asdict(read_run(folder).config)
    else:
        stored = {"loss": kind.loss} | kind.settings
    if "n_labels" in given and "n_labels" not in kind.settings:
        takes = ", ".join(name for name in MODELS if "n_labels" in MODELS[name].settings)
        raise Refused(f"--n-labels is for {takes}, not for {options.model}: leave it out")
    config = TrainingConfig(**stored | given)
    named = shlex.quote(f"./{folder}" if str(folder) in recorded_names() else str(folder))
    again = f"python -m ganlib train {options.model} --resume --out {named}"
    if not follow(folder, config, resume, again):
        return 130
    run = read_run(folder)
    print(f"{folder}: {run.epochs_done} epochs in {duration(run.made['seconds'])}")
    print(f"sample from it: python -m ganlib sample {named} --n 100 --out samples.png")
    return 0


def follow(folder: Path, config: TrainingConfig, resume: bool, again: str) -> bool:
    """Train a run, showing how it goes; False if Ctrl-C stopped it (``again`` resumes it).

    A terminal shows one bar over all iterations; a log file gets a line an epoch.
    """
    choose_device(config.device)
    dataset = data.load(config.dataset, "train", config.img_size, size=config.train_size)
    done = read_run(folder).epochs_done if resume else 0
    iterations = math.ceil(math.ceil(len(dataset) / config.batch_size) / config.d_steps)
    started, first = time.monotonic(), done
    with tqdm(
        total=max(config.n_epochs, done) * iterations,
        initial=done * iterations,
        unit="it",
        disable=None,  # unless stderr is a terminal
    ) as bar:
        try:
            for epoch in train_run(
                folder, config, dataset, resume=resume, on_iteration=lambda _: bar.update()
            ):
                done = epoch.number
                means = dict(zip(family(config.model).logged, epoch.losses.mean(dim=0).tolist()))
                where = f"epoch {done}/{config.n_epochs}"
                how = ", ".join(
                    form.format(means[name]) for name, form in SHOWN.items() if name in means
                )
                bar.set_description_str(where, refresh=False)
                bar.set_postfix_str(how)
                if bar.disable:
                    pace = (time.monotonic() - started) / (done - first)
                    left = duration(pace * (config.n_epochs - done))
                    print(f"{where}: {how}, about {left} left", flush=True)
        except KeyboardInterrupt:
            bar.close()
            with contextlib.suppress(RunError):  # an epoch may be saved that was not yet told of
                done = read_run(folder).epochs_done
            kept = f"{done} finished epochs are kept"
            kept += f", go on with: {again}" if done < config.n_epochs else ", all of them"
            kept = kept if done else "no epoch was finished, and nothing is kept"
            print(f"ganlib: stopped; {kept}", file=sys.stderr)
            return False
    return True


# --- sample --------------------------------------------------------------------------------------


def sample_command(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if out.suffix.lower() not in (".npz", ".png"):
        raise Refused(f"--out must end in .npz or .png, not {options.out!r}")
    if options.n < 1:
        raise Refused(f"--n must be at least 1, not {options.n}")
    check_drawing(options)
    run, digit = find_run(options.run), options.digit
    if digit is not None:
        last = run.config.n_classes - 1
        if not run.conditional:
            raise Refused(
                f"{run.name} is a {family(run.config.model).title} that knows no labels: "
                "leave --digit out, or sample a conditional run"
            )
        if not 0 <= digit <= last:
            raise Refused(f"--digit must be 0 to {last}, not {digit}")
    images, labels = draw(run.generator(), run.config, options.n, options.seed, digit)
    if out.suffix.lower() == ".png":
        columns = math.ceil(math.sqrt(options.n))  # nearly a square
        write_whole(out, png(to_sheet(images, columns)))
    else:
        buffer = io.BytesIO()
        np.savez(buffer, images=images.numpy(), labels=labels.numpy())
        write_whole(out, buffer.getvalue())
    asked = f"{digit}" if run.labelled else f"code {digit}"
    kind = "images" if digit is None else f"images of {asked}"
    print(f"{out}: {options.n} {kind} by {run.name}, {run.epochs_done} epochs")
    return 0


def check_drawing(options: argparse.Namespace) -> None:
    """Raises Refused for a --seed that PyTorch would not take, or too large an --n."""
    if not 0 <= options.seed < 2**63:
        raise Refused(f"--seed must be at least 0 and below 2**63, not {options.seed}")
    if options.n > MOST_IMAGES:
        raise Refused(f"--n must be at most {MOST_IMAGES:,}, not {options.n:,}")


# --- list, show ----------------------------------------------------------------------------------


def list_command(options: argparse.Namespace) -> int:
    folder = Path(options.folder)
    if not folder.is_dir() and folder != WORKSPACE:
        raise Refused(f"{folder} is no folder: name one that holds runs")
    named = [(name, RECORDED / name) for name in recorded_names()]
    named += [(str(path.parent), path.parent) for path in sorted(folder.glob("*/config.json"))]
    rows = [("run", "model", "loss", "bn_eps", "data set", "epochs", "time", "device")]
    damaged, unchecked = [], []
    for name, path in named:
        try:
            run = read_run(path)
            rows.append(table_row(name, run))
            unchecked += [name] if run.files is None else []
        except RunError as error:
            damaged.append(str(error))
    if len(rows) > 1:
        print(aligned(rows))
    elif not damaged:
        print("no runs yet: python -m ganlib train gan makes one")
    if unchecked:
        print(f"{UNCHECKED}: {', '.join(unchecked)}")
    for line in damaged:
        print(f"not listed: {line}")
    return 0


def table_row(name: str, run: Run) -> tuple[str, ...]:
    config, made = run.config, run.made
    epochs = f"{run.epochs_done}/{config.n_epochs}"
    how = (config.model, config.loss, f"{config.bn_eps:g}", config.dataset, epochs)
    return (name, *how, duration(made["seconds"]), made["device"])


def show_command(options: argparse.Namespace) -> int:
    run = find_run(options.run)
    networks = build(run.config)
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    made = run.made
    took = f"{duration(made['seconds'])} on {made['device']}, torch {made['torch']}"
    rows = [
        ("run", str(run.folder)),
        ("trained", f"{run.epochs_done} of {run.config.n_epochs} epochs, {took}"),
    ]
    if run.epochs_done:
        networks["generator"], losses = run.generator(), run.losses()
        for label, column in (("G loss", "g_loss"), ("D loss", "d_loss")):
            if column not in losses.logged:
                continue
            low, high = losses.range(column)
            told = f"{low:.2f} to {high:.2f} over {losses.epoch_ends[-1]:,} iterations"
            rows.append((label, told))
    rows += [
        *((name, f"{n_parameters(network):,} parameters") for name, network in networks.items()),
        ("folder", f"{size:,} bytes"),
        ("files", UNCHECKED if run.files is None else f"{len(run.files)}, SHA-256 known"),
        ("samples of", "epochs " + ", ".join(map(str, run.sample_epochs()))),
    ]
    print(aligned(rows))
    print("\nconfiguration")
    print(aligned([(f"  {name}", str(value)) for name, value in asdict(run.config).items()]))
    return 0


def duration(seconds: float) -> str:
    """Seconds in words: 9.4 s, 12 min, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


# --- export --------------------------------------------------------------------------------------


def export_command(options: argparse.Namespace) -> int:
    runs: dict[str, Run] = {}  # all are found, and told apart, before one is written
    for run in map(find_run, options.runs):
        other = runs.setdefault(run.name.casefold(), run)
        if other.folder.resolve() != run.folder.resolve():
            raise Refused(f"{other.folder} and {run.folder} have the same name: rename one")
    for run in runs.values():
        described = export(run, Path(options.out))
        size = described.with_suffix(".bin").stat().st_size
        print(f"{described}: the generator of {run.name}, {size:,} bytes of weights")
    return 0
