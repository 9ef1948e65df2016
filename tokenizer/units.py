"""Text units of other projects: fairseq's ``.km`` beside a manifest ``.tsv``, and JSON lines.

Units without repeats need their durations, in codes, or the sound gets another length. JSON lines hold both, under the
names of SlamKit. A ``.km`` has a file of durations beside it, such as units.km.durations; and a file of lengths in
samples, because the last code of a recording may reach beyond its end::

    units.km             3 7 3                units without repeats
    units.km.durations   2 1 1                codes of each unit: 3 3 7 3
    units.km.lengths     600                  samples at the codes' rate, of at most 4 * samples_per_code
    units.jsonl          {"file_name": "a.wav", "num_samples": 600, "units": [3, 7, 3], "duration": [2, 1, 1]}
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Literal

import numpy as np

from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import MAX_GROUP_CODES, CodedClip, require_clip_path
from wordless.base.files import aside, parse_json, why_no_file
from wordless.base.messages import InputError, first_line, written

UnitsFormat = Literal["fairseq", "jsonl"]
DURATIONS, LENGTHS = ".durations", ".lengths"  # added to the name of a text file, for the files beside it


def write_units(path: Path, clips: Iterable[CodedClip], kind: UnitsFormat, *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect, and adds durations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    others = [_beside(path, suffix) for suffix in (LENGTHS, DURATIONS)]
    for stale in others:  # of an earlier file of the same name
        stale.unlink(missing_ok=True)
    with ExitStack() as stack:
        # The units are renamed last, so they are never there without the files beside them.
        files = [path, *([] if kind == "jsonl" else others[: 1 + deduplicate])]
        opened = [stack.enter_context(_opened(each)) for each in files]
        for clip in clips:
            units, durations = _units(clip, deduplicate)
            if kind == "jsonl":
                row = {"file_name": clip.name, "num_samples": clip.codes.num_samples, "units": units}
                row |= {"duration": durations} if deduplicate else {}
                opened[0].write(f"{json.dumps(row, ensure_ascii=False)}\n")
                continue
            for file, numbers in zip(opened, (units, [clip.codes.num_samples], durations), strict=False):
                file.write(f"{' '.join(map(str, numbers))}\n")


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a text file that gets its name when it is whole."""
    with aside(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        yield file


def _beside(path: Path, suffix: str) -> Path:
    """Return a file beside units: of x.units it is x.durations."""
    return path.with_suffix(suffix) if path.suffix == ".units" else path.with_name(path.name + suffix)


def _units(clip: CodedClip, deduplicate: bool) -> tuple[list[int], list[int]]:
    """Return the units and their durations; each lasts one code unless repeats are merged."""
    codes = clip.codes.spectral
    if codes.format.streams != 1:
        problem = f"{clip.name} has {codes.format.streams} streams"
        raise InputError(f"{problem}; text units hold one: write Parquet (format=parquet) instead")
    values = codes.values[:, 0]
    first = np.arange(len(values)) == 0
    first[1:] = (values[1:] != values[:-1]) | (not deduplicate)
    starts = np.flatnonzero(first)
    return values[starts].tolist(), np.diff(np.append(starts, len(values))).tolist()


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of units, or of durations or a length in a file beside them."""

    units: list[int]
    name: str | None = None  # only JSON has one
    durations: list[int] | None = None  # of each unit, in codes
    num_samples: int | None = None


def read_units(path: Path, format: CodesFormat, *, codes_per_unit: int | None = None) -> list[CodedClip]:
    """Read a ``.km`` or JSON-lines file as codes of ``format``, because the text itself names no codebook.

    Durations and lengths are read from the lines of JSON, or from the files beside the text. ``codes_per_unit`` is the
    duration of each unit where none is given: it is needed where no unit of the file follows itself.
    """
    files = {suffix: _beside(path, suffix) for suffix in (DURATIONS, LENGTHS)}
    beside = {suffix: dict(_lines(file)) for suffix, file in files.items() if file.is_file()}
    clips: list[CodedClip] = []
    neighbours = repeats = 0  # neighbouring units, and equal ones, in lines that do not say how long they are
    for number, line in _lines(path):
        try:
            for suffix, lines in beside.items():
                own = lines.pop(number, None)
                if own is None or (suffix == LENGTHS and len(own.units) != 1):
                    raise InputError(f"{files[suffix]} has no line that fits; write both files again")
                if suffix == DURATIONS:
                    line = replace(line, durations=own.units)
                else:
                    line = replace(line, num_samples=own.units[0])
            if codes_per_unit is not None:
                if line.durations is not None:
                    raise InputError(f"codes_per_unit={codes_per_unit}, and durations are given; leave one of them out")
                line = replace(line, durations=[codes_per_unit] * len(line.units))
            elif line.durations is None and line.num_samples is None:
                neighbours += max(len(line.units) - 1, 0)
                repeats += sum(first == second for first, second in pairwise(line.units))
            codes = _coded(line, format)
            clips.append(CodedClip(path=line.name or f"{path}:{number}", codes=codes))
        except ValueError as error:
            raise InputError(f"{path}:{number}: {first_line(error)}") from error
    for suffix, lines in beside.items():
        if lines:
            raise InputError(f"{files[suffix]}:{min(lines)}: the units have no such line; write both files again")
    if neighbours and not repeats:  # the sound would be shortened without a word
        raise InputError(
            f"{path} has no durations, and no unit in it follows itself, so its repeats were merged and the length "
            f"of the sound is not known; write durations beside it ({path.name}{DURATIONS}, or duration in JSON "
            "lines), or choose a number of codes for each unit, such as codes_per_unit=1"
        )
    return clips


def _lines(path: Path) -> Iterator[tuple[int, _Line]]:
    """Give number and content of each line that is not empty. Only line feeds end lines: names may hold others."""
    if not path.is_file():
        raise InputError(f"{path} {why_no_file(path)}; name a file of units, or Parquet that ends in .parquet")
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, _parse(text.removesuffix("\n"), f"{path}:{number}")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; name a file of units") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; name a file of units, or Parquet that ends in .parquet") from error


def _parse(text: str, where: str) -> _Line:
    """Parse JSON, or units alone."""
    try:
        line = _parse_json(text) if text.startswith("{") else _Line(units=[*map(_unit, text.split())])
        if line.name is not None:
            require_clip_path(line.name)
    except ValueError as error:  # such as a number of thousands of digits
        problem = f"{where}: not a line of units ({first_line(error)})"
        raise InputError(f"{problem}; write 1 2 3, or JSON with file_name and units") from error
    return line


def _parse_json(text: str) -> _Line:
    row = parse_json(text)
    assert isinstance(row, dict), "the text begins with a brace"
    name, units, samples = row.get("file_name"), row.get("units"), row.get("num_samples")
    durations = row.get("duration", row.get("durations"))
    lists = [units, *([] if durations is None else [durations]), *([] if samples is None else [[samples]])]
    if not isinstance(name, str) or not isinstance(units, list) or not all(isinstance(each, list) for each in lists):
        raise InputError("file_name is no text, or units or duration is no list")
    if odd := [each for values in lists for each in values if type(each) is not int]:
        raise InputError(f"{written(str(odd[0]))} is no whole number")
    return _Line(name=name, units=units, durations=durations, num_samples=samples)


def _unit(word: str) -> int:
    """Parse a unit of digits 0 to 9; ``int`` would also accept signs, underscores and the digits of other scripts."""
    if not (word.isascii() and word.isdigit()):
        raise InputError(f"{written(word)} is no unit")
    return int(word)


def _coded(line: _Line, format: CodesFormat) -> Codes:
    """Repeat each unit for its duration; `Codes` refuses another length of the sound."""
    units, durations, size = line.units, line.durations, format.codebook_size
    if odd := [unit for unit in units if not 0 <= unit < size]:  # before the conversion to int32
        raise InputError(f"the unit {written(odd[0])} is outside the codebook, whose units are 0 to {size - 1}")
    if len(units) % format.streams:
        raise InputError(f"{len(units)} units are no whole time steps of {format.streams} streams")
    values = np.array(units, dtype=np.int32).reshape(-1, format.streams)
    if durations is not None:
        if len(durations) != len(values):
            raise InputError(f"{len(durations)} durations, but {len(values)} units; give one for each unit")
        if durations and not (min(durations) >= 1 and sum(durations) <= MAX_GROUP_CODES):
            rule = f"each must be 1 code or more, and all together at most {MAX_GROUP_CODES}"
            raise InputError(f"the durations are {written(durations)}; {rule}")
        values = np.repeat(values, durations, axis=0)
    whole = len(values) * format.samples_per_code
    return Codes(values=values, num_samples=whole if line.num_samples is None else line.num_samples, format=format)
