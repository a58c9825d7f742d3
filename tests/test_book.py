"""The built book in a real browser that can reach no host but the book's own."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from execute import chapters

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "_build" / "screenshots"
WIDTHS = {"wide": 1280, "narrow": 360}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(entry["file"] for entry in TOC["chapters"])]
CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]

pytestmark = pytest.mark.slow


def saved_sliders(name: str) -> int:
    """How many sliders the chapter's notebook holds."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    (saved,) = notebook.metadata["widgets"].values()
    return sum(model["model_name"].endswith("SliderModel") for model in saved["state"].values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page(open_page, name, width, scheme):
    page = open_page(name, WIDTHS[width], scheme)
    assert page.locator("html").get_attribute("data-theme") == scheme
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    file = SCREENSHOTS / f"{Path(name).name}-{width}-{scheme}.png"
    page.screenshot(path=file, full_page=True)
    assert page.locator("mjx-merror, .error").count() == 0
    broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]


def test_front_page_leads_to_the_book(open_page):
    assert open_page("index").url.endswith(f"{TOC['root']}.html")


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_are_typeset(open_page, name):
    page = open_page(name)
    formulas = page.locator(".math").count()
    assert formulas > 0
    assert page.locator(".math mjx-container").count() == formulas


@pytest.mark.parametrize("name", CHAPTERS)
def test_sliders_change_the_picture(open_page, name):
    """With no kernel: each slider, moved by keyboard from end to end, shows a new picture each."""
    page = open_page(name)
    sliders = page.get_by_role("slider")
    assert sliders.count() == saved_sliders(name) > 0
    for number in range(sliders.count()):
        slider = sliders.nth(number)
        output = slider.locator("xpath=ancestor::div[contains(@class, 'cell_output')]")
        picture = output.locator("img:visible")
        last = int(float(slider.get_attribute("aria-valuemax")))
        shown = []
        slider.press("Home")
        for position in range(last + 1):
            if position:
                slider.press("ArrowRight")
            assert float(slider.get_attribute("aria-valuenow")) == position
            assert picture.count() == 1
            shown.append(picture.screenshot())
        assert len(set(shown)) == last + 1


def test_internal_links_resolve(site):
    files = [*site.glob("*.html"), *site.glob("book/*.html")]
    soups = {file: BeautifulSoup(file.read_text(), "html.parser") for file in files}
    for page, soup in soups.items():
        links = [tag.get("href") or tag.get("src") for tag in soup(["a", "img", "link", "script"])]
        for link in filter(None, links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # another host
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert file.exists(), f"{page.name} links to {link}"
            if parts.fragment and file in soups:
                assert soups[file].find(id=unquote(parts.fragment)), f"{page.name} links to {link}"
