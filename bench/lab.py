"""How fast does the laboratory train, and draw? Printed and never asserted.

    python bench/lab.py

1. The engine alone, in headless Chromium, on one core: iterations a second for two hidden layers of
   32 and of 64 units and for each costly setting, the best and the median of several turns (what
   else the machine does only ever makes a turn slower).
2. The page as a reader has it, playing as fast as it goes: iterations and pictures a second. It
   needs the built book: `make html`.
"""

import shutil
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from browser import installed  # noqa: E402

TURNS, SECONDS = 9, 0.4
SETTINGS = {
    "32 units": {},
    "64 units": {"width": 64},
    "gradient penalty": {"loss": "penalty"},
    "minibatch discrimination": {"discrimination": True},
    "label, grid": {"label": True, "data": "grid"},
}
TIME = """async ([changes, turns, seconds]) => {
  const { makeGan } = await import("/lab/gan.js"), { DEFAULTS } = await import("/lab/settings.js");
  const gan = makeGan({ ...DEFAULTS, seed: 1, points: [], ...changes }), rates = [];
  for (let i = 0; i < 200; i++) gan.train();
  for (let turn = 0; turn < turns; turn++) {
    const begun = performance.now();
    let count = 0;
    for (; performance.now() - begun < 1000 * seconds; count++) gan.train();
    rates.push((1000 * count) / (performance.now() - begun));
  }
  rates.sort((a, b) => a - b);
  return [rates.at(-1), rates[turns >> 1]];
}"""
PLAY = """async () => {
  const root = document.querySelector(".laboratory"), rates = [];
  const now = () => [performance.now(), +root.dataset.iteration, +root.dataset.drawn];
  for (let turn = 0; turn < 6; turn++) {
    const before = now();
    await new Promise((go) => setTimeout(go, 1000));
    const [time, iterations, drawn] = now().map((value, i) => value - before[i]);
    rates.push([(1000 * iterations) / time, (1000 * drawn) / time]);
  }
  return rates;
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def serve(folder: Path) -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def main() -> None:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=installed(), args=arguments)
        shutil.copytree(ROOT / "book" / "_static" / "lab", Path(folder) / "lab")
        (Path(folder) / "index.html").write_text("<title>engine</title>")
        page = browser.new_page()
        page.goto(serve(Path(folder)))
        for name, changes in SETTINGS.items():
            best, median = page.evaluate(TIME, [changes, TURNS, SECONDS])
            print(f"{name}: {best:,.0f} iterations a second (best), {median:,.0f} (median)")
        page.close()
        site = ROOT / "_build" / "html"
        if not (site / "book" / "laboratory.html").exists():
            return print("The page itself: build the book first (make html).")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{serve(site)}/book/laboratory.html", wait_until="networkidle")
        page.get_by_role("button", name="Play").click()
        page.wait_for_timeout(1500)
        rates = page.evaluate(PLAY)
        for what, each in zip(("iterations", "pictures"), zip(*rates)):
            each = sorted(each)
            print(f"the page: {each[-1]:,.0f} {what} a second (best), {each[len(each) // 2]:,.0f}")
        browser.close()


if __name__ == "__main__":
    main()
