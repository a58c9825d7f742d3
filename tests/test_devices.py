"""What a GPU would show, on any machine: tensors that say they are on one, and hold no numbers.

PyTorch works out shapes and devices of such tensors, and refuses to mix devices as a GPU would.
"""

import pytest
import torch
from conftest import PAIRS, networks_of, tiny_config
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ganlib import data, losses, sampling
from ganlib.families import MODELS, build, family
from ganlib.figures import anatomy
from ganlib.judge import classifier, metrics
from ganlib.precision import LossScale, multiply_in
from ganlib.runs import checkpoint
from ganlib.studies import densities
from ganlib.training import Adam, average_step, start, train

aten = torch.ops.aten
pytestmark = pytest.mark.filterwarnings("ignore:cov()", "ignore:the judge reads")


class Pretend(TorchDispatchMode):
    """Every number read is 1, all that is compared equal; as many bins as asked for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is aten._local_scalar_dense.default:
            return 1.0 if args[0].dtype.is_floating_point else 1
        if func is aten.equal.default:
            return True
        if func is aten.bincount.default:
            counted = torch.ones_like(args[0])  # weights and numbers must be on one device
            return counted.new_ones((kwargs or {}).get("minlength", args[-1]))
        return func(*args, **(kwargs or {}))


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr("ganlib.precision._products_are_exact", lambda: False)
    with FakeTensorMode(), Pretend():
        yield


def test_mixed_devices_are_noticed_at_all(pretended):
    with pytest.raises(RuntimeError, match="same device"):
        torch.ones(3, device="cuda") + torch.ones(3)


def told_of(model: str, labels: tuple) -> tuple:
    """What the model's discriminator is told of ``labels``: a pair's as much as its generator."""
    return labels if model in PAIRS else ()


@pytest.mark.parametrize("model", MODELS)
def test_every_model_works_and_draws_on_the_device_that_it_is_on(pretended, model):
    n, conditional = 8, family(model).conditional
    with torch.device("cuda"):
        generator, discriminator, *_ = networks_of(model, latent_dim=8)
        average, *_ = networks_of(model, latent_dim=8)
    z = torch.randn(n, 8, device="cuda")
    labels = (torch.arange(n, device="cuda"),) if conditional else ()
    fake = generator(z, *labels)
    scores = discriminator(fake, *told_of(model, labels))
    assert fake.device.type == scores.device.type == "cuda"
    for loss in losses.LOSSES.values():
        for part in (loss.generator, loss.real, loss.fake):
            assert part(scores).device.type == "cuda"
    average_step(average, generator, 0.9, 1)
    config = tiny_config(model, img_size=32)
    drawn = [
        sampling.draw(generator, config, 20, seed=0)[0],
        sampling.generate(generator, *sampling.sheet_inputs(config)),
    ]
    for images in drawn:
        assert images.shape[1:] == (1, 32, 32) and images.device.type == "cpu"
    others = [discriminator] if model in PAIRS else []  # told what G is
    checkpoint.check_numbers(config, "here", generator, *others)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_passed_through_in_fewer_bits_on_the_device_that_it_is_on(
    pretended, monkeypatch, model, kind
):
    """Forward only: without a GPU, PyTorch takes no gradient of what pretends to be on one."""
    with torch.device("cuda"):
        generator, discriminator, *_ = networks_of(model, latent_dim=8)
    for name in ("is_available", "is_bf16_supported"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: True)
    seen = []
    for network in (generator, discriminator):
        multiply_in(network, kind)
        for layer in network.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
                layer.register_forward_hook(lambda *given: seen.append(given[2].dtype))
    z, labels = torch.randn(8, 8, device="cuda"), (torch.arange(8, device="cuda"),)
    labels = labels if family(model).conditional else ()
    fake = generator(z, *labels)
    scores = discriminator(fake, *told_of(model, labels))
    assert fake.device.type == scores.device.type == "cuda"
    assert fake.dtype == scores.dtype == torch.float32
    assert len(seen) > 5 and set(seen) == {getattr(torch, kind)}


def test_the_loss_scale_and_adam_stay_on_the_device(pretended):
    with torch.device("cuda"):
        weight, scale = torch.nn.Parameter(torch.ones(3)), LossScale()
        adam = Adam([weight], 0.1, (0.5, 0.9), scale)
        weight.grad = torch.ones(3)
    adam.step()
    assert scale.factor.device.type == adam.state[weight]["step"].device.type == "cuda"


@pytest.mark.parametrize("labelled", [True, False])
def test_the_judge_and_all_measures_work_where_the_judge_is(pretended, monkeypatch, labelled):
    """Images and labels come from the CPU, as `draw` gives them."""
    monkeypatch.setattr(metrics, "N_COPIES", 20)
    with torch.device("cuda"):
        judge = classifier.Classifier().eval()
    pair = [
        data.DigitImages(torch.zeros(300, 1, 16, 16), torch.zeros(300).long(), "digits", split)
        for split in data.SPLITS
    ]
    against = metrics.reference(*pair, judge)
    assert against.train.images.device.type == against.radii.device.type == "cuda"
    labels = torch.zeros(200).long() if labelled else None
    found = metrics.measure(torch.zeros(200, 1, 16, 16), labels, against)
    assert {"frechet", "coverage", "memorised_pixels", "memorised_features"} <= found.keys()
    assert metrics.floor(against, 100)["n_images"] == 100
    assert classifier.accuracy(judge, pair[0]) == 1


# --- Global random streams -----------------------------------------------------------------------


def drawn_by_train() -> None:
    config = tiny_config(n_epochs=1)
    players = start(config)
    next(train(players, torch.zeros(70, 1, 8, 8), torch.zeros(70), config))


@pytest.mark.parametrize(
    "work",
    [
        lambda: build(tiny_config()),
        lambda: classifier.train_classifier(data.load("digits", "train", 32, size=70), 1),
        lambda: densities.train_discriminator(
            ([0.0], 1.0), ([1.0], 1.0), losses.LOSSES["bce"], n_steps=1
        ),
        anatomy.checkerboards,
        drawn_by_train,
    ],
    ids=["networks", "classifier", "densities", "anatomy", "training"],
)
def test_work_on_the_cpu_leaves_an_accelerators_stream_alone(monkeypatch, work):
    """`torch.manual_seed` would start it afresh, and nothing would give it back."""
    touched = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", touched.append)
    monkeypatch.setattr(torch.mps, "manual_seed", touched.append)
    work()
    assert not touched
