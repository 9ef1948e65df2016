"""The options of commands that read recordings: a recording, a folder, or several of both."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.store.store import StoreOptions
from wordless.audio.recordings.annotations import AnnotationConfig, AnnotationOptions
from wordless.audio.recordings.corpus import recordings_at
from wordless.audio.recordings.folders import expand_home
from wordless.audio.recordings.manifest import Clips, writable
from wordless.base.errors import InputError
from wordless.base.machine import Device
from wordless.base.options import REQUIRED, Options, option
from wordless.base.pools import LOCAL, EngineConfig

MODEL = "folder of a run, or hf://user/name"
SEVERAL = "a recording, a folder of recordings, or several such as [a.wav,b.wav,folder]"


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """The option of commands that compute."""

    device: Device = option("auto", "auto uses a GPU if there is one")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    """Options of commands that use the models of a run."""

    model: Path = option(REQUIRED, MODEL)


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    """The option of commands that read many recordings."""

    workers: int = option(
        0, "processes that read recordings; 0: all cores if there is enough to do. No result depends on it", least=0
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(WorkerOptions):
    """Options of commands that may read the recordings on a cluster."""

    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")


@dataclass(frozen=True, kw_only=True)
class InputOptions(ModelOptions, WorkerOptions, AnnotationOptions):
    """Options of commands that read recordings with a trained model."""

    @property
    def annotated(self) -> AnnotationConfig:
        return AnnotationConfig(kind=self.annotations, tier=self.tier)


@dataclass(frozen=True, kw_only=True)
class StoredOptions(InputOptions, StoreOptions):
    """Options of commands that keep what they make of recordings in the store."""


def recordings_of(text: str, annotations: AnnotationConfig | None = None) -> tuple[Clips, ...]:
    """Find the recordings of each named place, and their annotated parts; ``[a.wav,b.wav]`` names several.

    The command line passes the option as one text, because a path may hold a comma or a space. The brackets are no part
    of a path, unless such a path exists.
    """
    whole = text.strip()
    several = whole.startswith("[") and whole.endswith("]") and not os.path.lexists(whole)
    names = [name.strip().strip("\"'") for name in whole[1:-1].split(",")] if several else [text]
    if not all(names):
        raise InputError(f"input={text} names no recording; write input=a.wav or input=[a.wav,b.wav]")
    return tuple(recordings_at(expand_home(name, "input"), annotations) for name in names)


def require_writable_folders(recordings: Sequence[Clips], output: Path) -> None:
    """Refuse folders whose names a table cannot hold."""
    for place in recordings:
        if not writable(str(place.root)):
            problem = f"input={place.root} holds a tab, a line break or bytes that are not UTF-8"
            raise InputError(f"{problem}, which {output} cannot hold; rename the folder")
