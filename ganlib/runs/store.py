"""A run on disk: a folder that holds all of one training, and can go on where it stopped.

    config.json              the configuration, how far the run is, how long it took, on what
    losses.safetensors       every logged number, or for recorded runs a summary
    samples/epoch_0025.png   a sheet of 10 x 10 images from the same fixed z each time
    weights/epoch_0025.safetensors   the generator at that epoch (not in recorded runs)
    generator.safetensors    the generator's latest weights
    metrics.json             what was measured at each epoch (recorded runs only)
    checkpoint.safetensors   all networks and both optimisers (not in recorded runs)

config.json has the SHA-256 of every other file, checked when that is read, and is replaced last;
nothing is written before the first epoch is done. A run killed at any moment later resumes from its
last finished epoch. Nothing here is pickled.
"""

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ganlib import Refused, RunError
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.data import DigitImages
from ganlib.families import build, family
from ganlib.precision import choose_precision
from ganlib.runs import checkpoint
from ganlib.runs.files import (
    commit,
    digest,
    locked,
    own_files,
    read_checked,
    read_json,
    read_whole,
    settle,
    tensors_of,
)
from ganlib.runs.files import write_whole as write_whole  # for what is kept beside runs
from ganlib.runs.history import LossHistory, summarise
from ganlib.runs.manifest import about, made_here, read_about
from ganlib.sampling import SHEET, from_sheet, generate, png, sheet_columns, sheet_inputs, to_sheet
from ganlib.steps import Batch
from ganlib.training import Epoch, check_batches, start, train

RECORDED = Path(__file__).parents[1] / "recorded"
CHECKPOINT = "checkpoint.safetensors"
GOES_ON = ("n_epochs", "device")  # what may differ when a run goes on
SAMPLE_EPOCHS = (0, 1, 2, 5, 10, 25, 50, 75, 100, 150, 200)


# --- Reading a run -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A run's folder, with its configuration read. The rest is read when asked for."""

    folder: Path
    config: TrainingConfig
    epochs_done: int
    made: dict  # seconds, device, torch version
    images: int | None  # trained on; None: not known
    files: dict[str, str] | None  # the SHA-256 of each; None: a folder of the first format

    @property
    def name(self) -> str:
        return self.folder.resolve().name or "run"

    def __str__(self) -> str:
        config, minutes = self.config, self.made["seconds"] / 60
        on = {name: getattr(config, name) for name in ("d_lr", "ema", "n_labels")}
        extras = "".join(f"{name} {value:g}, " for name, value in on.items() if value)
        unchecked = "" if self.files is not None else "; its files are unchecked"
        return (
            f"{self.name}: {self.epochs_done} epochs of {config.dataset}, loss {config.loss}, "
            f"bn_eps {config.bn_eps:g}, {extras}seed {config.seed}; "
            f"{minutes:.0f} minutes on {self.made['device']}{unchecked}"
        )

    @property
    def conditional(self) -> bool:
        return family(self.config.model).conditional

    @property
    def labelled(self) -> bool:
        """Whether the class that it can be asked for is a digit, as labels taught it."""
        return self.conditional and not family(self.config.model).codes

    def read(self, name: str) -> bytes:
        """One of the run's files, such as ``samples/epoch_0001.png``.

        Raises RunError if it is missing, or not the file that config.json names; a folder of the
        first format names none.
        """
        if self.files is None:
            return read_whole(self.folder / name)
        try:
            return read_checked(self.folder, name, self.files.get(name, "nothing"))
        except RunError:
            now = read_run(self.folder)  # a training may have gone on since this run was read
            if now.files in (None, self.files):
                raise
            return now.read(name)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """What one of the run's safetensors files holds; raises as :meth:`read` does."""
        return tensors_of(self.read(name), self.folder / name)

    def losses(self) -> LossHistory:
        """The run's losses. Raises RunError if the file is missing or damaged."""
        stored, logged = self.tensors("losses.safetensors"), family(self.config.model).logged
        try:
            if "losses" in stored:
                return summarise(stored["losses"], stored["epoch_ends"], logged)
            return LossHistory(**stored, logged=logged)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            path = self.folder / "losses.safetensors"
            raise RunError(f"{path} does not hold a run's losses: train the run again") from error

    def kept(self, what: str) -> list[int]:
        """The epochs, in order, of which ``samples`` or ``weights`` are here."""
        names = own_files(self.folder) if self.files is None else self.files
        mine = [Path(name).stem for name in names if name.startswith(f"{what}/epoch")]
        return sorted(int(stem.removeprefix("epoch_")) for stem in mine)

    def sample_epochs(self) -> list[int]:
        """The epochs whose sample sheets are here, in order."""
        return self.kept("samples")

    def sheet(self, epoch: int) -> np.ndarray:
        """The sample sheet of ``epoch``, uint8: ten rows of images, see sampling.sheet_columns."""
        if epoch not in self.sample_epochs():
            known = ", ".join(map(str, self.sample_epochs()))
            raise RunError(f"the run {self.name} kept no samples of epoch {epoch}: it has {known}")
        name = f"samples/epoch_{epoch:04d}.png"
        path = self.folder / name
        try:
            sheet = np.array(Image.open(io.BytesIO(self.read(name))))
        except (OSError, SyntaxError, ValueError) as error:
            raise RunError(f"{path} is damaged: train the run again") from error
        size, colours = self.config.img_size, (3,) if self.config.channels == 3 else ()
        due = (SHEET * size, sheet_columns(self.config) * size, *colours)
        if sheet.shape != due or sheet.dtype != np.uint8:
            raise RunError(f"{path} is no sheet of this run: its shape is {sheet.shape}")
        return sheet

    def samples(self, epoch: int) -> Tensor:
        """The images of ``epoch``'s sheet, row by row: (N, C, H, W) in [-1, 1]."""
        return from_sheet(self.sheet(epoch), self.config.img_size)

    def generator(self, epoch: int | None = None) -> nn.Module:
        """The trained generator, or that of an ``epoch`` whose weights were kept.

        On the CPU, in evaluation mode. Raises RunError if the weights are missing or damaged, or
        cannot be calculated with.
        """
        name = "generator" if epoch is None else f"weights/epoch_{epoch:04d}"
        return self._generator(self.tensors(f"{name}.safetensors"))

    def latest_generator(self) -> nn.Module:
        """G as it was trained last, where :meth:`generator` is an average of its weights.

        Raises RunError if the checkpoint is gone, as it is from the recorded runs.
        """
        return self._generator(checkpoint.named(self.tensors(CHECKPOINT), "generator"))

    def latest_networks(self) -> dict[str, nn.Module]:
        """All networks, by name, as they were trained last: on the CPU, in evaluation mode.

        Raises RunError if the checkpoint is gone or damaged.
        """
        networks, tensors = build(self.config), self.tensors(CHECKPOINT)
        for name, network in networks.items():
            checkpoint.load_weights(network.eval(), checkpoint.named(tensors, name), self.folder)
        return networks

    def _generator(self, weights: dict[str, Tensor]) -> nn.Module:
        generator = build(self.config)["generator"]
        checkpoint.load_weights(generator, weights, self.folder)
        checkpoint.check_numbers(self.config, self.folder, generator)
        return generator

    def metrics(self) -> dict[int, dict]:
        """What was measured at each epoch, see ganlib.judge.metrics; {} if nothing was."""
        name = "metrics.json"
        if name not in (own_files(self.folder) if self.files is None else self.files):
            return {}
        try:
            return {int(epoch): measures for epoch, measures in read_json(self.read(name)).items()}
        except (ValueError, AttributeError) as error:
            path = self.folder / name
            raise RunError(f"{path} is damaged: python -m ganlib record makes it again") from error


def read_run(folder: Path | str) -> Run:
    """The run in ``folder``. Raises RunError, saying what is wrong, if there is none to read."""
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no config.json")
    try:
        return Run(folder, **read_about(read_json(read_whole(path))))
    except ValueError as error:
        raise RunError(f"{path} is damaged or of another version ({error})") from error


def recorded_names() -> list[str]:
    """The names of the runs that ship with ganlib."""
    return sorted(path.parent.name for path in RECORDED.glob("[!.]*/config.json"))


def find_run(name: Path | str) -> Run:
    """A recorded run by its name, or any run by its folder. Raises RunError if neither exists."""
    if str(name) in recorded_names():
        return read_run(RECORDED / str(name))
    with contextlib.suppress(OSError):  # such as a name too long for any folder
        if Path(name).is_dir():
            return read_run(name)
    known = ", ".join(recorded_names()) or "none"
    raise RunError(
        f"no run called {str(name)!r}: recorded runs are {known}; or name a run's folder"
    )


# --- Training a run ------------------------------------------------------------------------------


def train_run(
    folder: Path | str,
    config: TrainingConfig,
    dataset: DigitImages,
    sample_epochs: tuple[int, ...] = SAMPLE_EPOCHS,
    resume: bool = False,
    on_iteration=None,
) -> Iterator[Epoch]:
    """Train ``config`` on ``dataset`` into ``folder``, yielding each Epoch once it is saved.

    ``resume`` goes on from the last checkpoint in ``folder``, with the configuration stored there
    (only n_epochs and device may differ). On the CPU the result equals an uninterrupted run, bit
    for bit, in any precision. Raises RunError if the folder holds a run and ``resume`` is not set,
    or the reverse; Refused if the data are not the train split of what the configuration says, or
    cannot be cut into batches, or the device cannot make products in ``config.precision``.
    """
    if dataset.name != config.dataset:  # a stand-in must not be stored under another name
        raise Refused(f"config.dataset must be {dataset.name!r}, the data given")
    if dataset.split != "train":
        raise Refused(f"the {dataset.split} split is held out: train on the train split")
    folder = Path(folder)
    # What "auto" is here stays what the run was started in.
    precision = choose_precision(config.precision, choose_device(config.device))
    config = replace(config, precision=precision)
    with locked(folder):
        yield from _train_into(folder, config, dataset, sample_epochs, resume, on_iteration)


def _train_into(
    folder: Path,
    config: TrainingConfig,
    dataset: DigitImages,
    sample_epochs: tuple[int, ...],
    resume: bool,
    on_iteration,
) -> Iterator[Epoch]:
    if (folder / "config.json").exists() != resume:
        hint = "no run to resume" if resume else "a run: resume it or go elsewhere"
        raise RunError(f"cannot train into {folder}: it holds {hint}")
    found = read_run(folder) if resume else None
    if found:
        _check_same(found, config, len(dataset))
    elif own_files(folder):
        what = min(own_files(folder))
        raise RunError(f"cannot train into {folder}: it holds {what} of another run: go elsewhere")
    if config.train_size not in (None, len(dataset)):
        raise Refused(f"config.train_size must be {len(dataset)}, the number of images given")
    check_batches(len(dataset), config)
    settle(folder)
    players, data = start(config), Batch(dataset.images, dataset.labels)
    losses, ends, seconds = torch.empty(0, len(players.family.logged)), [0], 0.0
    new: dict[str, bytes] = {}  # files to be written
    kept: dict[str, str] = {}  # the digests of those that are

    def save() -> None:
        made = made_here(config.device, seconds)
        says = about(config, players.epoch, made, len(dataset))
        kept.update(commit(folder, says, new, kept))
        new.clear()

    def log() -> bytes:
        return to_bytes({"losses": losses, "epoch_ends": torch.tensor(ends[1:])})

    def weights() -> bytes:
        return to_bytes(checkpoint.on_cpu(players.artist.state_dict()))

    def sheet() -> bytes:
        images = generate(players.artist, *sheet_inputs(config, data))
        return png(to_sheet(images, sheet_columns(config)))

    if found and (found.epochs_done > 0 or (folder / CHECKPOINT).exists()):
        checkpoint.unpack_players(found.tensors(CHECKPOINT), players, config, folder)
        seconds = found.made["seconds"]
        logged = found.tensors("losses.safetensors")
        if len(logged.get("losses", ())) < players.iteration:
            raise RunError(f"the losses in {folder} are not those of its checkpoint: train again")
        losses = logged["losses"][: players.iteration]
        ends = [0, *logged["epoch_ends"].tolist()[: players.epoch]]
        if found.files is not None:
            kept.update(found.files)
        else:  # of the first format: after a kill, some of its files are ahead of its checkpoint
            kept.update({name: digest(read_whole(folder / name)) for name in own_files(folder)})
            new["losses.safetensors"], new["generator.safetensors"] = log(), weights()
    if found:
        save()  # how far it is to go is known, should this be stopped before an epoch ends
    if players.epoch == 0:  # kept with the first epoch: a start alone is not worth a folder
        new["samples/epoch_0000.png"] = sheet()
    dataset, since = dataset.to(choose_device(config.device)), time.monotonic()
    for epoch in train(players, dataset.images, dataset.labels, config, on_iteration):
        losses = torch.cat([losses, epoch.losses])
        ends.append(players.iteration)
        if epoch.number in sample_epochs or epoch.number == config.n_epochs:
            new[f"samples/epoch_{epoch.number:04d}.png"] = sheet()
            new[f"weights/epoch_{epoch.number:04d}.safetensors"] = weights()
        seconds, since = seconds + time.monotonic() - since, time.monotonic()
        new["losses.safetensors"], new["generator.safetensors"] = log(), weights()
        new[CHECKPOINT] = checkpoint.pack_players(players)
        save()
        yield epoch


def _check_same(found: Run, config: TrainingConfig, n_images: int) -> None:
    """Raises RunError if ``found`` cannot go on as ``config`` says, on so many images."""
    old, new = asdict(found.config), asdict(config)
    if found.images is not None:
        old, new = old | {"images": found.images}, new | {"images": n_images}
    other = [name for name in old if name not in GOES_ON and old[name] != new[name]]
    if other:
        what = ", ".join(f"{name} {old[name]}, not {new[name]}" for name in other)
        raise RunError(
            f"{found.folder} holds another run ({what}): resume it as it is, or go elsewhere"
        )
    if config.n_epochs < found.epochs_done:
        raise RunError(
            f"{found.folder} has {found.epochs_done} epochs already: n_epochs must be more"
        )
