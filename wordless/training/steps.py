"""The steps of a training: forward, backward, update, and the figures that the host reads one step later."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from wordless.base.devices import Batch
from wordless.base.errors import InputError
from wordless.training.gangs import Gang, share
from wordless.training.options import FitConfig
from wordless.training.state import Training


class Figures:
    """A few numbers on their way from the device to the host.

    On a GPU the copy is queued behind the step that computes them. `read` waits for this copy alone, so the host can
    queue the next step first, and the GPU always has work.
    """

    def __init__(self, values: Tensor) -> None:
        self._values = values.to("cpu", non_blocking=True)  # in pinned memory
        self._copied = torch.cuda.Event() if values.device.type == "cuda" else None  # type: ignore[no-untyped-call]  # torch's own
        if self._copied is not None:
            self._copied.record(torch.cuda.current_stream(values.device))  # type: ignore[no-untyped-call]  # as above

    def read(self) -> list[float]:
        """Return the numbers, as soon as they are there."""
        if self._copied is not None:
            self._copied.synchronize()
        return [float(value) for value in self._values.tolist()]


B = TypeVar("B", bound=Batch)
B_co = TypeVar("B_co", bound=Batch, covariant=True)
LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]  # summed loss, number of items


class Batches(Protocol[B_co]):
    """Training data; the batch of a step depends on the step alone."""

    def batch(self, step: int, part: int, parts: int) -> B_co:
        """Return part ``part`` of ``parts`` equal shares of the batch of ``step``."""


class Steps(Generic[B]):
    """The steps of a training, and the figures of the last step, which the host reads while the device takes the next.

    Reading them at once would make a GPU wait for the host in each step.
    """

    def __init__(
        self, training: Training, wrapped: nn.Module, batches: Batches[B], loss: LossFunction[B], gang: Gang
    ) -> None:
        self._training = training
        self._wrapped = wrapped
        self._batches = batches
        self._loss = loss
        self._gang = gang
        self._unread: tuple[int, Figures] | None = None  # a step, its summed loss and number of items

    def take(self) -> None:
        """Take one step, and read the figures of the step before it.

        Raises:
            InputError: the loss of the step before is not finite.
        """
        step = self._training.step
        figures = self._take()
        self.settle()
        self._unread = step, figures

    def settle(self) -> None:
        """Read the figures of the last step.

        Raises:
            InputError: its loss is not finite.
        """
        if self._unread is None:
            return
        step, figures = self._unread
        self._unread = None
        total, items = figures.read()
        require_finite(total, "loss", step, self._training, self._gang, self._parts(step))
        running = self._training.running
        self._training.running = [running[0] + total, running[1] + items]

    @property
    def finite(self) -> bool:
        """Whether the loss of the last step is finite. This process alone can ask: no other one has to take part."""
        return self._unread is None or math.isfinite(self._unread[1].read()[0])

    def _take(self) -> Figures:
        training, gang = self._training, self._gang
        training.model.train()
        # Dropout is a function of seed, step and rank, so no generator state is saved or restored.
        torch.manual_seed(((training.config.seed * 1_000_003) + training.step) * 1_009 + gang.rank)
        sums = torch.zeros(2, dtype=torch.float64, device=gang.device)  # summed loss, items
        micros = training.config.accumulation
        for micro, batch in enumerate(self._parts(training.step), 1):
            with nullcontext() if micro == micros else gang.unsynchronised(self._wrapped):
                with autocast(training.config, gang.device):
                    summed, count = self._loss(self._wrapped, batch.to(gang.device))
                summed.backward()  # type: ignore[no-untyped-call]  # torch's own
            add_figures(sums, summed, count)
        gang.all_sum(sums)
        gang.share_statistics(training.model)
        _update(training, scale=gang.size / sums[1].clamp(min=1))  # gangs average over ranks; the mean is over items
        return Figures(sums)

    def _parts(self, step: int) -> Iterator[B]:
        """Give this process's parts of the batch of a step, one for each micro-step."""
        micros = self._training.config.accumulation
        for micro in range(micros):
            yield self._batches.batch(step, self._gang.rank * micros + micro, self._gang.size * micros)


def require_finite(
    total: float, name: str, step: int, training: Training, gang: Gang, batches: Iterable[Batch]
) -> None:
    """Refuse a loss that is not finite, and say whether the data are to blame.

    ``batches`` are those that this process computed the loss of. The stages that write the data refuse values that are
    not finite and name their clip, so these can only come from a file that changed afterwards.
    """
    if math.isfinite(total):
        return
    problem, config = f"the {name} at step {step} is {total}", training.config
    if values := round(gang.sum([float(sum(map(_count_not_finite, batches)))])[0]):
        raise InputError(
            f"{problem}: {values} values of its batch are not finite, though they were when they were written; a file "
            "of the store has changed since: remove the entries that this stage is made from, and run again"
        )
    raise InputError(
        f"{problem}: training diverged; lower {training.option}.lr (now {config.lr}) or raise "
        f"{training.option}.warmup_steps (now {config.warmup_steps}). All values of its batch are finite, so no "
        "recording is to blame"
    )


def add_figures(sums: Tensor, loss: Tensor, items: int) -> None:
    """Add a summed loss and its number of items to ``sums (2,)``, on the device."""
    sums[0] += loss.detach()
    sums[1] += items


def autocast(config: FitConfig, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which losses are computed: with ``bf16``, matrix products in bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if config.precision == "bf16" else nullcontext()


def _count_not_finite(batch: Batch) -> int:
    tensors = (value for value in vars(batch).values() if isinstance(value, Tensor) and value.is_floating_point())
    return sum(int((~tensor.isfinite()).sum()) for tensor in tensors)


def _update(training: Training, *, scale: Tensor) -> None:
    """Scale and clip the gradients, and change the weights: a few operators for all weights together.

    ``scale`` gets the gradients' type, because PyTorch's operators of many tensors take each by itself otherwise.
    """
    gradients = [share(each.grad) for each in training.model.parameters() if each.grad is not None]
    torch._foreach_mul_(gradients, scale.to(torch.float32))
    nn.utils.clip_grad_norm_(training.model.parameters(), training.config.clip_norm)
    for group in training.optimizer.param_groups:
        group["lr"] = training.config.learning_rate(training.step)
    training.optimizer.step()
    training.optimizer.zero_grad(set_to_none=True)
    training.step += 1
    if training.config.ema_decay:
        training.update_average()
