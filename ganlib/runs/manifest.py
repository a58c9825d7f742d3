"""config.json: what a run says of itself, written as it is and read with every value checked."""

import re
import reprlib
from dataclasses import asdict

import torch

from ganlib import Refused
from ganlib.configuration import TrainingConfig, choose_device, config_fields, require
from ganlib.families import family
from ganlib.runs.files import OWN

FORMAT = 2  # of a run's folder; raised whenever an older reader would misread it. 1: no digests


def about(config: TrainingConfig, epochs_done: int, made: dict, images: int | None) -> dict:
    """What config.json says, but for the ``files``, which `files.commit` adds.

    ``made``: as `made_here` says; ``images``: how many the run trains on, None if not known.
    """
    done = {"epochs_done": epochs_done, "made": made, "images": images}
    return {"format": FORMAT, "config": asdict(config)} | done


def made_here(device: str, seconds: float) -> dict:
    """How a run was made on the device so called: the seconds it took, on what, with what."""
    found = choose_device(device)
    what = f"CPU, {torch.get_num_threads()} thread(s)" if found.type == "cpu" else found.type
    if found.type == "cuda":
        what = torch.cuda.get_device_name(found)
    return {"seconds": round(seconds, 1), "device": what, "torch": torch.__version__}


def read_about(stored: object) -> dict:
    """The fields of a Run that config.json holds. Raises ValueError, naming what is wrong."""
    require("its content", isinstance(stored, dict) and "format" in stored, "a run's", stored)
    version = stored["format"]
    require("format", type(version) is int and version > 0, "a whole number", version)
    if version > FORMAT:
        raise ValueError(
            f"it has format {version}, this ganlib reads format {FORMAT}: "
            "use the version that wrote it, or train again"
        )
    more = () if version == 1 else ("images", "files")
    _check_names("", stored, ("format", "config", "epochs_done", "made", *more))
    settings, done, made = (stored[key] for key in ("config", "epochs_done", "made"))
    later = {"precision": "float32", "n_labels": None}  # what earlier runs do not name
    later |= {"d_lr": None, "ema": 0.0} if version == 1 else {}
    settings = later | settings if isinstance(settings, dict) else settings
    _check_names("config.", settings, tuple(config_fields()))
    config = TrainingConfig(**settings)
    family(config.model)
    fits = type(done) is int and 0 <= done <= config.n_epochs
    require("epochs_done", fits, f"a whole number from 0 to {config.n_epochs}", done)
    _check_names("made.", made, ("seconds", "device", "torch"))
    seconds, words = made["seconds"], (made["device"], made["torch"])
    fits = type(seconds) in (int, float) and 0 <= seconds < 1e12
    require("made.seconds", fits, "a number of seconds", seconds)
    for name, text in zip(("device", "torch"), words):
        fits = isinstance(text, str) and len(text) < 200 and text.isprintable()
        require(f"made.{name}", fits, "a line of text", text)
    images, files = stored.get("images"), stored.get("files")
    fits = images is None or type(images) is int and 2 <= images <= 10**9
    require("images", fits, "a whole number above 1, or null", images)
    if version > 1:
        require("files", isinstance(files, dict), "a file's SHA-256 for each name", files)
        for name, digits in files.items():
            require("files", bool(OWN.fullmatch(name)), "named as a run's", name)
            fits = isinstance(digits, str) and bool(re.fullmatch("[0-9a-f]{64}", digits))
            require(f"files.{name}", fits, "a SHA-256 in hexadecimal", digits)
    made = made | {"seconds": float(seconds)}
    return {"config": config, "epochs_done": done, "made": made, "images": images, "files": files}


def _check_names(where: str, found: object, wanted: tuple[str, ...]) -> None:
    """Raises Refused unless ``found`` is a dictionary with just the ``wanted`` names."""
    require(where.rstrip(".") or "its content", isinstance(found, dict), "an object", found)
    for name in wanted:
        if name not in found:
            raise Refused(f"{where}{name} is missing")
    for name in found.keys() - set(wanted):
        raise Refused(f"{where}{reprlib.repr(name)[1:-1]} is unknown")
