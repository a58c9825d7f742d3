"""Fewer bits in the products and nowhere else; and what is switched for speed is put back."""

import copy
import itertools
import json
from dataclasses import replace

import pytest
import torch
from conftest import PAIRS, copies, networks_of, same_tensors, tiny_config
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganlib import Refused, precision
from ganlib.cli.parser import main
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, family
from ganlib.losses import LOSSES
from ganlib.precision import LossScale, ScaledLosses, choose_precision, multiply_in
from ganlib.runs import store
from ganlib.steps import discriminator_step, generator_step
from ganlib.training import Adam, start, train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
aten = torch.ops.aten
PRODUCTS = (aten.mm, aten.addmm, aten.convolution, aten.convolution_backward)
matmul = getattr(torch.backends.mkldnn, "matmul", None)
needs_switch = pytest.mark.skipif(
    not hasattr(matmul, "fp32_precision"), reason="this PyTorch has no such setting"
)
every_model = pytest.mark.parametrize("model", MODELS)
every_pair = pytest.mark.parametrize("model", PAIRS)


@pytest.fixture
def units(monkeypatch):
    """A processor with bfloat16 units, and with float16: PyTorch emulates what it has not."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: True)


@pytest.fixture
def float16_anywhere(monkeypatch, units):
    monkeypatch.setattr("ganlib.training.choose_precision", lambda name, device: name)


class Dtypes(TorchDispatchMode):
    """The precision of the factors of every product made meanwhile, as a set."""

    def __init__(self):
        super().__init__()
        self.products = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in PRODUCTS:
            factors = [a for a in args if isinstance(a, torch.Tensor) and a.ndim > 1]
            self.products.append({factor.dtype for factor in factors})
        return func(*args, **(kwargs or {}))


def inputs_of(model: str, n: int = 16):
    rng = torch.Generator().manual_seed(1)
    z, real = torch.randn(n, 8, generator=rng), torch.rand(n, 1, 8, 8, generator=rng) * 2 - 1
    return z, real, (torch.arange(n) % 10,) if family(model).conditional else ()


# --- Which precision -----------------------------------------------------------------------------


@pytest.mark.parametrize("here, auto", [(True, "bfloat16"), (False, "float32")])
def test_auto_goes_by_the_units_of_the_device(monkeypatch, here, auto):
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: here)
    for device in (CPU, CUDA):
        assert choose_precision("auto", device) == auto
        assert choose_precision("float32", device) == "float32"
    assert choose_precision("float16", CUDA) == "float16"


def test_what_a_device_could_only_emulate_is_refused(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    with pytest.raises(Refused, match="^this cpu has no bfloat16 units: use .* float32 or auto$"):
        choose_precision("bfloat16", CPU)
    with pytest.raises(Refused, match="^float16 needs a CUDA device: use .* float32 or auto$"):
        choose_precision("float16", CPU)


@pytest.mark.parametrize("unit", ["_is_avx512_bf16_supported", "_is_amx_tile_supported", None])
def test_a_processor_is_asked_for_its_units(monkeypatch, unit):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == unit, raising=False)
    assert precision.has_bfloat16(CPU) == (unit is not None)
    assert not precision.has_bfloat16(torch.device("mps"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: unit)
    assert precision.has_bfloat16(CUDA) == unit


# --- The products, and what stays float32 ---------------------------------------------------------


@every_pair
@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_step_makes_its_products_in_fewer_bits_and_all_else_in_float32(
    float16_anywhere, model, kind
):
    config = TrainingConfig(model=model, img_size=8, latent_dim=8, device="cpu", precision=kind)
    players, (z, real, labels) = start(config), inputs_of(model)
    loss, adams = LOSSES["bce"], players.optimizers
    with Dtypes() as seen:
        fake, g_loss = generator_step(
            players.generator, players.discriminator, adams["g_optimizer"], loss, z, labels
        )
        told = discriminator_step(
            players.discriminator, adams["d_optimizer"], loss, real, fake, labels, labels
        )
    assert len(seen.products) > 10
    assert all(found == {getattr(torch, kind)} for found in seen.products)
    kept = [*players.generator.state_dict().values(), *players.discriminator.state_dict().values()]
    kept += [p.grad for network in players.networks.values() for p in network.parameters()]
    kept += [value for adam in adams.values() for s in adam.state.values() for value in s.values()]
    numbers = [fake, g_loss, *told, *kept]
    assert {x.dtype for x in numbers if x.is_floating_point()} == {torch.float32}
    assert all(x.isfinite().all() for x in numbers)


@every_pair
def test_results_are_off_by_bfloat16s_rounding_and_by_no_more(model):
    """bfloat16 has 8 bits of a number, float32 24."""
    z, real, labels = inputs_of(model)
    exact, rounded = (networks_of(model, latent_dim=8, img_size=8) for _ in range(2))
    for network in (*exact, *rounded):
        for part in network.modules():
            part.p = 0.0  # no dropout: the masks would differ
    for network, given in ((0, (z, *labels)), (1, (real, *labels))):
        multiply_in(rounded[network], "bfloat16")
        expected, found = exact[network](*given), rounded[network](*given)
        off = (found - expected).norm() / expected.norm()
        assert 1e-4 < off < 0.05, off
        kept = [each[network].state_dict() for each in (exact, rounded)]
        for name in [name for name in kept[0] if "running" in name]:
            one, other = (state[name] for state in kept)
            assert one.dtype == other.dtype == torch.float32
            torch.testing.assert_close(one, other, rtol=0.05, atol=0.01)
            assert not torch.equal(other, other.bfloat16().float())  # its mean is no rounded one


@every_model
def test_in_evaluation_mode_all_is_float32(model):
    plain, changed = (networks_of(model, latent_dim=8, img_size=8)[0].eval() for _ in range(2))
    multiply_in(changed, "bfloat16")
    z, _, labels = inputs_of(model)
    assert torch.equal(plain(z, *labels), changed(z, *labels))


def test_each_pass_rounds_the_weights_as_they_are_then():
    """A step that takes two of D must not see the weights of before."""
    one, other = (networks_of("gan", latent_dim=8, img_size=8)[1] for _ in range(2))
    for network in (one, other):
        multiply_in(network, "bfloat16")
    _, real, _ = inputs_of("gan")
    one(real)
    with torch.no_grad():
        for network in (one, other):
            network.layers[0].weight.mul_(1.5)
    assert torch.equal(one(real), other(real))


def test_a_copy_of_a_network_multiplies_its_own_weights():
    network = networks_of("gan", latent_dim=8, img_size=8)[1]
    multiply_in(network, "bfloat16")
    copied, (_, real, _) = copy.deepcopy(network), inputs_of("gan")
    with torch.no_grad():
        copied.layers[0].weight.zero_()
    assert not torch.equal(copied(real), network(real))


def test_several_results_are_float32_each():
    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    network = Two(3, 2)
    multiply_in(network, "bfloat16")
    assert [part.dtype for part in network(torch.ones(4, 3))] == [torch.float32] * 2


# --- A training ----------------------------------------------------------------------------------


@every_model
def test_a_training_in_bfloat16_is_finite_its_own_and_near_float32s(units, digits, model):
    config, logs, states = tiny_config(model, n_epochs=2, ema=0.9), [], []
    for chosen in ("float32", "bfloat16", "bfloat16"):
        players = start(replace(config, precision=chosen))
        epochs = list(train(players, digits.images, digits.labels, config))
        logs.append(torch.cat([epoch.losses for epoch in epochs]))
        states.append(copies(players.artist))
    exact, rounded, again = logs
    assert rounded.dtype == torch.float32 and rounded.isfinite().all()
    assert torch.equal(rounded, again) and same_tensors(*states[1:])
    assert not torch.equal(rounded, exact) and not same_tensors(*states[:2])
    torch.testing.assert_close(rounded[0], exact[0], rtol=0.05, atol=0.02)


@pytest.mark.parametrize("asked", ["bfloat16", "auto"])
def test_a_run_in_bfloat16_says_so_and_goes_on_bit_for_bit(units, digits, tmp_path, asked):
    for folder, stops in (("whole", (3,)), ("stopped", (1, 3))):
        for number, n_epochs in enumerate(stops):
            config = tiny_config("cgan", n_epochs=n_epochs, precision=asked)
            list(store.train_run(tmp_path / folder, config, digits, resume=number > 0))
    whole, stopped = (store.read_run(tmp_path / name) for name in ("whole", "stopped"))
    assert json.loads((whole.folder / "config.json").read_text())["config"]["precision"] == (
        "bfloat16"
    )
    for name in ("generator.safetensors", "losses.safetensors", store.CHECKPOINT):
        assert whole.read(name) == stopped.read(name)
    with pytest.raises(store.RunError, match=r"another run \(precision bfloat16, not float32\)"):
        next(store.train_run(whole.folder, tiny_config("cgan", n_epochs=4), digits, resume=True))


def test_a_run_in_bfloat16_does_not_go_on_where_there_are_no_units(
    monkeypatch, units, digits, tmp_path
):
    config = tiny_config(n_epochs=1, precision="auto")
    list(store.train_run(tmp_path / "run", config, digits))
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    config = replace(store.read_run(tmp_path / "run").config, n_epochs=2)
    with pytest.raises(Refused, match="no bfloat16 units"):
        next(store.train_run(tmp_path / "run", config, digits, resume=True))
    with pytest.raises(store.RunError, match="precision bfloat16, not float32"):
        resumed = replace(config, precision="auto")
        next(store.train_run(tmp_path / "run", resumed, digits, resume=True))


def test_runs_that_name_no_precision_are_float32():
    texts = {n: (store.RECORDED / n / "config.json").read_text() for n in store.recorded_names()}
    silent = [name for name, text in texts.items() if "precision" not in text]
    assert "gan" in silent
    for name in silent:
        assert store.find_run(name).config.precision == "float32"


def test_the_command_line_asks_for_a_precision(units, monkeypatch, tmp_path, capsys):
    command = ["train", "gan", "--n-epochs", "1", "--dataset", "digits", "--img-size", "8"]
    command += ["--train-size", "70", "--device", "cpu", "--out", str(tmp_path / "run")]
    assert main([*command, "--precision", "bfloat16"]) == 0
    assert store.read_run(tmp_path / "run").config.precision == "bfloat16"
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    capsys.readouterr()
    command[-1] = str(tmp_path / "other")
    for asked, told in (("bfloat16", "no bfloat16 units"), ("half", "precision must be one of")):
        assert main([*command, "--precision", asked]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert not (tmp_path / "other" / "config.json").exists()


# --- float16's loss scale ------------------------------------------------------------------------


def scaled_step(weight: nn.Parameter, adam: Adam, scale: LossScale, slope: float) -> None:
    adam.zero_grad()
    with ScaledLosses(scale):
        (weight * slope).sum().backward()
    adam.step()


def test_a_scaled_loss_moves_weights_as_an_unscaled_one():
    plain, scaled = (nn.Parameter(torch.ones(3)) for _ in range(2))
    scale = LossScale(start=4.0)
    adams = [Adam([plain], 0.1, (0.5, 0.9)), Adam([scaled], 0.1, (0.5, 0.9), scale)]
    for slope in (1.0, -3.0, 0.25):
        adams[0].zero_grad()
        (plain * slope).sum().backward()
        adams[0].step()
        scaled_step(scaled, adams[1], scale, slope)
        assert torch.equal(plain, scaled) and torch.equal(plain.grad, scaled.grad)


def test_an_overflow_moves_nothing_and_halves_the_factor_and_patience_doubles_it():
    weight, scale = nn.Parameter(torch.ones(3)), LossScale(start=8.0, patience=2)
    adam = Adam([weight], 0.1, (0.5, 0.9), scale)
    scaled_step(weight, adam, scale, 1.0)
    before = weight.detach().clone(), {k: v.clone() for k, v in adam.state[weight].items()}
    assert before[1]["step"] == 1 and scale.factor == 8
    scaled_step(weight, adam, scale, float("inf"))
    assert torch.equal(weight, before[0]) and same_tensors(adam.state[weight], before[1])
    assert scale.factor == 4
    for expected in (4, 8):
        scaled_step(weight, adam, scale, 1.0)
        assert scale.factor == expected
    assert not torch.equal(weight, before[0])


def test_a_training_in_float16_keeps_its_scale_in_the_checkpoint(
    float16_anywhere, monkeypatch, digits, tmp_path
):
    monkeypatch.setattr(store, "choose_precision", lambda name, device: name)
    for folder, stops in (("whole", (2,)), ("stopped", (1, 2))):
        for number, n_epochs in enumerate(stops):
            config = tiny_config("gan", n_epochs=n_epochs, precision="float16")
            list(store.train_run(tmp_path / folder, config, digits, resume=number > 0))
    whole, stopped = (store.read_run(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.read(store.CHECKPOINT) == stopped.read(store.CHECKPOINT)
    kept = whole.tensors(store.CHECKPOINT)
    assert kept["scale.factor"] >= 1 and kept["scale.steady"] == 12  # three iterations an epoch
    assert whole.losses().values.isfinite().all()


# --- float32, faster -----------------------------------------------------------------------------


@pytest.fixture(params=["none", "ieee"])
def before(request):
    """A known setting to start from, whatever another test may have left."""
    found = matmul.fp32_precision
    matmul.fp32_precision = request.param
    yield request.param
    matmul.fp32_precision = found


@needs_switch
def test_the_product_setting_is_put_back(before):
    with precision.fast_float32_products():
        pass
    assert matmul.fp32_precision == before
    with pytest.raises(KeyError), precision.fast_float32_products():
        raise KeyError
    assert matmul.fp32_precision == before


@needs_switch
def test_ctrl_c_during_the_test_product_puts_the_setting_back(monkeypatch, before):
    def pressed():
        raise KeyboardInterrupt

    monkeypatch.setattr(precision, "_products_are_exact", pressed)
    with pytest.raises(KeyboardInterrupt), precision.fast_float32_products():
        pass
    assert matmul.fp32_precision == before


@needs_switch
@pytest.mark.parametrize("exact", [True, False])
def test_the_switch_is_thrown_only_if_products_stay_exact(monkeypatch, exact, before):
    monkeypatch.setattr(precision, "_products_are_exact", lambda: exact)
    with precision.fast_float32_products():
        assert matmul.fp32_precision == ("bf16" if exact else before)
    assert matmul.fp32_precision == before


def test_products_keep_float32_precision_whatever_was_switched():
    """In the shapes of every layer of the default networks, forward and backward."""
    rng = torch.Generator().manual_seed(5)
    sizes = itertools.pairwise((100, 128, 256, 512, 1024, 1024, 512, 256, 1))
    with precision.fast_float32_products():
        for n_in, n_out in sizes:
            x = torch.rand(64, n_in, generator=rng)
            weight = torch.rand(n_out, n_in, generator=rng)
            upstream = torch.rand(64, n_out, generator=rng)
            for left, right in ((x, weight.T), (upstream, weight), (upstream.T, x)):
                exact = left.double() @ right.double()
                assert ((left @ right).double() / exact - 1).abs().max() < 1e-5


def test_the_check_for_exact_products_notices_bfloat16(monkeypatch):
    """What it must catch, made by hand: inputs rounded to bfloat16 before they are multiplied."""
    assert precision._products_are_exact()
    exact = torch.Tensor.__matmul__

    def rounded(left, right):
        if left.dtype == torch.float32:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return exact(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert not precision._products_are_exact()
