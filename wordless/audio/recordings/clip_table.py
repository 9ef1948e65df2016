"""A table of recordings, or of parts of recordings: CSV, TSV, JSON lines or Parquet, or several of one kind.

Cells are text, kept as they are but for spaces around them; an empty cell is not known. The columns are those that
`ColumnConfig` names, and no others are read. A row of a path that is not there, of an unknown split, or of times that
are no part is set aside. A value that cannot be read is refused with its line.
"""

import csv
import glob
import io
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import pyarrow
from pandas import DataFrame

from wordless.audio.recordings.checks import MISSING, SPLIT_TEXTS, plain_text, seconds_of, split_of, text_of, whole_of
from wordless.audio.recordings.corpus_config import ColumnConfig
from wordless.audio.recordings.folder import expand_home, is_recording
from wordless.audio.recordings.manifest import Clips, Rejected, clip_name
from wordless.base.messages import InputError, nearest_words, suggestion

SEPARATED = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
SUFFIXES = (*SEPARATED, ".jsonl", ".json", ".parquet")  # .json: of lines, as NeMo writes them
WHERE = ":where"  # column of the place of a row, "file:line"
_FOUND = ""  # column of the recording of a row, where no column names it
RECORDING = "recording"  # another name of it, for `columns.group`


def is_table(path: Path) -> bool:
    """Return whether a path has the suffix of a table, or names several by asterisks."""
    return path.suffix.lower() in SUFFIXES or (glob.has_magic(str(path)) and not path.exists())


def clips_of_table(named: str, columns: ColumnConfig, *, root: Path | None = None, option: str = "table") -> Clips:
    """List the rows of the tables that a path or a pattern of paths names, as candidates.

    Paths are relative to the ``root``, or to the table that names them.
    """
    files = _files(named, option)
    frames = [_read(file, columns, option) for file in files]
    frame = pandas.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    if frame.empty:
        raise InputError(option=option, value=named, rule="it lists no recordings: give it a row for each")
    return clips_of_rows(
        frame,
        columns,
        bases=[root or file.parent for file, own in zip(files, frames, strict=True) for _ in range(len(own))],
    )


def _files(named: str, option: str) -> list[Path]:
    path = expand_home(named, option)
    files = (
        [path]
        if path.exists() or not glob.has_magic(str(path))
        else [Path(each) for each in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  its folders, too
    )
    if not files or not all(file.is_file() for file in files):
        rule = "no file has this name" if not path.is_dir() else "it is a folder: name its tables, such as FOLDER/*.csv"
        raise InputError(option=option, value=named, rule=rule, remedy="check the path")
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            rule = f"it is no table that is read: name a file that ends in {', '.join(SUFFIXES)}"
            raise InputError(option=option, value=file, rule=rule)
    return files


def _read(path: Path, columns: ColumnConfig, option: str) -> DataFrame:
    """Read a table as texts, with the place of each row, and the recording of the table where no column names one."""
    suffix = path.suffix.lower()
    try:
        frame = _separated(path, columns) if suffix in SEPARATED else _objects(path)
    except (OSError, UnicodeError, LookupError) as error:
        reason = " ".join(str(error).split())
        remedy = (
            "save it as UTF-8, or name its letters, such as `columns.encoding`=cp1252"
            if isinstance(error, UnicodeError)
            else ""
        )
        raise InputError(option=option, value=path, rule=f"it cannot be read ({reason:.200})", remedy=remedy) from error
    if columns.path is None:
        frame[_FOUND] = _recording_of(path)
        frame = frame if RECORDING in frame else frame.assign(**{RECORDING: frame[_FOUND]})
    _require_columns(frame, columns, path)
    return frame


def _separated(path: Path, columns: ColumnConfig) -> DataFrame:
    """Read a CSV or TSV; lines count from 1, also where quoted cells hold line breaks."""
    content = path.read_bytes().decode(columns.encoding)
    if "\0" in content:
        rule = f"{path} holds null characters, as UTF-16 does"
        raise InputError(rule, remedy="save it as UTF-8, or try `columns.encoding`=utf-16")
    separator = columns.delimiter or SEPARATED[path.suffix.lower()]
    lines = csv.reader(
        io.StringIO(content, newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if columns.quotes else csv.QUOTE_NONE,
        skipinitialspace=columns.quotes,
        strict=True,
    )
    names, cells, where, begin = list[str](), list[list[str]](), list[str](), 1
    try:
        for row in lines:
            place, begin = f"{path}:{begin}", lines.line_num + 1
            if not any(map(str.strip, row)):
                continue
            if not names:
                names = [plain_text(name) for name in row] if columns.header else [*map(str, range(1, len(row) + 1))]
                if columns.header:
                    continue
            if len(row) != len(names):
                few = f"{len(row)} cells, where the first line has {len(names)}"
                raise InputError(
                    f"{place}: {few}", remedy="complete the row, or remove it; cells with commas need quotes"
                )
            cells.append(row)
            where.append(place)
    except csv.Error as error:
        remedy = "double quotation marks inside quoted cells, or choose `columns.quotes`=false, where they are letters"
        raise InputError(f"{path}:{begin}: {error}", remedy=remedy) from error
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in columns.named.values()]:
        raise InputError(f"{path}:1: two columns are called {twice[0]:.100}", remedy="give them names of their own")
    if not names:
        raise InputError(f"{path} is empty", remedy="give it a row for each recording, below a line of names")
    texts = dict(zip(names, zip(*cells, strict=True), strict=True)) if cells else dict.fromkeys(names, ())
    return DataFrame({**texts, WHERE: where}, dtype=object)


def _objects(path: Path) -> DataFrame:
    """Read JSON lines or Parquet; numbers become plain decimals, and a group of values is refused."""
    rows, place = list[dict[str, Any]](), f"{path}:{{}}"
    if path.suffix.lower() == ".parquet":
        try:
            rows, place = pandas.read_parquet(path, dtype_backend="pyarrow").to_dict("records"), f"{path}: row {{}}"
        except (pyarrow.ArrowException, ValueError) as error:
            raise InputError(f"{path} cannot be read as Parquet ({error!s:.200})", remedy="write it again") from error
    else:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError as error:
                raise InputError(
                    f"{path}:{number}: not JSON ({error})", remedy="write an object in each line"
                ) from error
            if not isinstance(row, dict):
                raise InputError(f"{path}:{number}: {line:.80}", remedy="write an object in each line")
            rows.append(row)
    texts = list[dict[str, str]]()
    for number, row in enumerate(rows, start=1):
        where = place.format(number)
        if row:
            own = {plain_text(str(name)): cell(value) for name, value in row.items()}
            texts.append({**own, WHERE: where})
    return DataFrame(texts, dtype=object).fillna("") if texts else DataFrame({WHERE: []})


_GROUPS = "\0"  # before a cell that is a group of values, which is refused if its column is read


def cell(value: object) -> str:
    """Write a value of JSON or Parquet as text, empty if it is not known."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return f"{_GROUPS}{value!r:.80}"
    if isinstance(value, dict | list | tuple) or hasattr(value, "tolist"):
        return f"{_GROUPS}{value!r:.80}"
    if value is None or value is pandas.NA or value != value:  # NaN
        return ""
    if isinstance(value, float) and value not in (float("inf"), float("-inf")):
        return format(Decimal(repr(value)), "f")
    return str(value)


def _require_columns(frame: DataFrame, columns: ColumnConfig, path: Path) -> None:
    """Refuse columns that are named and not there, and a column of starts without one of ends, or the reverse."""
    there = [name for name in frame.columns if name not in (WHERE, _FOUND)]
    for option, name in columns.named.items():
        if name in there or not (columns.is_given(option) or option == "path"):
            continue
        meant = f"{suggestion(name, there)} " if nearest_words(name, there) else ""
        known = ", ".join(each for each in there[:40] if each != RECORDING) or "(none)"
        rule = f"{path} has no such column: {meant}its columns are {known:.400}"
        remedy = "null leaves it out"
        if option == "path":
            remedy = "name the column of the recordings, or null, where a table belongs to the recording beside it"
        remedy += ", or name what separates its cells (`columns.delimiter`)" if len({*there} - {RECORDING}) < 2 else ""
        raise InputError(option=f"columns.{option}", value=name, rule=rule, remedy=remedy)
    given = {option for option in ("start", "end") if columns.named.get(option) in there}
    if len(given) == 1:
        one, other = *given, *({"start", "end"} - given)
        rule = f"{path} has a column {columns.named[one]} for {one}, and none for {other}"
        raise InputError(rule, remedy=f"name both, or choose `columns.{one}`=null, which reads whole recordings")


def _recording_of(table: Path) -> str:
    """Return the name of the recording of a table beside it: its name without suffix begins that of the table.

    Where there is none, return the beginning of the table's name, which is listed as missing.
    """
    begin = [
        name
        for name in os.listdir(table.parent)  # noqa: PTH208  names alone
        if is_recording(name) and table.name.startswith(f"{name.rpartition('.')[0]}.")
    ]
    longest = max((name.rpartition(".")[0] for name in begin), key=len, default="")
    found = sorted(name for name in begin if name.rpartition(".")[0] == longest)
    if len(found) > 1:
        problem = f"{table} belongs to {found[0]} or {found[1]}, which lie beside it"
        raise InputError(problem, remedy="give it a column with the recording, named by `columns.path`")
    return found[0] if found else table.name.partition(".")[0]


def clips_of_rows(frame: DataFrame, columns: ColumnConfig, *, bases: Sequence[Path]) -> Clips:
    """Make candidates of rows of texts; the paths of each row are relative to its base."""
    named = {option: name for option, name in columns.named.items() if name in frame.columns}
    texts = {option: frame[name].tolist() for option, name in named.items()}
    if columns.path is None:
        texts["path"] = frame[_FOUND].tolist()
    where, size = frame[WHERE].tolist(), len(frame)
    for option, name in named.items():
        for text, place in zip(texts[option], where, strict=True):
            if text.startswith(_GROUPS):
                remedy = f"write one text, or leave the column out (`columns.{option}`=null)"
                raise InputError(f"{place}: {name} is a group of values: {text[1:]:.80}", remedy=remedy)
    blank = [""] * size
    value = {"start": seconds_of, "end": seconds_of, "channel": whole_of, "index": whole_of}
    made: dict[str, list[Any]] = {
        option: [
            value.get(option, text_of)(named.get(option, option), text, place)
            for text, place in zip(texts.get(option, blank), where, strict=True)
        ]
        for option in ("label", "group", "fold", "index", "start", "end", "channel")
    }
    places = _Places()
    kept, rejected, spans = list[int](), list[Rejected](), dict[tuple[object, ...], str]()
    paths, splits = list[str](), list[str]()
    for row, (listed, base, place) in enumerate(zip(texts["path"], bases, where, strict=True)):
        start, end = made["start"][row], made["end"][row]
        split, found = split_of(texts["split"][row]) if "split" in texts else "", places.found(base, listed)
        reason = (
            _fault(start, end)
            or ("" if found else MISSING)
            or (
                ""
                if split is not None
                else f"has the split {texts['split'][row]!r:.40}, which is none of {SPLIT_TEXTS}"
            )
        )
        if reason:
            name = clip_name(listed.strip() or "(no path)", None if start is None or end is None else (start, end))
            where_looked = f" (looked in {base}{places.other_form(base, listed)})" if reason == MISSING else ""
            rejected.append(
                Rejected(
                    path=name,
                    reason=reason + where_looked,
                    kind=MISSING if where_looked else reason,
                    where=place,
                )
            )
            continue
        assert found is not None
        assert split is not None
        span = (found, start, end, made["channel"][row])
        if (before := spans.setdefault(span, place)) != place:
            remedy = "give a part one row, with all of its labels in one cell (probe.label_separator)"
            raise InputError(f"{place}: {listed} is listed twice, also in {before}", remedy=remedy)
        kept.append(row)
        paths.append(found)
        splits.append(split)
    root, paths = _below_one(paths, bases)
    fields = {
        "label": "label",
        "group": "group",
        "fold": "fold",
        "index": "index",
        "begin": "start",
        "end": "end",
        "table_channel": "channel",
    }
    given = {name: [made[option][row] for row in kept] for name, option in fields.items()}
    if columns.path is None and columns.group == RECORDING:  # files of several folders may have one name
        given["group"] = paths
    own = (WHERE, _FOUND, *([RECORDING] if columns.path is None else ()))
    unread = [str(name) for name in frame.columns if name not in (*named.values(), *own)]
    told = f"columns {', '.join(unread):.400}" if unread else ""
    clips = Clips.from_columns(
        root,
        {"path": paths, "split": splits, "where": [where[row] for row in kept], **given},
        rejected=tuple(rejected),
        rows=size,
        unread=told,
    )
    return clips.sorted_by_path()


def _fault(start: float | None, end: float | None) -> str:
    if (start is None) != (end is None):
        return f"has {'no start' if start is None else 'no end'}, where it has the other time"
    return (
        f"ends at {end:g} s, and begins at {start:g} s"
        if start is not None and end is not None and end <= start
        else ""
    )


class _Places:
    """Where listed paths are on the disk, which is asked once for each."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], str | None] = {}

    def found(self, base: Path, listed: str) -> str | None:
        """Return the absolute path of a listed one; None: nothing is there."""
        key = base, listed.strip()
        if key not in self._known:
            forms = dict.fromkeys((key[1], *(unicodedata.normalize(form, key[1]) for form in ("NFC", "NFD"))))
            paths = (os.path.normpath(os.path.join(base.absolute(), form)) for form in forms if form)  # noqa: PTH118  texts
            self._known[key] = next(filter(_is_there, paths), None)
        return self._known[key]

    def other_form(self, base: Path, listed: str) -> str:
        """Say that a file of the same name and another suffix is there; else nothing."""
        whole = Path(os.path.join(base.absolute(), listed.strip()))  # noqa: PTH118
        try:
            same = sorted(
                each.name for each in whole.parent.glob(f"{glob.escape(whole.stem)}.*") if is_recording(each.name)
            )
        except (OSError, ValueError):
            return ""
        return f"; {same[0]} is there" if same else ""


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (
        OSError,
        ValueError,
    ) as error:  # a path that may not be looked up is set aside by inspection, with its reason
        return not isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    return True


def _below_one(paths: Sequence[str], bases: Sequence[Path]) -> tuple[Path, list[str]]:
    """Return the folder that all paths are relative to: the common one of the tables, if they lie there, or of all."""
    root = Path(os.path.commonpath([os.path.normpath(base.absolute()) for base in dict.fromkeys(bases)]))
    for own in (root, root.resolve()):  # links lead to the same folder
        begin = f"{str(own).rstrip('/')}/"
        if all(path.startswith(begin) for path in paths):
            return root, [path.removeprefix(begin) for path in paths]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120  texts
    return Path(common), [os.path.relpath(path, common) for path in paths]
