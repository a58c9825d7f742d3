"""A figure's narrow drawing, for phones, says all that the wide one says."""

import base64
import io

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT, networks_of
from execute import chapters
from matplotlib.image import imread
from narrow import narrow_drawings
from PIL import Image

from ganlib.figures import charts
from ganlib.figures.narrow import KEY, WIDTH, restacked
from ganlib.figures.plotting import new_figure

CHAPTERS = [str(chapter.with_suffix("")) for chapter in chapters()]


@pytest.fixture
def grid():
    """Two rows of three panels: title above, names at the left, numbers below, one legend."""
    figure, axes = new_figure(9, 4, 2, 3, sharex=True, sharey="row")
    for column, place in enumerate(axes.T):
        place[0].set_title(f"title {column}")
        place[1].set_xlabel(f"below {column}")
        for row in (0, 1):
            place[row].plot([1, 2, 3], [row, column, 2], label="a line")
    axes[0, 0].set(ylabel="left", yscale="log")
    axes[1, 0].set_ylabel("left again")
    figure.legend(axes[0, 0].lines, ["one"], loc="outside lower center", ncols=3)
    return figure


def words(figure) -> list[tuple[str, str, str]]:
    return [(p.get_title(), p.get_xlabel(), p.get_ylabel()) for p in figure.axes]


def places(figure) -> list[tuple[float, float, float, float]]:
    figure.draw_without_rendering()
    return [place.get_position().bounds for place in figure.axes]


def test_panels_stand_below_each_other_and_say_what_the_grid_said(grid):
    before = words(grid)
    narrow = restacked(grid)
    assert narrow.get_figwidth() == WIDTH
    left, bottom, wide, high = np.array(places(narrow)).T
    assert np.ptp(left) < 1e-6 and np.ptp(wide) < 1e-6 and (wide > 0.6).all()
    assert (bottom[1:] + high[1:] < bottom[:-1]).all()
    assert words(narrow) == [
        (f"title {column}", f"below {column}", left)
        for left in ("left", "left again")
        for column in range(3)
    ]
    assert words(grid) == before and grid.get_figwidth() == 9
    for place, old in zip(narrow.axes, grid.axes):
        assert place.get_xaxis().get_tick_params()["labelbottom"]
        assert place.get_yaxis().get_tick_params()["labelleft"]
        assert [list(line.get_ydata()) for line in place.lines] == [
            list(line.get_ydata()) for line in old.lines
        ]
    (legend,) = narrow.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one"] and legend._ncols == 1


def test_some_figures_keep_panels_beside_each_other():
    figure, axes = new_figure(9, 4, 2, 3, across=3)
    for place in axes.flat:
        place.imshow(np.zeros((4, 2)))
    left, *_ = np.array(places(restacked(figure))).T
    assert len(set(left.round(3))) == 3
    assert words(restacked(figure)) == words(figure)


@pytest.mark.parametrize("name, inside", [("short", False), ("a name that is long", True)])
def test_long_names_move_above_their_rows(name, inside):
    figure, axes = new_figure(8, 3, 1, 2, sharey=True)
    axes[0].set_yticks(range(2), [name, "b"])
    axes[0].set_ylim(1.5, -0.5)
    axes[0].get_yticklabels()[0].set_weight("bold")
    for place in restacked(figure).axes:
        found = {text.get_text(): text for text in place.texts}
        assert set(found) == ({name, "b"} if inside else set())
        assert place.get_yaxis().get_tick_params()["labelleft"] != inside
        if inside:
            assert [found[text].get_weight() for text in (name, "b")] == ["bold", "normal"]
            assert found[name].xy[1] == 0 and place.get_ylim()[1] < -0.5


@pytest.mark.parametrize("model", ["gan", "cgan", "cbn-dcgan-spectral"])
def test_a_narrow_flow_chart_shows_every_layer(model):
    generator, discriminator = networks_of(model)
    wide = charts.flow_chart(generator, discriminator)
    for old, new in zip(wide.axes, wide.narrowed().axes):
        told = [" ".join(text.get_text().split()) for text in new.texts]
        for text in old.texts[1:]:
            for line in text.get_text().split("\n"):
                assert any(line.removeprefix("× ") in one for one in told), line
        assert old.get_title("left") == new.get_title("left")


@pytest.mark.parametrize("conditional", [False, True])
def test_a_narrow_game_has_all_its_words(conditional):
    wide = charts.game_chart(conditional)

    def said(figure) -> list[str]:
        return sorted(" ".join(t.get_text().split()) for t in figure.axes[0].texts if t.get_text())

    assert said(wide) == said(wide.narrowed())


def test_a_notebook_keeps_it_as_a_picture(grid):
    data, metadata = grid._repr_mimebundle_()
    assert data == {} and set(metadata) == {KEY}
    high, wide, _ = imread(io.BytesIO(base64.b64decode(metadata[KEY]))).shape
    assert high > 2 * wide > 800


# --- In the book ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_figure_has_one_that_is_narrower_in_its_letters(name):
    """Of equal width on a phone, the narrow one has the fewer pixels a letter to shrink by."""
    for cell in nbformat.read(ROOT / f"{name}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                wide, narrow = (
                    Image.open(io.BytesIO(base64.b64decode(png)))
                    for png in (output.data["image/png"], output.metadata[KEY])
                )
                assert narrow.width / 150 < wide.width / 110, cell.source


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_pages_show_the_one_that_fits(open_page, site, name):
    drawings = narrow_drawings(nbformat.read(ROOT / f"{name}.ipynb", as_version=4))
    soup = BeautifulSoup((site / f"{name}.html").read_text(), "html.parser")
    files = [(site / "book" / one["srcset"]).resolve() for one in soup.select("source")]
    assert {file.read_bytes() for file in files} == set(drawings.values())
    for width, kind in ((1280, "wide"), (360, "narrow")):
        page = open_page(name, width=width)
        shown = page.locator("picture img").evaluate_all("all => all.map(e => e.currentSrc)")
        assert len(shown) == len(files)
        assert [("narrow" if "-narrow" in src else "wide") for src in shown] == [kind] * len(files)
