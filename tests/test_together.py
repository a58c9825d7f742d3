"""Several seeds trained as one: each as it would be alone."""

from dataclasses import replace

import pytest
import torch
from conftest import PAIRS, tiny_config

from ganlib import Refused
from ganlib.families import family
from ganlib.models.points import PointDiscriminator, PointGenerator
from ganlib.steps import LOGGED, adversarial
from ganlib.together import Many, start_together
from ganlib.training import start, train

SEEDS = 3, 5, 8


@pytest.mark.parametrize("training", [True, False])
def test_many_networks_give_what_each_gives(training):
    torch.manual_seed(0)
    networks = [PointGenerator(3, (16, 16), bn_eps=1e-4) for _ in range(3)]
    together = Many(networks).train(training)
    z = torch.randn(20, 3, 3)
    for _ in range(2):  # running statistics move along
        found = together(z)
        alone = [network.train(training)(z[:, one]) for one, network in enumerate(networks)]
        assert found.allclose(torch.stack(alone, dim=1), atol=1e-6)
    means = dict(networks[1].named_buffers())["layers.1.running_mean"]
    assert dict(together.named_buffers())["layers/1/running_mean"][1].allclose(means, atol=1e-6)
    assert (means != 0).any() == training


def test_all_weights_are_learned_and_are_apart_from_the_first_networks():
    torch.manual_seed(0)
    networks = [PointDiscriminator((8,), pieces=3) for _ in range(2)]
    together = Many(networks)
    count = sum(p.numel() for p in together.parameters())
    assert count == 2 * sum(p.numel() for p in networks[0].parameters())
    together(torch.randn(4, 2, 2)).sum().backward()
    assert all(p.grad is not None for p in together.parameters())
    assert all(p.grad is None for p in networks[0].parameters())


def trained(players, config, digits) -> torch.Tensor:
    """The log of a training."""
    found = train(players, digits.images, digits.labels, config)
    return torch.cat([epoch.losses for epoch in found])


@pytest.mark.parametrize(
    "model, changes",
    [
        *(("gan", {"loss": loss}) for loss in ("bce", "mse")),
        ("gan", {"d_steps": 2, "ema": 0.9}),
        ("cgan-small-d", {}),  # no dropout, whose masks cannot be the same
    ],
)
def test_each_seed_is_trained_as_it_would_be_alone(digits, model, changes):
    config = tiny_config(model, n_epochs=2, **changes)
    players = start_together(config, SEEDS)
    log = trained(players, config, digits)
    assert log.shape[1:] == (len(LOGGED), len(SEEDS))
    for place, seed in enumerate(SEEDS):
        own = replace(config, seed=seed)
        alone = start(own)
        torch.testing.assert_close(
            log[..., place], trained(alone, own, digits), rtol=2e-3, atol=2e-4
        )
        pairs = [(players.networks[name], network) for name, network in alone.networks.items()]
        if alone.average is not None:
            pairs.append((players.average, alone.average))
        for many, network in pairs:
            found, wanted = many.one(place).state_dict(), network.state_dict()
            assert found.keys() == wanted.keys()
            for name in wanted:
                torch.testing.assert_close(found[name], wanted[name], rtol=1e-2, atol=2e-3)


def test_seeds_differ_and_dropout_does_too(digits):
    config = tiny_config("cgan", n_epochs=1)
    log = trained(start_together(config, (3, 3, 5)), config, digits)
    assert log.isfinite().all() and not log[..., 0].allclose(log[..., 2])
    assert not log[..., 0].allclose(log[..., 1])  # equal but for the masks


@pytest.mark.parametrize("model", PAIRS)
def test_seeds_of_every_pair_are_trained_together_or_refused(model, digits):
    config = tiny_config(model, n_epochs=1, img_size=16)
    images = torch.nn.functional.interpolate(digits.images[:70], (16, 16))
    some = replace(digits, images=images, labels=digits.labels[:70])
    try:
        players = start_together(config, SEEDS)
    except Refused as error:
        assert "spectral" in f"{error}" or family(model).step is not adversarial
    else:
        assert trained(players, config, some).isfinite().all()


@pytest.mark.parametrize(
    "model, why",
    [
        *((one, "a step of its own") for one in ("c-dcgan-standard", "infogan", "sgan")),
        ("cbn-dcgan-spectral", "spectral normalisation"),
    ],
)
def test_what_cannot_be_stacked_is_refused(model, why):
    with pytest.raises(Refused, match=f"{model} has {why}"):
        start_together(tiny_config(model, img_size=16), SEEDS)


def test_no_seeds_are_refused():
    with pytest.raises(Refused, match="at least one"):
        start_together(tiny_config("gan"), ())
