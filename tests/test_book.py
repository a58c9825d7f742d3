"""The built book in a real browser that can reach no host but the book's own."""

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from browser import installed
from bs4 import BeautifulSoup
from execute import chapters
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "_build" / "screenshots"
WIDTHS = {"wide": 1280, "narrow": 360}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(entry["file"] for entry in TOC["chapters"])]
CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]

pytestmark = pytest.mark.slow


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The book built from the committed outputs, warnings being errors."""
    target = tmp_path_factory.mktemp("book")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", "-q", "-W", "--keep-going", "--path-output", target, ROOT]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.fail(built.stdout + built.stderr, pytrace=False)
    return target / "_build" / "html"


@pytest.fixture(scope="session")
def address(site):
    handler = partial(QuietHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        # No sandbox: Chromium refuses one to root, the usual user in a container.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=installed(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, address: str):
    """A function that opens a page, and at the end finds that nothing has gone wrong on it."""
    problems, contexts = [], []

    def own_host_only(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            problems.append(f"asks another host: {route.request.url}")
            route.abort()

    def open_one(name: str, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.route("**/*", own_host_only)
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
        page.goto(f"{address}/{name}.html", wait_until="networkidle")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not problems


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
