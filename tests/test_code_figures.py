"""Figures of an InfoGAN's codes show what the results hold, seed by seed."""

import ipywidgets
import numpy as np
import pytest
import torch
from conftest import tiny_config

from ganlib import data
from ganlib.figures import codes as show
from ganlib.judge.codes import MEASURED
from ganlib.models.infogan import CONTINUOUS, noise_and_codes
from ganlib.runs import store
from ganlib.sampling import generate
from ganlib.studies import codes
from ganlib.studies.codes import ERROR, STUDY

LAST = codes.EPOCHS[-1]


def measured(seed: int, term: str, scale: float, epoch: int) -> dict:
    """More error without the scale; with the term a continuous code explains slant."""
    error = (0.1 if scale == codes.SCALE[0] else 0.5) + 0.01 * seed + 0.2 / epoch
    share = 0.6 if term != "never" else 0.1
    counts = np.full((10, 10), 1) + 90 * np.eye(10, dtype=int)
    explained = {name: [0.01 * seed, share - 0.1 * place] for place, name in enumerate(MEASURED)}
    order = [*range(1, 10), 0]  # code 0 is digit 1, and so on
    found = {"digit_of_code": order, "error": error, "drawn_as_matched": 1 - error}
    found |= {"confusion": counts.tolist(), "drawn": counts[order].tolist()}
    return {"classes": 10, "coverage": 0.8, "codes": found | {"explained": explained}}


@pytest.fixture
def results() -> dict:
    runs = []
    for cell in STUDY.cells(codes.MORE_SEEDS):
        own = {str(epoch): measured(**{k: cell.levels[k] for k in ("seed", "term", "scale")},
                                    epoch=epoch) for epoch in codes.EPOCHS}  # fmt: skip
        runs.append({"name": cell.name, "metrics": own} | cell.levels)
    return STUDY.nothing() | {"runs": runs, "floor": {"coverage": 0.95}}


def dots(place) -> list[list[float]]:
    """The values of each line of ``place`` that has only markers."""
    lines = [line for line in place.lines if line.get_linestyle() == "None"]
    return [list(line.get_xdata()) for line in lines if line.get_marker() not in "|_"]


def test_every_seed_of_every_cell_is_a_dot(results):
    errors, shares = show.seeds(results).axes
    assert [len(own) for own in dots(errors)] == [5, 3, 5, 3, 3, 3]
    recipe = [ERROR(run, LAST) for run in results["runs"] if run["model"] == codes.RECIPE]
    assert sorted(dots(errors)[0]) == pytest.approx(sorted(recipe))
    assert dots(shares)[0] == [0.6] * 5 and dots(shares)[2] == pytest.approx([0.1] * 5)
    labels = [label.get_text() for label in errors.get_yticklabels()]
    assert labels[0] == f"term {codes.TERM[0]}, scale {codes.SCALE[0]:g}" and len(labels) == 6


def test_courses_have_a_line_a_seed_and_a_median(results):
    large, small = show.courses(results).axes
    assert len(small.lines) == 3 * (3 + 1)
    assert len(large.lines) == 5 + 3 + 5 + 3 + 3  # with three for the legend
    assert all(list(line.get_xdata()) == list(codes.EPOCHS) for line in small.lines)


def test_the_factorial_has_a_line_for_each_change_below_its_heading(results):
    errors, shares = show.factorial(results).axes
    labels = [label.get_text() for label in errors.get_yticklabels()]
    assert labels[0] == f"scale {codes.SCALE[0]:g} for 1" and labels[4] == "the term for none"
    assert labels[5] == f"term {codes.TERM[0]}, scale {codes.SCALE[0]:g}"
    assert len(labels) == 2 + 3 + 4
    effects = codes.effects(results, ERROR, LAST)
    drawn = [line.get_xdata()[0] for line in errors.lines if line.get_marker() == "o"]
    assert drawn == pytest.approx([one.mean for one in effects.values()])
    assert len(drawn) == 7 and len(shares.lines) == 1 + 2 * 7


def test_shapes_show_the_better_code_of_each_seed(results):
    (place,) = show.shapes(results).axes
    with_term, without = dots(place)[:3], dots(place)[3:6]
    assert with_term == [pytest.approx([0.6 - 0.1 * line] * 5) for line in range(3)]
    assert [max(own) for own in without] == pytest.approx([0.1, 0.04, 0.04])


def test_confusions_stand_in_the_order_of_digits(results):
    left, right = show.confusions(results, results["runs"][0]).axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["9", *map(str, range(9))]
    for place in (left, right):
        on_diagonal = [text for text in place.texts if len({*text.get_position()}) == 1]
        assert [text.get_text() for text in on_diagonal] == ["91"] * 10
        assert len(place.texts) == 100


# --- One run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> store.Run:
    digits, folder = data.load("digits", "train", 8, size=70), tmp_path_factory.mktemp("run")
    for _ in store.train_run(folder, tiny_config("infogan", n_epochs=1), digits):
        pass
    return store.read_run(folder)


def test_a_traversal_orders_its_rows_by_digit(run):
    plain, ordered = show.traversal(run, 1), show.traversal(run, 1, digits=[*range(1, 10), 0])
    rows = [[label.get_text() for label in figure.axes[0].get_yticklabels()]
            for figure in (plain, ordered)]  # fmt: skip
    assert rows[0] == [f"code {code}" for code in range(10)]
    assert rows[1] == ["code 9", *rows[0][:9]]
    first, last = (figure.axes[0].images[0].get_array() for figure in (plain, ordered))
    height = 8 + 2
    assert (np.asarray(first)[9 * height :] == np.asarray(last)[:8]).all()


def test_the_sliders_show_one_z_as_all_codes_at_each_place(run):
    first, second, outer = show.code_sliders(run).children
    assert first.options == second.options and len(first.options) == len(show.PLACES)
    assert [len(inner.children) for inner in outer.children] == [len(show.PLACES)] * 7
    pictures = {image.value for inner in outer.children for image in inner.children}
    assert len(pictures) == len(show.PLACES) ** 2
    assert all(isinstance(one, ipywidgets.Image) for one in outer.children[0].children)


def test_codes_are_put_in_place_of_zs_first_numbers(run):
    images = show.at_codes(run, (0.5, -1.0), seed=3)
    z, _ = noise_and_codes(run.config, 1, torch.Generator().manual_seed(3))
    z[:, :CONTINUOUS] = torch.tensor([0.5, -1.0])
    wanted = generate(run.generator(), z.repeat(10, 1), torch.arange(10))
    assert torch.equal(images, wanted)
