"""Work in another thread that waits for the lock of `wordless.base.files`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from wordless.base.files import compiling

SOON = 60.0  # seconds


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[threading.Event]:
    """Run ``work`` in a thread; the event is set when it has ended."""
    ended = threading.Event()

    def run() -> None:
        work()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    yield ended
    thread.join()


def assert_waits(work: Callable[[], object], done: Callable[[], object]) -> None:
    """Assert that ``work`` is not ``done`` before the lock is released, and is afterwards."""
    with ExitStack() as stack:
        with compiling():
            ended = stack.enter_context(beside(work))
            waited = not ended.wait(0.5) and not done()
        assert ended.wait(SOON)
    assert waited
    assert done()
