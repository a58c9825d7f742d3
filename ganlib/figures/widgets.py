"""What a notebook shows and a reader moves: sliders, a training watched, source, answers checked.

A slider's pictures are made beforehand and travel with the notebook, slider and picture are joined
in the browser (jslink). So the same slider works in Jupyter and on the rendered page, where no
kernel runs. Colab still comes with ipywidgets 7, which has no Stack; there the kernel joins them.
"""

import inspect
from collections.abc import Sequence

import ipywidgets
import torch
from IPython.display import Markdown, display
from torch import Tensor
from tqdm.auto import tqdm

from ganlib.configuration import TrainingConfig
from ganlib.data import DigitImages
from ganlib.figures.curves import frames, palette_png
from ganlib.figures.plotting import live_training, mosaic
from ganlib.runs.store import Run
from ganlib.sampling import SHEET, generate, png, sheet_inputs
from ganlib.steps import Batch
from ganlib.training import Epoch, Players, train

_ZOOM = 2  # screen pixels for each pixel of a digit


def show_source(*objects) -> Markdown:
    """The library's own source of some functions or classes, as it stands now, highlighted."""
    code = "\n\n".join(inspect.getsource(thing).rstrip() for thing in objects)
    return Markdown(f"```python\n{code}\n```")


def check(found: Tensor | Sequence[Tensor] | None, expected: Tensor | Sequence[Tensor]) -> None:
    """Say in one line whether a reader's answer is the ``expected`` one, or in what it is not.

    Tensors, or as many of them, agree if they have equal shapes and differ by rounding at most.
    """
    print(_difference(found, expected) or "Right.")


def _difference(found: object, expected: Tensor | Sequence[Tensor]) -> str:
    """What is wrong with ``found``, or ""."""
    if found is None:
        return "Not yet: the function gives nothing back so far."
    if not isinstance(expected, Tensor):
        if len(found) != len(expected):
            return f"Not yet: {len(found)} tensors, where {len(expected)} are expected."
        return next(filter(None, map(_difference, found, expected)), "")
    found, expected = torch.as_tensor(found).detach(), expected.detach()
    if found.shape != expected.shape:
        shapes = tuple(found.shape), tuple(expected.shape)
        return "Not yet: the shape is {}, where {} is expected.".format(*shapes)
    if not torch.allclose(found.double(), expected.double(), rtol=1e-4, atol=1e-5):
        return f"Not yet: off by up to {(found.double() - expected.double()).abs().max():.2g}."
    return ""


# --- Sliders -------------------------------------------------------------------------------------


def _pictures(pages: Sequence[Tensor], columns: int) -> list[ipywidgets.Image]:
    layout = ipywidgets.Layout(max_width="100%", height="auto")  # a kilobyte, so all share it
    pictures = []
    for page in pages:
        grid = mosaic(page, columns)
        height, width = (str(_ZOOM * side) for side in grid.shape)
        size = {"width": width, "height": height, "layout": layout}
        pictures.append(ipywidgets.Image(value=png(grid), format="png", **size))
    return pictures


def new_slider(options: Sequence[str], description: str, start: int) -> ipywidgets.SelectionSlider:
    """A slider over ``options``, by their names, that starts at place ``start``."""
    slider = ipywidgets.SelectionSlider(
        options=list(options), index=start, description=description, continuous_update=True
    )
    slider.layout.width = "min(100%, 28em)"
    return slider


def stacked(frames: Sequence[ipywidgets.Widget], slider: ipywidgets.Widget) -> ipywidgets.Widget:
    """All ``frames`` on top of each other; the slider's position says which is seen."""
    if not hasattr(ipywidgets, "Stack"):
        seen = ipywidgets.VBox([frames[slider.index]])
        slider.observe(lambda move: setattr(seen, "children", [frames[move["new"]]]), "index")
        return seen
    stack = ipywidgets.Stack(frames, selected_index=slider.index)
    ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
    return stack


def flip_book(
    pages: Sequence[Tensor], options: Sequence[str], description: str, columns: int = 10, start=-1
) -> ipywidgets.Widget:
    """A slider over ``pages``, each a batch of images (N, 1, H, W); ``options`` names them."""
    slider = new_slider(options, description, start % len(pages))
    return ipywidgets.VBox([slider, stacked(_pictures(pages, columns), slider)])


def crossed(
    pages: Sequence[Sequence[Tensor]], options: Sequence[str], descriptions: tuple[str, str]
) -> ipywidgets.Widget:
    """Two sliders over the same ``options``: the first picks a row of ``pages``, the second a page.

    Each is a batch of images (N, 1, H, W), shown in a row. Both open in the middle.
    """
    first, second = (new_slider(options, one, len(options) // 2) for one in descriptions)
    inner = [stacked(_pictures(row, len(row[0])), second) for row in pages]
    return ipywidgets.VBox([first, second, stacked(inner, first)])


def epoch_slider(run: Run, start: int = -1) -> ipywidgets.Widget:
    """The run's sample sheet at each epoch that it kept, the same z; ``start``: the first shown."""
    epochs = run.sample_epochs()
    return flip_book([run.samples(e) for e in epochs], [*map(str, epochs)], "epoch", start=start)


def digit_slider(dataset: DigitImages, n: int = 50) -> ipywidgets.Widget:
    """The first ``n`` images of each class of a data set."""
    classes = range(len(dataset.class_names))
    pages = [dataset.images[dataset.labels == label][:n] for label in classes]
    return flip_book(pages, dataset.class_names, "digit", start=0)


def _by_digit_and_epoch(
    run: Run, epochs: Sequence[int], digits: ipywidgets.Widget, when: ipywidgets.Widget
) -> ipywidgets.Widget:
    """A conditional run's pictures of one digit at one of ``epochs``, as the two sliders say."""
    inner = []
    for epoch in epochs:
        by_digit = run.samples(epoch).unflatten(0, (SHEET, -1)).transpose(0, 1)
        inner.append(stacked(_pictures(by_digit, SHEET), digits))
    return stacked(inner, when)


def _digit_slider(run: Run, digit: int) -> ipywidgets.Widget:
    return new_slider([str(d) for d in range(run.config.n_classes)], "digit", digit)


def digit_and_epoch_sliders(run: Run, digit: int = 3, start: int = -1) -> ipywidgets.Widget:
    """A conditional run: pick a digit and an epoch, see the same ten z as that digit then.

    It opens at ``digit`` and at the epoch that is number ``start`` of those kept.
    """
    epochs, digits = run.sample_epochs(), _digit_slider(run, digit)
    when = new_slider([str(e) for e in epochs], "epoch", start % len(epochs))
    return ipywidgets.VBox([digits, when, _by_digit_and_epoch(run, epochs, digits, when)])


def digit_epoch_and_model_sliders(
    runs: Sequence[Run], epochs: Sequence[int], digit: int = 3
) -> ipywidgets.Widget:
    """Pick a digit, an epoch and a conditional run, or all of them, one below the other.

    Each draws the same ten z. All of ``runs`` must have the same seed, and have kept samples of all
    ``epochs``; after these comes the last epoch of each, whichever that is.
    """
    digits = _digit_slider(runs[0], digit)
    when = new_slider([*map(str, epochs), "last"], "epoch", len(epochs))
    which = new_slider(["all", *(run.name for run in runs)], "model", 0)
    rows = []
    for run in runs:
        name = ipywidgets.HTML(f"{run.name}, trained for {run.epochs_done} epochs in all")
        shown = _by_digit_and_epoch(run, (*epochs, run.epochs_done), digits, when)
        rows.append(ipywidgets.VBox([name, shown]))
    return ipywidgets.VBox([digits, when, which, stacked([ipywidgets.VBox(rows), *rows], which)])


def run_and_epoch_sliders(
    runs: Sequence[Run], epochs: Sequence[int] = (0, 1, 5, 10, 25, 50, 100, 150, 200)
) -> ipywidgets.Widget:
    """Pick a run and an epoch: samples, the losses with a cursor, and the measures move together.

    All of ``runs`` must have kept samples of all ``epochs``.
    """
    which = new_slider([run.name for run in runs], "run", 0)
    when = new_slider([str(epoch) for epoch in epochs], "epoch", len(epochs) - 1)
    inner = []
    for run in runs:
        pictures = []
        for frame in frames(run, epochs):
            picture = ipywidgets.Image(value=palette_png(frame), format="png")
            picture.layout.max_width = "100%"
            picture.add_class("smooth")  # text, unlike digits, is not to be shown as pixels
            pictures.append(picture)
        inner.append(stacked(pictures, when))
    return ipywidgets.VBox([which, when, stacked(inner, which)])


# --- Training, watched ---------------------------------------------------------------------------


def watch_training(
    players: Players, dataset: DigitImages, config: TrainingConfig, title: str = ""
) -> list[Epoch]:
    """Train as :func:`ganlib.training.train` does, with a progress bar and a picture that grows.

    After every epoch the newest samples, from the same z, appear beside the losses so far.
    Returns every Epoch.
    """
    n_batches = -(-len(dataset) // config.batch_size)
    n_iterations = -(-n_batches // config.d_steps) * (config.n_epochs - players.epoch)
    inputs = sheet_inputs(config, Batch(dataset.images, dataset.labels))
    screen, history = display(display_id=True), []
    with tqdm(total=n_iterations, desc="training", unit="step") as bar:
        arguments = players, dataset.images, dataset.labels, config
        for epoch in train(*arguments, on_iteration=lambda _: bar.update()):
            history.append(epoch)
            samples = generate(players.artist, *inputs)
            made = f"epoch {epoch.number} of {config.n_epochs}"
            screen.update(live_training(samples, history, f"{title} {made}".strip()))
    return history
