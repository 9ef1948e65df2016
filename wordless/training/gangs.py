"""The processes that train together: a single one, or those that torchrun started, through fairseq2's gangs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from wordless.base.machine import is_under_torchrun, rank
from wordless.base.pools import end_with_parent

if TYPE_CHECKING:
    from fairseq2.gang import Gangs

# Rank 0 may work alone for hours (encoding a corpus, clustering) while the others wait at a barrier.
PATIENCE = timedelta(days=2)
# Each process has its own running statistics. fairseq2's DDP on GPUs uses another class with the same statistics.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Gang:
    """The processes that share each training step: those of torchrun, over gloo on CPUs and NCCL on GPUs; or this one.

    ``gangs`` are fairseq2's; None: this process is alone, and nothing has to be shared.
    """

    def __init__(self, device: torch.device, gangs: Gangs | None = None) -> None:
        self.device, self._gangs = device, gangs
        self.rank, self.size = (0, 1) if gangs is None else (gangs.dp.rank, gangs.dp.size)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap the model so that its backward pass averages gradients over the gang."""
        if self._gangs is None or self.size == 1:
            return model
        if self.device.type == "cpu":
            # fairseq2 would use batch normalisation over all processes, which PyTorch supports on GPUs only.
            group = self._gangs.rdp.as_process_group()
            return DistributedDataParallel(model, process_group=group, broadcast_buffers=False)
        from fairseq2.nn.ddp import to_ddp

        return to_ddp(model, self._gangs)

    def share_statistics(self, model: nn.Module) -> None:
        """Give all processes the mean of their running statistics of batch normalisation."""
        norms = [module for module in model.modules() if isinstance(module, NORMS)]
        running = [each for norm in norms for each in (norm.running_mean, norm.running_var) if each is not None]
        if self.size > 1 and running:
            together = self.all_sum(nn.utils.parameters_to_vector(running))
            nn.utils.vector_to_parameters(together / self.size, running)

    def all_sum(self, values: Tensor) -> Tensor:
        """Sum the values of all processes in place; on a GPU the host does not wait for the result."""
        if self._gangs is not None:
            from fairseq2.gang import ReduceOperation

            self._gangs.dp.all_reduce(values, ReduceOperation.SUM)
        return values

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the element-wise sum of the values of all processes."""
        if self._gangs is None:
            return list(values)
        total = self.all_sum(torch.tensor(values, dtype=torch.float64, device=self.device))
        return [float(value) for value in total.tolist()]

    def barrier(self) -> None:
        if self._gangs is not None:
            self._gangs.root.barrier()


@contextmanager
def open_gang(device: torch.device) -> Iterator[Gang]:
    """Give this process's gang, that of torchrun or of this process alone, and close it at the end."""
    if not is_under_torchrun():
        yield Gang(device)
        return
    import soundfile  # noqa: F401  it loads the libsndfile that fairseq2 needs
    from fairseq2.gang import ProcessGroupGang, create_parallel_gangs

    end_with_parent()
    if device.type == "cuda":
        device = torch.device("cuda", rank("LOCAL_RANK"))
        torch.cuda.set_device(device)  # tensors made without naming a device are then on this one
    gangs = create_parallel_gangs(ProcessGroupGang.create_default_process_group(device, timeout=PATIENCE))
    yield Gang(device, gangs)  # left open where this process fails: others would fail before it has printed its error
    gangs.close()
