"""How far a run is: the stages that it needs, what each is expected to cost, and which are done.

All processes of a run share one file in its folder, which ``wordless runs`` reads while the run computes. Expected
costs are those of one core of the machine on which the documents were measured; costs of finished stages and the speed
of running ones correct them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.store.claims import PROGRESS
from wordless.base.files import find_object, locked, write_aside

USUAL_SECONDS = 60.0  # of work after which measured costs weigh as much as expected ones
# A stage's own speed says what is left of it from this share on, or after this time: in a minute a training of hours
# does less than the share, and its speed is known.
MEASURABLE, MEASURABLE_SECONDS = 0.02, 60.0
SECONDS_BETWEEN_WRITES = 5.0
_SECONDS_BETWEEN_LINES = 60.0


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is left of a run."""

    share: float  # of the expected cost that is done
    seconds: float  # left
    stage: str  # that takes most of them
    stage_seconds: float

    def __str__(self) -> str:
        most = f", most of it {self.stage.replace('_', ' ')}" if self.stage_seconds > self.seconds / 2 else ""
        return f"{100 * self.share:.0f} % done, {roughly(self.seconds)} left{most}"


def roughly(seconds: float) -> str:
    """Write a duration as precisely as it can be known."""
    if seconds < 90:
        return f"about {max(10 * round(seconds / 10), 10)} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} hours"


class RunProgress:
    """The shared record of a run's progress; a missing or damaged file stops no run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / PROGRESS
        self._written = 0.0
        self._reused = dict[str, dict[str, object]]()  # artifacts by key that the file does not have yet

    def begin(self, costs: Mapping[str, tuple[int, float]], *, processes: int) -> None:
        """Record the stages that the run needs: the number of artifacts of each, and the expected seconds of one.

        Up to ``processes`` stages are made at the same time.
        """
        expected = {stage: {"count": count, "seconds": seconds} for stage, (count, seconds) in costs.items()}
        record = {"expected": expected, "entries": {}, "told": time.time(), "processes": processes}
        with suppress(OSError):
            write_aside(self._file, json.dumps(record))

    def end(self) -> None:
        for file in (self._file, self._lock):
            with suppress(OSError):
                file.unlink(missing_ok=True)

    @property
    def _lock(self) -> Path:
        return self._file.with_suffix(".lock")

    def write_reused(self) -> None:
        """Write what was reused since the last write, for other processes that begin to compute."""
        if self._reused:
            self._written = time.monotonic()
            self._change(lambda record: None)

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the record, if there is a whole one, while no other process does."""
        with suppress(OSError), locked(self._lock):
            record = find_object(self._file) or {}
            if isinstance(entries := record.get("entries"), dict):
                record["entries"] = self._reused | entries
                self._reused.clear()
                change(record)
                write_aside(self._file, json.dumps(record))

    def reused(self, stage: str, key: str) -> None:
        """Record an artifact that costs nothing; one that this run made, for another fold or seed, keeps its cost.

        Many are found in a moment, so they are written from time to time, and before anything is computed.
        """
        self._reused[key] = {"stage": stage, "share": 1.0, "seconds": 0.0, "reused": True}
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.write_reused()

    def advance(self, stage: str, key: str, share: float, seconds: float) -> str:
        """Record the share of an artifact that is done after so many seconds; say from time to time what is left."""
        if self._reused or time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self._written = time.monotonic()
            self._change(lambda record: _set(record, stage, key, share=share, seconds=seconds))
        forecast = read_forecast(self._file.parent)
        return "" if forecast is None else f"run: {forecast}"

    def finish(self, stage: str, key: str, seconds: float) -> str:
        """Record a finished artifact, and say what is left if nothing was said for a minute."""
        due = False

        def change(record: dict[str, Any]) -> None:
            nonlocal due
            _set(record, stage, key, share=1.0, seconds=seconds)
            told = record.get("told")
            if due := isinstance(told, float) and time.time() - told > _SECONDS_BETWEEN_LINES:
                record["told"] = time.time()

        self._change(change)
        forecast = read_forecast(self._file.parent) if due else None
        return "" if forecast is None or forecast.seconds <= 0 else f"run       {forecast}"


def _set(record: Mapping[str, Any], stage: str, key: str, **values: object) -> None:
    record["entries"].setdefault(key, {"stage": stage}).update(values)


def read_forecast(folder: Path) -> Forecast | None:
    """Read what is left of the run in a folder; None if nobody knows."""
    record = find_object(folder / PROGRESS)
    try:
        return None if record is None else _forecast(record)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


def _forecast(record: Mapping[str, Any]) -> Forecast | None:
    expected = {stage: (int(of["count"]), float(of["seconds"])) for stage, of in record["expected"].items()}
    artifacts = list(record["entries"].values())
    costs = {stage: each for stage, (_, each) in expected.items()}
    worked = [artifact for artifact in artifacts if not artifact.get("reused") and artifact["stage"] in costs]
    usual = USUAL_SECONDS + sum(costs[artifact["stage"]] * artifact["share"] for artifact in worked)
    factor = (USUAL_SECONDS + sum(artifact["seconds"] for artifact in worked)) / usual
    left, done = dict[str, float](), 0.0
    for stage, (count, each) in expected.items():
        own = [artifact for artifact in artifacts if artifact["stage"] == stage]
        left[stage] = max(count - len(own), 0) * each * factor
        for artifact in own:
            share, seconds = float(artifact["share"]), float(artifact["seconds"])
            measurable = share > MEASURABLE or (share > 0 and seconds > MEASURABLE_SECONDS)
            left[stage] += seconds * (1 - share) / share if measurable else each * factor * (1 - share)
            done += 0.0 if artifact.get("reused") else seconds
    total = sum(left.values())
    if not expected:
        return None
    longest = max(left, key=left.__getitem__)
    seconds = max(total / max(int(record["processes"]), 1), left[longest])
    share = done / (done + total) if done + total else 1.0
    return Forecast(share=share, seconds=seconds, stage=longest, stage_seconds=left[longest])
