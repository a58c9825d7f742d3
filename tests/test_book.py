"""The built book in a real browser that can reach no host but the book's own."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from execute import chapters, pages

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "_build" / "screenshots"
WIDTHS = {"wide": 1280, "narrow": 360}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *pages(), "search"]
CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]

# The theme lets the keyboard reach what scrolls, a moment after the page has last changed.
REACHABLE = """() => [...document.querySelectorAll("pre")].every(
  box => box.scrollWidth <= box.clientWidth || box.tabIndex === 0)"""

pytestmark = pytest.mark.slow


def serious_findings(page) -> list[str]:
    """What axe objects to on the page as it is now: the rule, and the first elements that break it.

    Without "preload", in which axe fetches the style sheets anew and from wrong addresses.
    """
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response
    return [
        f"{rule['id']}: {[node['html'] for node in rule['nodes'][:3]]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


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
    page.wait_for_function(REACHABLE)
    assert serious_findings(page) == []


def test_the_way_back_to_the_top_can_be_read(open_page):
    """The theme's button comes when its reader scrolls up."""
    page = open_page(CHAPTERS[1], width=700)
    scroll_up(page)
    page.locator("#pst-back-to-top").wait_for(state="visible")
    assert serious_findings(page) == []


@pytest.mark.parametrize("name", [CHAPTERS[1], "book/playground"])
def test_on_a_phone_it_lies_on_no_slider(open_page, name):
    page = open_page(name, width=360)
    if name == "book/playground":
        page.get_by_role("button", name="Start the generator").first.click()
        page.locator(".pg-controls").wait_for()
    scroll_up(page)
    assert page.locator("#pst-back-to-top").is_hidden()


def scroll_up(page) -> None:
    """A little, from far down: the theme then offers the way to the top."""
    for place in (4000, 3000) if page.evaluate("document.body.scrollHeight") > 5000 else (900, 600):
        page.evaluate(f"scrollTo({{ top: {place}, behavior: 'instant' }})")
        page.wait_for_timeout(300)


def test_front_page_leads_to_the_book(open_page):
    assert open_page("index").url.endswith(f"{TOC['root']}.html")


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_are_typeset(open_page, name):
    page = open_page(name)
    formulas = page.locator(".math").count()
    assert formulas > 0
    assert page.locator(".math mjx-container").count() == formulas


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
