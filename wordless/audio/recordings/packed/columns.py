"""Columns of a data set: which one holds sound, and how the others become text."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from wordless.audio.recordings.packed.options import SEPARATOR
from wordless.base.errors import InputError
from wordless.base.json_values import find_object

METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
NO_CLASS = -1  # a class label that is not known
_SOUND = "bytes"  # the field of an audio column that holds the bytes of a recording


@dataclass(frozen=True, kw_only=True)
class FileColumns:
    """The columns of a file: the one with sound, and those that can be read as text with the names of their classes."""

    audio: str
    classes: Mapping[str, Sequence[str] | None] = field(default_factory=dict)  # None: the values are text themselves

    @property
    def names(self) -> list[str]:
        """All columns to read."""
        return [self.audio, *self.classes]

    def fields(self, row: Mapping[str, object]) -> dict[str, str]:
        """Write the values of a row as text; names of classes replace their numbers."""
        texts = {name: as_text(row[name], names) for name, names in self.classes.items()}
        return {name: text for name, text in texts.items() if text}


def columns_of(schema: pa.Schema, path: Path, wanted: str | None) -> FileColumns:
    """Find the column with sound, ``wanted`` or the only one, and all columns of text, numbers, classes or lists.

    Raises:
        InputError: no column holds sound, several do, or the wanted one does not.
    """
    features = _features(schema, path)
    sounds = [each.name for each in schema if _holds_sound(each.type)]
    audio = _choose(sounds, wanted, schema.names, path)
    classes = {
        each.name: _class_names(features.get(each.name))
        for each in schema
        if each.name != audio and (_is_plain(each.type) or _is_list(each.type))
    }
    return FileColumns(audio=audio, classes=classes)


def as_text(value: object, names: Sequence[str] | None) -> str:
    """Write a value as text, a list with `SEPARATOR` between its values; empty where it is not known."""
    if isinstance(value, list | tuple):
        return SEPARATOR.join(text for each in value if (text := as_text(each, names)))
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if names is not None and isinstance(value, int):
        return "" if value == NO_CLASS else names[value] if 0 <= value < len(names) else f"class {value}"
    return " ".join(str(value).split())


def _choose(sounds: Sequence[str], wanted: str | None, names: Sequence[str], path: Path) -> str:
    there = f"its columns are {', '.join(names)}"
    if wanted is not None:
        if wanted in sounds:
            return wanted
        problem = "holds no bytes of recordings" if wanted in names else "is not there"
        raise InputError(
            f"corpus.columns.audio={wanted}: this column of {path} {problem}; {there}; name a column of bytes or of "
            "the type Audio (save decoded samples as files first; list paths of files in a corpus.table)"
        )
    if len(sounds) == 1:
        return sounds[0]
    problem = f"the columns {', '.join(sounds)} may hold sound" if sounds else "no column holds bytes of recordings"
    raise InputError(f"{path}: {problem}; name the column, corpus.columns.audio=NAME ({there})")


def _features(schema: pa.Schema, path: Path) -> Mapping[str, Any]:
    """Return the features that `datasets` describes in the file, or beside it."""
    try:
        info = json.loads((schema.metadata or {}).get(METADATA, b"{}"))
        features = info["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        features = (find_object(path.parent / "dataset_info.json") or {}).get("features")
    return features if isinstance(features, dict) else {}


def _class_names(feature: object) -> Sequence[str] | None:
    """Return the names of the classes of a feature, or of the items of a list."""
    match feature:
        case {"_type": "ClassLabel", "names": [*names]}:
            return [str(name) for name in names]
        case {"feature": inner} | [inner]:
            return _class_names(inner)
        case _:
            return None


def _holds_sound(kind: pa.DataType) -> bool:
    """Return whether values are bytes, or a struct with bytes as `datasets` and its kin write audio."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index(_SOUND)
        return place >= 0 and _is_binary(kind.field(place).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    """Return whether values are lists of text or whole numbers; lists of floats are vectors, and no labels."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    return bool(_is_text(kind.value_type) or pa.types.is_integer(kind.value_type))


def _is_plain(kind: pa.DataType) -> bool:
    others = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_temporal)
    return _is_text(kind) or any(is_kind(kind) for is_kind in others)


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))
