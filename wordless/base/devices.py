"""Devices: which one computes, which products it takes, and tensors that are moved to it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ClassVar, Literal, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

from wordless.base.messages import InputError, first_line
from wordless.base.processes import is_under_torchrun

R = TypeVar("R")
P = ParamSpec("P")
Device = Literal["auto", "cpu", "cuda"]
NO_DEVICE = "choose cpu; nvidia-smi shows whether there is a GPU with its driver"
B = TypeVar("B", bound="Batch")


def choose_device(wanted: Device) -> torch.device:
    """Return the device of that name; ``auto`` means the GPU if there is one."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError(option="device", value=wanted, rule="PyTorch sees no GPU", remedy=NO_DEVICE)
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def require_device(name: str) -> str:
    """Return the name of a device that PyTorch can use: ``cpu``, ``cuda`` or ``cuda:1``; refuse others."""
    try:
        kind = torch.empty(0, device=name).device.type
    except (RuntimeError, AssertionError) as error:
        raise InputError(option="device", value=name, rule=first_line(error), remedy=NO_DEVICE) from error
    if kind not in ("cpu", "cuda"):  # such as mps, which has no float64
        raise InputError(option="device", value=name, rule="the models work on cpu and cuda alone", remedy=NO_DEVICE)
    return name


def local_gpus(device: torch.device) -> range:
    """Return the GPUs that this process and its neighbours on this machine were given: one each under torchrun."""
    if device.type != "cuda":
        return range(0)
    if is_under_torchrun():  # its processes have the first GPUs, and wait while one of them works
        return range(int(os.environ["LOCAL_WORLD_SIZE"]))
    first = device.index or 0
    return range(first, first + 1)


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a GPU (since Ampere), or a processor (AVX512_BF16), has instructions for bfloat16 products."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())  # PyTorch 2.9 has no public function for it


@contextmanager
def fast_products(device: torch.device, *, fast: bool = True) -> Iterator[None]:
    """Let GPUs round the inputs of float32 products to TF32 within a block, or not; CPUs compute as before.

    Training needs no more than its 10 bits. Codes need exact products, so that a GPU finds those of a CPU.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = fast and (before or device.type == "cuda")
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute in the types of its tensors, whatever ``torch.autocast`` it is called in.

    Codes name clusters: a sound must not get other ones in the training loop of somebody's network in bfloat16. Of a
    generator each step is exact, and what the caller computes between the steps is as the caller wants it.
    """
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def give(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
            with closing(function(*args, **kwargs)) as found:
                while True:
                    with _without_autocast():
                        try:
                            value = next(found)
                        except StopIteration:
                            return
                    yield value

        return cast("Callable[P, R]", give)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _without_autocast():
            return function(*args, **kwargs)

    return call


@contextmanager
def _without_autocast() -> Iterator[None]:
    with ExitStack() as stack:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on a device; a copy to a GPU goes through pinned memory, and nothing waits for its end."""
    if device.type == tensor.device.type or tensor.device.type != "cpu":
        return tensor.to(device)
    pinned = tensor.pin_memory() if device.type == "cuda" else tensor
    return pinned.to(device, non_blocking=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """The tensors of a training step, and numbers that are known on the host."""

    on_host: ClassVar[tuple[str, ...]] = ()  # tensors that stay there, because they are used there

    def to(self: B, device: torch.device) -> B:
        """Return the same batch on a device."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved = {name: copy_to(value, device) for name, value in tensors.items() if name not in self.on_host}
        return replace(self, **moved)
