"""The table of an unpacked data set: labels, groups, folds and splits of its recordings, from chosen columns."""

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from audio.recordings.inspection import frequent_reasons
from audio.recordings.manifest import Rejected, Split
from audio.recordings.packed.data_set import PackedDataSet, require_columns
from audio.recordings.packed.options import SEPARATOR, ColumnConfig
from audio.recordings.packed.places import known_split
from audio.recordings.packed.unpacking import Unpacked, UnpackedRow
from foundation.errors import InputError
from foundation.files import locked, write_aside
from foundation.json_values import list_hash
from foundation.text import counted


def label_table(data_set: PackedDataSet, place: Unpacked, columns: ColumnConfig, *, own_splits: bool) -> Path:
    """Write a JSONL table beside the unpacked data set, unless it is there, and return its path.

    With ``own_splits`` each recording has the data set's own split. A data set with a single split has none: all
    recordings are then training clips, of which validation and test clips can be drawn.

    Raises:
        InputError: no recording can be used, or none has a value of a column.
    """
    rows = [(row, file.split) for number, file in enumerate(data_set.files) for row in place.rows(number)]
    there = {name for row, _ in rows for name in row.fields}
    broken = [Rejected(path=row.path, reason=row.reason) for row, _ in rows if row.reason]
    if len(broken) == len(rows):
        recordings, reasons = counted(len(rows), "recording"), frequent_reasons(broken) or "there are none"
        raise InputError(
            f"{data_set.option}={data_set.name}: none of its {recordings} can be used ({reasons}); check the files"
        )
    require_columns(there, columns, f"{data_set.option}={data_set.name}")
    text = "".join(f"{json.dumps(line)}\n" for line in _lines(rows, columns, own_splits))
    path = place.folder.with_name(f"{place.folder.name}.{list_hash([text])[:8]}.jsonl")
    if not path.is_file():
        with locked(place.folder.with_suffix(".lock")):
            write_aside(path, text)
    return path


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
