"""The store: what each stage made, under the key of all that made it.

An entry is a folder ``<root>/<stage>/<key>``, and whole: it is written as ``<key>.partial`` and renamed at the end.
A killed run leaves the partial folder, in which a stage finds its own checkpoints again. ``entry.json`` names what made
the entry and the hash of each of its files; ``timings.json`` alone may differ between two runs.
"""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from audio.errors import InputError

ENTRY = "entry.json"
TIMINGS = "timings.json"
CHECKPOINTS = "checkpoints"  # folder of an entry that is being made; gone when it is whole
LIBRARIES = ("torch", "torchaudio", "faiss-gpu", "faiss-cpu", "fairseq2", "scikit-learn", "numpy", "soundfile", "soxr")


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
        recorded = _recorded(folder)
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
        return Entry(stage=recipe.stage, key=recipe.key, folder=folder, reused=True)

    @contextmanager
    def making(self, recipe: Recipe) -> Iterator[Path]:
        """The partial folder to write into; whole when the block ends, kept as it is when it raises."""
        partial = self.partial(recipe)
        partial.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        yield partial
        shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
        write_json(partial / TIMINGS, {"seconds": time.monotonic() - started, "peak_memory": peak})
        self._complete(recipe, partial)

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

    def _complete(self, recipe: Recipe, partial: Path) -> None:
        for unfinished in partial.rglob("*.aside"):  # of a run that was killed while it wrote
            unfinished.unlink()
        files = sorted(p for p in partial.rglob("*") if p.is_file() and p.name not in (ENTRY, TIMINGS))
        made_by = {
            "stage": recipe.stage,
            "version": recipe.version,
            "config": recipe.config,
            "inputs": recipe.inputs,
            "libraries": library_versions(),
            "files": {str(p.relative_to(partial)): file_hash(p) for p in files},
        }
        write_json(partial / ENTRY, made_by)
        partial.rename(self.folder(recipe))


def _recorded(folder: Path) -> dict[str, dict[str, str]]:
    """What ``entry.json`` says; nothing where it is missing or broken."""
    try:
        recorded = json.loads((folder / ENTRY).read_text())
    except (OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _fault(folder: Path, recorded: Mapping[str, Mapping[str, str]]) -> str:
    """The first file of an entry that is not as it was written, and what is wrong with it; "" where all are."""
    for name, wanted in {ENTRY: "", TIMINGS: "", **recorded.get("files", {})}.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing"
        if wanted and file_hash(folder / name) != wanted:
            return f"{folder / name} has changed"
    return "" if "files" in recorded else f"{folder / ENTRY} has changed"


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


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON whole or not at all."""
    write_aside(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_aside(path: Path, text: str) -> None:
    """Write text into a file beside ``path``, then rename it."""
    aside = path.with_name(path.name + ".aside")
    with aside.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    aside.replace(path)
