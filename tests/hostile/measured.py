"""Commands in a process of their own, under limits of time and memory, and what they cost."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from wordless.base.messages import InputError

ROOT = Path(__file__).parents[2]
MEMORY_LIMIT = 6 << 30  # bytes that a process may allocate: what a header declares shows as a MemoryError


@dataclass(frozen=True, kw_only=True)
class Measured:
    returncode: int
    stderr: str
    peak: int  # bytes of memory held at once, at most


def measured(*words: str, seconds: float = 900) -> Measured:
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


DEVICES = ("zero", "random", "urandom", "null", "full", "tty")


def write_special_files(folder: Path) -> dict[str, str]:
    """Write one of each kind into ``folder``: names, each with a word that the reason against it holds."""
    os.mkfifo(folder / "pipe.wav")
    (folder / "link_to_pipe.flac").symlink_to("pipe.wav")
    _write_socket(folder, "socket.wav")
    (folder / "folder.wav").mkdir()
    (folder / "loop_1.wav").symlink_to("loop_2.wav")
    (folder / "loop_2.wav").symlink_to("loop_1.wav")
    (folder / "itself.wav").symlink_to("itself.wav")
    (folder / "broken.wav").symlink_to("nowhere.wav")
    (folder / "through_a_file.wav").symlink_to("pipe.wav/deeper.wav")
    devices = [name for name in DEVICES if Path("/dev", name).exists()]
    for name in devices:
        (folder / f"{name}.wav").symlink_to(f"/dev/{name}")
    return {
        "pipe.wav": "named pipe", "link_to_pipe.flac": "named pipe", "socket.wav": "socket", "folder.wav": "folder",
        "loop_1.wav": "symbolic links", "loop_2.wav": "symbolic links", "itself.wav": "symbolic links",
        "broken.wav": "a link to nowhere.wav", "through_a_file.wav": "Not a directory",
        **{f"{name}.wav": "device" for name in devices},
    }  # fmt: skip


def _write_socket(folder: Path, name: str) -> None:
    """A socket's path may have 107 bytes at most: it is bound from within the folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)
    finally:
        os.chdir(before)


@contextmanager
def at_most_seconds(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
