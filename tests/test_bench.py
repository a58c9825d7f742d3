"""The benchmark compares like with like: the same maths, and every matrix product counted."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganlib import data
from ganlib.losses import LOSSES
from ganlib.steps import Batch, discriminator_step, generator_step
from ganlib.training import start

SCRIPT = Path(__file__).parents[1] / "bench" / "training_step.py"
SPEC = importlib.util.spec_from_file_location("training_step", SCRIPT)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


TARGETS = {"bce": torch.nn.BCELoss(), "mse": torch.nn.MSELoss()}


@pytest.mark.parametrize("loop", ["conventional", "public"])
@pytest.mark.parametrize("model", ["gan", "cgan"])
def test_all_loops_do_the_same_maths(model, loop):
    config = replace(bench.CONFIGS[model], img_size=8, device="cpu")
    conditional = model == "cgan"
    mine = start(config)
    theirs = bench.conventional_players(config)
    for players in (mine, theirs):
        for module in players.discriminator.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # the two draw different masks, of the same distribution
    z, real = torch.randn(16, 100), torch.rand(16, 1, 8, 8) * 2 - 1
    labels = (torch.arange(16) % 10,) if conditional else ()
    loss = LOSSES[config.loss]

    if loop == "public":
        g_loss, d_loss = bench.public_step(theirs, TARGETS[config.loss], real, z, labels, labels)
    else:
        g_loss, d_loss = bench.conventional_step(theirs, loss, real, z, labels, labels)
    pair = mine.generator, mine.discriminator
    fake, my_g_loss = generator_step(*pair, mine.optimizers["g_optimizer"], loss, z, labels)
    halves = discriminator_step(
        pair[1], mine.optimizers["d_optimizer"], loss, real, fake, labels, labels
    )
    assert torch.allclose(my_g_loss, g_loss)
    assert torch.allclose((halves[0] + halves[1]) / 2, d_loss)
    for mine_now, theirs_now in zip(pair, (theirs.generator, theirs.discriminator), strict=True):
        for a, b in zip(mine_now.parameters(), theirs_now.parameters(), strict=True):
            assert a.grad.abs().max() > 0
            # Not the weights: Adam's first step is near lr * sign(gradient), unstable around 0.
            assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_all_loops_see_the_same_images():
    native, resized = (data.load("digits", img_size=size, size=20) for size in (8, 32))
    images = torch.stack([image for image, _ in bench.PilDigits(native.images, native.labels, 32)])
    assert images.shape == resized.images.shape
    # PIL rounds to whole grey levels on the way.
    assert (images - resized.images).abs().max() < 0.03


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_all_products_of_a_gan_step_are_counted(monkeypatch, precision):
    monkeypatch.setattr("ganlib.precision.has_bfloat16", lambda device: True)
    config = replace(bench.CONFIGS["gan"], device="cpu", precision=precision)
    players = start(config)
    shown = Batch(torch.zeros(4, 1, 32, 32), torch.zeros(4).long())
    calls = bench.products_of_a_step(players, config, shown)
    assert {function for function, _ in calls} == {torch.mm}
    factors = [args for _, args in calls]
    assert {x.dtype for pair in factors for x in pair} == {getattr(torch, precision)}
    counted = sum(left.shape[0] * left.shape[1] * right.shape[1] for left, right in factors)
    # Products go through every weight of a matrix, forward and back (to weights, to inputs).
    g, d = (
        [p.numel() for p in network.parameters() if p.ndim == 2]
        for network in (players.generator, players.discriminator)
    )
    forward, to_weights, to_inputs = sum(g) + 3 * sum(d), sum(g) + 2 * sum(d), sum(g) + 3 * sum(d)
    not_needed = g[0] + 2 * d[0]  # the noise, and D's images in D's own step, want no gradient
    assert counted == 4 * (forward + to_weights + to_inputs - not_needed)


def test_convolutions_are_counted_and_can_be_repeated():
    config = replace(bench.CONFIGS["cbn-dcgan-spectral"], img_size=8, device="cpu")
    players = start(config)
    calls = bench.products_of_a_step(
        players, config, Batch(torch.zeros(4, 1, 8, 8), torch.arange(4))
    )
    counts = [sum(function is wanted for function, _ in calls) for wanted in bench.CONVOLUTIONS]
    # Three layers of each player: all forward once, D's twice; and back as often.
    assert counts == [9, 9]
    bench.repeat_products(calls, 2)


def test_it_measures_and_tells(monkeypatch, capsys):
    monkeypatch.setattr("ganlib.precision.has_bfloat16", lambda device: True)
    config = replace(bench.CONFIGS["gan"], img_size=8, batch_size=32, device="cpu")
    times = bench.compare(config, "digits", 64, turns=2)
    loops = ["public scripts", "conventional", "float32", "bfloat16"]
    assert list(times) == [*loops, "float32 products", "bfloat16 products"]
    assert all(len(t) == 2 and min(t) > 0 for t in times.values())
    assert bench.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 1.0]) == "3.00 (2.00 to 4.00)"
    bench.show(config, {"public scripts": [6.0, 4.0], "float32": [2.0, 2.0]}, 10, 938)
    _, header, public, mine = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "gan" and public.split()[-4:] == ["2.50", "(2.00", "to", "3.00)"]
    assert mine.split()[:3] == ["float32", "200.00", "187.6"]


def test_a_profile_names_the_largest_shares(capsys):
    config = replace(bench.CONFIGS["gan"], img_size=8, batch_size=32, device="cpu")
    bench.show_profile(config, "digits", 64)
    told = capsys.readouterr().out.splitlines()[0]
    assert told.startswith("gan in float32: ") and "aten::mm" in told and "%" in told
