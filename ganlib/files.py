"""Files of a run: written whole or not at all, read with an error that says what to do."""

import os
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from torch import Tensor


class RunError(RuntimeError):
    """A run's folder is missing, damaged, of another version, or in the way."""


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
