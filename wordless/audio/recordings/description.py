"""Descriptions of recordings from their names, their folders or the rows of a table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wordless.audio.recordings.manifest import Split, whole_number
from wordless.audio.trimming import Part
from wordless.base.errors import InputError

FIELDS = ("label", "group", "index", "fold", "split")
SPAN_FIELDS = ("start", "end")  # of a part of a recording, in seconds; only in tables
# Frequencies and channel that an annotation names; they are kept, and change nothing of the sound.
BAND_FIELDS = ("low_hz", "high_hz", "annotated_channel")
PATH_COLUMNS = (  # well-known names of the column of recordings, the first one first
    *("path", "audio_filepath", "file_name", "filename", "filepath", "file_path", "audio_path", "audio_file"),
    *("wav", "wav_path", "wav_filename", "slice_file_name", "audio", "file"),
)
LabelType = Literal["class", "number", "text"]  # a name of a class, a measured number, or what is said
LONGEST_SECONDS = 1e9  # thirty years
END_TOLERANCE_SECONDS = 0.1  # an end so close to the end of the file counts as the end: decoders differ, tables round

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of a recording, in seconds."""

    start: float
    end: float | None  # None: the end of the recording

    def part(self, num_samples: int, sample_rate: int) -> Part:
        """Return the samples of a recording of this length and rate.

        Raises:
            InputError: the span begins or ends behind the end of the recording.
        """
        length = num_samples / sample_rate
        if self.start >= length:
            raise InputError(f"begins behind the end of the recording: it is {length:.3f} s long")
        if self.end is not None and self.end > length + END_TOLERANCE_SECONDS:
            raise InputError(f"ends behind the end of the recording: it is {length:.3f} s long")
        start = round(self.start * sample_rate)
        stop = num_samples if self.end is None else min(round(self.end * sample_rate), num_samples)
        return Part(start=start, num_samples=max(stop - start, 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The fields of `wordless.audio.recordings.manifest.Clip` that do not come from the sound; None where unknown."""

    label: str | None = None
    group: str | None = None
    index: int | None = None
    fold: str | None = None
    split: Split | None = None
    span: Span | None = None  # None: the whole recording
    low_hz: float | None = None  # bounds of the frequencies that an annotation names
    high_hz: float | None = None
    annotated_channel: str | None = None
    where: str | None = field(default=None, compare=False)  # "file:line" of the row that names a part, for messages

    def clip_fields(self) -> dict[str, Any]:
        """Return the fields of a `Clip` by name; without a known split, the split is train."""
        return {**{name: getattr(self, name) for name in (*FIELDS, *BAND_FIELDS)}, "split": self.split or "train"}


_READ = (*FIELDS, *SPAN_FIELDS, *BAND_FIELDS)


def describe(fields: Mapping[str, str], where: str) -> Description:
    """Parse the fields of a description; empty text means unknown. Errors begin with ``where`` ("table.tsv:3")."""
    given = {name: text.strip() for name in _READ if (text := fields.get(name, "")).strip()}
    for name, text in given.items():
        if not text.isprintable():
            raise InputError(f"{where}: {name} is {text!r:.80}; leave tabs, line breaks and control characters out")
    return Description(
        label=given.get("label"),
        group=given.get("group"),
        index=_index(given["index"], where) if "index" in given else None,
        fold=given.get("fold"),
        split=split_of(given["split"], where) if "split" in given else None,
        span=(span := _span(given, where)),
        low_hz=_hertz(given, "low_hz", where),
        high_hz=_hertz(given, "high_hz", where),
        annotated_channel=given.get("annotated_channel"),
        where=where if span else None,
    )


def split_of(name: str, where: str) -> Split:
    """Return the split that a name stands for, in any case."""
    if split := split_named(name):
        return split
    known = ", ".join(name for split in get_args(Split) for name in SPLIT_NAMES[split])
    raise InputError(f"{where}: split is {name!r:.40}; write one of {known}")


def split_named(name: str) -> Split | None:
    """Return the split that a name stands for, in any case; None: it stands for no split."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def number_of(label: str) -> float | None:
    """Parse a label that is a finite number; None for all other labels."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _index(text: str, where: str) -> int:
    if (index := whole_number(text)) is None:
        raise InputError(f"{where}: index is {text!r:.40}; it must be a whole number from 0 to 2^63 - 1")
    return index


def _span(given: Mapping[str, str], where: str) -> Span | None:
    if not any(name in given for name in SPAN_FIELDS):
        return None
    start = _seconds(given["start"], "start", where) if "start" in given else 0.0
    end = _seconds(given["end"], "end", where) if "end" in given else None
    if end is not None and end <= start:
        raise InputError(f"{where}: end is {end:g} and start {start:g}; a part of a recording ends after it begins")
    return Span(start=start, end=end) if start or end is not None else None


def _hertz(given: Mapping[str, str], name: str, where: str) -> float | None:
    if name not in given:
        return None
    if (number := number_of(given[name])) is None or number < 0:
        raise InputError(f"{where}: {name} is {given[name]!r:.40}; it must be a number of Hz, 0 or more, such as 2000")
    return number


def _seconds(text: str, name: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise InputError(f"{where}: {name} is {text!r:.40}; it must be a number of seconds, 0 or more, such as 12.5")
    return seconds
