"""The processes that train together: one alone, or as many as torchrun started, through fairseq2's gangs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import torch
from torch import nn

# What rank 0 does alone (encoding a corpus, clustering) may take hours, while the others wait at a barrier.
PATIENCE = timedelta(days=2)


class Gang(Protocol):
    """Processes that share one training step."""

    @property
    def rank(self) -> int: ...

    @property
    def size(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the gang."""

    def sum(self, values: Sequence[float]) -> list[float]:
        """Element-wise sum of the values of all processes."""

    def barrier(self) -> None:
        """Wait for all processes."""

    def close(self) -> None:
        """Part from the other processes."""


class Alone:
    """One process."""

    rank = 0
    size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def sum(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def barrier(self) -> None:
        return

    def close(self) -> None:
        return


class Together:
    """The processes that torchrun started: gloo on CPUs, NCCL on GPUs."""

    def __init__(self, device: torch.device) -> None:
        import soundfile  # noqa: F401  it brings the libsndfile that fairseq2 looks for
        from fairseq2.gang import ProcessGroupGang, create_parallel_gangs

        self.device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # what is made without naming a device belongs to this process, too
        root = ProcessGroupGang.create_default_process_group(device, timeout=PATIENCE)
        self._gangs = create_parallel_gangs(root)
        self.rank = self._gangs.dp.rank
        self.size = self._gangs.dp.size

    def wrap(self, model: nn.Module) -> nn.Module:
        from fairseq2.nn.ddp import to_ddp

        return to_ddp(model, self._gangs) if self.size > 1 else model

    def sum(self, values: Sequence[float]) -> list[float]:
        from fairseq2.gang import ReduceOperation

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        self._gangs.dp.all_reduce(total, ReduceOperation.SUM)
        return [float(value) for value in total.tolist()]

    def barrier(self) -> None:
        self._gangs.root.barrier()

    def close(self) -> None:
        self._gangs.close()


@contextmanager
def gathered(device: torch.device) -> Iterator[Gang]:
    """This process's gang, parted from at the end.

    Not where this process fails: those who wait for it would fail at once, before it has told why.
    """
    gang = current_gang(device)
    yield gang
    gang.close()


def current_gang(device: torch.device) -> Gang:
    """This process's gang: `Together` under torchrun, `Alone` otherwise."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        return Together(device)
    return Alone(device)
