"""Codes as other projects' text units: ``name|units``, fairseq's ``.km`` beside a manifest ``.tsv``, and JSON lines."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from audio.errors import InputError
from tokenizer.codes import Codes, CodesFormat
from tokenizer.parquet import CodedClip

UnitsFormat = Literal["name_units", "fairseq", "jsonl"]


def write_units(path: Path, clips: Iterable[CodedClip], kind: UnitsFormat, *, deduplicate: bool = False) -> None:
    """Write codes as text; ``deduplicate`` merges repeats, as many unit language models expect.

    Raises:
        InputError: the codes have several streams, which these formats cannot tell apart.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".aside")
    with aside.open("w", encoding="utf-8") as handle:
        for clip in clips:
            handle.write(_line(clip, _units(clip, deduplicate), kind) + "\n")
    aside.replace(path)


def read_units(path: Path, format: CodesFormat) -> list[CodedClip]:
    """Codes of a ``name|units`` or JSON-lines file, taken to be of ``format``: the text itself names no codebook.

    Raises:
        InputError: a line is not of either kind, or a unit is outside the codebook; names file and line.
    """
    clips = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            clips.append(_parse(line, format, where=f"{path}:{number}"))
    return clips


def _units(clip: CodedClip, deduplicate: bool) -> list[int]:
    if clip.codes.format.streams != 1:
        raise InputError(
            f"{clip.path} has {clip.codes.format.streams} streams; text units hold one: write Parquet "
            "(format=parquet) instead"
        )
    values = clip.codes.values[:, 0]
    if deduplicate and len(values):
        values = values[np.concatenate([[True], values[1:] != values[:-1]])]
    return [int(value) for value in values]


def _line(clip: CodedClip, units: list[int], kind: UnitsFormat) -> str:
    text = " ".join(map(str, units))
    match kind:
        case "name_units":
            return f"{Path(clip.path).stem}|{text}"
        case "fairseq":
            return text
        case "jsonl":
            return json.dumps(
                {"file_name": clip.path, "num_samples": clip.codes.num_samples, "units": units}, ensure_ascii=False
            )


def _parse(line: str, format: CodesFormat, *, where: str) -> CodedClip:
    try:
        if line.startswith("{"):
            row = json.loads(line)
            name, units = row["file_name"], row["units"]
        else:
            name, text = line.rsplit("|", 1) if "|" in line else (where, line)
            units = [int(unit) for unit in text.split()]
        values = np.array(units, dtype=np.int32).reshape(-1, format.streams)
        codes = Codes(values=values, num_samples=len(values) * format.samples_per_code, format=format)
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{where}: not a line of units ({error}); write name|1 2 3, or JSON with file_name and units"
        ) from error
    return CodedClip(path=name, codes=codes)
