"""The options of commands that read recordings: a recording, a folder, or several of both."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.store.store import StoreOptions
from wordless.audio.recordings.corpus import AnnotationOptions
from wordless.audio.recordings.manifest import Clips, writable
from wordless.base.machine import LOCAL, Device, EngineConfig
from wordless.base.messages import InputError
from wordless.base.options import REQUIRED, Options, option

MODEL = "folder of a run, or hf://user/name"


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    device: Device = option("auto", "auto uses a GPU if there is one")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(DeviceOptions):
    model: Path = option(REQUIRED, MODEL)


@dataclass(frozen=True, kw_only=True)
class RateOptions(Options):
    upsample: bool = option(
        False, "true: recordings may have a lower sample rate than the model; it then reads bands that are empty"
    )


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Options):
    workers: int = option(
        0, "processes that read recordings; 0: all cores if there is enough to do. No result depends on it", least=0
    )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(WorkerOptions):
    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")


@dataclass(frozen=True, kw_only=True)
class InputOptions(ModelOptions, WorkerOptions, AnnotationOptions):
    """Options of commands that read recordings with a trained model."""


@dataclass(frozen=True, kw_only=True)
class StoredOptions(InputOptions, StoreOptions):
    input: Path = option(
        REQUIRED,
        "a recording, or a folder of recordings, embed: or a table of them such as runs/x/manifest.tsv; "
        "<output>.rejected.tsv lists what is set aside",
    )


def require_writable_folder(place: Clips, output: Path) -> None:
    """Refuse a folder of recordings whose name a table cannot hold."""
    if not writable(str(place.root)):
        problem = f"input={place.root} holds a tab, a line break or bytes that are not UTF-8"
        raise InputError(f"{problem}, which {output} cannot hold; rename the folder")
