"""A data set whose recordings are packed: its files, how they are read, and which columns they have."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from wordless.audio.recordings.packed.columns import FileColumns
from wordless.audio.recordings.packed.options import ColumnConfig
from wordless.audio.recordings.packed.parts import Broken, DamageError, PackedFile, Parts
from wordless.audio.recordings.packed.places import data_set_files, shard_files
from wordless.audio.recordings.packed.rows import read_rows, sound_bytes, table_columns
from wordless.audio.recordings.packed.shards import read_shard
from wordless.base.errors import InputError
from wordless.base.json_values import list_hash
from wordless.base.text import nearest, suggestion


@dataclass(frozen=True, kw_only=True)
class PackedDataSet:
    """Files with recordings, in order."""

    option: str  # that names them
    name: str  # for people
    files: tuple[PackedFile, ...]
    reading: str  # what decides, beside the files' bytes, how they are read: columns and names of classes
    sizes: tuple[int, ...]  # bytes of each file's recordings, about
    read: Callable[[PackedFile], Parts]


def open_data_set(place: str, columns: ColumnConfig) -> PackedDataSet:
    """Open the Arrow or Parquet files of a data set; a damaged file is set aside when it is read.

    Raises:
        InputError: there are no such files, all are damaged, or a column is not there.
    """
    files = data_set_files(place)
    found: dict[str, FileColumns] = {}
    damaged: dict[str, str] = {}
    for file in files:
        try:
            found[file.name] = table_columns(file, columns.audio)
        except DamageError as error:
            damaged[file.name] = str(error)
    if not found:
        path, reason = files[0].path, damaged[files[0].name]
        raise InputError(f"corpus.dataset={place}: {path} {reason}; name Parquet files, or Arrow files of save_to_disk")
    require_columns({name for each in found.values() for name in each.classes}, columns, f"corpus.dataset={place}")
    sizes = tuple(sound_bytes(file, found[file.name]) if file.name in found else 0 for file in files)

    def read(file: PackedFile) -> Parts:
        return read_rows(file, found[file.name]) if file.name in found else _set_aside(damaged[file.name])

    reading = list_hash([name, each.audio, dict(each.classes)] for name, each in found.items())
    name = Path(place).resolve().name
    return PackedDataSet(
        option="corpus.dataset", name=name, files=tuple(files), reading=reading, sizes=sizes, read=read
    )


def open_shards(pattern: str) -> PackedDataSet:
    """Open tar shards.

    Raises:
        InputError: one of them is not there.
    """
    files = shard_files(pattern)
    sizes = tuple(file.path.stat().st_size for file in files)  # compressed shards take more
    name = Path(pattern).name
    return PackedDataSet(
        option="corpus.shards", name=name, files=tuple(files), reading="tar", sizes=sizes, read=read_shard
    )


def require_columns(there: Collection[str], columns: ColumnConfig, place: str) -> None:
    """Refuse columns that no file has."""
    for column, option in columns.wanted.items():
        if column not in there:
            shown = sorted(there)
            names = f"{', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}" if shown else "(none)"
            meant = f"{suggestion(column, there)} " if nearest(column, there) else ""
            raise InputError(
                f"{option}: {place} has no such column of text, numbers or classes; {meant}its columns are {names}; "
                f"{option.partition('=')[0]}=null reads none"
            )


def _set_aside(reason: str) -> Iterator[Broken]:
    yield Broken(name="the file", reason=reason)
