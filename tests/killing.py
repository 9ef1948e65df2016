"""Commands in processes that begin at once and are killed: at a moment, at a file event, or in the middle of a file.

A server process imports everything once and forks a process for each call, so a call costs no imports. The process
that is to be killed watches what it does to files through Python's audit events. Libraries that open files natively
raise none: their entry points are wrapped so that they raise the same event as Python's own ``open``.

A kill in the middle of a file is the kernel's work: at the event the process limits the size of the files that it may
write, and the kernel ends it with SIGXFSZ when a file has grown so far. Nothing can be cleaned up, as with SIGKILL.
"""

import ctypes
import fnmatch
import importlib
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

# The server has run no thread when it forks.
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = (
    *("pipelines.jobs.run_chain", "pipelines.commands", "pipelines.jobs.sweep_runs", "pipelines.jobs.coding"),
    *("pipelines.jobs.speaking", "pipelines.jobs.embedding", "pipelines.pages.report", "pipelines.pages.sweep_page"),
    *("torch.utils.tensorboard", "torch._dynamo", "fairseq2.models.transformer_lm", "conf", "omegaconf._impl"),
    *("hydra.core.utils", "hydra._internal.hydra", "hydra._internal.config_loader_impl", "vocoder.numba_streams"),
    *("tests.librosa_import", "scipy.signal", "pystoi", "sklearn.linear_model", "rich.progress", "matplotlib.pyplot"),
    *("espeakng_loader", "tests.killing", "tests.pipelines.tiny_chain"),
)
PROCESSES.set_forkserver_preload([*PRELOADED])

# Entry points of libraries that open files natively, and the place of the path among their arguments.
NATIVE_WRITERS = (
    ("safetensors.torch", "serialize_file", 1),
    ("safetensors.numpy", "serialize_file", 1),
    ("torch._C", "PyTorchFileWriter", 0),
    ("pyarrow.parquet.core", "ParquetWriter.__init__", 1),
    ("soundfile", "SoundFile._open", 1),
)
SOUNDFILE_WRITES = 0x20  # a bit of the third argument of SoundFile._open, which reads as well
SECONDS_TO_END = 300.0


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A signal that the process sends to itself when something happens to a file whose path fits the pattern.

    It comes before the file is opened for writing, renamed or removed, or before the folder is made or removed. With
    ``written`` it comes later: when a file that the process writes from then on holds so many bytes.
    """

    path: str = "*"  # below the watched folder; a rename counts under the name it leads to
    count: int = 1  # the signal comes at the so-manieth event
    written: int | None = None  # bytes
    signal: int = signal.SIGKILL

    def ended(self, code: int) -> bool:
        """Whether a process with this exit code was ended by this kill."""
        return code == (-self.signal if self.written is None else -signal.SIGXFSZ)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a process is about to do to a file."""

    kind: str  # open | rename | mkdir | remove
    path: str  # absolute
    source: str = ""  # of a rename: the name before it


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int  # exit code; negative: the signal that ended the process
    told: str  # what it and its processes wrote on stdout and stderr
    seconds: float


class Call:
    """``wordless <command> words...`` in a process of its own, in the folder ``place``."""

    def __init__(
        self, command: str, *words: str, place: Path, kill: Kill | None = None, trace: Path | None = None
    ) -> None:
        self.begun = time.monotonic()
        self._told: list[bytes] = []
        reading, writing = PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(target=_call, args=(command, words, place, writing, kill, trace))
        self._process.start()
        writing.close()
        self._reader = Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def end(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def wait(self, seconds: float = SECONDS_TO_END) -> Ended:
        """Wait until the process and all processes that it began have ended.

        Raises:
            TimeoutError: one of them still runs.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self._process.kill()
            raise TimeoutError(f"process {self.pid} still runs after {seconds:g} s; it said: {self.told}")
        ended = time.monotonic()
        self._reader.join(seconds)
        if self._reader.is_alive():
            raise TimeoutError(f"process {self.pid} has ended, but a process that it began lives: {self.told}")
        return Ended(code=self._process.exitcode, told=self.told, seconds=ended - self.begun)

    def ended_within(self, seconds: float) -> bool:
        """Whether the process ends within so many seconds."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def children(self, called: str) -> list[int]:
        """Ids of the processes that it began whose command line holds ``called``."""
        found = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in found if called.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]

    @property
    def told(self) -> str:
        """What the processes have written on stdout and stderr so far."""
        return b"".join(self._told).decode(errors="replace")

    def _read(self, reading: Connection) -> None:
        with reading:
            while block := os.read(reading.fileno(), 1 << 16):
                self._told.append(block)


def call(command: str, *words: str, place: Path, kill: Kill | None = None, trace: Path | None = None) -> Ended:
    """`Call`, to its end."""
    return Call(command, *words, place=place, kill=kill, trace=trace).wait()


def _call(
    command: str, words: tuple[str, ...], place: Path, writing: Connection, kill: Kill | None, trace: Path | None
) -> None:
    for stream in (1, 2):
        os.dup2(writing.fileno(), stream)
    writing.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background processes ignore it
    os.chdir(place)
    if kill:
        arm(place, kill)
    if trace:
        record(place, trace)
    sys.argv = ["wordless", command, *words]
    importlib.import_module("pipelines.cli").main()


def arm(root: Path, kill: Kill) -> None:
    """Have this process killed when it does to files below ``root`` what ``kill`` says."""
    seen, prefix = 0, f"{root.absolute()}/"

    def strike(event: Event) -> None:
        nonlocal seen
        if not event.path.startswith(prefix) or not fnmatch.fnmatchcase(event.path.removeprefix(prefix), kill.path):
            return
        seen += 1
        if seen != kill.count:
            return
        if kill.written is None:
            os.kill(os.getpid(), kill.signal)
        else:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGXFSZ})
            _default_action(signal.SIGXFSZ)
            resource.setrlimit(resource.RLIMIT_FSIZE, (kill.written, kill.written))

    _watch(strike)


def record(root: Path, trace: Path) -> None:
    """Append what this process does to files below ``root`` to ``trace``: a JSON object a line."""
    prefix = f"{root.absolute()}/"
    handle = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(event: Event) -> None:
        if event.path.startswith(prefix):
            path, source = event.path.removeprefix(prefix), event.source.removeprefix(prefix)
            size = Path(event.source).stat().st_size if source else 0
            line = {"kind": event.kind, "path": path, "source": source, "size": size}
            os.write(handle, f"{json.dumps(line)}\n".encode())

    _watch(write)


def _watch(act: Callable[[Event], None]) -> None:
    def watch(name: str, arguments: tuple[object, ...]) -> None:
        if event := _event(name, arguments):
            act(event)

    sys.addaudithook(watch)
    for module, name, place in NATIVE_WRITERS:
        _announce(module, name, place)


def _event(name: str, arguments: tuple[object, ...]) -> Event | None:
    """The file event behind an audit event."""
    match name, arguments:
        case "open", (str() | os.PathLike() as path, _, int() as flags) if flags & (os.O_WRONLY | os.O_RDWR):
            return Event(kind="open", path=_absolute(path))
        case "os.rename", (str() | os.PathLike() as source, str() | os.PathLike() as path, *_):
            return Event(kind="rename", path=_absolute(path), source=_absolute(source))
        case "os.mkdir", (str() | os.PathLike() as path, _, int() as folder):
            return Event(kind="mkdir", path=_absolute(path, folder))
        case "os.remove" | "os.rmdir", (str() | os.PathLike() as path, int() as folder):
            return Event(kind="remove", path=_absolute(path, folder))
        case _:
            return None


def _absolute(path: str | os.PathLike[str], folder: int = -1) -> str:
    """An absolute path; a relative one may be meant below an open folder, as `shutil.rmtree` does."""
    return str(Path(f"/proc/self/fd/{folder}").readlink() / path if folder >= 0 else Path(path).absolute())


def _announce(module: str, name: str, place: int) -> None:
    """Let a native writer raise the event that `open` raises."""
    *above, name = name.split(".")
    owner = reduce(getattr, above, importlib.import_module(module))
    native = getattr(owner, name)

    def announced(*arguments: Any, **named: Any) -> Any:
        path = arguments[place] if len(arguments) > place else None
        if isinstance(path, (str, bytes, os.PathLike)) and (name != "_open" or arguments[2] & SOUNDFILE_WRITES):
            sys.audit("open", os.fsdecode(path), "w", os.O_WRONLY)
        return native(*arguments, **named)

    setattr(owner, name, announced)


def _default_action(number: int) -> None:
    """Let a signal end the process; Python ignores SIGXFSZ, and only its main thread may change that."""
    ctypes.CDLL(None).signal(number, 0)
