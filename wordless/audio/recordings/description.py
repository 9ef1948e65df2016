"""Descriptions of recordings from their names, their folders or the rows and columns of a table.

File-name patterns: ``{label}_{group}_{index}.wav``.

========================  =====================================================================
``{label}`` ``{group}``   the fewest characters that fit, at least one, without ``/``
``{fold}`` ``{split}``    likewise
``{index}``               digits
``*``                     no or any characters, without ``/``
``**``                    no or any characters
========================  =====================================================================

A pattern with ``/`` is matched with the path below the corpus root, one without only with the file's name. The
extension may be omitted.

Regular expressions with several fields take hours for some names, such as 4,000 underscores. The time of this matching
grows with the length of the pattern times that of the name.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

from wordless.audio.recordings.manifest import Split, whole_number
from wordless.audio.waveform import Part
from wordless.base.errors import InputError
from wordless.base.options import Options, option

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
    known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
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


_MOST_GAPS = 100
_EXTENSION = re.compile(r"(?:\.[^./]+)?")
_TOKEN = re.compile(r"\{([^{}]*)\}|\*\*|\*|[^*{}]+|[{}]")


@dataclass(frozen=True)
class Template:
    """A file-name pattern."""

    text: str

    def __post_init__(self) -> None:
        for name in (names := self.fields):
            if name not in FIELDS:
                raise InputError(f"corpus.pattern is {self.text!r} with {{{name}}}; the fields are {_choices()}")
            if names.count(name) > 1:
                raise InputError(f"corpus.pattern is {self.text!r}, with {{{name}}} twice; name each field once")
        if len(self._gaps) > _MOST_GAPS:
            raise InputError(f"corpus.pattern is {self.text!r:.80}...; use at most {_MOST_GAPS} fields and asterisks")
        if "{" in (rest := re.sub(r"\{[^{}]*\}", "", self.text)) or "}" in rest or not self.text:
            raise InputError(f"corpus.pattern is {self.text!r}; write fields as {_choices()}, closing each brace")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(re.findall(r"\{([^{}]*)\}", self.text))

    def match(self, path: str) -> dict[str, str] | None:
        """Match a path below the corpus root ("/" between folders); return its fields, or None if it does not fit."""
        name = path if "/" in self.text else path.rpartition("/")[2]
        begin = self._tokens[0] if self._tokens and not _is_gap(self._tokens[0]) else ""
        spans = _find_spans(name, self._gaps, len(begin)) if name.startswith(begin) else None
        if spans is None:
            return None
        texts = zip(self._gaps, spans, strict=True)
        return {gap.field: name[start:end] for gap, (start, end) in texts if gap.field}

    @cached_property
    def _tokens(self) -> tuple[str, ...]:
        return tuple(token.group() for token in _TOKEN.finditer(self.text))

    @cached_property
    def _gaps(self) -> tuple["_Gap", ...]:
        following = (*self._tokens[1:], "")
        return tuple(
            _Gap.of(token, "" if _is_gap(after) else after)
            for token, after in zip(self._tokens, following, strict=False)
            if _is_gap(token)
        )


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """A field or an asterisk, and the text that follows it in the pattern."""

    field: str | None
    fewest: int  # least number of characters
    digits: bool  # matches as many digits as possible
    folders: bool  # may match "/"
    after: str

    @classmethod
    def of(cls, token: str, after: str) -> "_Gap":
        field = token[1:-1] if token.startswith("{") else None
        return cls(field=field, fewest=int(bool(field)), digits=field == "index", folders=token == "**", after=after)

    def stop(self, text: str, start: int) -> int:
        """Return the latest possible end."""
        if self.folders:
            return len(text)
        if self.digits:
            return next((place for place in range(start, len(text)) if not text[place].isdecimal()), len(text))
        slash = text.find("/", start)
        return len(text) if slash < 0 else slash


def _find_spans(text: str, gaps: Sequence[_Gap], begin: int) -> list[tuple[int, int]] | None:
    """Find start and end of each gap in the first match from ``begin`` on; None: no match.

    Each gap is as short as possible, digits are as long as possible. If a gap fails from one place on, it also fails
    from every later place of the same stretch, because those were tried. So each gap passes over the text once.
    """
    failed: dict[tuple[int, int], int] = {}  # gap and end of the stretch -> the first start that failed

    def spans(place: int, start: int) -> list[tuple[int, int]] | None:
        if place == len(gaps):
            return [] if _EXTENSION.fullmatch(text, start) else None
        gap = gaps[place]
        stop = gap.stop(text, start)
        if failed.get((place, stop), len(text) + 1) <= start:
            return None
        ends = range(start + gap.fewest, stop + 1)
        for end in reversed(ends) if gap.digits else ends:
            if text.startswith(gap.after, end) and (rest := spans(place + 1, end + len(gap.after))) is not None:
                return [(start, end), *rest]
        failed[place, stop] = start
        return None

    return spans(0, begin)


def _is_gap(token: str) -> bool:
    return token in ("*", "**") or token.startswith("{")


def _choices() -> str:
    return ", ".join(f"{{{name}}}" for name in FIELDS)


SEPARATOR = ";"  # between several labels of a recording, as in probe.label_separator


@dataclass(frozen=True, kw_only=True)
class ColumnConfig(Options):
    """Columns of a table or data set; in tar shards, keys of a sample's ``.json`` and endings of its members.

    A table may have no header; its columns are then named by their numbers, from 1. None: in a table, a column of a
    well-known name (`recordings/tables.py`); in a data set, nothing but its only column of sound and its splits.
    """

    audio: str | None = option(
        None,
        "column with the paths or recordings; null: of a table, one of a well-known name; of a data set, its only one",
    )
    label: str | int | tuple[str | int, ...] | None = option(
        None,
        "column of the label, or several: [tempo,key]; null: of a table, one of a well-known name; of a data set, no "
        "labels",
    )
    group: str | None = option(None, "column of the group, such as the speaker; null as for labels")
    fold: str | None = option(None, "column of the fold; null as for labels")
    split: str | None = option(
        None,
        "column of the split; null: the column split of a table; of a data set, the splits of its folders and files",
    )
    index: str | None = option(None, "column of the position in a series, in a table")
    start: str | None = option(None, "column with the seconds at which a part of the recording begins, in a table")
    end: str | None = option(None, "column with the seconds at which the part ends")
    duration: str | None = option(None, "column with the seconds that the part lasts, instead of its end")

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the label."""
        return self.named.get("label", ())

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that are named, by option."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        several = {name: value if isinstance(value, tuple) else (value,) for name, value in given.items()}
        return {name: tuple(map(str, each)) for name, each in several.items() if given[name] not in (None, ())}

    @property
    def wanted(self) -> dict[str, str]:
        """Each column that is read as text, and the option that names it."""
        return {
            column: f"corpus.columns.{name}={column}"
            for name, columns in self.named.items()
            for column in columns
            if name != "audio"
        }
