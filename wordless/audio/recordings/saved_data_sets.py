"""Folders that `save_to_disk` of the package ``datasets`` wrote, and its other Arrow files, read by that package::

    animals/
      dataset_dict.json                  the splits that count
      train/
        state.json                       the files that count
        dataset_info.json                the types of the columns, such as the names of classes
        data-00000-of-00002.arrow ...    the rows

Such a folder often holds more than its data set: the shards of a version before rows were removed, a split that was
taken out, caches of `map` and `filter`. Only what the JSON files name is read.

Each shard is opened by `Dataset.from_file`, not all of them by `load_from_disk`: a damaged shard then leaves the others
usable, and a killed run resumes behind the last shard that it finished.

Early versions (1.x) saved a selection beside all rows: ``skip`` and ``take`` of a file, or files of indices. Newer ones
save the selected rows alone, and their `load_from_disk` ignores such a selection, so that rows which were removed come
back. Here ``datasets`` is asked to select them.

Nothing that is called here downloads anything or runs code of the folder. The names of types in the JSON files are
checked first, because ``datasets`` calls whichever function of pyarrow has the name.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from wordless.base.arrays import IndexArray
from wordless.base.files import read_json
from wordless.base.messages import InputError, first_line

STATE, INFO, STORED_SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
ARROW_METADATA = b"huggingface"  # key of the features in the metadata of an Arrow schema
_INDICES = ("_indices_files", "_indices_data_files")  # of state.json of old versions
_SCALARS = {
    *("null", "bool", "float", "double", "date32", "date64", "binary", "large_binary", "binary_view"),
    *("string", "large_string", "string_view", "utf8", "large_utf8", "str", "dict", "PIL.Image.Image"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
}
_WITH_UNITS = re.compile(r"(timestamp|duration|time32|time64)\[.*\]|decimal(128|256)\(.*\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrowFile:
    """An Arrow file, and the rows of it that count."""

    path: Path
    skip: int = 0  # rows before the first one that counts
    take: int | None = None  # rows that count; None: all others

    def of(self, rows: int) -> range:
        """Return the numbers of the rows that count of a file with so many rows."""
        last = rows if self.take is None else min(rows, self.skip + self.take)
        return range(min(self.skip, last), last)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """Rows that are read together: those of a file, or those that indices choose from all files of a split."""

    files: tuple[ArrowFile, ...]
    indices: tuple[Path, ...] = ()  # files with the numbers of the rows that count; none: all count
    folder: Path | None = None  # with state.json; None: the file was not saved by save_to_disk

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that hold rows or their numbers."""
        return (*(file.path for file in self.files), *self.indices)

    @property
    def state(self) -> str:
        """The hash of the file that says which rows count; "": there is none."""
        return "" if self.folder is None else hashlib.sha256((self.folder / STATE).read_bytes()).hexdigest()

    def read(self) -> "SavedRows":
        """Open the files in ``datasets``; a damaged file is a `ValueError` or an `OSError`."""
        datasets, info = _package(), None if self.folder is None else _info(self.folder)
        with _as_value_errors():
            sizes = [_checked(file.path) for file in self.files]
            parts, places = list[Any](), list[IndexArray]()
            for number, (file, size) in enumerate(zip(self.files, sizes, strict=True)):
                rows, part = file.of(size), datasets.Dataset.from_file(str(file.path), info=info)
                parts.append(part if len(rows) == size else part.select(rows or []))
                places.append(np.stack([np.full(len(rows), number), np.arange(rows.start, rows.stop)], axis=1))
            chosen = parts[0] if len(parts) == 1 else datasets.concatenate_datasets(parts)
            place = np.concatenate(places)
            if self.indices:
                numbers = np.concatenate([_numbers(path) for path in self.indices])
                if wrong := [*numbers[(numbers < 0) | (numbers >= len(place))][:1]]:
                    raise ValueError(f"its indices name row {wrong[0]} of {len(place)}")
                chosen, place = chosen.select(numbers), place[numbers]
            return SavedRows(rows=chosen.with_format("arrow"), sizes=tuple(sizes), places=place)


@dataclass(frozen=True, kw_only=True, eq=False)
class SavedRows:
    """The rows of a shard, as ``datasets`` reads them."""

    rows: Any  # a `datasets.Dataset` that gives Arrow tables, so that no sound is decoded
    sizes: tuple[int, ...]  # number of rows of each file
    places: IndexArray  # (rows, 2): the number of the file of each row, and the number of the row in it, from 0

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, with the features in the metadata."""
        return self.rows.data.schema

    def batches(self, columns: list[str], size: int) -> Iterator[pa.Table]:
        """Give chosen columns of the rows, so many rows at once."""
        yield from self.rows.select_columns(columns).iter(size)


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedSplit:
    """A folder with state.json."""

    folder: Path
    split: str  # as state.json names it; "": it names none
    files: tuple[ArrowFile, ...]
    indices: tuple[Path, ...]

    @property
    def shards(self) -> tuple[Shard, ...]:
        """What is read together: each file, unless indices choose from all of them."""
        if self.indices:
            return (Shard(files=self.files, indices=self.indices, folder=self.folder),)
        return tuple(Shard(files=(file,), folder=self.folder) for file in self.files)


def saved_splits(root: Path, names: Collection[str]) -> list[SavedSplit]:
    """Find the saved data sets among the files below ``root``, as `load_from_disk` would load each of them."""
    below, found = {PurePosixPath(name) for name in names}, list[PurePosixPath]()
    folders = sorted({path.parent for path in below if path.name in (STATE, STORED_SPLITS)})
    for folder in folders:
        if any(folder.is_relative_to(above) and folder != above for above in folders):
            continue  # the JSON files of the folder above say whether it counts
        if folder / STATE in below and (folder / INFO in below or folder / STORED_SPLITS not in below):
            found.append(folder)
        else:
            listed = read_json(root / folder / STORED_SPLITS).get("splits")
            each = listed if isinstance(listed, list) else [listed]
            found += (folder / _plain(name, root / folder / STORED_SPLITS) for name in each)
    return [_split(root / folder) for folder in found]


def owner(path: Path) -> Path | None:
    """Return the folder of the saved data set that an Arrow file lies in; None: it lies in none."""
    return path.parent if (path.parent / STATE).is_file() else None


def _split(folder: Path) -> SavedSplit:
    """Read which files and rows of a saved data set count."""
    place, whole = folder / STATE, folder / INFO
    if not place.is_file() or not whole.is_file():
        missing = whole if place.is_file() else place
        raise InputError(
            f"{missing} is not there", remedy="save_to_disk of the package datasets writes it: save the data set again"
        )
    state = read_json(place)
    files = [_file(entry, place) for entry in _entries(state, "_data_files", place)]
    indices = [_file(entry, place).path for key in _INDICES for entry in _entries(state, key, place)]
    if not files:
        raise InputError(f"{place} lists no files", remedy="save the data set again")
    if lost := next((path for path in (*(file.path for file in files), *indices) if not path.is_file()), None):
        raise InputError(f"{place} lists {lost.name}, which is not there", remedy="copy the whole data set")
    split = state.get("_split")
    return SavedSplit(
        folder=folder,
        split=split if isinstance(split, str) else "",
        files=tuple(files),
        indices=tuple(indices),
    )


def _entries(state: dict[str, object], key: str, place: Path) -> list[object]:
    found = state.get(key) or []
    if not isinstance(found, list):
        raise InputError(f"{place}: {key} is {found!r:.80}, no list of files", remedy="save the data set again")
    return found


def _file(entry: object, place: Path) -> ArrowFile:
    match entry:
        case {"filename": name, **others} if others.keys() <= {"skip", "take"}:
            counts = {key: count for key, count in others.items() if type(count) is int and count >= 0}
            if all(count is None or key in counts for key, count in others.items()):
                path = place.parent / _plain(name, place)
                return ArrowFile(path=path, skip=counts.get("skip", 0), take=counts.get("take"))
    rule = "it must be the filename of a file, with skip and take at most, which count rows"
    raise InputError(f"{place} lists {entry!r:.200}; {rule}", remedy="save the data set again")


def _plain(name: object, place: Path) -> str:
    """Return a name that a JSON file gives, unless it leads out of its folder."""
    if isinstance(name, str) and name not in ("", ".", "..") and not {*"/\\\0"} & {*name}:
        return name
    raise InputError(f"{place} lists {name!r:.200}, which is no name of a file or folder beside it")


def _package() -> Any:
    try:
        import datasets
    except ImportError as error:
        problem = "this data set was written by the package datasets, which reads it and is not installed"
        raise InputError(problem, remedy="call: pip install 'wordless[datasets]'") from error
    return datasets


def _info(folder: Path) -> Any:
    """Return what a saved data set says of its columns."""
    content, place = read_json(folder / INFO), folder / INFO
    try:
        _require_types(content.get("features"))
        return _package().DatasetInfo.from_dict(content)
    except InputError:
        raise
    except Exception as error:  # it is a stranger's, and `datasets` names no errors
        problem = f"{place} describes no data set that the package datasets reads: {first_line(error)}"
        raise InputError(problem, remedy="save the data set again") from error


def _require_types(features: object) -> None:
    """Refuse names of types that are none."""
    if isinstance(features, dict):
        kind, described = features.get("dtype"), isinstance(features.get("_type"), str)
        if described and isinstance(kind, str) and kind not in _SCALARS and not _WITH_UNITS.fullmatch(kind):
            raise ValueError(f"{kind!r:.80} is no type of a column")
    if isinstance(features, dict | list):
        for each in features.values() if isinstance(features, dict) else features:
            _require_types(each)


def _checked(path: Path) -> int:
    """Return the number of rows of an Arrow file; one with types that are none or offsets that lead outside is refused.

    Arrow trusts offsets, and a stranger may have written them. Sound is not read here: only where each one begins.
    """
    rows = 0
    with _storage_types(), pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
        _require_types(json.loads((stream.schema.metadata or {}).get(ARROW_METADATA, b"{}")))
        for each in stream.schema:
            _require_extension(each)
        for batch in stream:
            batch.validate(full=True)
            rows += batch.num_rows
    return rows


def _require_extension(field: pa.Field) -> None:
    """Refuse an array of several dimensions whose type is none; fields inside a field count."""
    said = (field.metadata or {}).get(b"ARROW:extension:metadata")
    if said and (field.metadata or {}).get(b"ARROW:extension:name", b"").startswith(b"datasets."):
        _require_types({"_type": "Array", "dtype": json.loads(said)[1]})
    for number in range(field.type.num_fields):
        _require_extension(field.type.field(number))


@contextmanager
def _storage_types() -> Iterator[None]:
    """Let Arrow read arrays of several dimensions as lists: ``datasets`` would build types that nobody has checked."""
    features = _package().features.features
    kinds = [getattr(features, f"Array{size}DExtensionType")((1,) * size, "int64") for size in (2, 3, 4, 5)]
    for kind in kinds:
        pa.unregister_extension_type(kind.extension_name)
    try:
        yield
    finally:
        for kind in kinds:
            pa.register_extension_type(kind)


def _numbers(path: Path) -> IndexArray:
    """Read the numbers of rows in a file of indices."""
    _checked(path)
    table = _package().Dataset.from_file(str(path)).with_format("numpy")
    return np.asarray(table[:][table.column_names[0]], dtype=np.uint64).astype(np.int64)


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Turn whatever ``datasets`` raises about a stranger's file into a `ValueError`; errors of the disk stay."""
    try:
        yield
    except (InputError, OSError, ValueError):
        raise
    except Exception as error:
        raise ValueError(first_line(error)) from error
