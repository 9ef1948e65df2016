"""Text units of other projects: ``name|units``, fairseq's ``.km`` beside a manifest ``.tsv``, JSON lines, and times."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import numpy.typing as npt

from foundation.errors import InputError
from foundation.files import aside
from foundation.json_values import parse_json, shortened
from foundation.saved_models import first_line
from tokenizer.codes import Codes, CodesFormat, IntArray
from tokenizer.parquet import CodedClip, require_clip_path
from tokenizer.rates import split_rates
from tokenizer.shard_schema import BYTES_PER_CODE, require_room

UnitsFormat = Literal["name_units", "fairseq", "jsonl", "times"]
TIMES = ("path", "start", "end", "code", "stream", "rate")  # columns of "times"
MAX_LINE = 1 << 26  # bytes of a line: about 16 million units, 90 hours at 50 per second
MAX_DIGITS = 18  # of a unit


def write_units(path: Path, clips: Iterable[CodedClip], kind: UnitsFormat, *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect.

    In ``name|units`` the name is that of the file without its extension, with its folders if two files share the name.
    See `_write_times` for ``times``.

    Raises:
        InputError: the codes have several streams, which the other formats cannot represent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "times":
        return _write_times(path, clips, deduplicate)
    names: list[str] = []
    with aside(path) as beside:
        with beside.open("w", encoding="utf-8", newline="\n") as handle:
            for clip in clips:
                names.append(clip.name)
                handle.write(_line(clip, _units(clip, deduplicate), kind) + "\n")
        if kind == "name_units":
            _name(beside, _short_names(names))


def _write_times(path: Path, clips: Iterable[CodedClip], deduplicate: bool) -> None:
    """Write a table with a row for each code, separated by commas if the path ends in .csv, otherwise by tabs.

    ``start`` and ``end`` are seconds within the file, and the last code ends with the sound. Streams and rates are
    numbered from 1. Merged repeats are one row, which lasts as long as they do.
    """
    with aside(path) as beside, beside.open("w", encoding="utf-8", newline="") as handle:
        if path.suffix.lower() == ".csv":
            table = csv.writer(handle)
        else:  # names hold no tabs
            table = csv.writer(handle, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        table.writerow(TIMES)
        for clip in clips:
            table.writerows(_timed_rows(clip, deduplicate))


def _timed_rows(clip: CodedClip, deduplicate: bool) -> Iterator[tuple[str | int, ...]]:
    begin = 0.0 if clip.span is None else clip.span[0]
    for rate, codes in enumerate(split_rates(clip.codes), 1):
        times = codes.times + begin
        for stream, values in enumerate(codes.values.T, 1):
            first = _first_of_run(values) if deduplicate else np.ones(len(values), bool)
            starts = np.flatnonzero(first)
            ends = [*(starts[1:] - 1), len(values) - 1]
            for start, end in zip(starts, ends, strict=False):
                seconds = (f"{times[start, 0]:.6f}", f"{times[end, 1]:.6f}")
                yield clip.path, *seconds, int(values[start]), stream, rate


def _first_of_run(values: IntArray) -> npt.NDArray[np.bool_]:
    """Return whether each value ``(time,)`` differs from the one before it."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])


def _name(path: Path, names: Iterable[str]) -> None:
    with (
        aside(path) as beside,
        beside.open("w", encoding="utf-8", newline="\n") as handle,
        path.open(encoding="utf-8", newline="\n") as lines,
    ):
        handle.writelines(f"{name}|{line}" for name, line in zip(names, lines, strict=True))


def _short_names(paths: list[str]) -> list[str]:
    """Choose the shortest of file name, path without extension and path that no other file has."""
    choices = [(Path(path).stem, str(PurePosixPath(path).with_suffix("")), path) for path in paths]
    counts = Counter(name for each in choices for name in set(each))
    return [next((name for name in each if counts[name] == 1), each[-1]) for each in choices]


def read_units(path: Path, format: CodesFormat) -> list[CodedClip]:
    """Read a ``name|units`` or JSON-lines file as codes of ``format``, because the text itself names no codebook.

    Raises:
        InputError: a line has another form or is longer than `MAX_LINE`, or a unit is outside the codebook; the message
            names file and line. Also if the path is not a file, or the codes need more memory than there is.
    """
    if not path.is_file():
        state = "is not a file" if path.is_symlink() or path.exists() else "is missing"
        raise InputError(f"{path} {state}; name a file of units, or Parquet that ends in .parquet")
    require_room(BYTES_PER_CODE * path.stat().st_size // 2, path)  # a unit has at least one digit and a space
    lines = enumerate(_lines(path), 1)
    return [_parse(line, format, where=f"{path}:{number}") for number, line in lines if line.strip()]


def _units(clip: CodedClip, deduplicate: bool) -> list[int]:
    if clip.codes.format.streams != 1:
        problem = f"{clip.name} has {clip.codes.format.streams} streams"
        raise InputError(f"{problem}; text units hold one: write Parquet (format=parquet) instead")
    values = clip.codes.values[:, 0]
    if deduplicate:
        values = values[_first_of_run(values)]
    return [int(value) for value in values]


def _line(clip: CodedClip, units: list[int], kind: Literal["name_units", "fairseq", "jsonl"]) -> str:
    text = " ".join(map(str, units))
    match kind:
        case "name_units" | "fairseq":
            return text
        case "jsonl":
            row = {"file_name": clip.name, "num_samples": clip.codes.num_samples, "units": units}
            return json.dumps(row, ensure_ascii=False)


def _lines(path: Path) -> Iterator[str]:
    """Read the lines of a file; unlike str.splitlines, split only at line feeds: names may hold other breaks."""
    try:
        with path.open("rb") as file:
            for number in count(1):
                line = file.readline(MAX_LINE + 1)
                if not line:
                    return
                if len(line) > MAX_LINE:
                    raise InputError(f"{path}:{number}: has more than {MAX_LINE} bytes; cut the recording into several")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; name a file of units") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; name a file of units, or Parquet that ends in .parquet") from error


def _parse(line: str, format: CodesFormat, *, where: str) -> CodedClip:
    try:
        name, units = _json_units(line) if line.startswith("{") else _text_units(line, where)
        require_clip_path(name)
        values = _values(units, format)
        codes = Codes(values=values, num_samples=len(values) * format.samples_per_code, format=format)
    except InputError as error:
        problem = f"{where}: not a line of units ({first_line(error)})"
        raise InputError(f"{problem}; write name|1 2 3, or JSON with file_name and units") from error
    return CodedClip(path=name, codes=codes)


def _values(units: list[int], format: CodesFormat) -> IntArray:
    largest = format.codebook_size - 1
    if units and not (min(units) >= 0 and max(units) <= largest):  # checked before the conversion to int32
        odd = next(unit for unit in units if not 0 <= unit <= largest)
        raise InputError(f"the unit {shortened(odd)} is outside the codebook, whose units are 0 to {largest}")
    if len(units) % format.streams:
        raise InputError(f"{len(units)} units are no whole time steps of {format.streams} streams")
    return np.array(units, dtype=np.int32).reshape(-1, format.streams)


def _json_units(line: str) -> tuple[str, list[int]]:
    row = parse_json(line)
    name, units = (row.get("file_name"), row.get("units")) if isinstance(row, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(units, list) or not all(type(unit) is int for unit in units):
        raise InputError("file_name is no text, or units are no list of whole numbers")
    return name, units


def _text_units(line: str, where: str) -> tuple[str, list[int]]:
    name, text = line.rsplit("|", 1) if "|" in line else (where, line)
    return name, [_unit(word) for word in text.split()]


def _unit(word: str) -> int:
    """Parse a unit of digits 0 to 9; ``int`` would also accept signs, underscores and the digits of other scripts."""
    if not (word.isascii() and word.isdigit()):
        raise InputError(f"{shortened(word)} is no unit")
    if len(word) > MAX_DIGITS:
        raise InputError(f"a unit has {len(word)} digits")
    return int(word)
