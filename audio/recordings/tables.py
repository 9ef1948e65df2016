"""Tables of recordings: TSV or CSV with a header, fairseq manifests, JSONL. Every error names file and line.

* TSV (``.tsv``, ``.txt``) or CSV (``.csv``): a header with ``path`` and any of ``label group index fold split``; other
columns are ignored.
  The columns of a CSV may also be separated by tabs, or by semicolons, as spreadsheets write them in countries with a
  decimal comma; the header shows which.
  ``start`` and ``end``, in seconds, name a part of the recording; several rows may name parts of one file.
  In the ``manifest.tsv`` of a run ``start`` is a sample, and only the rows of segments name parts.
* fairseq TSV, as its wav2vec manifests are written: the first line is the root folder, the others are
``path<TAB>num_samples``.
* JSONL (``.jsonl``, ``.json``, ``.ndjson``), as NeMo writes it: ``audio_filepath`` (or ``path``, ``audio``), and any of
  ``label`` (or ``command``), ``group`` (or ``speaker``), ``index``, ``fold``, ``split``, ``start`` and ``end``, or
  ``offset`` and ``duration``.

A JSONL row with ``set_aside``, a reason, names a recording that is left out, and that need not be there.

Lengths of recordings in a table are ignored, because recordings are decoded and measured. ``duration`` without
``offset`` is such a length.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audio.recordings.description import FIELDS, SPAN_FIELDS, Description, describe
from audio.recordings.manifest import whole_number
from foundation.errors import InputError

_CSV_DELIMITERS = (",", ";", "\t")
_JSON_NAMES = {
    "path": ("audio_filepath", "path", "audio"),
    **{name: (name,) for name in (*FIELDS, *SPAN_FIELDS)},
    "label": ("label", "command"),
    "group": ("group", "speaker", "speaker_id"),
    "start": ("start", "offset"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a table: a recording's path as written there, and its description."""

    path: str
    description: Description
    where: str  # "file:line"
    set_aside: str | None = None  # why the recording is left out; None: it is not


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table's rows in its order, and the root folder if the table names one (fairseq)."""

    rows: tuple[Row, ...]
    root: str | None = None


def read_table(path: Path) -> Table:
    """Read any of the formats above; the extension and the first line decide which."""
    text = _text(path)
    if path.suffix.lower() in (".jsonl", ".json", ".ndjson"):
        return Table(rows=tuple(_json_rows(text, path)))
    if path.suffix.lower() == ".csv":
        return Table(rows=tuple(_header_rows(text, path, _csv_delimiter(text), quoting=csv.QUOTE_MINIMAL)))
    first, _, rest = text.partition("\n")
    if "\t" not in first and first.strip() and first.strip() != "path":
        return Table(rows=tuple(_fairseq_rows(rest, path)), root=first.strip())
    # Only CSV uses quotes: a TSV file name may contain one.
    return Table(rows=tuple(_header_rows(text, path, "\t", quoting=csv.QUOTE_NONE)))


def _csv_delimiter(text: str) -> str:
    """Return the first delimiter that finds a column ``path`` in the header; a comma if none does."""
    for delimiter in _CSV_DELIMITERS:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            if "path" in _names(next(lines, [])):
                return delimiter
        except csv.Error:  # reported with its line when the rows are read
            continue
    return _CSV_DELIMITERS[0]


def _names(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _text(path: Path) -> str:
    try:
        if path.is_char_device() or path.is_block_device():  # reading /dev/zero never ends; a pipe of a shell ends
            raise InputError(f"corpus.table={path} is a device; name a file")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"corpus.table={path} cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8; save the table as UTF-8 text") from error
    except InputError:
        raise
    except ValueError as error:  # the path has a null character, or a character that UTF-8 cannot encode
        raise InputError(f"corpus.table={str(path)!r:.200} is not a path; name a file") from error


def _header_rows(text: str, path: Path, delimiter: str, *, quoting: Literal[0, 3]) -> Iterator[Row]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = _names(next(lines, []))
        if "path" not in header:
            others = ", ".join((*FIELDS, *SPAN_FIELDS))
            raise InputError(f"{path}:1: the header is {header!s:.200}; it needs path, and may have {others}")
        if repeated := [name for name in ("path", *FIELDS, *SPAN_FIELDS) if header.count(name) > 1]:
            raise InputError(f"{path}:1: the header names {repeated[0]} twice; name each column once")
        for values in lines:
            if any(value.strip() for value in values):
                yield _header_row(header, values, f"{path}:{lines.line_num}", decimal_comma=delimiter == ";")
    except csv.Error as error:
        raise InputError(f"{path}:{lines.line_num}: {error}; fix the line, or write a tab-separated .tsv") from error


def _header_row(header: list[str], values: list[str], where: str, *, decimal_comma: bool) -> Row:
    if len(values) != len(header):
        raise InputError(f"{where}: {len(values)} values under a header of {len(header)} columns; give one for each")
    fields = dict(zip(header, values, strict=True))
    if decimal_comma:
        fields |= {name: fields[name].replace(",", ".") for name in SPAN_FIELDS if name in fields}
    return _row(_in_seconds(fields) if "num_samples" in fields and "sample_rate" in fields else fields, where)


def _in_seconds(fields: Mapping[str, str]) -> dict[str, str]:
    """Convert a row of a wordless manifest from samples to seconds; a whole recording is trimmed anew."""
    others = {name: text for name, text in fields.items() if name not in SPAN_FIELDS}
    names = ("segment", "start", "num_samples", "sample_rate")
    segment, start, num_samples, sample_rate = (whole_number(fields.get(name, "")) for name in names)
    if segment is None or start is None or num_samples is None or not sample_rate:
        return others
    return {**others, "start": repr(start / sample_rate), "end": repr((start + num_samples) / sample_rate)}


def _fairseq_rows(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=2):
        name, _, length = line.rstrip("\r").partition("\t")
        if not line.strip():
            continue
        if not length.strip().isdecimal():
            raise InputError(
                f"{path}:{number}: {line!r:.80}; a fairseq manifest has path<TAB>number of samples here "
                "(its first line is a folder; any other table begins with a header that has a column path)"
            )
        yield _row({"path": name}, f"{path}:{number}")


def _json_rows(text: str, path: Path) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            cause = "too deeply nested" if isinstance(error, RecursionError) else error
            raise InputError(f"{path}:{number}: not JSON ({cause}); write one object per line") from error
        if not isinstance(value, dict):
            raise InputError(f"{path}:{number}: {line!r:.80}; write one JSON object per line")
        yield _row(_json_fields(value, f"{path}:{number}"), f"{path}:{number}", set_aside=value.get("set_aside"))


def _json_fields(value: Mapping[str, object], where: str) -> dict[str, str]:
    """Return for each field the first of its names that has a value."""
    given = {
        field: [value[name] for name in names if value.get(name) is not None] for field, names in _JSON_NAMES.items()
    }
    first = {field: values[0] for field, values in given.items() if values}
    for field, found in first.items():
        if isinstance(found, dict | list) or (field == "path" and not isinstance(found, str)):
            kind = "text" if field == "path" else "text or a number"
            raise InputError(f"{where}: {field} is {json.dumps(found):.40}; it must be {kind}")
    fields = {field: str(found) for field, found in first.items()}
    return _with_end(fields, value) if "start" in fields and "end" not in fields else fields


def _with_end(fields: dict[str, str], value: Mapping[str, object]) -> dict[str, str]:
    """Add the end computed from ``offset`` and ``duration``, as NeMo writes parts of recordings."""
    duration = value.get("duration")
    if value.get("offset") is None or duration is None:
        return fields
    try:
        return {**fields, "end": repr(float(fields["start"]) + float(str(duration)))}
    except ValueError:
        return {**fields, "end": str(duration)}


def _row(fields: Mapping[str, str], where: str, *, set_aside: object = None) -> Row:
    if not fields.get("path"):
        raise InputError(f"{where}: no path; each row names a recording (column path, in JSONL audio_filepath)")
    if set_aside is not None and not isinstance(set_aside, str):
        raise InputError(f"{where}: set_aside is {set_aside!r:.40}; write the reason as text")
    return Row(path=fields["path"], description=describe(fields, where), where=where, set_aside=set_aside)
