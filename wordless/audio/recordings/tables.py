"""Tables of recordings: TSV or CSV, JSON lines, Parquet; all cells are text. Errors name file and line.

* TSV (``.tsv``, ``.txt``) or CSV (``.csv``): a header that names the columns. Cells are separated by tabs, commas,
  semicolons, as spreadsheets write them in countries with a decimal comma, or ``|``; the header shows which. Cells
  such as NA and None (`description.MISSING`) without quotation marks are not known, because R, pandas and spreadsheets
  write them for missing values.
  LJSpeech's table alone has no header: ``|`` separates the recording from its text, and from the text with numbers
  written out.
* JSON lines (``.jsonl``, ``.json``, ``.ndjson``): an object for each recording, one after the other, as NeMo and pandas
  write them. Parquet: a row for each recording.

`ColumnConfig` names the columns. For those that it does not name, well-known names are tried, in any case (`KNOWN`,
`annotation_formats.time_columns`); all other columns are named as not read. ``start`` and ``end``, in seconds or as
hh:mm:ss, name a part of the recording; several rows may name parts of one file. ``duration`` beside a start is the
length of the part if there is no end. A column whose name has a unit, such as ``start_ms``, is read in this unit, or
refused if that is not known, as of frames; inspection refuses times that fit another unit than seconds
(`description.require_inside`). In the ``manifest.tsv`` of a run ``start`` is a sample, and only the rows of segments
name parts, also after pandas or R have written it again; so it is beside ``num_samples`` and ``sample_rate`` alone.
Other lengths are ignored, because recordings are decoded and measured.

Recordings lie beside their table, or in the folders that data sets use (`_FOLDERS`), with or without endings.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wordless.audio.recordings import description, letters
from wordless.audio.recordings.annotation_formats import in_seconds, time_columns, unit_of
from wordless.audio.recordings.annotations import annotations_of_table, kind_of
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.description import MISSING, UNREAD, ColumnConfig
from wordless.audio.recordings.folders import (
    expand_home,
    is_recording,
    listed_path,
    on_disk,
    read_text,
    require_folder,
    seen_around,
    separated,
)
from wordless.audio.recordings.manifest import Clips, Rejected, once_each, unquoted
from wordless.audio.recordings.sources import Column, ReadFile, Reading, Unused
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.recordings.unread_columns import unread_columns
from wordless.base.messages import InputError

_PATH = "path"  # the column of recordings, whatever its name in the table
TEXTS = ("text", "sentence", "transcript", "transcription", "normalized_text", "normalized_transcription")
KNOWN: Mapping[str, tuple[str, ...]] = {  # well-known names of columns, the first one first
    **{name: (name,) for name in (*description.FIELDS, *description.BAND_FIELDS)},
    _PATH: description.PATH_COLUMNS,
    "label": ("label", "command", "category", "class", "class_name"),
    "group": ("group", "speaker", "speaker_id", "client_id"),
}
_EXCERPTS = "slice_file_name"  # UrbanSound8K: start and end are places in a recording that this file is an excerpt of
_TIMES = (*description.SPAN_FIELDS, "duration")
_JSON_SUFFIXES, _PARQUET = (".jsonl", ".json", ".ndjson"), ".parquet"
_BAR = "|"
_LJSPEECH = {2: (_PATH, "text"), 3: (_PATH, "raw_text", "text")}  # its columns, by their number
_FIRST_LINES = 50  # show which delimiter gives each line as many cells, and which columns hold times
_OF_A_RUN = ("segment", "start", "num_samples", "sample_rate")  # columns of a run's manifest, where a start is a sample
_COUNTS = ("num_samples", "num_frames", "n_samples", "n_frames", "nsamples", "nframes")  # columns of lengths
_RATES = ("sample_rate", "samplerate", "sampling_rate", "sr", "fs")  # columns of samples in a second
_SPACE = re.compile(r"\s*")
_FAIRSEQ = re.compile(r"[^\t]+\t\s*\d+\s*")  # a line of its manifests below the first, which is the root folder
_QUOTED_MISSING = re.compile(f'"({"|".join(MISSING)})"')
_QUOTED = "\ufdd0"  # no character: stands before a quoted NA, as the module csv does not tell which cells were quoted


def read_table(
    path: Path,
    columns: ColumnConfig | None = None,
    *,
    label_type: description.LabelType = "class",
    splits: bool = True,
    trains: bool = False,
) -> Clips:
    """Read any of the formats above, which the extension and the first lines show; faults name file and line.

    Paths are as the table writes them, below its folder. Each candidate has its "file:line" or, of JSON and Parquet,
    "file: row number". Without ``splits`` the column of the split is not read; with ``trains`` it must leave rows to
    train on.
    """
    named, notices, missing = columns or ColumnConfig(), list[str](), frozenset[str]()
    if path.suffix.lower() in (*_JSON_SUFFIXES, _PARQUET):
        header, rows = _objects(path)
    else:
        missing = named.not_known
        header, rows = _lines(read_text(path, option="table"), path, named, missing, notices)
    if not header:
        return Clips.from_columns(path.parent, {_PATH: ()})
    if twice := next((name for name, count in Counter(header).items() if name and count > 1), None):
        raise InputError(f"{path}:1: the header names {twice} twice; name each column once")
    cells = {name: [row[number] for row in rows.values()] for number, name in enumerate(header)}
    chosen = _choose(cells, named, label_type, path, notices, splits=splits)
    if not splits and "split" in chosen:
        notices.append(f"the column {chosen.pop('split')[0]} does not divide the recordings here")
    ours = {*_OF_A_RUN[1:]}.issubset(header) and ("segment" in header or {"trimmed", "sha256"}.issubset(header))
    fields = _texts(cells, chosen, missing, notices)
    rates = next((cells[name] for name in header if name.lower() in _RATES), [])
    spans = None if ours or named.named.keys() & {*_TIMES} else _spans_in_samples(cells, chosen, rates, path)
    if spans:
        fields["start"], fields["end"] = spans
    for field in _TIMES if not (ours or spans) else ():
        if field in fields:
            remedy = f"add a column sample_rate, write seconds, or `columns.{field}`={UNREAD} leaves it unread"
            fields[field] = in_seconds(fields[field], chosen[field][0], f"{path}:1", rates, remedy=remedy)
    if ours and rows and not {*_TIMES} & named.named.keys():  # the manifest of a run, unless somebody named its times
        samples = zip(*(cells.get(name, [""] * len(rows)) for name in _OF_A_RUN), strict=True)
        fields["start"], fields["end"] = map(list, zip(*map(_span_of, samples), strict=True))
    if chosen.keys() & {*_TIMES} == {"start"} and not (ours or spans) and any(map(str.strip, fields["start"])):
        unnamed = "as no column names an end or a length (`columns.end` and `columns.duration` name one)"
        notices.append(f"parts begin at {chosen['start'][0]} and end with their recordings, {unnamed}")
    if "split" in chosen:
        _require_splits(fields["split"], [*rows], path, chosen["split"][0], trains=trains)
    remedy = f"`columns.{{}}`={UNREAD} leaves the column unread"
    described, faults = description.describe(fields, [*rows], remedy=remedy)
    unnamed, places = "no path; each row names a recording (`columns.audio` names the column)", [*rows]
    faults |= {row: f"{places[row]}: {unnamed}" for row, text in enumerate(fields[_PATH]) if not text.strip()}
    if faults:
        raise InputError(faults[min(faults)])
    notices = [f"{path.name}: {notice}" for notice in notices]
    read = ReadFile(path=path, use="table", columns=_columns(cells, chosen, fields, ours=ours), rows=[*rows])
    return Clips.from_columns(
        path.parent,
        {_PATH: fields[_PATH], **described},
        notices=tuple(notices),
        has_labels="label" in chosen,
        reading=Reading(files=(read,), of_recordings="no row of the table names it"),
    )


def _columns(
    cells: Mapping[str, Sequence[str]],
    chosen: Mapping[str, Sequence[str]],
    fields: Mapping[str, Sequence[str]],
    *,
    ours: bool,
) -> dict[str, Column]:
    """Say of each column of a table which field it gives, or what it looks like; a run's own table is known."""
    uses = {name: "recording" if field == _PATH else field for field, names in chosen.items() for name in names}
    uses |= {name: "start" for name in _OF_A_RUN if ours and name in cells}
    rest = {name: values for name, values in cells.items() if name not in uses}
    labels = [label or None for label in fields.get("label", ())] or [None] * len(fields[_PATH])
    unread = unread_columns({} if ours else rest, labels, has_group="group" in chosen)
    of_a_run = Column(why="a run wrote it, and recordings are measured again")
    named = ((name, Column(field=uses[name]) if name in uses else unread.get(name, of_a_run)) for name in cells)
    return {name or f"(column {number})": column for number, (name, column) in enumerate(named, 1)}


def _require_splits(texts: Sequence[str], places: Sequence[str], path: Path, column: str, *, trains: bool) -> None:
    """Refuse values of a column that are no splits, and with ``trains`` a column that leaves no row to train on."""
    names = dict.fromkeys(map(str.strip, texts))
    if unknown := [name for name in names if name and description.known_split(name) is None]:
        row = next(row for row, text in enumerate(texts) if text.strip() == unknown[0])
        others = f" (nor are {', '.join(unknown[1:]):.200})" if unknown[1:] else ""
        rule = f"{places[row]}: {column} is {unknown[0]!r:.40}, which is no known split{others}"
        raise InputError(rule, remedy=_naming(column, filter(None, names)))
    if trains and names and not any(description.known_split(name) in (None, "train") for name in names):
        rule = f"{path}: no row trains, as the column {column} has {', '.join(names):.200} alone"
        raise InputError(rule, remedy=_naming(column, names))


def _naming(column: str, names: Iterable[str]) -> str:
    """Return the options that say which values of a column are of which split, or that it divides nothing."""
    chosen = f"`columns.fold`={column} {description.divided_by_names('fold', names):.300}"
    return f"{chosen} says so, `split.by`=hash draws all splits, and `columns.split`={UNREAD} leaves the column unread"


_Rows = dict[str, list[str]]  # the cells of each row by its place, as many as the header has


def _lines(
    text: str, path: Path, named: ColumnConfig, missing: Collection[str], notices: list[str]
) -> tuple[list[str], _Rows]:
    """Read separated values; a quoted NA begins with `_QUOTED`."""
    delimiter, given = _layout(text, path, named)
    if given:
        notices.append(f"LJSpeech's table, which has no header: its columns are {', '.join(given)}")
    if missing:
        text = _QUOTED_MISSING.sub(rf'"{_QUOTED}\1"', text)
    quoted = delimiter != _BAR and (path.suffix.lower() == ".csv" or delimiter != "\t" or text.startswith('"'))
    header, rows = [*given], _Rows()
    for line, row in separated(text, delimiter, str(path), quoted=quoted):
        cells = [*map(unquoted, row)] if delimiter == "\t" else row  # as spreadsheets write cells with commas
        if not header:
            header = [cell.removeprefix(_QUOTED) for cell in cells]
            continue
        if len(cells) > len(header):
            problem = f"{path}:{line}: {len(cells)} cells, where the first line has {len(header)} fields"
            raise InputError(problem, remedy="fix the line, or write a tab-separated .tsv")
        rows[f"{path}:{line}"] = cells + [""] * (len(header) - len(cells))
    return header, rows


def _layout(text: str, path: Path, named: ColumnConfig) -> tuple[str, Sequence[str]]:
    """Return the delimiter of a table, and the columns of LJSpeech's; other tables without a header are refused.

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

    headers = {each: cells(each) for each in (",;\t|" if path.suffix.lower() == ".csv" else "\t,;|")}
    names = {each.lower() for each in (description.PATH_COLUMNS if named.audio is None else (named.audio,))}
    found = next((each for each, header in headers.items() if not names.isdisjoint(map(str.lower, header))), None)
    delimiter = found or max(headers, key=fitness)
    header = headers[delimiter]
    if others and "\t" not in first and _FAIRSEQ.fullmatch(others[0]) and len(header) == 1:
        root = f"`root`={first.strip():.200}"
        remedy = f"write path<tab>num_samples in the place of the folder, and give the folder as {root}"
        raise InputError(f"{path}:1: a manifest of fairseq, whose first line is a folder", remedy=remedy)
    if found is None and any(map(is_recording, header)):
        names_of = f"{len(header)} columns: path for the recordings, label, group, split, start, end or other names"
        problem = f"{path}:1: no header, but a recording in the first line"
        raise InputError(problem, remedy=f"write a line above it that names the {names_of}")
    bare = found is None and named.audio is None and delimiter == _BAR
    return delimiter, _LJSPEECH.get(len(header), ()) if bare else ()


def _choose(
    cells: Mapping[str, Sequence[str]],
    named: ColumnConfig,
    label_type: description.LabelType,
    path: Path,
    notices: list[str],
    *,
    splits: bool,
) -> dict[str, tuple[str, ...]]:
    """Return the columns of each field: those that are named, else those of well-known names, unless one is none."""
    header, in_lower_case = list(cells), {name.lower(): name for name in reversed([*cells])}
    chosen, guessed, unread = dict[str, tuple[str, ...]](), dict[str, str](), named.unread

    def find(name: str) -> str | None:
        return name if name in cells else in_lower_case.get(name.lower())

    for option, names in named.named.items():
        found = {name: find(name) for name in names}
        if missing := [name for name, column in found.items() if column is None]:
            refusal = description.no_such_column(f"columns.{option}", missing[0], header, f"{path}:1")
            raise refusal.also("a table without a header needs a line of names") if missing[0].isdecimal() else refusal
        chosen[_PATH if option == "audio" else option] = tuple(filter(None, found.values()))
    for field, names in KNOWN.items():
        if field == "label" and label_type != "class":  # of numbers and texts, names of classes are none
            names = ("label", *(TEXTS if label_type == "text" else ()))
        there = [column for name in names if (column := find(name))]
        if field in chosen or field in unread or not there:
            continue
        if field == "label" and len(there) > 1 and not all(column.lower() in TEXTS for column in there):
            problem = f"{path}:1: the columns {' and '.join(there)} may be the label"
            raise InputError(problem, remedy=f"name one: `columns.label`={there[0]}")
        guessed[field] = there[0]
    if _PATH not in chosen and _PATH not in guessed:
        remedy = "name it path, or by `columns.audio`=NAME; a table without a header needs a line with these names"
        raise InputError(f"{path}:1: no column of recordings among {header!s:.400}", remedy=remedy)
    if (chosen.get(_PATH) or (guessed[_PATH],))[0].lower() != _EXCERPTS:
        times = [name for name in header if name.lower() in _TIMES or _holds_times(cells[name])]
        spans = time_columns(times, {field: names[0] for field, names in chosen.items()})
        # without its begin nothing names a part
        guessed |= {field: name for field, name in spans.items() if not {field, "start"} & unread}
    named_columns = {guessed.get("label"), *(column for several in chosen.values() for column in several)}
    divisions = description.split_columns({name: cells[name] for name in header if name not in named_columns})
    for name, (known, unknown) in divisions.items():
        if "split" in {*chosen, *guessed, *unread} or (unknown and not splits):
            break
        if unknown:
            rule = f"{path}:1: the column {name} has the splits {', '.join(known):.200}, and no split is "
            raise InputError(f"{rule}{', '.join(unknown):.200}", remedy=_naming(name, [*known, *unknown]))
        guessed["split"] = name
    if told := [(field, name) for field, name in guessed.items() if name.lower() != field]:
        what, others = (
            ", ".join(f"{field}: {name}" for field, name in told),
            [each for each, _ in told if each != _PATH],
        )
        one = "start" if "start" in others else next(iter(others), None)
        unread_by = f", and `columns.{one}`={UNREAD} leaves one unread" if one else ""
        notices.append(f"columns by well-known names: {what} (`columns` names others{unread_by})")
    return chosen | {field: (column,) for field, column in guessed.items()}


def _holds_times(cells: Sequence[str]) -> bool:
    """Return whether the first values of a column are times, or there are none."""
    texts = [text for cell in cells[:_FIRST_LINES] if (text := cell.strip()) and text not in MISSING]
    return 2 * sum(description.seconds_of(text) is not None for text in texts) >= len(texts)


def _texts(
    cells: Mapping[str, Sequence[str]],
    chosen: Mapping[str, Sequence[str]],
    missing: Collection[str],
    notices: list[str],
) -> dict[str, list[str]]:
    """Return the texts of each field; several labels are joined. Missing values and the .0 of pandas are told."""
    fields, numbers, lost = dict[str, list[str]](), list[str](), Counter[str]()

    def known(name: str, field: str) -> list[str]:
        texts = [*cells[name]]
        if field != _PATH:  # a recording is found by its name as it is on the disk
            texts = once_each(letters.plain, texts)
            lost[name] += sum(text in missing for text in texts) if field in description.FIELDS else 0
            texts = ["" if text in missing else text for text in texts]
        if _QUOTED in "".join(texts):
            texts = [text.removeprefix(_QUOTED) if text[1:] in MISSING else text for text in texts]
        whole = description.whole_numbers(texts) if field in description.FIELDS else texts
        numbers.extend([name] if whole != texts else [])
        return whole

    for field, names in chosen.items():
        fields[field] = list(map(description.joined, zip(*(known(name, field) for name in names), strict=True)))
    if told := [f"{count} of {name}" for name, count in lost.items() if count]:
        shown = f"{', '.join(told):.200}: cells {', '.join(MISSING)} are not known"
        notices.append(f"{shown} (if one is a value, quote it, or choose `columns.missing`={UNREAD})")
    if numbers:
        notices.append(f"whole numbers, 1.0 is read as 1: {', '.join(numbers):.200}")
    return fields


def _objects(path: Path) -> tuple[list[str], _Rows]:
    """Read JSON lines or Parquet as text, with "file: row number" as the places of rows."""
    rows = list[object]()
    if path.suffix.lower() == _PARQUET:
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
            rows.append(value)
    texts = dict[str, dict[str, str]]()
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        whole = isinstance(row, dict) and row and all(isinstance(each, dict | list) for each in row.values())
        if not isinstance(row, dict) or (whole and len(rows) == 1):  # a document of columns, or of rows by their names
            remedy = "write one JSON object for each recording, as pandas does with orient='records', lines=True"
            raise InputError(f"{where}: {json.dumps(row):.80}", remedy=remedy)
        texts[where] = {name: description.cell_text(value) for name, value in row.items()}
    header = list(dict.fromkeys(name for row in texts.values() for name in row))
    return header, {where: [row.get(name, "") for name in header] for where, row in texts.items()}


def _span_of(cells: tuple[str, ...]) -> tuple[str, str]:
    """Return start and end in seconds of a row of a wordless manifest; a whole recording is trimmed anew."""
    if cells[0].strip() in ("", *MISSING):
        return "", ""
    _, start, num_samples, sample_rate = map(description.seconds_of, cells)  # pandas writes 0.0 or 0,0 beside gaps
    if start is None or num_samples is None or not sample_rate:
        return f"{', '.join(cells):.40}", ""  # no time, which is refused
    return repr(start / sample_rate), repr((start + num_samples) / sample_rate)


def _spans_in_samples(
    cells: Mapping[str, Sequence[str]], chosen: Mapping[str, Sequence[str]], rates: Sequence[str], path: Path
) -> tuple[list[str], list[str]] | None:
    """Return start and end in seconds of rows that have a start and a number of samples alone; None: others.

    Such a start is a sample, as in the manifests of runs and in torchaudio. Seconds beside the length of the whole
    recording look alike if they are few, and are refused.
    """
    counts = next((cells[name] for name in cells if name.lower() in _COUNTS), None)
    if counts is None or chosen.keys() & {*_TIMES} != {"start"} or unit_of(column := chosen["start"][0]):
        return None
    numbers = (map(description.seconds_of, texts) for texts in (cells[column], counts, rates or [""] * len(counts)))
    rows = [(start, size or 0.0, rate or 0.0) for start, size, rate in zip(*numbers, strict=True)]
    known = [(start, size, rate) for start, size, rate in rows if start is not None]
    whole = all(start % 1 == 0 and size and rate for start, size, rate in known)
    like_seconds = any(start for start, *_ in known) and all(start * rate < size for start, size, rate in known)
    if not whole or like_seconds:
        rule = f"{path}:1: the column {column} may count seconds or samples, and no column names the end of a part"
        remedy = f"add a column end or duration in seconds, or `columns.start`={UNREAD} leaves it unread"
        raise InputError(rule, remedy=remedy)
    begins = ["" if start is None else repr(start / rate) for start, _, rate in rows]
    return begins, ["" if start is None else repr((start + size) / rate) for start, size, rate in rows]


_FOLDERS = ("clips", "wavs", "wav", "audio", "recordings")  # that data sets keep recordings in, beside their tables
_ROWS = 100  # that are looked for in these folders


def folder_of(table: Clips, base: Path, *, around: bool) -> Path:
    """Return the folder that has most of the first recordings of a table: ``base``, or one of `_FOLDERS` in it.

    ``around``: a table may lie in a folder of its own, if it has none of the recordings. Folders around it may have
    other recordings of the same names.
    """
    first = [*zip(table.frame.path[:_ROWS], table.frame.fold[:_ROWS], strict=True)]
    for own in (base, *([base.absolute().parent] if around else [])):
        places = [each for each in (own, *(own / name for name in _FOLDERS)) if each.is_dir()]
        counts = [sum(on_disk(place, path, fold) is not None for path, fold in first) for place in places]
        if any(counts):
            return places[counts.index(max(counts))]
    return base


def candidates(config: CorpusConfig, making: object) -> Clips:
    """List the recordings of a table, whose paths are then relative to their folder, or the parts of annotations."""
    path = expand_home(config.table or "", "table")
    if (kind := kind_of(path, config.annotations)) is not None:
        return annotations_of_table(path, kind, config)
    config.refuse_annotations()
    given = config.split.by in GIVEN
    table = read_table(path, config.columns, label_type=config.label_type, splits=given, trains=given)
    notices = [*table.notices]
    if not len(table.frame):
        raise InputError(option="table", value=path, rule="it lists no recordings: give it a row for each")
    base = require_folder(config.root) if config.root else table.root
    root = folder_of(table, base, around=not config.root)
    if root != base:
        notices.append(f"{path.name}: its recordings are in {root} (`root` names another folder)")

    written = table.frame[["path", "fold", "where"]]  # many rows may share a path
    # as ascii, because pandas before 3.1 takes different paths with a lone surrogate for the same
    first = ~written.assign(path=written.path.map(ascii)).duplicated(["path", "fold"])
    places = {
        (name, fold): listed_path(root, name, where, remedy="fix the row, or set `root`", fold=fold)
        for name, fold, where in written[first].itertuples(index=False)
    }
    relatives = [places[each] for each in zip(written.path, written.fold, strict=True)]
    missing = written[[each is None for each in relatives]].drop_duplicates("path")
    listed = table.with_columns(path=relatives).where(each is not None for each in relatives)
    twice = listed.frame.assign(path=listed.frame.path.map(ascii)).duplicated(["path", "begin", "end"])
    if twice.any():
        row = listed.frame[twice].iloc[0]
        remedy = "give each recording one row, or each of its parts another start and end"
        raise InputError(f"{row['where']}: {row.path} is listed twice", remedy=remedy)
    paths = sorted({*listed.frame.path})
    if len(missing) and (config.missing == "stop" or not paths):
        files, some = len(missing) + len(paths), ", ".join(missing.path[:3])
        several = f": {len(missing)} of {files} files are missing, such as {some}" if files > 1 else ""
        problem = f"{missing['where'].iloc[0]}: {missing.path.iloc[0]} is not there (looked in {root}){several}"
        aside = ", or set them aside by `missing`=list" if paths else ""
        raise InputError(problem, remedy=f"fix the rows, or set `root`{aside}")
    why = "not there, though the table lists it"
    lost = zip(missing.path, missing["where"], strict=True)
    left_out = tuple(Rejected(path=name, reason=f"{why} ({where})", kind=why) for name, where in lost)
    gone = written["where"][[each is None for each in relatives]].tolist()
    read = replace(table.reading.files[0], left_out=dict.fromkeys(gone, Unused(why=why)))
    reading = replace(table.reading, files=(read,), seen=(seen_around(root, path, paths),))
    frame = listed.frame.sort_values("path", kind="stable", ignore_index=True)
    return replace(
        table, root=root, frame=frame, rejected=left_out, notices=tuple(notices), title=path.name, reading=reading
    )


def nan_as_none(constant: str) -> float | None:
    """Parse NaN, Infinity or -Infinity of a JSON text; NaN is how pandas writes a missing value: None."""
    return None if constant == "NaN" else float(constant)
