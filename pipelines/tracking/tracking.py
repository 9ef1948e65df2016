"""The trackers of one command: the table of all trackers, and what the stages and the end of a run tell them."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from importlib.util import find_spec
from itertools import count
from math import isclose
from types import FrameType

from pipelines.tracking.tracker import (
    CurvePoint,
    Mlflow,
    Outcome,
    State,
    TensorBoard,
    TrackedRun,
    TrackedTraining,
    Tracker,
    Wandb,
)
from wordless.base.errors import InputError
from wordless.base.text import suggestion
from wordless.base.values import build
from wordless.training.options import FitConfig, Point

TRACKERS: dict[str, type[Tracker]] = {kind.name: kind for kind in (TensorBoard, Mlflow, Wandb)}
LONGEST_REASON = 200  # characters
Say = Callable[[str], None]


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that do not exist, are named twice, or need a library that is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise InputError(f"tracking={name} is not a tracker; {suggestion(name, TRACKERS)}")
        if names.count(name) > 1:
            raise InputError(f"tracking names {name} twice; name each tracker once")
        kind = TRACKERS[name]
        if missing := [module for module in kind.needs() if find_spec(module) is None]:
            install = f"pip install 'wordless[{kind.extra}]'" if kind.extra else "make install"
            raise InputError(f"tracking={name} needs {' and '.join(missing)}, not installed here: {install}")


class Channel:
    """The way to one tracker, which is opened when there is something to track, and given up after its first error."""

    def __init__(self, kind: type[Tracker], run: TrackedRun, say: Say) -> None:
        """Tell the line about an error to ``say``."""
        self.kind = kind
        self._run, self._say = run, say
        self._tracker: Tracker | None = None
        self._failed = False
        self._curves: dict[TrackedTraining, tuple[str, int]] = {}  # name in the library, and last step

    def add(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Add the points of a training that the library does not hold; ``points`` are all points so far."""

        def work(tracker: Tracker) -> None:
            name, last = self._curves.get(training) or _find_curve(tracker, training, points)
            if new := [point for point in points if point.step > last]:
                tracker.add(name, new)
                last = new[-1].step
            self._curves[training] = name, last

        self._do(work)

    def conclude(self, outcome: Outcome) -> None:
        self._do(lambda tracker: tracker.conclude(outcome))

    def close(self, state: State) -> None:
        """End the tracker, if there was anything to track."""
        if self._tracker is not None:
            self._do(lambda tracker: tracker.close(state))

    def _do(self, work: Callable[[Tracker], None]) -> None:
        if self._failed:
            return
        try:
            if self._tracker is None:
                self._tracker = self.kind(self._run)
            work(self._tracker)
        except Exception as error:  # of a library: a tracker may not cost a run
            self._failed = True
            words = error.strerror if isinstance(error, OSError) else ""
            line = " ".join((words or f"{type(error).__name__}: {error}").split())
            reason = line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
            rest = "the run goes on, and the same command adds what is missing"
            self._say(f"WARNING   {self.kind.title} tracks no more ({reason}); {rest}")


def _find_curve(tracker: Tracker, training: TrackedTraining, points: Sequence[CurvePoint]) -> tuple[str, int]:
    """Return the name of a training's curve in a library, and the last step that the library holds of it.

    If the library holds other losses under the name, such as those of other weights in a folder that is used again, the
    curve gets a name of its own.
    """
    losses, name = {point.step: point.train_loss for point in points}, training.name
    for number in count(1):
        held = tracker.held(name)
        if all(isclose(loss, losses.get(step, loss), rel_tol=1e-5) for step, loss in held):  # some hold 32 bits
            break
        name = f"{training.name} {training.key[:6]}{f' {number}' if number > 1 else ''}"
    return name, max((step for step, _ in held), default=-1)


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """The trackers of a run. No method raises."""

    channels: tuple[Channel, ...] = ()
    run: TrackedRun | None = None  # None: nothing is tracked

    def watch(self, training: TrackedTraining, fit: FitConfig) -> "LiveCurve":
        """Begin to track a training that this process carries out or continues."""
        return LiveCurve(fit, partial(self.complete, training))

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Have each tracker hold the curve of a training up to its last point."""
        for channel in self.channels:
            channel.add(training, points)

    def conclude(self, outcome: Outcome) -> None:
        for channel in self.channels:
            channel.conclude(outcome)

    def close(self, state: State) -> None:
        """Say how the run ended, and wait for the trackers."""
        for channel in self.channels:
            channel.close(state)

    @property
    def elsewhere(self) -> "Callable[[Say], Tracking]":
        """A function that opens, in another process, the trackers that this process can reach."""
        names = tuple(each.kind.name for each in self.channels if each.kind.everywhere)
        return partial(open_trackers, names, self.run)


NO_TRACKING = Tracking()


def open_trackers(names: Sequence[str], run: TrackedRun | None, say: Say) -> Tracking:
    """Open trackers by name; each warning is one line for ``say``. Without a run, nothing is tracked."""
    if run is None:
        return NO_TRACKING
    return Tracking(channels=tuple(Channel(TRACKERS[name], run, say) for name in names), run=run)


class LiveCurve:
    """The points of a training that goes on, with its learning rate and its speed."""

    def __init__(self, fit: FitConfig, show: Callable[[Sequence[CurvePoint]], None]) -> None:
        """Pass all points so far to ``show`` whenever there is a new one."""
        self._fit, self._show = fit, show
        self._points: list[CurvePoint] = []
        self._before: tuple[int, float] | None = (0, time.monotonic())  # step and time of the point before

    def resume(self, points: Sequence[Point]) -> None:
        """Take the points of an earlier attempt; the next point has no speed, because some of its steps are older."""
        self._points = [curve_point(point, self._fit) for point in points]
        self._before = None
        if points:
            self._show(self._points)

    def add(self, point: Point) -> None:
        step, now = point["step"], time.monotonic()
        speed = (step - self._before[0]) / max(now - self._before[1], 1e-9) if self._before else None
        self._before = step, now
        self._points.append(curve_point(point, self._fit, steps_per_second=speed))
        self._show(self._points)


def stored_points(curve: Sequence[Point], options: object) -> list[CurvePoint]:
    """Return the points of a stored curve; ``options`` are those of the training in the recipe of its entry."""
    fit, known = None, {field.name for field in fields(FitConfig)}
    if curve and isinstance(options, Mapping):  # a training without steps has no curve
        fit = build(FitConfig, {name: value for name, value in options.items() if name in known}, name="fit")
    return [curve_point(point, fit) for point in curve]


def curve_point(point: Point, fit: FitConfig | None, *, steps_per_second: float | None = None) -> CurvePoint:
    """Return a point with the learning rate of its last step."""
    return CurvePoint(
        step=point["step"],
        train_loss=point["train_loss"],
        validation_loss=point["validation_loss"],
        learning_rate=fit.learning_rate(point["step"] - 1) if fit else None,
        steps_per_second=steps_per_second,
    )


class Terminated(SystemExit):
    """SIGTERM, as a cluster sends it to a job."""


@contextmanager
def tracked(tracking: Tracking) -> Iterator[Tracking]:
    """Close the trackers when the block ends, with the state that its end stands for.

    SIGTERM is raised as `Terminated` if there is a tracker of a network, which would show the run as running. A signal
    that somebody else handles or ignores is left alone.
    """
    remote = not all(channel.kind.everywhere for channel in tracking.channels)
    ours = remote and threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    state: State = "failed"
    terminated = False
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield tracking
        state = "finished"
    except (KeyboardInterrupt, SystemExit) as error:
        state, terminated = "killed", isinstance(error, Terminated)
        raise
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        tracking.close(state)
        if terminated:
            os.kill(os.getpid(), signal.SIGTERM)
