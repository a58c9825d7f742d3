"""Files appear whole or not at all."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Deadly, Killed, child_environment, tiny_config

from ganlib.runs.files import RunError, commit, locked, read_checked, settle, write_whole
from ganlib.runs.store import train_run


def test_a_file_is_written_in_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    for content in (b"old", b"new"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.bin"]


def test_a_write_that_ends_halfway_leaves_the_old_file_and_nothing_else(tmp_path):
    """Really cut: this process may write files of 1,000 bytes for a moment, as on a full disk."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "file.bin"
    write_whole(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RunError, match=r"cannot write .*file\.bin: File too large"):
            write_whole(path, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_file_that_can_not_be_put_in_place_leaves_the_old_one(monkeypatch, tmp_path):
    path = tmp_path / "file.bin"
    write_whole(path, b"old")

    def denied(*arguments):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(RunError, match=r"cannot write .*file\.bin: Permission denied"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_a_folder_that_can_not_be_written_is_a_run_error(tmp_path, digits):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write "):
        write_whole(tmp_path / "file" / "deeper" / "config.json", b"")
    with pytest.raises(RunError, match="cannot write .*: Not a directory"):
        next(train_run(tmp_path / "file" / "run", tiny_config(), digits))
    assert (tmp_path / "file").read_text() == "in the way"


# --- All at once ---------------------------------------------------------------------------------

OLD = {"losses.safetensors": b"old losses", "samples/epoch_0001.png": b"a sheet that stays"}
NEW = {"losses.safetensors": b"new losses", "weights/epoch_0002.safetensors": b"new weights"}


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_killed_at_any_change_of_the_disk_all_files_are_old_or_all_are_new(
    monkeypatch, tmp_path, when
):
    kills = 0
    for kill_at in itertools.count():
        folder = tmp_path / f"killed{kill_at}"
        kept = commit(folder, {"state": "old"}, OLD, {})
        (folder / "mine").write_text("stays")
        with monkeypatch.context() as patch:
            Deadly(patch, kill_at, when)
            try:
                commit(folder, {"state": "new"}, NEW, kept)
            except Killed:
                kills += 1
            else:
                break
        for settled in (False, True):  # read as the kill left it, then after the next writer came
            if settled:
                settle(folder)
            stored = json.loads((folder / "config.json").read_bytes())
            wanted = OLD if stored["state"] == "old" else OLD | NEW
            assert stored["files"].keys() == wanted.keys()
            for name, digits in stored["files"].items():
                assert read_checked(folder, name, digits) == wanted[name]
        found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert found == {"config.json", "mine", *wanted}
    assert kills == 3 * len(NEW) + 2


def test_what_fails_halfway_leaves_the_old_files_and_nothing_else(monkeypatch, tmp_path):
    kept = commit(tmp_path, {}, OLD, {})
    real = os.replace

    def full(source, target):
        if Path(target).name == "config.json":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="cannot write .*No space left"):
        commit(tmp_path, {}, NEW, kept)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"config.json", *OLD}
    assert read_checked(tmp_path, "losses.safetensors", kept["losses.safetensors"]) == b"old losses"


# --- One writer for a folder ---------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from ganlib.runs.files import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_writer_and_a_killed_one_leaves_it_free(tmp_path):
    folder = tmp_path / "new" / "run"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment())
    try:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="run is in use by another process: wait"):
            with locked(folder):
                pass
    finally:
        child.kill()
        child.communicate()
    with locked(folder):
        (folder / "mine").write_text("")
    assert os.listdir(folder) == ["mine"]


def test_a_lock_leaves_no_trace_of_itself(tmp_path):
    with locked(tmp_path / "new" / "run"):
        with pytest.raises(RunError, match="in use"):
            with locked(tmp_path / "new" / "run"):
                pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write .*run: Not a directory"):
        with locked(tmp_path / "file" / "run"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
