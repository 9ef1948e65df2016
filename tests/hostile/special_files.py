"""Files that are no regular files, such as named pipes and links to devices, with the names of recordings."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

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
        "pipe.wav": "named pipe",
        "link_to_pipe.flac": "named pipe",
        "socket.wav": "socket",
        "folder.wav": "folder",
        "loop_1.wav": "symbolic links",
        "loop_2.wav": "symbolic links",
        "itself.wav": "symbolic links",
        "broken.wav": "No such file",
        "through_a_file.wav": "Not a directory",
        **{f"{name}.wav": "device" for name in devices},
    }


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
    """Fail instead of waiting for ever for a file that never ends."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
