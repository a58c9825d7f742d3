"""Sliders on pages with no kernel: each position shows what the run's files, or the data, hold."""

import base64
import io
from functools import cache

import nbformat
import numpy as np
import pytest
from conftest import ROOT, need_mnist
from execute import chapters
from PIL import Image

from ganlib import data
from ganlib.families import family
from ganlib.figures import codes, collapse, curves
from ganlib.figures.plotting import mosaic
from ganlib.runs import store
from ganlib.studies.collapse import read

SIDE_BY_SIDE = "cgan", "cbn-cgan", "c-dcgan", "cbn-dcgan", "cbn-dcgan-spectral"  # in chapter 5
PAGES = [str(page.with_suffix("")) for page in chapters()]
CHAPTERS = [page for page in PAGES if page != "book/ledger"]  # which has no sliders
TRAINED_ON_THE_PAGE = {"step"}  # no file holds these sliders' pictures
# In the browser, of one output: what each slider says, and the files of the pictures on show.
LOOK = """async output => {
  const text = (row, part) => row.querySelector(part).textContent;
  const settings = [...output.querySelectorAll(".widget-slider")].map(
    row => [text(row, ".widget-label"), text(row, ".widget-readout")]);
  const pictures = [...output.querySelectorAll("img")].filter(image => image.offsetParent);
  const files = pictures.map(async image => {
    const bytes = new Uint8Array(await (await fetch(image.src)).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
  });
  return [settings, await Promise.all(files)];
}"""

pytestmark = pytest.mark.slow


def saved_sliders(name: str) -> int:
    """How many sliders the chapter's notebook holds."""
    notebook = nbformat.read(ROOT / f"{name}.ipynb", as_version=4)
    (saved,) = notebook.metadata["widgets"].values()
    return sum(model["model_name"].endswith("SliderModel") for model in saved["state"].values())


# --- What a picture may be: for the names beside the sliders, where their pictures come from ----


@cache
def training_images() -> data.DigitImages:
    need_mnist()
    return data.load("mnist", "train", img_size=28)


def of_epoch(run: store.Run, epoch: str) -> np.ndarray:
    return mosaic(run.samples(int(epoch)), 10)


def of_digit_and_epoch(run: store.Run, digit: str, epoch: str) -> np.ndarray:
    """A sheet has one z a row and one digit a column; the slider shows one column as a row."""
    return mosaic(run.samples(int(epoch))[int(digit) :: 10], 10)


def of_digit(dataset: data.DigitImages, digit: str) -> np.ndarray:
    return mosaic(dataset.images[dataset.labels == int(digit)][:50], 10)


def of_models(sheets: list[store.Run], digit: str, epoch: str, model: str) -> np.ndarray:
    """A row for each of the runs, or for the one of that name."""
    shown = [run for run in sheets if model in ("all", run.name)]
    last = [str(run.epochs_done) for run in shown]
    then = last if epoch == "last" else [epoch] * len(shown)
    return np.concatenate([of_digit_and_epoch(run, digit, at) for run, at in zip(shown, then)])


def of_run_and_epoch(_, run: str, epoch: str) -> np.ndarray:
    """A figure of samples, losses and measures, as its file holds it: indices into its palette."""
    (frame,) = curves.frames(store.find_run(run), [int(epoch)])
    return np.asarray(Image.open(io.BytesIO(curves.palette_png(frame))))


def of_training(results: dict, training: str, iteration: str) -> np.ndarray:
    """Points of the study of collapse, likewise."""
    frame = collapse.frame(results, training, int(iteration))
    return np.asarray(Image.open(io.BytesIO(curves.palette_png(frame))))


def of_codes(run: store.Run, **places: str) -> np.ndarray:
    """One z as all codes of ten, the continuous ones as the sliders say."""
    at = float(places["1st code"]), float(places["2nd code"])
    return mosaic(codes.at_codes(run, at), 10)


def sources(names: frozenset[str]) -> list:
    """Pairs of a function and its first argument, which together give a position's picture."""
    recorded = [store.find_run(name) for name in store.recorded_names()]
    if names == {"epoch"}:
        return [(of_epoch, run) for run in recorded]
    if names == {"digit", "epoch"}:
        return [(of_digit_and_epoch, run) for run in recorded if run.conditional]
    if names == {"digit", "epoch", "model"}:
        return [(of_models, [store.find_run(name) for name in SIDE_BY_SIDE])]
    if names == {"run", "epoch"}:
        return [(of_run_and_epoch, None)]
    if names == {"1st code", "2nd code"}:
        return [(of_codes, run) for run in recorded if family(run.config.model).codes]
    if names == {"training", "iteration"}:
        return [(of_training, read())]
    if names == {"digit"}:
        return [(of_digit, training_images())]
    pytest.fail(f"say here where the pictures of a slider over {sorted(names)} come from")


def same(source, settings: dict[str, str], picture: np.ndarray) -> bool:
    function, argument = source
    try:
        return np.array_equal(function(argument, **settings), picture)
    except store.RunError:  # a run without this epoch is not the one
        return False


# --- The pages -----------------------------------------------------------------------------------


def look(output) -> tuple[dict[str, str], np.ndarray]:
    """What the sliders of one output say, and the pixels that they show, from above."""
    settings, pngs = output.evaluate(LOOK)
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]
    return dict(settings), np.concatenate(pictures)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_position_shows_its_picture(open_page, name):
    page = open_page(name)
    sliders = page.locator(".cell_output").get_by_role("slider")  # the laboratory has its own
    sliders.first.wait_for()  # embed.js takes a moment
    assert sliders.count() == saved_sliders(name) > 0
    for number in range(sliders.count()):
        slider = sliders.nth(number)
        output = slider.locator("xpath=ancestor::div[contains(@class, 'cell_output')]")
        last = int(float(slider.get_attribute("aria-valuemax")))
        slider.press("Home")
        shown = [look(output)]
        for position in range(1, last + 1):
            slider.press("ArrowRight")
            assert float(slider.get_attribute("aria-valuenow")) == position
            shown.append(look(output))
        assert len({picture.tobytes() for _, picture in shown}) == last + 1
        names = frozenset(shown[0][0])
        if names == TRAINED_ON_THE_PAGE:
            continue
        candidates = sources(names)
        for settings, picture in shown:
            candidates = [source for source in candidates if same(source, settings, picture)]
        assert candidates, f"no recorded run or data set holds the pictures of slider {number}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_who_cannot_see_is_told(open_page, name):
    """A slider's handle carries its name and its value in words, the picture says what it shows."""
    page = open_page(name)
    output = page.locator(".cell_output:has(.widget-slider)").first
    slider = output.get_by_role("slider").first
    slider.press("End")
    slider.press("ArrowLeft")
    settings, _ = look(output)
    label, value = next(iter(settings.items()))
    assert slider.get_attribute("aria-label") == label
    assert slider.get_attribute("aria-valuetext") == value
    pictures = output.locator("img:visible").all()
    alts = {picture.get_attribute("alt") for picture in pictures}
    assert len(alts) == len(pictures) > 0
    assert all(f"{label} {value}" in alt for alt in alts)
