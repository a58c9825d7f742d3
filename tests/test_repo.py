"""tools/repo.py: one address, written everywhere, and nothing else touched."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import repo
from conftest import ROOT

CHAPTERS = [file for file in repo.files() if file.suffix == ".ipynb"]
ELSEWHERE = "someone-else", "another.book"


def moved(file, new: tuple[str, str]) -> str:
    return repo.move(file.read_text(), file.name, repo.address(), new)


@pytest.mark.parametrize("file", CHAPTERS, ids=lambda file: file.stem)
@pytest.mark.parametrize("address", [repo.NOWHERE, ELSEWHERE, repo.address()], ids="/".join)
def test_a_chapter_says_how_it_opens_in_colab(file, address):
    """With a badge that leads to the address, or in words where there is none."""
    first, setup = (cell["source"] for cell in json.loads(moved(file, address))["cells"][:2])
    followed = set(re.findall(r"github(?:\.com)?/([\w.-]+/[\w.-]+?)(?:/blob|\")", "".join(first)))
    assert followed == (set() if address == repo.NOWHERE else {"/".join(address)})
    assert ("ganlib.zip" in "".join(first)) == (address == repo.NOWHERE)
    assert ("_static/colab-badge.svg" in "".join(first)) == (address != repo.NOWHERE)
    assert f'"git+https://github.com/{"/".join(address)}"' in "".join(setup)


@pytest.mark.parametrize("there", [repo.NOWHERE, ELSEWHERE], ids="/".join)
def test_there_and_back(there):
    """Another address leaves no trace of the first, and the first one restores every byte."""
    here = repo.address()
    for file in repo.files():
        after = moved(file, there)
        assert here == there or "/".join(here) not in after
        assert repo.move(after, file.name, there, here) == file.read_text()


@pytest.mark.slow
def test_without_an_address_no_page_leads_to_one(site):
    """Here, and where a fork has not yet said where it lives."""
    pages = [page.read_text() for page in (site / "book").glob("*.html")]
    led = {link for page in pages for link in re.findall(r'href="(https://[^"]+)"', page)}
    placeholder = {link for link in led if "/".join(repo.NOWHERE) in link}
    assert len(led) > 10 and placeholder == set()
    assert repo.address() == repo.NOWHERE or any("/".join(repo.address()) in link for link in led)


def test_longer_names_stay():
    text = "https://github.com/a/b-c and https://github.com/x-a/b and https://github.com/a/b.git"
    assert repo.move(text, "", ("a", "b"), ("o", "n")) == text.replace("com/a/b.git", "com/o/n.git")


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_the_address_as_browsers_and_git_give_it(ending):
    assert repo.parse(f"https://github.com/owner/na.me{ending}") == ("owner", "na.me")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "owner/name",
        "https://github.com/owner",
        "http://github.com/o/n",
        "https://github.com/o/..",
        "https://gitlab.com/owner/name",
        "https://github.com/o/n/tree/main",
        "https://github.com/o/n x",
    ],
)
def test_other_addresses_are_refused_in_one_line(url):
    command = [sys.executable, repo.__file__, url]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr == f"{url!r} is not of the form https://github.com/owner/name\n"


def test_a_copy_of_the_book_finds_the_address_too():
    """`make book` builds one, under _build, which has no tools."""
    (ROOT / "_build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "_build") as folder:
        copied = shutil.copytree(ROOT / "book" / "_ext", Path(folder, "executed", "book", "_ext"))
        code = f"import runpy; runpy.run_path({str(copied / 'address.py')!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
