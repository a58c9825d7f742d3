"""What only a GPU can show: an iteration replayed as a CUDA graph is the iteration.

Skipped where there is none. It needs nothing else of the tests' own:
python -m pytest --noconftest tests/test_gpu.py
"""

from dataclasses import replace
from functools import partial

import pytest
import torch

from ganlib import training
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, family
from ganlib.models.semi_supervised import realness
from ganlib.steps import Batch, Replayed, own_stream
from ganlib.studies import modes, recognisers
from ganlib.together import start_together
from ganlib.training import start, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
N = 700  # images: eleven batches, the last of them short


def some_images() -> Batch:
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(N, 1, 32, 32, generator=rng) * 2 - 1
    return Batch(images.cuda(), (torch.arange(N) % 10).cuda())


def as_they_are(iterate, rngs):
    return iterate


def trained(config: TrainingConfig) -> dict[str, torch.Tensor]:
    """All numbers that a training leaves behind, and its log."""
    players, (images, labels) = start(config), some_images()
    logs = [epoch.losses for epoch in train(players, images, labels, config)]
    found = {"log": torch.cat(logs)}
    for name, part in players.parts().items():
        state = part.state_dict()
        if "param_groups" in state:
            state = {f"{i}.{k}": v for i, own in state["state"].items() for k, v in own.items()}
        found |= {f"{name}.{key}": tensor.cpu() for key, tensor in state.items()}
    return found


def assert_same(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        # The same sums; in which order cuDNN and atomic additions make them is left to them.
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-3, atol=2e-4, msg=name)


@pytest.fixture(autouse=True)
def steady(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.mark.parametrize("model", MODELS)
def test_a_replayed_training_is_the_training(model, monkeypatch):
    few = {"n_labels": 50} if "n_labels" in family(model).settings else {}
    config = TrainingConfig(model=model, n_epochs=2, device="cuda", ema=0.9, **few)
    found = trained(config)
    monkeypatch.setattr(training, "Replayed", as_they_are)
    assert_same(found, trained(config))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_in_every_precision(precision, monkeypatch):
    config = TrainingConfig(n_epochs=2, device="cuda", precision=precision)
    found = trained(config)
    monkeypatch.setattr(training, "Replayed", as_they_are)
    assert_same(found, trained(config))


def test_all_but_the_first_and_the_last_calls_are_replays():
    calls = []
    rng = torch.Generator("cuda").manual_seed(0)

    def iterate(players, shown):
        calls.append(len(shown[0].images))
        return shown[0].images.sum() + torch.rand((), generator=rng, device="cuda")

    replayed, players = Replayed(iterate, [rng]), start(TrainingConfig(device="cuda"))
    data, found = some_images(), []
    with own_stream(rng.device):
        for index in torch.arange(N, device="cuda").split(64):
            found.append(replayed(players, [Batch(*(part[index] for part in data))]))
    assert calls == [64] * (Replayed.WARM + 1) + [N % 64]  # one of them only to be recorded
    rng.manual_seed(0)
    drawn = [torch.rand((), generator=rng, device="cuda") for _ in found]
    sums = [part.sum() for part in data.images.split(64)]
    wanted = torch.stack(sums) + torch.stack(drawn)
    torch.testing.assert_close(torch.stack(found), wanted, rtol=1e-5, atol=1e-2)


def test_an_iteration_that_cannot_be_recorded_runs_as_it_is():
    rng, seen = torch.Generator("cuda").manual_seed(0), []

    def iterate(players, shown):
        seen.append(shown[0].images.mean().item())  # waits for the GPU: no graph can
        return torch.rand(3, generator=rng, device="cuda")

    replayed, players = Replayed(iterate, [rng]), start(TrainingConfig(device="cuda"))
    batch = Batch(*(part[:64] for part in some_images()))
    with own_stream(rng.device):
        found = torch.stack([replayed(players, [batch]) for _ in range(9)])
    assert len(seen) == 9
    rng.manual_seed(0)
    wanted = torch.stack([torch.rand(3, generator=rng, device="cuda") for _ in found])
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("name", recognisers.METHODS)
def test_a_recogniser_too(name, monkeypatch):
    settings = family("sgan").settings | {"n_labels": 50, "n_epochs": 2}
    config, data = TrainingConfig(model="sgan", device="cuda", **settings), some_images()

    def scores() -> torch.Tensor:
        epochs = recognisers.train_recogniser(config, data, **recognisers.METHODS[name])
        (*_, (_, reader)) = epochs
        with torch.no_grad():
            return realness(reader.eval()(data.images))

    found = scores()
    monkeypatch.setattr(recognisers, "Replayed", as_they_are)
    torch.testing.assert_close(found, scores(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("changes", [{}, {"label": True}, {"pack": 2, "bn_eps": 1e-4, "pieces": 3}])
def test_many_gans_on_points_too(changes, monkeypatch):
    sizes = {"batch_size": 50, "iterations": 40, "g_widths": (16,), "d_widths": (16,)}
    protocol = modes.Protocol(**sizes, **changes)
    measure = partial(modes.measure, protocol, (0, 1), device="cuda", watched=20)
    found = measure()
    monkeypatch.setattr(modes, "Replayed", as_they_are)
    assert found["points"] == measure()["points"]


@pytest.mark.parametrize("model", ["gan", "cgan-small-d"])
def test_seeds_as_one_are_replayed_and_each_is_trained_as_it_would_be_alone(model, monkeypatch):
    config, seeds, made = TrainingConfig(model=model, n_epochs=1, device="cuda"), (3, 5), []

    def seen(iterate, rngs):
        made.append(Replayed(iterate, rngs))
        return made[-1]

    monkeypatch.setattr(training, "Replayed", seen)
    images, labels = some_images()
    (together,) = train(start_together(config, seeds), images, labels, config)
    assert made[0].graph is not None
    for place, seed in enumerate(seeds):
        own = replace(config, seed=seed)
        (alone,) = train(start(own), images, labels, own)
        torch.testing.assert_close(together.losses[..., place], alone.losses, rtol=2e-3, atol=5e-4)
