"""The trackers of one command: what the stages and the end of a run tell them."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from pipelines.tracking.background import Channel, Job, open_channel
from pipelines.tracking.curves import LiveCurve
from pipelines.tracking.table import TRACKERS
from pipelines.tracking.tracker import CurvePoint, Outcome, State, TrackedRun, TrackedTraining
from wordless.training.options import FitConfig


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """The trackers of a run. No method raises, and none waits for a network but `close`."""

    channels: tuple[Channel, ...] = ()
    run: TrackedRun | None = None  # None: nothing is tracked

    def watch(self, training: TrackedTraining, fit: FitConfig) -> LiveCurve:
        """Begin to track a training that this process carries out or continues."""
        self._send(lambda tracker: tracker.begin(training))
        return LiveCurve(fit, lambda points: self._send(lambda tracker: tracker.add(training, points)))

    def complete(self, training: TrackedTraining, points: Sequence[CurvePoint]) -> None:
        """Give the whole curve of a finished training."""
        self._send(lambda tracker: tracker.complete(training, points))

    def conclude(self, outcome: Outcome) -> None:
        """Give what the run came to."""
        self._send(lambda tracker: tracker.conclude(outcome))

    def close(self, state: State) -> None:
        """Say how the run ended, and wait for the trackers."""
        for channel in self.channels:
            channel.close(state)

    @property
    def of_this_process(self) -> "Tracking":
        """The trackers that other processes cannot reach."""
        return replace(self, channels=tuple(each for each in self.channels if not each.kind.everywhere))

    @property
    def elsewhere(self) -> "TrackedElsewhere | None":
        """What another process needs to open those trackers that it can reach by itself."""
        names = tuple(each.kind.name for each in self.channels if each.kind.everywhere)
        return TrackedElsewhere(run=self.run, names=names) if self.run else None

    def _send(self, job: Job) -> None:
        for channel in self.channels:
            channel.send(job)


@dataclass(frozen=True, kw_only=True)
class TrackedElsewhere:
    """A run and its trackers, as another process opens them."""

    run: TrackedRun
    names: tuple[str, ...]

    def open(self, say: Callable[[str], None]) -> Tracking:
        """Open the trackers in this process."""
        return open_trackers(self.names, self.run, say)


NO_TRACKING = Tracking()


def open_trackers(names: Sequence[str], run: TrackedRun, say: Callable[[str], None]) -> Tracking:
    """Open trackers by name; each warning is one line for ``say``."""
    return Tracking(channels=tuple(open_channel(TRACKERS[name], run, say) for name in names), run=run)


@contextmanager
def tracked(tracking: Tracking) -> Iterator[Tracking]:
    """Close the trackers when the block ends, with the state that its end stands for."""
    try:
        with _told_of_termination(tracking):
            yield tracking
    except (KeyboardInterrupt, SystemExit):
        tracking.close("killed")
        raise
    except BaseException:
        tracking.close("failed")
        raise
    tracking.close("finished")


@contextmanager
def _told_of_termination(tracking: Tracking) -> Iterator[None]:
    """Close trackers of a network before SIGTERM ends this process, as a cluster sends it to a job.

    A signal that somebody else handles or ignores is left alone.
    """
    ours = threading.current_thread() is threading.main_thread() and bool(tracking.of_this_process.channels)
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        tracking.close("killed")
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
