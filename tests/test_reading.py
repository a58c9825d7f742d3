"""Reading aids of the built pages: definitions, search, dark mode, edit links, print."""

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from execute import chapters
from repo import address as repository

CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]

pytestmark = pytest.mark.slow


def defined(site) -> dict[str, str]:
    """The glossary: each term's id and its definition."""
    soup = BeautifulSoup((site / "book" / "glossary.html").read_text(), "html.parser")
    terms = soup.select("dl.glossary dt")
    return {term["id"]: term.find_next("dd").get_text().strip() for term in terms}


@pytest.mark.parametrize("name", CHAPTERS)
def test_terms_show_their_definition(open_page, site, name):
    page = open_page(name, width=360)
    terms = page.locator(".book-term")
    assert terms.count() > 0
    glossary = defined(site)
    for number in range(terms.count()):
        link, box = terms.nth(number).locator("a"), terms.nth(number).get_by_role("tooltip")
        assert box.is_hidden()
        link.focus()
        assert box.is_visible()
        expected = glossary[link.get_attribute("href").partition("#")[2]]
        assert box.inner_text() == expected
        assert link.get_attribute("aria-describedby") == box.get_attribute("id")
        assert box.bounding_box()["x"] + box.bounding_box()["width"] <= 360
        page.keyboard.press("Escape")
        assert box.is_hidden()


def test_the_mouse_may_enter_a_definition(open_page):
    page = open_page(CHAPTERS[0])
    term = page.locator(".book-term").first
    term.locator("a").hover()
    box = term.get_by_role("tooltip")
    assert box.is_visible()
    box.hover()
    assert box.is_visible()
    page.mouse.move(0, 0)
    assert box.is_hidden()


def test_search_finds_a_word_of_the_chapters(open_page):
    """As a reader would: the button, a word, Enter; and all of it from the book's own files."""
    page = open_page(CHAPTERS[0])
    page.locator("button.search-button-field:visible").click()
    page.get_by_role("searchbox").fill("collapse")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    results.first.wait_for()
    assert any("02_gan" in link for link in results.evaluate_all("all => all.map(a => a.href)"))
    page.wait_for_load_state("networkidle")


def test_the_theme_can_be_switched(open_page):
    page = open_page(CHAPTERS[0])
    seen = set()
    for _ in range(3):  # light, dark, as the system
        page.locator("button.theme-switch-button:visible").click()
        seen.add(page.locator("html").get_attribute("data-theme"))
    assert seen == {"light", "dark"}


@pytest.mark.parametrize("name", CHAPTERS)
def test_ways_on_and_back_to_the_source(site, name):
    """Links to the pages before and after; to edit this page, and to report what is wrong."""
    soup = BeautifulSoup((site / f"{name}.html").read_text(), "html.parser")
    assert soup.select_one("a.left-prev") and soup.select_one("a.right-next")
    here = f"https://github.com/{'/'.join(repository())}"
    links = {link["href"] for link in soup.select("a[href]")}
    (edit,) = (link for link in links if link.startswith(f"{here}/edit/"))
    assert (ROOT / edit.removeprefix(f"{here}/edit/").partition("/")[2]).is_file()
    assert any(link.startswith(f"{here}/issues/new") for link in links)


def test_a_printed_page_is_the_article(open_page):
    """The light theme, and nothing of what surrounds the article; afterwards all is as before."""
    page = open_page(CHAPTERS[-1], scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    for furniture in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article"):
        assert page.locator(furniture).first.is_hidden()
    assert page.locator("article.bd-article img:visible").count() > 3
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"
