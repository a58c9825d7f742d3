"""Run every chapter as Colab would: ``python tools/colab.py [chapter ...]``. Needs the network.

Each notebook lies alone in an empty folder. Its kernel has the packages that Colab comes with and
no ganlib, so the set-up cell has to install it. git is told to take this checkout for the book's
address: what is installed is the last commit here, by the very cell that readers run. Afterwards
ganlib must be the only package that has come, gone or changed; above all, torch is untouched.

Python, IPython and most versions are this machine's and not Colab's, which change every week.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from importlib import metadata
from pathlib import Path

import repo
from execute import ROOT, chapters, execute
from packaging.requirements import Requirement
from papermill import PapermillExecutionError

HOME = ROOT / "_build" / "colab"
PYTHON = HOME / "bin" / "python"
PIP = (PYTHON, "-m", "pip", "--disable-pip-version-check")
# Of the packages that Colab comes with, those that the book needs are lent by this environment;
LENT = ("torch", "torchvision", "numpy", "pillow", "safetensors", "scikit-learn", "matplotlib")
LENT += ("tqdm", "ipykernel")
# but Colab's ipywidgets is older than the book's own, since its pages cannot show version 8.
INSTALLED = ("ipywidgets==7.7.1",)
SMALL = {"n_epochs": 1, "train_size": 1000, "device": "cpu", "dataset": "digits"}


def with_dependencies(names: tuple[str, ...]) -> set[str]:
    """The names, and all that they need on this machine."""
    found, to_visit = set(), [Requirement(name) for name in names]
    while to_visit:
        wanted = to_visit.pop()
        for extra in {"", *wanted.extras}:
            if (wanted.name, extra) not in found:
                found.add((wanted.name, extra))
                needed = map(Requirement, metadata.requires(wanted.name) or [])
                to_visit += [
                    n for n in needed if not n.marker or n.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


def lend(folder: Path) -> None:
    """Fill ``folder`` with links to the packages of this environment that Colab has too."""
    folder.mkdir()
    for name in with_dependencies(LENT):
        package = metadata.distribution(name)
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(package.locate_file(top)).resolve())


def set_up() -> None:
    """An environment such as Colab's, and a kernel named "colab" that runs in it."""
    shutil.rmtree(HOME, ignore_errors=True)
    venv.create(HOME, with_pip=True)
    lend(HOME / "lent")
    (site_packages,) = HOME.glob("lib/python*/site-packages")
    (site_packages / "lent.pth").write_text(f"{HOME / 'lent'}\n")
    # venv's own setuptools, where it brings one, would hide the one that is lent.
    subprocess.run([*PIP, "uninstall", "-q", "--yes", "setuptools"], check=True)
    subprocess.run([*PIP, "install", "-q", *INSTALLED], check=True)
    kernel = HOME / "share" / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    start = [str(PYTHON), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Like Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))


def packages() -> dict[str, str]:
    """Every package that the kernel sees, and its version."""
    listed = subprocess.run([*PIP, "list", "--format=json"], capture_output=True, check=True)
    return {package["name"]: package["version"] for package in json.loads(listed.stdout)}


def run(chapter: Path) -> set[str]:
    """Run one chapter alone; the names of the packages that changed. It is as before afterwards."""
    before = packages()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / chapter.name
        shutil.copy(ROOT / chapter, copy)
        execute(copy, copy, cwd=Path(folder), kernel="colab", **SMALL)
    after = packages()
    subprocess.run([*PIP, "uninstall", "-q", "--yes", "ganlib"], check=True)
    return {name for name, _ in before.items() ^ after.items()}


def main() -> None:
    wanted = [Path(name) for name in sys.argv[1:]] or chapters()
    os.environ.pop("PYTHONPATH", None)  # it may lead to ganlib
    os.environ |= {  # which pip, git and the kernels inherit
        "PYTHONNOUSERSITE": "1",
        "JUPYTER_PATH": str(HOME / "share" / "jupyter"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"https://github.com/{'/'.join(repo.address())}",
    }
    status = ["git", "-C", ROOT, "status", "--porcelain", "ganlib", "pyproject.toml"]
    if changes := subprocess.run(status, capture_output=True, text=True, check=True).stdout:
        print(f"Not committed, so not installed:\n{changes}", flush=True)
    set_up()
    for chapter in wanted:
        started = time.monotonic()
        try:
            changed = run(chapter)
        except PapermillExecutionError as error:
            sys.exit(f"{chapter} failed:\n{error}")
        if changed != {"ganlib"}:
            sys.exit(f"{chapter}: its set-up cell changed {sorted(changed) or 'nothing'}")
        print(f"{chapter}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
