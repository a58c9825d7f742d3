"""A run on disk: a folder that holds all of one training, and can go on where it stopped.

    config.json              the configuration, how far the run is, how long it took, on what
    losses.safetensors       every logged number, or for recorded runs a summary
    samples/epoch_0025.png   a sheet of 10 x 10 images from the same fixed z each time
    weights/epoch_0025.safetensors   the generator at that epoch (not in recorded runs)
    generator.safetensors    the generator's latest weights
    metrics.json             what was measured at each epoch (recorded runs only)
    checkpoint.safetensors   all networks and both optimisers (not in recorded runs)

Every file is written whole and then renamed into place, the checkpoint last; a run killed at any
moment resumes from its last finished epoch. Nothing here is pickled.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ganlib import networks
from ganlib.configuration import TrainingConfig, choose_device
from ganlib.data import DigitImages
from ganlib.errors import Refused
from ganlib.files import RunError, read_tensors, read_whole, sweep, write_whole
from ganlib.history import LossHistory, summarise
from ganlib.sampling import SHEET, fixed_z, from_sheet, generate, png, to_sheet
from ganlib.training import LOGGED, Epoch, Players, check_batches, start, train

FORMAT = 1  # of the folder; raised whenever an older reader would misread it
RECORDED = Path(__file__).parent / "recorded"
SAMPLE_EPOCHS = (0, 1, 2, 5, 10, 25, 50, 75, 100, 150, 200)


# --- Reading a run -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A run's folder, with its configuration read. The rest is read when asked for."""

    folder: Path
    config: TrainingConfig
    epochs_done: int
    made: dict  # seconds, device, torch version

    @property
    def name(self) -> str:
        return self.folder.name

    def __str__(self) -> str:
        config, minutes = self.config, self.made["seconds"] / 60
        on = {name: getattr(config, name) for name in ("d_lr", "ema")}
        extras = "".join(f"{name} {value:g}, " for name, value in on.items() if value)
        return (
            f"{self.name}: {self.epochs_done} epochs of {config.dataset}, loss {config.loss}, "
            f"bn_eps {config.bn_eps:g}, {extras}seed {config.seed}; "
            f"{minutes:.0f} minutes on {self.made['device']}"
        )

    @property
    def conditional(self) -> bool:
        return networks.family(self.config.model).conditional

    def losses(self) -> LossHistory:
        """The run's losses. Raises RunError if the file is missing or damaged."""
        path = self.folder / "losses.safetensors"
        stored = read_tensors(path)
        try:
            if "losses" in stored:
                return summarise(stored["losses"], stored["epoch_ends"])
            return LossHistory(**stored)
        except (KeyError, TypeError, RuntimeError) as error:
            raise RunError(f"{path} does not hold a run's losses: train the run again") from error

    def sample_epochs(self) -> list[int]:
        """The epochs whose sample sheets are here, in order."""
        return sorted(int(p.stem[6:]) for p in (self.folder / "samples").glob("epoch_*.png"))

    def sheet(self, epoch: int) -> np.ndarray:
        """The sample sheet of ``epoch``: (10 * img_size, 10 * img_size) uint8."""
        path = self.folder / "samples" / f"epoch_{epoch:04d}.png"
        if not path.is_file():
            known = ", ".join(map(str, self.sample_epochs()))
            raise RunError(f"the run {self.name} kept no samples of epoch {epoch}: it has {known}")
        try:
            sheet = np.array(Image.open(path))
        except OSError as error:
            raise RunError(f"{path} is damaged: train the run again") from error
        if sheet.shape != (SHEET * self.config.img_size,) * 2:
            raise RunError(f"{path} is no sheet of this run: its shape is {sheet.shape}")
        return sheet

    def samples(self, epoch: int) -> Tensor:
        """The images of ``epoch``'s sheet, row by row: (100, 1, H, W) in [-1, 1]."""
        return from_sheet(self.sheet(epoch), self.config.img_size)

    def generator(self, epoch: int | None = None) -> nn.Module:
        """The trained generator, or that of an ``epoch`` whose weights were kept.

        On the CPU, in evaluation mode. Raises RunError if the weights are missing or damaged.
        """
        name = "generator" if epoch is None else f"weights/epoch_{epoch:04d}"
        generator, _ = networks_for(self.config)
        _load_weights(generator, read_tensors(self.folder / f"{name}.safetensors"), self.folder)
        return generator.eval()

    def latest_generator(self) -> nn.Module:
        """G as it was trained last, where :meth:`generator` is an average of its weights.

        Raises RunError if the checkpoint is gone, as it is from the recorded runs.
        """
        tensors = read_tensors(self.folder / "checkpoint.safetensors")
        generator, _ = networks_for(self.config)
        _load_weights(generator, _named(tensors, "generator"), self.folder)
        return generator.eval()

    def metrics(self) -> dict[int, dict]:
        """What was measured at each epoch, see ganlib.metrics; {} if nothing was."""
        path = self.folder / "metrics.json"
        try:
            found = json.loads(read_whole(path)) if path.is_file() else {}
            return {int(epoch): measures for epoch, measures in found.items()}
        except (ValueError, AttributeError) as error:
            raise RunError(f"{path} is damaged: python -m ganlib record makes it again") from error


def networks_for(config: TrainingConfig) -> tuple[nn.Module, nn.Module]:
    """The configured generator and discriminator, initialised from the configured seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return networks.build(
            config.model,
            config.latent_dim,
            config.img_size,
            config.channels,
            config.n_classes,
            config.bn_eps,
        )


def _load_weights(network: nn.Module, weights: dict[str, Tensor], folder: Path) -> None:
    try:
        network.load_state_dict(weights)  # copies into float32, whatever the file's precision
    except RuntimeError as error:
        raise RunError(f"the weights in {folder} are of another model than its config") from error


def read_run(folder: Path | str) -> Run:
    """The run in ``folder``. Raises RunError, saying what is wrong, if there is none to read."""
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise RunError(f"{folder} is not a run: it has no config.json")
    try:
        stored = json.loads(read_whole(path))
        version = stored["format"]
        if version != FORMAT:
            raise RunError(
                f"{folder} has format {version}, this ganlib reads format {FORMAT}: "
                "use the version that wrote it, or train again"
            )
        config = TrainingConfig(**stored["config"])
        made = {"seconds": float(stored["made"]["seconds"])}
        made |= {key: str(stored["made"][key]) for key in ("device", "torch")}
        return Run(folder, config, int(stored["epochs_done"]), made)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged or of another version ({error})") from error


def recorded_names() -> list[str]:
    """The names of the runs that ship with ganlib."""
    return sorted(path.parent.name for path in RECORDED.glob("*/config.json"))


def find_run(name: Path | str) -> Run:
    """A recorded run by its name, or any run by its folder. Raises RunError if neither exists."""
    if str(name) in recorded_names():
        return read_run(RECORDED / str(name))
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
    for bit. Raises RunError if the folder holds a run and ``resume`` is not set, or the reverse;
    Refused if the data are not the train split of what the configuration says, or cannot be
    cut into batches.
    """
    folder = Path(folder)
    if dataset.name != config.dataset:  # a stand-in must not be stored under another name
        raise Refused(f"config.dataset must be {dataset.name!r}, the data given")
    if dataset.split != "train":
        raise Refused(f"the {dataset.split} split is held out: train on the train split")
    if (folder / "config.json").exists() != resume:
        hint = (
            "it holds no run to resume" if resume else "it holds a run: resume it or go elsewhere"
        )
        raise RunError(f"cannot train into {folder}: {hint}")
    found = read_run(folder) if resume else None
    if found:
        _check_same(found.config, config, folder)
        if config.n_epochs < found.epochs_done:
            raise RunError(
                f"{folder} has {found.epochs_done} epochs already: n_epochs must be more"
            )
        sweep(folder)
    if config.train_size not in (None, len(dataset)):
        raise Refused(f"config.train_size must be {len(dataset)}, the number of images given")
    check_batches(len(dataset), config)
    players = start(*networks_for(config), config, networks.family(config.model).conditional)
    losses, ends, seconds = torch.empty(0, len(LOGGED)), [0], 0.0
    # A run killed in its first epoch has no checkpoint yet and starts again; any other needs it.
    if found and (found.epochs_done > 0 or (folder / "checkpoint.safetensors").exists()):
        seconds = _load_checkpoint(folder, players)
        logged = read_tensors(folder / "losses.safetensors")
        if len(logged.get("losses", ())) < players.iteration:
            raise RunError(f"the losses in {folder} are not those of its checkpoint: train again")
        losses = logged["losses"][: players.iteration]
        ends = [0, *logged["epoch_ends"].tolist()[: players.epoch]]
        # The kill may have come between the checkpoint and the configuration.
        _save_config(folder, config, players.epoch, seconds)
    else:
        _save_config(folder, config, 0, 0.0)
        _save_samples(folder, config, players, "epoch_0000")

    def every_iteration(players: Players) -> None:
        if config.interval_samples and players.iteration % config.sample_interval == 0:
            _save_samples(folder, config, players, f"iteration_{players.iteration:07d}")
        if on_iteration is not None:
            on_iteration(players)

    dataset = dataset.to(choose_device(config.device))
    since = time.monotonic()
    for epoch in train(players, dataset.images, dataset.labels, config, every_iteration):
        losses = torch.cat([losses, epoch.losses])
        ends.append(players.iteration)
        weights = to_bytes(_on_cpu(players.artist.state_dict()))
        if epoch.number in sample_epochs or epoch.number == config.n_epochs:
            name = f"epoch_{epoch.number:04d}"
            _save_samples(folder, config, players, name)
            write_whole(folder / "weights" / f"{name}.safetensors", weights)
        stored = {"losses": losses, "epoch_ends": torch.tensor(ends[1:])}
        write_whole(folder / "losses.safetensors", to_bytes(stored))
        write_whole(folder / "generator.safetensors", weights)
        seconds, since = seconds + time.monotonic() - since, time.monotonic()
        _save_checkpoint(folder, players, seconds)
        _save_config(folder, config, epoch.number, seconds)
        yield epoch


def _check_same(stored: TrainingConfig, wanted: TrainingConfig, folder: Path) -> None:
    free = ("n_epochs", "device")
    old, new = asdict(stored), asdict(wanted)
    other = [name for name in old if name not in free and old[name] != new[name]]
    if other:
        what = ", ".join(f"{name} {old[name]}, not {new[name]}" for name in other)
        raise RunError(f"{folder} holds another run ({what}): resume it as it is, or go elsewhere")


def _save_config(folder: Path, config: TrainingConfig, epochs_done: int, seconds: float) -> None:
    device = choose_device(config.device)
    what = f"CPU, {torch.get_num_threads()} thread(s)" if device.type == "cpu" else device.type
    if device.type == "cuda":
        what = torch.cuda.get_device_name(device)
    made = {"seconds": round(seconds, 1), "device": what, "torch": torch.__version__}
    stored = {"format": FORMAT, "config": asdict(config), "epochs_done": epochs_done, "made": made}
    write_whole(folder / "config.json", json.dumps(stored, indent=2).encode() + b"\n")


def _save_samples(folder: Path, config: TrainingConfig, players: Players, name: str) -> None:
    z, labels = fixed_z(config)
    images = generate(players.artist, z, labels, players.conditional)
    write_whole(folder / "samples" / f"{name}.png", png(to_sheet(images)))


def _on_cpu(tensors: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    return {prefix + key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def _parts(players: Players) -> dict[str, nn.Module | torch.optim.Optimizer]:
    average = {} if players.average is None else {"average": players.average}
    return average | {
        "generator": players.generator,
        "discriminator": players.discriminator,
        "g_optimizer": players.g_optimizer,
        "d_optimizer": players.d_optimizer,
    }


def _save_checkpoint(folder: Path, players: Players, seconds: float) -> None:
    """Everything that the next epoch depends on.

    Random states are not among it: they start afresh each epoch from (seed, epoch), see
    training.epoch_seed, and both are here.
    """
    tensors: dict[str, Tensor] = {}
    for name, part in _parts(players).items():
        if isinstance(part, nn.Module):
            tensors |= _on_cpu(part.state_dict(), f"{name}.")
            continue
        for index, state in part.state_dict()["state"].items():
            tensors |= _on_cpu(state, f"{name}.{index}.")
    counters = {"epoch": players.epoch, "iteration": players.iteration, "seconds": seconds}
    tensors |= {name: torch.tensor(value) for name, value in counters.items()}
    write_whole(folder / "checkpoint.safetensors", to_bytes(tensors))


def _named(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors of one part of a checkpoint, under their own names."""
    start = f"{part}."
    return {key.removeprefix(start): v for key, v in tensors.items() if key.startswith(start)}


def _load_checkpoint(folder: Path, players: Players) -> float:
    """Put the players where the checkpoint left them; returns the seconds trained so far."""
    tensors = read_tensors(folder / "checkpoint.safetensors")
    try:
        for name, part in _parts(players).items():
            mine = _named(tensors, name)
            if isinstance(part, nn.Module):
                _load_weights(part, mine, folder)
                continue
            slots = ("step", "exp_avg", "exp_avg_sq")
            indices = range(len(part.param_groups[0]["params"]))
            state = {i: {slot: mine[f"{i}.{slot}"] for slot in slots} for i in indices}
            part.load_state_dict(part.state_dict() | {"state": state})
        players.epoch, players.iteration = int(tensors["epoch"]), int(tensors["iteration"])
        return float(tensors["seconds"])
    except KeyError as error:
        raise RunError(f"the checkpoint in {folder} is damaged: it has no {error}") from error
