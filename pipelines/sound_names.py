"""File names of decoded clips, below the folder that they are written into."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from audio.corpus import EXTENSIONS


def sound_names(paths: Sequence[str]) -> list[str]:
    """A name ending in .wav for each clip's path, no two alike, none leading out of the folder."""
    inside = [_inside(path) for path in paths]
    short = [_without_extension(path) for path in inside]
    often = Counter(short)
    names = [brief if often[brief] == 1 else full for brief, full in zip(short, inside, strict=True)]
    return [f"{name}.wav" for name in _numbered(names)]


def _inside(path: str) -> str:
    """A relative path without "..": codes may come from anywhere. Of an absolute path the last part remains."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts[-1:] if path.startswith("/") else parts) or "clip"


def _without_extension(path: str) -> str:
    """Only what is an audio extension goes: a clip may be called take.1"""
    return path.rpartition(".")[0] if Path(path).suffix.lower().lstrip(".") in EXTENSIONS else path


def _numbered(names: Sequence[str]) -> list[str]:
    """The second of a name gets _2, and so on until it is free."""
    taken: set[str] = set(names)
    seen: set[str] = set()
    unique = []
    for name in names:
        chosen, number = name, 2
        while chosen in seen or (chosen != name and chosen in taken):
            chosen, number = f"{name}_{number}", number + 1
        seen.add(chosen)
        unique.append(chosen)
    return unique
