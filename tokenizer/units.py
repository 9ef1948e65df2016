"""Codes as other projects' text units: ``name|units``, fairseq's ``.km`` beside a manifest ``.tsv``, and JSON lines."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from audio.errors import InputError
from audio.files import aside
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip

UnitsFormat = Literal["name_units", "fairseq", "jsonl"]


def write_units(path: Path, clips: Iterable[CodedClip], kind: UnitsFormat, *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect.

    A name of ``name|units`` is that of the file without its extension, with its folders where two files share it.

    Raises:
        InputError: the codes have several streams, which these formats cannot tell apart.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    with aside(path) as beside:
        with beside.open("w", encoding="utf-8", newline="\n") as handle:
            for clip in clips:
                names.append(clip.name)
                handle.write(_line(clip, _units(clip, deduplicate), kind) + "\n")
        if kind == "name_units":
            _name(beside, _short_names(names))


def _name(path: Path, names: Iterable[str]) -> None:
    """Put a name before each line of a file."""
    with (
        aside(path) as beside,
        beside.open("w", encoding="utf-8", newline="\n") as handle,
        path.open(encoding="utf-8", newline="\n") as lines,
    ):
        handle.writelines(f"{name}|{line}" for name, line in zip(names, lines, strict=True))


def _short_names(paths: list[str]) -> list[str]:
    """The shortest of file name, path without extension and path that no other file has."""
    choices = [(Path(path).stem, str(PurePosixPath(path).with_suffix("")), path) for path in paths]
    counts = Counter(name for each in choices for name in set(each))
    return [next((name for name in each if counts[name] == 1), each[-1]) for each in choices]


def read_units(path: Path, format: CodesFormat) -> list[CodedClip]:
    """Codes of a ``name|units`` or JSON-lines file, taken to be of ``format``: the text itself names no codebook.

    Raises:
        InputError: a line is not of either kind, or a unit is outside the codebook; names file and line.
    """
    clips = []
    for number, line in enumerate(_text(path).split("\n"), 1):  # a name may hold what str.splitlines cuts at
        if line.strip():
            clips.append(_parse(line, format, where=f"{path}:{number}"))
    return clips


def _units(clip: CodedClip, deduplicate: bool) -> list[int]:
    if clip.codes.format.streams != 1:
        raise InputError(
            f"{clip.name} has {clip.codes.format.streams} streams; text units hold one: write Parquet "
            "(format=parquet) instead"
        )
    values = clip.codes.values[:, 0]
    if deduplicate and len(values):
        values = values[np.concatenate([[True], values[1:] != values[:-1]])]
    return [int(value) for value in values]


def _line(clip: CodedClip, units: list[int], kind: UnitsFormat) -> str:
    text = " ".join(map(str, units))
    match kind:
        case "name_units" | "fairseq":
            return text
        case "jsonl":
            return json.dumps(
                {"file_name": clip.name, "num_samples": clip.codes.num_samples, "units": units}, ensure_ascii=False
            )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; name a file of units") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; name a file of units, or Parquet that ends in .parquet") from error


def _parse(line: str, format: CodesFormat, *, where: str) -> CodedClip:
    try:
        name, units = _json_units(line) if line.startswith("{") else _text_units(line, where)
        values = np.array(units, dtype=np.int32).reshape(-1, format.streams)
        codes = Codes(values=values, num_samples=len(values) * format.samples_per_code, format=format)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: not a line of units ({error}); write name|1 2 3, or JSON with file_name and units"
        ) from error
    return CodedClip(path=name, codes=codes)


def _json_units(line: str) -> tuple[str, list[int]]:
    row = json.loads(line)
    name, units = row["file_name"], row["units"]
    if not isinstance(name, str) or not isinstance(units, list) or not all(type(unit) is int for unit in units):
        raise TypeError("file_name is no text, or units are no list of whole numbers")
    return name, units


def _text_units(line: str, where: str) -> tuple[str, list[int]]:
    name, text = line.rsplit("|", 1) if "|" in line else (where, line)
    return name, [int(unit) for unit in text.split()]
