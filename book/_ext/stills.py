"""For Sphinx: where scripts are off, a slider's place is taken by its first and last picture.

The pictures are in the notebook's saved widgets already. The page carries two of each slider once
more, in a `noscript`, which a browser with scripts neither shows nor decodes.
"""

import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def add_stills(app, doctree) -> None:
    """Put a `noscript` behind every saved widget that holds pictures."""
    path = Path(app.env.doc2path(app.env.docname))
    views = [raw for raw in doctree.findall(nodes.raw) if VIEW in raw.astext()]
    if path.suffix != ".ipynb" or not views:
        return
    saved = json.loads(path.read_text())["metadata"].get("widgets", {}).get(STATE, {}).get("state")
    for raw in views:
        view = json.loads(re.search(r"\{.*\}", raw.astext(), re.DOTALL)[0])
        html = stills(saved or {}, view["model_id"])
        if html:
            raw.parent.insert(raw.parent.index(raw) + 1, nodes.raw("", html, format="html"))


def stills(saved: dict, root: str) -> str:
    """The `noscript` of one widget: its first and its last picture, each with what it shows."""
    parts = [saved[name] for name in parts_of(saved, root)]
    pictures = [part for part in parts if part["model_name"] == "ImageModel"]
    sliders = [part["state"] for part in parts if part["model_name"] == "SelectionSliderModel"]
    if not pictures or not sliders:
        return ""
    shown = ""
    for end in (0, -1):
        labels = [[one for one in s["_options_labels"] if one != "all"] for s in sliders]
        names = (s["description"] for s in sliders)
        what = escape(", ".join(f"{name} {of[end]}" for name, of in zip(names, labels)))
        (data,) = (b["data"] for b in pictures[end]["buffers"] if b["path"] == ["value"])
        image = f'<img src="data:image/png;base64,{data.strip()}" alt="Images at {what}">'
        shown += f"<figure>{image}<figcaption>{what}</figcaption></figure>"
    count = f"the first and the last of its {len(pictures)} pictures"
    return f"<noscript><p>The slider needs JavaScript. These are {count}:</p>{shown}</noscript>"


def parts_of(saved: dict, name: str, seen: set[str] | None = None) -> Iterator[str]:
    """The ids of a widget and of all below it, as they stand on the page, each once."""
    seen = set() if seen is None else seen
    if name in seen:
        return
    seen.add(name)
    yield name
    for child in saved[name]["state"].get("children", []):
        yield from parts_of(saved, child.removeprefix("IPY_MODEL_"), seen)


def setup(app) -> dict:
    app.connect("doctree-read", add_stills)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
