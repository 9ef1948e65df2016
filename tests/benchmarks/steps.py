"""What a step of every training asks of a device: copies, and waits of the host, which are the same on every machine.

They are counted on PyTorch's ``meta`` device, whose tensors have shapes and no values; it stands for a GPU.

python -m tests.benchmarks.steps
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental import _config as fx_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.benchmarks.trainings import TRAININGS, MakeTraining
from wordless.training.fit import Gang, Training

META = torch.device("meta")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default, aten._foreach_copy_.default)
MASKED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)


class PlacementError(Exception):
    """An operator reads tensors of two devices: a GPU refuses it, or makes the host wait for a copy."""


class Placement(TorchDispatchMode):
    """Refuses to mix the ``meta`` device with the CPU; counts copies, and waits of the host for the device.

    As on a GPU, a single number of the host may take part in an operator on the device. A number that the host reads is
    0, because the device has none.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own
        self.bytes_to_device = self.copies_to_device = self.copies_to_host = 0
        self.waits = 0  # numbers that the host reads, and copies that it waits for

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        there = any(each.is_meta for each in given)
        with self:  # in inference PyTorch gives whole functions, such as `to`, and not their operators
            if (decomposed := func.decompose(*args, **kwargs)) is not NotImplemented:
                return decomposed
        if func in COPIES:
            return self._copy(func, args, kwargs, given)
        if func is aten._local_scalar_dense.default and there:
            self.waits += 1
            return torch.zeros((), dtype=given[0].dtype).item()
        # The host must know how many values a mask selects.
        if func in MASKED:
            masks = [each for each in tree_leaves(args[1]) if isinstance(each, Tensor) and each.dtype == torch.bool]
            self.waits += any(each.is_meta for each in masks)
        if func is aten._weight_norm_interface_backward.default and there:  # PyTorch has none for this device
            return tuple(torch.empty_like(each) for each in args[1:3])
        here = [each for each in given if not each.is_meta and each.dim()]
        if there and here:
            shapes = ", ".join(f"{each.device.type} {tuple(each.shape)}" for each in given)
            raise PlacementError(f"{func} mixes devices: {shapes}")
        return func(*args, **kwargs)

    def _copy(self, func: Any, args: Any, kwargs: Mapping[str, Any], given: Sequence[Tensor]) -> Any:
        """Copy ``given[-1]``; `_to_copy` names the other device, and `copy_` writes to ``given[0]``."""
        source, target = given[-1], torch.device(kwargs.get("device") or given[0].device)
        waits = not (kwargs.get("non_blocking") or (func is aten.copy_.default and args[2:] == (True,)))
        if source.is_meta and target.type == "cpu":
            self.copies_to_host += 1
            self.waits += waits
            return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        if not source.is_meta and target.type == "meta":
            self.copies_to_device += 1
            self.waits += waits
            self.bytes_to_device += source.numel() * source.element_size()
        return func(*args, **kwargs)


def placed_step(make: MakeTraining) -> Placement:
    """Take the second step of a training on the ``meta`` device, which stands for a GPU.

    Raises:
        PlacementError: the step computes with tensors of two devices.
    """
    made = make(2, META)
    model, config = made.model.to(META), replace(made.config, precision="fp32")  # the device has no other
    training = Training(model, config, "fit", Gang(META))
    training.optimizer = torch.optim.AdamW(model.parameters(), foreach=False)  # there is no fused one for this device
    with fx_config.patch(meta_nonzero_assume_all_nonzero=True):  # type: ignore[attr-defined]  # made when it is imported
        with Placement():
            training.take(model, made.batches, made.loss)
        with Placement() as placement:
            training.take(model, made.batches, made.loss)
    return placement


def main() -> None:
    torch.set_num_threads(1)
    for name, make in TRAININGS.items():
        found = placed_step(make)
        sent = f"{found.copies_to_device} copies of {found.bytes_to_device:,} bytes to the device"
        print(f"{name}: {found.waits} waits, {sent}, {found.copies_to_host} to the host")


if __name__ == "__main__":
    main()
