"""The store: what each stage made, under the key of all that made it.

An entry is a folder ``<root>/<stage>/<key>``, and whole: it is written as ``<key>.partial`` and renamed at the end.
A killed run leaves the partial folder, and beside it ``<key>.checkpoints``, which outlives the rename: whatever goes
wrong before an entry is whole, nothing is trained twice. ``entry.json`` names what made the entry and the hash of each
of its files; ``timings.json`` alone may differ between two runs: what the entry cost, and size and time of change of
its files, which are hashed again only where these differ.
"""

import fcntl
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from audio.errors import InputError
from audio.files import file_hash, write_aside
from pipelines.costs import measured

ENTRY = "entry.json"
TIMINGS = "timings.json"
LIBRARIES = ("torch", "torchaudio", "faiss-gpu", "faiss-cpu", "fairseq2", "scikit-learn", "numpy", "soundfile", "soxr")


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Where finished stages are kept."""

    root: Path


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what a stage makes. Devices, workers, paths and logging are not in it."""

    stage: str
    version: int  # of the stage's code: raise it when the same config would give other bytes
    config: Mapping[str, object]  # numeric config, JSON-serialisable
    inputs: Mapping[str, str]  # name of an input -> its key or content hash

    @property
    def key(self) -> str:
        """Hash of the recipe, 16 hexadecimal digits."""
        made_of = {"stage": self.stage, "version": self.version, "config": self.config, "inputs": self.inputs}
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A whole entry of the store."""

    stage: str
    key: str
    folder: Path
    reused: bool  # found, not made, by this run

    def read_json(self, name: str) -> dict[str, object]:
        """A JSON object that the stage wrote."""
        content: dict[str, object] = json.loads((self.folder / name).read_text())
        return content


class Store:
    """Entries below one root folder; any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, recipe: Recipe) -> Entry | None:
        """The entry of ``recipe``, or None where it has not been made.

        Raises:
            InputError: the entry is there, but a file of it is missing or has changed.
        """
        folder = self.folder(recipe)
        if not folder.exists():
            return None
        recorded = _recorded(folder / ENTRY)
        if fault := _fault(folder, recorded):
            raise InputError(
                f"{fault} since the {recipe.stage} stage wrote it: delete {folder} and run the same command again"
            )
        if recorded["libraries"] != library_versions():
            warnings.warn(
                f"{folder} was made with {_differing(recorded['libraries'])}; delete it to make it again with what "
                "is installed now",
                stacklevel=2,
            )
        shutil.rmtree(
            checkpoints_of(self.folder(recipe)), ignore_errors=True
        )  # of a run that was killed after the rename
        return Entry(stage=recipe.stage, key=recipe.key, folder=folder, reused=True)

    @contextmanager
    def making(self, recipe: Recipe) -> Iterator[Path]:
        """The partial folder to write into; whole when the block ends, kept as it is when it raises."""
        partial, checkpoints = self.partial(recipe), checkpoints_of(self.folder(recipe))
        partial.mkdir(parents=True, exist_ok=True)
        checkpoints.mkdir(exist_ok=True)
        with measured(checkpoints) as costs:
            yield partial
        self._complete(recipe, partial, asdict(costs))
        shutil.rmtree(checkpoints)

    @contextmanager
    def locked(self, recipe: Recipe, waiting: Callable[[Recipe], None]) -> Iterator[None]:
        """Hold the stage's lock, after a call of ``waiting`` if another process holds it.

        ``flock`` lets go of it when its process dies, however it dies.
        """
        path = self.folder(recipe).with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(recipe)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def partial(self, recipe: Recipe) -> Path:
        """Where the entry of ``recipe`` is written before it is whole."""
        return self.folder(recipe).with_suffix(".partial")

    def folder(self, recipe: Recipe) -> Path:
        """Where the entry of ``recipe`` lies once it is whole."""
        return self.root / recipe.stage / recipe.key

    def _complete(self, recipe: Recipe, partial: Path, costs: Mapping[str, float]) -> None:
        for unfinished in partial.rglob("*.aside"):  # of a run that was killed while it wrote
            unfinished.unlink()
        files = sorted(p for p in partial.rglob("*") if p.is_file() and p.name not in (ENTRY, TIMINGS))
        made_by: dict[str, Any] = {
            "stage": recipe.stage,
            "version": recipe.version,
            "config": recipe.config,
            "inputs": recipe.inputs,
            "libraries": library_versions(),
            "files": {str(p.relative_to(partial)): file_hash(p) for p in files},
        }
        write_json(partial / ENTRY, made_by)
        write_json(partial / TIMINGS, {**costs, "files": _stamps(partial, made_by["files"])})
        partial.rename(self.folder(recipe))


def checkpoints_of(folder: Path) -> Path:
    """Where an entry, whole or partial, keeps what a killed run goes on from until it is whole."""
    return folder.with_suffix(".checkpoints")


def _recorded(path: Path) -> dict[str, Any]:
    """What an entry's JSON file says; nothing where it is missing or broken."""
    try:
        recorded = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _fault(folder: Path, recorded: Mapping[str, Mapping[str, str]]) -> str:
    """The first file of an entry that is not as it was written, and what is wrong with it; "" where all are."""
    timings = _recorded(folder / TIMINGS)
    stamps = timings.get("files", {})
    for name, wanted in {ENTRY: "", TIMINGS: "", **recorded.get("files", {})}.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if wanted and stamps.get(name) != _stamp(folder / name) and file_hash(folder / name) != wanted:
            return f"{folder / name} has changed"
    if "files" not in recorded:
        return f"{folder / ENTRY} has changed"
    _remember(folder, timings, _stamps(folder, recorded["files"]))
    return ""


def _remember(folder: Path, timings: dict[str, Any], stamps: dict[str, list[int]]) -> None:
    """Of an entry that was copied: its files have other times of change, and were found to be whole."""
    if timings.get("files") != stamps:
        with suppress(OSError):  # a store that may only be read
            write_json(folder / TIMINGS, {**timings, "files": stamps})


def _stamps(folder: Path, names: Iterable[str]) -> dict[str, list[int]]:
    return {name: _stamp(folder / name) for name in names}


def _stamp(path: Path) -> list[int]:
    """Size and time of change: what differs where a file was written again."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _differing(recorded: Mapping[str, str]) -> str:
    current = library_versions()
    return (
        ", ".join(f"{name} {version}" for name, version in recorded.items() if current.get(name) != version)
        or "fewer libraries"
    )


def library_versions() -> dict[str, str]:
    """Versions of the installed libraries that shape artifacts."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all."""
    write_aside(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
