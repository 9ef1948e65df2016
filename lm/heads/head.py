"""What a head is: a module over the states of a body, what its outputs mean, and figures of them on test clips.

Each head has one file in `lm.heads` with its task (`Task`), which ``config.json`` of a fine-tuned model holds. Its
options on the command line stand in `lm.heads.options`. Outputs of a clip are an array
``(steps, width)``; a head that reads a clip as a whole gives one step. Each figure has a bootstrap interval over the
clips, or over their groups.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from lm.heads.options import FigureConfig
from lm.options import Means, ProbeConfig
from lm.probing.comparison import IndexArray, Outcome, bootstrap, measure, outcome_interval
from lm.probing.task import BoolArray, RowArray
from lm.probing.vectors import FloatArray, pool_batch, pooling_parts

Groups = Sequence[IndexArray]  # of the test clips, if whole groups are resampled: `lm.probing.comparison.whole_groups`


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of the predictions for the test clips."""

    name: str
    value: float
    low: float  # bootstrap interval over clips, or over their groups
    high: float
    percent: bool = False  # whether it is a share, which is shown in percent

    def show(self, value: float) -> str:
        """Format a value of this figure."""
        return f"{value:.1%}" if self.percent else f"{value:.3f}"

    @property
    def plain(self) -> dict[str, object]:
        """The name, value and interval for JSON; None where a number is not known, such as R2 of equal numbers."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {"name": self.name} | {end: value if math.isfinite(value) else None for end, value in numbers.items()}


def figure(
    name: str,
    outcome: Outcome,
    config: FigureConfig,
    groups: Groups | None = None,
    *,
    percent: bool = False,
) -> Figure:
    """Measure the outcome of one method; with ``groups``, whole groups are resampled."""
    draws = bootstrap([outcome], resamples=config.resamples, seed=config.seed, groups=groups)[:, 0]
    known = draws[np.isfinite(draws)]  # R2 of a resample with a single value is not known
    value = float(measure(outcome)[0, 0])
    low, high = outcome_interval([outcome], known, config.confidence, groups=groups) if len(known) else (value, value)
    return Figure(name=name, value=value, low=low, high=high, percent=percent)


Row = Mapping[str, str | float]  # columns of a table of predictions


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What a head predicts, made from the labels of training clips: plain values alone."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What is predicted, in a few words."""

    @abstractmethod
    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        """Create the module ``(states (batch, time, dim), lengths (batch,)) -> (outputs, their lengths)``."""

    @abstractmethod
    def targets(self, labels: Sequence[str]) -> Tensor:
        """Convert labels to targets ``(clips, ...)``."""

    @abstractmethod
    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the loss of outputs ``(batch, steps, width)`` over the items of a batch; also return their number."""

    def strata(self, labels: Sequence[str]) -> BoolArray:
        """Return classes ``(clips, classes)`` of which each share of the labels has some of each; by default one."""
        return np.ones((len(labels), 1), bool)

    def fits(self, label: str, states: int, *, states_per_second: float) -> bool:
        """Return whether a clip of so many states has room for its label; a class or a number needs none."""
        return True

    @abstractmethod
    def rows(self, outputs: Sequence[FloatArray]) -> list[Row]:
        """Convert the outputs of clips to rows of a table; the first column is the prediction."""

    @abstractmethod
    def figures(
        self,
        outputs: Sequence[FloatArray],
        labels: Sequence[str],
        config: FigureConfig,
        groups: Groups | None = None,
    ) -> tuple[Figure, ...]:
        """Measure the outputs for clips with these labels; the first figure is the one that is compared.

        With ``groups``, whole groups of clips are resampled.
        """

    @abstractmethod
    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return the outputs ``(steps, width)`` that answer every clip alike: the best answer without its sound."""


@dataclass(frozen=True, kw_only=True)
class PooledTask(Task):
    """A task that a linear probe of pooled states can solve: its head gives one step for a clip."""

    @abstractmethod
    def probe(
        self,
        candidates: Mapping[str, FloatArray],
        labels: Sequence[str],
        rows: Mapping[str, RowArray],
        config: ProbeConfig,
        *,
        threads: int,
    ) -> "Probed":
        """Fit linear probes of pooled states ``(clips, dim)`` on the rows of train; validation chooses among them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """The outputs of the chosen probe for test clips, in the form of a head's outputs."""

    outputs: list[FloatArray]
    chosen: str  # layer and pooling


def _projecting(dim: int, width: int) -> nn.Linear:
    """Create a linear layer with the initial weights that transformers gives to heads of speech models."""
    layer = cast(nn.Linear, skip_init(nn.Linear, dim, width))  # type: ignore[no-untyped-call]  # torch's own
    nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


class ClipHead(nn.Module):
    """One step of outputs for each clip: a linear layer behind pooled states."""

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        pooling: Means,
        dropout: float,
        normalised: bool = False,
        projected: int | None = None,
    ) -> None:
        """Create the layer; before it, pooled states may be normalised, and projected to another width."""
        super().__init__()
        self.pooling = pooling
        features = len(pooling_parts(1, pooling)) * dim
        if projected is not None:  # transformers draws the embedding of masked frames before the heads of speech models
            torch.rand(dim)
        self.norm = nn.LayerNorm(features) if normalised else nn.Identity()
        self.projection = nn.Identity() if projected is None else _projecting(features, projected)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, width) if projected is None else _projecting(projected, width)

    def forward(self, states: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map states ``(batch, time, dim)`` of lengths ``(batch,)`` to ``(batch, 1, width)``, and lengths of 1."""
        return self.of_pooled(pool_batch(states, lengths, self.pooling)).unsqueeze(1), torch.ones_like(lengths)

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Map pooled states ``(batch, features)`` to outputs ``(batch, width)``."""
        outputs: Tensor = self.linear(self.dropout(self.projection(self.norm(pooled))))
        return outputs
