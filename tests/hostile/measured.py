"""Commands in a process of their own, under limits of time and memory, and what they cost."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wordless.base.errors import InputError

ROOT = Path(__file__).parents[2]
MEMORY_LIMIT = 6 << 30  # bytes that a process may allocate: what a header declares shows as a MemoryError


@dataclass(frozen=True, kw_only=True)
class Measured:
    returncode: int
    stderr: str
    peak: int  # bytes of memory held at once, at most


def measured(*words: str, seconds: float = 900) -> Measured:
    """``python words...`` in the root of the project, ended after so many seconds."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT)),
        )
        watch = threading.Timer(seconds, os.kill, (process.pid, signal.SIGKILL))
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            watch.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        told = log.read().decode(errors="replace")
    return Measured(returncode=process.returncode, stderr=told, peak=usage.ru_maxrss * 1024)


MOST_CHARACTERS = 1000  # of a message


@contextmanager
def succeeds_or_names(path: Path, refused: list[str]) -> Iterator[None]:
    """Let the block end well or in one line about ``path``, which is added to ``refused``; anything else fails."""
    message = ""
    try:
        yield
    except InputError as error:
        message = str(error)
    if message:
        assert str(path) in message, message
        assert "\n" not in message, message
        assert len(message) < MOST_CHARACTERS, message
        refused.append(message)
