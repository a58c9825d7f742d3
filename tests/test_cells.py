"""Figures and tables of studies show what the results hold, whole or in part."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_analysis import additive, made_results, made_run
from test_ledger import halved, made_improvements, made_long

from ganlib.figures import cells, curves
from ganlib.figures.plotting import mosaic
from ganlib.runs import store
from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import improvements, paper
from ganlib.studies.measures import COVERAGE


@pytest.fixture
def results() -> dict:
    made = made_results(value=additive)
    for condition in ("none", "label"):
        made["runs"].append(made_run(condition, "least-squares", 0.8, 0, coverage=0.3))
    made["floor_by_count"] = {"200": made["floor"], "10000": made["floor"]}
    return made


@pytest.fixture
def unfinished(results) -> dict:
    return results | {"runs": results["runs"][:1]}


@pytest.mark.parametrize(
    "draw",
    [
        cells.floors,
        lambda results: cells.courses(results, paper.STUDY),
    ],
)
def test_figures_are_drawn_from_full_and_from_unfinished_results(draw, results, unfinished):
    assert draw(results).axes and draw(unfinished).axes


def not_run(figure) -> int:
    return sum("not run yet" in [t.get_text() for t in place.texts] for place in figure.axes)


def test_the_gallery_marks_cells_that_were_not_run(tmp_path):
    Image.new("L", (320, 320)).save(tmp_path / "none-bce-eps1e-05-seed0.png")
    figure = cells.gallery(paper.STUDY, folder=tmp_path)
    assert sum(bool(place.images) for place in figure.axes) == 1
    assert not_run(figure) == 11 + 4  # of the grid, and with the other discriminator
    figure = cells.gallery(improvements.STUDY, folder=tmp_path)
    assert not_run(figure) == len({axes.get_title() for axes in figure.axes}) == 4


@pytest.mark.parametrize("study", [paper.STUDY, improvements.STUDY])
def test_the_gallery_names_cells_of_its_study(study):
    names = {cell.name.removesuffix("-seed0") for cell in study.cells(1)}
    assert {name for row in study.shown().values() for name in row.values()} <= names


def test_long_runs_have_a_line_and_a_sheet_each(tmp_path):
    long = made_long(gan=(0.3, 0.6))
    for run in long["runs"]:
        run["sheet"] = tmp_path / f"{run['name']}.png"
    Image.new("L", (320, 320)).save(long["runs"][0]["sheet"])
    axes = cells.long_courses(long, "gan").axes
    labels = [line.get_label() for line in axes[0].lines]
    assert labels == ["seed 0", "seed 1", "real"]
    assert list(axes[0].lines[1].get_ydata()) == [0.7, 0.6]
    assert sum(bool(place.images) for place in axes) == 1
    assert [place.axison for place in axes] == [True] * 6 + [False] * 2  # 4 measures, 2 sheets


def test_the_table_of_cells_gives_mean_and_spread(results):
    rows = {row[0]: row for row in cells.cells_table(results, paper.STUDY).rows}
    assert rows["no label · bce · eps 1e-05"][1:3] == ("3", "0.53 ± 0.03")
    assert rows["no label · least-squares · eps 0.8"][1:3] == ("1", "0.30")
    assert rows["real training images"][2] == "0.95"
    assert len(rows) == 8 + 2 + 1  # none of cells without a run


def test_seeds_too_far_apart_for_a_mean_are_shown_one_by_one(results):
    for run, coverage in zip(results["runs"], (0.0, 0.03, 0.14)):  # the first cell's
        run["metrics"]["25"]["coverage"] = coverage
    assert cells.cells_table(results, paper.STUDY).rows[0][2] == "0.00, 0.03, 0.14"


def test_a_replicate_is_counted_and_drawn_where_it_was_measured(results):
    more = made_run("none", "bce", 1e-5, 7, coverage=0.9) | {"replicate": True}
    del more["metrics"]["5"]
    results["runs"].append(more)
    assert cells.cells_table(results, paper.STUDY).rows[0][1:3] == ("4", "0.62 ± 0.19")
    course = cells.courses(results, paper.STUDY, [COVERAGE]).axes[0].lines
    *runs, mean = course[:5]
    assert [list(line.get_xdata()) for line in runs] == [[5, 25]] * 3 + [[25]]
    assert list(mean.get_xdata()) == [25] and mean.get_ydata() == pytest.approx([0.6225])


def test_ranges_are_compared_under_every_rule_of_logging(results):
    for run in results["runs"]:
        wide = 2.0 if run["conditioning"] == "none" else 1.0
        run["losses"]["epoch means"] = {"g_loss": [0.0, wide], "d_loss": [0.0, 0.5]}
    rows = {row[0]: row[1:] for row in curves.range_effects_table(results).rows}
    assert list(rows) == list(LOGGING_RULES)
    same = "× 1.00 [1.00, 1.00]"
    assert rows["every 400"] == (same, "can't be told", same)
    assert rows["epoch means"] == ("× 0.50 [0.50, 0.50]", "holds", same)


# --- Improvements --------------------------------------------------------------------------------


def test_courses_run_along_epochs_and_minutes():
    figure = cells.courses(made_improvements(), improvements.STUDY, minutes=True)
    for place, end in zip(figure.axes[:2], (20, 40 / 60)):  # epochs; 40 seconds each
        courses = place.lines[:-1]  # the last is the line of real images
        assert len(courses) == 4 * (3 + 1)
        assert [line.get_xdata()[-1] for line in courses] == pytest.approx([end] * len(courses))


def test_tables_and_figures_take_results_with_gaps():
    results = made_improvements(value=halved)
    results["runs"] = [run for run in results["runs"] if run["model"] in ("cgan", "cbn-dcgan")][:4]
    rows = {row[0]: row for row in cells.cells_table(results, improvements.STUDY).rows}
    assert rows["cgan"][1:3] == ("3", "5.20 ± 1.20") and "c-dcgan" not in rows
    assert rows["cbn-dcgan"][1:3] == ("1", "0.20")
    cells.courses(results, improvements.STUDY)
    for of in (improvements.changes, improvements.averages):
        assert "no run yet" in map(str, of(results, COVERAGE, 20).values())


@pytest.fixture
def judged(monkeypatch) -> torch.Tensor:
    """40 images of a single grey each; the judge is the surer of a digit, the brighter it is."""
    greys = torch.linspace(-1, 1, 40)

    def read(_, images):
        sure = images[:, 0, 0, 0]
        scores = torch.zeros(len(images), 10)
        scores[torch.arange(len(images)), torch.arange(len(images)) % 10] = sure
        return None, scores

    monkeypatch.setattr(cells, "read_digits", read)
    return greys.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def test_the_clearest_and_the_most_doubtful_of_each_digit(judged):
    figure = cells.best_and_worst(judged, torch.arange(40) % 10, n=2)
    best, worst = (axes.images[0].get_array() for axes in figure.axes)
    assert np.array_equal(best, mosaic(torch.cat([judged[30:], judged[20:30]]), 10))
    assert np.array_equal(worst, mosaic(torch.cat([judged[:10], judged[10:20]]), 10))


# --- Losses of runs ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded() -> list:
    return [store.find_run(name) for name in ("gan", "cgan")]


def test_ranges_are_those_of_the_history(recorded):
    for run in recorded:
        found = run.losses().ranges("g_loss", "d_loss")
        assert list(found) == list(LOGGING_RULES)
        assert found["every iteration"] == run.losses().range("g_loss", "d_loss")
        widest = found["every iteration"]
        assert all(widest[0] <= low <= high <= widest[1] for low, high in found.values())


def test_mse_on_a_probability_never_passes_one(recorded):
    assert recorded[1].losses().ranges("g_loss", "d_loss")["every iteration"][1] < 1


def test_frames_differ_by_epoch_and_have_one_size(recorded):
    first, second = curves.frames(recorded[0], [5, 200])
    assert first.shape == second.shape and first.dtype == np.uint8
    assert (first != second).any()
    (other,) = curves.frames(recorded[1], [5])
    assert other.shape == first.shape
    assert curves.palette_png(first)[:4] == b"\x89PNG"
