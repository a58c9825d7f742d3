"""Reading aids of the built pages: definitions, search, dark mode, edit links, print."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from execute import WIDGET_STATE, chapters
from repo import NOWHERE
from repo import address as repository

CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]
WITH_SLIDERS = [chapter for chapter in CHAPTERS if chapter != "book/ledger"]

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


def test_a_tap_shows_a_definition_and_a_second_one_follows_the_link(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}/{CHAPTERS[1]}.html")
    term = page.locator(".book-term").first
    term.scroll_into_view_if_needed()
    term.locator("a").tap()
    assert term.get_by_role("tooltip").is_visible() and CHAPTERS[1] in page.url
    term.locator("a").tap()
    page.wait_for_url("**/glossary.html#*")
    context.close()


def test_a_definition_near_the_bottom_opens_upwards(open_page):
    page = open_page(CHAPTERS[1])
    link = page.locator(".book-term a").last
    link.evaluate("e => e.scrollIntoView({ block: 'end' })")
    link.focus()
    above, below = (
        one.bounding_box() for one in (page.locator(".book-term.shown .book-definition"), link)
    )
    assert below["y"] > 800  # there is no room under it
    assert 0 <= above["y"] and above["y"] + above["height"] <= below["y"] + 1


def test_equations_are_linked_by_the_papers_numbers(site):
    """Eq. 1 to 11 have a place, and where the text names one, within a chapter or not, it leads."""
    places, links = {}, []
    for name in CHAPTERS:
        soup = BeautifulSoup((site / f"{name}.html").read_text(), "html.parser")
        for formula in soup.select("div.math, div.math [id^=equation-]"):
            places |= {id_: name for id_ in [formula.get("id", "")] if "equation-" in id_}
        for link in soup.select("a[href*='#equation-']"):
            links.append((name, link["href"], link.get_text()))
    assert sorted(int(id_.removeprefix("equation-")) for id_ in places) == list(range(1, 12))
    assert len(links) > 15 and len({name for name, _, _ in links}) == 4
    for name, address, text in links:
        page, _, id_ = address.partition("#")
        assert text.split()[-1] == id_.removeprefix("equation-")
        assert places[id_] == (f"book/{page.removesuffix('.html')}" if page else name)


@pytest.mark.parametrize("name", CHAPTERS)
def test_wide_formulas_can_be_read_to_their_end_on_a_phone(open_page, name):
    page = open_page(name, width=360)
    page.wait_for_function("MathJax.startup.promise.then(() => true)")
    cut = page.locator("div.math").evaluate_all(
        """all => all.filter(box => {
          const formula = box.querySelector("mjx-container").getBoundingClientRect();
          return formula.left < box.getBoundingClientRect().left - 1  // no scrolling goes there
            || (box.scrollWidth > box.clientWidth
                && (box.tabIndex !== 0 || getComputedStyle(box).overflowX !== "auto"));
        }).map(box => box.id)"""
    )
    assert cut == []


def test_figures_lead_to_their_full_size(open_page):
    page = open_page(CHAPTERS[1])
    links = page.locator(".cell_output a.book-full")
    assert links.count() > 5
    for number in range(links.count()):
        picture = links.nth(number).locator("img")
        assert links.nth(number).get_attribute("href") == picture.evaluate("e => e.src")
        assert picture.get_attribute("alt")


@pytest.mark.parametrize("name", WITH_SLIDERS)
def test_without_scripts_a_slider_shows_both_its_ends(browser, address, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{name}.html")
    stills = page.locator("noscript figure")
    assert stills.count() == 2
    seen = [stills.nth(end).locator("img").bounding_box() for end in (0, 1)]
    assert all(box["width"] > 200 and box["height"] > 30 for box in seen)
    first, last = (stills.nth(end).locator("figcaption").inner_text() for end in (0, 1))
    assert first != last
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    assert {stills.nth(end).locator("img").get_attribute("src") for end in (0, 1)} <= {
        "data:image/png;base64," + buffer["data"].strip()
        for widget in notebook.metadata.widgets[WIDGET_STATE]["state"].values()
        for buffer in widget.get("buffers", [])
    }
    context.close()


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
    """Links to the pages before and after; to edit this page, and to report what is wrong.

    The last two need an address: where the book has none yet, they lead nowhere and are not there.
    """
    soup = BeautifulSoup((site / f"{name}.html").read_text(), "html.parser")
    assert soup.select_one("a.left-prev") and soup.select_one("a.right-next")
    here = f"https://github.com/{'/'.join(repository())}"
    links = {link["href"] for link in soup.select("a[href]")}
    if repository() == NOWHERE:
        assert not any(link.startswith(here) for link in links)
        return
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
    cut = page.locator(".cell_output table.dataframe").evaluate_all(
        "all => all.filter(e => getComputedStyle(e.parentElement).overflowX !== 'visible').length"
    )
    assert cut == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"
