"""A few labels: is it the GAN that helps?

Every method learns from the same draws of labels, a draw a seed. An epoch here is one of the GANs';
the teacher, which is quicker, is given the same time and does more of its own. What
reads digits is, of every method, the average of the last weights: nothing that a person with so
few labels would not have decides when to stop or what to keep.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from torch import Tensor

from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import MODELS, family
from ganlib.judge.metrics import Reference
from ganlib.models.semi_supervised import choose_labelled
from ganlib.runs.manifest import made_here
from ganlib.runs.store import Run
from ganlib.steps import Batch
from ganlib.studies import recognisers
from ganlib.studies.along import train_along
from ganlib.studies.analysis import (
    Estimate,
    Vote,
    combine,
    estimate,
    last_epoch,
    select,
    values,
)
from ganlib.studies.analysis import read as read_votes
from ganlib.studies.claims import Claim
from ganlib.studies.engine import Cell
from ganlib.studies.measures import Measure
from ganlib.studies.recognisers import read, share_read, support_vectors, train_recogniser
from ganlib.studies.study import Count, Study

EPOCHS = (1, 2, 4, 6, 8)  # of the GANs; measured, and the last ends the run
N_LABELS = (25, 50, 100, 250, 1000)
DRAWS = 5
GANS = "sgan", "matching-affine"  # Odena's as it was published; the better prototype
# At every number of labels, and what more at 100.
METHODS = ("svm", "labels", "labels-affine", "teacher-affine", *GANS)
MORE_AT = 100
MORE = ("labels-shifts", "teacher", "sgan-shifts", "sgan-affine", "matching", "matching-shifts")
# So many epochs of its own for one of the GANs': with labels alone as many iterations; the teacher
# as many epochs as take no longer, on a GPU (on one core of a CPU it would be 2.4).
PACE = {"labels": 1.0, "teacher": 1.6}
# What GANs are compared with: the same network, labels and changes of images, without the GAN.
WITHOUT = {"sgan": "labels", "matching-affine": "labels-affine"}
NO_GAN = "teacher-affine"  # unlabelled images used, changed alike, in the same time
# Goals, set before any run.
GOAL_AT = 25, 50, 100  # labels: the GAN is better than without it, each with an interval above 0
GOAL_SHARE = 0.985  # read rightly with 100 labels
ODENA = {25: (0.750, 0.802), 50: (0.859, 0.883), 100: (0.895, 0.928), 1000: (0.965, 0.964)}


def cells_of(seed: int) -> list[Cell]:
    """Every method with every number of labels, fewest first, on the draw of a seed."""
    found = []
    for n in N_LABELS:
        for method in METHODS + (MORE if n == MORE_AT else ()):
            gan = method if method in MODELS else "sgan"
            settings = family(gan).settings | {"n_epochs": EPOCHS[-1], "n_labels": n, "seed": seed}
            levels = {"method": method, "n_labels": n, "seed": seed}
            config = TrainingConfig(model=gan, loss="bce", **settings)
            name = f"{method}-{n}-seed{seed}"
            found.append(Cell(name, levels, config, EPOCHS, run_cell, sheet=False))
    return found


# --- One cell ------------------------------------------------------------------------------------


def run_cell(
    cell: Cell, workspace: Path, against: Reference, device: str = "auto", on_epoch=None
) -> dict:
    """Train a method in ``workspace/NAME``: its share of test digits read rightly, by epoch.

    A GAN is an ordinary run, with sheets of samples. Only GANs go on where they were stopped.
    """
    images, labels = against.test.images, against.test.labels

    def measure(run: Run) -> dict:
        reader = run.latest_networks()["reader"].to(choose_device(device))
        return {"read": share_read(read(reader, images), labels)}

    if cell.config.model == cell.levels["method"]:
        run, found = train_along(cell, workspace, against, device, measure, on_epoch)
        made = run.made
    else:
        began, found = time.monotonic(), {}
        for epoch, digits in _readings(cell, against, device):
            found[str(epoch)] = {"read": share_read(digits, labels)}
            if on_epoch is not None:
                on_epoch()
        made = made_here(device, time.monotonic() - began)
    kept = {key: made[key] for key in ("device", "seconds")}
    named = {"name": cell.name} | cell.levels
    return named | kept | {"metrics": found, "losses": {}, "epoch_means": {}}


def _readings(cell: Cell, against: Reference, device: str) -> Iterator[tuple[int, Tensor]]:
    """What a method without a GAN reads in the test images, at each of the cell's epochs."""
    data, images = Batch(against.train.images, against.train.labels), against.test.images
    config, method = cell.config, cell.levels["method"]
    if method == "svm":
        known = choose_labelled(data.labels, config.n_labels, config.seed)
        found = support_vectors(Batch(*(part[known] for part in data)), images)
        yield from ((epoch, found) for epoch in cell.epochs)
        return
    own = {round(epoch * PACE[method.split("-")[0]]): epoch for epoch in cell.epochs}
    config = replace(config, n_epochs=max(own), device=device)
    for number, reader in train_recogniser(config, data, **recognisers.METHODS[method]):
        if number in own:
            yield own[number], read(reader, images)


# --- What is measured, and what the claims are judged by -----------------------------------------

READ = Measure("read", "test digits read", "{:.1%}", 0.01)


def gain(results: dict, better: str, than: str, n: int, epoch: int | None = None) -> Estimate:
    """What method ``better`` reads more than another with ``n`` labels, with its 95 % interval.

    Here, unlike in the other studies, seeds are pairs: both methods learn from the same draw of
    labels, on which most depends when they are few.
    """
    epoch = epoch or last_epoch(results)
    one, other = (
        {run["seed"]: READ(run, epoch) for run in select(results, method=method, n_labels=n)}
        for method in (better, than)
    )
    return estimate([one[seed] - other[seed] for seed in sorted(one.keys() & other.keys())])


def _better(better: str, than: str, at: Sequence[int]) -> Callable[[dict], tuple[str, str]]:
    """Is the one method better than the other with so many labels? By analysis.RULE."""

    def count(results: dict) -> tuple[str, str]:
        found = {n: gain(results, better, than, n) for n in at}
        ours = "; ".join(f"{one} with {n} labels" for n, one in found.items())
        ours = f"{better} less {than}, share read: {ours}."
        if any(one.n < DRAWS for one in found.values()):
            return ours, "runs missing"
        return ours, combine(read_votes([Vote(f"{n}", one, READ, +1) for n, one in found.items()]))

    return count


def _goal(results: dict) -> tuple[str, str]:
    """The better GAN's mean share read with 100 labels."""
    means = {}
    for gan in GANS:
        found = values(select(results, method=gan, n_labels=MORE_AT), READ, last_epoch(results))
        if len(found) < DRAWS:
            return f"{len(found)} of {DRAWS} draws.", "runs missing"
        means[gan] = mean(found)
    ours = "; ".join(f"{gan} {share:.2%}" for gan, share in means.items())
    return f"{ours}.", "holds" if max(means.values()) >= GOAL_SHARE else "does not hold"


_PAIRED = f"share of test digits read, over {DRAWS} draws of labels, pair by pair: more, "
COUNTS: dict[str, Count] = {
    "odena": (f"{_PAIRED}with 25 labels", _better("sgan", "labels", (25,))),
    "without": (
        f"{_PAIRED}with {', '.join(map(str, GOAL_AT))}, the changes of images being the same",
        _better("matching-affine", WITHOUT["matching-affine"], GOAL_AT),
    ),
    "no gan": (
        f"{_PAIRED}with {', '.join(map(str, GOAL_AT))}, in the same time and from the same images",
        _better("matching-affine", NO_GAN, GOAL_AT),
    ),
    "goal": (f"mean share read with {MORE_AT} labels, at least {GOAL_SHARE:.1%}", _goal),
}
CLAIMS = (
    Claim(
        "1 b",
        "with 25 labels a GAN reads digits better than a CNN",
        "the classification accuracy of 0.802 for 25 small samples",
        "1",
        "odena",
    ),
)
# Ours, not the paper's.
QUESTIONS = (
    Claim("Q1", "unlabelled images help, by a GAN", "", "", "without"),
    Claim("Q2", "it is the GAN that helps, not unlabelled images alone", "", "", "no gan"),
    Claim("Q3", "the better GAN reads 98.5 % with 100 labels", "", "", "goal"),
)

STUDY = Study(
    "few-labels",
    "learning from a few labels, with a GAN and without",
    "few_labels",
    cells_of,
    named=lambda levels: f"{levels['method']}, {levels['n_labels']} labels",
    measures=(READ,),
    claims=CLAIMS,
    counts=COUNTS,
)
