"""How the code is built: the picture, the tables and the page say what is in the house today."""

import re
import xml.etree.ElementTree as ElementTree

import house
import pytest
from conftest import ROOT

from ganlib.families import MODELS

PAGE = (ROOT / "book" / "house.md").read_text()
FILES = sorted(
    path.relative_to(house.PACKAGE).as_posix()
    for path in house.PACKAGE.rglob("*.py")
    if not path.name.startswith("__")
)


def test_the_tables_name_every_file_once_and_every_model():
    named = re.findall(r"^\| `(\S+\.py)` \| .", house.files_table(), re.MULTILINE)
    assert sorted(named) == FILES
    assert re.findall(r"^\| `(\S+)` \|", house.models_table(), re.MULTILINE) == list(MODELS)


def test_the_readme_has_both_tables_as_they_are():
    readme = (ROOT / "README.md").read_text()
    assert readme == house.with_tables(readme), "run python book/_ext/house.py"


def test_the_picture_shows_every_file_and_says_so_in_words():
    picture = ElementTree.fromstring(house.picture())
    written = {name for text in picture.iter() for name in (text.text or "").split(" · ")}
    assert {path.removesuffix(".py").split("/")[-1] for path in FILES} <= written
    assert "losses, precision" in picture.get("aria-label") and picture.get("role") == "img"
    heights = {text.text: float(text.get("y")) for text in picture.iter() if text.text}
    order = ["cli", "figures", "judge", "runs", "sampling", "training", "families", "steps", "data"]
    assert sorted(order, key=heights.get) == order  # the higher, the further up


def test_the_picture_follows_the_contracts(tmp_path):
    rules = tmp_path / "pyproject.toml"
    rooms = 'containers = ["ganlib"]\nlayers = ["attic", "hall | cellar"]'
    rules.write_text(f"[[tool.importlinter.contracts]]\n{rooms}")
    assert house.contracts(rules) == {"ganlib": [["attic"], ["hall", "cellar"]]}


def test_the_page_names_only_what_is_there_and_takes_the_tables_from_the_code():
    for name in re.findall(r"`([\w/]+\.py)`", PAGE):
        assert name in FILES or (ROOT / name).exists(), name
    for name in re.findall(r"`(\w+)/`", PAGE):
        assert (house.PACKAGE / name).is_dir() or (ROOT / name).is_dir(), name
    source = [PAGE]
    house.fill_in(None, "book/house", source)
    assert "<!--" not in source[0] and "<svg" in source[0]
    assert house.files_table() in source[0] and house.models_table() in source[0]


@pytest.mark.parametrize("room", ["sampling", "steps"])
def test_the_walks_name_functions_that_are_there(room):
    module = __import__(f"ganlib.{room}", fromlist=[room])
    named = re.findall(rf"`{room}\.(\w+)`", PAGE)
    assert set(named) - {"py"} and all(hasattr(module, name) for name in set(named) - {"py"})
