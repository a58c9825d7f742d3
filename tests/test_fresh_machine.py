"""A machine that lacks a browser or MNIST: what is tried, what runs all the same, what is told."""

import os
import subprocess
import sys
from types import SimpleNamespace

import browser
import pytest
from conftest import ROOT, child_environment
from playwright.sync_api import Error

# A pytest run where no browser is found and none may be downloaded.
BARE = """import sys, browser, pytest
browser.usual_places = lambda: iter(())
sys.exit(pytest.main(sys.argv[1:]))"""
TESTS = ("tests/test_reading.py::test_the_theme_can_be_switched",)
TESTS += ("tests/test_classifier.py::test_the_shipped_judge_reads_mnists_test_split",)
TESTS += ("tests/test_project.py::test_citation_names_this_version",)


class Chromium:
    """Starts what is in ``good``, Playwright's own being None, and remembers what was tried."""

    executable_path = os.devnull  # of Playwright's own, which is there

    def __init__(self, *good):
        self.good, self.tried = good, []

    def launch(self, executable_path, args):
        self.tried.append(executable_path)
        if executable_path not in self.good:
            raise Error("cannot start\nfor many reasons")
        return SimpleNamespace(version=executable_path)


@pytest.fixture
def places(monkeypatch, tmp_path) -> list[str]:
    """A machine with two browsers, nothing on its PATH, and no variable set."""
    files = [tmp_path / name for name in ("chromium", "edge")]
    for file in files:
        file.write_text("")
    monkeypatch.setattr(browser, "usual_places", lambda: map(str, [tmp_path / "gone", *files]))
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    return list(map(str, files))


def test_a_browser_that_is_here_comes_before_playwrights_own(places):
    chromium = Chromium(*places, None)
    assert browser.start(chromium).version == places[0]
    assert chromium.tried == places[:1]


def test_one_that_does_not_start_is_passed_over(places):
    chromium = Chromium(None)
    assert browser.start(chromium).version is None
    assert chromium.tried == [*places, None]


def test_a_named_browser_is_taken_or_none(places, monkeypatch):
    monkeypatch.setenv(browser.VARIABLE, "/my/own")
    assert browser.start(Chromium("/my/own", *places)).version == "/my/own"
    monkeypatch.setattr(browser, "ways_to_get_one", lambda _: pytest.fail("one is named"))
    with pytest.raises(browser.NoBrowser, match="^GANLIB_BROWSER=/my/own does not start: .*start$"):
        browser.find_or_get(Chromium(*places, None))


@pytest.mark.parametrize(
    "system, place",
    [
        ("LOCALAPPDATA", "Microsoft/Edge/Application/msedge.exe"),
        ("PROGRAMFILES", "Google/Chrome/Application/chrome.exe"),
        ("HOME", "Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        ("PATH", "microsoft-edge"),
        ("PATH", "chromium"),
    ],
)
def test_usual_places(system, place, monkeypatch, tmp_path):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o755)
    monkeypatch.setenv(system, str(tmp_path))
    assert str(file) in browser.usual_places()


def test_ways_to_get_one_end_when_there_is_one(places, monkeypatch, tmp_path, capfd):
    """The first fails with pages of what nobody needs, the second works, the third is not asked."""
    pages = "import sys; sys.exit('getaddrinfo ENOTFOUND\\n' + 'more\\n' * 200)"
    fetch = f"import os; os.rename({places[0]!r}, {str(tmp_path / 'gone')!r})"
    ways = [[sys.executable, "-c", code] for code in (pages, fetch, "open('asked', 'w')")]
    monkeypatch.setattr(browser, "ways_to_get_one", lambda _: iter(ways))
    monkeypatch.chdir(tmp_path)
    gone = str(tmp_path / "gone")
    assert browser.find_or_get(Chromium(gone)).version == gone
    told = capfd.readouterr().out
    assert "  failed: getaddrinfo ENOTFOUND\n" in told and "\nmore" not in told
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("apt, user, asked", [(True, 0, True), (True, 1000, False), (0, 0, False)])
def test_only_root_on_debian_asks_apt(apt, user, asked, monkeypatch):
    monkeypatch.setattr(browser.shutil, "which", lambda name: name if apt else None)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    own, *others = browser.ways_to_get_one(Chromium())
    assert own[1:] == ["-m", "playwright", "install", "chromium"]
    assert [way[-1] for way in others] == ["update", "chromium", "chromium"] * asked


@pytest.mark.slow
@pytest.mark.parametrize("automatic", ["", "true"])
def test_what_did_not_run_is_told_at_the_end(automatic, tmp_path):
    """Nothing is found and nothing is downloaded; the rest runs."""
    command = [sys.executable, "-c", BARE, "--nbval-lax", "--nbval-current-env", *TESTS]
    lacking = {"CI": automatic, "GANLIB_DATA": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": "/none"}
    environment = child_environment() | lacking
    environment.pop(browser.VARIABLE, None)
    environment["PYTHONPATH"] += os.pathsep + str(ROOT / "tools")
    done = subprocess.run(
        [*command, "book"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    *_, total, mnist, screen = done.stdout.splitlines()
    assert "1 passed" in total, done.stdout + done.stderr
    assert screen.startswith("NOT RUN: 1 test, no browser: install Chromium")
    lost = f"1 test and the committed outputs of {len(list(ROOT.glob('book/*.ipynb')))} chapters"
    assert mnist.startswith(f"NOT RUN: {lost}, no MNIST: ")
    assert "GANLIB_DATA" in mnist
    assert done.returncode == (1 if automatic else 0)
