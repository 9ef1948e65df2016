"""What a tracker is told of a run, and what a tracker is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Literal, Protocol

State = Literal["finished", "failed", "killed"]


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run, as it is known when it begins."""

    name: str
    group: str | None = None  # the sweep that the run is a job of
    folder: Path
    command: str
    config: Mapping[str, object]  # the composed one: plain values, nested
    version: str  # of Wordless
    commit: str | None  # of the checkout


@dataclass(frozen=True, kw_only=True)
class TrackedTraining:
    """A training of a run."""

    name: str  # unique in the run
    key: str  # of its entry in the store


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a training curve, as trackers show it; losses per item."""

    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float | None = None  # None: the options of the training are not known
    steps_per_second: float | None = None  # since the point before, with validation; None: of a stored curve

    @property
    def values(self) -> dict[str, float]:
        """The known and finite values by name, without the step."""
        named = asdict(self)
        del named["step"]
        return {name: value for name, value in named.items() if value is not None and isfinite(value)}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to."""

    figures: Mapping[str, float]  # by names such as "lm/perplexity"
    files: Sequence[Path]  # that exist, such as the report
    pictures: Mapping[str, bytes]  # PNG by title


class Tracker(Protocol):
    """The record of one run in a library.

    Points may come twice, because a resumed run tells of earlier points again: a tracker shows each step once. Any
    method may raise any exception; the caller then gives up this tracker, and the run goes on.
    """

    def begin(self, training: TrackedTraining) -> None:
        """Take note that a training begins or is continued; all its points follow, from the first one on."""

    def add(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Add points to the curve of a training."""

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Make the curve of a training that has ended, here or in an earlier run, have exactly these steps."""

    def conclude(self, outcome: Outcome) -> None:
        """Record what the run came to, in place of what an earlier call recorded."""

    def close(self, state: State) -> None:
        """Record how the run ended, and finish all writing."""


@dataclass(frozen=True)
class TrackerKind:
    """A row of the table of trackers."""

    name: str
    _: KW_ONLY
    title: str
    modules: Callable[[], tuple[str, ...]]  # that must be installed for what the environment asks for
    extra: str | None  # of Wordless that installs them; None: the base install does
    everywhere: bool  # whether each process that trains may write by itself; else only the process that began the run
    open: Callable[[TrackedRun], Tracker]  # may be slow, and may raise any exception
