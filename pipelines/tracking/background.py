"""Ways to reach a tracker that cost the run nothing: at once, or in a thread of its own, and never with an error."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from pipelines.tracking.tracker import State, TrackedRun, Tracker, TrackerKind

Job = Callable[[Tracker], None]
PATIENCE = 60.0  # seconds for the rest of the work of a run that has ended
HURRY = 10.0  # the same of a run that was killed
LONGEST_REASON = 200  # characters


class Channel(Protocol):
    """A way to reach one tracker."""

    kind: TrackerKind

    def send(self, job: Job) -> None:
        """Have the tracker do something, now or later; it never raises."""

    def close(self, state: State) -> None:
        """Have the tracker end, and wait for it."""


class Direct:
    """Calls a tracker at once. The tracker is opened by the first job, and given up after its first error."""

    def __init__(self, kind: TrackerKind, run: TrackedRun, say: Callable[[str], None]) -> None:
        """Tell the line about an error to ``say``."""
        self.kind = kind
        self._run = run
        self._say = say
        self._tracker: Tracker | None = None
        self._failed = False

    def send(self, job: Job) -> None:
        """Do the job."""
        if self._failed:
            return
        try:
            if self._tracker is None:
                self._tracker = self.kind.open(self._run)
            job(self._tracker)
        except Exception as error:  # of a library: a tracker may not cost a run
            self._failed = True
            rest = "the run goes on, and the same command adds what is missing"
            self._say(f"WARNING   {self.kind.title} tracks no more ({_reason(error)}); {rest}")

    def close(self, state: State) -> None:
        """End the tracker, if there was any job."""
        if self._tracker is not None:
            self.send(lambda tracker: tracker.close(state))


class Background:
    """Calls a tracker in a thread, because a library may wait for a network for minutes."""

    def __init__(self, kind: TrackerKind, run: TrackedRun, say: Callable[[str], None]) -> None:
        """Tell the line about an error to ``say``."""
        self.kind = kind
        self._say = say
        self._direct = Direct(kind, run, say)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def send(self, job: Job) -> None:
        """Do the job after all earlier ones."""
        if self._thread is None:
            self._thread = Thread(target=self._work, name=f"tracking {self.kind.name}", daemon=True)
            self._thread.start()
        self._jobs.put(lambda: self._direct.send(job))

    def close(self, state: State) -> None:
        """Wait for the thread as long as `PATIENCE` allows, less for a killed run."""
        if self._thread is None:
            return
        self._jobs.put(lambda: self._direct.close(state))
        self._jobs.put(None)
        seconds = HURRY if state == "killed" else PATIENCE
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._say(f"WARNING   {self.kind.title} has not ended after {seconds:g} s, and is left behind")
        self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def open_channel(kind: TrackerKind, run: TrackedRun, say: Callable[[str], None]) -> Channel:
    """Open the way to a tracker: files of this machine are written at once."""
    return Direct(kind, run, say) if kind.everywhere else Background(kind, run, say)


def _reason(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    line = " ".join(words.split())
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
