"""The table of an unpacked data set: labels, groups, folds and splits of its recordings, from chosen columns."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import Rejected, Split
from wordless.audio.recordings.packed.data_set import PackedDataSet, require_columns
from wordless.audio.recordings.packed.options import SEPARATOR, ColumnConfig
from wordless.audio.recordings.packed.places import known_split
from wordless.audio.recordings.packed.unpacking import Unpacked, UnpackedRow
from wordless.audio.recordings.recording_paths import EXTENSIONS
from wordless.base.errors import InputError
from wordless.base.files import locked, write_aside
from wordless.base.json_values import list_hash
from wordless.base.text import counted, listed


def label_table(
    data_set: PackedDataSet, place: Unpacked, columns: ColumnConfig, *, own_splits: bool
) -> tuple[Path, tuple[str, ...]]:
    """Write a JSONL table beside the unpacked data set, unless it is there; return its path and notices for people.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    there = {name for row, _ in rows for name in row.fields}
    if all(row.reason for row, _ in rows):
        raise InputError(f"{data_set.option}={data_set.name}: {_nothing([row for row, _ in rows])}")
    require_columns(there, columns, f"{data_set.option}={data_set.name}")
    text = "".join(f"{json.dumps(line)}\n" for line in _lines(rows, columns, own_splits))
    path = place.folder.with_name(f"{place.folder.name}.{list_hash([text])[:8]}.jsonl")
    if not path.is_file():
        with locked(place.folder.with_suffix(".lock")):
            write_aside(path, text)
    return path, _missing_facts([row for row, _ in rows], columns)


def _nothing(rows: Sequence[UnpackedRow]) -> str:
    """Say why a data set has no recording that can be used."""
    broken = [Rejected(path=row.path, reason=row.reason) for row in rows if not row.members]
    others: Counter[str] = Counter()
    for row in rows:
        kind = PurePosixPath(row.path).name
        if row.members and kind.startswith("*"):
            others[kind.removeprefix("*") or "without an ending"] += row.members
    members = ", ".join(f"{kind} {count}" for kind, count in others.most_common())
    there = f"; its other members are {members}" if members else ""
    if broken:
        recordings = counted(len(broken), "recording")
        return f"none of its {recordings} can be used ({frequent_reasons(broken)}){there}; check the files"
    known = " ".join(f".{each}" for each in EXTENSIONS)
    return f"it holds no recordings{there}; recordings end in {known}: convert others to WAV or FLAC"


def _missing_facts(rows: Sequence[UnpackedRow], columns: ColumnConfig) -> tuple[str, ...]:
    """Return a notice if some recordings have no label, group or fold, and others have."""
    known: Counter[str] = Counter()
    without: dict[str, str] = {}  # a recording without each
    usable = [row for row in rows if not row.reason]
    named = {"label": columns.labels, "group": columns.group, "fold": columns.fold}
    for row in usable:
        there = _described(row, columns)
        known.update(there.keys())
        for name in (name for name, column in named.items() if column and name not in there):
            without.setdefault(name, row.path)
    counts = [f"{len(usable) - known[name]} have no {name} (such as {path})" for name, path in without.items()]
    return (f"of {counted(len(usable), 'recording')} in it, {listed(counts)}",) if counts else ()


def _lines(
    rows: Sequence[tuple[UnpackedRow, str | None]], columns: ColumnConfig, own_splits: bool
) -> Iterator[dict[str, str]]:
    named = [row.fields.get(columns.split) if columns.split else split for row, split in rows]
    divided = own_splits and _is_divided([name for name, (row, _) in zip(named, rows, strict=True) if not row.reason])
    for (row, _), name in zip(rows, named, strict=True):
        fields = _described(row, columns)
        split: Split | None = known_split(name or "") if divided else "train"
        if reason := row.reason or _fault(fields, name, split):
            yield {"path": row.path, "set_aside": reason}
        else:
            yield {"path": row.path, **fields, **({"split": split} if own_splits and split else {})}


def _described(row: UnpackedRow, columns: ColumnConfig) -> dict[str, str]:
    labels = [text for column in columns.labels if (text := row.fields.get(column))]
    found = {"label": SEPARATOR.join(labels)}
    found |= {
        name: row.fields.get(column, "")
        for name, column in (("group", columns.group), ("fold", columns.fold))
        if column is not None
    }
    return {name: text for name, text in found.items() if text}


def _fault(fields: dict[str, str], name: str | None, split: Split | None) -> str:
    for field, text in fields.items():
        if not text.isprintable():
            return f"its {field} holds control characters"
    return "" if split else f"in no split: {name or 'nothing'} of the data set is neither train, validation nor test"


def _is_divided(names: Collection[str | None]) -> bool:
    """Return whether there are several splits, of which some are known."""
    return len({*names}) > 1 and any(known_split(name or "") for name in names)
