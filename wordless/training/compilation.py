"""Losses and gradients as compiled kernels, chosen where the device shows that they are right and faster.

`torch.compile` joins the operators between the products of a network: a GPU launches half as many kernels for a step of
the GPT (``wordless bench steps compiled=true``). Dropout draws the numbers that it draws otherwise, so only rounding
differs.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from wordless.base.devices import Batch
from wordless.base.errors import InputError
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig
from wordless.training.precision import autocast

LONG = 10_000  # steps of a training that may gain more than the minute or two that compiling takes
MOST_DIFFERENT = 0.05  # norm of the difference of the gradients, over their norm; bfloat16 makes about 0.01 of it
TIMED = 3  # steps, of which the fastest counts
B = TypeVar("B", bound=Batch)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A compiled loss beside the plain one: gradients for one batch, and their seconds."""

    difference: float  # norm of the difference of the gradients, over the norm of the plain ones
    plain_seconds: float
    compiled_seconds: float


def choose_loss(
    loss: Callable[[nn.Module, B], tuple[Tensor, int]],
    model: nn.Module,
    batch: Callable[[], B],
    config: FitConfig,
    *,
    steps: int,
    gang: Gang,
    option: str,
    say: Callable[[str], None],
) -> Callable[[nn.Module, B], tuple[Tensor, int]]:
    """Return ``loss``, or its compiled form, as ``config.compile`` says for the ``steps`` that are left.

    ``auto`` compares both on a GPU, and takes the compiled form only if it is right and faster on each process.

    Raises:
        InputError: ``always``, and PyTorch cannot compile the loss, or its gradients are wrong.
    """
    wanted = config.compile == "always"
    if not (wanted or (config.compile == "auto" and gang.device.type == "cuda" and steps >= LONG)):
        return loss
    compiled, taken = torch.compile(loss, options={"fallback_random": True}), wanted
    try:
        found = compare(loss, compiled, model, batch().to(gang.device), config, gang.device)
        problem = "" if found.difference <= MOST_DIFFERENT else f"its gradients differ by {found.difference:.0%}"
        taken = taken or found.compiled_seconds < found.plain_seconds
        times = f"{1000 * found.compiled_seconds:.1f} ms a step, {1000 * found.plain_seconds:.1f} ms otherwise"
    except Exception as error:  # of many types: tracing, writing code, the compiler of the machine
        problem, times = f"PyTorch cannot compile it ({type(error).__name__}: {str(error).partition(chr(10))[0]})", ""
    if wanted and problem:
        raise InputError(option=f"{option}.compile", value="always", rule=problem, remedy="choose never")
    taken = not gang.sum([float(bool(problem) or not taken)])[0]
    say(f"compile   {option}: {problem or times}; {'compiled' if taken else 'not compiled'}")
    return compiled if taken else loss


def compare(
    loss: Callable[[nn.Module, B], tuple[Tensor, int]],
    compiled: Callable[[nn.Module, B], tuple[Tensor, int]],
    model: nn.Module,
    batch: B,
    config: FitConfig,
    device: torch.device,
) -> Comparison:
    """Compute the gradients for a batch by both, several times; the first time, which compiles, is not counted.

    The model is as before at the end, also its running statistics.
    """
    kept = {name: each.clone() for name, each in model.named_buffers()}
    gradients, seconds = [], []
    model.train()
    try:
        for function in (loss, compiled):
            times = [_step(function, model, batch, config, device) for _ in range(1 + TIMED)][1:]
            gradients.append([each.grad for each in model.parameters() if each.grad is not None])
            seconds.append(min(times))
    finally:
        model.zero_grad(set_to_none=True)
        for name, each in model.named_buffers():
            each.copy_(kept[name])
    return Comparison(difference=_difference(*gradients), plain_seconds=seconds[0], compiled_seconds=seconds[1])


def _step(
    loss: Callable[[nn.Module, B], tuple[Tensor, int]],
    model: nn.Module,
    batch: B,
    config: FitConfig,
    device: torch.device,
) -> float:
    """Compute the gradients anew, with the same dropout each time; return the seconds that it takes."""
    model.zero_grad(set_to_none=True)
    torch.manual_seed(config.seed)
    began = _now(device)
    with autocast(config, device):
        summed, _ = loss(model, batch)
    summed.backward()  # type: ignore[no-untyped-call]  # torch's own
    return _now(device) - began


def _difference(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the norm of the difference of two lists of gradients, over the norm of the first."""
    if len(one) != len(other):
        return math.inf
    size = torch.stack([each.norm() for each in one]).norm()
    return float(torch.stack([(a - b).norm() for a, b in zip(one, other, strict=True)]).norm() / size)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
