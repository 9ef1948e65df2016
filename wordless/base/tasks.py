"""What a pool is: workers that compute tasks, each a function of some clips, on one thread."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from wordless.base.threads import one_thread

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Task(Protocol[R_co]):
    """Some clips that a worker computes."""

    def result(self) -> Sequence[R_co]:
        """Wait for the results of the clips, in order."""

    def cancel(self) -> object:
        """Give up the task if no worker has begun it."""


class Pool(Protocol):
    """Workers that compute tasks."""

    @property
    def workers(self) -> int:
        """The number of tasks that are computed at the same time."""

    @property
    def ahead(self) -> int:
        """The largest number of tasks of which no result has been taken."""

    @property
    def most_clips(self) -> int:
        """The largest number of clips of a task."""

    def submit(self, work: Callable[[T], R], jobs: Sequence[T]) -> Task[R]:
        """Let a worker compute the results of ``work`` for each job."""


def compute(work: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """Return the results of ``work`` for each job, computed on one thread: what every worker does."""
    with one_thread():
        return [work(job) for job in jobs]
