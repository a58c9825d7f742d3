"""The files of MNIST and its kin: found, read, checked, and downloaded where they are not here.

Their names are the same for all three data sets, so a file's MD5 is asked whose it is.
"""

import gzip
import hashlib
import math
import os
import socket
import zlib
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlib import Refused

FOLDER_VARIABLE = "GANLIB_DATA"
SPLITS = ("train", "test")

# A split's images and labels, as all three data sets that torchvision downloads name their files.
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_ALL_FILES = (*_FILES["train"], *_FILES["test"])
# Since the names are the same, these tell whose file it is: MD5 of what the .gz, whose own MD5
# torchvision knows, unpack to, in the order of _ALL_FILES. Computed from files verified by those.
_UNPACKED = {
    "mnist": ("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624")
    + ("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
    "fashion-mnist": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9")
    + ("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
}
_KINDS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}  # torchvision's
_LOCK = ".ganlib-download"  # in the folder, while something is downloaded into it
_PATIENCE = 900  # seconds to wait for another process's download

# What a failed download raises, and reading a file that is cut short or something else.
_UNREADABLE = (RuntimeError, OSError, ValueError, AssertionError, KeyError, TypeError)
_UNREADABLE += (HTTPException, EOFError, zlib.error)


class DataUnavailable(RuntimeError):
    """The data set is neither on this machine nor downloadable."""


def data_folders() -> list[Path]:
    """Folders searched for a local copy, in order; a download goes to the last.

    ``$GANLIB_DATA`` alone if it is set, else ``./data``, then ``~/.cache/ganlib`` if there is a
    home. Each may be torchvision's ``root``, or any folder below it, or hold the four files.
    """
    if os.environ.get(FOLDER_VARIABLE):
        return [Path(os.path.expanduser(os.environ[FOLDER_VARIABLE]))]
    home = os.path.expanduser("~")
    return [Path("data")] + ([] if home == "~" else [Path(home, ".cache", "ganlib")])


def check_fit(images: Tensor, labels: Tensor, channels: int = 1, n_classes: int = 10) -> None:
    """Raises Refused unless the images are (N, channels, H, H) and each has its class's number."""
    if images.ndim != 4 or images.shape[1] != channels or images.shape[2] != images.shape[3]:
        shape = " x ".join(map(str, images.shape))
        grey = "grey, " if channels == 1 else ""
        due = f"{grey}square ones, N x {channels} x H x H, are due"
        raise Refused(f"the images are {shape}, where {due}")
    if not images.numel():
        raise Refused("there are no images")
    if labels.shape != images.shape[:1]:
        shape = " x ".join(f"{n:,}" for n in labels.shape)
        raise Refused(f"there are {shape} labels for {len(images):,} images")
    if labels.is_meta:
        return
    values = labels.double()
    right = (values >= 0) & (values < n_classes) & (values == values.floor())
    if not right.all():
        found = f"the labels go from {values.min():g} to {values.max():g}"
        due = f"whole numbers from 0 to {n_classes - 1} are due"
        raise Refused(f"{found}, where {due}, not {values[~right][0]:g}")


# --- Finding and reading -------------------------------------------------------------------------


@cache
def _owners() -> dict[str, tuple[str, str]]:
    """MD5 of a file, packed or not -> (data set, name of the file)."""
    owners = {md5: (n, file[:-3]) for n in _KINDS for file, md5 in _kind(n).resources}
    for name, hashes in _UNPACKED.items():
        owners |= {md5: (name, file) for md5, file in zip(hashes, _ALL_FILES)}
    return owners


def _kind(name: str) -> type:
    from torchvision import datasets  # here, so that `import ganlib` needs torch alone

    return getattr(datasets, _KINDS[name])


def _places(name: str, folder: Path) -> list[Path]:
    """Where the files may lie if ``folder`` is the root, or is below it."""
    own = _KINDS[name]
    full = Path(os.path.abspath(folder))
    roots = [up.parent for up in (full, full.parent) if up.name in _KINDS.values()]
    places = [root / own / end for root in (folder, *roots) for end in ("raw", "")]
    # Files that lie flat have no name that says whose they are, unless their folder does.
    return places if roots else [*places, folder / "raw", folder]


def _read_idx(path: Path, name: str, file: str) -> Tensor:
    """An IDX file, packed or not: pixels (N, H, W) or labels (N,), uint8. Raises _UNREADABLE."""
    content = path.read_bytes()
    owner = _owners().get(hashlib.md5(content, usedforsecurity=False).hexdigest(), (name, file))
    if owner != (name, file):
        raise ValueError(f"it is the {owner[1]} of {owner[0]}")
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if len(content) < 8 or content[:2] != b"\0\0":
        raise ValueError("it is no IDX file")
    kind, n_axes = content[2:4]
    shape = np.frombuffer(content[4 : 4 + 4 * n_axes], ">u4").tolist()
    due = (3, "grey images, N x H x H") if "images" in file else (1, "labels, N")
    if (n_axes, kind) != (due[0], 8):
        found = " x ".join(map(str, shape))
        raise ValueError(f"it holds {found} of type {kind}, where {due[1]} of type 8 are due")
    size = 4 + 4 * n_axes + math.prod(shape)
    if len(content) != size:
        raise ValueError(f"it holds {len(content):,} bytes, where {size:,} are due")
    pixels = np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes)
    return torch.from_numpy(pixels.reshape(shape).copy())


def _read_file(name: str, place: Path, file: str) -> Tensor | str:
    """One of the four files; or what is wrong with it."""
    wrong = []
    plain = file, file.replace("-idx", ".idx")  # as some mirrors have it
    for path in (place / (one + end) for end in ("", ".gz") for one in plain):
        if os.path.isfile(path):
            try:
                return _read_idx(path, name, file)
            except _UNREADABLE as error:
                strerror = getattr(error, "strerror", None)
                how = f"cannot be read: {strerror}" if strerror else f"is damaged: {error}"
                wrong.append(f"{path.name} {how}")
    return " and ".join(wrong) or f"{file} is missing"


def _look(name: str, split: str, place: Path) -> tuple[Tensor, Tensor] | str:
    """A split's pixels (N, H, H) and labels (N,); or what is wrong there, file by file."""
    pair = [_read_file(name, place, file) for file in _FILES[split]]
    if any(isinstance(one, str) for one in pair):
        told = zip(pair, _FILES[split])
        return ", ".join(one if isinstance(one, str) else f"{file} is whole" for one, file in told)
    try:
        check_fit(pair[0].unsqueeze(1), pair[1])
    except Refused as error:
        return f"{' and '.join(_FILES[split])} do not fit: {error}"
    return tuple(pair)


def _in_folder(name: str, split: str, folder: Path) -> tuple[Tensor, Tensor] | None:
    looked = (_look(name, split, place) for place in _places(name, folder))
    return next((found for found in looked if not isinstance(found, str)), None)


def _report(name: str, folder: Path) -> str:
    """What is in ``folder``, file by file, for each place that has any of the four; else ""."""
    told = []
    for place in _places(name, folder):
        looked = [_look(name, split, place) for split in SPLITS]
        whole = [f"{' and '.join(_FILES[split])} are whole" for split in SPLITS]
        text = ", ".join(x if isinstance(x, str) else fine for x, fine in zip(looked, whole))
        if text.count(" is missing") < len(_ALL_FILES):
            told.append(f"in {place} {text}")
    return "; ".join(told)


# --- Downloading ---------------------------------------------------------------------------------


def _download(name: str, split: str, folder: Path) -> tuple[Tensor, Tensor]:
    """A split from torchvision's mirrors, kept in ``folder``; raises _UNREADABLE.

    One process at a time; those that have waited find the files there. What a failed download
    has made goes again.
    """
    from filelock import FileLock  # here, as it is seldom needed

    raw = folder / _KINDS[name] / "raw"
    if all((raw / file).exists() for file in _ALL_FILES):
        raise FileExistsError(17, "what is there already is left as it is")
    lock, new = FileLock(folder / _LOCK, timeout=_PATIENCE), []
    try:
        while not lock.is_locked:
            new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
            if not os.access(folder.parents[len(new) - 1] if new else folder, os.W_OK):
                raise PermissionError(13, "that folder cannot be written")
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # whoever was before us has failed, and tidied up
                lock.acquire()
    except BaseException:
        _remove_empty(new)
        raise
    new = [path for path in (raw, raw.parent) if not path.exists()] + new
    made = [raw / f"{file}{end}" for file in _ALL_FILES for end in ("", ".gz")]
    made = [path for path in made if not path.exists()]
    found, patience, failed = _in_folder(name, split, folder), socket.getdefaulttimeout(), None
    try:
        if found is None:
            socket.setdefaulttimeout(30)  # seconds; without it a silent network hangs for ever
            try:
                _kind(name)(folder, train=split == "train", download=True)
            except _UNREADABLE as error:
                failed = error
            found = _in_folder(name, split, folder)  # a full disk may have had room for the .gz
    finally:
        socket.setdefaulttimeout(patience)
        for path in made if found is None else []:
            path.unlink(missing_ok=True)
        with suppress(OSError):  # Windows keeps an open file
            (folder / _LOCK).unlink()
        lock.release()
        _remove_empty(new)
    if found is None:
        raise failed or OSError(5, "what came cannot be read")
    return found


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):  # one that is not empty, or gone
        for folder in folders:
            folder.rmdir()


def read(name: str, title: str, split: str) -> tuple[Tensor, Tensor]:
    """A split's pixels (N, H, H) and labels (N,), uint8: from a local copy, else the mirrors.

    Raises DataUnavailable, which says what was found where, if it can be had from neither.
    """
    folders = data_folders()
    for folder in folders:
        found = _in_folder(name, split, folder)
        if found is not None:
            return found
    try:
        return _download(name, split, folders[-1])
    except _UNREADABLE as error:
        where = " or ".join(map(str, folders))
        told = "; ".join(filter(None, (_report(name, folder) for folder in folders)))
        state = f"is not whole in {where} ({told})" if told else f"is not in {where}"
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        # A file that is there but damaged is not replaced: it may be the reader's own.
        raise DataUnavailable(
            f"{title} {state} and could not be downloaded ({why}): connect to the network"
            f"{' (delete damaged files first)' if told else ''}, point {FOLDER_VARIABLE} at a "
            f"folder that has {_KINDS[name]}/raw/{_ALL_FILES[0]}, .gz or not, and its kin, or use "
            "the data set 'digits'"
        ) from error
