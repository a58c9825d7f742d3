"""One mode of eight, or more than six? Two papers on the same plain GAN, and what lies between.

Each row trains ten seeds of a protocol and keeps what they find, in ``collapse.json``.

As published, the protocols are too long for a processor: ten seeds of PacGAN's take hundreds of
thousands of iterations of networks with half a million weights. So the rows are *small copies*: all
settings are the published ones but the networks' widths, the size of a batch in VEEGAN's, and the
number of iterations; and one row has VEEGAN's own widths and batch. Unrolling, which makes each
iteration five or six times as long, has half as many.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from ganlib.runs.files import write_whole
from ganlib.runs.store import RECORDED, RunError
from ganlib.studies.analysis import Estimate, estimate
from ganlib.studies.modes import SEEDS, Protocol, measure

RESULTS = RECORDED / "collapse.json"
WATCHED = 200  # points of the first seed that are kept at each check, for a picture

# --- Protocols -----------------------------------------------------------------------------------

# VEEGAN (Srivastava et al. 2017): the paper and its page state data and measure. The settings are
# those of its public notebook as others carried them on; how long it trained, none of them says.
VEEGAN = Protocol(
    latent_dim=254, g_widths=(128, 128), d_widths=(128, 128), lr=1e-3, b1=0.5, batch_size=500,
    iterations=2000,
)  # fmt: skip
# PacGAN (Lin et al. 2018): its public configuration, 400 epochs of 100,000 samples. There the
# samples are drawn once, here anew. Batch normalisation's eps is that of Blocks, which it uses.
PACGAN = Protocol(
    latent_dim=2, g_widths=(400,) * 4, d_widths=(200,) * 3, pieces=5, bn_eps=1e-4, start=0.02,
    lr=1e-4, b1=0.8, batch_size=100, iterations=400_000,
)  # fmt: skip
SHORT = 4000
SMALL_VEEGAN = replace(
    VEEGAN, g_widths=(64, 64), d_widths=(64, 64), batch_size=100, iterations=SHORT
)
SMALL_PACGAN = replace(PACGAN, g_widths=(64,) * 4, d_widths=(32,) * 3, iterations=SHORT)

# One factor at a time from each small copy towards the other.
FACTORS: dict[str, tuple[str, ...]] = {
    "learning rate": ("lr",),
    "z": ("latent_dim",),
    "batch norm": ("bn_eps",),
    "G's depth": ("g_widths",),
    "D's layers": ("d_widths", "pieces"),
    "first weights": ("start",),
    "b1": ("b1",),
}


def steps_between(here: Protocol, there: Protocol) -> dict[str, Protocol]:
    """``here`` with one of FACTORS at a time as it is in ``there``."""
    return {
        factor: replace(here, **{name: getattr(there, name) for name in names})
        for factor, names in FACTORS.items()
    }


def _remedies(base: Protocol) -> dict[str, Protocol]:
    return {
        "packing 2": replace(base, pack=2),
        "packing 4": replace(base, pack=4),
        "label": replace(base, label=True),
    }


def _rows() -> dict[str, Protocol]:
    """Every row by name, in the order of training: what matters most comes first."""
    rows = {}
    for data in ("ring", "grid"):
        rows[f"VEEGAN, small, {data}"] = replace(SMALL_VEEGAN, data=data)
        rows[f"PacGAN, small, {data}"] = replace(SMALL_PACGAN, data=data)
        for remedy, protocol in _remedies(replace(SMALL_PACGAN, data=data)).items():
            rows[f"PacGAN, small, {data}, {remedy}"] = protocol
    for factor, protocol in steps_between(SMALL_VEEGAN, SMALL_PACGAN).items():
        rows[f"VEEGAN, small, ring, but {factor}"] = protocol
    for factor, protocol in steps_between(SMALL_PACGAN, SMALL_VEEGAN).items():
        rows[f"PacGAN, small, ring, but {factor}"] = protocol
    rows["PacGAN, small, ring, but eps 0.8"] = replace(SMALL_PACGAN, bn_eps=0.8)
    rows["VEEGAN, small, ring, but batch"] = replace(SMALL_VEEGAN, batch_size=VEEGAN.batch_size)
    rows["VEEGAN, its widths and batch, ring"] = VEEGAN
    rows["PacGAN, small, ring, three times as long"] = replace(SMALL_PACGAN, iterations=3 * SHORT)
    for paper, small in (("VEEGAN", SMALL_VEEGAN), ("PacGAN", SMALL_PACGAN)):
        unrolled = replace(small, unroll=5, iterations=SHORT // 2)
        rows[f"{paper}, small, ring, unrolled 5"] = unrolled
    return rows


ROWS = _rows()
KEPT_POINTS = (
    "VEEGAN, small, ring", "PacGAN, small, ring", "PacGAN, small, ring, packing 2",
    "PacGAN, small, grid", "PacGAN, small, grid, label",
)  # fmt: skip


def read(path: Path = RESULTS) -> dict:
    """The rows of a results file by name, none if it is not there. Raises RunError if damaged."""
    try:
        return json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as error:
        raise RunError(
            f"{path} is damaged ({error}): delete it, and its rows are trained"
        ) from error


def record(
    path: Path = RESULTS,
    rows: Sequence[str] = tuple(ROWS),
    seeds: tuple[int, ...] = SEEDS,
    say: Callable[[str], None] = print,
) -> None:
    """Train the ``rows`` that ``path`` does not have yet, and keep each as soon as it is done.

    A row is trained anew if it was kept with another protocol or other seeds.
    """
    results = read(path)
    for name in rows:
        kept = results.get(name)
        if kept and trained_by(kept) == _plain(ROWS[name]) and kept["seeds"] == list(seeds):
            continue
        row = measure(ROWS[name], seeds, WATCHED if name in KEPT_POINTS else 0)
        results[name] = row
        _write(path, results)
        say(f"{name}: {modes_of(row)} modes, {near_of(row)} % near one")


def _plain(protocol: Protocol) -> dict:
    """As JSON gives it back."""
    return json.loads(json.dumps(asdict(protocol)))


def trained_by(row: dict) -> dict:
    """A kept row's protocol; a field newer than the row has its default, which changes nothing."""
    return _plain(Protocol()) | row["protocol"]


def _write(path: Path, results: dict) -> None:
    order = {name: results[name] for name in ROWS if name in results}
    write_whole(path, (json.dumps(order, separators=(",", ":")) + "\n").encode())


# --- What was found ------------------------------------------------------------------------------


def modes_of(row: dict, check: int = -1) -> Estimate:
    """Modes at a check, the last if none is named: mean over the seeds and 95 % interval."""
    return estimate(row["modes"][check])


def near_of(row: dict, check: int = -1) -> Estimate:
    """Percent of the points near a mode, likewise."""
    return estimate(100 * share for share in row["near"][check])


class Published(NamedTuple):
    """A row of a published table: means, and standard errors where it gives them."""

    paper: str
    method: str
    data: str
    modes: float
    near: float  # percent
    modes_error: float = 0.0
    near_error: float = 0.0
    ours: str = ""  # the row of ROWS that follows it
    full: bool = False  # with the published widths and length


PUBLISHED = (
    Published("VEEGAN", "GAN", "ring", 1, 99.3, ours="VEEGAN, its widths and batch, ring"),
    Published("VEEGAN", "GAN", "grid", 3.3, 0.5, ours="VEEGAN, small, grid"),
    Published("VEEGAN", "ALI", "ring", 2.8, 0.13),
    Published("VEEGAN", "ALI", "grid", 15.8, 1.6),
    Published(
        "VEEGAN", "Unrolled GAN, 5 steps", "ring", 7.6, 35.6, ours="VEEGAN, small, ring, unrolled 5"
    ),
    Published("VEEGAN", "Unrolled GAN, 5 steps", "grid", 23.6, 16),
    Published("VEEGAN", "VEEGAN", "ring", 8, 52.9),
    Published("VEEGAN", "VEEGAN", "grid", 24.6, 40),
    Published("PacGAN", "GAN", "ring", 6.3, 98.2, 0.5, 0.2, "PacGAN, small, ring"),
    Published("PacGAN", "GAN", "grid", 17.3, 94.8, 0.8, 0.7, "PacGAN, small, grid"),
    Published("PacGAN", "PacGAN 2", "ring", 7.9, 95.6, 0.1, 2.0, "PacGAN, small, ring, packing 2"),
    Published("PacGAN", "PacGAN 2", "grid", 23.8, 91.3, 0.7, 0.8, "PacGAN, small, grid, packing 2"),
    Published("PacGAN", "PacGAN 4", "ring", 7.8, 95.9, 0.1, 1.4, "PacGAN, small, ring, packing 4"),
    Published("PacGAN", "PacGAN 4", "grid", 24.8, 93.6, 0.2, 0.6, "PacGAN, small, grid, packing 4"),
)  # fmt: skip
Z = 1.96  # standard errors in a published 95 % interval


def overlap(ours: Estimate, mean: float, error: float) -> bool:
    """Whether our 95 % interval and the published one share a value; without error, its mean."""
    return ours.low <= mean + Z * error and mean - Z * error <= ours.high


def verdict(published: Published, results: dict) -> str:
    """The rule, written before the first row was trained.

    A published row is reproduced if both measures' 95 % intervals overlap ours, and not reproduced
    if one does not, where ours has the published widths and length. A smaller or shorter copy, and
    a method that is not trained here, can't tell, whatever is found.
    """
    row = results.get(published.ours)
    if row is None or not published.full:
        return "can't be told"
    return "reproduced" if all(agreement(published, row).values()) else "not reproduced"


def agreement(published: Published, row: dict) -> dict[str, bool]:
    """Which of the two measures overlap, by name."""
    return {
        "modes": overlap(modes_of(row), published.modes, published.modes_error),
        "near": overlap(near_of(row), published.near, published.near_error),
    }
