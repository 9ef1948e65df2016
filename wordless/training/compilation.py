"""Training steps as compiled kernels, where the device shows that their gradients are right.

`torch.compile` joins the operators between the products of a network: a GPU launches half as many kernels for a step of
the GPT (``wordless bench steps compiled=true``). Dropout draws the same random numbers as in the plain step, so only
rounding differs.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from wordless.base.errors import InputError
from wordless.base.machine import Batch
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig
from wordless.training.precision import autocast

LONG = 10_000  # steps of a training that may gain more than the minutes that compiling takes
MOST_DIFFERENT = 0.05  # norm of the difference of the gradients, over their norm; bfloat16 makes about 0.01 of it
TIMED = 3  # steps, of which the fastest counts
B = TypeVar("B", bound=Batch)
Loss = Callable[[nn.Module, B], tuple[Tensor, int]]


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Gradients of all weights for each of several batches, and the seconds of the last batch."""

    of_batches: list[list[Tensor]]
    seconds: float

    def difference(self, plain: "Gradients") -> float:
        """Return the norm of the difference from others, over the norm of the others; of the worst batch."""
        pairs = zip(plain.of_batches, self.of_batches, strict=True)
        return max(_difference(one, other) for one, other in pairs)


def compile_loss(loss: Loss[B]) -> Loss[B]:
    """Return the compiled form of a loss; it is compiled when it is first called, and for a second shape again."""
    return torch.compile(loss, options={"fallback_random": True})


def may_compile(model: nn.Module, config: FitConfig, gang: Gang) -> bool:
    """Return whether the compiled step is tried at all: ``auto`` tries it in long trainings on a GPU.

    On several GPUs batch normalisation waits for the other processes in the middle of a step, so it is not tried there.
    """
    normalised = any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
    if normalised and gang.size > 1 and gang.device.type == "cuda":
        return False
    return config.compile == "always" or (
        config.compile == "auto" and gang.device.type == "cuda" and config.steps >= LONG
    )


def is_right(
    loss: Loss[B],
    model: nn.Module,
    batches: Sequence[B],
    config: FitConfig,
    *,
    gang: Gang,
    option: str,
    say: Callable[[str], None],
) -> bool:
    """Return whether the compiled form of ``loss`` has the gradients of the plain one, on each process.

    The time decides nothing, so that the same training takes the same steps each time; the log names it. ``model`` is
    not wrapped: no process waits for another before all have an answer.

    Raises:
        InputError: ``compile`` is ``always``, and a process cannot compile the loss, or its gradients are wrong.
    """
    plain = gradients_of(loss, model, batches, config, gang.device)
    problem = ""
    try:
        found = gradients_of(compile_loss(loss), model, batches, config, gang.device)
    except Exception as error:  # of many types: tracing, writing code, the compiler of the machine
        problem = f"PyTorch cannot compile it ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    else:
        if not (difference := found.difference(plain)) <= MOST_DIFFERENT:
            problem = f"its compiled gradients differ by {difference:.0%}"
    wrong = gang.sum([float(bool(problem))])[0]
    if wrong and config.compile == "always":
        rule = problem or "another process cannot compile it"
        raise InputError(option=f"{option}.compile", value="always", rule=rule, remedy="choose never")
    if wrong:
        say(f"compile   {option}: {problem or 'another process cannot compile it'}; steps are not compiled")
    else:
        times = f"{1000 * found.seconds:.1f} ms instead of {1000 * plain.seconds:.1f} ms"
        slower = f"; {option}.compile=never is faster" if found.seconds > plain.seconds else ""
        say(f"compile   {option}: a compiled step takes {times}{slower}")
    return not wrong


def gradients_of(
    loss: Loss[B], model: nn.Module, batches: Sequence[B], config: FitConfig, device: torch.device
) -> Gradients:
    """Compute the gradients for batches as a training step does, with the same dropout each time.

    The model is as before at the end, also its running statistics.
    """
    kept = {name: each.clone() for name, each in model.named_buffers()}
    of_batches, fastest = list[list[Tensor]](), math.inf
    model.train()
    try:
        for batch in batches:
            given = batch.to(device)
            _step(loss, model, given, config, device)  # may compile
            fastest = min(_step(loss, model, given, config, device) for _ in range(TIMED))
            of_batches.append([each.grad for each in model.parameters() if each.grad is not None])
    finally:
        model.zero_grad(set_to_none=True)
        for name, each in model.named_buffers():
            each.copy_(kept[name])
    return Gradients(of_batches=of_batches, seconds=fastest)


def _step(loss: Loss[B], model: nn.Module, batch: B, config: FitConfig, device: torch.device) -> float:
    """Compute the gradients anew; return the seconds that it takes."""
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
