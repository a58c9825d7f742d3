"""Cells at work in real processes, here and on a cluster: killed, failing, and equal to one by one.

A worker process sees nothing that a test patches, so these cells bring all that they need: a class
inside a function travels by value.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import child_environment

from ganlib.cli import judging
from ganlib.cli.parser import main
from ganlib.configuration import TrainingConfig
from ganlib.judge import metrics
from ganlib.runs.store import RunError
from ganlib.studies import engine, study, workers
from ganlib.studies.catalogue import STUDIES

N_IMAGES = 300
pytestmark = pytest.mark.filterwarnings("ignore:the judge reads only")  # these digits are not its


def small_cell(seed: int, does: str = "", n_epochs: int = 2):
    """A cell of seconds on the bundled digits. When its training begins, it ``does`` something:
    dies, fails, or writes its process's number into a file."""

    @dataclass(frozen=True)
    class Small:
        seed: int
        does: str
        n_epochs: int
        run = None  # as the engine runs any cell
        sheet = True

        @property
        def name(self) -> str:
            return f"small-seed{self.seed}"

        @property
        def levels(self) -> dict:
            return {"seed": self.seed}

        @property
        def config(self) -> TrainingConfig:
            metrics.N_IMAGES = N_IMAGES
            tiny = {"img_size": 8, "batch_size": 256, "latent_dim": 8, "dataset": "digits"}
            return TrainingConfig(n_epochs=self.n_epochs, seed=self.seed, **tiny)

        @property
        def epochs(self) -> tuple[int, ...]:  # a training asks for them first of all
            if self.does == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.does == "fail":
                raise RunError("this one\nfails")
            elif self.does:
                Path(self.does).write_text(str(os.getpid()))
            return (self.n_epochs,)

    return Small(seed, does, n_epochs)


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(metrics, "N_IMAGES", N_IMAGES)
    monkeypatch.setattr(engine, "COUNTS", (100, N_IMAGES))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # two workers have one thread each


def kill_midway(cell, *workspaces: Path) -> threading.Thread:
    """A thread that kills the process which trains ``cell`` when a few epochs of it are done."""
    folders = [workspace / cell.name for workspace in workspaces]

    def kill() -> None:
        while not any(judging.epochs_done(folder) > 2 for folder in folders):
            time.sleep(0.01)
        os.kill(int(Path(cell.does).read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def comparable(outcome: workers.Outcome) -> tuple:
    """An outcome but for how long it took."""
    found = outcome.found and {key: v for key, v in outcome.found.items() if key != "seconds"}
    return outcome._replace(found=found)


# --- On this machine -----------------------------------------------------------------------------


@pytest.mark.slow
def test_whatever_befalls_a_cell_the_others_go_on_and_equal_those_made_one_by_one(tmp_path):
    long = small_cell(0, str(tmp_path / "pid"), n_epochs=12)
    cells = [long, small_cell(1), small_cell(2, "fail"), small_cell(3, "die"), small_cell(4)]
    killing, told, epochs = kill_midway(long, tmp_path / "two"), [], []

    def tick() -> None:
        epochs.append(judging.epochs_done(tmp_path / "two" / long.name))

    made = workers.in_processes(cells, tmp_path / "two", "cpu", 2, tick, told.append)
    found = {one.name: comparable(one) for one in made}
    killing.join(timeout=5)
    assert set(found) == {cell.name for cell in cells}
    assert sorted(told) == [
        f"{name}: its worker was killed; once more from its checkpoint"
        for name in ("small-seed0", "small-seed3")
    ]
    assert found["small-seed2"].error == "RunError: this one fails"
    assert "SIGKILL" in found["small-seed3"].error and "\n" not in found["small-seed3"].error
    assert epochs == sorted(epochs)  # never from the start again

    well = [cell for cell in cells if cell.does in ("", long.does)]
    for one in workers.one_by_one(well, tmp_path / "one", "cpu", lambda: None):
        assert comparable(one) == found[one.name] and one.sheet.startswith(b"\x89PNG")


def test_workers_that_cannot_even_start_end_every_cell(tmp_path, monkeypatch):
    """A broken interpreter in place of Python: loky starts its processes with sys.executable."""
    from joblib.externals.loky.backend import resource_tracker, spawn

    resource_tracker.ensure_running()  # by Python itself; it is the workers that cannot start
    monkeypatch.setattr(spawn, "get_executable", lambda: "/bin/false", raising=False)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    cells, told = [small_cell(0), small_cell(1)], []
    found = workers.in_processes(cells, tmp_path, "cpu", 2, lambda: None, told.append)
    assert sorted(one.name for one in found if one.error) == ["small-seed0", "small-seed1"]
    assert len(told) == 2


# --- On a cluster --------------------------------------------------------------------------------


@pytest.fixture
def cluster(tmp_path):
    """A real scheduler's address; two workers, each in a folder of its own."""
    place = tmp_path / "scheduler.json"
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(place)]
    alone = ["--nthreads", "1", "--no-nanny"]
    started = []
    for name, options in (("scheduler", ["--port", "0"]), ("worker", alone), ("worker", alone)):
        folder = tmp_path / f"machine{len(started)}"
        folder.mkdir()
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", *local, *options]
        with (folder / "log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command, cwd=folder, env=child_environment(), stdout=log, stderr=log
                )
            )
    deadline = time.monotonic() + 60
    while not place.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    import json

    yield json.loads(place.read_text())["address"]
    for process in reversed(started):
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_midway_finds_what_one_machine_finds(
    cluster, tmp_path, monkeypatch, capfd
):
    long = small_cell(0, str(tmp_path / "pid"), n_epochs=12)
    cells = [long, *map(small_cell, range(1, 5))]
    results = {}
    for where, options in (
        ("cluster", ["--scheduler", cluster]),
        ("one", ["--workers", "1", "--device", "cpu"]),
    ):
        path = tmp_path / where / "experiment.json"
        monkeypatch.setattr(study, "RECORDED", path.parent)
        made = replace(STUDIES["paper"], cells_of=lambda seed: cells)
        monkeypatch.setitem(STUDIES, "paper", made)
        if where == "cluster":
            machines = [tmp_path / f"machine{i}" / "cells" / "experiment" for i in (1, 2)]
            killing = kill_midway(long, *machines)
        monkeypatch.chdir(tmp_path)
        assert main(["experiment", "paper", "--seeds", "1", "--workspace", "cells", *options]) == 0
        kept = engine.read_results(path)
        results[where] = (
            [{key: v for key, v in one.items() if key != "seconds"} for one in kept["runs"]],
            {name.name: name.read_bytes() for name in path.with_suffix("").glob("*.png")},
        )
        if where == "cluster":
            killing.join(timeout=5)
            assert not killing.is_alive()
            said = capfd.readouterr()
            assert "was lost; its cells are tried again elsewhere" in said.err
            assert not any((tmp_path / "cells").rglob("config.json"))  # nothing was shared
            assert all((machine / long.name).is_dir() for machine in machines)
    assert len(results["one"][0]) == len(results["one"][1]) == len(cells)
    assert results["cluster"] == results["one"]
