"""Execute the book's chapters headlessly.

    python tools/execute.py               into _build/executed, a copy of the book's sources
    python tools/execute.py --in-place    and then over the committed notebooks, if all succeed
    python tools/execute.py --check-data  only download MNIST, if it is not here, or say why not

Where MNIST cannot be had, the first form lets the chapters fall back on scikit-learn's digits,
which they label as such; the second refuses, since committed outputs show MNIST.
"""

import argparse
import base64
import io
import json
import re
import shutil
import sys
import time
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

import nbformat
import numpy as np
import papermill
import yaml
from PIL import Image
from traitlets.config import Config

from ganlib import data
from ganlib.figures.narrow import KEY

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "_build" / "executed"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET = re.compile(r"IPY_MODEL_([\w-]+)")  # how one saved widget names another
STAND_IN = "Made where MNIST could not be had: scikit-learn's digits stand in for it."


def pages() -> list[str]:
    """The pages that _toc.yml lists, part by part, but for the root: "book/01_dataset"."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [entry["file"] for part in toc["parts"] for entry in part["chapters"]]


def chapters() -> list[Path]:
    """The notebooks among the pages, in order, relative to the root."""
    notebooks = [Path(page + ".ipynb") for page in pages()]
    return [page for page in notebooks if not (ROOT / page.with_suffix(".md")).exists()]


def mnist_is_here() -> bool:
    """Whether MNIST is on this machine or could be downloaded, which this tries; says so."""
    try:
        # A download's bars are for those who watch it.
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            for split in data.SPLITS:
                data.load("mnist", split, size=1)
    except data.DataUnavailable as error:
        rule = "!" * 80
        print(f"{rule}\n{error}\n{rule}", flush=True)
        return False
    print("Data set: MNIST", flush=True)
    return True


def execute(
    source: Path,
    target: Path,
    cwd: Path = ROOT,
    kernel: str = "python3",
    title: str = "",
    **parameters,
) -> None:
    """Run the notebook ``source`` in a fresh kernel and write it, with its outputs, to ``target``.

    A terminal shows a bar, headed ``title``, as long as it runs. Raises
    papermill.PapermillExecutionError if a cell fails.
    """
    papermill.execute_notebook(
        source,
        target,
        parameters,
        kernel_name=kernel,
        cwd=str(cwd),
        request_save_on_cell_execute=False,
        # "disable": None shows it in a terminal alone. A cell may last, so each moves it at once.
        progress_bar={
            "desc": title or source.name,
            "leave": False,
            "mininterval": 0,
            "disable": None,
        },
        # Else ipykernel warns that all which a notebook says and does can be overheard.
        config=Config(KernelManager={"transport_encryption": "auto"}),
    )


def with_palette(png: bytes) -> bytes:
    """A figure's PNG with few colours, a quarter of the size.

    Up to 256 colours, as in sheets of grey images, no pixel changes; beyond, the blends at the
    edges of letters and lines change a little, and the tints of areas stay.
    """
    image = Image.open(io.BytesIO(png))
    if image.mode == "P":  # it has one already
        return png
    image = image.convert("RGBA")
    pixels = np.asarray(image)
    colours, index = np.unique(pixels.reshape(-1, 4), axis=0, return_inverse=True)
    if len(colours) <= 256:
        small = Image.fromarray(index.reshape(pixels.shape[:2]).astype(np.uint8), "P")
        small.putpalette(colours.tobytes(), "RGBA")
    elif (colours[:, 3] == 255).all():
        small = image.convert("RGB").quantize(
            64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
    else:
        small = image.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return min(png, buffer.getvalue(), key=len)


def whole_streams(outputs: list) -> list:
    """The outputs, with what was printed in one go in one piece, however busy the machine was."""
    whole = []
    for output in outputs:
        before = whole[-1] if whole else output
        if output is not before and "stream" == output.output_type == before.output_type:
            if output.name == before.name:
                before.text += output.text
                continue
        whole.append(output)
    return whole


def tidy(path: Path) -> None:
    """Remove from an executed notebook what differs between two equal runs, so diffs are small,
    and make its figures small."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]  # papermill gives every cell an empty list
        if "outputs" in cell:
            cell.outputs = whole_streams(cell.outputs)
        for output in cell.get("outputs", []):
            for kept, key in ((output.get("data", {}), "image/png"), (output.get("metadata"), KEY)):
                if kept and key in kept:
                    png = base64.b64decode(kept[key])
                    kept[key] = base64.b64encode(with_palette(png)).decode() + "\n"
    text = nbformat.writes(notebook)
    numbers = {name: f"{path.stem}-{n:04d}" for n, name in enumerate(widgets_in_order(notebook))}
    if numbers:
        text = re.sub("|".join(map(re.escape, numbers)), lambda found: numbers[found[0]], text)
    nbformat.write(nbformat.reads(text, as_version=4), path)  # which sorts by the new names


def widgets_in_order(notebook: nbformat.NotebookNode) -> list[str]:
    """The ids of all saved widgets, in an order that their random ids have no part in.

    First those on show, each followed by the widgets that it refers to; then the links between
    them, which nothing refers to.
    """
    saved = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {"state": {}})["state"]
    order: dict[str, None] = {}  # a set that keeps its order

    def visit(name: str) -> None:
        if name not in order:
            order[name] = None
            for other in WIDGET.findall(json.dumps(saved[name]["state"])):
                visit(other)

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if WIDGET_VIEW in output.get("data", {}):
                visit(output.data[WIDGET_VIEW]["model_id"])
    places = {name: str(place) for place, name in enumerate(order)}

    def content(name: str) -> str:
        state = json.dumps(saved[name]["state"])
        return WIDGET.sub(lambda found: places.get(found[1], ""), state)

    return [*order, *sorted(saved.keys() - order.keys(), key=content)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--in-place", action="store_true", help="replace the committed notebooks")
    mode.add_argument("--check-data", action="store_true", help="only look for MNIST")
    options = parser.parse_args()
    mnist = mnist_is_here()
    if options.check_data:
        return
    if not mnist and options.in_place:
        sys.exit("The committed outputs show MNIST, so this step needs it.")

    shutil.rmtree(COPY, ignore_errors=True)
    for folder in ("book", "tests"):  # a page of the book lists the tests
        shutil.copytree(ROOT / folder, COPY / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_toc.yml", COPY)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    if not mnist:
        config["html"]["announcement"] = STAND_IN
    (COPY / "_config.yml").write_text(yaml.safe_dump(config))
    for number, chapter in enumerate(chapters(), start=1):
        title, started = f"Chapter {number} of {len(chapters())}: {chapter}", time.monotonic()
        try:
            execute(ROOT / chapter, COPY / chapter, title=title)
        except papermill.PapermillExecutionError as error:
            sys.exit(f"{title} failed.\n{error}")
        tidy(COPY / chapter)
        print(f"{title}, {time.monotonic() - started:.0f} s", flush=True)
    if not mnist:
        print(
            "MNIST could not be had: all pages show scikit-learn's digits, and say so.", flush=True
        )
    if options.in_place:
        for chapter in chapters():
            shutil.copy(COPY / chapter, ROOT / chapter)


if __name__ == "__main__":
    main()
