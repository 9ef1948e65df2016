"""Training: its options, and the record of a training, which ``curve.json`` holds and the report draws.

The loop is in `wordless.training.fit`, which imports PyTorch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypedDict, TypeVar

from wordless.base.options import NO_RESULT, Options, option

# Steps that follow from the recordings (`FitConfig.followed`): the numbers of steps in the options are those of the
# built-in corpus. 38 of its 48 minutes are for training, and up to 39.4 where `corpus.split.seed` draws other voices;
# all these have the same steps.
REFERENCE_SECONDS = 2_400.0  # of training recordings; of fewer the steps are the same
MOST_STEPS = 20_000
PATIENCE = 10  # validations; the built-in corpus has at most six


F = TypeVar("F", bound="FitConfig")


@dataclass(frozen=True, kw_only=True)
class FitConfig(Options):
    """Options of training: AdamW, linear warm-up and cosine decay."""

    steps: int = option(300, "optimiser steps", least=1)
    lr: float = option(1e-3, "peak learning rate", above=0)
    warmup_steps: int = option(50, "steps until the learning rate reaches its peak", least=0)
    final_lr_ratio: float = 0.05  # learning rate of the last step as a share of the peak
    weight_decay: float = 0.01  # of AdamW
    clip_norm: float = 1.0  # largest norm of the gradient; a larger gradient is scaled down to it
    accumulation: int = 1  # micro-steps per step; more micro-steps need less memory
    precision: Literal["auto", "auto_gpu", "fp32", "bf16"] = option(
        "auto_gpu",
        "of products; weights stay fp32. auto: bf16 on GPUs since Ampere and on CPUs with AVX512_BF16, else fp32. "
        "auto_gpu: the same on GPUs, fp32 on CPUs, where small models are not faster in bf16",
    )
    # torch.compile joins the operators of a step in minutes; None: on GPUs, for trainings of 2,000 steps or more
    compile: bool | None = None
    ema_decay: float = 0.0  # decay of the moving average of the weights, which is saved instead; 0: no average
    validate_every: int = option(100, "steps between validations", least=1)
    keep: Literal["best", "last"] = option("best", "the weights that are kept; best has the lowest validation loss")
    patience: int | None = option(
        None,
        f"validations without a lower loss after which training stops; null: {PATIENCE} with steps=null, else none",
        least=1,
    )
    follows: bool = False  # filled in: `steps` is the least number, and more recordings get more: see `followed`
    # between checkpoints: one number for all trainings of a command
    checkpoint_minutes: float = field(default=1.0, metadata=NO_RESULT)
    seed: int = 0  # seed of the initial weights and of dropout

    @property
    def summary(self) -> str:
        """Steps and precision, for people."""
        return f"{self.steps} steps, {self.precision}"

    def followed(self: F, seconds: float, *, per_step: float = 1.0) -> F:
        """Return the training of ``seconds`` of recordings, which reads them as often as `steps` read the reference.

        A step reads ``per_step`` times as much sound as with the default options on the built-in corpus. Steps that
        were given stay.
        """
        if not self.follows:
            return self
        wanted = math.ceil(self.steps * seconds / REFERENCE_SECONDS / per_step)
        steps = max(self.steps, min(wanted, MOST_STEPS))
        patience = self.patience
        if patience is None and math.ceil(steps / self.validate_every) > 1 + PATIENCE:  # else it never stops early
            patience = PATIENCE
        return replace(self, steps=steps, patience=patience, follows=False)

    def learning_rate(self, step: int) -> float:
        """Compute the learning rate of ``step``: linear warm-up, then half a cosine down to ``final_lr_ratio``."""
        if step < self.warmup_steps:
            return self.lr * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        low = self.final_lr_ratio
        return self.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


@dataclass(frozen=True, kw_only=True)
class LargeFitConfig(FitConfig):
    """Options of the training of a network that may be large."""

    accumulation: int = option(1, "micro-steps per step; more micro-steps need less memory", least=1)


@dataclass(frozen=True, kw_only=True)
class StartableFitConfig(LargeFitConfig):
    """Options of a training that may begin with trained weights, which need no step."""

    steps: int = option(300, "optimiser steps", least=0)
    ema_decay: float = option(
        0.0, "decay of the moving average of the weights, which is saved instead; 0: no average", least=0, below=1
    )


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a training reads of its recordings."""

    batch_size: int  # of a step, over all parts and processes
    seconds: float  # of an example, on average
    hours: float  # of all training recordings

    @classmethod
    def of_crops(cls, lengths: Sequence[int], longest: int, unit_seconds: float, *, batch_size: int) -> "Examples":
        """Describe crops of at most ``longest`` units, of recordings whose chance is proportional to their length."""
        total = sum(lengths)
        mean = sum(length * min(length, longest) for length in lengths) / total
        return cls(batch_size=batch_size, seconds=mean * unit_seconds, hours=total * unit_seconds / 3600)

    def describe(self, record: "TrainingRecord") -> str:
        """Write, such as "600 steps x 32 examples of 2 s = 2.4 passes of 4.4 hours", in ASCII.

        `read_json_escaped` walks through results that have other characters.
        """
        planned = f" of {record['planned']:,}" if "planned" in record else ""
        passes = record["steps"] * self.batch_size * self.seconds / 3600 / self.hours if self.hours else 0.0
        length = f"{self.hours:,.1f} hours" if self.hours >= 1 else f"{60 * self.hours:.1f} minutes"
        return (
            f"{record['steps']:,}{planned} steps x {self.batch_size:,} examples of {self.seconds:.3g} s = "
            f"{f'{passes:,.1f}' if passes >= 1 else f'{passes:.2g}'} passes of {length}"
        )


class Point(TypedDict):
    """One point of a training curve; losses per item."""

    step: int
    train_loss: float  # mean since the previous point
    validation_loss: float
    learning_rate: float  # of the step


class _Record(TypedDict):
    curve: list[Point]
    steps: int
    kept_step: int  # step of the weights that were kept


class TrainingRecord(_Record, total=False):
    """Result of one training."""

    passes: str  # as of `Examples.describe`
    planned: int  # steps of a training that stopped before them, because validation no longer improved
