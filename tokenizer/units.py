"""Text units of other projects: ``name|units``, fairseq's ``.km`` beside a manifest ``.tsv``, JSON lines, times.

Units without repeats need their durations, in codes, or the sound gets another length. JSON lines hold both, under the
names of SlamKit. The other formats have a file beside them, as textlesslib writes it; and a file of lengths in samples,
because the last code of a recording may reach beyond its end::

    units.txt            a|3 7 3              units without repeats
    units.txt.durations  a|2 1 1              codes of each unit: 3 3 7 3
    units.txt.lengths    a|600                samples at the codes' rate, of at most 4 * samples_per_code
    units.jsonl          {"file_name": "a.wav", "num_samples": 600, "units": [3, 7, 3], "duration": [2, 1, 1]}
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path, PurePosixPath
from typing import Literal, TypeGuard

import numpy as np
import numpy.typing as npt

from tokenizer.codes import Codes, CodesFormat, IntArray
from tokenizer.parquet import BYTES_PER_CODE, CodedClip, require_clip_path, require_room
from wordless.audio.recordings.folders import without_span
from wordless.base.errors import InputError
from wordless.base.files import aside
from wordless.base.saved_models import first_line
from wordless.base.values import parse_json, shortened

UnitsFormat = Literal["name_units", "fairseq", "jsonl", "times"]
TIMES = ("path", "start", "end", "code", "stream", "rate")  # columns of "times"
MAX_LINE = 1 << 26  # bytes of a line: about 16 million units, 90 hours at 50 per second
MAX_DIGITS = 18  # of a unit
DURATIONS, LENGTHS = ".durations", ".lengths"  # added to the name of a text file, for the files beside it
TEXTLESS = ".units"  # textlesslib writes x.units and x.durations


def write_units(path: Path, clips: Iterable[CodedClip], kind: UnitsFormat, *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect, and adds durations.

    In ``name|units`` the name is that of the file without its extension, with its folders if two files share the name.
    See `_write_times` for ``times``.

    Raises:
        InputError: the codes have several streams, which the other formats cannot represent.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "times":
        return _write_times(path, clips, deduplicate)
    names: list[str] = []
    suffixes = [""] if kind == "jsonl" else ["", LENGTHS, *([DURATIONS] if deduplicate else [])]
    for stale in {DURATIONS, LENGTHS} - set(suffixes):  # of an earlier file of the same name
        _beside(path, stale).unlink(missing_ok=True)
    with ExitStack() as stack:
        # The last one is renamed first, so units are never there without their durations.
        files = {suffix: stack.enter_context(aside(_beside(path, suffix))) for suffix in suffixes}
        with ExitStack() as opened:
            handles = {
                suffix: opened.enter_context(file.open("w", encoding="utf-8", newline="\n"))
                for suffix, file in files.items()
            }
            for clip in clips:
                names.append(clip.name)
                units, durations = _units(clip, deduplicate)
                numbers = {"": units, LENGTHS: [clip.codes.num_samples], DURATIONS: durations or []}
                for suffix, handle in handles.items():
                    line = " ".join(map(str, numbers[suffix]))
                    if kind == "jsonl":
                        row = {"file_name": clip.name, "num_samples": clip.codes.num_samples, "units": units}
                        row |= {} if durations is None else {"duration": durations}
                        line = json.dumps(row, ensure_ascii=False)
                    handle.write(f"{line}\n")
        if kind == "name_units":
            for file in files.values():
                with (
                    aside(file) as named,
                    named.open("w", encoding="utf-8", newline="\n") as handle,
                    file.open(encoding="utf-8", newline="\n") as lines,
                ):
                    rows = zip(_short_names(names), lines, strict=True)
                    handle.writelines(f"{name}|{line}" for name, line in rows)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


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
    for rate, codes in enumerate(clip.codes.by_rate, 1):
        times = codes.times + begin
        for stream, values in enumerate(codes.values.T, 1):
            starts = np.flatnonzero(_first_of_run(values) if deduplicate else np.ones(len(values), bool))
            ends = [*(starts[1:] - 1), len(values) - 1]
            for start, end in zip(starts, ends, strict=False):
                seconds = (f"{times[start, 0]:.6f}", f"{times[end, 1]:.6f}")
                yield clip.path, *seconds, int(values[start]), stream, rate


def _first_of_run(values: IntArray) -> npt.NDArray[np.bool_]:
    """Return whether each value ``(time,)`` differs from the one before it."""
    return np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]])


def _short_names(names: list[str]) -> list[str]:
    """Choose the shortest of file name, path without extension and path that no other clip has; parts keep spans."""
    choices = [
        (Path(path).stem + span, str(PurePosixPath(path).with_suffix("")) + span, path + span)
        for path, span in map(without_span, names)
    ]
    counts = Counter(name for each in choices for name in set(each))
    return [next((name for name in each if counts[name] == 1), each[-1]) for each in choices]


def read_units(path: Path, format: CodesFormat, *, codes_per_unit: int | None = None) -> list[CodedClip]:
    """Read a ``name|units`` or JSON-lines file as codes of ``format``, because the text itself names no codebook.

    Durations and lengths are read from the lines of JSON, or from the files beside the text. ``codes_per_unit`` is the
    duration of each unit where none is given.

    Raises:
        InputError: a line has another form or is longer than `MAX_LINE`, a unit is outside the codebook, or durations
            or lengths contradict the units; the message names file and line. Also if no unit of the file follows
            itself, and nothing says how long the units are; if the path is not a file; or if the codes need more memory
            than there is.
    """
    if not path.is_file():
        state = "is not a file" if path.is_symlink() or path.exists() else "is missing"
        raise InputError(f"{path} {state}; name a file of units, or Parquet that ends in .parquet")
    require_room(BYTES_PER_CODE * path.stat().st_size // 2, path)  # a unit has at least one digit and a space
    beside = {suffix: _numbers_beside(file) for suffix in (DURATIONS, LENGTHS) if (file := _found(path, suffix))}
    clips: list[CodedClip] = []
    codes = neighbours = repeats = 0  # neighbouring units, and equal ones, in lines that do not say how long they are
    for number, text in enumerate(_lines(path), 1):
        if text.strip():
            line = _completed(_parse(text, path, number), beside)
            if codes_per_unit is not None:
                if line.durations is not None:
                    problem = f"codes_per_unit={codes_per_unit}, and {line.durations_where} gives durations"
                    raise InputError(f"{problem}; leave codes_per_unit out")
                durations = [codes_per_unit] * len(line.units)
                line = replace(line, durations=durations, durations_where=line.where)
            elif line.durations is None and line.num_samples is None:
                neighbours += max(len(line.units) - 1, 0)
                repeats += sum(first == second for first, second in pairwise(line.units))
            _require_durations(line, format)
            codes += len(line.units) if line.durations is None else sum(line.durations)
            require_room(BYTES_PER_CODE * codes, path)
            clips.append(_coded(line, format))
    for own in (own for numbers in beside.values() for own in numbers.values()):
        raise InputError(f"{own.where}: the units have no such line; write both files again")
    if neighbours and not repeats:  # the sound would be shortened without a word
        raise InputError(
            f"{path} has no durations, and no unit in it follows itself, so its repeats were merged and the length "
            f"of the sound is not known; write durations beside it ({path.name}{DURATIONS}, or duration in JSON "
            "lines), or choose a number of codes for each unit, such as codes_per_unit=1"
        )
    return clips


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """A line of numbers in a file beside the units."""

    name: str | None  # that the line begins with
    values: list[int]
    where: str  # file and line


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of units, with what is known of their length."""

    name: str
    units: list[int]
    number: int
    where: str  # file and line
    durations: list[int] | None = None  # of each unit, in codes
    num_samples: int | None = None
    durations_where: str = ""


def _found(path: Path, suffix: str) -> Path | None:
    """Return the file beside the units if there is one."""
    others = [path.with_suffix(suffix)] if path.suffix == TEXTLESS and suffix == DURATIONS else []
    return next((file for file in (_beside(path, suffix), *others) if file.is_file()), None)


def _numbers_beside(path: Path) -> dict[int, _Numbers]:
    """Read durations or lengths by the number of their line."""
    found = {}
    for number, line in enumerate(_lines(path), 1):
        where = f"{path}:{number}"
        if line.strip():
            try:
                name, values = _text_units(line, None)
            except InputError as error:
                problem = f"{where}: not a line of numbers ({first_line(error)})"
                raise InputError(f"{problem}; write whole numbers, such as name|2 1 3") from error
            found[number] = _Numbers(name=name, values=values, where=where)
    return found


def _completed(line: _Line, beside: Mapping[str, dict[int, _Numbers]]) -> _Line:
    """Add the durations and the length that stand in files beside the units."""
    for suffix, numbers in beside.items():
        own = numbers.pop(line.number, None)
        if own is None:
            raise InputError(f"{line.where}: the file {suffix} beside it has no such line; write both files again")
        if own.name is not None and own.name != line.name:
            raise InputError(f"{own.where}: is of {own.name}, and {line.where} of {line.name}; write both files again")
        if suffix == DURATIONS:
            line = replace(line, durations=own.values, durations_where=own.where)
        elif len(own.values) != 1:
            raise InputError(f"{own.where}: has {len(own.values)} numbers; give one, the samples of the recording")
        else:
            line = replace(line, num_samples=own.values[0])
    return line


def _require_durations(line: _Line, format: CodesFormat) -> None:
    """Refuse durations that are not one number of codes for each unit."""
    if line.durations is None:
        return
    where, count_of, units = line.durations_where, len(line.durations), len(line.units)
    if format.streams != 1:
        raise InputError(f"{where}: durations belong to units of one stream, and these codes have {format.streams}")
    if count_of != units:
        raise InputError(f"{where}: {count_of} durations, but {units} units; give one for each unit")
    if odd := [duration for duration in line.durations if not 1 <= duration <= MAX_LINE]:
        raise InputError(f"{where}: the duration {shortened(odd[0])} is no number of codes; give 1 or more")


def _coded(line: _Line, format: CodesFormat) -> CodedClip:
    """Repeat each unit for its duration, and check the codes against the length of the sound."""
    try:
        values = _values(line.units, format)
    except InputError as error:
        raise InputError(f"{line.where}: not a line of units of this codebook ({first_line(error)})") from error
    if line.durations is not None:
        values = np.repeat(values, line.durations, axis=0)
    whole = len(values) * format.samples_per_code
    num_samples = whole if line.num_samples is None else line.num_samples
    if format.steps(num_samples) != len(values):
        raise InputError(
            f"{line.where}: its units stand for {len(values)} codes, and its length of {num_samples} samples takes "
            f"{format.steps(num_samples)}; give durations if repeats were merged, or leave the length out"
        )
    return CodedClip(path=line.name, codes=Codes(values=values, num_samples=num_samples, format=format))


def _units(clip: CodedClip, deduplicate: bool) -> tuple[list[int], list[int] | None]:
    """Return the units, and their durations if repeats are merged."""
    codes = clip.codes.spectral
    if codes.format.streams != 1:
        problem = f"{clip.name} has {codes.format.streams} streams"
        raise InputError(f"{problem}; text units hold one: write Parquet (format=parquet) instead")
    values = codes.values[:, 0]
    if not deduplicate:
        return values.tolist(), None
    starts = np.flatnonzero(_first_of_run(values))
    return values[starts].tolist(), np.diff(np.append(starts, len(values))).tolist()


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


def _parse(text: str, path: Path, number: int) -> _Line:
    where = f"{path}:{number}"
    try:
        if text.startswith("{"):
            line = _json_units(text, number, where)
        else:
            name, units = _text_units(text, where)
            line = _Line(name=name or where, units=units, number=number, where=where)
        require_clip_path(line.name)
    except InputError as error:
        problem = f"{where}: not a line of units ({first_line(error)})"
        raise InputError(f"{problem}; write name|1 2 3, or JSON with file_name and units") from error
    return line


def _values(units: list[int], format: CodesFormat) -> IntArray:
    largest = format.codebook_size - 1
    if units and not (min(units) >= 0 and max(units) <= largest):  # checked before the conversion to int32
        odd = next(unit for unit in units if not 0 <= unit <= largest)
        raise InputError(f"the unit {shortened(odd)} is outside the codebook, whose units are 0 to {largest}")
    if len(units) % format.streams:
        raise InputError(f"{len(units)} units are no whole time steps of {format.streams} streams")
    return np.array(units, dtype=np.int32).reshape(-1, format.streams)


def _json_units(text: str, number: int, where: str) -> _Line:
    row = parse_json(text)
    name, units = (row.get("file_name"), row.get("units")) if isinstance(row, dict) else (None, None)
    if not isinstance(row, dict) or not isinstance(name, str) or not _whole_numbers(units):
        raise InputError("file_name is no text, or units are no list of whole numbers")
    durations = row.get("duration", row.get("durations"))
    if durations is not None and not _whole_numbers(durations):
        raise InputError("duration is no list of whole numbers")
    num_samples = row.get("num_samples")
    if num_samples is not None and not (type(num_samples) is int and num_samples >= 0):
        raise InputError(f"num_samples is {shortened(num_samples)}, and not a whole number of 0 or more")
    line = _Line(name=name, units=units, number=number, where=where)
    return replace(line, durations=durations, num_samples=num_samples, durations_where=where)


def _whole_numbers(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int for value in values)


def _text_units(line: str, name: str | None) -> tuple[str | None, list[int]]:
    """Parse ``name|1 2 3``, textlesslib's ``name<tab>1 2 3``, or units alone, which have the given name."""
    separator = next((each for each in ("|", "\t") if each in line), None)
    if separator is not None:
        name, line = line.rsplit(separator, 1)
    return name, [_unit(word) for word in line.split()]


def _unit(word: str) -> int:
    """Parse a unit of digits 0 to 9; ``int`` would also accept signs, underscores and the digits of other scripts."""
    if not (word.isascii() and word.isdigit()):
        raise InputError(f"{shortened(word)} is no unit")
    if len(word) > MAX_DIGITS:
        raise InputError(f"a unit has {len(word)} digits")
    return int(word)
