"""In which numbers a network's products are made: float32, or half as many bits where they pay.

A step's time goes mostly into matrix products and convolutions, and a processor that has units for
bfloat16 makes them about twice as fast in it. Weights, Adam, losses and the log are float32 in any
case, and so are the means and variances of batch normalisation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ganlib import Refused

PRECISIONS = ("float32", "bfloat16", "float16", "auto")


# --- Which ----------------------------------------------------------------------------------------


def choose_precision(name: str, device: torch.device) -> str:
    """The precision called ``name`` on ``device``: float32, bfloat16 or float16.

    ``auto`` is bfloat16 where the device has units for it, else float32. Raises Refused where the
    device could only emulate what is asked for.
    """
    if name == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    if name == "float16" and device.type != "cuda":
        raise Refused("float16 needs a CUDA device: use --precision bfloat16, float32 or auto")
    if name == "bfloat16" and not has_bfloat16(device):
        raise Refused(f"this {device.type} has no bfloat16 units: use --precision float32 or auto")
    return name


def has_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 itself: AVX512-BF16, AMX, or a GPU since Ampere."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, name, bool)() for name in asked)


# --- Fewer bits -----------------------------------------------------------------------------------


def multiply_in(network: nn.Module, precision: str) -> None:
    """Let the network make its products in ``precision`` whenever it is in training mode.

    Between two products the numbers may keep that precision; what the network returns is float32,
    so that losses are. In evaluation mode, as when it draws samples, all is float32.
    """

    def forward(self, *inputs):
        if not self.training:
            return type(self).forward(self, *inputs)
        # Left at the end of each pass, and with it the rounded copies of the weights.
        with torch.autocast(inputs[0].device.type, getattr(torch, precision)):
            made = type(self).forward(self, *inputs)
        return tuple(part.float() for part in made) if isinstance(made, tuple) else made.float()

    network.forward = MethodType(forward, network)  # a method, so that a copy calls itself


class LossScale(nn.Module):
    """The factor of all losses in float16, whose smallest number, 6e-8, is above many a gradient.

    It doubles after ``patience`` steps without overflow; one that overflows halves it and moves
    nothing. All is done on the device, so that no step waits to be read.
    """

    def __init__(self, start: float = 2.0**16, patience: int = 2000):
        super().__init__()
        self.patience = patience
        self.register_buffer("factor", torch.tensor(start))
        self.register_buffer("steady", torch.tensor(0, dtype=torch.int32))

    @torch.no_grad()
    def unscale(self, gradients: list[Tensor]) -> Tensor:
        """Divide the gradients by the factor, in place; 1 if one of them overflowed, else 0."""
        overflowed = torch.zeros_like(self.factor)
        inverse = self.factor.reciprocal()
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, overflowed, inverse)
        torch._amp_update_scale_(self.factor, self.steady, overflowed, 2.0, 0.5, self.patience)
        return overflowed


class ScaledLosses(TorchFunctionMode):
    """Within it, ``loss.backward()`` starts from the loss times the factor of a LossScale."""

    def __init__(self, scale: LossScale):
        super().__init__()
        self.scale = scale

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is Tensor.backward:
            args = (args[0] * self.scale.factor, *args[1:])
        return function(*args, **(kwargs or {}))


# --- float32, faster where it stays exact ---------------------------------------------------------


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
