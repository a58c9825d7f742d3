"""What a summary of a run's losses must not lose."""

import pytest
import torch

from ganlib.runs.history import LOGGING_RULES, STATS, WINDOW, LossHistory, summarise
from ganlib.steps import LOGGED


@pytest.fixture(scope="module")
def losses() -> torch.Tensor:
    """1,270 logged iterations in three epochs of 500, 500 and 270."""
    return torch.rand(1270, len(LOGGED), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def history(losses) -> LossHistory:
    return summarise(losses, torch.tensor([500, 1000, 1270]))


def test_shapes(history):
    assert history.epochs.shape == (3, len(LOGGED), len(STATS))
    assert history.values.shape == (len(history.iterations), len(LOGGED))
    assert history.epoch_ends.tolist() == [500, 1000, 1270]
    assert history.epoch("g_loss").shape == (3,)


def test_iterations_count_from_one_and_go_up(history, losses):
    assert history.iterations[0] >= 1 and history.iterations[-1] == len(losses)
    assert (history.iterations.diff() > 0).all()


def test_kept_values_are_the_logged_ones(history, losses):
    assert torch.equal(history.values, losses[history.iterations - 1])


def test_every_400th_iteration_and_every_epochs_last_are_kept(history):
    assert {400, 800, 1200, 500, 1000, 1270} <= set(history.iterations.tolist())


@pytest.mark.parametrize("column", ["g_loss", "d_loss"])
def test_extremes_of_every_window_are_kept(history, losses, column):
    index = LOGGED.index(column)
    for first in range(0, len(losses), WINDOW):
        window = losses[first : first + WINDOW, index]
        inside = (history.iterations > first) & (history.iterations <= first + WINDOW)
        kept = history.values[inside, index]
        assert kept.min() == window.min() and kept.max() == window.max()


@pytest.mark.parametrize("columns", [("d_loss",), ("g_loss", "d_loss")])
def test_ranges_are_what_each_way_of_logging_shows(history, losses, columns):
    chosen = losses[:, [LOGGED.index(column) for column in columns]]
    ends, epochs = torch.tensor([500, 1000, 1270]), chosen.split([500, 500, 270])
    seen = {
        "every iteration": chosen,
        "every 400": chosen[399::400],
        "last of each epoch": chosen[ends - 1],
        "epoch means": torch.stack([epoch.mean(dim=0) for epoch in epochs]),
    }
    assert list(history.ranges(*columns)) == list(LOGGING_RULES)
    for rule, values in seen.items():
        expected = float(values.min()), float(values.max())
        assert history.ranges(*columns)[rule] == pytest.approx(expected)
    assert history.range(*columns) == history.ranges(*columns)["every iteration"]


def test_a_run_of_few_iterations_logs_nothing_every_400th(losses):
    assert "every 400" not in summarise(losses[:300], torch.tensor([300])).ranges("g_loss")


def test_epoch_statistics_are_those_of_every_iteration(history, losses):
    parts = losses.split([500, 500, 270])
    for column, name in enumerate(LOGGED):
        for epoch, part in enumerate(parts):
            of = {stat: history.epoch(name, stat)[epoch] for stat in STATS}
            values = part[:, column]
            assert of["min"] == values.min() and of["max"] == values.max()
            assert of["last"] == values[-1]
            torch.testing.assert_close(of["mean"], values.mean())
            torch.testing.assert_close(of["p05"], values.quantile(0.05))
            torch.testing.assert_close(of["p95"], values.quantile(0.95))


def test_the_range_is_exact_and_over_all_the_columns_asked_for(history, losses):
    for columns in (("g_loss",), ("g_loss", "d_loss"), LOGGED):
        these = losses[:, [LOGGED.index(name) for name in columns]]
        assert history.range(*columns) == (float(these.min()), float(these.max()))


def test_a_single_spike_survives(losses):
    spiked = losses.clone()
    spiked[777, 0] = 16.8
    history = summarise(spiked, torch.tensor([500, 1000, 1270]))
    assert history.range("g_loss")[1] == pytest.approx(16.8)
    assert 778 in history.iterations


def test_a_summary_is_small(history, losses):
    """At most five kept of a window of 100: four extremes and a round number."""
    assert len(history.iterations) <= len(losses) / WINDOW * 5 + 5


@pytest.mark.parametrize(
    "ends",
    [[], [0, 1270], [500, 500, 1270], [1270, 500], [[500, 1270]], [-5, 1270], [500.0, 1270.5]],
    ids=str,
)
def test_ends_of_epochs_that_are_none_are_refused(losses, ends):
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError)):
        summarise(losses, torch.tensor(ends))


@pytest.mark.parametrize("part", ["iterations", "values", "epochs", "epoch_ends"])
def test_a_history_of_other_shapes_or_without_numbers_is_refused(history, part):
    found = vars(history)
    with pytest.raises(ValueError, match="no history of losses"):
        LossHistory(**found | {part: found[part][:-1]})
    if found[part].is_floating_point():
        with pytest.raises(ValueError, match="no number"):
            LossHistory(**found | {part: found[part] * float("inf")})
