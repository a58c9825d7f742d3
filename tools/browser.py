"""A browser for the tests in one. ``python tools/browser.py`` looks for it, or tries to get it.

The first that starts is taken: the one that GANLIB_BROWSER names, and then no other; Chromium,
Chrome or Edge, where they usually are on Linux, macOS and Windows; Playwright's own, downloaded if
need be; on Debian and Ubuntu, as root, the distribution's Chromium.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, BrowserType, Error, sync_playwright

VARIABLE = "GANLIB_BROWSER"
# No sandbox: Chromium refuses one to root, the usual user in a container.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAMES += ("microsoft-edge", "microsoft-edge-stable", "chrome", "msedge")
LINUX = ("/snap/bin/chromium", "/opt/google/chrome/chrome", "/opt/microsoft/msedge/msedge")
MACOS = ("Google Chrome", "Chromium", "Microsoft Edge")  # in /Applications, or in one's own
WINDOWS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")
WINDOWS += (r"Chromium\Application\chrome.exe",)


class NoBrowser(RuntimeError):
    """No browser starts; one line that says what to do."""


def usual_places() -> Iterator[str]:
    """Where this machine would have a browser; files that may not exist."""
    yield from filter(None, map(shutil.which, NAMES))
    yield from LINUX
    for folder in (Path("/Applications"), Path("~/Applications").expanduser()):
        yield from (str(folder / f"{name}.app/Contents/MacOS/{name}") for name in MACOS)
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        if folder := os.environ.get(variable):
            yield from (str(Path(folder, *name.split("\\"))) for name in WINDOWS)


def start(chromium: BrowserType) -> Browser:
    """The first browser that starts. Raises NoBrowser."""
    if named := os.environ.get(VARIABLE):
        path = shutil.which(Path(named).expanduser()) or named
        try:
            return chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error as error:
            what = str(error).splitlines()[0]
            raise NoBrowser(f"{VARIABLE}={named} does not start: {what}") from None
    for path in (*filter(os.path.isfile, usual_places()), None):  # None: Playwright's own
        try:
            return chromium.launch(executable_path=path, args=ARGUMENTS)
        except Error:
            pass  # it is not there, or lacks a library, or is a stub that asks for snap
    raise NoBrowser(f"install Chromium, Chrome or Edge, or let {VARIABLE} name one")


def ways_to_get_one(chromium: BrowserType) -> Iterator[list[str]]:
    """Commands after each of which a browser may be there."""
    playwright = [sys.executable, "-m", "playwright"]
    yield [*playwright, "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["apt-get", "update"]
        yield ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
        if os.path.exists(chromium.executable_path):  # and Ubuntu's Chromium is but a snap
            yield [*playwright, "install-deps", "chromium"]


def find_or_get(chromium: BrowserType) -> Browser:
    """The first browser that starts, got if need be. Raises NoBrowser."""
    for command in [] if os.environ.get(VARIABLE) else ways_to_get_one(chromium):
        try:
            return start(chromium)
        except NoBrowser:
            print("No browser yet:", *command, flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:  # its pages of errors say no more than the first of their lines
            print("  failed:", *(done.stderr + done.stdout).strip().splitlines()[:1], flush=True)
    return start(chromium)


if __name__ == "__main__":
    with sync_playwright() as playwright:
        try:
            print("Browser: Chromium", find_or_get(playwright.chromium).version)
        except NoBrowser as error:
            print(f"No browser, so the tests in one will not run: {error}")
