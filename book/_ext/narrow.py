"""For Sphinx: on a small screen, a figure's narrow drawing takes its place.

A notebook's output keeps that drawing in its metadata (ganlib/figures/narrow.py). The page names
both, in a `picture`, and the browser fetches the one that fits.
"""

import base64
import hashlib
import json
import re
from pathlib import Path

from docutils import nodes

from ganlib.figures.narrow import KEY

SMALL = "(max-width: 640px)"
PAIR = re.compile(
    r'(<img [^>]*class="book-wide"[^>]*>)\s*<img [^>]*class="book-narrow"[^>]*src="([^"]*)"[^>]*>'
)


def narrow_drawings(notebook: dict) -> dict[str, bytes]:
    """The narrow PNG of each figure that has one, by the hash that MyST-NB names the wide by."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if KEY in output.get("metadata", {}):
                wide = base64.b64decode(output["data"]["image/png"])
                narrow = base64.b64decode(output["metadata"][KEY])
                found[hashlib.sha256(wide).hexdigest()] = narrow
    return found


def add_narrow(app, doctree) -> None:
    """Put the narrow picture behind the wide one, so that Sphinx takes both along."""
    path = Path(app.env.doc2path(app.env.docname))
    if path.suffix != ".ipynb":
        return
    drawings = narrow_drawings(json.loads(path.read_text()))
    for wide in list(doctree.findall(nodes.image)):
        name = Path(wide["uri"]).stem
        if name not in drawings:
            continue
        narrow = wide.deepcopy()
        narrow["uri"] = wide["uri"].replace(name, f"{name}-narrow")
        file = Path(app.env.relfn2path(narrow["uri"], app.env.docname)[1])
        file.write_bytes(drawings[name])
        wide["classes"].append("book-wide")
        narrow["classes"].append("book-narrow")
        wide.parent.insert(wide.parent.index(wide) + 1, narrow)


def as_one(html: str) -> str:
    """The page with every such pair of pictures in one, which the browser chooses from."""
    return PAIR.sub(
        rf'<picture><source media="{SMALL}" srcset="\2" />\1</picture>',
        html,
    )


def choose(app, pagename, templatename, context, doctree) -> None:
    """Let the browser choose."""
    if doctree is not None:
        context["body"] = as_one(context["body"])


def setup(app) -> dict:
    app.connect("doctree-read", add_narrow, priority=400)  # before Sphinx collects the pictures
    app.connect("html-page-context", choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
