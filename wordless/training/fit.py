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
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from wordless.base.memory import keep_freed_memory
from wordless.base.progress import Progress
from wordless.training.gangs import Gang, Together, agreed, gather
from wordless.training.options import FitConfig, Sharding
from wordless.training.precision import fast_products, require_right_in_bfloat16, with_precision
from wordless.training.record import Point, TrainingRecord
from wordless.training.resuming import Checkpoints
from wordless.training.state import Training
from wordless.training.steps import B, Batches, LossFunction, Steps, add_figures, autocast, require_finite


def fit(
    model: nn.Module,
    batches: Batches[B],
    validation: Sequence[B],
    loss: LossFunction[B],
    config: FitConfig,
    *,
    gang: Gang,
    option: str = "fit",
    sharding: Sharding = "none",
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

    With ``sharding="none"`` each process holds all weights, and rank 0 writes the file ``checkpoint``. With "fsdp" each
    process holds and writes its own share: rank 0 to ``checkpoint``, the others to files beside it. The last checkpoint
    is written at the end. Training continues from the checkpoint if there is one. A damaged file is renamed to
    ``*.damaged``, and training begins anew.

    Results are the same bytes on the same device and libraries, and nearly the same elsewhere. On GPUs, PyTorch is
    asked for deterministic algorithms and warns where it has none, unless ``deterministic`` is False.

    Raises:
        InputError: the loss is no longer finite, or this CPU computes the model's convolutions in bfloat16 wrongly.
    """
    config = with_precision(config, gang)
    if gang.device.type == "cuda":
        _set_determinism(config.deterministic)
    if gang.device.type == "cpu" and config.precision == "bf16" and sharding == "none":
        require_right_in_bfloat16(model, option)
    trained = _sharded(model, config, gang) if sharding == "fsdp" else model.to(gang.device)
    training = Training(trained, config, option)
    minutes, sharded = config.checkpoint_minutes, sharding == "fsdp"
    checkpoints = Checkpoints(path=checkpoint, gang=gang, sharded=sharded, minutes=minutes, say=say)
    checkpoints.resume(training)
    if training.curve:
        resumed(training.curve)
    progress.resume_at(training.step)
    steps = Steps(training, trained if sharded else gang.wrap(trained), batches, loss, gang)
    # Gathered layers come and go: kept memory would take the place that divided weights save.
    with nullcontext() if sharded else keep_freed_memory(), fast_products(gang.device):
        measure = partial(_measure, training, validation, loss, gang)
        _take_all(steps, training, checkpoints, measure, gang, progress, track)
    record, weights = _kept(training)
    if sharded:
        del training, steps, measure, trained  # gradients and moments, before the whole weights take their place
        gather(weights, model, gang.device)
    else:
        model.load_state_dict(weights)
    model.eval()
    return record


def _kept(training: Training) -> tuple[TrainingRecord, dict[str, Tensor]]:
    """Choose the best or the last weights, as the config says; return the record of the training and these weights."""
    best = training.config.keep == "best" and training.best_step > 0  # 0 without validation items
    record = TrainingRecord(
        curve=list(training.curve),
        steps=training.step,
        kept_step=training.best_step if best else training.step,
        cut_short=training.cut_short,
    )
    return record, training.best if best else training.evaluated_weights()


def _take_all(
    steps: Steps[B],
    training: Training,
    checkpoints: Checkpoints,
    measure: Callable[[], Point],
    gang: Gang,
    progress: Progress,
    track: Callable[[Point], None],
) -> None:
    """Take the steps that are left, and record points and save checkpoints between them."""
    config = training.config
    started = time.monotonic() - training.seconds
    while training.step < config.steps and not training.cut_short:
        steps.take()
        training.seconds = time.monotonic() - started
        training.cut_short = _exceeds_time(training, gang)
        ended = training.step == config.steps or training.cut_short
        if training.step % config.validate_every == 0 or ended:
            steps.settle()
            training.record(measure())
            point = training.curve[-1]
            losses = f"training loss {point['train_loss']:.4f}, validation {point['validation_loss']:.4f}"
            progress.note(f"step {point['step']}: {losses}")
            track(point)
        progress.advance_to(training.step)
        # Rank 0 may save alone, but all processes refuse a loss together, at the next step at the latest.
        if (checkpoints.due(training) and steps.finite) or ended:
            steps.settle()
            checkpoints.save(training)


def _sharded(model: nn.Module, config: FitConfig, gang: Gang) -> nn.Module:
    assert isinstance(gang, Together), "a single process has nobody to share weights with"
    return gang.shard(model, dtype=torch.bfloat16 if config.precision == "bf16" else torch.float32)


@torch.no_grad()
def _measure(training: Training, validation: Sequence[B], loss: LossFunction[B], gang: Gang) -> Point:
    """Measure the point of the curve at this step; the gang's processes share the validation batches."""
    total, items = _validation_sums(training, validation, loss, gang)
    require_finite(total, "validation loss", training.step, training, gang, validation[gang.rank :: gang.size])
    return Point(
        step=training.step,
        train_loss=training.running[0] / max(training.running[1], 1),
        validation_loss=total / items if items else math.nan,
    )


def _validation_sums(
    training: Training, validation: Sequence[B], loss: LossFunction[B], gang: Gang
) -> tuple[float, float]:
    """Return the summed validation loss of the evaluated weights, and the number of items."""
    training.model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=gang.device)
    with training.evaluated():
        for first in range(0, len(validation), gang.size):
            # A process without a batch in the last round repeats one: processes that share weights compute in step.
            place = first + gang.rank
            batch = validation[min(place, len(validation) - 1)]
            with autocast(training.config, gang.device):
                summed, count = loss(training.model, batch.to(gang.device))
            if place < len(validation):
                add_figures(sums, summed, count)
    total, items = gang.all_sum(sums).tolist()
    return total, items


def _exceeds_time(training: Training, gang: Gang) -> bool:
    """Return whether any process has trained longer than ``max_minutes``; all processes get the same answer."""
    minutes = training.config.max_minutes
    return minutes is not None and agreed(training.seconds > 60 * minutes, gang, training.step)


def _set_determinism(wanted: bool) -> None:
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    # Nothing reads unfilled memory, and filling it took 5 % of the time of WaveNet's steps.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property of the module
    torch.backends.cudnn.deterministic = wanted
