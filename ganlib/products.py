"""Faster matrix products on the CPU, wherever they stay exact."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def fast_float32_products() -> Iterator[None]:
    """Let PyTorch hand float32 matrix products on the CPU to oneDNN, if they stay float32.

    PyTorch multiplies float32 matrices with MKL, which leaves the wide vector units of AMD
    processors idle; oneDNN uses them (about twice as fast), but PyTorch only asks it when
    bfloat16 is allowed. On processors with bfloat16 matrix units that would round the inputs, so
    the switch is thrown only if a test product shows full precision. The setting is put back
    afterwards.
    """
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(matmul, "fp32_precision"):
        yield
        return
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "bf16"
        if not _products_are_exact():
            matmul.fp32_precision = before
        yield
    finally:
        matmul.fp32_precision = before


def _products_are_exact() -> bool:
    """Whether float32 products keep float32 precision, in the shapes that training uses."""
    rng = torch.Generator().manual_seed(0)
    batch, weight = torch.rand(64, 1024, generator=rng), torch.rand(512, 1024, generator=rng)
    products = [(batch, weight.T), (batch[:, :512], weight), (batch[:, :512].T, batch)]
    for left, right in products:
        exact = left.double() @ right.double()
        # float32 errs by about 1e-7 of the result here, bfloat16 by about 1e-4 or more.
        if ((left @ right).double() / exact - 1).abs().max() > 1e-5:
            return False
    return True
