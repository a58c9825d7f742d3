"""Say where the book lives: ``python tools/repo.py https://github.com/owner/name``.

The address stands in _config.yml. The chapters' set-up cells and Colab badges repeat it, since they
are read where _config.yml is not; this command writes it in all of these places at once. As long as
the address is NOWHERE, a chapter says in the badge's place how it is opened in Colab all the same.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://github\.com/([\w-]+)/([\w.-]+)")
NOWHERE = ("OWNER", "gan-digits-book")  # a placeholder: no link may lead there
# Where the address may stand. Notebooks: in their text and code; no output names it.
PLACES = ("_config.yml", "book/*.ipynb")
# In a notebook's first cell, one of these two lines; JSON writes both as they stand here.
BADGE = (
    "[![Open in Colab](_static/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{owner}/{name}/blob/main/book/{file})"
)
BY_HAND = (
    "**In Colab.** This book has no address on GitHub yet: upload `book/{file}` (*File → Upload "
    "notebook*) and, among its files, `ganlib.zip`, which `git archive -o ganlib.zip HEAD` makes "
    "in the book's folder."
)


def address(root: Path = ROOT) -> tuple[str, str]:
    """The owner and the name that _config.yml gives."""
    url = yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]
    return parse(url)


def parse(url: str) -> tuple[str, str]:
    """The owner and the name in a GitHub address. Raises ValueError if it is no such address."""
    found = ADDRESS.fullmatch(url.removesuffix("/").removesuffix(".git"))
    if not found or set(found[2]) == {"."}:
        raise ValueError(f"{url!r} is not of the form https://github.com/owner/name")
    return found[1], found[2]


def to_colab(file: str, address: tuple[str, str]) -> str:
    """The line at a chapter's top that leads to Colab: a badge, or words if there is no address."""
    line = BY_HAND if address == NOWHERE else BADGE
    return line.format(file=file, owner=address[0], name=address[1])


def move(text: str, file: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """The ``text`` of ``file`` with owner/name replaced, and the way to Colab with it."""
    text = text.replace(to_colab(file, old), to_colab(file, new))
    # Not where it is only a part of a longer name.
    return re.sub(rf"(?<![\w.-]){re.escape('/'.join(old))}(?![\w-])", "/".join(new), text)


def files(root: Path = ROOT) -> list[Path]:
    return [file for place in PLACES for file in sorted(root.glob(place))]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("Which address? make repo URL=https://github.com/owner/name")
    try:
        old, new = address(), parse(sys.argv[1])
    except ValueError as error:
        sys.exit(str(error))
    changed = 0
    for file in files():
        before = file.read_bytes()
        after = move(before.decode(), file.name, old, new).encode()
        if after != before:
            file.write_bytes(after)
            changed += 1
    print(f"{changed} files now say https://github.com/{'/'.join(new)}")


if __name__ == "__main__":
    main()
