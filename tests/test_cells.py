"""Figures and tables of the experiment show what the results hold, whole or in part."""

import numpy as np
import pytest
from PIL import Image
from test_analysis import additive, made_results, made_run
from test_endurance import made_long

from ganlib.figures import curves, findings
from ganlib.runs import store
from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import analysis


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


@pytest.mark.parametrize("draw", [findings.floors, findings.courses, findings.effects])
def test_figures_are_drawn_from_full_and_from_unfinished_results(draw, results, unfinished):
    assert draw(results).axes and draw(unfinished).axes


def test_the_gallery_marks_cells_that_were_not_run(tmp_path):
    Image.new("L", (320, 320)).save(tmp_path / "none-bce-eps1e-05-seed0.png")
    axes = findings.gallery(folder=tmp_path).axes
    assert sum(bool(place.images) for place in axes) == 1
    missing = sum("not run yet" in [t.get_text() for t in place.texts] for place in axes)
    assert missing == 11 + 2  # of the grid, and with the other discriminator


def test_long_runs_have_a_line_and_a_sheet_each(tmp_path):
    long = made_long(0.3, 0.6)
    for run in long["runs"]:
        run["sheet"] = tmp_path / f"{run['name']}.png"
    Image.new("L", (320, 320)).save(long["runs"][0]["sheet"])
    axes = findings.endurance(long).axes
    labels = [line.get_label() for line in axes[0].lines]
    assert labels == ["seed 0", "seed 1", "real"]
    assert list(axes[0].lines[1].get_ydata()) == [0.7, 0.6]
    assert sum(bool(place.images) for place in axes) == 1
    rows = findings.endurance_table(long, (25, 200)).rows
    assert [row[:2] for row in rows[:2]] == [
        ("seed 0, epoch 25", "0.70"),
        ("seed 0, epoch 200", "0.30"),
    ]
    assert len(rows) == 4 and rows[0][-1] == "1, 30%"


def test_the_table_of_cells_gives_mean_and_spread(results):
    rows = {row[0]: row for row in findings.cells_table(results).rows}
    assert rows["no label · bce · eps 1e-05"][1:3] == ("3", "0.53 ± 0.03")
    assert rows["no label · least-squares · eps 0.8"][1:3] == ("1", "0.30")
    assert rows["real training images"][2] == "0.95"


def test_seeds_too_far_apart_for_a_mean_are_shown_one_by_one(results):
    for run, coverage in zip(results["runs"], (0.0, 0.03, 0.14)):  # the first cell's
        run["metrics"]["25"]["coverage"] = coverage
    assert findings.cells_table(results).rows[0][2] == "0.00, 0.03, 0.14"


def test_ranges_are_compared_under_every_rule_of_logging(results):
    for run in results["runs"]:
        wide = 2.0 if run["conditioning"] == "none" else 1.0
        run["losses"]["epoch means"] = {"g_loss": [0.0, wide], "d_loss": [0.0, 0.5]}
    rows = {row[0]: row[1:] for row in curves.range_effects_table(results).rows}
    assert list(rows) == list(LOGGING_RULES)
    same = "× 1.00 [1.00, 1.00]"
    assert rows["every 400"] == (same, "does not hold", same)
    assert rows["epoch means"] == ("× 0.50 [0.50, 0.50]", "holds", same)


def test_the_table_of_effects_gives_the_numbers_of_the_effects(results):
    rows = findings.effects_table(results).rows
    main = analysis.effect(results, "conditioning", analysis.COVERAGE, 25)
    assert rows[0][1] == str(main) and "of 3 seeds" in findings.effects_table(results).caption
    assert len(rows) == 3 + 4 * 3 + 1  # averages, settings, and one with least squares


def test_the_table_of_steps_has_a_line_each(results, unfinished):
    assert len(findings.steps_table(results).rows) == 8
    assert "no run yet" in repr(findings.steps_table(unfinished))


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


def test_tables_of_recorded_runs(recorded):
    assert [row[0] for row in curves.ranges_table(recorded).rows] == ["gan", "cgan"]
    assert len(curves.resemblance_table(recorded).rows) == 4


def test_frames_differ_by_epoch_and_have_one_size(recorded):
    first, second = curves.frames(recorded[0], [5, 200])
    assert first.shape == second.shape and first.dtype == np.uint8
    assert (first != second).any()
    (other,) = curves.frames(recorded[1], [5])
    assert other.shape == first.shape
    assert curves.palette_png(first)[:4] == b"\x89PNG"
