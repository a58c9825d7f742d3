"""Figures of what is read with a few labels show each method's draws, and gains pair by pair."""

import pytest

from ganlib.figures import few_labels as show
from ganlib.studies import few_labels
from ganlib.studies.few_labels import DRAWS, METHODS, MORE, MORE_AT, N_LABELS, STUDY

LAST = few_labels.EPOCHS[-1]


def share(method: str, n: int, seed: int, epoch: int) -> float:
    """Later methods read more, more labels too; draws differ alike for all methods."""
    rank = (*METHODS, *MORE).index(method)
    return 0.5 + 0.01 * rank + 0.0002 * n + 0.01 * seed - 0.05 / epoch


@pytest.fixture
def results() -> dict:
    runs = []
    for cell in STUDY.cells(DRAWS):
        own = {str(e): {"read": share(*cell.levels.values(), e)} for e in few_labels.EPOCHS}
        runs.append({"name": cell.name, "metrics": own} | cell.levels)
    return STUDY.nothing() | {"runs": runs}


def test_every_method_has_a_name():
    assert set(show.NAMES) == {*METHODS, *MORE}
    assert {*METHODS} <= {*show._LOOKS}


def test_shares_have_a_line_a_method_and_an_interval_at_each_number_of_labels(results):
    figure = show.shares(results)
    (place,) = figure.axes
    named = [line for line in place.lines if not line.get_label().startswith("_")]
    assert [line.get_label() for line in named] == [show.NAMES[method] for method in METHODS]
    assert len(place.lines) == len(METHODS) * (1 + len(N_LABELS))
    middle = [share("svm", n, 2, LAST) for n in N_LABELS]
    assert list(named[0].get_ydata()) == pytest.approx(middle)


def test_at_a_hundred_the_best_is_on_top_and_each_draw_a_dot(results):
    (place,) = show.at_a_hundred(results).axes
    labels = [label.get_text() for label in place.get_yticklabels()]
    wanted = [show.NAMES[method] for method in (*METHODS, *MORE)][::-1]
    assert labels == wanted
    dots = [line for line in place.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [DRAWS] * len(wanted)
    assert min(dots[-1].get_xdata()) == pytest.approx(share("svm", MORE_AT, 0, LAST))


def test_gains_are_the_studys_own(results):
    same, teacher = show.gains(results).axes
    labels = [label.get_text() for label in same.get_yticklabels()]
    assert len(labels) == 2 * len(N_LABELS) and labels[1] == "Odena's GAN, 50 labels"
    for place, pairs in zip((same, teacher), show.QUESTIONS.values()):
        drawn = [line.get_xdata()[0] for line in place.lines if line.get_marker() == "o"]
        wanted = [few_labels.gain(results, gan, pairs[gan], n).mean
                  for gan in few_labels.GANS for n in N_LABELS]  # fmt: skip
        assert drawn == pytest.approx(wanted)
    assert teacher.get_title() == "less the averaged teacher"


def test_courses_are_means_by_epoch(results):
    (place,) = show.courses(results).axes
    course = place.lines[0]
    assert list(course.get_xdata()) == list(few_labels.EPOCHS)
    assert course.get_ydata()[0] == pytest.approx(share("svm", MORE_AT, 2, 1))
    assert len(place.lines) == len(METHODS) + 1
