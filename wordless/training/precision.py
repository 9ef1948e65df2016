"""Faster training steps: products in bfloat16, and compiled kernels.

Without instructions for bfloat16, products in bfloat16 take longer than in float32: the default WaveNet takes 22
seconds a step on two cores of an AMD EPYC with AVX2 only, and 2.5 in float32.

`torch.compile` joins the operators between the products of a network: a GPU launches half as many kernels for a step of
the GPT. Dropout draws the same random numbers as in the plain step, so only
rounding differs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from wordless.base.machine import Batch, multiplies_bf16
from wordless.base.options import updated
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig

B = TypeVar("B", bound=Batch)
T = TypeVar("T")
Precision = Literal["fp32", "bf16"]


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
    return updated(settings, lambda of, value: meanings.get(value, value) if of.name == "precision" else value)


LONG = 2_000  # steps of a training that gains more than the minutes that compiling takes
Loss = Callable[[nn.Module, B], tuple[Tensor, int]]


def chosen_loss(loss: Loss[B], config: FitConfig, device: torch.device) -> Loss[B]:
    """Return the loss, or its compiled form: as ``compile`` says, by default in long trainings on a GPU.

    It is compiled when it is first called, and for a second shape again.
    """
    wanted = config.compile if config.compile is not None else device.type == "cuda" and config.steps >= LONG
    if not wanted:
        return loss
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled is computed as before, with a warning
    return torch.compile(loss, options={"fallback_random": True})
