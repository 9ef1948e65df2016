"""The options of commands that read recordings: a recording, a folder, or several of both."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.store.store import STORE, StoreConfig
from wordless.audio.recordings.annotations import AnnotationConfig, AnnotationKind
from wordless.audio.recordings.corpus import recordings_at
from wordless.audio.recordings.folders import expand_home
from wordless.audio.recordings.manifest import Clips, writable
from wordless.base.errors import InputError
from wordless.base.machine import Device
from wordless.base.options import Options, option

MODEL = "folder of a run, or hf://user/name"
DEVICE = "auto uses a GPU if there is one"
ENGINE = "what reads and encodes: processes of this machine, or a Ray cluster"
ANNOTATIONS = (
    "annotations of other tools beside recordings give labelled parts; auto: all kinds; none: whole recordings"
)
SEVERAL = "a recording, a folder of recordings, or several such as [a.wav,b.wav,folder]"
TIER = "tier of TextGrids or ELAN documents, or column of a table, that has the labels; null: the only one"


@dataclass(frozen=True, kw_only=True)
class InputOptions(Options):
    """Options of commands that read recordings with a trained model."""

    annotations: AnnotationKind = option("auto", ANNOTATIONS)
    tier: str | None = option(None, TIER)
    device: Device = option("auto", DEVICE)
    workers: int = option(
        0, "processes that read recordings; 0: all cores if there is enough to do. No result depends on it", least=0
    )

    @property
    def annotated(self) -> AnnotationConfig:
        return AnnotationConfig(kind=self.annotations, tier=self.tier)


@dataclass(frozen=True, kw_only=True)
class StoredOptions(InputOptions):
    """Options of commands that keep what they make of recordings in the store."""

    store: StoreConfig = option(StoreConfig(), STORE)


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
