"""Products stay exact, whatever is switched to make them faster, and the switch is put back."""

import itertools

import pytest
import torch

from ganlib import products

matmul = getattr(torch.backends.mkldnn, "matmul", None)
needs_switch = pytest.mark.skipif(
    not hasattr(matmul, "fp32_precision"), reason="this PyTorch has no such setting"
)


@pytest.fixture(params=["none", "ieee"])
def before(request):
    """A known setting to start from, whatever another test may have left."""
    found = matmul.fp32_precision
    matmul.fp32_precision = request.param
    yield request.param
    matmul.fp32_precision = found


@needs_switch
def test_the_product_setting_is_put_back(before):
    with products.fast_float32_products():
        pass
    assert matmul.fp32_precision == before
    with pytest.raises(KeyError), products.fast_float32_products():
        raise KeyError
    assert matmul.fp32_precision == before


@needs_switch
def test_ctrl_c_during_the_test_product_puts_the_setting_back(monkeypatch, before):
    def pressed():
        raise KeyboardInterrupt

    monkeypatch.setattr(products, "_products_are_exact", pressed)
    with pytest.raises(KeyboardInterrupt), products.fast_float32_products():
        pass
    assert matmul.fp32_precision == before


@needs_switch
@pytest.mark.parametrize("exact", [True, False])
def test_the_switch_is_thrown_only_if_products_stay_exact(monkeypatch, exact, before):
    monkeypatch.setattr(products, "_products_are_exact", lambda: exact)
    with products.fast_float32_products():
        assert matmul.fp32_precision == ("bf16" if exact else before)
    assert matmul.fp32_precision == before


def test_products_keep_float32_precision_whatever_was_switched():
    """In the shapes of every layer of the default networks, forward and backward."""
    rng = torch.Generator().manual_seed(5)
    sizes = itertools.pairwise((100, 128, 256, 512, 1024, 1024, 512, 256, 1))
    with products.fast_float32_products():
        for n_in, n_out in sizes:
            x = torch.rand(64, n_in, generator=rng)
            weight = torch.rand(n_out, n_in, generator=rng)
            upstream = torch.rand(64, n_out, generator=rng)
            for left, right in ((x, weight.T), (upstream, weight), (upstream.T, x)):
                exact = left.double() @ right.double()
                assert ((left @ right).double() / exact - 1).abs().max() < 1e-5


def test_the_check_for_exact_products_notices_bfloat16(monkeypatch):
    """What it must catch, made by hand: inputs rounded to bfloat16 before they are multiplied."""
    assert products._products_are_exact()
    exact = torch.Tensor.__matmul__

    def rounded(left, right):
        if left.dtype == torch.float32:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return exact(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert not products._products_are_exact()
