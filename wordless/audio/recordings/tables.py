"""Tables of recordings: TSV or CSV, fairseq manifests, JSONL, one JSON document. Every error names file and line.

* TSV (``.tsv``, ``.txt``) or CSV (``.csv``): a header that names the columns. Cells are separated by tabs, commas,
  semicolons, as spreadsheets write them in countries with a decimal comma, or ``|``; the header shows which.
  A table without a header has as many cells in each of its first lines, and its columns are named by numbers, from 1.
  If ``|`` separates them, as in LJSpeech, the first column names the recording, and the last one is the text.
* fairseq TSV, as its wav2vec manifests are written: the first line is the root folder, the others are
  ``path<TAB>num_samples``.
* JSONL (``.jsonl``, ``.json``, ``.ndjson``), an object for each recording, as NeMo writes it; or one JSON document: a
  list of objects, an object with such a list in it, or an object with a key for each recording or for each column.

`ColumnConfig` names the columns. For those that it does not name, well-known names are tried, in any case (`KNOWN`,
`recordings.description.time_columns`); all other columns are named as not read. ``start`` and ``end``, in seconds or as
hh:mm:ss, name a part of the recording; several rows may name parts of one file. ``duration`` beside a start is the
length of the part if there is no end. In the ``manifest.tsv`` of a run ``start`` is a sample, and only the rows of
segments name parts.

Lengths of recordings in a table are ignored, because recordings are decoded and measured. ``duration`` without a start
is such a length, unless `ColumnConfig` names it.

Recordings lie beside their table, or in the folders that data sets use (`FOLDERS`), with or without endings.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Literal, TypeGuard

from wordless.audio.recordings.description import (
    BAND_FIELDS,
    FIELDS,
    PATH_COLUMNS,
    SEPARATOR,
    SPAN_FIELDS,
    ColumnConfig,
    Description,
    LabelType,
    describe,
    known_split,
    no_such_column,
    seconds_of,
    time_columns,
)
from wordless.audio.recordings.folders import EXTENSIONS, on_disk, read_text
from wordless.audio.recordings.manifest import whole_number
from wordless.base.errors import InputError
from wordless.base.values import nan_as_none

PATH = "path"  # the column of recordings, whatever its name in the table
TEXTS = ("text", "sentence", "transcript", "transcription", "normalized_text", "normalized_transcription")
KNOWN: Mapping[str, tuple[str, ...]] = {  # well-known names of columns, the first one first
    **{name: (name,) for name in (*FIELDS, *BAND_FIELDS)},
    PATH: PATH_COLUMNS,
    "label": ("label", "command", "category", "class", "class_name"),
    "group": ("group", "speaker", "speaker_id", "client_id"),
}
_SPLIT_COLUMNS = ("subset", "set", "partition")  # hold splits in some tables; known by their values
_EXCERPTS = "slice_file_name"  # UrbanSound8K: start and end are places in a recording that this file is an excerpt of
_TIMES = (*SPAN_FIELDS, "duration")
_JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
_CSV_DELIMITERS, _TSV_DELIMITERS = ",;\t|", "\t,;|"
_BAR = "|"
_FIRST_LINES = 50  # show which delimiter gives each line as many cells
_OF_A_RUN = {"start", "num_samples", "sample_rate"}  # columns of a run's manifest, where a start is a sample
_FAIRSEQ_ROW = re.compile(r"[^\t]*\t\s*\d+\s*")
_SPACE_AFTER_QUOTE = re.compile(r"""(?<=[^\s",;|])"[ ]+(?=[,;|\t\r\n]|$)""")  # which strict CSV does not allow
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a table: a recording's path as written there, and its description."""

    path: str
    description: Description
    where: str  # "file:line", or "file: row number" of one JSON document


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table's rows in its order, the root folder if the table names one (fairseq), and the names of its columns."""

    rows: tuple[Row, ...]
    root: str | None = None
    columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()  # which columns are read although nobody named them, a sentence each


_Cells = tuple[Mapping[str, object], str]  # the values of one row by column, and its "file:line"


def read_table(
    path: Path, columns: ColumnConfig | None = None, *, label_type: LabelType = "class", splits: bool = True
) -> Table:
    """Read any of the formats above; the extension and the first lines decide which.

    Without ``splits`` the column of the split is not read.

    Raises:
        InputError: the table cannot be read, a named column is not there or twice, or several may be the label.
    """
    named, text = columns or ColumnConfig(), read_text(path, option="table")
    notices: list[str] = []
    if path.suffix.lower() in _JSON_SUFFIXES:
        first = list(_json_cells(text, path, _recording_names(named)))
        cells: Iterable[_Cells] = first
        header = list(dict.fromkeys(name for values, _ in first for name in values))
        chosen = _choose(header, _with_times(header, first), named, label_type, path, notices) if first else {}
    else:
        line, _, rest = text.partition("\n")
        delimiter, header, has_header = _layout(text, path, named)
        if path.suffix.lower() != ".csv" and _is_fairseq(line, rest, known=_knows(header, named)):
            for column, option in named.wanted.items():
                rule = f"{path} is a fairseq manifest, which has no such columns: leave it out"
                raise InputError(option=option, value=column, rule=rule)
            return Table(
                rows=tuple(_row(each, {PATH: (PATH,)}) for each in _fairseq_cells(rest, path)), root=line.strip()
            )
        if not has_header:
            named, header = _without_header(header, named, label_type, path, notices)
        rows = _separated(text, path, delimiter, header, has_header=has_header)
        first = list(islice(rows, _FIRST_LINES))
        cells = chain(first, rows)
        chosen = _choose(header, _with_times(header, first), named, label_type, path, notices)
    if "split" not in chosen and (others := [name for name in header if name.lower() in _SPLIT_COLUMNS]):
        cells = list(cells)
        for name in others:
            found = {known_split(str(values.get(name))) for values, _ in cells}
            if len(found) > 1 and None not in found:
                chosen["split"] = (name,)
                notices.append(f"{path.name}: column by its values: split: {name} (`columns.split` names another)")
    if not splits and "split" in chosen:
        notices.append(f"{path.name}: the column {chosen.pop('split')[0]} does not divide the recordings here")
    # the manifest of a run, whose starts are samples, unless somebody named its times
    ours = _OF_A_RUN.issubset(header) and ("segment" in header or {"trimmed", "sha256"}.issubset(header))
    unread = [name for name in header if name and not any(name in several for several in chosen.values())]
    if unread and not ours:
        reads = "`columns.label`, `columns.group` and others read some"
        notices.append(f"{path.name}: columns not read: {', '.join(unread)!s:.400} ({reads})")
    samples = ours and not {*_TIMES} & named.named.keys()
    described = (_row(each, chosen, samples=samples) for each in cells)
    return Table(rows=tuple(described), columns=tuple(header), notices=tuple(notices))


def _layout(text: str, path: Path, named: ColumnConfig) -> tuple[str, list[str], bool]:
    """Return the delimiter of a table, the cells of its first line, and whether they are a header.

    The first delimiter that finds a column of recordings counts. Without one, texts may have commas: the delimiter
    counts that gives most of the first lines as many cells as the very first, ``|`` before the others.
    """
    delimiters = _CSV_DELIMITERS if path.suffix.lower() == ".csv" else _TSV_DELIMITERS
    beginnings = {delimiter: _first_lines(text, path, delimiter) for delimiter in delimiters}

    def fitness(delimiter: str) -> tuple[float, bool, int]:
        counts = [len(cells) for cells in beginnings[delimiter]]
        equal = sum(count == counts[0] for count in counts) / len(counts) if counts[0] > 1 else 0.0
        return equal, delimiter == _BAR and equal > 0, counts[0]

    found = next((each for each in delimiters if _knows(beginnings[each][0], named)), None)
    delimiter = found or max(delimiters, key=fitness)
    header = beginnings[delimiter][0]
    numbered = any(name.isdecimal() and not _find(name, header) for several in named.named.values() for name in several)
    bars = named.audio is None and found is None and delimiter == _BAR
    return delimiter, header, not (numbered or bars)


def _first_lines(text: str, path: Path, delimiter: str) -> list[list[str]]:
    """Return the cells of the first lines that are not empty; a line that cannot be read has none."""
    found: list[list[str]] = []
    try:
        for cells in islice(_reader(text, path, delimiter), _FIRST_LINES):
            if cells or not found:
                found.append([cell.strip() for cell in cells])
    except csv.Error:  # reported with its line when the rows are read
        found.append([])
    return found or [[]]


def _recording_names(named: ColumnConfig) -> tuple[str, ...]:
    """Return the names that the column of recordings may have."""
    return KNOWN[PATH] if named.audio is None else (named.audio,)


def _knows(header: Sequence[str], named: ColumnConfig) -> bool:
    """Return whether a header has the column of recordings."""
    return any(_find(name, header) for name in _recording_names(named))


def _find(name: str, header: Sequence[str]) -> str | None:
    """Return the column of a name, as it is written there or in another case."""
    return name if name in header else next((each for each in header if each.lower() == name.lower()), None)


def _reader(text: str, path: Path, delimiter: str) -> Iterator[list[str]]:
    """Read the cells of each line; only CSV uses quotes, or a table that quotes its header, as R writes it."""
    quoted = delimiter != _BAR and (path.suffix.lower() == ".csv" or delimiter != "\t" or text.startswith('"'))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    lines = io.StringIO(_SPACE_AFTER_QUOTE.sub('"', text) if quoted else text, newline="")
    return csv.reader(lines, delimiter=delimiter, quoting=quoting, skipinitialspace=quoted, strict=True)


def _without_header(
    first: Sequence[str], named: ColumnConfig, label_type: LabelType, path: Path, notices: list[str]
) -> tuple[ColumnConfig, list[str]]:
    """Return the columns of a table without a header, and their names, which are numbers."""
    header = [str(number) for number in range(1, len(first) + 1)]
    audio = named.audio or header[0]
    texts = label_type == "text" and named.label is None and len(header) > 1
    label = header[-1] if texts else named.label
    if named.audio is None or texts:
        what = f", and column {label} is the text (`columns.label`={label})" if texts else ""
        first_column = f"column {audio} names the recordings (`columns.audio`={audio})"
        notices.append(f"{path.name} has no header: {first_column}{what}")
    return replace(named, audio=audio, label=label), header


def _with_times(header: Sequence[str], rows: Sequence[_Cells]) -> list[str]:
    """Return the columns that may hold times: those of the plain names, and those whose first values are times."""
    found = []
    for name in header:
        texts = [text for values, _ in rows[:_FIRST_LINES] if (text := str(values.get(name) or "").strip())]
        if name.lower() in _TIMES or 2 * sum(seconds_of(text) is not None for text in texts) >= len(texts):
            found.append(name)
    return found


def _choose(
    header: Sequence[str],
    times: Sequence[str],
    named: ColumnConfig,
    label_type: LabelType,
    path: Path,
    notices: list[str],
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each field: those that are named, else those of well-known names, of ``times`` for times.

    Raises:
        InputError: a named column or the column of recordings is not there, the header names a column twice, or several
            columns may be the label.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for option, names in named.named.items():
        found = []
        for name in names:
            if (column := _find(name, header)) is None:
                raise no_such_column(f"columns.{option}", name, header, f"{path}:1")
            found.append(column)
        chosen[PATH if option == "audio" else option] = tuple(found)
    guessed = {
        field: column
        for field, names in KNOWN.items()
        if field not in chosen and (column := _known(field, names, header, label_type, path))
    }
    path_column = chosen.get(PATH, (guessed.get(PATH, ""),))[0]
    if path_column.lower() != _EXCERPTS:
        guessed |= time_columns(times, {field: names[0] for field, names in chosen.items()})
    if told := [f"{field}: {name}" for field, name in guessed.items() if name.lower() != field]:
        notices.append(f"{path.name}: columns by well-known names: {', '.join(told)} (`columns` names others)")
    chosen |= {field: (column,) for field, column in guessed.items()}
    if PATH not in chosen and header:
        if path.suffix.lower() in _JSON_SUFFIXES:
            what, remedy = "key", "give the object of each recording a key path, or name the key by `columns.audio`=KEY"
        else:
            what = "column"
            remedy = "write a header with the column path, or name it by `columns.audio`=NAME, or NUMBER without header"
        raise InputError(f"{path}:1: no {what} of recordings among {list(header)!s:.400}", remedy=remedy)
    for name in (name for several in chosen.values() for name in several):
        if [each.lower() for each in header].count(name.lower()) > 1 and header.count(name) != 1:
            raise InputError(f"{path}:1: the header names {name} twice; name each column once")
    return chosen


def _known(field: str, names: Sequence[str], header: Sequence[str], label_type: LabelType, path: Path) -> str | None:
    """Return the column with the first of the well-known names of a field.

    Labels of several meanings are not mixed up: of numbers and texts, names of classes are none.
    """
    if field != "label":
        return next((column for name in names if (column := _find(name, header))), None)
    if label_type != "class":
        names = ("label", *(TEXTS if label_type == "text" else ()))
    found = [column for name in names if (column := _find(name, header))]
    is_text = [column.lower() in TEXTS for column in found]
    if len(found) > 1 and not all(is_text):
        problem = f"{path}:1: the columns {' and '.join(found)} may be the label"
        raise InputError(problem, remedy=f"name one: `columns.label`={found[0]}")
    return found[0] if found else None


def _separated(text: str, path: Path, delimiter: str, header: Sequence[str], *, has_header: bool) -> Iterator[_Cells]:
    """Give the rows of a table of separated values."""
    lines = _reader(text, path, delimiter)
    number = 1
    try:
        if has_header:
            next(lines, None)
        for values in lines:
            number = lines.line_num  # type: ignore[attr-defined]  # of csv.reader, whose type has no public name
            if any(value.strip() for value in values):
                where = f"{path}:{number}"
                if len(values) != len(header):
                    problem = f"{len(values)} values under a header of {len(header)} columns"
                    raise InputError(f"{where}: {problem}; give one for each")
                yield dict(zip(header, map(_unquoted, values) if delimiter == "\t" else values, strict=True)), where
    except csv.Error as error:
        number = lines.line_num  # type: ignore[attr-defined]
        raise InputError(f"{path}:{number}: {error}; fix the line, or write a tab-separated .tsv") from error


def _unquoted(cell: str) -> str:
    """Return a cell of a TSV without quotation marks around it, which spreadsheets write around commas."""
    found = _QUOTED.fullmatch(cell.strip())
    return found[1].replace('""', '"') if found else cell


def _is_fairseq(first: str, rest: str, *, known: bool) -> bool:
    """Return whether a table begins with a folder: a line without tabs, before lines of a path and a number."""
    if "\t" in first or not first.strip():
        return False
    second = next((line for line in rest.split("\n", 100) if line.strip()), "")
    return _FAIRSEQ_ROW.fullmatch(second.rstrip("\r")) is not None or (not known and "\t" in second)


def _fairseq_cells(text: str, path: Path) -> Iterator[_Cells]:
    for number, line in enumerate(text.split("\n"), start=2):
        name, _, length = line.rstrip("\r").partition("\t")
        if not line.strip():
            continue
        if not length.strip().isdecimal():
            raise InputError(
                f"{path}:{number}: {line!r:.80}; a fairseq manifest has path<TAB>number of samples here "
                "(its first line is a folder; any other table begins with a header that has a column path)"
            )
        yield {PATH: name}, f"{path}:{number}"


def _json_cells(text: str, path: Path, names: Sequence[str]) -> Iterator[_Cells]:
    """Give the rows of JSON: an object after the other, or those of one document.

    ``names`` are the keys that may name a recording.
    """
    values = list(_json_values(text, path))
    if len(values) == 1 and (rows := _document_rows(values[0][0], names)) is not None:
        values = [(row, f"{path}: row {number}") for number, row in enumerate(rows, start=1)]
    for value, where in values:
        if not isinstance(value, dict):
            raise InputError(f"{where}: {json.dumps(value):.80}; write one JSON object for each recording")
        yield value, where


def _json_values(text: str, path: Path) -> Iterator[tuple[object, str]]:
    """Give each JSON value of a text and its "file:line"."""
    decoder, place, line = json.JSONDecoder(parse_constant=nan_as_none), 0, 1
    while (start := next(_SPACE.finditer(text, place)).end()) < len(text):
        line, before = line + text.count("\n", place, start), place
        try:
            value, place = decoder.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            cause = "too deeply nested" if isinstance(error, RecursionError) else error
            if isinstance(error, json.JSONDecodeError) and not before:
                line = text.count("\n", 0, min(error.pos, len(text.rstrip()))) + 1
            raise InputError(f"{path}:{line}: not JSON ({cause}); write one object per line, or one list") from error
        yield value, f"{path}:{line}"
        line += text.count("\n", start, place)


def _document_rows(whole: object, names: Sequence[str]) -> list[object] | None:
    """Return the rows of one JSON document: of a list, of an object with lists or columns, or of an object of rows."""
    if isinstance(whole, list):
        return [{PATH: each} if isinstance(each, str) else each for each in whole]
    if not isinstance(whole, dict):
        return None
    if (column := _column_of_recordings(whole, names)) is not None:
        keys = list(whole[column]) if isinstance(whole[column], dict) else range(len(whole[column]))
        columns = {name: values for name, values in whole.items() if isinstance(values, list | dict)}
        return [
            {
                name: values.get(key) if isinstance(values, dict) else values[number]
                for name, values in columns.items()
                if isinstance(values, dict) or number < len(values)
            }
            for number, key in enumerate(keys)
        ]
    if not whole or _names_recording(whole, names):
        return None
    lists = {key: value for key, value in whole.items() if _is_list_of_rows(value)}
    lists = {key: rows for key, rows in lists.items() if any(_names_recording(row, names) for row in rows)} or lists
    splits = {key: {"split": split} for key in lists if (split := known_split(key))}
    if len(lists) == 1 or (lists and len(splits) == len(lists)):
        return [splits.get(key, {}) | row for key, rows in lists.items() for row in rows]
    if not lists and all(isinstance(value, dict) for value in whole.values()):
        return [row if _names_recording(row, names) else {PATH: key, **row} for key, row in whole.items()]
    if not lists and all(PurePosixPath(key).suffix.lower().lstrip(".") in EXTENSIONS for key in whole):
        return [{PATH: key, "label": value} for key, value in whole.items()]
    return None


def _column_of_recordings(whole: Mapping[str, object], names: Sequence[str]) -> str | None:
    """Return the column of recordings if an object has a list or an object for each column, as pandas writes them."""
    columns = {name: value for name, value in whole.items() if isinstance(value, list | dict)}
    found = next((column for name in names if (column := _find(name, list(columns)))), None)
    rows = columns.get(found or "")
    inner = rows.values() if isinstance(rows, dict) else rows if isinstance(rows, list) else ()
    return found if found and inner and not any(isinstance(each, list | dict) for each in inner) else None


def _names_recording(row: Mapping[str, object], names: Sequence[str]) -> bool:
    lower = {name.lower() for name in names}
    return any(name.lower() in lower and not isinstance(value, list) for name, value in row.items())


def _is_list_of_rows(value: object) -> TypeGuard[list[dict[str, object]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _row(cells: _Cells, chosen: Mapping[str, Sequence[str]], *, samples: bool = False) -> Row:
    """Return a row of a table; ``samples``: it is one of a run's manifest, whose times are samples."""
    values, where = cells
    fields: dict[str, str] = {}
    for field, names in chosen.items():
        texts = [_as_text(values.get(name), field, where) for name in names]
        fields[field] = texts[0] if len(texts) == 1 else SEPARATOR.join(filter(None, map(str.strip, texts)))
    for name in {*_TIMES} & fields.keys():
        if (seconds := seconds_of(fields[name], chosen[name][0])) is not None:
            fields[name] = repr(seconds)
    if samples:
        fields = _in_seconds(fields, values)
    if not fields.get(PATH, "").strip():
        raise InputError(f"{where}: no path; each row names a recording (`columns.audio` names the column)")
    return Row(path=fields[PATH], description=describe(fields, where), where=where)


def _as_text(value: object, field: str, where: str) -> str:
    """Write a value of a row as text; only JSON has other values."""
    if value is None or (field in BAND_FIELDS and isinstance(value, dict | list)):  # several channels are no channel
        return ""
    if isinstance(value, dict | list) or (field == PATH and not isinstance(value, str)):
        kind = "text" if field == PATH else "text or a number"
        raise InputError(f"{where}: {field} is {json.dumps(value):.40}; it must be {kind}")
    return str(value)


def _in_seconds(fields: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """Convert a row of a wordless manifest from samples to seconds; a whole recording is trimmed anew."""
    others = {name: text for name, text in fields.items() if name not in SPAN_FIELDS}
    names = ("segment", "start", "num_samples", "sample_rate")
    segment, start, num_samples, sample_rate = (whole_number(str(values.get(name, ""))) for name in names)
    if segment is None or start is None or num_samples is None or not sample_rate:
        return others
    return {**others, "start": repr(start / sample_rate), "end": repr((start + num_samples) / sample_rate)}


FOLDERS = ("clips", "wavs", "wav", "audio", "recordings")  # that data sets keep recordings in, beside their tables
_ROWS = 100  # that are looked for in these folders


def folder_of(rows: Sequence[Row], base: Path, *, around: bool) -> Path:
    """Return the folder that has most of the first recordings of a table: ``base``, or one of `FOLDERS` in it.

    With ``around`` the folder above ``base`` is tried as well, as a table may lie in a folder of its own.
    """
    first = rows[:_ROWS]
    bases = [base, *([base.absolute().parent] if around else [])]
    best, most = base, -1
    for place in (each for own in bases for each in (own, *(own / name for name in FOLDERS))):
        if place.is_dir() and (found := sum(spelling_of(row, place) is not None for row in first)) > most:
            best, most = place, found
            if found == len(first):
                break
    return best


def spelling_of(row: Row, root: Path) -> str | None:
    """Return the path of a row as it is on the disk, relative to ``root`` or absolute; None: it is not there.

    Without an ending, those of recordings are tried; with a fold, also a folder of its name (UrbanSound8K).
    """
    bare = PurePosixPath(row.path.replace("\\", "/")).suffix.lower().lstrip(".") not in EXTENSIONS
    fold = row.description.fold
    for folder in ("", *((f"fold{fold}/", f"{fold}/") if fold else ())):
        for ending in ("", *(f".{each}" for each in EXTENSIONS if bare)):
            if found := on_disk(root, f"{folder}{row.path}{ending}"):
                return found
    return None
