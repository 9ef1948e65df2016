"""The clip table: the recordings of a corpus, or of a command, and what is known of them.

A clip is a row. Four makers (a folder, a table, a data set, the built-in corpus) give the columns of candidates: paths,
``begin`` and ``end`` where parts of recordings are named, and what else is named. Inspection measures them, and
`recordings.splits` divides them. The table is one data frame at every stage.

On disk a manifest is a tab-separated table; an empty cell is `None`. The root folder is not in it: the same recordings
in another folder are the same corpus, and have the same content hash.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np
from pandas import DataFrame, Series

from wordless.audio.waveform import Part
from wordless.base.files import aside, list_hash
from wordless.base.messages import InputError, named

T = TypeVar("T")
R = TypeVar("R")
Split = Literal["", "train", "validation", "test"]  # "": not divided yet
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SplitBy = Literal["auto", "hash", "group", "index", "fold", "table", "lists"]  # what divides the recordings
LARGEST = 2**63 - 1  # largest whole number in a table or manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A row of the clip table: a recording, or a segment of one. Candidates are not measured yet."""

    path: str  # of the file, relative to the root, "/" between folders
    segment: int | None = None  # number of the segment within its file, from 0; None: the whole recording
    start: int = 0  # first used sample, at the file's rate
    num_samples: int = LARGEST  # used samples, at the file's rate; `LARGEST`: all, of a file that is not measured
    trimmed: int = 0  # samples trimmed before and after them
    sample_rate: int = 0  # Hz, of the file; 0: not measured
    channel: int | None = None  # of the file, from 0; None: the mean of all channels
    size: int = 0  # bytes
    sha256: str = ""  # of the file's bytes
    samples_sha256: str = ""  # of its decoded samples: see `wordless.audio.recordings.inspection`; empty: not decoded
    label: str | None = None  # what a probe predicts
    group: str | None = None  # speaker, instrument, site: generalisation is tested across groups
    index: int | None = None  # position in a numbered series, for splits by index
    fold: str | None = None  # fold given by the data set
    split: Split = "train"
    table_channel: int | None = None  # channel of the file that its row names, from 0; None: that of all recordings
    begin: float | None = None  # seconds, of the part that a candidate names; None: the whole recording
    end: float | None = None  # seconds; None: the end of the recording
    where: str | None = field(default=None, compare=False)  # "file:line" that names the part, for messages
    # `wordless.base.files.stamp_text` of the file when it was inspected, or when a key was made of it; "": not known
    stamp: str = field(default="", compare=False, repr=False)

    @property
    def seconds(self) -> float:
        """Duration of the clip in seconds."""
        return self.num_samples / self.sample_rate

    @property
    def hashes(self) -> frozenset[str]:
        """Hashes by which the recording is known, wherever it lies and in whichever lossless format."""
        # the bytes count as well, because another decoder may round the samples of MP3, Ogg and Opus in another way
        return frozenset(filter(None, (self.sha256, self.samples_sha256)))

    @property
    def part(self) -> Part:
        """The part of the file that is used."""
        own = {"stamp": self.stamp, "sha256": self.sha256}
        return Part(start=self.start, num_samples=self.num_samples, channel=self.channel, **own)

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of a segment within its file, in seconds; None: the clip is a whole recording."""
        if self.begin is not None and self.end is not None:
            return self.begin, self.end
        return None if self.segment is None else self.part.span(self.sample_rate)

    @property
    def name(self) -> str:
        """Name of the clip, unique in the corpus: the path, and for a segment its span."""
        # most clips are whole recordings, and their names are asked for often
        if self.begin is self.segment is self.table_channel is None:
            return self.path
        return clip_name(self.path, self.span, self.table_channel)

    @property
    def sound(self) -> list[str | int]:
        """The file and the span: with the split what keys of the store have of a clip, and no labels or groups."""
        # the number, because a segment has another name than a recording that is trimmed to its span
        segment = [] if self.segment is None else [self.segment]
        channel = [] if self.channel is None else [f"channel {self.channel}"]
        return [self.path, self.size, self.sha256, self.start, self.num_samples, *segment, *channel]

    @property
    def key(self) -> list[str | int]:
        """The sound of the clip, and its split."""
        return [*self.sound, self.split]


def clip_name(path: str, span: tuple[float, float] | None, channel: int | None = None) -> str:
    """Return the path, for a segment with its span: ``a/b.wav#t=10,20`` (a W3C media fragment, which browsers play).

    A channel that a table names follows: ``a/b.wav#t=10,20&channel=1``.

    Spans are in seconds with six decimals, so that no two segments of a file with a rate up to 1 MHz share a name.
    """
    seconds = ",".join(f"{each:.6f}".rstrip("0").rstrip(".") for each in span or ())
    parts = [*([f"t={seconds}"] if span else []), *([f"channel={channel}"] if channel is not None else [])]
    return f"{path}#{'&'.join(parts)}" if parts else path


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A file, or segments of a file, that were set aside, and why."""

    path: str  # relative to the root; for a part that a table names, the name of the clip
    reason: str
    # number of the file's segments that are left out; 0: the whole file, or one part that a table names
    segments: int = 0
    kind: str = field(default="", compare=False)  # what reasons of this kind have in common, for counts; "": nothing
    where: str | None = field(default=None, compare=False)  # "file:line" of the row of a table; None: none is at fault

    @classmethod
    def by(cls, path: str, error: InputError) -> "Rejected":
        """Set a file aside because of an error."""
        return cls(path=path, reason=error.reason, kind=error.kind)


_TYPES = {name: get_args(kind) or (kind,) for name, kind in get_type_hints(Clip).items()}  # of each column
_NUMBERS = tuple(name for name, kinds in _TYPES.items() if kinds == (int,))


@dataclass(frozen=True, kw_only=True, eq=False)
class Clips:
    """A root folder, and the clips below it: a data frame with the fields of `Clip` as columns, sorted by path.

    Numbers that every clip has are int64. All other columns hold Python objects, so that 007, NA and broken Unicode
    stay what they are.
    """

    root: Path
    frame: DataFrame
    name: str = ""  # of the corpus, or of the group or fold that is the test set
    rejected: tuple[Rejected, ...] = ()  # what was set aside
    notices: tuple[str, ...] = ()  # what the user should know of them, a sentence each
    split_by: SplitBy = "hash"  # what divides candidates if ``split.by`` is auto; of a corpus, what divided it
    rows: int = 0  # of the table that names the recordings; 0: there is none
    unread: str = ""  # columns and files that were not read, in a line; "": all were
    summary: tuple[str, ...] = ()  # what was read, a line each; (): not told yet

    @classmethod
    def from_columns(cls, root: Path, columns: Mapping[str, Sequence[object]], **others: Any) -> "Clips":
        """Make a table of columns, with fields of the table; columns that are not given have the defaults of `Clip`."""
        size = len(columns["path"])
        filled = {each.name: columns.get(each.name, [each.default] * size) for each in fields(Clip)}
        return cls(root=root, frame=DataFrame(filled, dtype=object).astype(dict.fromkeys(_NUMBERS, np.int64)), **others)

    @classmethod
    def from_rows(cls, root: Path, clips: Iterable[Clip], **others: Any) -> "Clips":
        """Make the table of some clips, in their order."""
        rows = [*clips]
        return cls.from_columns(root, {name: [getattr(row, name) for row in rows] for name in _TYPES}, **others)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clips) and (self.root, self.clips) == (other.root, other.clips)

    def __getstate__(self) -> dict[str, object]:
        """Send the fields alone to other processes, which make rows and tables of splits again in less time."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __iter__(self) -> Iterator[Clip]:
        """Make the rows, one after the other."""
        return (Clip(**dict(zip(_TYPES, cells, strict=True))) for cells in self._cells())

    def _cells(self) -> Iterator[tuple[Any, ...]]:
        return zip(*[self.frame[name].tolist() for name in _TYPES], strict=True)

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """The rows, made once."""
        return tuple([Clip(**dict(zip(_TYPES, cells, strict=True))) for cells in self._cells()])

    @cached_property
    def names(self) -> list[str]:
        """The names of the clips."""
        whole = not self.has_segments and self.frame[["begin", "table_channel"]].isna().all(axis=None)
        return self.frame.path.tolist() if whole else [clip.name for clip in self.clips]

    def of(self, split: Split) -> tuple[Clip, ...]:
        """Return the clips of one split, in order of path and start."""
        return tuple([clip for clip in self.clips if clip.split == split])

    def only(self, *splits: Split) -> "Clips":
        """Return the rows of some splits, one split after the other; the same table each time."""
        if splits not in self._of_splits:
            rows = np.concatenate([np.flatnonzero(self.frame.split == split) for split in splits])
            self._of_splits[splits] = replace(self, frame=self.frame.iloc[rows].reset_index(drop=True))
        return self._of_splits[splits]

    @cached_property
    def _of_splits(self) -> dict[tuple[Split, ...], "Clips"]:
        return {}

    @cached_property
    def key(self) -> str:
        """The SHA-256 of the sound of the clips and of their splits."""
        return list_hash([clip.key for clip in self.clips])

    def where(self, chosen: Iterable[bool]) -> "Clips":
        """Return the chosen rows."""
        rows = np.fromiter(chosen, bool, len(self.frame))
        return replace(self, frame=self.frame[rows].reset_index(drop=True))

    def sorted_by_path(self) -> "Clips":
        """Return the rows in order of their paths; those of a path keep theirs."""
        return replace(self, frame=self.frame.sort_values("path", kind="stable", ignore_index=True))

    def with_columns(self, **columns: object) -> "Clips":
        """Return the table with other columns: a value for all rows, or a list with a value for each."""
        made = dict[str, Series]()
        for name, values in columns.items():
            each = values if isinstance(values, list) else [values] * len(self.frame)
            made[name] = Series(each, index=self.frame.index, dtype=np.int64 if name in _NUMBERS else object)
        return replace(self, frame=self.frame.assign(**made))

    def named(self, place: str, **names: str) -> "Clips":
        """Name the options in notices and reasons, as `wordless.base.messages.named` does."""
        rejected = tuple(replace(each, reason=named(each.reason, place, **names)) for each in self.rejected)
        return replace(self, rejected=rejected, notices=tuple(named(each, place, **names) for each in self.notices))

    @property
    def has_segments(self) -> bool:
        """Whether any clip is a segment of a recording."""
        return bool(self.frame.segment.notna().any())

    @property
    def seconds(self) -> float:
        """Duration of all clips in seconds."""
        return sum((self.frame.num_samples / self.frame.sample_rate).tolist(), 0.0)

    @property
    def trimmed_seconds(self) -> float:
        """Duration in seconds of all trimmed ends."""
        return sum((self.frame.trimmed / self.frame.sample_rate).tolist(), 0.0)

    def effective_trim_db(self, trim_db: float | None) -> float | None:
        """Return how many dB below the loudest 20 ms ends were cut off; None: never, as of parts that a table names."""
        return None if self.has_segments and not self.trimmed_seconds else trim_db


_COLUMNS = tuple(name for name in _TYPES if name not in ("begin", "end", "where", "stamp"))  # of a manifest
_LINES_AT_ONCE = 1 << 14  # of a manifest, whose cells take most memory
_NAME = "clip"  # last column: the clip's name, as in predictions and vectors; for other programs, and ignored here
_IF_ANY = ("segment", "channel", "table_channel")  # columns that a manifest has only if any clip has a value
UNWRITABLE = "its name holds a tab, a line break or bytes that are not UTF-8; rename it"
_UNWRITABLE = re.compile("[\t\r\n\ud800-\udfff]")


def write_manifest(manifest: Clips, path: Path) -> None:
    """Write a manifest as TSV, atomically; columns of segments and channels only if any clip has a value."""
    there = [name for name in _COLUMNS if name not in _IF_ANY or manifest.frame[name].notna().any()]
    names = [*there, _NAME]

    def row(values: Sequence[object]) -> list[str]:
        texts = ["" if value is None else str(value) for value in values]
        if not writable("".join(texts)):
            name, text = next((name, text) for name, text in zip(names, texts, strict=True) if not writable(text))
            problem = f"{name} of clip {values[0]!r} is {text!r}"
            raise InputError(f"{problem}; leave tabs, line breaks and broken Unicode out")
        return texts

    columns = (manifest.frame[name].tolist() for name in there)
    rows = zip(*columns, manifest.names, strict=True)
    write_rows(path, names, map(row, rows))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table of cells that are separated by tabs, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        # quotes cells with quotation marks, at which pandas, R and spreadsheets would join cells and lines
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(chain([header], rows))


def read_manifest(path: Path, root: Path) -> Clips:
    """Read a manifest that `write_manifest` wrote; ``root`` is the folder of the recordings now."""
    try:
        # lines end only at "\n": names may hold other characters at which str.splitlines splits
        header, *lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a manifest ({error}); check the path, or build it again") from error
    names = header.split("\t")
    if names != [name for name in (*_COLUMNS, _NAME) if name in names or name not in _IF_ANY]:
        wanted = f"it must be {' '.join(_COLUMNS)} {_NAME}, separated by tabs"
        raise InputError(f"{path}:1: the header is {header!r:.80}; {wanted}: build it again")
    columns: dict[str, list[object]] = {name: [] for name in names if name != _NAME}
    for first in range(0, len(lines), _LINES_AT_ONCE):
        rows = [
            [*map(unquoted, line.split("\t"))] if '"' in line else line.split("\t")
            for line in lines[first : first + _LINES_AT_ONCE]
        ]
        for number, cells in enumerate(rows, start=first + 2):
            if len(cells) != len(names):
                raise InputError(f"{path}:{number}: {len(cells)} cells, not {len(names)}; write the manifest again")
        for name, texts in zip(columns, zip(*rows, strict=True), strict=False):  # the clips' names are last
            columns[name] += _values(name, texts, path, first)
    return Clips.from_columns(root, columns)


def _values(name: str, texts: Sequence[str], path: Path, first: int) -> list[object]:
    """Parse cells of a column of a manifest; ``first`` is the number of the first row."""

    def value(text: str) -> object:
        found = whole_number(text) if int in kinds else number_of(text) if float in kinds else text
        if not text and NoneType in kinds:
            return None
        if found is None or (name, found) == ("sample_rate", 0) or (name == "split" and text not in SPLITS):
            problem = f"{path}:{first + texts.index(text) + 2}: {name} is {text!r:.40}, which it cannot be"
            raise InputError(problem, remedy="write the manifest again")
        return found

    kinds = _TYPES[name]
    return once_each(value, texts)


_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def unquoted(cell: str) -> str:
    """Return a cell of a table of tabs without quotation marks around all of it, where those inside are doubled."""
    whole = _QUOTED.fullmatch(cell) if cell.startswith('"') else None
    return whole[1].replace('""', '"') if whole else cell


def write_rejected(rejected: Sequence[Rejected], path: Path) -> None:
    """Write ``rejected.tsv``: path, reason and kind of reason of each file; unprintable characters are escaped."""
    cells = ([printable(getattr(each, name)) for name in _REJECTED] for each in rejected)
    write_rows(path, _REJECTED, cells)


_REJECTED = ("path", "reason", "kind")


def write_clips_table(clips: Clips, path: Path) -> None:
    """Write what was read of each clip, for people and other programs, and as a table that ``corpus.table`` reads.

    Times are seconds, and empty for whole recordings; ``path`` is relative to the folder of the recordings.
    """
    described = zip(*(clips.frame[name].tolist() for name in _DESCRIBED), clips.clips, strict=True)
    rows = (
        [
            clip.path,
            *(f"{each:.9f}".rstrip("0").rstrip(".") for each in clip.span or ()),
            *([] if clip.span else ["", ""]),
        ]
        + ["" if value is None else str(value) for value in values]
        for *values, clip in described
    )
    write_rows(path, ("path", "start", "end", *_DESCRIBED[:-1], "channel"), rows)


_DESCRIBED = ("label", "group", "fold", "split", "table_channel")


def once_each(function: Callable[[T], R], values: Sequence[T]) -> list[R]:
    known = {value: function(value) for value in dict.fromkeys(values)}
    return [known[value] for value in values]


def whole_number(text: str) -> int | None:
    """Parse decimal digits as a number from 0 to 2^63 - 1; None for all other text."""
    number = int(text) if text.isdecimal() and len(text) < 20 else LARGEST + 1  # int() refuses 5,000 digits
    return number if number <= LARGEST else None


def number_of(text: str) -> float | None:
    """Parse a finite number; None for all other text, such as 0_1, which Python takes for 1."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def writable(text: str) -> bool:
    """Return whether a manifest can hold the text: no tab, no line break, valid Unicode."""
    return _UNWRITABLE.search(text) is None


def printable(text: str) -> str:
    """Escape the characters that a manifest cannot hold, for messages."""
    return _UNWRITABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def choose_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose ``count`` evenly spaced items, or all of fewer; of clips in order of path, some of each folder."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else list(items)


def choose_randomly(items: Sequence[T], count: int, *, seed: int) -> list[T]:
    """Choose ``count`` random items, in their order, or all if there are fewer; an even step may hit one group only."""
    chosen = np.random.default_rng(seed).choice(len(items), min(count, len(items)), replace=False)
    return [items[index] for index in sorted(chosen)]
