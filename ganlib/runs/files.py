"""Files of a run: written whole or not at all, all of an epoch's at once, checked when read."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from torch import Tensor

from ganlib import RunError

# Hidden, and named as nobody else would: what is so called may be removed.
LOCK = ".ganlib-lock"  # in a folder that is written into; gone when that ends
PARTIAL = ".ganlib-partial"  # ends the name of what is not yet in its place
PLACES = ("samples", "weights")  # the folders in a run's
_NUMBER = r"_([0-9]{4}|[1-9][0-9]{4,6})\."
OWN = re.compile(
    r"(generator|losses|checkpoint)\.safetensors|metrics\.json|samples/iteration_[0-9]{7,}\.png"
    rf"|samples/epoch{_NUMBER}png|weights/epoch{_NUMBER}safetensors"
)


@contextlib.contextmanager
def locked(folder: Path, wait: float = 0) -> Iterator[None]:
    """Be the one that writes into ``folder``, made if it is not there and gone if it stays empty.

    A killed process leaves the folder free. Raises RunError if another one is writing there (at
    once, or after ``wait`` seconds), and if the folder cannot be written. Not for a second time
    inside itself.
    """
    made = (*(folder / place for place in PLACES), folder, *folder.parents)
    new = [path for path in made if not os.path.lexists(path)]
    lock = FileLock(folder / LOCK, timeout=wait, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder} is in use by another process: wait until it ends, or name another folder"
        ) from None
    except OSError as error:
        _remove_empty(new)
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows keeps an open file; there, release removes it
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(new)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty, or not there
            folder.rmdir()


# --- Writing -------------------------------------------------------------------------------------


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds its old bytes or its new ones, always whole."""
    partial = path.with_name(f".{uuid4().hex}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def commit(folder: Path, about: dict, new: dict[str, bytes], kept: dict[str, str]) -> dict:
    """Write the files ``new`` and a config.json of ``about`` into ``folder``, all or none of them.

    config.json holds the SHA-256 of every file, so its own replacement decides which ones count:
    a file waits beside its place until then, and is found there by `read_checked` if a kill comes
    right after. ``kept``: the digests of the files that stay; returns them and those of ``new``.
    """
    digests = kept | {name: digest(content) for name, content in new.items()}
    about = about | {"files": dict(sorted(digests.items()))}
    try:
        for name, content in new.items():
            write_whole(_waiting(folder / name), content)
        write_whole(folder / "config.json", json.dumps(about, indent=2).encode() + b"\n")
    finally:  # an interrupt may come before or after config.json was replaced: it is asked
        settle(folder)
    return digests


def settle(folder: Path) -> None:
    """End what a killed process began: put what waits into its place, or remove what never counted.

    Only files that ganlib wrote beside their places are touched.
    """
    digests = {}
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        digests = dict(json.loads((folder / "config.json").read_bytes()).get("files", {}))
    try:
        for place in (folder, *(folder / name for name in PLACES)):
            for partial in place.glob(f".*{PARTIAL}"):
                path = partial.with_name(partial.name[1 : -len(PARTIAL)])
                if not partial.is_file():
                    continue
                wanted = digests.get(path.relative_to(folder).as_posix())
                if wanted and wanted == digest(partial.read_bytes()):
                    os.replace(partial, path)
                else:
                    partial.unlink()
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error.strerror or error}") from error


def _waiting(path: Path) -> Path:
    return path.with_name(f".{path.name}{PARTIAL}")


# --- Reading -------------------------------------------------------------------------------------


def digest(content: bytes) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def own_files(folder: Path) -> set[str]:
    """The names of a run's files in ``folder``, without config.json; what else is there is not."""
    found = [path for place in ("", *PLACES) for path in (folder / place).glob("*")]
    names = {path.relative_to(folder).as_posix() for path in found if path.is_file()}
    return {name for name in names if OWN.fullmatch(name)}


def read_whole(path: Path) -> bytes:
    """A file of a run. Raises RunError if it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"the run {path.parent} has no readable {path.name}") from error


def read_json(content: bytes) -> object:
    """Parsed JSON. Raises ValueError for what is none; NaN and Infinity are none, too."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        return json.loads(content, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_checked(folder: Path, name: str, wanted: str) -> bytes:
    """A file of a run whose SHA-256 must be ``wanted``. Raises RunError if missing or another."""
    path, found = folder / name, False
    for place in (path, _waiting(path), path):  # again, for it may just have been put there
        with contextlib.suppress(OSError):
            content, found = place.read_bytes(), True
            if digest(content) == wanted:
                return content
    if not found:
        raise RunError(f"the run {folder} has no readable {name}")
    raise RunError(
        f"{path} is damaged or another run's (its SHA-256 is not that in config.json): "
        "put the right one back, or train the run again"
    )


def tensors_of(content: bytes, path: Path) -> dict[str, Tensor]:
    """What the safetensors file ``path`` holds. Raises RunError if it is damaged."""
    try:
        return from_bytes(content)
    except SafetensorError as error:
        raise RunError(f"{path} is damaged ({error}): train the run again") from error
