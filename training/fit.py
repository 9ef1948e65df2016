"""The training loop of every stage.

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
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from foundation.errors import InputError
from foundation.files import remove
from foundation.memory import keep_freed_memory
from foundation.progress import Progress
from training.checkpoint import CheckpointError
from training.gangs import Gang
from training.record import Point, TrainingRecord
from training.state import FitConfig, Training


class Movable(Protocol):
    """A batch of tensors."""

    def to(self, device: torch.device) -> "Movable": ...


B = TypeVar("B", bound=Movable)
B_co = TypeVar("B_co", bound=Movable, covariant=True)
LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]  # summed loss, number of items


class Batches(Protocol[B_co]):
    """Training data; the batch of a step depends on the step alone."""

    def batch(self, step: int, part: int, parts: int) -> B_co:
        """Return part ``part`` of ``parts`` equal shares of the batch of ``step``."""


@keep_freed_memory()
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
    say: Callable[[str], None] = lambda line: None,
) -> TrainingRecord:
    """Train ``model`` in place; it ends with the kept weights and in evaluation mode.

    ``loss`` returns the summed loss of its part of a batch and the number of items; the mean is over the items of all
    parts on all processes. ``checkpoint`` is a file: training continues from it if it exists; rank 0 writes it, for the
    last time at the end. A damaged checkpoint is renamed to ``*.damaged``, and training begins anew. ``track`` receives
    each point, ``say`` a warning about a damaged checkpoint; ``option`` is the config's name in messages.

    Results are the same bytes on the same device and libraries, and nearly the same elsewhere. On GPUs, PyTorch is
    asked for deterministic algorithms and warns where it has none.

    Raises:
        InputError: the loss is no longer finite.
    """
    if gang.device.type == "cuda":
        _be_deterministic()
    training = Training(model.to(gang.device), config, option)
    _resume(training, checkpoint, gang, say)
    progress.resume_at(training.step)
    wrapped = gang.wrap(model)
    started, saved = time.monotonic() - training.seconds, time.monotonic()
    while training.step < config.steps and not training.cut_short:
        _take_step(training, wrapped, batches, loss, gang)
        training.seconds = time.monotonic() - started
        training.cut_short = _exceeds_time(training, gang)
        ended = training.step == config.steps or training.cut_short
        if training.step % config.validate_every == 0 or ended:
            training.record(_measure(training, validation, loss, gang))
            point = training.curve[-1]
            losses = f"training loss {point['train_loss']:.4f}, validation {point['validation_loss']:.4f}"
            progress.note(f"step {point['step']}: {losses}")
            track(point)
        progress.advance_to(training.step)
        if gang.rank == 0 and (ended or time.monotonic() - saved > 60 * config.checkpoint_minutes):
            training.save(checkpoint)
            saved = time.monotonic()
    best = config.keep == "best" and training.best_step > 0  # 0 without validation items
    model.load_state_dict(training.best if best else training.evaluated_weights())
    model.eval()
    return TrainingRecord(
        curve=list(training.curve),
        steps=training.step,
        kept_step=training.best_step if best else training.step,
        cut_short=training.cut_short,
    )


def _resume(training: Training, checkpoint: Path, gang: Gang, say: Callable[[str], None]) -> None:
    gang.barrier()
    resumed = gang.rank == 0 and _load(training, checkpoint, say)
    if gang.sum([float(resumed)])[0] and gang.rank:
        training.load(checkpoint)
    gang.barrier()


def _load(training: Training, checkpoint: Path, say: Callable[[str], None]) -> bool:
    """Load the checkpoint and return whether that succeeded; a damaged checkpoint is renamed."""
    if not os.path.lexists(checkpoint):
        return False
    try:
        training.load(checkpoint)
    except CheckpointError as damage:
        damaged = checkpoint.with_suffix(".damaged")
        remove(damaged)  # left by an earlier run
        checkpoint.rename(damaged)
        say(f"WARNING   {checkpoint} is damaged ({damage}): it is now {damaged.name}, and training begins anew")
        return False
    return True


def _take_step(training: Training, wrapped: nn.Module, batches: Batches[B], loss: LossFunction[B], gang: Gang) -> None:
    config, model = training.config, training.model
    model.train()
    # Dropout is a function of seed, step and rank, so no generator state is saved or restored.
    torch.manual_seed(((config.seed * 1_000_003) + training.step) * 1_009 + gang.rank)
    parts = gang.size * config.accumulation
    total, items, spoilt = 0.0, 0, 0
    for micro in range(config.accumulation):
        batch = batches.batch(training.step, gang.rank * config.accumulation + micro, parts).to(gang.device)
        last = micro == config.accumulation - 1
        with nullcontext() if last or gang.size == 1 else wrapped.no_sync():  # type: ignore[operator]  # DDP's
            with _autocast(config, gang.device):
                summed, count = loss(wrapped, batch)  # type: ignore[arg-type]  # .to() gives the same kind of batch
            summed.backward()  # type: ignore[no-untyped-call]  # torch's own
        total, items = total + summed.item(), items + count
        spoilt += 0 if math.isfinite(total) else _count_not_finite(batch)
    total, everything = gang.sum([total, items])
    _require_finite(total, "loss", training, spoilt, gang)
    gang.share_statistics(model)
    _update(training, scale=gang.size / max(everything, 1))  # DDP averages over ranks; the mean is over items
    training.running = [training.running[0] + total, training.running[1] + everything]


def _require_finite(total: float, name: str, training: Training, spoilt: int, gang: Gang) -> None:
    """Refuse a loss that is not finite, and say whether the data are to blame.

    ``spoilt`` is the number of values in this process's batches that are not finite. The stages that write the data
    refuse such values and name their clip, so these can only come from a file that changed afterwards.
    """
    if math.isfinite(total):
        return
    problem, config = f"the {name} at step {training.step} is {total}", training.config
    if values := round(gang.sum([float(spoilt)])[0]):
        raise InputError(
            f"{problem}: {values} values of its batch are not finite, though they were when they were written; a file "
            "of the store has changed since: remove the entries that this stage is made from, and run again"
        )
    raise InputError(
        f"{problem}: training diverged; lower {training.option}.lr (now {config.lr}) or raise "
        f"{training.option}.warmup_steps (now {config.warmup_steps}). All values of its batch are finite, so no "
        "recording is to blame"
    )


def _count_not_finite(batch: Movable) -> int:
    tensors = (value for value in vars(batch).values() if isinstance(value, Tensor) and value.is_floating_point())
    return sum(int((~tensor.isfinite()).sum()) for tensor in tensors)


def _update(training: Training, *, scale: float) -> None:
    for parameter in training.model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(scale)
    nn.utils.clip_grad_norm_(training.model.parameters(), training.config.clip_norm)
    for group in training.optimizer.param_groups:
        group["lr"] = training.config.learning_rate(training.step)
    training.optimizer.step()
    training.optimizer.zero_grad(set_to_none=True)
    training.step += 1
    if training.config.ema_decay:
        training.update_average()


@torch.no_grad()
def _measure(training: Training, validation: Sequence[B], loss: LossFunction[B], gang: Gang) -> Point:
    """Measure the point of the curve at this step; the gang's processes share the validation batches."""
    model = training.model
    present = {name: value.clone() for name, value in model.state_dict().items()} if training.config.ema_decay else None
    model.load_state_dict(training.evaluated_weights())
    model.eval()
    total, items, spoilt = 0.0, 0, 0
    for batch in validation[gang.rank :: gang.size]:
        with _autocast(training.config, gang.device):
            summed, count = loss(model, batch.to(gang.device))  # type: ignore[arg-type]  # as above
        total, items = total + summed.item(), items + count
        spoilt += 0 if math.isfinite(total) else _count_not_finite(batch)
    total, everything = gang.sum([total, items])
    _require_finite(total, "validation loss", training, spoilt, gang)
    if present is not None:
        model.load_state_dict(present)
    return Point(
        step=training.step,
        train_loss=training.running[0] / max(training.running[1], 1),
        validation_loss=total / everything if everything else math.nan,
    )


def _autocast(config: FitConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


def _exceeds_time(training: Training, gang: Gang) -> bool:
    """Return whether any process has trained longer than ``max_minutes``; all processes get the same answer."""
    minutes = training.config.max_minutes
    return minutes is not None and gang.sum([float(training.seconds > 60 * minutes)])[0] > 0


def _be_deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing reads unfilled memory, and filling it took 5 % of the time of WaveNet's steps.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module
    torch.backends.cudnn.deterministic = True
