"""What `make book` says while the chapters run: one line for each, and a bar for who watches."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import execute
import nbformat
import pytest
import yaml
from conftest import ROOT, child_environment

MAIN = """import execute, pathlib
execute.ROOT = pathlib.Path.cwd()
execute.COPY = execute.ROOT / "copy"
execute.main()"""
CODE = ("print('said in the chapter')", "import os; _ = os.system('echo disk almost full >&2')")
LINE = r"Chapter 1 of 1: book/one\.ipynb, \d+ s"

pytestmark = pytest.mark.slow


@pytest.fixture
def book(tmp_path):
    """A book of one chapter, where MNIST cannot be had; a command and how to start it there."""
    for folder in ("book", "tests", "no-data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_toc.yml").write_text(
        yaml.safe_dump({"parts": [{"chapters": [{"file": "book/one"}]}]})
    )
    (tmp_path / "_config.yml").write_text(yaml.safe_dump({"html": {}}))
    write(tmp_path, *CODE)
    environment = child_environment() | {"GANLIB_DATA": str(tmp_path / "no-data")}
    environment["PYTHONPATH"] += os.pathsep + str(ROOT / "tools")
    for scheme in ("http", "https"):  # port 9 refuses at once: no network
        environment[f"{scheme}_proxy"] = "http://127.0.0.1:9"
    return [sys.executable, "-c", MAIN], {"env": environment, "cwd": tmp_path}


def write(folder, *cells: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbformat.write(notebook, folder / "book" / "one.ipynb")


def test_a_log_gets_one_line_a_chapter_and_what_matters(book):
    command, place = book
    done = subprocess.run(command, **place, capture_output=True, text=True)
    assert done.returncode == 0 and "\r" not in done.stdout
    *_, rule, chapter, last = done.stdout.splitlines()
    assert set(rule) == {"!"} and re.fullmatch(LINE, chapter)
    assert last == "MNIST could not be had: all pages show scikit-learn's digits, and say so."
    assert done.stderr == "disk almost full\n"


def test_a_terminal_gets_a_bar_that_moves_and_leaves_the_same_line(book):
    command, place = book
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with subprocess.Popen(command, **place, stdout=theirs, stderr=theirs):
        os.close(theirs)
        screen = b""
        try:
            while more := os.read(ours, 4096):
                screen += more
        except OSError:  # Linux says so when the other end closes
            pass
    os.close(ours)
    states = screen.decode().split("\r")
    assert [s for s in states if re.match(r"Chapter 1 of 1: book/one.ipynb:\s+0%.* 0/2 ", s)]
    assert [s for s in states if re.match(r"Chapter 1 of 1: book/one.ipynb: 100%.* 2/2 ", s)]
    assert [s for s in states if re.fullmatch(LINE, s)]


def test_a_chapter_that_fails_is_named(book):
    command, place = book
    write(place["cwd"], "1 / 0")
    done = subprocess.run(command, **place, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Chapter 1 of 1: book/one.ipynb failed." in done.stderr
    assert "ZeroDivisionError" in done.stderr and "papermill/" not in done.stderr


def test_what_is_printed_in_one_go_is_one_output():
    """A busy kernel sends it in pieces, which would make two equal runs differ."""

    def said(name, text):
        return nbformat.v4.new_output("stream", name=name, text=text)

    figure = nbformat.v4.new_output("display_data")
    pieces = [said("stdout", "a\n"), said("stdout", "b\n"), figure, said("stdout", "c\n")]
    whole = execute.whole_streams([*pieces, said("stderr", "d\n"), said("stderr", "e\n")])
    assert [one.get("text") for one in whole] == ["a\nb\n", None, "c\n", "d\ne\n"]
