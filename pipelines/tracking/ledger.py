"""What a tracker already holds of a run, so that a resumed run logs nothing twice: ``tracking/<tracker>.json``."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.tracking.tracker import CurvePoint, TrackedRun, TrackedTraining
from wordless.base.files import write_aside
from wordless.base.json_values import find_object

FOLDER: Final = "tracking"  # in a run folder
# Options that say where and how a run computes; the same tracked run may have other values of them.
ELSEWHERE = frozenset({"name", "device", "workers", "parallel", "engine", "store", "tracking"})


@dataclass(kw_only=True)
class Ledger:
    """The points that a tracker holds of each training of one run."""

    path: Path
    options: str  # hash of the options of the run
    place: str  # where the tracker writes, such as the address of a server
    id: str | None = None  # of the run in the library; None: there is none yet
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)  # by name: key of the entry, and last step
    folder: str = ""  # of the library's own files of the run, if it has one

    @classmethod
    def read(cls, run: TrackedRun, tracker: str, *, place: str) -> "Ledger":
        """Read the ledger of a run folder; it is empty for another place, and for a run with other options."""
        empty = cls(path=run.folder / FOLDER / f"{tracker}.json", options=_options(run.config), place=place)
        found: dict[str, Any] = find_object(empty.path) or {}
        if (found.get("options"), found.get("place")) != (empty.options, place) or not _is_whole(found):
            return empty
        return cls(path=empty.path, **found)

    def begin(self, id: str, *, folder: str = "") -> None:
        """Begin anew for a run of the library that holds no points."""
        self.id, self.folder, self.curves = id, folder, {}
        self._write()

    def new(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> tuple[str, Sequence[CurvePoint]]:
        """Return the name of a training in the library, and those of its points that the library does not hold.

        A training of another entry under the same name gets a name of its own.
        """
        name = self._name(training)
        known = self.curves.get(name)
        return name, [point for point in points if known is None or point.step > known["step"]]

    def note(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Record that the library now holds these points."""
        self.curves[self._name(training)] = {"key": training.key, "step": points[-1].step}
        self._write()

    def _name(self, training: TrackedTraining) -> str:
        known = self.curves.get(training.name)
        other = known is not None and known["key"] != training.key
        return f"{training.name} {training.key[:6]}" if other else training.name

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        values = {name: value for name, value in asdict(self).items() if name != "path"}
        write_aside(self.path, json.dumps(values, indent=1) + "\n")


def _options(config: Mapping[str, object]) -> str:
    """Hash the options that decide what a run computes."""
    deciding = {name: value for name, value in config.items() if name not in ELSEWHERE}
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def _is_whole(found: Mapping[str, Any]) -> bool:
    curves = found.get("curves")
    return (
        {*found} == {"options", "place", "id", "curves", "folder"}
        and isinstance(found["id"], str)
        and isinstance(found["folder"], str)
        and isinstance(curves, dict)
        and all(isinstance(each, dict) and {*each} == {"key", "step"} for each in curves.values())
    )
