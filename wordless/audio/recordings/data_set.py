"""A data set of the package ``datasets``: its recordings are written as they are into files once, with their texts.

A folder of ``save_to_disk``, a folder that ``load_dataset`` reads, or Parquet or Arrow files. Nothing is decoded or
converted. Where a data set has several splits, they are the splits of its recordings.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas
from pandas import DataFrame

from wordless.audio.recordings.checks import SPLIT_TEXTS, split_of
from wordless.audio.recordings.clip_table import WHERE, cell, clips_of_rows
from wordless.audio.recordings.corpus_config import ColumnConfig, Making
from wordless.audio.recordings.folder import expand_home, is_recording
from wordless.audio.recordings.manifest import Clips, Rejected, SplitBy
from wordless.base.files import list_hash, stamp_text
from wordless.base.messages import InputError, first_line, listed

_ROWS, _SPLIT, _FAULT = "rows.parquet", ":split", ":fault"  # the list of a written data set, and columns of it
_KINDS = ((b"fLaC", ".flac"), (b"RIFF", ".wav"), (b"OggS", ".ogg"), (b"ID3", ".mp3"))
_LOADERS = {".parquet": "parquet", ".arrow": "arrow"}


def clips_of_data_set(named: str, columns: ColumnConfig, split_by: SplitBy, making: Making) -> Clips:
    """List the recordings of a data set as candidates; they are written below the folder of ``making`` once."""
    place = expand_home(named, "dataset")
    if not place.exists():
        raise InputError(option="dataset", value=named, rule="it does not exist: check the path")
    files = [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file())
    stamps = [[os.path.relpath(each, place), stamp_text(each)] for each in files]
    folder = making.folder() / list_hash([str(place.resolve()), columns.path, *stamps])[:16]
    if not (folder / _ROWS).is_file():
        making.terminal.say(f"corpus    {place.name}: its recordings are written once, into {folder}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(".aside", f".{folder.name}.", folder.parent, ignore_cleanup_errors=True) as aside:
            made = Path(aside, folder.name)
            made.mkdir()
            _write(place, columns, made)
            if not folder.exists():  # another process may have written it meanwhile
                made.replace(folder)
    frame = pandas.read_parquet(folder / _ROWS)
    faulty = frame[frame[_FAULT] != ""]
    rejected = tuple(
        Rejected(path=place.name, reason=fault, kind=fault, where=row)
        for fault, row in zip(faulty[_FAULT], faulty[WHERE], strict=True)
    )
    sound = frame[frame[_FAULT] == ""].drop(columns=_FAULT).reset_index(drop=True)
    columns, own = replace(columns, path=None), list(dict.fromkeys(frame[_SPLIT]))
    if columns.split not in sound.columns and len(own) > 1:
        unknown = [name for name in own if split_of(name) is None]
        if not unknown:
            columns = replace(columns, split=_SPLIT)
        elif split_by == "fold":
            columns = replace(columns, fold=_SPLIT)
        else:
            rule = f"its splits are {', '.join(own):.200}, and {unknown[0]} is none of {SPLIT_TEXTS}"
            remedy = f"`split.by`=fold `split.test`=[{unknown[-1]}] divides by their names, as folds"
            raise InputError(option="dataset", value=named, rule=rule, remedy=remedy)
    if _SPLIT not in columns.named.values():
        sound = sound.drop(columns=_SPLIT)
    for option, name in columns.named.items():
        if columns.is_given(option) and name not in sound.columns and name != _SPLIT:
            there = ", ".join(str(each) for each in sound.columns if each not in ("", WHERE))
            raise InputError(
                option=f"columns.{option}", value=name, rule=f"{named} has no such column: its columns are {there:.800}"
            )
    found = clips_of_rows(sound, columns, bases=[folder] * len(sound))
    return replace(found, name=place.name, rejected=(*rejected, *found.rejected), rows=len(frame))


def _write(place: Path, columns: ColumnConfig, folder: Path) -> None:
    """Write the recordings of a data set into files, and a list of them with all other cells as texts."""
    rows = list[dict[str, str]]()
    for split, data in _loaded(place, folder / ".cache").items():
        audio, classes = _sound_column(data.features, columns, place), _class_names(data.features)
        for number, row in enumerate(_without_decoding(data, audio), start=1):
            where, sound = f"{place.name}: {split} row {number}", row.pop(audio) or {}
            texts = {name: cell(_class(value, classes.get(name))) for name, value in row.items()}
            path, fault = _written(sound, folder / split, number)
            rows.append({**texts, "": path, _FAULT: fault, _SPLIT: split, WHERE: where})
    DataFrame(rows).fillna("").astype(str).to_parquet(folder / _ROWS)


def _loaded(place: Path, cache: Path) -> Mapping[str, Any]:
    """Load the splits of a data set."""
    try:
        import datasets
    except ImportError as error:
        problem = "data sets are read by the package datasets, which is not installed"
        raise InputError(problem, remedy="pip install 'wordless[datasets]', or give a `table`") from error
    saved = any((place / name).is_file() for name in ("state.json", "dataset_dict.json"))
    loader = _LOADERS.get(place.suffix.lower())
    try:
        if saved:
            found = datasets.load_from_disk(str(place))
        elif place.is_dir():
            found = datasets.load_dataset(str(place.resolve()), streaming=True, cache_dir=str(cache))
        elif loader:
            found = datasets.load_dataset(loader, data_files=str(place.resolve()), streaming=True, cache_dir=str(cache))
        else:
            raise InputError(option="dataset", value=place, rule="name a folder, or a .parquet or .arrow file")
    except InputError:
        raise
    except Exception as error:  # of many kinds
        raise InputError(option="dataset", value=place, rule=f"datasets cannot load it: {first_line(error)}") from error
    return found if isinstance(found, Mapping) else {"train": found}


def _without_decoding(data: Any, audio: str) -> Iterator[dict[str, Any]]:
    import datasets

    if isinstance(data.features[audio], datasets.Audio):
        data = data.cast_column(audio, datasets.Audio(decode=False))
    try:
        yield from data
    except Exception as error:  # of many kinds
        raise InputError(f"datasets cannot read on: {first_line(error)}", remedy="write the data set again") from error


def _sound_column(features: Mapping[str, Any], columns: ColumnConfig, place: Path) -> str:
    """Return the column of sound: that which is named, else the only one that holds sound."""
    import datasets

    if columns.is_given("path") and columns.path in features:
        return str(columns.path)
    sound = [
        name
        for name, kind in features.items()
        if isinstance(kind, datasets.Audio) or (isinstance(kind, dict) and {*kind} == {"bytes", "path"})
    ]
    if columns.is_given("path") or len(sound) != 1:
        rule = f"{place} has {listed(sound) or 'no column'} with sound; its columns are {', '.join(features):.400}"
        raise InputError(option="columns.path", value=columns.path, rule=rule, remedy="name one")
    return sound[0]


def _class_names(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    return {name: kind.names for name, kind in features.items() if hasattr(kind, "names") and hasattr(kind, "int2str")}


def _class(value: object, names: Sequence[str] | None) -> object:
    """Return the name of a class that is written as a number; -1 is not known."""
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _written(sound: Mapping[str, Any], folder: Path, number: int) -> tuple[str, str]:
    """Write a recording as it is, or link to its file; return its path below the data set's folder, and a fault."""
    content, named = sound.get("bytes"), str(sound.get("path") or "")
    stem = re.sub(r"[^\w.-]+", "_", Path(named).stem)[:80]
    suffix = (
        Path(named).suffix.lower()
        if is_recording(named)
        else next((each for head, each in _KINDS if (content or b"").startswith(head)), ".wav")
    )
    file = folder / f"{number:07}{f'_{stem}' if stem else ''}{suffix}"
    if not content and not os.path.isfile(named):  # noqa: PTH113  a text that may be no path
        return "", "holds no sound"
    file.parent.mkdir(parents=True, exist_ok=True)
    if content:
        file.write_bytes(content)
    else:
        file.symlink_to(os.path.abspath(named))  # noqa: PTH100
    return f"{folder.name}/{file.name}", ""
