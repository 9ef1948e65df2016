"""The training loop of every stage, and its steps: forward, backward, update, and figures that are read a step later.

It owns precision, accumulation, clipping, schedule, averaging, validation, checkpoints, distribution and progress. A
batch is a pure function of the step, and dropout is seeded by step and rank. So a killed run continues from its last
checkpoint as if it had never stopped, and two processes together see the batches that one process would see.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from wordless.base.errors import InputError
from wordless.base.machine import Batch, keep_freed_memory
from wordless.base.progress import Progress
from wordless.training.gangs import Gang
from wordless.training.options import FitConfig, Point, TrainingRecord
from wordless.training.precision import autocast, chosen_loss, fast_products, with_precision
from wordless.training.state import Training, copied


def sent(values: Tensor) -> Callable[[], list[float]]:
    """Send a few numbers from the device to the host, and return a function that waits for them.

    On a GPU the copy is queued behind the step that computes them. The function waits for this copy alone, so the host
    can queue the next step first, and the GPU always has work.
    """
    there, copied = values.to("cpu", non_blocking=True), None  # in pinned memory
    if values.device.type == "cuda":
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's own
        copied.record(torch.cuda.current_stream(values.device))  # type: ignore[no-untyped-call]  # as above

    def read() -> list[float]:
        if copied is not None:
            copied.synchronize()
        return [float(value) for value in there.tolist()]

    return read


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
        self._training, self._wrapped, self._gang = training, wrapped, gang
        self._batches, self._loss = batches, loss
        self._unread: tuple[int, Callable[[], list[float]]] | None = None  # a step; its summed loss and items

    def settle(self) -> None:
        """Read the figures of the last step, and refuse a loss that is not finite."""
        if self._unread is None:
            return
        step, figures = self._unread
        self._unread = None
        total, items = figures()
        require_finite(total, "loss", step, self._training)
        running = self._training.running
        self._training.running = [running[0] + total, running[1] + items]

    @property
    def finite(self) -> bool:
        """Whether the loss of the last step is finite. This process alone can ask: no other one has to take part."""
        return self._unread is None or math.isfinite(self._unread[1]()[0])

    def take(self) -> None:
        """Take one step, and `settle` the step before it."""
        training, gang, step = self._training, self._gang, self._training.step
        training.model.train()
        # Dropout is a function of seed, step and rank, so no generator state is saved or restored.
        torch.manual_seed(((training.config.seed * 1_000_003) + step) * 1_009 + gang.rank)
        sums = torch.zeros(2, dtype=torch.float64, device=gang.device)  # summed loss, items
        micros = training.config.accumulation
        for micro in range(micros):
            batch = self._batches.batch(step, gang.rank * micros + micro, gang.size * micros)
            with nullcontext() if micro == micros - 1 else gang.unsynchronised(self._wrapped):
                with autocast(training.config, gang.device):
                    summed, count = self._loss(self._wrapped, batch.to(gang.device))
                summed.backward()  # type: ignore[no-untyped-call]  # torch's own
            add_figures(sums, summed, count)
        gang.all_sum(sums)
        gang.share_statistics(training.model)
        # Gangs average over ranks; the mean is over items. In the gradients' type, the scale is one operator for all.
        scale = (gang.size / sums[1].clamp(min=1)).to(torch.float32)
        torch._foreach_mul_([each.grad for each in training.model.parameters() if each.grad is not None], scale)
        nn.utils.clip_grad_norm_(training.model.parameters(), training.config.clip_norm)
        for group in training.optimizer.param_groups:
            group["lr"] = training.config.learning_rate(step)
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=True)
        training.step += 1
        if training.config.ema_decay:
            training.update_average()
        figures = sent(sums)
        self.settle()
        self._unread = step, figures


def require_finite(total: float, name: str, step: int, training: Training) -> None:
    """Refuse a loss that is not finite. The stages that write the data refuse such values, and name their clip."""
    if not math.isfinite(total):
        option, config = training.option, training.config
        raise InputError(
            f"the {name} at step {step} is {total}: training diverged; lower {option}.lr (now {config.lr}) or raise "
            f"{option}.warmup_steps (now {config.warmup_steps}). The data were finite when they were written, so no "
            "recording is to blame"
        )


def add_figures(sums: Tensor, loss: Tensor, items: int) -> None:
    """Add a summed loss and its number of items to ``sums (2,)``, on the device."""
    sums[0] += loss.detach()
    sums[1] += items


def fit(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    *,
    gang: Gang,
    option: str = "fit",
    checkpoint: Path,
    progress: Progress,
    track: Callable[[Point], None],
    resumed: Callable[[Sequence[Point]], None] = lambda points: None,
    say: Callable[[str], None] = lambda line: None,
) -> TrainingRecord:
    """Train ``model`` in place; it ends with the kept weights and in evaluation mode.

    ``loss`` returns the summed loss of its part of a batch and the number of items; the mean is over the items of all
    parts on all processes. ``track`` receives each point, ``resumed`` before them all points of the
    checkpoint, ``say`` a warning about a damaged checkpoint; ``option`` is the config's name in messages.

    Rank 0 writes the file ``checkpoint``, for the last time at the end. Training continues from the checkpoint if there
    is one. A damaged file is renamed to ``*.damaged``, and training begins anew.

    Results are the same bytes on the same device and libraries, and nearly the same elsewhere. On GPUs, PyTorch is
    asked for deterministic algorithms and warns where it has none.

    Raises:
        InputError: the loss is no longer finite.
    """
    config = with_precision(config, gang)
    if gang.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Nothing reads unfilled memory, and filling it took 5 % of the time of WaveNet's steps.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # the module has it
        torch.backends.cudnn.deterministic = True
    training = Training(model.to(gang.device), config, option)
    training.resume(checkpoint, gang, say)
    if training.curve:
        resumed(training.curve)
    progress.resume_at(training.step)
    with keep_freed_memory(), fast_products(gang.device):
        steps = Steps(training, gang.wrap(model), batches, chosen_loss(loss, config, gang.device), gang)
        saved = time.monotonic()
        started = saved - training.seconds
        while training.step < config.steps:
            steps.take()
            training.seconds = time.monotonic() - started
            ended = training.step == config.steps
            if training.step % config.validate_every == 0 or ended:
                steps.settle()
                point = _measure(training, validation, loss, gang)
                training.record(point)
                losses = f"training loss {point['train_loss']:.4f}, validation {point['validation_loss']:.4f}"
                progress.note(f"step {point['step']}: {losses}")
                track(point)
            progress.advance_to(training.step)
            # Rank 0 may save alone, but all processes refuse a loss together, at the next step at the latest.
            due = gang.rank == 0 and time.monotonic() - saved > 60 * config.checkpoint_minutes
            if (due and steps.finite) or ended:
                steps.settle()
                if gang.rank == 0:
                    training.save(checkpoint)
                saved = time.monotonic()
    best = config.keep == "best" and training.best_step > 0  # 0 without validation items
    model.load_state_dict(training.best if best else training.evaluated_weights())
    model.eval()
    kept = training.best_step if best else training.step
    return TrainingRecord(curve=list(training.curve), steps=training.step, kept_step=kept)


@torch.no_grad()
def _measure(training: Training, validation: Sequence[B], loss: LossFunction[B], gang: Gang) -> Point:
    """Measure the evaluated weights at this step; the gang's processes share the validation batches."""
    model, averaged = training.model, training.config.ema_decay > 0
    present = copied(model) if averaged else {}
    if averaged:
        model.load_state_dict(training.average)
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=gang.device)
    for batch in validation[gang.rank :: gang.size]:
        with autocast(training.config, gang.device):
            add_figures(sums, *loss(model, batch.to(gang.device)))
    if averaged:
        model.load_state_dict(present)
    total, items = gang.all_sum(sums).tolist()
    require_finite(total, "validation loss", training.step, training)
    return Point(
        step=training.step,
        train_loss=training.running[0] / max(training.running[1], 1),
        validation_loss=total / items if items else math.nan,
    )
