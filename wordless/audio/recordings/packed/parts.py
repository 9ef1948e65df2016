"""The parts that readers of packed files give, and the packed files themselves."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wordless.audio.recordings.manifest import Split


class DamageError(Exception):
    """A part of a packed file cannot be read; the message is the reason, for lists of files that were set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """The bytes of one recording, which are written as they are."""

    name: str  # of the file to write, below the folder of the packed file; "/" between folders
    # of its sample: `Facts` with this key are about this recording, and so are those with a key that ends at an earlier
    # dot of the file's name: see `wordless.audio.recordings.packed.unpacking`
    key: str
    blocks: Iterable[bytes]  # raises `DamageError` where they cannot be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Values of a sample by their names, as text; values that are not known are left out."""

    key: str
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A part that is set aside; ``key`` also sets aside the sounds of its sample."""

    name: str
    reason: str
    key: str | None = None
    members: int = 0  # that it stands for, if they are neither sounds nor facts


Part = Sound | Facts | Broken
Parts = Iterator[Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedFile:
    """A file that holds recordings."""

    path: Path
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str | None  # the data set's own name of its split, such as "test.clean"; None: unknown
    known: Split | None  # the split that this name stands for; None: none of ours
