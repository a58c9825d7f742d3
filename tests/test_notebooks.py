"""What every committed chapter holds to, and that it runs from anywhere with other parameters."""

import ast
import io
import json
import re
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from execute import WIDGET, WIDGET_STATE, WIDGET_VIEW, chapters, execute, tidy, with_palette
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from PIL import Image

import ganlib

ROOT = Path(__file__).resolve().parents[1]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
CHAPTERS = chapters()
NUMBERED = [chapter for chapter in CHAPTERS if chapter.stem[0].isdigit()]  # the others are short
WITH_DATA = [*NUMBERED, Path("book/unlabelled.ipynb")]  # which a stand-in may have to serve
PARAMETERS = {"n_epochs", "seed", "device", "dataset", "train_size"}
TAGS = {"parameters", "nbval-check-output", "nbval-ignore-output"}
TAGS |= {f"{verb}-{what}" for verb in ("hide", "remove") for what in ("input", "output", "cell")}
FOLDED = {"hide-cell", "hide-output"}
WORDS = {"04_loss_analysis": 1900, "05_improvements": 2000}
WORDS["unlabelled"] = 2800  # two subjects, and a bound derived
WORDS["laboratory"] = 2900  # a third of them how the laboratory in the page is used
CAPTION = re.compile(r"^\*\*(Figure|Table) (\d+\.\d+)\.\*\*", re.MULTILINE)
ABSOLUTE_PATH = re.compile(r"(?<![\w.~/])/(?:home|tmp|root|work|opt|usr|var|mnt|Users|content)/\w")


@pytest.fixture(params=CHAPTERS, ids=[chapter.stem for chapter in CHAPTERS])
def chapter(request) -> Path:
    return request.param


@pytest.fixture
def notebook(chapter) -> NotebookNode:
    return nbformat.read(ROOT / chapter, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def written(output: NotebookNode) -> str:
    """All that an output says in words; pictures are left out."""
    data = output.get("data", {})
    return output.get("text", "") + "".join(
        str(data[kind]) for kind in data if kind.startswith("text/") or kind == WIDGET_VIEW
    )


def defined(notebook: NotebookNode) -> set[str]:
    """The names of the functions and classes that a notebook defines."""
    transform = TransformerManager().transform_cell  # %pip and the like are not Python
    trees = [ast.parse(transform(cell.source)) for cell in code_cells(notebook)]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


# --- Static rules --------------------------------------------------------------------------------


def test_the_book_has_chapters():
    assert CHAPTERS
    assert {path.name for path in ROOT.glob("book/*.ipynb")} == {path.name for path in CHAPTERS}


def test_format_is_valid(notebook):
    nbformat.validate(notebook)


def test_executed_once_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_errors_and_nothing_on_stderr(notebook):
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert not [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def test_one_parameters_cell_of_literals(chapter, notebook):
    """The five chapters have all of them; the short ones those that they use, if any."""
    values = {}
    for cell in tagged(notebook, "parameters"):
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, ast.Assign), ast.unparse(statement)
            (name,) = statement.targets
            values[name.id] = ast.literal_eval(statement.value)
    assert len(tagged(notebook, "parameters")) <= 1
    assert set(values) == PARAMETERS if chapter in NUMBERED else set(values) <= PARAMETERS


def test_length(chapter, notebook):
    assert (20 if chapter in NUMBERED else 5) <= len(notebook.cells) <= 45
    assert max(len(cell.source.splitlines()) for cell in code_cells(notebook)) <= 25


def words(notebook: NotebookNode) -> int:
    return sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")


def test_chapters_are_short(chapter, notebook):
    """What a reader has to read: words, and cells of tables (those folded away apart)."""
    shown = [cell for cell in code_cells(notebook) if not FOLDED & {*cell.metadata.get("tags", [])}]
    html = "".join(
        output.get("data", {}).get("text/html", "") for cell in shown for output in cell.outputs
    )
    assert words(notebook) <= WORDS.get(chapter.stem, 2500)
    assert html.count("<td") <= 200


def test_the_five_chapters_of_the_paper_are_short_together():
    read = [nbformat.read(ROOT / chapter, as_version=4) for chapter in NUMBERED[:5]]
    assert sum(map(words, read)) <= 8500


def test_every_stub_waits_for_the_reader_and_its_solution_is_right(chapter, notebook):
    """A stub's check says "Not yet", and that of the folded cell after it "Right."."""
    code = code_cells(notebook)
    stubs = [
        place for place, cell in enumerate(code) if re.search(r"^    \.\.\.$", cell.source, re.M)
    ]
    assert len(stubs) >= (2 if chapter in NUMBERED else 0)
    for place in stubs:
        assert "Not yet" in "".join(map(written, code[place].outputs))
        assert "hide-cell" in code[place + 1].metadata["tags"]
        assert "Right." in "".join(map(written, code[place + 1].outputs))


def test_nothing_is_defined_twice(chapter, notebook):
    """A helper that two chapters need belongs to ganlib, and ganlib's are imported, not pasted."""
    elsewhere = set()
    for other in CHAPTERS:
        if other != chapter:
            elsewhere |= defined(nbformat.read(ROOT / other, as_version=4))
    for room in Path(ganlib.__file__).parent.rglob("*.py"):
        elsewhere |= {
            node.name
            for node in ast.parse(room.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
    assert not defined(notebook) & elsewhere


def test_widgets_are_saved_whole(chapter, notebook):
    """Every widget on show has its state, and so has every widget that it refers to."""
    state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {}).get("state", {})
    to_visit = [
        output.data[WIDGET_VIEW]["model_id"]
        for output in outputs(notebook)
        if WIDGET_VIEW in output.get("data", {})
    ]
    assert to_visit or chapter not in NUMBERED, "a chapter has at least one slider"
    seen = set()
    while to_visit:
        model = to_visit.pop()
        if model not in seen:
            assert model in state
            seen.add(model)
            to_visit += WIDGET.findall(json.dumps(state[model]["state"]))


def test_size(chapter):
    assert (ROOT / chapter).stat().st_size < 4e6


def test_figures_have_alt_text(notebook):
    for cell in code_cells(notebook):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, f"say what this figure shows:\n{cell.source}"


@pytest.mark.parametrize("chapter", NUMBERED, ids=lambda chapter: chapter.stem)
def test_figures_and_tables_are_numbered_in_order(chapter):
    """A caption begins the text below each figure on show; figures and tables count from 1 each."""
    cells = nbformat.read(ROOT / chapter, as_version=4).cells
    number, seen = int(chapter.stem[:2]), {"Figure": [], "Table": []}
    for cell, below in zip(cells, cells[1:]):
        pictures = [o for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
        folded = "hide-cell" in cell.metadata.get("tags", [])
        captions = CAPTION.findall(below.source) if below.cell_type == "markdown" else []
        if captions:
            assert len(captions) == 1 and below.source.startswith("**")
            assert cell.cell_type == "code" and not folded
            seen[captions[0][0]].append(captions[0][1])
        assert not pictures or folded or captions and captions[0][0] == "Figure", cell.source
    for kind, numbers in seen.items():
        assert numbers == [f"{number}.{n + 1}" for n in range(len(numbers))], kind
    assert seen["Figure"]


def test_figures_that_the_text_names_exist():
    texts = {
        path.name: "\n".join(cell.source for cell in nbformat.read(ROOT / path, 4).cells)
        for path in CHAPTERS
    }
    texts |= {path.name: path.read_text() for path in ROOT.glob("book/*.md")}
    whole = "\n".join(texts.values())
    captions = {" ".join(found) for found in CAPTION.findall(whole)}
    named = {" ".join(found) for found in re.findall(r"(Figure|Table)\s(\d+\.\d+)", whole)}
    assert captions and named == captions


def test_no_absolute_paths(notebook):
    texts = [cell.source for cell in notebook.cells] + [written(o) for o in outputs(notebook)]
    assert not [text for text in texts if ABSOLUTE_PATH.search(text)]


def test_tags_are_known(chapter, notebook):
    used = Counter(tag for cell in notebook.cells for tag in cell.metadata.get("tags", []))
    assert set(used) <= TAGS
    assert used["nbval-check-output"] >= (3 if chapter in NUMBERED else 0)


def test_saved_as_make_notebooks_saves(chapter, tmp_path):
    """No timestamps, durations or random ids, so that a diff shows what changed."""
    copy = tmp_path / chapter.name
    copy.write_bytes((ROOT / chapter).read_bytes())
    tidy(copy)
    assert copy.read_text() == (ROOT / chapter).read_text()


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("n_colours", [2, 256, 3000])
def test_figures_get_a_palette_and_grey_sheets_lose_nothing(n_colours, opaque):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (n_colours, 4), dtype=np.uint8)
    colours[:, 3] |= 255 * opaque
    pixels = colours[np.sort(rng.integers(0, n_colours, 40_000))].reshape(200, 200, 4)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG")
    small = with_palette(buffer.getvalue())
    assert len(small) < len(buffer.getvalue())
    assert with_palette(small) == small
    after = np.asarray(Image.open(io.BytesIO(small)).convert("RGBA"))
    apart = np.abs(after.astype(int) - pixels)
    assert apart.max() == 0 if n_colours <= 256 else apart.mean() < 40


SLIDERS = """\
from ipywidgets import HTML, IntSlider, Stack, VBox, jslink
sliders = [IntSlider(max=1), IntSlider(max=1)]
stacks = [Stack([HTML("even"), HTML("odd")], selected_index=0) for _ in sliders]
for slider, stack in zip(sliders, stacks):
    jslink((slider, "value"), (stack, "selected_index"))
VBox(sliders + stacks)"""


@pytest.mark.slow
def test_executing_again_changes_nothing(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SLIDERS)])
    nbformat.write(notebook, tmp_path / "book.ipynb")
    texts = []
    for _ in range(2):
        execute(tmp_path / "book.ipynb", tmp_path / "book.ipynb", cwd=tmp_path)
        tidy(tmp_path / "book.ipynb")
        texts.append((tmp_path / "book.ipynb").read_text())
    assert "selected_index" in texts[0]
    assert texts[0] == texts[1]


# --- Executed with other parameters, from another folder ------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "mnist"])
def test_runs_from_anywhere(chapter, dataset, tmp_path, monkeypatch):
    """On the bundled digits; and told to use MNIST where none can be had, which it must say."""
    monkeypatch.setenv("GANLIB_DATA", str(tmp_path / "no-data-here"))
    for scheme in ("http", "https"):  # port 9 refuses at once: no network
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    result = tmp_path / chapter.name
    small = {"n_epochs": 1, "train_size": 1000, "device": "cpu", "dataset": dataset}
    execute(ROOT / chapter, result, cwd=tmp_path, **small)
    said = "".join(map(written, outputs(nbformat.read(result, as_version=4))))
    assert ("stand-in" in said) == (dataset == "mnist" and chapter in WITH_DATA)
