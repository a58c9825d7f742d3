"""Make sure that tests/test_book.py has a browser: the machine's, else Playwright's own."""

import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome")


def installed() -> str | None:
    """The path of the machine's own Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


if __name__ == "__main__":
    if not installed():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)
