"""The processes that train together: a single one, or those that torchrun started, through fairseq2's gangs."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import torch
from torch import Tensor, nn

from wordless.base.machine import is_under_torchrun, rank
from wordless.base.pools import end_with_parent

# Rank 0 may work alone for hours (encoding a corpus, clustering) while the others wait at a barrier.
PATIENCE = timedelta(days=2)
# Each process has its own running statistics. fairseq2's DDP on GPUs uses another class with the same statistics.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Alone:
    """A gang of one process: nothing has to be shared."""

    rank, size = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, model: nn.Module) -> nn.Module:
        return model

    def share_statistics(self, model: nn.Module) -> None:
        return

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        return nullcontext()

    def all_sum(self, values: Tensor) -> Tensor:
        return values

    def sum(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def barrier(self) -> None:
        return

    def close(self) -> None:
        return


class Together:
    """The processes that torchrun started, which share each training step: gloo on CPUs, NCCL on GPUs."""

    def __init__(self, device: torch.device) -> None:
        import soundfile  # noqa: F401  it loads the libsndfile that fairseq2 needs
        from fairseq2.gang import ProcessGroupGang, create_parallel_gangs

        self.device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)  # tensors made without naming a device are then on this one
        self._gangs = create_parallel_gangs(ProcessGroupGang.create_default_process_group(device, timeout=PATIENCE))
        self.rank = self._gangs.dp.rank
        self.size = self._gangs.dp.size

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap the model so that its backward pass averages gradients over the gang."""
        if self.size == 1:
            return model
        if self.device.type == "cpu":
            # fairseq2 would use batch normalisation over all processes, which PyTorch supports on GPUs only.
            from torch.nn.parallel import DistributedDataParallel

            return DistributedDataParallel(
                model, process_group=self._gangs.rdp.as_process_group(), broadcast_buffers=False
            )
        from fairseq2.nn.ddp import to_ddp

        return to_ddp(model, self._gangs)

    @contextmanager
    def unsynchronised(self, wrapped: nn.Module) -> Iterator[None]:
        """Let the backward passes of this block keep each process's own gradients; the next pass shares all."""
        from torch.nn.parallel import DistributedDataParallel

        with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext():
            yield

    def share_statistics(self, model: nn.Module) -> None:
        """Give all processes the mean of their running statistics of batch normalisation."""
        from fairseq2.gang import ReduceOperation

        norms = [module for module in model.modules() if isinstance(module, NORMS)]
        running = [each for norm in norms for each in (norm.running_mean, norm.running_var) if each is not None]
        if self.size > 1 and running:
            together = nn.utils.parameters_to_vector(running)
            self._gangs.dp.all_reduce(together, ReduceOperation.SUM)
            nn.utils.vector_to_parameters(together / self.size, running)

    def all_sum(self, values: Tensor) -> Tensor:
        """Sum the values of all processes in place; on a GPU the host does not wait for the result."""
        from fairseq2.gang import ReduceOperation

        self._gangs.dp.all_reduce(values, ReduceOperation.SUM)
        return values

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the element-wise sum of the values of all processes."""
        total = self.all_sum(torch.tensor(values, dtype=torch.float64, device=self.device))
        return [float(value) for value in total.tolist()]

    def barrier(self) -> None:
        self._gangs.root.barrier()

    def close(self) -> None:
        self._gangs.close()


Gang = Alone | Together


@contextmanager
def open_gang(device: torch.device) -> Iterator[Gang]:
    """Give this process's gang, `Together` under torchrun and `Alone` otherwise, and close it at the end.

    The gang is not closed where this process fails: the waiting processes would fail at once, before this one has
    printed its error.
    """
    gang: Gang = Alone(device)
    if is_under_torchrun():
        end_with_parent()
        gang = Together(torch.device("cuda", rank("LOCAL_RANK")) if device.type == "cuda" else device)
    yield gang
    gang.close()
