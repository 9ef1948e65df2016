"""What a tracker is told of a run, and what a tracker is."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import ClassVar, Final, Literal
from uuid import uuid4

from wordless.base.files import write_aside
from wordless.base.values import find_object

State = Literal["finished", "failed", "killed"]
FOLDER: Final = "tracking"  # in a run folder
# Options that say where and how a run computes; the same tracked run may have other values of them.
ELSEWHERE = frozenset({"name", "device", "workers", "parallel", "engine", "store", "tracking"})


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

    def find_id(self) -> str:
        """Return the id of the run in libraries, from its folder; other options in the same folder get a new id."""
        deciding = {name: value for name, value in self.config.items() if name not in ELSEWHERE}
        options = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / FOLDER / "id.json"
        found = find_object(path) or {}
        if found.get("options") == options and isinstance(known := found.get("id"), str):
            return known
        path.parent.mkdir(parents=True, exist_ok=True)
        new = uuid4().hex
        write_aside(path, json.dumps({"options": options, "id": new}) + "\n")
        return new


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
        known = {name: value for name, value in asdict(self).items() if value is not None and isfinite(value)}
        return {name: value for name, value in known.items() if name != "step"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to."""

    figures: Mapping[str, float]  # by names such as "lm/perplexity"
    files: Sequence[Path]  # that exist, such as the report
    pictures: Mapping[str, bytes]  # PNG by title


class Tracker(ABC):
    """The record of one run in a library. Any method may raise any exception: the run then gives up this tracker."""

    name: ClassVar[str]  # in the option tracking
    title: ClassVar[str]
    extra: ClassVar[str | None] = None  # of Wordless that installs what it needs; None: the base install does
    modules: ClassVar[tuple[str, ...]] = ()  # that must be installed
    everywhere: ClassVar[bool] = False  # whether each process that trains may write; else only that which began the run

    @classmethod
    def needs(cls) -> tuple[str, ...]:
        """Name the modules that must be installed for what the environment asks for."""
        return cls.modules

    @abstractmethod
    def __init__(self, run: TrackedRun) -> None:
        """Begin the record of a run, or find that of an earlier call; may be slow."""

    @abstractmethod
    def held(self, curve: str) -> Sequence[tuple[int, float]]:
        """Return steps and training losses of a curve that the library holds of an earlier call, in order."""

    @abstractmethod
    def add(self, curve: str, points: Sequence[CurvePoint]) -> None:
        """Append points to a curve."""

    @abstractmethod
    def conclude(self, outcome: Outcome) -> None:
        """Record what the run came to, in place of what an earlier call recorded."""

    @abstractmethod
    def close(self, state: State) -> None:
        """Record how the run ended, and finish all writing."""
