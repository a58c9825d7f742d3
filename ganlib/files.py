"""Files of a run: written whole or not at all, read with an error that says what to do."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from torch import Tensor

from ganlib.errors import RunError

LOCK = ".ganlib-lock"  # in a folder that is written into; gone when that ends


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the one that writes into ``folder``, made if it is not there and gone if it stays empty.

    A killed process leaves the folder free. Raises RunError at once if another one is writing
    there, and if the folder cannot be written. Not for a second time inside itself.
    """
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
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
    with contextlib.suppress(OSError):  # one that is not empty, or gone
        for folder in folders:
            folder.rmdir()


def write_whole(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` holds its old bytes or its new ones, always whole."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True) if partial.parent.is_dir() else None
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def sweep(folder: Path) -> None:
    """Remove what `write_whole` leaves in ``folder`` and below when it is killed in the middle."""
    for partial in folder.rglob(".*"):
        if re.fullmatch(r"\..+\.\d+", partial.name):
            partial.unlink(missing_ok=True)


def read_whole(path: Path) -> bytes:
    """A file of a run. Raises RunError if it is not there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"the run {path.parent} has no readable {path.name}") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What a safetensors file holds. Raises RunError if it is missing or damaged."""
    content = read_whole(path)
    try:
        return from_bytes(content)
    except SafetensorError as error:
        raise RunError(f"{path} is damaged ({error}): train the run again") from error
