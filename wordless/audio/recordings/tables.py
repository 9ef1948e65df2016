"""Tables of recordings: TSV or CSV, fairseq manifests, JSON, Parquet; all cells are text. Errors name file and line.

* TSV (``.tsv``, ``.txt``) or CSV (``.csv``): a header that names the columns. Cells are separated by tabs, commas,
  semicolons, as spreadsheets write them in countries with a decimal comma, or ``|``; the header shows which.
  A table without a header has as many cells in each of its first lines, and its columns are named by numbers, from 1.
  If ``|`` separates them, as in LJSpeech, the first column names the recording, and the last one is the text.
* fairseq TSV, as its wav2vec manifests are written: the first line is the root folder, the others are
  ``path<TAB>num_samples``.
* JSON (``.jsonl``, ``.json``, ``.ndjson``): an object for each recording, one after the other as NeMo writes them, in a
  list, or by its name; or columns, as pandas writes them. Parquet: a row for each recording.

`ColumnConfig` names the columns. For those that it does not name, well-known names are tried, in any case (`KNOWN`,
`recordings.description.time_columns`); all other columns are named as not read. ``start`` and ``end``, in seconds or as
hh:mm:ss, name a part of the recording; several rows may name parts of one file. ``duration`` beside a start is the
length of the part if there is no end. In the ``manifest.tsv`` of a run ``start`` is a sample, and only the rows of
segments name parts. Other lengths are ignored, because recordings are decoded and measured.

Recordings lie beside their table, or in the folders that data sets use (`FOLDERS`), with or without endings.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wordless.audio.recordings import description
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.folders import on_disk, read_text, separated
from wordless.audio.recordings.manifest import Clips, whole_number
from wordless.base.errors import InputError
from wordless.base.values import nan_as_none

PATH = "path"  # the column of recordings, whatever its name in the table
TEXTS = ("text", "sentence", "transcript", "transcription", "normalized_text", "normalized_transcription")
KNOWN: Mapping[str, tuple[str, ...]] = {  # well-known names of columns, the first one first
    **{name: (name,) for name in (*description.FIELDS, *description.BAND_FIELDS)},
    PATH: description.PATH_COLUMNS,
    "label": ("label", "command", "category", "class", "class_name"),
    "group": ("group", "speaker", "speaker_id", "client_id"),
}
_SPLIT_COLUMNS = ("subset", "set", "partition")  # hold splits in some tables; known by their values
_EXCERPTS = "slice_file_name"  # UrbanSound8K: start and end are places in a recording that this file is an excerpt of
_TIMES = (*description.SPAN_FIELDS, "duration")
_JSON_SUFFIXES, _PARQUET = (".jsonl", ".json", ".ndjson"), ".parquet"
_BAR = "|"
_FIRST_LINES = 50  # show which delimiter gives each line as many cells, and which columns hold times
_OF_A_RUN = ("segment", "start", "num_samples", "sample_rate")  # columns of a run's manifest, where a start is a sample
_FAIRSEQ = re.compile(r"([^\t\n]*\S[^\t\n]*)\n+[^\t\n]*\t\s*\d+\s*(?:\n|$)")
_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'^"((?:[^"]|"")*)"$')


def read_table(
    path: Path, columns: ColumnConfig | None = None, *, label_type: description.LabelType = "class", splits: bool = True
) -> Clips:
    """Read any of the formats above, which the extension and the first lines show; faults name file and line.

    Paths are as the table writes them, below the root that it names (fairseq) or its folder. Each candidate has its
    "file:line" or, of JSON and Parquet, "file: row number". Without ``splits`` the column of the split is not read.
    """
    named, notices, base = columns or ColumnConfig(), list[str](), path.parent
    fairseq = None
    if (suffix := path.suffix.lower()) in (*_JSON_SUFFIXES, _PARQUET):
        header, rows = _objects(path, named)
    else:
        text = read_text(path, option="table")
        if suffix != ".csv" and (fairseq := _FAIRSEQ.match(text)):
            base, text = Path(fairseq[1].strip()), f"{PATH}\tnum_samples{text[fairseq.end(1) :]}"
        header, rows, named = _lines(text, path, named, label_type, notices)
    if not header:
        return Clips.from_columns(base, {PATH: ()})
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise InputError(f"{path}:1: the header names {twice} twice; name each column once")
    cells = {name: [row[number] for row in rows.values()] for number, name in enumerate(header)}
    chosen = _choose(cells, named, label_type, path, notices)
    if not splits and "split" in chosen:
        notices.append(f"the column {chosen.pop('split')[0]} does not divide the recordings here")
    ours = {*_OF_A_RUN[1:]}.issubset(header) and ("segment" in header or {"trimmed", "sha256"}.issubset(header))
    read = {name for several in chosen.values() for name in several}
    unread = [name for name in header if name and name not in read and not (ours or fairseq)]
    notices += description.unread_notices(unread)
    of_fields = {field: zip(*(cells[name] for name in names), strict=True) for field, names in chosen.items()}
    fields = {field: list(map(description.joined, texts)) for field, texts in of_fields.items()}
    fields |= {field: description.in_seconds(fields[field], chosen[field][0]) for field in fields.keys() & {*_TIMES}}
    if ours and rows and not {*_TIMES} & named.named.keys():  # the manifest of a run, unless somebody named its times
        samples = zip(*(cells.get(name, [""] * len(rows)) for name in _OF_A_RUN), strict=True)
        fields["start"], fields["end"] = map(list, zip(*map(_span_of, samples), strict=True))
    described, faults = description.describe(fields, [*rows])
    unnamed, places = "no path; each row names a recording (`columns.audio` names the column)", [*rows]
    faults |= {row: f"{places[row]}: {unnamed}" for row, text in enumerate(fields[PATH]) if not text.strip()}
    if faults:
        raise InputError(faults[min(faults)])
    notices = [f"{path.name}: {notice}" for notice in notices]
    return Clips.from_columns(base, {PATH: fields[PATH], **described}, notices=tuple(notices))


Rows = dict[str, list[str]]  # the cells of each row by its place, as many as the header has


def _lines(
    text: str, path: Path, named: ColumnConfig, label_type: description.LabelType, notices: list[str]
) -> tuple[list[str], Rows, ColumnConfig]:
    """Read separated values; the columns of a table without a header are named by their numbers."""
    delimiter, has_header = _layout(text, path, named)
    quoted = delimiter != _BAR and (path.suffix.lower() == ".csv" or delimiter != "\t" or text.startswith('"'))
    header, rows = list[str](), Rows()
    for line, row in separated(text, delimiter, str(path), quoted=quoted):
        if delimiter == "\t" and any(cell.startswith('"') for cell in row):  # as spreadsheets write cells with commas
            row = [_QUOTED.sub(lambda found: found[1].replace('""', '"'), cell) for cell in row]
        if not header:
            header = row if has_header else [str(number) for number in range(1, len(row) + 1)]
        if row is not header:
            if len(row) > len(header):
                problem = f"{path}:{line}: {len(row)} cells, where the first line has {len(header)} fields"
                raise InputError(problem, remedy="fix the line, or write a tab-separated .tsv")
            rows[f"{path}:{line}"] = row + [""] * (len(header) - len(row))
    if header and not has_header:
        texts = label_type == "text" and named.label is None and len(header) > 1
        if named.audio is None or texts:
            what = f", and column {header[-1]} is the text (`columns.label`={header[-1]})" if texts else ""
            audio = named.audio or header[0]
            notices.append(f"it has no header: column {audio} names the recordings (`columns.audio`={audio}){what}")
        named = replace(named, audio=named.audio or header[0], label=header[-1] if texts else named.label)
    return header, rows, named


def _layout(text: str, path: Path, named: ColumnConfig) -> tuple[str, bool]:
    """Return the delimiter of a table, and whether its first line is a header.

    The first delimiter that finds a column of recordings counts, else the one that gives most of the first lines as
    many cells as the very first, ``|`` before the others.
    """
    first, *others = [line for line in text.split("\n", _FIRST_LINES)[:_FIRST_LINES] if line.strip()] or [""]

    def cells(delimiter: str) -> list[str]:
        line = first.replace("\0", " ")  # which the module csv of older versions of Python refuses
        # the rest of a quoted cell may be on the next line
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]

    def fitness(delimiter: str) -> tuple[float, bool, int]:
        count = first.count(delimiter)
        equal = sum(line.count(delimiter) == count for line in (first, *others)) if count else 0
        return equal, delimiter == _BAR and equal > 0, count

    delimiters = ",;\t|" if path.suffix.lower() == ".csv" else "\t,;|"
    names = description.PATH_COLUMNS if named.audio is None else (named.audio,)
    found = next((each for each in delimiters if any(_find(name, cells(each)) for name in names)), None)
    delimiter = found or max(delimiters, key=fitness)
    header = cells(delimiter)
    numbered = any(name.isdecimal() and not _find(name, header) for several in named.named.values() for name in several)
    return delimiter, not numbered and (found is not None or named.audio is not None or delimiter != _BAR)


def _find(name: str, header: Sequence[str]) -> str | None:
    """Return the column of a name, as it is written there or in another case."""
    return name if name in header else next((each for each in header if each.lower() == name.lower()), None)


def _choose(
    cells: Mapping[str, Sequence[str]],
    named: ColumnConfig,
    label_type: description.LabelType,
    path: Path,
    notices: list[str],
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each field: those that are named, else those of well-known names."""
    header, chosen = list(cells), dict[str, tuple[str, ...]]()
    for option, names in named.named.items():
        found = {name: _find(name, header) for name in names}
        if missing := [name for name, column in found.items() if column is None]:
            raise description.no_such_column(f"columns.{option}", missing[0], header, f"{path}:1")
        chosen[PATH if option == "audio" else option] = tuple(filter(None, found.values()))
    guessed = dict[str, str]()
    for field, names in KNOWN.items():
        if field == "label" and label_type != "class":  # of numbers and texts, names of classes are none
            names = ("label", *(TEXTS if label_type == "text" else ()))
        there = [column for name in names if (column := _find(name, header))]
        if field in chosen or not there:
            continue
        if field == "label" and len(there) > 1 and not all(column.lower() in TEXTS for column in there):
            problem = f"{path}:1: the columns {' and '.join(there)} may be the label"
            raise InputError(problem, remedy=f"name one: `columns.label`={there[0]}")
        guessed[field] = there[0]
    if PATH not in chosen and PATH not in guessed:
        remedy = "name it path, or by `columns.audio`=NAME, or NUMBER without header"
        raise InputError(f"{path}:1: no column of recordings among {header!s:.400}", remedy=remedy)
    if (chosen.get(PATH) or (guessed[PATH],))[0].lower() != _EXCERPTS:
        times = [name for name in header if name.lower() in _TIMES or _holds_times(cells[name])]
        guessed |= description.time_columns(times, {field: names[0] for field, names in chosen.items()})
    for name in (name for name in header if name.lower() in _SPLIT_COLUMNS and "split" not in {*chosen, *guessed}):
        values = {description.known_split(value) for value in cells[name]}
        guessed |= {"split": name} if len(values) > 1 and None not in values else {}
    if told := [f"{field}: {name}" for field, name in guessed.items() if name.lower() != field]:
        notices.append(f"columns by well-known names: {', '.join(told)} (`columns` names others)")
    return chosen | {field: (column,) for field, column in guessed.items()}


def _holds_times(cells: Sequence[str]) -> bool:
    """Return whether the first values of a column are times, or there are none."""
    texts = [text for cell in cells[:_FIRST_LINES] if (text := cell.strip())]
    return 2 * sum(description.seconds_of(text) is not None for text in texts) >= len(texts)


def _objects(path: Path, named: ColumnConfig) -> tuple[list[str], Rows]:
    """Read JSON or Parquet as text, with "file: row number" as the places of rows."""
    rows = list[object]()
    if path.suffix.lower() == _PARQUET:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows += pq.read_table(path).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(option="table", value=path, rule=f"it cannot be read: {error!s:.200}") from error
    else:
        text, decoder, place = read_text(path, option="table"), json.JSONDecoder(parse_constant=nan_as_none), 0
        while (place := next(_SPACE.finditer(text, place)).end()) < len(text):
            try:
                value, place = decoder.raw_decode(text, place)
            except (ValueError, RecursionError) as error:
                cause = "too deeply nested" if isinstance(error, RecursionError) else error
                line = text.count("\n", 0, min(getattr(error, "pos", place), len(text.rstrip()))) + 1
                problem = f"{path}:{line}: not JSON ({cause}); write an object for each recording"
                raise InputError(problem) from error
            rows += value if isinstance(value, list) else [value]
        rows = _rows_of_document(rows[0], named) if len(rows) == 1 else rows
    texts = dict[str, dict[str, str]]()
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where}: {json.dumps(row):.80}; write one JSON object for each recording")
        texts[where] = {name: description.as_text(value) for name, value in row.items()}
    header = list(dict.fromkeys(name for row in texts.values() for name in row))
    return header, {where: [row.get(name, "") for name in header] for where, row in texts.items()}


def _rows_of_document(whole: object, named: ColumnConfig) -> list[object]:
    """Return the rows of a JSON document of columns or of rows by their names, as pandas writes them."""
    if not isinstance(whole, dict) or not whole or not all(isinstance(each, dict | list) for each in whole.values()):
        return [whole]
    columns = {name: dict(enumerate(each)) if isinstance(each, list) else each for name, each in whole.items()}
    names = description.PATH_COLUMNS if named.audio is None else (named.audio,)
    if paths := next((columns[column] for name in names if (column := _find(name, list(columns)))), None):
        return [{name: of.get(key) for name, of in columns.items()} for key in paths]
    return [row if isinstance(row, list) else {PATH: name, **row} for name, row in whole.items()]


def _span_of(cells: tuple[str, ...]) -> tuple[str, str]:
    """Return start and end in seconds of a row of a wordless manifest; a whole recording is trimmed anew."""
    segment, start, num_samples, sample_rate = map(whole_number, cells)
    if segment is None or start is None or num_samples is None or not sample_rate:
        return "", ""
    return repr(start / sample_rate), repr((start + num_samples) / sample_rate)


FOLDERS = ("clips", "wavs", "wav", "audio", "recordings")  # that data sets keep recordings in, beside their tables
_ROWS = 100  # that are looked for in these folders


def folder_of(table: Clips, base: Path, *, around: bool) -> Path:
    """Return the folder that has most of the first recordings of a table: ``base``, or one of `FOLDERS` in it."""
    # ``around``: a table may lie in a folder of its own
    bases = [base, *([base.absolute().parent] if around else [])]
    places = [each for own in bases for each in (own, *(own / name for name in FOLDERS)) if each.is_dir()]
    first = [*zip(table.frame.path[:_ROWS], table.frame.fold[:_ROWS], strict=True)]
    return max(places, key=lambda place: sum(on_disk(place, path, fold) is not None for path, fold in first))
