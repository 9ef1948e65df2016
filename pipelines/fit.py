"""The one training loop.

It owns precision, accumulation, clipping, schedule, averaging, validation, checkpoints, distribution and progress, for
every stage. A batch is a pure function of the step, and dropout is seeded by step and rank, so a run that was killed
continues from its last checkpoint as if it had never stopped, and two processes together see what one would have seen.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from audio.errors import InputError
from pipelines.gangs import Gang
from pipelines.progress import Progress


class Movable(Protocol):
    """A batch of tensors."""

    def to(self, device: torch.device) -> "Movable": ...


B = TypeVar("B", bound=Movable)
B_co = TypeVar("B_co", bound=Movable, covariant=True)
LossFunction = Callable[[nn.Module, B], tuple[Tensor, int]]  # summed loss, number of items


class Batches(Protocol[B_co]):
    """Training data: the batch of a step is a function of the step alone."""

    def batch(self, step: int, part: int, parts: int) -> B_co:
        """Part ``part`` of ``parts`` equal shares of the batch of ``step``."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a model is trained: AdamW, linear warm-up and cosine decay.

    Raises:
        InputError: a value is out of range.
    """

    steps: int
    lr: float  # peak learning rate
    warmup_steps: int = 50
    final_lr_ratio: float = 0.05  # of the peak, at the last step
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    accumulation: int = 1  # micro-steps per step: the batch is split, not multiplied
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast; weights stay fp32
    ema_decay: float = 0.0  # exponential moving average of the weights; 0 is none
    validate_every: int = 100  # steps
    keep: Literal["best", "last"] = "best"  # which weights the artifact holds, by validation loss
    max_minutes: float | None = None  # ceiling; what it cuts short is marked
    checkpoint_minutes: float = 1.0  # between checkpoints
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "lr", "accumulation", "validate_every", "clip_norm"):
            if getattr(self, name) <= 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; it must be positive")
        for name in ("warmup_steps", "weight_decay", "checkpoint_minutes", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"fit.{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.final_lr_ratio <= 1:
            raise InputError(f"fit.final_lr_ratio is {self.final_lr_ratio}; choose 0 (no learning) to 1 (no decay)")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"fit.ema_decay is {self.ema_decay}; choose 0 (none) or a value below 1, such as 0.999")
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise InputError(f"fit.max_minutes is {self.max_minutes}; choose a positive ceiling, or null for none")

    def learning_rate(self, step: int) -> float:
        """Learning rate of ``step``: linear warm-up, then half a cosine down to ``final_lr_ratio``."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        low = self.final_lr_ratio
        return self.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of a training curve; losses per item."""

    step: int
    train_loss: float  # mean since the point before
    validation_loss: float


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """What training did."""

    curve: tuple[Point, ...]
    steps: int
    kept_step: int  # whose weights were kept
    cut_short: bool  # by max_minutes


NOT_SAVED = ("config", "option", "model", "optimizer")  # of a training: given anew, or saved in their own way


class Training:
    """What changes while a model is trained, and how it is saved."""

    def __init__(self, model: nn.Module, config: FitConfig, option: str) -> None:
        self.config = config
        self.option = option
        self.model = model
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay, fused=True
        )
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0
        self.curve: list[Point] = []
        self.running = [0.0, 0.0]  # summed loss and items since the last point
        self.best_loss = math.inf
        self.best_step = 0
        self.best = self._weights()
        self.cut_short = False  # by max_minutes

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {name: value for name, value in vars(self).items() if name not in NOT_SAVED}
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, path.with_suffix(".aside"))
        path.with_suffix(".aside").replace(path)

    def load(self, path: Path, device: torch.device) -> None:
        """Continue from a checkpoint."""
        # Our own file, written a moment ago on this machine: it holds dataclasses beside tensors.
        state = torch.load(path, map_location=device, weights_only=False)
        self.model.load_state_dict(state.pop("model"))
        self.optimizer.load_state_dict(state.pop("optimizer"))
        vars(self).update(state)

    def update_average(self) -> None:
        """Move the averaged weights towards the present ones; a young average follows faster."""
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def record(self, point: Point) -> None:
        """Add a point, and remember the weights if they are the best so far."""
        self.curve.append(point)
        self.running = [0.0, 0.0]
        if point.validation_loss < self.best_loss:
            self.best_loss, self.best_step, self.best = point.validation_loss, self.step, self._weights()

    def evaluated_weights(self) -> dict[str, Tensor]:
        """The averaged weights where there is an average, else the present ones."""
        return self.average if self.config.ema_decay else self._weights()

    def _weights(self) -> dict[str, Tensor]:
        source = self.average if self.config.ema_decay else self.model.state_dict()
        return {name: value.detach().clone() for name, value in source.items()}


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
) -> FitReport:
    """Train ``model`` in place and leave the kept weights in it, in evaluation mode.

    ``loss`` gives the sum over the items of its part and their number; the mean is over the items of all parts, on all
    processes. ``checkpoint`` is a file: continued from where it exists, written by rank 0, the last time at the end.
    ``track`` sees each point; ``option`` is what the config is called in messages.

    Same bytes on the same device and libraries, and nearly the same elsewhere. On GPUs the algorithms are asked to be
    deterministic; PyTorch warns of the few that cannot.

    Raises:
        InputError: the loss is no longer finite.
    """
    if gang.device.type == "cuda":
        _be_deterministic()
    training = Training(model.to(gang.device), config, option)
    gang.barrier()
    if checkpoint.exists():
        training.load(checkpoint, gang.device)
    gang.barrier()
    progress.resume_at(training.step)
    wrapped = gang.wrap(model)
    started, saved = time.monotonic() - training.seconds, time.monotonic()
    while training.step < config.steps and not training.cut_short:
        _take_step(training, wrapped, batches, loss, gang)
        training.seconds = time.monotonic() - started
        training.cut_short = _too_long(training, gang)
        ended = training.step == config.steps or training.cut_short
        if training.step % config.validate_every == 0 or ended:
            training.record(_measure(training, validation, loss, gang))
            progress.note(_line(training.curve[-1]))
            track(training.curve[-1])
        progress.advance_to(training.step)
        if gang.rank == 0 and (ended or time.monotonic() - saved > 60 * config.checkpoint_minutes):
            training.save(checkpoint)
            saved = time.monotonic()
    best = config.keep == "best" and training.best_step > 0  # no validation loss, where there is no item to judge by
    model.load_state_dict(training.best if best else training.evaluated_weights())
    model.eval()
    return FitReport(
        curve=tuple(training.curve),
        steps=training.step,
        kept_step=training.best_step if best else training.step,
        cut_short=training.cut_short,
    )


def _take_step(training: Training, wrapped: nn.Module, batches: Batches[B], loss: LossFunction[B], gang: Gang) -> None:
    config, model = training.config, training.model
    model.train()
    # Dropout as a function of seed, step and rank: nothing to save, nothing to restore.
    torch.manual_seed(((config.seed * 1_000_003) + training.step) * 1_009 + gang.rank)
    parts = gang.size * config.accumulation
    total, items = 0.0, 0
    for micro in range(config.accumulation):
        batch = batches.batch(training.step, gang.rank * config.accumulation + micro, parts).to(gang.device)
        last = micro == config.accumulation - 1
        with nullcontext() if last or gang.size == 1 else wrapped.no_sync():  # type: ignore[operator]  # DDP's
            with _autocast(config, gang.device):
                summed, count = loss(wrapped, batch)  # type: ignore[arg-type]  # .to() gives the same kind of batch
            summed.backward()  # type: ignore[no-untyped-call]  # torch's own
        total, items = total + summed.item(), items + count
    total, everything = gang.sum([total, items])
    _require_finite(total, "loss", training)
    _update(training, scale=gang.size / max(everything, 1))  # DDP averages over ranks; the mean is over items
    training.running = [training.running[0] + total, training.running[1] + everything]


def _require_finite(total: float, name: str, training: Training) -> None:
    if not math.isfinite(total):
        config = training.config
        raise InputError(
            f"the {name} at step {training.step} is {total}: training diverged; lower {training.option}.lr (now "
            f"{config.lr}) or raise {training.option}.warmup_steps (now {config.warmup_steps})"
        )


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
    """The point of the curve at this step; validation batches are shared out over the gang."""
    model = training.model
    present = {name: value.clone() for name, value in model.state_dict().items()} if training.config.ema_decay else None
    model.load_state_dict(training.evaluated_weights())
    model.eval()
    total, items = 0.0, 0
    for batch in validation[gang.rank :: gang.size]:
        with _autocast(training.config, gang.device):
            summed, count = loss(model, batch.to(gang.device))  # type: ignore[arg-type]  # as above
        total, items = total + summed.item(), items + count
    total, everything = gang.sum([total, items])
    _require_finite(total, "validation loss", training)
    if present is not None:
        model.load_state_dict(present)
    return Point(
        step=training.step,
        train_loss=training.running[0] / max(training.running[1], 1),
        validation_loss=total / everything if everything else math.nan,
    )


def _autocast(config: FitConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16")


def _too_long(training: Training, gang: Gang) -> bool:
    """Whether some process has trained longer than it may: clocks differ, decisions must not."""
    minutes = training.config.max_minutes
    return minutes is not None and gang.sum([float(training.seconds > 60 * minutes)])[0] > 0


def _be_deterministic() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True


def _line(point: Point) -> str:
    return f"step {point.step}: training loss {point.train_loss:.4f}, validation {point.validation_loss:.4f}"
