"""Say where the book lives: ``python tools/repo.py https://github.com/owner/name``.

The address stands in _config.yml. Badges, set-up cells, CITATION.cff and the pages repeat it, since
they are read where _config.yml is not; this command writes it in all of these places at once.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://github\.com/([\w-]+)/([\w.-]+)")
# Where the address may stand. Notebooks: in their text and code; no output names it.
PLACES = ("_config.yml", "CITATION.cff", "pyproject.toml", "README.md", "book/*.md", "book/*.ipynb")


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


def move(text: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """``text`` with owner/name, and the folder that `git clone` makes, replaced."""
    for before, after in (("/".join(old), "/".join(new)), (f"cd {old[1]}", f"cd {new[1]}")):
        # Not where it is only a part of a longer name.
        text = re.sub(rf"(?<![\w.-]){re.escape(before)}(?![\w-])", after, text)
    return text


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
        after = move(before.decode(), old, new).encode()
        if after != before:
            file.write_bytes(after)
            changed += 1
    print(f"{changed} files now say https://github.com/{'/'.join(new)}")


if __name__ == "__main__":
    main()
