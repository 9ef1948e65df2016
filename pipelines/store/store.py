"""The store: the result of each stage, under a key of everything that decides it.

An artifact is a folder ``<root>/<stage>/<key>``, written as ``<key>.partial`` and renamed when complete. A killed run
leaves the partial folder, and ``<key>.checkpoints``, which outlives the rename, so nothing is trained twice.
``entry.json`` has what decides the artifact and the hash of each file. ``timings.json``, the only file that may differ
between two runs, has costs and the stamps of the files, which are hashed again only if these differ.
"""

import hashlib
import json
import math
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from wordless.base.files import (
    MARK,
    NO_PERMISSION,
    file_hash,
    file_stamp,
    find_object,
    flush_folder,
    locked,
    move_folder,
    remove,
    write_aside,
)
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from wordless.base.versions import library_versions

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ENTRY, TIMINGS, BEGUN = "entry.json", "timings.json", "begun.json"  # the last one among checkpoints
SYNTHESISED, UNPACKED = "embedded", "datasets"  # folders of recordings: the built-in corpus, unpacked data sets
MADE = {"embedded": SYNTHESISED, "dataset": UNPACKED}  # source of recordings -> the folder that it writes them to
CURVE = "curve.json"  # of a training: its losses, and how often it read its recordings
# Of keys and files of every artifact, in the store's mark: raise it when no stored artifact can be used after a change.
FORMAT = "wordless store 1\n"
RESET_PEAK = "5"  # value that resets the peak of resident memory, see Linux's proc(5)


@dataclass(frozen=True, kw_only=True)
class StoreConfig(Options):
    root: Path = option(Path("store"), "folder of the store")


@dataclass(frozen=True, kw_only=True)
class StoreOptions(Options):
    store: StoreConfig = option(StoreConfig(), "finished stages, which later or killed commands reuse")


@dataclass(frozen=True)
class CacheKey:
    """Everything that decides the result of a stage; not devices, workers, paths and logging."""

    stage: str
    version: int  # of the stage's code
    arguments: Mapping[str, object]  # in JSON, by name; of artifacts their keys

    @property
    def record(self) -> dict[str, object]:
        """The fields by name."""
        return {"stage": self.stage, "version": self.version, "arguments": self.arguments}

    @cached_property
    def digest(self) -> str:
        """Hash of the fields, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class CachedArtifact:
    """An artifact of the store, complete or still to be made by a `pipelines.store.stage.TaskGraph`."""

    stage: str
    key: str
    place: Path  # of its folder, once it is made
    reused: bool  # found, not made, by this run
    make: Callable[[], object] | None = field(default=None, repr=False, compare=False)  # of an artifact of a graph

    @property
    def folder(self) -> Path:
        """The folder of the artifact, which is made first if a graph has not made it yet."""
        if self.make is not None:
            self.make()
        return self.place

    def __getstate__(self) -> dict[str, object]:
        """Leave the graph out, which other processes do not know."""
        return {**vars(self), "make": None}

    def read_json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text())
        return content

    def read_rows(self, name: str, part: str) -> list[Any]:
        """Read a list of a JSON object; empty if it is missing."""
        rows = self.read_json(name).get(part, [])
        return rows if isinstance(rows, list) else []

    @property
    def arguments(self) -> dict[str, Any]:
        """What decided the artifact, by the names of the stage's arguments, in JSON."""
        arguments: dict[str, Any] = self.read_json(ENTRY)["arguments"]
        return arguments

    @cached_property
    def costs(self) -> dict[str, float]:
        """Seconds, processor seconds and peak memory in bytes of making the artifact; 0 if the record is lost."""
        return _costs(find_object(self.folder / TIMINGS) or {})


def some_options(config: "DataclassInstance", *names: str) -> dict[str, object]:
    """Return some options of a config by name, for a stage that reads only these."""
    return {name: getattr(config, name) for name in names}


def other_options(config: "DataclassInstance", *names: str) -> dict[str, object]:
    """Return all options of a config by name but some, which do not decide the result of a stage."""
    return {each.name: getattr(config, each.name) for each in fields(config) if each.name not in names}


@dataclass(frozen=True)
class Store:
    """Artifacts below one root folder, which any number of processes may share."""

    root: Path

    def mark(self) -> None:
        """Mark the store as one of this format; sounds in marked folders are no recordings of the user."""
        self.require_format()
        if not self._is_marked():
            with suppress(OSError):  # a store that may not be written
                self.root.mkdir(parents=True, exist_ok=True)
                write_aside(self.root / MARK, FORMAT)

    def require_format(self) -> None:
        """Refuse a store with artifacts whose mark names another format, or none."""
        # The mark is read again, because another process may have marked the store and written the artifact meanwhile.
        if not self._is_marked() and any(self.root.glob(f"*/*/{ENTRY}")) and not self._is_marked():
            rule = "it is a store of another version of Wordless"
            remedy = f"delete it (rm -r {quote(str(self.root))}), or name another folder"
            raise InputError(option="store.root", value=self.root, rule=rule, remedy=remedy)

    def _is_marked(self) -> bool:
        with suppress(FileNotFoundError):
            return (self.root / MARK).read_text(errors="replace") == FORMAT
        return False

    def folder(self, cache_key: CacheKey) -> Path:
        return self.root / cache_key.stage / cache_key.digest

    def artifact(self, cache_key: CacheKey, *, reused: bool) -> CachedArtifact:
        """Return the artifact of ``cache_key``, which is there or will be."""
        return CachedArtifact(stage=cache_key.stage, key=cache_key.digest, place=self.folder(cache_key), reused=reused)

    def partial(self, cache_key: CacheKey) -> Path:
        """Return the folder in which the artifact of ``cache_key`` is written until it is complete."""
        return self.folder(cache_key).with_suffix(".partial")

    def find(self, cache_key: CacheKey) -> CachedArtifact | None:
        """Find the artifact of ``cache_key``; None if it has not been made. Missing or changed files are refused."""
        self.require_format()
        folder = self.folder(cache_key)
        if not folder.exists():
            return None
        recorded: dict[str, Any] = find_object(folder / ENTRY) or {}
        timings = find_object(folder / TIMINGS) or {}
        stamps = _stamps(folder, recorded)
        if fault := _fault(folder, recorded, timings, stamps):
            raise InputError(f"{fault} since the {cache_key.stage} stage wrote it: delete {folder} and run again")
        libraries, current = recorded["libraries"], library_versions()
        if libraries != current:
            others = [f"{name} {version}" for name, version in libraries.items() if current.get(name) != version]
            remedy = "delete it to make it again with what is installed now"
            warnings.warn(f"{folder} was made with {', '.join(others) or 'fewer libraries'}; {remedy}", stacklevel=2)
        if not timings:
            warnings.warn(
                f"{folder / TIMINGS} was missing or damaged: what the artifact cost counts as 0", stacklevel=2
            )
        with suppress(OSError):  # a read-only store
            if timings.get("files") != stamps:  # or files that were copied
                write_json(folder / TIMINGS, {**_costs(timings), "files": stamps})
        # Left by a run that was killed after the rename. They go only now that the artifact is known to be whole: of a
        # damaged one, which the user deletes, a training would resume from them.
        shutil.rmtree(checkpoints_of(folder), ignore_errors=True)
        return CachedArtifact(stage=cache_key.stage, key=cache_key.digest, place=folder, reused=True)

    @contextmanager
    def making(self, cache_key: CacheKey) -> Iterator[Path]:
        """Give the partial folder, with what a killed run finished; it becomes the artifact when the block ends."""
        self.mark()
        partial, checkpoints = self.partial(cache_key), checkpoints_of(self.folder(cache_key))
        partial.mkdir(parents=True, exist_ok=True)
        checkpoints.mkdir(exist_ok=True)
        for path in partial.iterdir():
            if path.is_dir() or not _is_finished(path):
                remove(path)
        with _measured(checkpoints) as costs:
            yield partial
        # Listed before the two records are written: these do not name themselves. The rename comes after both, so a
        # folder of this name always has them.
        names = sorted(str(path.relative_to(partial)) for path in partial.rglob("*") if path.is_file())
        hashes, stamps = ({name: of(partial / name) for name in names} for of in (file_hash, file_stamp))
        write_json(partial / ENTRY, {**cache_key.record, "libraries": library_versions(), "files": hashes})
        write_json(partial / TIMINGS, {**costs, "files": stamps})
        move_folder(partial, self.folder(cache_key))
        flush_folder(self.folder(cache_key).parent)
        # After the rename is on the disk: a run that is killed in between finds the artifact, and in the other order it
        # would train again.
        shutil.rmtree(checkpoints, ignore_errors=True)

    @contextmanager
    def locked(self, cache_key: CacheKey, waiting: Callable[[CacheKey], None]) -> Iterator[None]:
        """Hold the artifact's lock, after a call of ``waiting`` if another process holds it.

        A complete artifact of a read-only store needs none.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.folder(cache_key).with_suffix(".lock"), lambda: waiting(cache_key)))
            except OSError as error:
                if error.errno not in NO_PERMISSION or not self.folder(cache_key).is_dir():
                    raise
            yield


def note_finished(file: Path) -> None:
    """Record the hash of a finished file of a partial artifact, so that a resumed run finds it there.

    Call it after the file is written: a file without a note, or with that of other bytes, is made again.
    """
    write_aside(_note(file), file_hash(file))


def _is_finished(file: Path) -> bool:
    """Return whether a file of a partial artifact is unchanged since `note_finished`."""
    try:
        return _note(file).read_text() == file_hash(file)
    except (OSError, ValueError):
        return False


def _note(file: Path) -> Path:
    return checkpoints_of(file.parent) / f"{file.name}.sha256"


def checkpoints_of(folder: Path) -> Path:
    """Return the folder of an artifact's checkpoints, which exists until the artifact is complete."""
    return folder.with_suffix(".checkpoints")


def _stamps(folder: Path, recorded: Mapping[str, object]) -> dict[str, list[int]]:
    """Return the stamps of those files of an artifact that are there."""
    files = recorded.get("files")
    names = files if isinstance(files, dict) else {}
    return {name: file_stamp(folder / name) for name in names if (folder / name).is_file()}


def _fault(
    folder: Path, recorded: Mapping[str, Any], timings: Mapping[str, object], stamps: Mapping[str, list[int]]
) -> str:
    """Name a file of an artifact that is missing or has changed, or ""; files of the same stamp are not hashed."""
    decides = {name: recorded.get(name) for name in ("stage", "version", "arguments")}
    files = recorded.get("files")
    if not (folder / ENTRY).is_file():
        return f"{folder / ENTRY} is missing"
    if (
        not isinstance(files, dict)
        or not files
        or not isinstance(recorded.get("libraries"), dict)
        or CacheKey(**decides).digest != folder.name  # type: ignore[arg-type]  # whatever the file holds
    ):
        return f"{folder / ENTRY} has changed"
    before = timings.get("files")
    known = before if isinstance(before, dict) else {}
    for name, wanted in files.items():
        if name not in stamps:
            return f"{folder / name} is missing"
        if known.get(name) != stamps[name] and file_hash(folder / name) != wanted:
            return f"{folder / name} has changed"
    return ""


@contextmanager
def _measured(checkpoints: Path) -> Iterator[dict[str, float]]:
    """Measure ``seconds``, with those of killed runs up to their last checkpoint, and ``peak_memory`` in bytes.

    Also ``cpu_seconds``, of all threads and finished processes of this run: they depend little on what else the machine
    does. Those of a killed run are not known, and count as much of its seconds as in this run.
    """
    costs, started, begun = dict[str, float](), time.monotonic(), find_object(checkpoints / BEGUN) or {}
    worked = cpu_seconds()
    before, since = _number(begun.get("seconds")), _number(begun.get("time"))
    if since:  # of an earlier attempt; read before `BEGUN` is written, which would be the newest file
        before += max(*(path.lstat().st_mtime - since for path in checkpoints.iterdir()), 0.0)
    write_json(checkpoints / BEGUN, {"seconds": before, "time": time.time()})
    with suppress(OSError):  # not Linux, or no permission
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    yield costs
    passed, worked = time.monotonic() - started, cpu_seconds() - worked
    worked += before * worked / max(passed, 1e-9)
    costs.update(seconds=before + passed, cpu_seconds=worked, peak_memory=peak_memory())


def cpu_seconds() -> float:
    """Return the processor time of this process, all its threads, and its finished processes, in seconds."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_memory() -> float:
    """Return the most resident memory of this process, in bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1024 if sys.platform == "linux" else 1)


def _costs(timings: Mapping[str, object]) -> dict[str, float]:
    return {name: _number(timings.get(name)) for name in ("seconds", "cpu_seconds", "peak_memory")}


def _number(value: object) -> float:
    """Return a number of a file that may be damaged, or 0."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_aside(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
