"""What a training is: its config, the points of its curve, and all that changes while a model is trained."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from audio.errors import InputError
from audio.seeds import require_seed

NOT_SAVED = ("config", "option", "model", "optimizer")  # of a training: given anew, or saved in their own way


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
        require_seed(self.seed, "fit.seed")
        for name in ("warmup_steps", "weight_decay", "checkpoint_minutes"):
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
