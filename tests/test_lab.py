"""`make lab`: a reader opens a chapter in JupyterLab, runs all of it, and moves a slider."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import ROOT, child_environment
from test_sliders import look

SMALL = 'n_epochs, seed, device, dataset, train_size = 1, 0, "cpu", "digits", 300'

ADDRESS = re.compile(r"(http://127\S+)/lab\?token=(\w+)")

pytestmark = pytest.mark.slow


def until(condition, wait=time.sleep, seconds: int = 180) -> None:
    """Wait; a busy machine is slow, not wrong."""
    for _ in range(5 * seconds):
        if condition():
            return
        wait(0.2)
    pytest.fail(f"nothing came in {seconds} s")


@pytest.fixture
def chapter(tmp_path) -> Path:
    """Chapter 3 as nobody has run it, with small parameters, saying at its end who ran it."""
    notebook = nbformat.read(ROOT / "book" / "03_cgan.ipynb", as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = SMALL
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    end = 'import pathlib, sys; pathlib.Path("ran").write_text(sys.prefix)'
    notebook.cells.append(nbformat.v4.new_code_cell(end))
    path = tmp_path / "book" / "03_cgan.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def lab(chapter, tmp_path) -> str:
    """The address of a JupyterLab that `make lab` has started, in a home with a kernel of its own.

    That kernel, called python3 too, cannot start.
    """
    kernel = tmp_path / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "Python 3"}))
    environment = {k: v for k, v in child_environment().items() if not k.startswith("JUPYTER")}
    environment |= {"HOME": str(tmp_path), "JUPYTER_DATA_DIR": str(tmp_path / "share" / "jupyter")}
    environment |= {"JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = ["make", "-C", ROOT, "--old-file=.venv/.ready", "lab"]
    command += [f"BIN={Path(sys.executable).parent}", f"LAB=--no-browser --port=0 {chapter}"]
    log = tmp_path / "log"
    with log.open("w") as said:
        server = subprocess.Popen(
            command, env=environment, stdout=said, stderr=said, start_new_session=True
        )
    try:
        until(lambda: ADDRESS.search(log.read_text()) or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        address, token = ADDRESS.search(log.read_text()).groups()
        yield f"{address}/lab/tree/{chapter.name}?token={token}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    assert "WARNING" not in log.read_text()


def test_a_chapter_runs_and_its_slider_moves(browser, lab, chapter):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(lab)
    page.get_by_text("| Idle").wait_for()  # the kernel has started
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    ran = chapter.with_name("ran")
    until(
        lambda: ran.exists() and ran.read_text(),
        wait=lambda seconds: page.wait_for_timeout(1000 * seconds),
    )
    assert Path(ran.read_text()).samefile(sys.prefix)
    slider = page.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    output = page.locator(".jp-OutputArea-output:has([role=slider])").first
    before, picture = look(output)
    slider.press("ArrowLeft")
    after, other = look(output)
    assert after != before and not np.array_equal(other, picture)
    context.close()
