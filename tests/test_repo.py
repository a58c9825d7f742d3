"""tools/repo.py: one address, written everywhere, and nothing else touched."""

import re
import subprocess
import sys

import pytest
import repo

# What a reader follows or copies: it must lead to this repository, whoever hosts it.
FOLLOWED = re.compile(
    r"(?:git\+https://github\.com|git clone https://github\.com|repository-code: https://github\.com|"
    r"colab\.research\.google\.com/github|Repository = \"https://github\.com)/([\w.-]+/[\w-]+)"
)


def test_every_place_names_the_repository_of_config():
    found = {file.name: set(FOLLOWED.findall(file.read_text())) for file in repo.files()}
    assert all(names <= {"/".join(repo.address())} for names in found.values()), found
    naming = {name for name, addresses in found.items() if addresses}
    assert {"CITATION.cff", "pyproject.toml", "intro.md"} <= naming
    notebooks = {file.name for file in repo.files() if file.suffix == ".ipynb"}
    assert notebooks and notebooks <= naming


def test_there_and_back():
    """Another address leaves no trace of the first, and the first one restores every byte."""
    here, there = repo.address(), ("someone-else", "another.book")
    for file in repo.files():
        before = file.read_text()
        after = repo.move(before, here, there)
        assert "/".join(here) not in after
        assert repo.move(after, there, here) == before


def test_longer_names_stay():
    text = "https://github.com/a/b-c and https://github.com/x-a/b and https://github.com/a/b.git"
    moved = repo.move(text, ("a", "b"), ("o", "n"))
    assert moved == text.replace("com/a/b.git", "com/o/n.git")


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
