"""Tables of recordings: TSV or CSV, fairseq manifests, JSONL, one JSON document, Parquet. Errors name file and line.

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
segments name parts. Other lengths are ignored, because recordings are decoded and measured.

Recordings lie beside their table, or in the folders that data sets use (`FOLDERS`), with or without endings.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from wordless.audio.recordings.description import (
    BAND_FIELDS,
    FIELDS,
    PATH_COLUMNS,
    SEPARATOR,
    SPAN_FIELDS,
    ColumnConfig,
    LabelType,
    describe,
    in_seconds,
    known_split,
    no_such_column,
    seconds_of,
    time_columns,
)
from wordless.audio.recordings.folders import EXTENSIONS, on_disk, read_text
from wordless.audio.recordings.manifest import Clip, Clips, whole_number
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
_JSON_SUFFIXES, _PARQUET = (".jsonl", ".json", ".ndjson"), ".parquet"
_CSV_DELIMITERS, _TSV_DELIMITERS = ",;\t|", "\t,;|"
_BAR = "|"
_HEADER = 100_000  # characters of the first line that are looked at
_FIRST_LINES = 50  # show which delimiter gives each line as many cells, and which columns hold times
_OF_A_RUN = ("segment", "start", "num_samples", "sample_rate")  # columns of a run's manifest, where a start is a sample
_FAIRSEQ = re.compile(r"([^\t\n]*\S[^\t\n]*)\n+[^\t\n]*\t\s*\d+\s*(?:\n|$)")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_PLACE = re.compile(r"(line|row) (\d+)")  # in an error of pandas; rows begin with 0


def read_table(
    path: Path, columns: ColumnConfig | None = None, *, label_type: LabelType = "class", splits: bool = True
) -> tuple[Clips, tuple[str, ...]]:
    """Read any of the formats above, which the extension and the first lines show; also return the names of columns.

    Paths are as the table writes them, below the root that it names (fairseq) or its folder. Each candidate has its
    "file:line" or, of one JSON document or a Parquet file, "file: row number". Without ``splits`` the column of the
    split is not read.

    Raises:
        InputError: the table cannot be read, a named column is not there or twice, or several may be the label.
    """
    named, notices, root = columns or ColumnConfig(), list[str](), None
    if (suffix := path.suffix.lower()) in (*_JSON_SUFFIXES, _PARQUET):
        frame = _frame_of_objects(path, _recording_names(named))
    else:
        text = read_text(path, option="table")
        if suffix != ".csv" and (fairseq := _FAIRSEQ.match(text)):
            root, text = fairseq[1].strip(), f"{PATH}\tnum_samples{text[fairseq.end(1) :]}"
        frame, named = _frame_of_lines(text, path, named, label_type, notices)
    header, where = list(frame.columns), list(frame.index)
    base = path.parent if root is None else Path(root)
    if not header:
        return Clips.from_rows(base, ()), ()
    for name in header:
        if name and header.count(name) > 1:
            raise InputError(f"{path}:1: the header names {name} twice; name each column once")
    cells = {name: frame.iloc[:, number].tolist() for number, name in enumerate(header)}
    chosen = _choose(cells, named, label_type, path, notices)
    for name in [name for name in header if name.lower() in _SPLIT_COLUMNS and "split" not in chosen]:
        found = {known_split(str(value)) for value in cells[name]}
        if len(found) > 1 and None not in found:
            chosen["split"] = (name,)
            notices.append(f"{path.name}: column by its values: split: {name} (`columns.split` names another)")
    if not splits and "split" in chosen:
        notices.append(f"{path.name}: the column {chosen.pop('split')[0]} does not divide the recordings here")
    ours = {*_OF_A_RUN[1:]}.issubset(header) and ("segment" in header or {"trimmed", "sha256"}.issubset(header))
    unread = [name for name in header if name and not any(name in several for several in chosen.values())]
    if unread and not ours and root is None:
        reads = "`columns.label`, `columns.group` and others read some"
        notices.append(f"{path.name}: columns not read: {', '.join(unread)!s:.400} ({reads})")

    fields: dict[str, list[str]] = {}
    for field, names in chosen.items():
        texts = [[_as_text(cell, field, at) for cell, at in zip(cells[name], where, strict=True)] for name in names]
        several = len(texts) > 1
        fields[field] = (
            [SEPARATOR.join(filter(None, each)) for each in zip(*texts, strict=True)] if several else texts[0]
        )
        if field in _TIMES:
            fields[field] = [in_seconds(text, names[0]) for text in fields[field]]
    if ours and not {*_TIMES} & named.named.keys():  # the manifest of a run, unless somebody named its times
        samples = zip(*(cells.get(name, [""] * len(where)) for name in _OF_A_RUN), strict=True)
        fields["start"], fields["end"] = map(list, zip(*map(_span_of, samples), strict=True)) if where else ([], [])
    rows = (dict(zip(fields, texts, strict=True)) for texts in zip(*fields.values(), strict=True))
    described = []
    for row, at in zip(rows, where, strict=True):
        if not row.get(PATH, "").strip():
            raise InputError(f"{at}: no path; each row names a recording (`columns.audio` names the column)")
        described.append(describe(row[PATH], row, at))
    return Clips.from_rows(base, described, notices=tuple(notices)), tuple(header)


def _frame_of_lines(
    text: str, path: Path, named: ColumnConfig, label_type: LabelType, notices: list[str]
) -> tuple[pd.DataFrame, ColumnConfig]:
    """Read separated values as text, with "file:line" as index, and name the columns of a table without a header."""
    delimiter, has_header = _layout(text, path, named)
    rest = text.lstrip("\r\n")
    before = text.count("\n") - rest.count("\n")  # blank lines
    quoted = delimiter != _BAR and (path.suffix.lower() == ".csv" or delimiter != "\t" or text.startswith('"'))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    as_is = {"header": None, "dtype": str, "keep_default_na": False, "skip_blank_lines": False, "lineterminator": "\n"}
    try:
        frame = pd.read_csv(io.StringIO(rest), sep=delimiter, quoting=quoting, skipinitialspace=quoted, **as_is)
    except pd.errors.EmptyDataError:
        return pd.DataFrame(), named
    except (pd.errors.ParserError, ValueError) as error:
        place = _PLACE.search(str(error))
        line = 1 if place is None else int(place[2]) + (place[1] == "row") + before
        reason = f"{str(error).strip().rpartition('error: ')[2]:.200}"
        raise InputError(f"{path}:{line}: {reason}", remedy="fix the line, or write a tab-separated .tsv") from error
    cells = frame.map(_unquoted if delimiter == "\t" else str.strip)
    breaks = frame.map(lambda cell: cell.count("\n")).sum(axis=1).cumsum() if quoted else 0
    cells.index = pd.Index([f"{path}:{line}" for line in frame.index + 1 + breaks + before])
    header = cells.iloc[0].tolist() if has_header else [str(number) for number in range(1, frame.shape[1] + 1)]
    cells.columns = pd.Index(header, dtype=object)
    named = named if has_header else _without_header(header, named, label_type, path, notices)
    return cells.iloc[int(has_header) :][lambda rows: (rows != "").any(axis=1)], named


def _layout(text: str, path: Path, named: ColumnConfig) -> tuple[str, bool]:
    """Return the delimiter of a table, and whether its first line is a header.

    The first delimiter that finds a column of recordings counts. Without one, texts may have commas: the delimiter
    counts that gives most of the first lines as many cells as the very first, ``|`` before the others.
    """
    first, *others = [line for line in text.split("\n", _FIRST_LINES)[:_FIRST_LINES] if line.strip()] or [""]

    def cells(delimiter: str) -> list[str]:
        line = first.replace("\0", " ")[:_HEADER]  # the module csv refuses null characters and long cells
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]

    def fitness(delimiter: str) -> tuple[float, bool, int]:
        count = first.count(delimiter)
        equal = sum(line.count(delimiter) == count for line in (first, *others)) if count else 0
        return equal, delimiter == _BAR and equal > 0, count

    delimiters = _CSV_DELIMITERS if path.suffix.lower() == ".csv" else _TSV_DELIMITERS
    names = _recording_names(named)
    found = next((each for each in delimiters if any(_find(name, cells(each)) for name in names)), None)
    delimiter = found or max(delimiters, key=fitness)
    header = cells(delimiter)
    numbered = any(name.isdecimal() and not _find(name, header) for several in named.named.values() for name in several)
    bars = named.audio is None and found is None and delimiter == _BAR
    return delimiter, not (numbered or bars)


def _recording_names(named: ColumnConfig) -> tuple[str, ...]:
    """Return the names that the column of recordings may have."""
    return KNOWN[PATH] if named.audio is None else (named.audio,)


def _find(name: str, header: Sequence[str]) -> str | None:
    """Return the column of a name, as it is written there or in another case."""
    return name if name in header else next((each for each in header if each.lower() == name.lower()), None)


def _without_header(
    header: Sequence[str], named: ColumnConfig, label_type: LabelType, path: Path, notices: list[str]
) -> ColumnConfig:
    """Return the columns of a table without a header, whose names are numbers."""
    audio = named.audio or header[0]
    texts = label_type == "text" and named.label is None and len(header) > 1
    label = header[-1] if texts else named.label
    if named.audio is None or texts:
        what = f", and column {label} is the text (`columns.label`={label})" if texts else ""
        first_column = f"column {audio} names the recordings (`columns.audio`={audio})"
        notices.append(f"{path.name} has no header: {first_column}{what}")
    return replace(named, audio=audio, label=label)


def _choose(
    cells: Mapping[str, Sequence[object]], named: ColumnConfig, label_type: LabelType, path: Path, notices: list[str]
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each field: those that are named, else those of well-known names.

    Raises:
        InputError: a named column or the column of recordings is not there, or several columns may be the label.
    """
    header, chosen = list(cells), dict[str, tuple[str, ...]]()
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
        times = [name for name in header if name.lower() in _TIMES or _holds_times(cells[name][:_FIRST_LINES])]
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
    return chosen


def _holds_times(cells: Sequence[object]) -> bool:
    """Return whether the first values of a column are times, or there are none."""
    texts = [text for cell in cells if (text := str(cell or "").strip())]
    return 2 * sum(seconds_of(text) is not None for text in texts) >= len(texts)


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


def _unquoted(cell: str) -> str:
    """Return a cell of a TSV without quotation marks around it, which spreadsheets write around commas."""
    found = _QUOTED.fullmatch(cell.strip())
    return found[1].replace('""', '"') if found else cell.strip()


def _frame_of_objects(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Read JSON or Parquet, with "file:line" or "file: row number" as index; ``names`` may name a recording."""
    values: list[tuple[object, str]] | None = None
    if path.suffix.lower() == _PARQUET:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            whole: object = pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(option="table", value=path, rule=f"it cannot be read: {error!s:.200}") from error
    else:
        values = list(_json_values(read_text(path, option="table"), path))
        whole = _document_rows(values[0][0], names) if len(values) == 1 else None
    if isinstance(whole, list):
        values = [(row, f"{path}: row {number}") for number, row in enumerate(whole, start=1)]
    rows = []
    for value, where in values or ():
        if not isinstance(value, dict):
            raise InputError(f"{where}: {json.dumps(value):.80}; write one JSON object for each recording")
        rows.append(value)
    places = [where for _, where in values or ()]
    header = pd.Index(list(dict.fromkeys(name for row in rows for name in row)), dtype=object)
    return pd.DataFrame(
        [[row.get(name) for name in header] for row in rows], index=places, columns=header, dtype=object
    )


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

    lower = {name.lower() for name in names}

    def names_recording(row: Mapping[str, object]) -> bool:
        return any(name.lower() in lower and not isinstance(value, list) for name, value in row.items())

    columns = {name: value for name, value in whole.items() if isinstance(value, list | dict)}
    found = next((column for name in names if (column := _find(name, list(columns)))), None)
    if found and columns[found]:  # as pandas writes them
        of_columns = {
            name: dict(enumerate(value)) if isinstance(value, list) else value for name, value in columns.items()
        }
        if not any(isinstance(each, list | dict) for each in of_columns[found].values()):
            return [{name: of.get(key) for name, of in of_columns.items()} for key in of_columns[found]]
    if not whole or names_recording(whole):
        return None
    lists: dict[str, list[dict[str, object]]] = {
        key: rows
        for key, rows in whole.items()
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)
    }
    lists = {key: rows for key, rows in lists.items() if any(names_recording(row) for row in rows)} or lists
    splits = {key: {"split": split} for key in lists if (split := known_split(key))}
    if len(lists) == 1 or (lists and len(splits) == len(lists)):
        return [splits.get(key, {}) | row for key, rows in lists.items() for row in rows]
    if not lists and all(isinstance(value, dict) for value in whole.values()):
        return [row if names_recording(row) else {PATH: key, **row} for key, row in whole.items()]
    if not lists and all(PurePosixPath(key).suffix.lower().lstrip(".") in EXTENSIONS for key in whole):
        return [{PATH: key, "label": value} for key, value in whole.items()]
    return None


def _as_text(value: object, field: str, where: str) -> str:
    """Write a value of a row as text; only JSON has other values."""
    if value is None or (field in BAND_FIELDS and isinstance(value, dict | list)):  # several channels are no channel
        return ""
    if isinstance(value, dict | list) or (field == PATH and not isinstance(value, str)):
        kind = "text" if field == PATH else "text or a number"
        raise InputError(f"{where}: {field} is {json.dumps(value):.40}; it must be {kind}")
    return str(value)


def _span_of(cells: tuple[object, ...]) -> tuple[str, str]:
    """Return start and end in seconds of a row of a wordless manifest; a whole recording is trimmed anew."""
    segment, start, num_samples, sample_rate = (whole_number(str(cell)) for cell in cells)
    if segment is None or start is None or num_samples is None or not sample_rate:
        return "", ""
    return repr(start / sample_rate), repr((start + num_samples) / sample_rate)


FOLDERS = ("clips", "wavs", "wav", "audio", "recordings")  # that data sets keep recordings in, beside their tables
_ROWS = 100  # that are looked for in these folders


def folder_of(rows: Sequence[Clip], base: Path, *, around: bool) -> Path:
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


def spelling_of(row: Clip, root: Path) -> str | None:
    """Return the path of a row as it is on the disk, relative to ``root`` or absolute; None: it is not there.

    Without an ending, those of recordings are tried; with a fold, also a folder of its name (UrbanSound8K).
    """
    bare = PurePosixPath(row.path.replace("\\", "/")).suffix.lower().lstrip(".") not in EXTENSIONS
    for folder in ("", *((f"fold{row.fold}/", f"{row.fold}/") if row.fold else ())):
        for ending in ("", *(f".{each}" for each in EXTENSIONS if bare)):
            if found := on_disk(root, f"{folder}{row.path}{ending}"):
                return found
    return None
