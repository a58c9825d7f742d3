"""Widgets: Colab's ipywidgets 7, which joins no slider and picture; the live view."""

from types import SimpleNamespace

import ipywidgets
import pytest
import torch
from conftest import tiny_config

from ganlib import sampling, training
from ganlib.figures import widgets
from ganlib.figures.plotting import mosaic
from ganlib.runs import store
from ganlib.sampling import png


@pytest.fixture
def ipywidgets_7(monkeypatch):
    monkeypatch.delattr(ipywidgets, "Stack")


def test_the_kernel_shows_the_page_that_the_slider_is_at(ipywidgets_7, digits):
    pages = [digits.images[:4], digits.images[4:8], digits.images[8:12]]
    book = widgets.flip_book(pages, ["a", "b", "c"], "page", columns=2)
    slider, seen = book.children
    for index in (2, 0, 1):
        slider.index = index
        (picture,) = seen.children
        assert picture.value == png(mosaic(pages[index], 2))


def test_two_sliders_choose_among_all_pictures(ipywidgets_7):
    run = store.find_run("cgan")
    digits, epochs, seen = widgets.digit_and_epoch_sliders(run).children
    for digit, epoch in ((0, "0"), (7, "200"), (3, "25")):
        digits.index, epochs.value = digit, epoch
        (inner,) = seen.children
        (picture,) = inner.children
        assert picture.value == png(mosaic(run.samples(int(epoch))[digit::10], 10))


def test_a_model_is_shown_by_itself_or_below_the_others(ipywidgets_7):
    models = [store.find_run("cgan"), store.find_run("cbn-cgan")]
    shown = widgets.digit_epoch_and_model_sliders(models, (0, 5))
    digits, epochs, which, seen = shown.children
    digits.index, epochs.value = 8, "last"
    expected = [png(mosaic(run.samples(run.epochs_done)[8::10], 10)) for run in models]
    for model, several in (("all", expected), ("cbn-cgan", expected[1:])):
        which.value = model
        (rows,) = seen.children
        pages = [row.children[1] for row in (rows.children if model == "all" else [rows])]
        assert [page.children[0].children[0].value for page in pages] == several


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_live_view_draws_what_the_run_keeps(monkeypatch, digits, ema):
    """With an average of G's weights, that is the average."""
    config, seen = tiny_config(ema=ema), []
    monkeypatch.setattr(widgets, "display", lambda **_: SimpleNamespace(update=lambda _: None))
    monkeypatch.setattr(widgets, "live_training", lambda images, *_: seen.append(images))
    players = training.start(config)
    widgets.watch_training(players, digits, config)
    inputs = sampling.sheet_inputs(config)
    drawn = [sampling.generate(one, *inputs) for one in (players.artist, players.generator)]
    assert len(seen) == 2 and torch.equal(seen[-1], drawn[0])
    assert torch.equal(*drawn) == (ema == 0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "nothing back"),
        (torch.tensor([1.0, 2.0]), "Right"),
        (torch.tensor([1.0, 2.0]).requires_grad_() * 1, "Right"),
        (torch.tensor([1.0, 2.1]), "off by up to 0.1"),
        (torch.tensor([1.0, torch.inf]), "off by up to inf"),
        (torch.tensor([1.0, torch.nan]), "off by up to nan"),
        (torch.tensor([[1.0, 2.0]]), "(1, 2), where (2,)"),
    ],
)
def test_an_answer_is_checked_in_one_line(capsys, found, said):
    widgets.check(found, torch.tensor([1.0, 2.0]))
    (line,) = capsys.readouterr().out.splitlines()
    assert said in line
    assert line.startswith("Right" if said == "Right" else "Not yet")


def test_several_answers_must_all_be_right(capsys):
    one, two = torch.ones(3), torch.zeros(2)
    widgets.check((one, two), [one, two])
    assert capsys.readouterr().out == "Right.\n"
    for wrong in ([one], [one, one], [one, two + 1]):
        widgets.check(wrong, [one, two])
        assert capsys.readouterr().out.startswith("Not yet")


def test_sliders_open_where_they_are_told_to():
    run = store.find_run("cgan")
    epoch, seen = widgets.epoch_slider(run, start=3).children
    assert (epoch.value, seen.selected_index) == ("5", 3)
    digits, epochs, seen = widgets.digit_and_epoch_sliders(run, 4, start=-2).children
    assert (digits.value, epochs.value, seen.selected_index) == ("4", "150", 9)
