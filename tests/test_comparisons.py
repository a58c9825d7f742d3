"""Chapter 5's pictures and tables: what stands where."""

import numpy as np
import pytest
import torch
from test_gains import additive, made_improvements

from ganlib.figures import comparisons
from ganlib.figures.plotting import mosaic
from ganlib.runs import store
from ganlib.studies.gains import DISTANCE
from ganlib.studies.improvements import MODELS


@pytest.fixture
def judged(monkeypatch) -> torch.Tensor:
    """40 images of a single grey each; the judge is the surer of a digit, the brighter it is."""
    greys = torch.linspace(-1, 1, 40)

    def read(_, images):
        sure = images[:, 0, 0, 0]
        scores = torch.zeros(len(images), 10)
        scores[torch.arange(len(images)), torch.arange(len(images)) % 10] = sure
        return None, scores

    monkeypatch.setattr(comparisons, "read_digits", read)
    return greys.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


def test_the_clearest_and_the_most_doubtful_of_each_digit(judged):
    figure = comparisons.best_and_worst(judged, torch.arange(40) % 10, n=2)
    best, worst = (axes.images[0].get_array() for axes in figure.axes)
    assert np.array_equal(best, mosaic(torch.cat([judged[30:], judged[20:30]]), 10))
    assert np.array_equal(worst, mosaic(torch.cat([judged[:10], judged[10:20]]), 10))


def test_the_gallery_has_a_grid_for_each_cell_and_says_what_was_not_run(tmp_path):
    figure = comparisons.gallery(folder=tmp_path)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == len(MODELS) == len(set(titles))
    assert all("not run yet" in [t.get_text() for t in axes.texts] for axes in figure.axes)


def test_courses_run_along_epochs_and_minutes():
    results = made_improvements()
    axes = comparisons.courses(results).axes[:2]
    for place, end in zip(axes, (20, 40 / 60)):  # epochs; 40 seconds each
        courses = place.lines[:-1]  # the last is the line of real images
        assert len(courses) == 4 * (3 + 1)
        assert [line.get_xdata()[-1] for line in courses] == pytest.approx([end] * len(courses))


def test_all_models_are_shown_as_they_were_measured():
    run, floor = store.find_run("cgan"), made_improvements()["floor"] | {"classes": 10}
    row, real = comparisons.all_models([run], floor).rows
    end = run.metrics()[run.epochs_done]
    assert row[:3] == ("cgan", "mse", "200")
    assert row[3] == f"{end['frechet']:.2f}" and row[4] == f"{end['accuracy']:.1%}"
    assert row[-2] == f"{end['precision']:.2f}"
    assert real[0] == "real training images" and real[3] == "0.10"


def test_a_course_has_a_row_for_each_measure_and_model():
    results = made_improvements(value=additive)
    table = comparisons.course_table(results, ["cgan", "cbn-dcgan"], [DISTANCE])
    assert table.header == ("measure", "model", "seeds", "epoch 5", "epoch 20")
    cgan, both = table.rows
    assert cgan == ("Fréchet distance", "cgan", "3", "5.20 ± 1.20", "5.20 ± 1.20")
    assert both[1:4] == ("cbn-dcgan", "3", "0.26 ± 0.06")
