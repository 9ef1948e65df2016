"""Faster training steps, where the device shows that they are right: products in bfloat16, and compiled kernels.

Without instructions for bfloat16, products in bfloat16 take longer than in float32: the default WaveNet takes 22
seconds a step on two cores of an AMD EPYC with AVX2 only, and 2.5 in float32.

PyTorch 2.9.1 computes convolutions of some sizes wrongly on CPUs with AMX, such as 8, 16 or 24 channels and kernels of
4 or 8: errors are 50 to 120 % (of the kind of github.com/pytorch/pytorch/issues/169688). A network would learn with
them and say nothing.

`torch.compile` joins the operators between the products of a network: a GPU launches half as many kernels for a step of
the GPT (``wordless bench steps compiled=true``). Dropout draws the same random numbers as in the plain step, so only
rounding differs.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from wordless.base.errors import InputError
from wordless.base.machine import Batch, multiplies_bf16
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
    sound = torch.randn(2, module.in_channels, *lengths, generator=noise, dtype=torch.float32).requires_grad_()
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
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
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
    return _replaced(settings, {"auto": choose_precision(gang), "auto_gpu": choose_precision(gang, gpus_only=True)})


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
        return max(_gradient_difference(one, other) for one, other in pairs)


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
        difference = found.difference(plain)
    except Exception as error:  # of many types: tracing, writing code, the compiler of the machine
        problem = f"PyTorch cannot compile it ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    else:
        if not difference <= MOST_DIFFERENT:
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


def _gradient_difference(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the norm of the difference of two lists of gradients, over the norm of the first."""
    if len(one) != len(other):
        return math.inf
    size = torch.stack([each.norm() for each in one]).norm()
    return float(torch.stack([(a - b).norm() for a, b in zip(one, other, strict=True)]).norm() / size)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
