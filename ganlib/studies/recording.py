"""The runs that ship with the book: how each is made, and how it is packed small.

``python -m ganlib record NAME`` trains a recipe into ``runs/NAME`` (resumable), packs it into
``ganlib/recorded/NAME``, and measures the generator of every epoch whose weights were kept.
"""

import json
from pathlib import Path

from safetensors.torch import save as to_bytes
from torch import Tensor

from ganlib.configuration import TrainingConfig
from ganlib.families import build, family
from ganlib.judge.metrics import Reference
from ganlib.runs.files import commit, locked, own_files, settle
from ganlib.runs.manifest import about
from ganlib.runs.store import RECORDED, Run, RunError, read_run
from ganlib.sampling import generate, sheet_inputs
from ganlib.studies.engine import measure_generator, measure_run, rounded

# All of Table 1, MNIST; only what differs is named. The paper's own models train 200 epochs.
RECIPES = {
    # The paper's text: BCE, and batch normalisation as PyTorch has it.
    "gan": TrainingConfig(model="gan", loss="bce"),
    # The public scripts write BatchNorm1d(n, 0.8), which sets eps.
    "gan-eps0.8": TrainingConfig(model="gan", loss="bce", bn_eps=0.8),
    # The paper's text: squared error on the probability.
    "cgan": TrainingConfig(model="cgan", loss="mse"),
    # The public scripts: squared error on the raw score, and eps again.
    "cgan-linear-eps0.8": TrainingConfig(model="cgan", loss="least-squares", bn_eps=0.8),
    # What section 4.2 proposes and does not test: CBN, convolution, both. The first seed of the
    # study `improvements`, for longer: fully connected networks train fast.
    **{
        model: TrainingConfig(model=model, loss="bce", n_epochs=n_epochs, ema=ema)
        for model, n_epochs, ema in (
            # A longer average is the same in the first ten epochs; later it leaves fewer specks.
            ("cbn-cgan", 50, 0.9999),
            ("c-dcgan", 20, 0.999),
            ("cbn-dcgan", 20, 0.999),
            ("c-dcgan-projection", 20, 0.999),
            ("cbn-dcgan-projection", 20, 0.999),
            ("cbn-dcgan-spectral", 25, 0.999),
            ("c-dcgan-larger-start", 10, 0.999),
        )
    },
    # The seed of the study `codes` whose error is the median one.
    "infogan": TrainingConfig(model="infogan", loss="bce", **family("infogan").settings),
}


def pack(run: Run, folder: Path | None = None, against: Reference | None = None) -> Run:
    """Copy a finished run small: half-precision matrices, summarised losses, no checkpoint.

    If half precision would change a pixel of its samples by more than one grey level (1/255), the
    weights stay as they are. ``against``, if given, is what every epoch whose weights were kept is
    measured against, the last one with the packed weights, which are those that a reader has.

    The copy appears whole or not at all, and takes the place of an older one. Returns it. Raises
    RunError if the run is not finished, or another process is packing it.
    """
    if run.epochs_done < run.config.n_epochs:
        raise RunError(f"{run.folder} stopped at epoch {run.epochs_done} of {run.config.n_epochs}")
    folder = folder or RECORDED / run.name
    with locked(folder):
        generator = run.generator()
        small = {key: half_matrix(value) for key, value in generator.state_dict().items()}
        if not grey_levels_moved(run, small) <= 1:  # `not`, so that a NaN keeps the weights too
            small = generator.state_dict()
        history = run.losses().tensors()
        sheets = [f"samples/epoch_{epoch:04d}.png" for epoch in run.sample_epochs()]
        new = {name: run.read(name) for name in sheets}
        new |= {"generator.safetensors": to_bytes(small), "losses.safetensors": to_bytes(history)}
        if against is not None:
            generator.load_state_dict(small)
            earlier = [epoch for epoch in run.kept("weights") if epoch < run.epochs_done]
            found = measure_run(run, earlier, against, copies=False)
            found[str(run.epochs_done)] = measure_generator(generator, run, against, copies=True)
            new["metrics.json"] = (json.dumps(rounded(found)) + "\n").encode()
        settle(folder)
        older = own_files(folder) - new.keys()
        commit(folder, about(run.config, run.epochs_done, run.made, run.images), new, {})
        for name in older:
            (folder / name).unlink()
    return read_run(folder)


def half_matrix(weight: Tensor) -> Tensor:
    """Matrices in half precision; vectors, few and sensitive (running variances), as they are."""
    return weight.half() if weight.is_floating_point() and weight.ndim > 1 else weight


def grey_levels_moved(run: Run, weights: dict[str, Tensor]) -> float:
    """How far ``weights`` move any pixel of the run's sample sheet, in grey levels of 255."""
    other = build(run.config)["generator"]
    other.load_state_dict(weights)
    inputs = sheet_inputs(run.config)
    before = generate(run.generator(), *inputs)
    after = generate(other, *inputs)
    return float((before - after).abs().max()) * 127.5
