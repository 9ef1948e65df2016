"""Manifests: the recordings of a corpus, with their descriptions and splits; and selections of recordings.

On disk a manifest is a tab-separated table with the fields of `Clip` as columns; `None` is an empty cell. The root
folder is not in it: the same recordings in another folder are the same corpus, and have the same content hash.
"""

import hashlib
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import floor
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

import numpy as np

from wordless.audio.waveform import Part
from wordless.base.errors import InputError
from wordless.base.files import aside, write_aside
from wordless.base.values import list_hash

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One recording of a corpus, or one segment of a recording."""

    path: str  # of the file, relative to the corpus root, "/" between folders
    segment: int | None = None  # number of the segment within its file, from 0; None: the whole recording
    start: int = 0  # first used sample, at the file's rate
    num_samples: int  # used samples, at the file's rate
    trimmed: int = 0  # samples trimmed before and after them
    sample_rate: int  # Hz, of the file
    channel: int | None = None  # of the file, from 0; None: the mean of all channels
    size: int  # bytes
    sha256: str  # of the file's bytes
    samples_sha256: str = ""  # of its decoded samples: see `wordless.audio.recordings.inspection`; empty: not decoded
    label: str | None = None  # what a probe predicts
    group: str | None = None  # speaker, instrument, site: generalisation is tested across groups
    index: int | None = None  # position in a numbered series, for splits by index
    fold: str | None = None  # fold given by the data set
    split: Split = "train"
    low_hz: float | None = None  # frequencies and channel that an annotation names; the sound has all of them
    high_hz: float | None = None
    annotated_channel: str | None = None

    @property
    def seconds(self) -> float:
        """Duration of the clip in seconds."""
        return self.num_samples / self.sample_rate

    @property
    def hashes(self) -> frozenset[str]:
        """Hashes by which the recording is known, wherever it lies and in whichever lossless format.

        The bytes count as well, because another decoder may round the samples of MP3, Ogg and Opus in another way.
        """
        return frozenset(filter(None, (self.sha256, self.samples_sha256)))

    @property
    def part(self) -> Part:
        """The part of the file that is used."""
        return Part(start=self.start, num_samples=self.num_samples, channel=self.channel)

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of a segment within its file, in seconds; None: the clip is a whole recording."""
        return None if self.segment is None else self.part.span(self.sample_rate)

    @property
    def name(self) -> str:
        """Name of the clip, unique in the corpus: the path, and for a segment its span."""
        return clip_name(self.path, self.span)


def clip_name(path: str, span: tuple[float, float] | None) -> str:
    """Return the path, for a segment with its span: ``a/b.wav#t=10,20`` (a W3C media fragment, which browsers play).

    Spans are in seconds with six decimals, so that no two segments of a file with a rate up to 1 MHz share a name.
    """
    seconds = ",".join(f"{each:.6f}".rstrip("0").rstrip(".") for each in span or ())
    return path if span is None else f"{path}#t={seconds}"


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A file, or segments of a file, that were set aside, and why."""

    path: str  # relative to the corpus root; for a part that a table names, the name of the clip
    reason: str
    # number of the file's segments that are left out; 0: the whole file, or one part that a table names
    segments: int = 0
    kind: str = field(default="", compare=False)  # what reasons of this kind have in common, for counts; "": nothing

    @classmethod
    def by(cls, path: str, error: InputError) -> "Rejected":
        """Set a file aside because of an error."""
        return cls(path=path, reason=error.reason, kind=error.kind)


OUTSIDE = "outside the recording"  # kind of the reasons of parts that reach beyond their recording


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A corpus: its root folder and its clips, sorted by path and start."""

    root: Path
    clips: tuple[Clip, ...]

    def of(self, split: Split) -> tuple[Clip, ...]:
        """Return the clips of one split, in order of path and start."""
        return tuple(clip for clip in self.clips if clip.split == split)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the manifest's file; those of segments and channels only if there are any."""
        there = [name for name in _IF_ANY if any(getattr(clip, name) is not None for clip in self.clips)]
        return tuple(name for name in (*_ALL_COLUMNS, _NAME) if name not in _IF_ANY or name in there)

    @property
    def has_segments(self) -> bool:
        """Whether any clip is a segment of a recording."""
        return any(clip.segment is not None for clip in self.clips)

    @property
    def seconds(self) -> float:
        """Duration of all clips in seconds."""
        return sum(clip.seconds for clip in self.clips)

    @property
    def trimmed_seconds(self) -> float:
        """Duration in seconds of all trimmed ends."""
        return sum(clip.trimmed / clip.sample_rate for clip in self.clips)

    def effective_trim_db(self, trim_db: float | None) -> float | None:
        """Return how many dB below the loudest 20 ms the ends of recordings were cut off; None: they were not.

        ``trim_db`` is that of `InspectionConfig`. Parts of recordings that a table names are never trimmed.
        """
        return None if self.has_segments and not self.trimmed_seconds else trim_db


_TYPES = {name: get_args(kind) or (kind,) for name, kind in get_type_hints(Clip).items()}  # of each column
_ALL_COLUMNS = tuple(_TYPES)
_NAME = "clip"  # last column: the clip's name, as in predictions and vectors; for other programs, and ignored here
# Columns that a manifest has only if any clip has a value: of segments, chosen channels and annotations.
_IF_ANY = ("segment", "channel", "low_hz", "high_hz", "annotated_channel")
LARGEST = 2**63 - 1  # largest whole number in a table or manifest
UNWRITABLE = "its name holds a tab, a line break or bytes that are not UTF-8; rename it"
_UNWRITABLE = re.compile("[\t\r\n\ud800-\udfff]")


def audio_hash(manifest: Manifest, splits: Collection[Split] | None = None) -> str:
    """Compute the SHA-256 of the sound of some splits, by default of all clips: its files and spans.

    Labels and groups are not part of the hash.

    The number of a segment is part of the hash, because a segment has another name than a recording trimmed to its
    span.
    """
    return list_hash(sound_of(clip, clip.split) for clip in manifest.clips if splits is None or clip.split in splits)


def recordings_hash(manifest: Manifest) -> str:
    """Compute `audio_hash` of all recordings, in whichever split each stands."""
    return list_hash(sound_of(clip, "train") for clip in manifest.clips)


def sound_of(clip: Clip, split: Split) -> list[str | int]:
    """Return what `audio_hash` says of a clip that stands in a split."""
    segment = [] if clip.segment is None else [clip.segment]
    channel = [] if clip.channel is None else [f"channel {clip.channel}"]
    return [clip.path, clip.size, clip.sha256, clip.start, clip.num_samples, split, *segment, *channel]


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as TSV, atomically."""
    columns = manifest.columns
    rows = chain([columns], (_cells(clip, columns) for clip in manifest.clips))
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        file.writelines("\t".join(cells) + "\n" for cells in rows)


def read_manifest(path: Path, root: Path) -> Manifest:
    """Read a manifest that `write_manifest` wrote; ``root`` is the folder of the recordings now."""
    found = _rows(path, (*_ALL_COLUMNS, _NAME), if_any=_IF_ANY)
    return Manifest(root=root, clips=tuple(_clip(row, where) for row, where in found))


def write_rejected(rejected: Sequence[Rejected], path: Path) -> None:
    """Write ``rejected.tsv``: path, reason and kind of reason of each file; unprintable characters are escaped."""
    lines = ("\t".join(printable(cell) for cell in (each.path, each.reason, each.kind)) + "\n" for each in rejected)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, "\t".join(_REJECTED) + "\n" + "".join(lines))


def read_rejected(path: Path) -> tuple[Rejected, ...]:
    """Read a file that `write_rejected` wrote."""
    rows = (row for row, _ in _rows(path, _REJECTED))
    return tuple(Rejected(path=row["path"], reason=row["reason"], kind=row["kind"]) for row in rows)


_REJECTED = ("path", "reason", "kind")


def whole_number(text: str) -> int | None:
    """Parse decimal digits as a number from 0 to 2^63 - 1; None for all other text."""
    number = int(text) if text.isdecimal() and len(text) < 20 else LARGEST + 1  # int() refuses 5,000 digits
    return number if number <= LARGEST else None


def number_of(text: str) -> float | None:
    """Parse a finite number; None for all other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def writable(text: str) -> bool:
    """Return whether a manifest can hold the text: no tab, no line break, valid Unicode."""
    return _UNWRITABLE.search(text) is None


def printable(text: str) -> str:
    """Escape the characters that a manifest cannot hold, for messages."""
    return _UNWRITABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _cells(clip: Clip, columns: Sequence[str]) -> tuple[str, ...]:
    values = (clip.name if name == _NAME else getattr(clip, name) for name in columns)
    cells = tuple("" if value is None else str(value) for value in values)
    for name, cell in zip(columns, cells, strict=True):
        if not writable(cell):
            problem = f"{name} of clip {clip.path!r} is {cell!r}"
            raise InputError(f"{problem}; leave tabs, line breaks and broken Unicode out")
    return cells


def _clip(cells: Mapping[str, str], where: str) -> Clip:
    row: dict[str, Any] = {}
    for name, kinds in _TYPES.items():
        text = cells.get(name, "")
        if not text and NoneType in kinds:
            row[name] = None
            continue
        value: object = text
        if int in kinds or float in kinds:
            value = whole_number(text) if int in kinds else number_of(text)
        if value is None or (name == "sample_rate" and value == 0) or (name == "split" and value not in SPLITS):
            rules = {"split": f"one of {', '.join(SPLITS)}", "sample_rate": "a positive number of Hz"}
            rule = rules.get(name, "a whole number" if int in kinds else "a number")
            raise InputError(f"{where}: {name} is {text!r:.40}; it must be {rule}: write the manifest again")
        row[name] = value
    return Clip(**row)


def _rows(
    path: Path, columns: tuple[str, ...], *, if_any: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, str], str]]:
    """Give the cells of each row by column, and its ``file:line``; the columns ``if_any`` may be missing.

    Lines end only at "\\n", because names may hold other characters at which str.splitlines splits.
    """
    try:
        header, *lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a manifest ({error}); check the path, or build it again") from error
    found = tuple(header.split("\t"))
    if found != tuple(name for name in columns if name in found or name not in if_any):
        raise InputError(
            f"{path}:1: the header is {header!r:.80}; it must be {' '.join(columns)}, separated by tabs: build it again"
        )
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        if len(cells) != len(found):
            raise InputError(f"{path}:{number}: {len(cells)} cells, not {len(found)}; write the manifest again")
        yield dict(zip(found, cells, strict=True)), f"{path}:{number}"


SECONDS_PER_HOUR = 3600.0
ROUNDING = 1e-6  # seconds by which sums of lengths may differ from the wanted hours


def without_copies(manifest: Manifest, known: Collection[str]) -> Manifest:
    """Leave out the clips of recordings with the same bytes or samples as a known one, wherever the files lie.

    ``known`` holds `Clip.hashes`. A lossy copy, such as the MP3 of a WAV file, has other samples and is not recognised.
    """
    return replace(manifest, clips=tuple(clip for clip in manifest.clips if clip.hashes.isdisjoint(known)))


def trained_on(clips: Collection[Clip], trained: Iterable[Clip]) -> int:
    """Count the clips that share sound with a training clip of a run.

    Recordings are known by their bytes or samples (`Clip.hashes`), wherever they lie.
    """
    known: dict[str, list[Part]] = {}
    for clip in trained:
        for each in clip.hashes:
            known.setdefault(each, []).append(clip.part)
    return sum(any(clip.part.overlaps(part) for each in clip.hashes for part in known.get(each, ())) for clip in clips)


def overlap_notices(
    tested: Manifest,
    trained: Manifest,
    *,
    owner: Path,
    readers: str = "its tokenizer and language model",
    unlabelled: Iterable[Clip] = (),
) -> tuple[str, ...]:
    """Return what the manifest of a run in the folder ``owner`` means for other recordings, a sentence each.

    ``readers`` names, in the plural, the models of the run that are used. ``unlabelled`` are the clips that the run was
    pre-trained on beside its corpus, itself or before it began.
    """
    test, heard = tested.of("test"), "the models that it pre-trained have heard them"
    notices = [
        f"{shared} of {len(test)} test clips are among {those}: {so}"
        for clips, those, so in (
            (trained.of("train"), f"those that {owner} was trained on", f"{readers} have heard them"),
            (trained.of("validation"), f"the validation clips of {owner}", "it chose weights by them"),
            (unlabelled, f"the unlabelled recordings of {owner}, or those of the models that it began with", heard),
        )
        if (shared := trained_on(test, clips))
    ]
    if bool(trained.trimmed_seconds) != bool(tested.trimmed_seconds):
        where = f"of {owner}" if trained.trimmed_seconds else "that are probed"
        notices.append(
            f"silent ends were cut off the recordings {where} alone; unless the others have none, give the "
            "`inspection.trim_db` of that run"
        )
    return tuple(notices)


def first_hours(manifests: Sequence[Manifest], hours: float) -> tuple[Manifest, ...]:
    """Select at most ``hours`` of sound from several manifests together.

    Clips are taken in the order of the SHA-256 of their names, up to the first clip that does not fit. Such a part does
    not depend on the place of the folders, and it contains every smaller part.

    Raises:
        InputError: the manifests hold less, or the first clip is longer.
    """
    clips = [(clip, source) for source, manifest in enumerate(manifests) for clip in manifest.clips]
    clips.sort(key=lambda one: (hashlib.sha256(one[0].name.encode(errors="surrogatepass")).digest(), one[1]))
    ends = np.cumsum([clip.seconds for clip, _ in clips]) / SECONDS_PER_HOUR - ROUNDING / SECONDS_PER_HOUR
    held = (sum(clip.seconds for clip, _ in clips) + ROUNDING) / SECONDS_PER_HOUR
    if hours > held:
        there = f"{floor(held * 1e4) / 1e4:g}"  # rounded down, so that this number of hours is accepted
        rule = f"the recordings hold {there} hours: choose null (all), or add some"
        raise InputError(option="hours", value=hours, rule=rule)
    first = clips[: np.searchsorted(ends, hours, side="right")]
    if not first:
        raise InputError(option="hours", value=hours, rule="the first clip is longer: choose more, or 0 (none)")
    chosen = [{clip.name for clip, source in first if source == number} for number in range(len(manifests))]
    return tuple(
        replace(manifest, clips=tuple(clip for clip in manifest.clips if clip.name in names))
        for manifest, names in zip(manifests, chosen, strict=True)
    )


T = TypeVar("T")


def choose_evenly(items: Sequence[T], count: int) -> list[T]:
    """Choose ``count`` evenly spaced items, or all of fewer; of clips in order of path, some of each folder."""
    return [items[index * len(items) // count] for index in range(count)] if len(items) > count else list(items)


def choose_randomly(items: Sequence[T], count: int, *, seed: int) -> list[T]:
    """Choose ``count`` random items, in their order, or all if there are fewer; an even step may hit one group only."""
    chosen = np.random.default_rng(seed).choice(len(items), min(count, len(items)), replace=False)
    return [items[index] for index in sorted(chosen)]
