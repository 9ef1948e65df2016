"""Products in bfloat16: whether a device has instructions for them, and whether it computes convolutions rightly.

Without instructions for bfloat16, products in bfloat16 take longer than in float32: the default WaveNet takes 22
seconds a step on two cores of an AMD EPYC with AVX2 only, and 2.5 in float32.

PyTorch 2.9.1 computes convolutions of some sizes wrongly on CPUs with AMX, such as 8, 16 or 24 channels and kernels of
4 or 8: errors are 50 to 120 % (of the kind of github.com/pytorch/pytorch/issues/169688). A network would learn with
them and say nothing.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from wordless.base.errors import InputError
from wordless.base.machine import multiplies_bf16
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig

T = TypeVar("T")
Precision = Literal["fp32", "bf16"]
CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d
MOST_WRONG = 0.05  # of the norm; rounding makes 0.005 of it
PLACES = 16  # outputs along each axis, at least
REMAINDERS = 4  # lengths that differ by up to three: some are right where others are wrong


def require_right_in_bfloat16(model: nn.Module, option: str) -> None:
    """Compute each size of convolution of ``model`` on noise, in bfloat16 and in full precision, on the CPU.

    Outputs and gradients are compared. It takes up to two seconds, and does not change PyTorch's random
    state.

    Raises:
        InputError: one of them is wrong; the message names it, and ``option``, which is the config's name.
    """
    seen = set()
    for name, module in model.named_modules():
        if isinstance(module, CONVOLUTIONS) and str(module) not in seen:
            seen.add(str(module))
            wrong = max(_difference(module, remainder) for remainder in range(REMAINDERS))
            if wrong > MOST_WRONG:
                raise InputError(
                    f"{option} computes in bf16, but PyTorch {torch.__version__} computes the convolution {name}, "
                    f"{module}, wrongly in bfloat16 on this processor (error {wrong:.0%} of the norm); set "
                    f"{option}.precision=fp32"
                )


def _difference(module: CONVOLUTIONS, remainder: int) -> float:
    """Compare output and gradients in bfloat16 with those in full precision: the largest difference, over the norm."""
    noise = torch.Generator().manual_seed(0)
    axes = zip(module.kernel_size, module.stride, module.dilation, strict=True)
    lengths = [(width - 1) * dilation + PLACES * stride + remainder for width, stride, dilation in axes]
    sound = torch.randn(2, module.in_channels, *lengths, generator=noise).requires_grad_()
    exact, rounded = _computed(module, sound, enabled=False), _computed(module, sound, enabled=True)
    return max(
        float((one - other).norm() / one.norm().clamp_min(1e-12)) for one, other in zip(exact, rounded, strict=True)
    )


def _computed(module: CONVOLUTIONS, sound: Tensor, *, enabled: bool) -> list[Tensor]:
    """Give the output in training, the output without gradients, and the gradients of a weighted sum of the first.

    The gradients are by the input and the parameters. A module may compute both outputs in different ways.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        with torch.set_grad_enabled(True):
            output = module(sound).float()
        with torch.no_grad():
            measured = module(sound).float()
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [output.detach(), measured, *torch.autograd.grad((output * weights).sum(), [sound, *learned])]


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Let GPUs round the inputs of float32 products to TF32 within a block; CPUs compute as before.

    Training needs no more than its 10 bits. Outside training products stay exact, so that a GPU finds the codes of a
    CPU.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = before or device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def autocast(config: FitConfig, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which losses are computed: with ``bf16``, matrix products in bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.precision == "bf16" else nullcontext()


def choose_precision(gang: Gang, *, gpus_only: bool = False) -> Precision:
    """Return ``bf16`` if the device of each process has instructions for it, else ``fp32``.

    With ``gpus_only``, processors count as devices without them.
    """
    has = multiplies_bf16(gang.device) and not (gpus_only and gang.device.type == "cpu")
    return "fp32" if gang.sum([float(not has)])[0] else "bf16"


def with_precision(settings: T, gang: Gang) -> T:
    """Return a dataclass in which each `FitConfig` has the precision that its choice means on the gang's devices."""
    meanings = {"auto": choose_precision(gang), "auto_gpu": choose_precision(gang, gpus_only=True)}
    return _replaced(settings, meanings)


def _replaced(settings: T, meanings: Mapping[str, Precision]) -> T:
    if isinstance(settings, FitConfig):
        meaning = meanings.get(settings.precision)
        return dataclasses.replace(settings, precision=meaning) if meaning else settings
    own = ((field.name, getattr(settings, field.name)) for field in dataclasses.fields(cast(Any, settings)))
    changed = {
        name: new
        for name, value in own
        if dataclasses.is_dataclass(value) and (new := _replaced(value, meanings)) is not value
    }
    return dataclasses.replace(cast(Any, settings), **changed) if changed else settings
