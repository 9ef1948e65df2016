"""The processes that train together: a single one, or those that torchrun started, through fairseq2's gangs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from wordless.base.machine import is_under_torchrun, rank
from wordless.base.pools import end_with_parent

if TYPE_CHECKING:
    from fairseq2.gang import Gangs
    from fairseq2.nn.fsdp import FSDP2Module, FSDPWrapper

# Rank 0 may work alone for hours (encoding a corpus, clustering) while the others wait at a barrier.
PATIENCE = timedelta(days=2)
# Each process has its own running statistics. fairseq2's DDP on GPUs uses another class with the same statistics.
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
STEPS_BETWEEN_QUESTIONS = 10  # an answer of all processes makes the host wait for the GPU


def shard(model: nn.Module, gangs: "Gangs", *, dtype: torch.dtype) -> "FSDP2Module":
    """Return a twin of a model whose weights are divided among the gang, each layer of a transformer on its own.

    Each process holds a share of weights, gradients and moments, by fairseq2's FSDP2. The whole weights of a layer are
    gathered before the layer computes, and freed after it (Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully
    Sharded Data Parallel", 2023, arXiv:2304.11277).

    The weights of ``model`` itself are freed, layer by layer; `gather` returns weights to it. ``dtype`` is the type of
    gathered weights; the shares and the sums of gradients stay float32.
    """
    from fairseq2.models.transformer_lm import TransformerLM
    from fairseq2.models.transformer_lm.fsdp import apply_fsdp_to_transformer_lm
    from fairseq2.nn.fsdp import to_fsdp2

    def divide(module: nn.Module, wrapper: "FSDPWrapper") -> nn.Module:
        def wrap(module: nn.Module, reshard_after_forward: bool | None = None) -> nn.Module:
            whole = [weight for weight in module.parameters() if not isinstance(weight, DTensor)]
            # Gathered weights that outlived a validation pass would be stale after the next change of the shares.
            wrapped = wrapper(module, reshard_after_forward=True)
            for weight in whole:
                weight.data = weight.new_empty(0)
            return wrapped

        for part in module.modules():
            if isinstance(part, TransformerLM):
                apply_fsdp_to_transformer_lm(part, "layer", wrap)
        return wrap(module)

    twin = deepcopy(model, {id(weight): weight for weight in model.parameters()})  # the modules, not the weights
    return to_fsdp2(twin, gangs, divide, mixed_precision_dtype=dtype, fp32_reduce=True)


def gather(weights: Mapping[str, Tensor], model: nn.Module, device: torch.device) -> None:
    """Give the model that `shard` emptied whole weights, from the shares of all processes; one weight at a time."""
    own = dict(model.named_parameters(remove_duplicate=False))
    buffers = dict(model.named_buffers(remove_duplicate=False))
    for name, value in weights.items():
        if name in own:
            own[name].data = gathered(value)
        else:
            buffers[name].data = value
    model.to(device)


def gathered(tensor: Tensor) -> Tensor:
    """Return a tensor whose shares all processes hold; each process must call this."""
    return tensor.full_tensor().clone() if isinstance(tensor, DTensor) else tensor  # shares may be padded


def share(tensor: Tensor) -> Tensor:
    """Return this process's share of a divided tensor, in the same memory; other tensors are returned as they are."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


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

    def shard(self, model: nn.Module, *, dtype: torch.dtype) -> nn.Module:
        """Divide the weights of a model among the gang; see `wordless.training.gangs.shard`."""
        from fairseq2.gang import create_fsdp_gangs

        return shard(model, create_fsdp_gangs(self._gangs), dtype=dtype)

    @contextmanager
    def unsynchronised(self, wrapped: nn.Module) -> Iterator[None]:
        """Let the backward passes of this block keep each process's own gradients; the next pass shares all."""
        from torch.distributed.fsdp import FSDPModule
        from torch.nn.parallel import DistributedDataParallel

        if isinstance(wrapped, FSDPModule):  # fairseq2 0.8.1 calls a method that PyTorch does not have
            wrapped.set_requires_gradient_sync(False)
            yield
            wrapped.set_requires_gradient_sync(True)
        elif isinstance(wrapped, DistributedDataParallel):
            with wrapped.no_sync():
                yield
        else:  # a gang of one process
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


def agreed(wish: bool, gang: Gang, step: int) -> bool:
    """Return to all processes whether one of them wishes something; several processes are asked each tenth step."""
    if gang.size > 1 and step % STEPS_BETWEEN_QUESTIONS:
        return False
    return gang.sum([float(wish)])[0] > 0


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
