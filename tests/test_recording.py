"""The recipes, how a run is packed small, and the runs that ship with the package."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Deadly, Killed, same_tensors, tiny_config
from safetensors.torch import load_file

from ganlib.configuration import TrainingConfig
from ganlib.families import family
from ganlib.runs import store
from ganlib.runs.files import locked
from ganlib.runs.store import RunError, read_run, train_run
from ganlib.sampling import generate, sheet_inputs, to_sheet
from ganlib.steps import LOGGED
from ganlib.studies import codes, engine, recording
from ganlib.studies.recording import RECIPES, half_matrix, pack

MEGABYTES = 40  # all recorded runs together; a clone should not take long


def grey_levels_apart(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.abs(left.astype(int) - right.astype(int))


# --- The recipes ---------------------------------------------------------------------------------


def test_recipes_are_table_1_in_all_but_the_named_differences():
    table_1 = asdict(TrainingConfig())
    differences = {
        name: {key: value for key, value in asdict(recipe).items() if value != table_1[key]}
        for name, recipe in RECIPES.items()
    }
    assert differences == {
        "gan": {},
        "gan-eps0.8": {"bn_eps": 0.8},
        "cgan": {"model": "cgan", "loss": "mse"},
        "cgan-linear-eps0.8": {"model": "cgan", "loss": "least-squares", "bn_eps": 0.8},
    } | {
        name: {"model": name, "n_epochs": n_epochs, "ema": ema}
        for name, n_epochs, ema in (
            ("cbn-cgan", 50, 0.9999),
            ("cbn-dcgan", 20, 0.999),
            ("c-dcgan-projection", 20, 0.999),
            ("cbn-dcgan-projection", 20, 0.999),
            ("cbn-dcgan-spectral", 25, 0.999),
            ("c-dcgan", 20, 0.999),
            ("c-dcgan-larger-start", 10, 0.999),
        )
    } | {"infogan": {"model": "infogan", **family("infogan").settings}}
    assert (table_1["model"], table_1["loss"], table_1["dataset"]) == ("gan", "bce", "mnist")
    assert table_1["train_size"] is None and table_1["d_steps"] == 1


# --- Packing -------------------------------------------------------------------------------------


def test_a_packed_run_is_small_and_says_the_same(finished, tmp_path):
    packed = pack(finished, tmp_path / "small")
    files = {str(p.relative_to(packed.folder)) for p in packed.folder.rglob("*") if p.is_file()}
    assert files == {
        "config.json",
        "losses.safetensors",
        "generator.safetensors",
        *(f"samples/epoch_{epoch:04d}.png" for epoch in (0, 1, 2)),
    }
    assert (packed.config, packed.epochs_done) == (finished.config, finished.epochs_done)
    assert packed.made == finished.made
    for epoch in finished.sample_epochs():
        assert np.array_equal(packed.sheet(epoch), finished.sheet(epoch))
    history = finished.losses()
    assert same_tensors(packed.losses().tensors(), history.tensors())
    every = load_file(finished.folder / "losses.safetensors")["losses"]
    for column, name in enumerate(LOGGED):
        values = every[:, column]
        assert packed.losses().range(name) == (float(values.min()), float(values.max()))


def test_packed_weights_draw_the_same_samples_within_one_grey_level(finished, tmp_path):
    packed = pack(finished, tmp_path / "small")
    inputs = sheet_inputs(finished.config)
    before = generate(finished.generator(), *inputs)
    after = generate(packed.generator(), *inputs)
    assert float((before - after).abs().max()) * 127.5 <= 1
    assert not torch.equal(before, after)  # half precision was really used
    sizes = [(r.folder / "generator.safetensors").stat().st_size for r in (finished, packed)]
    assert sizes[1] < 0.6 * sizes[0]


def test_only_matrices_are_halved():
    halved = half_matrix(torch.ones(3, 4))
    assert halved.dtype == torch.float16 and halved.shape == (3, 4)
    for kept in (torch.ones(3), torch.tensor(7), torch.ones(2, 2, dtype=torch.int64)):
        assert half_matrix(kept) is kept


def test_an_unfinished_run_is_not_packed(tmp_path, digits):
    for _ in train_run(tmp_path / "run", tiny_config(n_epochs=3), digits):
        break
    with pytest.raises(RunError, match="stopped at epoch 1 of 3"):
        pack(read_run(tmp_path / "run"), tmp_path / "small")
    assert not (tmp_path / "small").exists()


@pytest.mark.parametrize(
    "spoil",
    [lambda w: (w * 20).round() / 20, lambda w: w * float("inf"), lambda w: w * float("nan")],
    ids=["too coarse", "overflow", "not a number"],
)
def test_weights_that_do_not_survive_halving_stay_as_they_are(
    monkeypatch, finished, tmp_path, spoil
):
    monkeypatch.setattr(
        recording, "half_matrix", lambda w: spoil(w) if w.is_floating_point() else w
    )
    packed = pack(finished, tmp_path / "whole")
    files = [run.folder / "generator.safetensors" for run in (finished, packed)]
    assert same_tensors(*map(load_file, files))


def test_a_packed_run_is_not_trained_over(finished, tmp_path, digits):
    """It has no checkpoint to go on from, and starting it again would write over it."""
    packed = pack(finished, tmp_path / "small")
    before = {p: p.read_bytes() for p in packed.folder.rglob("*") if p.is_file()}
    config = replace(finished.config, n_epochs=3)
    with pytest.raises(RunError, match=r"no readable checkpoint\.safetensors"):
        next(train_run(packed.folder, config, digits, resume=True))
    assert {p: p.read_bytes() for p in packed.folder.rglob("*") if p.is_file()} == before


def test_packing_goes_to_the_package_under_the_runs_name(monkeypatch, finished, tmp_path):
    monkeypatch.setattr(recording, "RECORDED", tmp_path)
    assert pack(finished).folder == tmp_path / finished.name


@pytest.fixture
def measured(monkeypatch):
    """Measures without a judge: `pack` with ``against=measured``, which may be made to fail."""
    calls = []

    def measure(generator, run, against, copies=False):
        calls.append(run)
        if against == "killed":
            raise Killed
        return {"run": run.config.n_epochs}

    monkeypatch.setattr(recording, "measure_generator", measure)
    monkeypatch.setattr(engine, "measure_generator", measure)
    return "real images"


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_recording_appears_with_its_measures_or_not_at_all(
    monkeypatch, finished, tmp_path, measured
):
    monkeypatch.setattr(recording, "RECORDED", tmp_path)
    monkeypatch.setattr(store, "RECORDED", tmp_path)
    with pytest.raises(Killed):
        pack(finished, against="killed")
    assert store.recorded_names() == [] and not list(tmp_path.iterdir())
    assert pack(finished, against=measured).metrics() == {1: {"run": 2}, 2: {"run": 2}}
    assert store.recorded_names() == [finished.name]
    before = files_in(tmp_path)
    with pytest.raises(Killed):
        pack(finished, against="killed")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_recording_made_again_replaces_the_old_one_at_once(
    monkeypatch, finished, digits, tmp_path, measured, when
):
    """Killed at any change of the disk, what is there is one of the two; no old sheet is kept."""
    config = replace(finished.config, n_epochs=1, seed=1)
    for _ in train_run(tmp_path / "short", config, digits):
        pass
    short = read_run(tmp_path / "short")
    for kill_at in range(100):
        folder = tmp_path / f"killed{kill_at}"
        pack(finished, folder, against=measured)
        (folder / "samples" / "mine.png").write_bytes(b"mine")
        with monkeypatch.context() as patch:
            Deadly(patch, kill_at, when)
            try:
                pack(short, folder, against=measured)
            except Killed:
                pass
            else:
                break
        packed = read_run(folder)
        last = packed.epochs_done
        assert packed.metrics() == {epoch: {"run": last} for epoch in range(1, last + 1)}
        assert packed.sample_epochs() == list(range(last + 1))
        assert all(packed.sheet(epoch).any() for epoch in packed.sample_epochs())
        assert packed.generator() and len(packed.losses().epoch_ends) == last
    assert kill_at > 10
    pack(short, folder)  # without measures this time: the old ones go, too
    ours = {"config.json", "generator.safetensors", "losses.safetensors"}
    ours |= {"samples/epoch_0000.png", "samples/epoch_0001.png"}
    assert files_in(folder).keys() == ours | {"samples/mine.png"}


def test_a_run_is_packed_by_one_process_at_a_time(finished, tmp_path):
    with locked(tmp_path / "small"):
        with pytest.raises(RunError, match="in use by another process"):
            pack(finished, tmp_path / "small")
    assert not (tmp_path / "small").exists()


# --- The runs that ship --------------------------------------------------------------------------

every_recorded_run = pytest.mark.parametrize("name", store.recorded_names())


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_recorded(name):
    assert name in store.recorded_names(), f"python -m ganlib record {name} makes it"


@every_recorded_run
def test_a_recorded_run_is_its_recipe_to_the_end(name):
    run = store.find_run(name)
    assert replace(run.config, device="auto") == replace(RECIPES[name], device="auto")
    assert run.epochs_done == run.config.n_epochs
    kept = (0, *codes.EPOCHS) if name == codes.RECIPE else store.SAMPLE_EPOCHS  # the study's run
    usual = {epoch for epoch in kept if epoch <= run.config.n_epochs}
    assert run.sample_epochs() == sorted(usual | {run.config.n_epochs})
    assert run.made["seconds"] > 0 and run.made["device"] and run.made["torch"]


@every_recorded_run
def test_recorded_weights_draw_the_recorded_sheet(name):
    """One grey level for half precision, one for another processor's rounding."""
    run = store.find_run(name)
    images = generate(run.generator(), *sheet_inputs(run.config))
    apart = grey_levels_apart(to_sheet(images), run.sheet(run.epochs_done))
    assert apart.max() <= 2 and apart.mean() < 0.1


@every_recorded_run
def test_recorded_sheets_are_of_different_epochs(name):
    run = store.find_run(name)
    sheets = [run.sheet(epoch) for epoch in run.sample_epochs()]
    for one, next_one in zip(sheets, sheets[1:]):
        assert grey_levels_apart(one, next_one).mean() > 1


@every_recorded_run
def test_recorded_losses_cover_every_iteration_and_keep_their_extremes(name):
    run = store.find_run(name)
    history, columns = run.losses(), family(run.config.model).logged
    iterations_an_epoch = 938  # 60,000 images in batches of 64, the last one smaller
    n_epochs = run.config.n_epochs
    assert history.epoch_ends.tolist() == [iterations_an_epoch * k for k in range(1, n_epochs + 1)]
    assert history.epochs.shape == (n_epochs, len(columns), 6)
    assert history.values.isfinite().all() and history.epochs.isfinite().all()
    epoch_of = (history.iterations - 1) // iterations_an_epoch
    for column, logged in enumerate(columns):
        values = history.values[:, column]
        low, high = history.epoch(logged, "min"), history.epoch(logged, "max")
        assert (values >= low[epoch_of]).all() and (values <= high[epoch_of]).all()
        for stat in ("mean", "last", "p05", "p95"):
            inside = history.epoch(logged, stat)
            assert (inside >= low).all() and (inside <= high).all()
    for logged in ("g_loss", "d_loss"):  # the thinned curve reaches the exact extremes
        values = history.values[:, LOGGED.index(logged)]
        assert history.range(logged) == (float(values.min()), float(values.max()))


@every_recorded_run
def test_recorded_losses_agree_with_their_loss(name):
    """d_loss is the mean of its halves; squares on a probability never pass 1."""
    run = store.find_run(name)
    log = dict(zip(LOGGED, run.losses().values.unbind(dim=1)))
    torch.testing.assert_close(log["d_loss"], (log["d_real_loss"] + log["d_fake_loss"]) / 2)
    low, high = run.losses().range("g_loss", "d_loss", "d_real_loss", "d_fake_loss")
    assert low >= 0
    if run.config.loss == "mse":
        assert high <= 1


@every_recorded_run
def test_recorded_runs_name_each_of_their_files_by_its_sha_256(name):
    run = store.find_run(name)
    folder = run.folder
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert there == {"config.json", *run.files}
    for file in run.files:
        run.read(file)


@every_recorded_run
def test_recorded_runs_hold_nothing_but_what_is_read(name):
    folder = store.find_run(name).folder
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".png"}
    assert not (folder / "checkpoint.safetensors").exists() and not (folder / "weights").exists()


def test_recorded_runs_are_small():
    sizes = [path.stat().st_size for path in Path(store.RECORDED).rglob("*") if path.is_file()]
    assert sum(sizes) < MEGABYTES * 1_000_000
