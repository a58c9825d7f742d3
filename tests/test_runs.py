"""Runs on disk: killed and resumed they end the same, and damaged ones say so."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Deadly, Killed, child_environment, same_tensors, tiny_config
from safetensors.torch import load_file, save_file

from ganlib import data
from ganlib.data import DigitImages
from ganlib.families import MODELS, build, family
from ganlib.runs import store
from ganlib.runs.files import PARTIAL, digest, own_files
from ganlib.runs.manifest import FORMAT
from ganlib.runs.store import RunError, read_run, train_run
from ganlib.sampling import generate, sheet_inputs, to_sheet
from ganlib.steps import LOGGED
from ganlib.training import TrainingDiverged

both_models = pytest.mark.parametrize("model", ["gan", "cgan"])


def contents(folder: Path) -> dict[str, object]:
    """Every file of a run, as bytes, without the one thing that two equal runs differ in: time."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes()
        if path.name == "config.json":
            found[name] = json.loads(found[name])
            del found[name]["made"]["seconds"]
    return found


def finish(folder: Path, config, digits, **options) -> None:
    """Train or go on, whichever the folder needs, to the end."""
    for _ in train_run(folder, config, digits, resume=(folder / "config.json").exists(), **options):
        pass


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    """A copy of a finished run, free to be damaged."""
    return Path(shutil.copytree(finished.folder, tmp_path / finished.name))


def sign(folder: Path) -> None:
    """Put the digests of the files as they are now into config.json: damage that it vouches for."""
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    found = {name: digest((folder / name).read_bytes()) for name in own_files(folder)}
    path.write_text(json.dumps(stored | {"files": found}))


def first_format(folder: Path) -> None:
    """Make the run one that an earlier ganlib wrote."""
    path = folder / "config.json"
    stored = json.loads(path.read_text()) | {"format": 1}
    del stored["files"], stored["images"]
    path.write_text(json.dumps(stored))
    path = folder / "checkpoint.safetensors"
    tensors = {key: value for key, value in load_file(path).items() if "moved" not in key}
    save_file(tensors | {"seconds": torch.tensor(1.5, dtype=torch.float64)}, path)


# --- A finished run ------------------------------------------------------------------------------


def test_a_finished_run_has_all_its_files(finished):
    assert set(contents(finished.folder)) == {
        "config.json",
        "losses.safetensors",
        "generator.safetensors",
        "checkpoint.safetensors",
        *(f"samples/epoch_{epoch:04d}.png" for epoch in (0, 1, 2)),
        *(f"weights/epoch_{epoch:04d}.safetensors" for epoch in (1, 2)),
    }


def test_a_finished_run_reads_back_as_it_was_asked_for(finished):
    assert finished.config == tiny_config(finished.name)
    assert finished.epochs_done == finished.config.n_epochs
    assert finished.conditional == (finished.name == "cgan")
    assert finished.sample_epochs() == [0, 1, 2]
    assert set(finished.made) == {"seconds", "device", "torch"}


def test_every_iteration_is_in_the_losses(finished):
    stored = load_file(finished.folder / "losses.safetensors")
    assert stored["losses"].shape == (6, len(LOGGED))
    history = finished.losses()
    assert history.epoch_ends.tolist() == [3, 6]
    values = stored["losses"][:, :2]
    assert history.range("g_loss", "d_loss") == (float(values.min()), float(values.max()))


def test_the_sheet_is_what_the_saved_generator_draws(finished):
    images = generate(finished.generator(), *sheet_inputs(finished.config))
    assert np.array_equal(finished.sheet(2), to_sheet(images))
    assert finished.samples(2).shape == (100, 1, 8, 8)
    torch.testing.assert_close(finished.samples(2), images, rtol=0, atol=0.5 / 127.5 + 1e-6)
    assert not np.array_equal(finished.sheet(0), finished.sheet(2))  # it learned something


def test_a_run_says_how_it_was_made_and_names_an_extra_only_if_it_is_on(finished):
    assert "bn_eps 1e-05, seed 0; " in str(finished)
    other = replace(finished, config=tiny_config(finished.name, d_lr=0.0004, ema=0.999))
    assert "bn_eps 1e-05, d_lr 0.0004, ema 0.999, seed 0; " in str(other)


def test_the_generator_comes_in_evaluation_mode(finished):
    generator = finished.generator()
    assert not generator.training
    latest = load_file(finished.folder / "generator.safetensors")
    assert same_tensors(generator.state_dict(), latest)
    assert same_tensors(load_file(finished.folder / "weights/epoch_0002.safetensors"), latest)


def test_a_caller_that_draws_random_numbers_leaves_no_trace(tmp_path, digits, finished):
    for _ in train_run(tmp_path / "run", tiny_config(finished.name), digits):
        torch.rand(5)
    mine = load_file(tmp_path / "run/generator.safetensors")
    assert same_tensors(mine, load_file(finished.folder / "generator.safetensors"))


def test_the_networks_of_a_configuration_follow_its_seed_alone():
    before = torch.get_rng_state()
    one = build(tiny_config(seed=1)).values()
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again, other = (build(tiny_config(seed=seed)).values() for seed in (1, 2))
    for mine, same, different in zip(one, again, other):
        assert same_tensors(mine.state_dict(), same.state_dict())
        assert not same_tensors(mine.state_dict(), different.state_dict())


# --- Killed and resumed --------------------------------------------------------------------------


@both_models
def test_stopped_after_any_epoch_and_resumed_equals_uninterrupted(tmp_path, digits, model):
    config = tiny_config(model, n_epochs=3)
    finish(tmp_path / "whole", config, digits)
    for stop in (1, 2):
        folder = tmp_path / f"stopped{stop}"
        for epoch in train_run(folder, config, digits):
            if epoch.number == stop:
                break
        assert read_run(folder).epochs_done == stop
        torch.rand(100)  # what was drawn in between does not matter
        numbers = [epoch.number for epoch in train_run(folder, config, digits, resume=True)]
        assert numbers == list(range(stop + 1, 4))
        assert contents(folder) == contents(tmp_path / "whole")


def test_a_run_with_every_extra_resumes_bit_for_bit_and_keeps_the_average(tmp_path, digits):
    config = tiny_config("cbn-dcgan", n_epochs=2, ema=0.9, d_lr=0.0004)
    finish(tmp_path / "whole", config, digits)
    next(train_run(tmp_path / "stopped", config, digits))
    finish(tmp_path / "stopped", config, digits)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    checkpoint = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    kept = load_file(tmp_path / "whole" / "generator.safetensors")
    for name, value in kept.items():
        assert torch.equal(value, checkpoint[f"average.{name}"])
    assert any(not torch.equal(value, checkpoint[f"generator.{n}"]) for n, value in kept.items())
    run = read_run(tmp_path / "whole")
    drawn = generate(run.generator(), *sheet_inputs(config))
    assert np.array_equal(run.sheet(2), to_sheet(drawn))


def test_a_checkpoint_without_its_average_is_refused(tmp_path, digits):
    config = tiny_config(n_epochs=2, ema=0.9)
    next(train_run(tmp_path, config, digits))
    path = tmp_path / "checkpoint.safetensors"
    kept = {key: value for key, value in load_file(path).items() if "average" not in key}
    save_file(kept, path)
    sign(tmp_path)
    with pytest.raises(RunError):
        next(train_run(tmp_path, config, digits, resume=True))


def test_a_run_from_before_the_extras_is_read_and_gone_on_with(copy, tmp_path, digits):
    """Its config.json does not name them, and its checkpoint holds no average."""
    first_format(copy)
    path = copy / "config.json"
    stored = json.loads(path.read_text())
    for name in ("d_lr", "ema"):
        del stored["config"][name]
    path.write_text(json.dumps(stored))
    assert read_run(copy).config == tiny_config(copy.name)
    assert not [name for name in load_file(copy / "checkpoint.safetensors") if "average" in name]
    finish(copy, tiny_config(copy.name, n_epochs=3), digits)
    finish(tmp_path / "whole", tiny_config(copy.name, n_epochs=3), digits)
    assert contents(copy) == contents(tmp_path / "whole")


def test_killed_at_a_change_of_the_disk_and_resumed_equals_uninterrupted(
    monkeypatch, tmp_path, digits, finished
):
    """Writes and renamings, every third of them; what is read meanwhile is of one epoch.

    test_files.py has all of them, before, amid and after, without a training.
    """
    first, when = {"gan": (0, "amid"), "cgan": (1, "after")}[finished.name]
    expected, config = contents(finished.folder), tiny_config(finished.name)
    weights = {
        epoch: load_file(finished.folder / f"weights/epoch_{epoch:04d}.safetensors")
        for epoch in (1, 2)
    }
    changes = 0
    for kill_at in itertools.count(first, 3):
        folder = tmp_path / f"killed{kill_at}"
        with monkeypatch.context() as patch:
            Deadly(patch, kill_at, when)
            try:
                finish(folder, config, digits)
            except Killed:
                changes += 1
            else:
                break
        if (folder / "config.json").exists() and (run := read_run(folder)).epochs_done:
            kept = run.generator().state_dict()
            assert same_tensors(kept, weights[run.epochs_done])
            assert len(run.losses().epoch_ends) == run.epochs_done == run.sample_epochs()[-1]
            assert run.sheet(run.epochs_done).any()
        finish(folder, config, digits)
        assert contents(folder) == expected, f"killed {when} change {kill_at}"
        shutil.rmtree(folder)
    # In each epoch five files are written, renamed and put in their place after config.json, which
    # is written and renamed; in the first the sheet of its start, too.
    assert changes == len(range(first, 2 * (3 * 5 + 2) + 3, 3))


CHILD = """
import sys, time
import torch
from ganlib import data
from ganlib.runs import store
from ganlib.configuration import TrainingConfig

folder, deadly, threads, settings = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(threads)
config = TrainingConfig(**__import__("json").loads(settings))

def wait_for_the_kill(players):
    if players.iteration == deadly:
        print("now", flush=True)
        time.sleep(60)

digits = data.load(config.dataset, img_size=config.img_size, size=config.train_size)
for epoch in store.train_run(folder, config, digits, on_iteration=wait_for_the_kill):
    pass
"""


@pytest.mark.slow
@both_models
def test_kill_minus_nine_in_the_middle_of_an_epoch(tmp_path, digits, model):
    """A real process, really killed, in the second of the three batches of epoch 3 of 4."""
    config = tiny_config(model, n_epochs=4)
    folder, threads = tmp_path / "killed", str(torch.get_num_threads())
    command = [sys.executable, "-c", CHILD, str(folder), "8", threads, json.dumps(asdict(config))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment())
    try:
        assert child.stdout.readline() == b"now\n"
        before = contents(folder)
        for resume in (False, True):  # nobody else trains there meanwhile; all may read
            with pytest.raises(RunError, match="is in use by another process: wait until it ends"):
                next(train_run(folder, config, digits, resume=resume))
        assert contents(folder) == before
        assert read_run(folder).generator() and read_run(folder).losses()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL
    assert read_run(folder).epochs_done == 2
    finish(folder, config, digits)
    finish(tmp_path / "whole", config, digits)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_run_can_be_read_at_any_moment_of_its_training(tmp_path, digits):
    """Its files change under the reader, who finds those of one epoch or of the next."""
    config, trouble, done = tiny_config(n_epochs=12), [], threading.Event()
    run = train_run(tmp_path / "run", config, digits)
    next(run)
    old = read_run(tmp_path / "run")

    def look():
        while not done.is_set():
            try:
                for one in (old, read_run(tmp_path / "run")):
                    one.generator(), one.losses(), one.sheet(1)
            except RunError as error:
                trouble.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    numbers = [epoch.number for epoch in run]
    done.set()
    thread.join()
    assert numbers == list(range(2, 13)) and not trouble


def test_a_start_that_ends_before_its_first_epoch_leaves_nothing(tmp_path, digits):
    def stop(players):
        raise KeyboardInterrupt

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for folder in (tmp_path / "new" / "run", tmp_path / "mine"):
        with pytest.raises(KeyboardInterrupt):
            finish(folder, tiny_config(), digits, on_iteration=stop)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_a_folder_with_a_run_that_lost_its_config_is_not_trained_over(copy, digits):
    (copy / "config.json").unlink()
    before = contents(copy)
    with pytest.raises(RunError, match="holds checkpoint.safetensors of another run"):
        next(train_run(copy, tiny_config(copy.name), digits))
    assert contents(copy) == before


def test_a_parameter_without_a_gradient_does_not_keep_a_run_from_going_on(
    monkeypatch, tmp_path, digits
):
    """An idle head: nothing in G's loss hears of it, so Adam has no state for it."""
    own = family("gan")

    def with_idle_heads(config):
        networks = own.networks(config)
        for network in networks.values():
            network.idle = torch.nn.Linear(3, 2)
        return networks

    monkeypatch.setitem(MODELS, "gan", own._replace(networks=with_idle_heads))
    config = tiny_config(n_epochs=2)
    torch.manual_seed(0)
    next(train_run(tmp_path / "stopped", config, digits))
    finish(tmp_path / "stopped", config, digits)
    torch.manual_seed(0)
    finish(tmp_path / "whole", config, digits)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_run_on_all_images_goes_on_with_as_many_only(tmp_path):
    config = tiny_config(train_size=None, n_epochs=1)
    finish(tmp_path, config, data.load("digits", "train", 8, size=70))
    assert read_run(tmp_path).images == 70
    more = data.load("digits", "train", 8, size=100)
    with pytest.raises(RunError, match="holds another run .images 70, not 100"):
        next(train_run(tmp_path, replace(config, n_epochs=2), more, resume=True))


def test_a_run_of_the_first_format_is_read_says_so_and_goes_on(copy, tmp_path, digits):
    first_format(copy)
    run = read_run(copy)
    assert run.files is None and run.images is None and "unchecked" in str(run)
    assert run.generator() and run.losses() and run.sheet(2).any() and run.sample_epochs()
    # A kill after the weights and before the checkpoint left them one epoch ahead.
    shutil.copy(copy / "weights/epoch_0001.safetensors", copy / "generator.safetensors")
    finish(copy, tiny_config(copy.name), digits)
    run, weights = read_run(copy), load_file(copy / "weights/epoch_0002.safetensors")
    assert run.files.keys() == own_files(copy) and "unchecked" not in str(run)
    assert same_tensors(run.generator().state_dict(), weights)
    finish(copy, tiny_config(copy.name, n_epochs=3), digits)
    finish(tmp_path / "whole", tiny_config(copy.name, n_epochs=3), digits)
    assert contents(copy) == contents(tmp_path / "whole")


def test_resuming_a_finished_run_does_nothing(copy, digits):
    before = contents(copy)
    assert list(train_run(copy, tiny_config(copy.name), digits, resume=True)) == []
    assert contents(copy) == before


def test_a_finished_run_can_go_on_for_more_epochs(copy, tmp_path, digits):
    config = tiny_config(copy.name, n_epochs=3)
    finish(copy, config, digits)
    assert read_run(copy).epochs_done == 3
    finish(tmp_path / "whole", config, digits)
    assert contents(copy) == contents(tmp_path / "whole")


def test_resuming_with_another_configuration_is_refused_by_name(copy, digits):
    before = contents(copy)
    changes = {"lr": 0.1, "seed": 7, "bn_eps": 0.8, "batch_size": 16, "train_size": 60}
    changes |= {"ema": 0.9, "d_lr": 0.001}
    for name, value in changes.items():
        config = replace(tiny_config(copy.name), **{name: value})
        with pytest.raises(RunError, match=f"holds another run .{name} .*, not {value}"):
            next(train_run(copy, config, digits, resume=True))
    assert contents(copy) == before


def test_a_run_does_not_shrink(copy, digits):
    before = contents(copy)
    with pytest.raises(RunError, match="2 epochs already"):
        next(train_run(copy, tiny_config(copy.name, n_epochs=1), digits, resume=True))
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("split", "changes", "words"),
    [
        ("test", {}, "held out"),
        ("train", {"train_size": 60}, "train_size must be 70"),
        ("train", {"batch_size": 69}, "a last batch of one"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_anything_is_written(
    tmp_path, split, changes, words
):
    given = data.load("digits", split, 8, size=70)
    with pytest.raises(ValueError, match=words):
        next(train_run(tmp_path / "run", tiny_config(**changes), given))
    assert not (tmp_path / "run").exists()


def test_what_a_killed_writer_left_is_swept_away_on_resuming(copy, digits):
    """And nothing of the reader's, whatever it is called."""
    partials = [copy / f".checkpoint.safetensors{PARTIAL}", copy / f"samples/.0123abcd{PARTIAL}"]
    theirs = (
        ".my-notes.2024",
        ".gitignore",
        "weights/.x.123",
        "deeper/.x" + PARTIAL,
        "a" + PARTIAL,
    )
    theirs += ("samples/..1", "samples/epoch_0001.png.12", "samples/.epoch_0001.png.4711")
    (copy / "deeper").mkdir()
    (copy / ".backup.1").mkdir()
    (copy / f".folder{PARTIAL}").mkdir()
    for path in [*partials, *(copy / name for name in theirs)]:
        path.write_bytes(b"half")
    list(train_run(copy, tiny_config(copy.name), digits, resume=True))
    assert not any(partial.exists() for partial in partials)
    assert all((copy / name).read_bytes() == b"half" for name in theirs)
    assert (copy / ".backup.1").is_dir() and (copy / f".folder{PARTIAL}").is_dir()


def test_a_folder_with_a_run_is_not_trained_over(copy, tmp_path, digits):
    before = contents(copy)
    with pytest.raises(RunError, match="it holds a run: resume it or go elsewhere"):
        next(train_run(copy, tiny_config(copy.name), digits))
    assert contents(copy) == before
    with pytest.raises(RunError, match="it holds no run to resume"):
        next(train_run(tmp_path / "nothing", tiny_config(), digits, resume=True))
    assert not (tmp_path / "nothing").exists()


def test_a_diverged_run_keeps_its_good_epochs(tmp_path, digits):
    def spoil(players):
        if players.iteration == 4:
            with torch.no_grad():
                players.discriminator.layers[-1].bias.fill_(float("nan"))

    config, folder = tiny_config(n_epochs=3), tmp_path / "run"
    with pytest.raises(TrainingDiverged, match="in epoch 2, iteration 2"):
        finish(folder, config, digits, on_iteration=spoil)
    run = read_run(folder)
    assert run.epochs_done == 1 and run.sample_epochs() == [0, 1]
    assert all(value.isfinite().all() for value in run.generator().state_dict().values())
    finish(folder, config, digits)  # without the spoiler it goes on from there
    finish(tmp_path / "whole", config, digits)
    assert contents(folder) == contents(tmp_path / "whole")


# --- Missing, damaged, of another version --------------------------------------------------------

# What reads each file, so that a damaged one is noticed.
READERS = {
    "config.json": lambda folder: read_run(folder),
    "losses.safetensors": lambda folder: read_run(folder).losses(),
    "generator.safetensors": lambda folder: read_run(folder).generator(),
    "samples/epoch_0002.png": lambda folder: read_run(folder).sheet(2),
    "checkpoint.safetensors": None,  # read by resuming
}


def read(folder: Path, file: str, digits: DigitImages) -> None:
    if READERS[file]:
        READERS[file](folder)
    else:
        next(train_run(folder, tiny_config(folder.name, n_epochs=3), digits, resume=True))


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


@pytest.mark.parametrize("file", READERS)
def test_a_missing_file_is_a_run_error(copy, digits, file):
    (copy / file).unlink()
    before = contents(copy)
    with pytest.raises(RunError) as caught:
        read(copy, file, digits)
    message = one_line(caught)
    assert str(copy) in message or f"the run {copy.name}" in message
    assert contents(copy) == before  # a run that lost its checkpoint is not started over


def flip(content: bytes, place: float) -> bytes:
    at = int(len(content) * place)
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


SHARES, PLACES = (0, 0.01, 0.3, 0.7, 0.95), (0.2, 0.5, 0.8, 0.99)
DAMAGE = {f"cut at {share}": partial(cut, share=share) for share in SHARES}
DAMAGE |= {f"flipped at {place}": partial(flip, place=place) for place in PLACES}
DAMAGE |= {"something else": lambda content: b"<html>not found</html>" * 200}


@pytest.mark.parametrize("file", READERS)
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_a_run_error(copy, digits, file, how):
    (copy / file).write_bytes(DAMAGE[how]((copy / file).read_bytes()))
    if file == "config.json" and "flipped" in how:  # perhaps another valid value: no digest guards
        return
    with pytest.raises(RunError) as caught:
        read(copy, file, digits)
    found = "(its SHA-256" if file != "config.json" else ""
    message = one_line(caught)
    assert f"{file} is damaged or" in message and found in message


@pytest.fixture(scope="module")
def twins(tmp_path_factory, digits) -> dict[str, Path]:
    """A run of each model with equal shapes and another seed."""
    folders = {model: tmp_path_factory.mktemp("twins") / model for model in ("gan", "cgan")}
    for model, folder in folders.items():
        finish(folder, tiny_config(model, seed=1), digits)
    return folders


@pytest.mark.parametrize("file", READERS.keys() - {"config.json"})
def test_another_runs_file_is_a_run_error(copy, digits, twins, file):
    shutil.copy(twins[copy.name] / file, copy / file)
    with pytest.raises(RunError) as caught:
        read(copy, file, digits)
    assert f"{file} is damaged or another run's (its SHA-256" in one_line(caught)


def test_what_is_not_the_runs_by_its_exact_name_is_ignored(copy):
    theirs = ["epoch_0001 (1).png", "epoch_0003.PNG", "epoch_1.png", "epoch_00004.png"]
    theirs += ["epoch_.png", "epoch_0005.png.bak", "epoch_0006.jpg", "Epoch_0007.png", "notes.txt"]
    theirs += ["epoch_٠٠٠١.png", "epoch_-001.png", ".epoch_0008.png", "xepoch_0009.png"]
    for name in theirs:
        for folder, ending in (("samples", ""), ("weights", ".safetensors")):
            (copy / folder / (name + ending)).write_text("mine")
    (copy / "samples" / "epoch_0010.png").mkdir()
    for _ in ("this format", "the first"):
        run = read_run(copy)
        assert run.sample_epochs() == [0, 1, 2] and run.kept("weights") == [1, 2]
        first_format(copy) if run.files else None
    assert run.files is None


BROKEN = {  # what becomes of a network's weights, all of them or the last alone
    "NaN": lambda w: w * float("nan"),
    "infinite": lambda w: w / 0,
    "huge": lambda w: w.sign() * 3e38,
    "one": lambda w: w.flatten().scatter(0, torch.tensor([0]), float("nan")).view(w.shape),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("place", ["layers.0.weight", "layers.3.running_var", "layers.11.weight"])
def test_weights_that_cannot_be_calculated_with_are_refused(copy, digits, how, place):
    for file in ("generator", "weights/epoch_0001", "checkpoint"):
        path, where = copy / f"{file}.safetensors", "generator." * (file == "checkpoint") + place
        tensors = load_file(path)
        assert where in tensors
        save_file(tensors | {where: BROKEN[how](tensors[where])}, path)
    sign(copy)
    run, more = read_run(copy), tiny_config(copy.name, n_epochs=3)
    if how == "huge" and "running_var" in place:  # divides by much: no number breaks
        return
    for read_it in (
        run.generator,
        lambda: run.generator(1),
        run.latest_generator,
        lambda: next(train_run(copy, more, digits, resume=True)),
    ):
        with pytest.raises(RunError, match="no numbers?, or too large|what is no number") as caught:
            read_it()
        one_line(caught)


@pytest.mark.parametrize("part", ["discriminator.layers.0.weight", "d_optimizer.0.exp_avg_sq"])
def test_a_checkpoint_without_numbers_anywhere_is_refused(copy, digits, part):
    path = copy / "checkpoint.safetensors"
    stored = load_file(path)
    broken = ("NaN", "huge") if "weight" in part else ("NaN",)
    for how in broken:
        save_file(stored | {part: BROKEN[how](stored[part])}, path)
        sign(copy)
        with pytest.raises(RunError, match="no number"):
            next(train_run(copy, tiny_config(copy.name, n_epochs=3), digits, resume=True))


def test_a_sheet_cut_anywhere_is_whole_or_an_error(copy):
    """Never a picture with a part missing."""
    first_format(copy)  # unchecked, so that it is the picture that is looked at
    path = copy / "samples" / "epoch_0002.png"
    whole, sheet, run = path.read_bytes(), read_run(copy).sheet(2), read_run(copy)
    refused = 0
    for kept in range(0, len(whole), 11):
        path.write_bytes(whole[:kept])
        try:
            assert np.array_equal(run.sheet(2), sheet)
        except RunError:
            refused += 1
    assert refused * 11 > 0.9 * len(whole)


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    for key, value in changes.items():
        (stored["config"] if key in stored["config"] or key == "extra" else stored)[key] = value
    path.write_text(json.dumps(stored))


def test_a_run_of_another_version_is_refused(copy):
    change_config(copy, format=FORMAT + 1)
    with pytest.raises(RunError, match=f"format {FORMAT + 1}, this ganlib reads format"):
        read_run(copy)


NONSENSE = [  # (where in config.json, what JSON allows and sense does not)
    ("config.lr", -1),
    ("config.lr", float("inf")),
    ("config.lr", float("nan")),
    ("config.lr", 10**400),
    ("config.bn_eps", 10**400),
    ("config.bn_eps", 1e308),
    ("config.ema", True),
    ("config.batch_size", "64"),
    ("config.batch_size", 64.0),
    ("config.channels", True),
    ("config.n_classes", 10.0),
    ("config.n_epochs", -(10**30)),
    ("config.seed", [0]),
    ("config.device", None),
    ("config.device", "cpu:"),
    ("config.device", "cuda:999999999999999999999"),
    ("config.model", ["gan"]),
    ("config.model", {"gan": 1}),
    ("config.model", "x" * 10_000),
    ("config.loss", None),
    ("config.extra", 1),
    ("config.extra\nline", 1),
    ("config", []),
    ("config", None),
    ("epochs_done", "many"),
    ("epochs_done", None),
    ("epochs_done", -1),
    ("epochs_done", 3),
    ("epochs_done", 1.0),
    ("epochs_done", True),
    ("epochs_done", float("-inf")),
    ("made", None),
    ("made", []),
    ("made.seconds", "long"),
    ("made.seconds", -1),
    ("made.seconds", float("inf")),
    ("made.seconds", 10**400),
    ("made.seconds", False),
    ("made.device", 3),
    ("made.device", "two\nlines"),
    ("made.torch", "x" * 10_000),
    ("made.who", "me"),
    ("images", -1),
    ("images", "all"),
    ("images", 1e9),
    ("files", None),
    ("files", ["generator.safetensors"]),
    ("files.generator.safetensors", "0"),
    ("files.generator.safetensors", 7),
    ("files.losses.safetensors", "G" * 64),
    ("files.../../etc/passwd", "0" * 64),
    ("files.samples/epoch_0001 (1).png", "0" * 64),
    ("more", {}),
    ("format", "2"),
    ("format", True),
    ("format", 0),
    ("format", float("nan")),
]


def nonsense(folder: Path, where: str, value: object) -> None:
    path = folder / "config.json"
    stored = json.loads(path.read_text())
    room, _, name = where.partition(".")
    place, key = (stored[room], name) if name else (stored, room)
    place[key] = value
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize("where, value", NONSENSE, ids=lambda v: repr(v)[:30])
def test_a_value_without_sense_in_config_json_is_told_by_its_name(copy, where, value):
    nonsense(copy, where, value)
    with pytest.raises(RunError, match=r"config\.json is damaged or of another version") as caught:
        read_run(copy)
    message = one_line(caught)
    if not (isinstance(value, float) and value * 0 != 0):  # NaN and Infinity are no JSON at all
        name = where.split("\n")[0].removeprefix("config.").removeprefix("files.")
        assert name in message


@pytest.mark.parametrize("room", ["", "config", "made"])
def test_a_field_that_is_missing_in_config_json_is_told(copy, room):
    path = copy / "config.json"
    stored = json.loads(path.read_text())
    names = stored[room] if room else stored
    for name in list(names):
        if name in ("images", "precision", "n_labels"):  # runs of before name none
            continue
        kept = {key: value for key, value in names.items() if key != name}
        path.write_text(json.dumps(stored | {room: kept} if room else kept))
        with pytest.raises(RunError, match=rf"{name}|a run's"):
            read_run(copy)


def test_a_config_json_that_is_nested_very_deeply_is_a_run_error(copy):
    for depth in (900, 100_000):
        for text in ("[" * depth + "]" * depth, '{"format":' * depth + "1" + "}" * depth):
            (copy / "config.json").write_text(text)
            with pytest.raises(RunError, match=r"config\.json is damaged") as caught:
                read_run(copy)
            one_line(caught)


@pytest.mark.parametrize("text", ["[]", "{}", "3", "null", '{"format": 1}', "\xff"])
def test_a_configuration_that_is_other_json_is_a_run_error(copy, text):
    (copy / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError):
        read_run(copy)


def test_weights_of_another_model_are_refused(copy, digits):
    changes = (
        {"img_size": 16},
        {"latent_dim": 9},
        {"model": {"gan": "cgan", "cgan": "gan"}[copy.name]},
    )
    for change in changes:
        change_config(copy, **asdict(tiny_config(copy.name)) | change)
        with pytest.raises(RunError, match="of another model than its config"):
            read_run(copy).generator()
        config = replace(read_run(copy).config, n_epochs=3)
        with pytest.raises(RunError, match="of another model than its config"):
            next(train_run(copy, config, digits, resume=True))
    change_config(copy, img_size=16)
    with pytest.raises(RunError, match="is no sheet of this run"):
        read_run(copy).sheet(2)


@pytest.mark.parametrize("prefix", ["generator.", "d_optimizer.", "g_optimizer.3.", "epoch"])
def test_a_checkpoint_without_all_its_parts_is_refused(copy, digits, prefix):
    """Above all: an optimiser without its state would go on, silently, with another training."""
    path = copy / "checkpoint.safetensors"
    kept = {key: value for key, value in load_file(path).items() if not key.startswith(prefix)}
    save_file(kept, path)
    sign(copy)
    with pytest.raises(RunError):
        next(train_run(copy, tiny_config(copy.name, n_epochs=3), digits, resume=True))


def test_losses_shorter_than_the_checkpoint_are_refused(copy, digits):
    path = copy / "losses.safetensors"
    stored = load_file(path)
    save_file(stored | {"losses": stored["losses"][:4].clone()}, path)
    sign(copy)
    with pytest.raises(RunError, match="not those of its checkpoint"):
        next(train_run(copy, tiny_config(copy.name, n_epochs=3), digits, resume=True))


def test_losses_that_hold_something_else_are_refused(copy):
    save_file({"weights": torch.zeros(3)}, copy / "losses.safetensors")
    sign(copy)
    with pytest.raises(RunError, match="does not hold a run's losses"):
        read_run(copy).losses()


def test_an_epoch_without_samples_says_which_there_are(finished):
    with pytest.raises(RunError, match="kept no samples of epoch 77: it has 0, 1, 2"):
        finished.sheet(77)


# --- Finding a run -------------------------------------------------------------------------------


def test_a_run_is_found_by_its_folder(finished):
    for name in (finished.folder, str(finished.folder)):
        assert store.find_run(name) == finished


def test_a_recorded_run_is_found_by_its_name(monkeypatch, finished):
    monkeypatch.setattr(store, "RECORDED", finished.folder.parent)
    assert store.recorded_names() == [finished.name]
    assert store.find_run(finished.name) == finished
    with pytest.raises(RunError, match=f"no run called 'best': recorded runs are {finished.name}"):
        store.find_run("best")


def test_a_folder_without_a_run_is_a_run_error(tmp_path):
    with pytest.raises(RunError, match="is not a run: it has no config.json"):
        store.find_run(tmp_path)


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "nul\0byte"])
def test_a_name_that_no_folder_can_have_is_a_run_error(name):
    with pytest.raises(RunError, match="no run called"):
        store.find_run(name)
