"""The house as a whole: what importing it does, which room knows which, and what none may do."""

import ast
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import child_environment

import ganlib

PACKAGE = Path(ganlib.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
ROOMS = [name for name in MODULES if not name.endswith("__init__")]
every_room = pytest.mark.parametrize("room", ROOMS)

TALKS = {"__main__", "cli.parser", "cli.commands", "cli.judging"}  # who may print
LONGEST = 360  # lines, "about 350"; a longer room is two rooms


def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def imported(name: str, top_level_only: bool = False) -> set[str]:
    """All that a module imports, as dotted names; `from a import b` gives both a and a.b."""
    nodes = tree(name).body if top_level_only else ast.walk(tree(name))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def rooms_imported(name: str) -> set[str]:
    parts = [full.split(".") for full in imported(name)]
    return {part[1] for part in parts if part[0] == "ganlib" and len(part) > 1} & set(ROOMS)


def libraries(name: str, top_level_only: bool = False) -> set[str]:
    return {full.split(".")[0] for full in imported(name, top_level_only)}


# --- Which room knows which ----------------------------------------------------------------------


def test_who_may_import_whom_is_kept():
    """The contracts stand in pyproject.toml; `make lint` checks them too."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stdout


@every_room
def test_nothing_private_crosses_rooms(room):
    ours = [name for name in imported(room) if name.startswith("ganlib.")]
    assert not [name for name in ours if name.split(".")[-1].startswith("_")]


@every_room
def test_heavy_libraries_stay_in_their_rooms(room):
    homes = {
        "ipywidgets": {"figures.codes", "figures.widgets", "figures.lines", "figures.collapse"},
        "IPython": {"figures.widgets", "figures.lines", "figures.collapse"},
        "matplotlib": {room for room in ROOMS if room.startswith("figures.")},
        "torchvision": {"sources"},
        "sklearn": {"data", "judge.metrics", "studies.recognisers"},
        "scipy": {"judge.codes", "studies.analysis"},
        "joblib": {"studies.workers"},
        "distributed": {"studies.workers"},
        "safetensors": {
            *("runs.files", "runs.checkpoint", "runs.store"),
            *("studies.recording", "judge.classifier"),
        },
    }
    for library in libraries(room) & homes.keys():
        assert room in homes[library], f"{room} imports {library}"


@every_room
def test_nothing_is_unpickled(room):
    if room == "figures.narrow":  # which copies a figure of its own, and reads nothing
        return
    assert not libraries(room) & {"pickle", "cPickle", "dill", "cloudpickle", "shelve"}
    source = MODULES[room].read_text()
    assert not re.search(r"(torch|joblib)\.(load|dump|save)\b|allow_pickle", source)
    assert not re.search(r"np\.load\b|\bpickle\.", source)
    assert not {"torch.load", "torch.save", "torch.hub", "numpy.load"} & imported(room)


# --- What no room may do -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_room_is_short_and_opens_with_its_purpose(name):
    lines = MODULES[name].read_text().splitlines()
    assert len(lines) <= LONGEST, f"{name} has {len(lines)} lines: split it"
    assert ast.get_docstring(tree(name)), f"{name} does not say what it is for"


def test_there_is_no_room_for_everything():
    names = {part for name in MODULES for part in name.split(".")}
    assert not {"utils", "util", "helpers", "common", "misc"} & names


@every_room
def test_only_the_command_line_prints(room):
    calls = [node for node in ast.walk(tree(room)) if isinstance(node, ast.Call)]
    prints = [node for node in calls if getattr(node.func, "id", "") == "print"]
    assert room in TALKS | {"figures.widgets"} or not prints  # which answers a reader


@pytest.mark.parametrize("name", MODULES)
def test_no_absolute_path_of_any_machine(name):
    texts = [
        node.value
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    path = re.compile(r"(?<![\w.:/])/(work|tmp|home|root|Users|usr|var|mnt|content|opt)\b|[A-Z]:\\")
    assert not [text for text in texts if path.search(text)]


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in TALKS])
def test_every_public_function_and_class_says_what_it_does(room):
    """But for the command line, whose help says it."""
    public = [
        node
        for node in tree(room).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent, f"without a docstring in {room}: {', '.join(silent)}"


# --- What importing does: nothing ----------------------------------------------------------------

IMPORTS = """
import random, sys, warnings
import numpy, torch

def state():
    return (
        torch.get_rng_state().tolist(), random.getstate(), str(numpy.random.get_state()),
        list(warnings.filters), torch.get_num_threads(), torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(),
        torch.backends.mkldnn.matmul.fp32_precision
        if hasattr(torch.backends.mkldnn, "matmul") else None,
    )

before, loaded = state(), set(sys.modules)
import ganlib
assert not [name for name in sys.modules if name.startswith("ganlib.")], "ganlib opened a room"
import ganlib.families, ganlib.losses, ganlib.training
import ganlib.data
assert state() == before, "importing changed a global state"
heavy = {"torchvision", "matplotlib", "ipywidgets", "IPython", "sklearn", "pandas", "scipy"}
new = {name.split(".")[0] for name in set(sys.modules) - loaded}
assert not new & heavy, new & heavy
"""


def run_child(code: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), cwd=folder, timeout=120
    )


def test_importing_runs_nothing_and_loads_no_heavy_library(tmp_path):
    done = run_child(IMPORTS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", [None, "77"])
def test_waiting_threads_do_not_spin_for_long_unless_asked_to(tmp_path, monkeypatch, given):
    """It is decided before torch is there: the set-up cell and the command import ganlib first."""
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if given:
        monkeypatch.setenv("GOMP_SPINCOUNT", given)
    code = "import os, sys, ganlib\nprint(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    assert run_child(code, tmp_path).stdout == f"{given or 1000} False\n"


def test_the_ground_floor_works_without_the_libraries_above_it(tmp_path):
    """torch and numpy alone are enough to build, train and draw batches."""
    blocked = ("torchvision", "matplotlib", "ipywidgets", "IPython", "sklearn", "PIL", "tqdm")
    code = f"import sys\nfor name in {blocked + ('safetensors',)}: sys.modules[name] = None\n"
    code += """
import torch
from ganlib import configuration, training
config = configuration.TrainingConfig(n_epochs=1, batch_size=4, device="cpu")
players = training.start(config)
epochs = training.train(players, torch.zeros(8, 1, 32, 32), torch.zeros(8), config)
print(next(epochs).losses.shape)
"""
    done = run_child(code, tmp_path)
    assert done.stdout == "torch.Size([2, 6])\n", done.stderr


def test_the_module_is_a_command(tmp_path):
    command = [sys.executable, "-m", "ganlib", "--help"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0 and "train" in done.stdout


# --- The tests themselves ------------------------------------------------------------------------


def test_a_test_that_asks_for_the_network_fails():
    for ask in (
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=0.1),
        lambda: socket.getaddrinfo("example.org", 80),
    ):
        with pytest.raises(pytest.fail.Exception, match="a test asked for the network"):
            ask()
