"""The command line: one round trip, and everything that can be asked wrongly."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from conftest import child_environment, refused
from PIL import Image
from safetensors.torch import load_file, save_file

from ganlib import data, losses, sampling, steps
from ganlib.cli import commands, parser
from ganlib.cli.parser import main
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS
from ganlib.runs import store

TINY = ["--dataset", "digits", "--img-size", "8", "--train-size", "64", "--batch-size", "32"]
TINY += ["--device", "cpu"]


def train(model, folder, *more):
    return main(["train", model, *TINY, "--n-epochs", "1", "--out", str(folder), *more])


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a one-epoch run of each model, ``gan`` and ``cgan``."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("gan", "cgan"):
        assert train(model, folder / model) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- What goes well ------------------------------------------------------------------------------


def test_every_setting_that_decides_is_an_option_and_explained():
    idle = {"model", "sample_interval", "interval_samples"}  # a command's word; read, not used
    settings = [field for field in fields(TrainingConfig) if field.name not in idle]
    assert all(field.metadata["help"] for field in settings)
    words = {field.name: "x" if field.type is str else "1" for field in settings}
    given = [text for name in words for text in (f"--{name.replace('_', '-')}", words[name])]
    options = parser.build_parser().parse_args(["train", "gan", *given])
    assert vars(options).keys() & {f.name for f in fields(TrainingConfig)} == words.keys() | {
        "model"
    }


def test_the_help_of_train_follows_the_tables(capsys):
    assert main(["train", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    for table in (MODELS, losses.LOSSES, data.DATASETS):
        assert f"one of {', '.join(table)}" in said
    assert "cgan and cgan-small-d mse, others bce" in said and "all of them" in said


def test_train_show_list_sample_resume(here, capsys):
    assert main(["train", "cgan", *TINY, "--n-epochs", "1", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "epoch 1/1" in said and "python -m ganlib sample runs/cgan-seed3" in said
    run = store.read_run("runs/cgan-seed3")
    assert run.config.loss == "mse" and run.config.seed == 3 and run.config.train_size == 64

    assert main(["list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "runs/cgan-seed3" in line)
    assert row.split()[1:6] == ["cgan", "mse", "1e-05", "digits", "1/1"]

    assert main(["show", "runs/cgan-seed3"]) == 0
    said = capsys.readouterr().out
    low, high = run.losses().range("d_loss")
    assert f"{low:.2f} to {high:.2f}" in said and "latent_dim" in said
    assert f"{sum(p.numel() for p in run.generator().parameters()):,} parameters" in said

    resume = ["train", "cgan", "--resume", "--seed", "3", "--n-epochs", "2"]
    assert main(resume) == 0
    run = store.read_run("runs/cgan-seed3")
    assert run.epochs_done == 2 and run.config.train_size == 64
    before = files(run.folder)
    assert main(resume) == 0  # nothing left to do
    assert files(run.folder) == before


@pytest.mark.parametrize("model", ["cbn-cgan", "c-dcgan", "cbn-dcgan"])
def test_the_models_of_section_4_2_train_resume_and_sample(tmp_path, model):
    extras = ["--ema", "0.9", "--d-lr", "0.0004"]
    assert train(model, tmp_path / "run", *extras) == 0
    again = ["train", model, "--resume", "--out", f"{tmp_path}/run", "--n-epochs", "2"]
    assert main(again) == 0
    run = store.read_run(tmp_path / "run")
    assert (run.epochs_done, run.config.loss) == (2, "bce")
    assert (run.config.ema, run.config.d_lr) == (0.9, 0.0004)
    out = tmp_path / "threes.png"
    assert main(["sample", str(run.folder), "--digit", "3", "--n", "4", "--out", str(out)]) == 0
    assert Image.open(out).size == (16, 16)


def test_images_too_small_for_convolution_are_refused_before_anything_is_written(here, capsys):
    small = [*TINY, "--img-size", "7"]
    refused(capsys, ["train", "c-dcgan", *small], "img_size must be at least 8")
    assert not (here / "runs").exists()


def test_resumed_from_the_command_line_equals_uninterrupted(tmp_path):
    assert train("gan", tmp_path / "a") == 0
    assert main(["train", "gan", "--resume", "--out", f"{tmp_path}/a", "--n-epochs", "2"]) == 0
    assert main(["train", "gan", *TINY, "--n-epochs", "2", "--out", f"{tmp_path}/b"]) == 0
    for name in ("generator.safetensors", "losses.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_loss_defaults_to_the_papers_and_can_be_chosen(tmp_path):
    assert train("gan", tmp_path / "a") == 0
    assert train("cgan", tmp_path / "b", "--loss", "least-squares", "--bn-eps", "0.8") == 0
    assert store.read_run(tmp_path / "a").config.loss == "bce"
    other = store.read_run(tmp_path / "b").config
    assert (other.loss, other.bn_eps) == ("least-squares", 0.8)


@pytest.mark.parametrize(
    "model, digit, labels",
    [("gan", None, [-1] * 13), ("cgan", None, [*range(10), 0, 1, 2]), ("cgan", 7, [7] * 13)],
)
def test_sample_npz(trained, tmp_path, model, digit, labels):
    out = tmp_path / "new folder" / "x.npz"
    asked = ["sample", str(trained / model), "--n", "13", "--out", str(out), "--seed"]
    asked = asked if digit is None else [*asked[:2], "--digit", str(digit), *asked[2:]]
    assert main([*asked, "5"]) == 0
    first = out.read_bytes()
    with np.load(out) as stored:
        assert set(stored) == {"images", "labels"}
        images = stored["images"]
        assert images.shape == (13, 1, 8, 8) and images.dtype == np.float32
        assert np.abs(images).max() <= 1 and images.std() > 0
        assert stored["labels"].dtype == np.int64 and stored["labels"].tolist() == labels
    # The same seed draws the same images, and the label is what decides the digit.
    run = store.read_run(trained / model)
    z = torch.randn(13, 100, generator=torch.Generator().manual_seed(5))
    expected = sampling.generate(
        run.generator(), z, *([torch.tensor(labels)] if run.conditional else [])
    )
    assert np.array_equal(images, expected.numpy())
    assert main([*asked, "5"]) == 0 and out.read_bytes() == first
    assert main([*asked, "6"]) == 0 and out.read_bytes() != first


@pytest.mark.parametrize("n, columns, rows", [(1, 1, 1), (7, 3, 3), (12, 4, 3), (100, 10, 10)])
def test_sample_png(trained, tmp_path, n, columns, rows):
    out = tmp_path / "x.PNG"
    assert main(["sample", str(trained / "cgan"), "--n", str(n), "--out", str(out)]) == 0
    sheet = np.array(Image.open(out))
    assert sheet.shape == (rows * 8, columns * 8) and sheet.dtype == np.uint8
    cells = sampling.from_sheet(sheet, 8)
    run = store.read_run(trained / "cgan")
    images, _ = sampling.draw(run.generator(), run.config, n, 0)
    assert torch.allclose(cells[:n], images, atol=1 / 255)
    assert (cells[n:] == -1).all()


def test_list_tells_of_a_damaged_run_and_lists_the_rest(trained, tmp_path, capsys):
    (tmp_path / "good").symlink_to(trained / "gan")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{")
    assert main(["list", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path}/good" in said and f"not listed: {tmp_path}/bad" in said


def test_help_in_a_process_of_its_own():
    asked = [sys.executable, "-m", "ganlib", "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert all(name in done.stdout for name in ("train", "sample", "list", "show", "record"))


def test_alone_prints_help(capsys):
    assert main([]) == 2
    assert "usage: python -m ganlib" in capsys.readouterr().out


def test_ctrl_c_keeps_finished_epochs(tmp_path, monkeypatch, capsys):
    step, calls = steps.generator_step, []

    def pressed_in_the_second_epoch(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(steps, "generator_step", pressed_in_the_second_epoch)
    assert train("gan", tmp_path / "run", "--n-epochs", "3") == 130
    said = capsys.readouterr().err
    assert said.startswith("ganlib: stopped; 1 finished")
    hint = said.split("python -m ganlib ")[1].split()
    assert main(hint) == 0
    run = store.read_run(tmp_path / "run")
    assert run.epochs_done == 3 and len(run.losses().epoch_ends) == 3


def test_ctrl_c_in_the_first_epoch_leaves_nothing_and_hints_at_no_resume(here, monkeypatch, capsys):
    def pressed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "generator_step", pressed)
    assert train("gan", here / "new" / "run") == 130
    said = capsys.readouterr().err
    assert said == "ganlib: stopped; no epoch was finished, and nothing is kept\n"
    assert not list(here.iterdir())


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("teach", "train"),
        ("train", "MODEL"),
        ("train wgan", "gan, cgan"),
        ("train gan --no-such-option 1", "--help"),
        ("train gan --dataset letters", "mnist, fashion-mnist, kmnist, digits"),
        ("train gan --device tpu", "auto, cpu, cuda, mps"),
        ("train gan --device cpu:x", "cpu"),
        ("train gan --loss hinge", "bce, saturating, mse, least-squares"),
        ("train gan --n-epochs 0", "at least 1"),
        ("train gan --n-epochs many", "whole number"),
        ("train gan --batch-size 1", "at least 2"),
        ("train gan --batch-size 63", "batch_size"),  # 64 images: a last batch of one
        ("train gan --lr 0", "above 0"),
        ("train gan --lr nan", "above 0"),
        ("train gan --lr fast", "a number"),
        ("train gan --b1 1", "below 1"),
        ("train gan --latent-dim 0", "at least 1"),
        ("train gan --latent-dim 1000000000", "at most 10,000"),
        ("train gan --n-epochs 100000000000000000000000", "at most 1,000,000"),
        ("train gan --batch-size 10000000000000000000000", "at most 1,000,000"),
        ("train gan --img-size 3", "at least 4"),
        ("train gan --img-size 1000", "at most 256"),
        ("train gan --channels 3", "1, as scikit-learn's digits has"),
        ("train gan --n-classes 2", "must be 10"),
        ("train gan --d-steps 0", "at least 1"),
        ("train gan --seed -1", "at least 0"),
        ("train gan --train-size 5000", "1,497"),
        ("train gan --out file.txt/run", "cannot write"),
        ("train gan --resume", "not a run"),
        ("sample nobody --out x.npz", "nobody"),
        ("show nobody", "nobody"),
        ("list --folder nowhere", "nowhere"),
        ("record mona-lisa", "gan-eps0.8"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(here, capsys, arguments, words):
    (here / "file.txt").write_text("")
    asked = arguments.split()
    if asked[0] == "train" and len(asked) > 1:  # small, should it not be refused; asked last wins
        asked = [*asked[:2], *TINY, "--n-epochs", "1", *asked[2:]]
    refused(capsys, asked, words)
    assert [path for path in here.rglob("*") if path.is_file()] == [here / "file.txt"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_here(here, capsys):
    refused(capsys, ["train", "gan", *TINY, "--device", "cuda"], "no cuda", "cpu")
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "model, options, words",
    [
        ("cgan", "--digit 10 --out x.npz", "0 to 9"),
        ("cgan", "--digit -1 --out x.npz", "0 to 9"),
        ("cgan", "--digit seven --out x.npz", "whole number"),
        ("gan", "--digit 7 --out x.npz", "knows no labels"),
        ("cgan", "--n 0 --out x.npz", "at least 1"),
        ("cgan", "--n 1000000000000 --out x.npz", "at most 100,000"),
        ("cgan", "--seed -1 --out x.npz", "at least 0"),
        ("cgan", "--out x.jpg", ".npz or .png"),
        ("cgan", "", "--out"),
        ("cgan", "--out folder.png", "cannot write"),
        ("cgan", "--out file.txt/x.npz", "cannot write"),
    ],
)
def test_bad_samples_are_one_line_and_leave_nothing(here, trained, capsys, model, options, words):
    (here / "file.txt").write_text("")
    (here / "folder.png").mkdir()
    refused(capsys, ["sample", trained / model, *options.split()], words)
    assert sorted(path.name for path in here.rglob("*")) == ["file.txt", "folder.png"]


@pytest.mark.parametrize("way", ["--batch-size 63", "--loss bce"])
def test_a_failed_training_leaves_the_readers_own_files_alone(here, monkeypatch, capsys, way):
    """Refused at the door, or diverged in its first epoch: what was there before stays."""
    spoiled = losses.BCE._replace(generator=lambda scores: scores.mean() * float("nan"))
    monkeypatch.setitem(losses.LOSSES, "bce", spoiled)
    mine = here / "mine"
    (mine / "samples").mkdir(parents=True)
    for name in ("holiday.png", "notes.txt"):
        (mine / "samples" / name).write_text(name)
    refused(capsys, ["train", "gan", *TINY, "--n-epochs", "1", *way.split(), "--out", mine])
    names = {str(path.relative_to(here)) for path in here.rglob("*")}
    assert names == {"mine", "mine/samples", "mine/samples/holiday.png", "mine/samples/notes.txt"}


def test_a_folder_without_permission_is_named(here, monkeypatch, capsys):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(commands, "find_run", denied)
    refused(capsys, ["show", "theirs"], "no permission for theirs")


def test_a_run_named_like_a_recorded_one_is_sampled_by_its_folder(here, capsys):
    assert main(["train", "gan", *TINY, "--n-epochs", "1", "--out", "cgan"]) == 0
    hint = capsys.readouterr().out.split("python -m ganlib ")[1].split()
    assert hint[:2] == ["sample", "./cgan"]
    assert main(hint) == 0
    assert "by cgan, 1 epochs" in capsys.readouterr().out


def test_another_run_in_the_way(trained, capsys):
    before = files(trained)
    refused(capsys, ["train", "gan", *TINY, "--out", trained / "gan"], "resume")
    for options in (["gan"], ["cgan", "--batch-size", "16"]):
        refused(capsys, ["train", *options, "--resume", "--out", trained / "cgan"], "another run")
    assert files(trained) == before


def test_damaged_runs(trained, tmp_path, capsys):
    for name in ("generator.safetensors", "losses.safetensors", "checkpoint.safetensors"):
        folder = tmp_path / name
        folder.mkdir()
        for path in (trained / "cgan").glob("*.*"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
    out = tmp_path / "x.npz"
    refused(capsys, ["sample", tmp_path / "generator.safetensors", "--out", out], "damaged")
    refused(capsys, ["show", tmp_path / "losses.safetensors"], "damaged")
    again = ["train", "cgan", "--resume", "--n-epochs", "2", "--out"]
    refused(capsys, [*again, tmp_path / "checkpoint.safetensors"], "damaged")
    # A run folder of another model: the config says GAN, the weights are a CGAN's.
    config = tmp_path / "losses.safetensors" / "config.json"
    stored = json.loads(config.read_text())
    stored["config"]["model"] = "gan"
    config.write_text(json.dumps(stored))
    refused(capsys, ["sample", config.parent, "--out", out], "another model")
    assert not out.exists()


def first_format(folder):
    """Make the run one that an earlier ganlib wrote, without digests."""
    path = folder / "config.json"
    stored = json.loads(path.read_text()) | {"format": 1}
    path.write_text(json.dumps({k: v for k, v in stored.items() if k not in ("files", "images")}))


def test_weights_that_are_no_numbers_are_refused_by_every_command_that_uses_them(
    trained, tmp_path, capsys
):
    """First by their SHA-256; and where that was never taken, by a look at the numbers."""
    folder = tmp_path / "run"
    shutil.copytree(trained / "gan", folder)
    for name in ("generator.safetensors", "checkpoint.safetensors"):
        tensors = load_file(folder / name)
        spoiled = {key: value * float("nan") for key, value in tensors.items() if "weight" in key}
        save_file(tensors | spoiled, folder / name)
    for words in ("SHA-256", "no number"):
        refused(capsys, ["sample", folder, "--out", tmp_path / "x.png"], words)
        refused(capsys, ["show", folder], words)
        refused(capsys, ["evaluate", folder], words)
        refused(capsys, ["export", folder, "--out", tmp_path / "models"], words)
        refused(capsys, ["train", "gan", "--resume", "--n-epochs", "2", "--out", folder], words)
        first_format(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_run_of_the_first_format_is_told_to_be_unchecked(trained, tmp_path, capsys):
    shutil.copytree(trained / "gan", tmp_path / "old")
    shutil.copytree(trained / "gan", tmp_path / "new")
    first_format(tmp_path / "old")
    assert main(["list", "--folder", str(tmp_path)]) == 0
    line = [row for row in capsys.readouterr().out.splitlines() if "unchecked" in row]
    assert len(line) == 1 and line[0].endswith(f": {tmp_path}/old")
    for name in ("old", "new"):
        assert main(["show", str(tmp_path / name)]) == 0
        assert ("unchecked" in capsys.readouterr().out) == (name == "old")


def test_a_browsers_second_download_does_not_stop_show(trained, tmp_path, capsys):
    shutil.copytree(trained / "gan", tmp_path / "run")
    (tmp_path / "run" / "samples" / "epoch_0001 (1).png").write_bytes(b"")
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "epochs 0, 1\n" in capsys.readouterr().out


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_loss_that_stops_being_a_number(tmp_path, monkeypatch, capsys, epochs):
    calls = []

    def diverges(scores):
        calls.append(1)
        return losses.bce_generator(scores) * (1 if len(calls) <= 2 * epochs + 1 else float("nan"))

    loss = losses.BCE._replace(generator=diverges)
    monkeypatch.setitem(losses.LOSSES, "bce", loss)
    asked = ["train", "gan", *TINY, "--n-epochs", "3", "--out", tmp_path / "run"]
    refused(capsys, asked, f"epoch {epochs + 1}, iteration 2", "lr")
    if epochs:  # what was good is kept
        run = store.read_run(tmp_path / "run")
        assert run.epochs_done == 1 and run.losses().values.isfinite().all()
        assert all(value.isfinite().all() for value in run.generator().state_dict().values())
    else:
        assert not list(tmp_path.iterdir())


# --- What the machine refuses --------------------------------------------------------------------

LONG = "n" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", LONG],
        ["evaluate", LONG],
        ["sample", LONG, "--out", "x.png"],
        ["sample", "cgan", "--n", "1", "--out", f"{LONG}.png"],
        ["list", "--folder", LONG],
        ["export", LONG, "--out", "x"],
        ["export", "cgan", "--out", LONG],
        ["train", LONG],
        ["train", "gan", *TINY, "--n-epochs", "1", "--out", LONG],
        ["train", "gan", *TINY, "--device", LONG],
        ["train", "gan", *TINY, "--dataset", LONG],
        ["train", "gan", *TINY, "--loss", LONG],
        ["record", LONG],
        ["record", "gan-eps0.8", "--workspace", LONG],
        [LONG],
        ["show", "a\0b"],
        ["list", "--folder", "\0"],
        ["sample", "cgan", "--n", "1", "--out", "\0.png"],
        ["train", "gan", *TINY, "--out", "a\0"],
        ["show", "file.txt/run"],
        ["list", "--folder", "file.txt/run"],
        ["export", "cgan", "--out", "file.txt/x"],
    ],
)
def test_names_that_no_file_can_have(here, capsys, arguments):
    (here / "file.txt").touch()
    refused(capsys, arguments)
    assert [path.name for path in here.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("name", ["cpu:", "cpu:1x", "cpu:\u0660", "cpu:-1", "cpu:1", "cuda:-1"])
@pytest.mark.parametrize("way", [["train", "gan", *TINY], ["experiment", "paper"]])
def test_devices_that_are_none(here, capsys, name, way):
    refused(capsys, [*way, "--device", name], "cpu")
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(5, "Input/output error", "disk/file"), "disk/file: Input/output error"),
        (IsADirectoryError(21, "Is a directory", "place"), "place: Is a directory"),
        (OSError(24, "Too many open files"), "Too many open files"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "temporarily unavailable"),
        (MemoryError(), "not enough memory"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 9 bytes"
            ),
            "not enough memory",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "not enough memory",
        ),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
    ],
)
def test_what_the_machine_refuses_is_one_line(monkeypatch, capsys, error, words):
    def refuse(name):
        raise error

    monkeypatch.setattr(commands, "find_run", refuse)
    refused(capsys, ["show", "gan"], words)


def test_memory_refused_in_the_first_epoch_leaves_nothing(here, monkeypatch, capsys):
    def refuse(*arguments):
        raise MemoryError

    monkeypatch.setattr(steps, "generator_step", refuse)
    refused(capsys, ["train", "gan", *TINY, "--n-epochs", "1"], "not enough memory")
    assert not [path for path in here.rglob("*") if path.is_file()]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments, code, out, error",
    [
        ("list > /dev/full", 2, 0, "standard output: No space left on device"),
        ("--help > /dev/full", 2, 0, "standard output: No space left on device"),
        ("list >&-", 2, 0, "standard output is closed"),
        ("list --folder nowhere 2>&-", 2, 0, ""),
        ("list --folder nowhere > /dev/full 2>&1", 2, 0, ""),
        ("list | head -1", 0, 1, ""),
    ],
)
def test_streams_that_are_closed_or_full(unbuffered, arguments, code, out, error):
    shell = f"set -o pipefail; {sys.executable} -m ganlib {arguments}"
    environment = child_environment() | {"PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout.count("\n")) == (code, out)
    assert error in done.stderr and done.stderr.count("\n") == bool(error)


# --- Ctrl-C --------------------------------------------------------------------------------------

PRESSED = """
import builtins, os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
real = builtins.__import__

def pressed(name, *rest):
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest)

builtins.__import__ = pressed
from ganlib.__main__ import run
sys.exit(run())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("module", ["torch", "numpy", "ganlib.cli.commands", "safetensors"])
def test_ctrl_c_during_the_imports_is_one_line(module):
    command = [sys.executable, "-c", PRESSED, module]
    done = subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "ganlib: stopped\n")


@pytest.mark.parametrize(
    "room, name", [(data, "load"), (store, "start"), (steps, "generator_step")]
)
def test_ctrl_c_before_the_first_epoch_is_done_leaves_nothing_to_resume(
    here, monkeypatch, capsys, room, name
):
    def press(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(room, name, press)
    assert train("gan", here / "run") == 130
    told = capsys.readouterr().err
    assert told.startswith("ganlib: stopped") and told.count("\n") == 1 and "resume" not in told
    assert not list(here.iterdir())


def test_ctrl_c_when_an_epoch_is_saved_but_not_yet_told_of(here, monkeypatch, capsys):
    saved = store.train_run

    def press(*arguments, **named):
        next(saved(*arguments, **named))
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(commands, "train_run", press)
    for epochs, words in (("2", "1 finished epochs are kept, go on with"), ("1", ", all of them")):
        assert main(["train", "gan", *TINY, "--n-epochs", epochs, "--out", epochs]) == 130
        assert words in capsys.readouterr().err


def test_ctrl_c_after_the_last_epoch_gives_no_hint(here, monkeypatch, capsys):
    def press(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "duration", press)
    assert train("gan", here / "run") == 130
    told = capsys.readouterr().err
    assert told.startswith("ganlib: stopped") and told.count("\n") == 1 and "resume" not in told
    assert store.read_run(here / "run").epochs_done == 1


@pytest.mark.parametrize("kind", [KeyError, ValueError])
def test_a_bug_shows_its_traceback(monkeypatch, kind):
    def broken(name):
        raise kind(name)

    monkeypatch.setattr(commands, "find_run", broken)
    with pytest.raises(kind):
        main(["show", "gan"])
