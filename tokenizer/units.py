"""Text units of a corpus: a ``.km`` file with a line for each recording, as fairseq and textlesslib read it.

``wordless encode`` writes beside it the list of the recordings in the same order, which fairseq calls a manifest::

    units.km     3 3 7 3         codes of a recording; 3 7 3 where repeats are merged
    units.tsv    a.wav  9600     its path below the folder in the first line, and its samples
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import MAX_GROUP_CODES, CodedClip
from wordless.base.files import aside, why_no_file
from wordless.base.messages import InputError, first_line, written


def write_units(path: Path, clips: Iterable[CodedClip], *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with aside(path) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        for clip in clips:
            codes = clip.codes.spectral
            if codes.format.streams != 1:
                problem = f"{clip.name} has {codes.format.streams} streams"
                raise InputError(f"{problem}; text units hold one: write Parquet (output=codes.parquet) instead")
            units = codes.values[:, 0].tolist()
            file.write(f"{' '.join(map(str, (unit for unit, _ in groupby(units)) if deduplicate else units))}\n")


def read_units(path: Path, format: CodesFormat, *, codes_per_unit: int | None = None) -> list[CodedClip]:
    """Read a ``.km`` file as codes of ``format``, because the text itself names no codebook.

    A unit is one code, or as many as ``codes_per_unit`` says: this number is needed where no unit of the file follows
    itself, because repeats were merged and the length of the sound is not known.
    """
    clips: list[CodedClip] = []
    neighbours = repeats = 0
    for number, text in _lines(path):
        try:
            units = [*map(_unit, text.split())]
            codes = _coded(units, format, codes_per_unit or 1)
        except ValueError as error:  # such as a number of thousands of digits
            raise InputError(f"{path}:{number}: {first_line(error)}") from error
        clips.append(CodedClip(path=f"{path}:{number}", codes=codes))
        neighbours += max(len(units) - 1, 0)
        repeats += sum(first == second for first, second in pairwise(units))
    if codes_per_unit is None and neighbours and not repeats:  # the sound would be shortened without a word
        raise InputError(
            f"no unit in {path} follows itself, so its repeats were merged and the length of the sound is not known; "
            "choose a number of codes for each unit, such as codes_per_unit=1"
        )
    return clips


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Give number and content of each line that is not empty."""
    if not path.is_file():
        raise InputError(f"{path} {why_no_file(path)}; name a file of units, or Parquet that ends in .parquet")
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield number, text
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; name a file of units") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; name a file of units, or Parquet that ends in .parquet") from error


def _unit(word: str) -> int:
    """Parse a unit of digits 0 to 9; ``int`` would also accept signs, underscores and the digits of other scripts."""
    if not (word.isascii() and word.isdigit()):
        raise InputError(f"{written(word)} is no unit; write numbers, such as 1 2 3")
    return int(word)


def _coded(units: list[int], format: CodesFormat, codes_per_unit: int) -> Codes:
    """Repeat each unit; the sound is as long as all of its codes."""
    if odd := [unit for unit in units if unit >= format.codebook_size]:  # before the conversion to int32
        rule = f"outside the codebook, whose units are 0 to {format.codebook_size - 1}"
        raise InputError(f"the unit {written(odd[0])} is {rule}")
    if len(units) % format.streams:
        raise InputError(f"{len(units)} units are no whole time steps of {format.streams} streams")
    if len(units) * codes_per_unit > MAX_GROUP_CODES:
        raise InputError(f"{len(units)} units of {codes_per_unit} codes are more than {MAX_GROUP_CODES} codes")
    values = np.array(units, dtype=np.int32).reshape(-1, format.streams).repeat(codes_per_unit, axis=0)
    return Codes(values=values, num_samples=len(values) * format.samples_per_code, format=format)
