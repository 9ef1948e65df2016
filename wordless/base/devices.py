"""The device that training, encoding and generation run on. PyTorch is imported after the options are checked."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from wordless.base.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Device = Literal["auto", "cpu", "cuda"]
B = TypeVar("B", bound="Batch")


def choose_device(wanted: Device) -> torch.device:
    """Return the device of that name; ``auto`` means the GPU if there is one."""
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        rule, remedy = "PyTorch sees no GPU", "choose cpu, or see wordless doctor"
        raise InputError(option="device", value=wanted, rule=rule, remedy=remedy)
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def local_gpus(device: torch.device) -> range:
    """Return the GPUs that this process and its neighbours on this machine were given: one each under torchrun."""
    if device.type != "cuda":
        return range(0)
    if "LOCAL_WORLD_SIZE" in os.environ:  # torchrun's processes have the first GPUs, and wait while one of them works
        return range(int(os.environ["LOCAL_WORLD_SIZE"]))
    first = device.index or 0
    return range(first, first + 1)


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a GPU (since Ampere), or the processor (AVX512_BF16), has instructions for products in bfloat16.

    Without them PyTorch takes other instructions, and such a product can take nine times as long as one in float32.
    """
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())  # PyTorch 2.9 has no public function for it


def copy_to(tensor: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on a device; a copy to a GPU goes through pinned memory, and nothing waits for its end.

    The GPU finishes the copy before it reads the result, and PyTorch keeps the pinned memory until then.
    """
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
        from torch import Tensor

        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved = {name: copy_to(value, device) for name, value in tensors.items() if name not in self.on_host}
        return replace(self, **moved)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
