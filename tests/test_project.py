"""The project's files agree with each other: addresses, versions, requirements, the kernel."""

import re
import sys
import tomllib
from pathlib import Path

import nbformat
import yaml
from execute import execute
from pictures import with_tables

import ganlib

ROOT = Path(__file__).resolve().parents[1]


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_citation_names_this_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == ganlib.__version__


def test_requirements_hold_all_that_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    required = {name_of(line) for line in lines if line and not line.startswith("#")}
    assert {name_of(entry) for entry in project["dependencies"]} <= required


def test_recorded_runs_are_package_data():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folder, files = ROOT / "ganlib", set()
    for pattern in setup["package-data"]["ganlib"]:
        files |= set(folder.glob(pattern))
    recorded = {path for path in (folder / "recorded").rglob("*") if path.is_file()}
    assert recorded, "no recorded runs: make record"
    assert recorded <= files


def test_notebooks_run_on_this_interpreter(tmp_path):
    """A kernelspec from elsewhere on the machine would run the chapters without ganlib."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("import sys; print(sys.executable)")]
    nbformat.write(notebook, tmp_path / "in.ipynb")
    execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb", cwd=tmp_path)
    (output,) = nbformat.read(tmp_path / "out.ipynb", 4).cells[0].outputs
    assert output.text.strip() == sys.executable


def test_the_readme_shows_the_results_that_ship():
    readme = (ROOT / "README.md").read_text()
    assert readme == with_tables(readme), "run python tools/pictures.py"
