"""File names of decoded clips, below the folder that they are written into."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain, count
from pathlib import Path

from audio.corpus import EXTENSIONS

_SPAN = re.compile(r"#t=(\d+)((?:\.\d+)?),(\d+)((?:\.\d+)?)$")  # as `audio.manifest.clip_name` writes it


def sound_names(clips: Sequence[str]) -> list[str]:
    """A file name ending in .wav for each clip's name, no two alike, none leading out of the folder.

    A segment ``a.ogg#t=10,20.5`` becomes ``a_00010-00020.5.wav``: a folder then lists segments in order of time.
    """
    inside = [_inside(name) for name in clips]
    short = [_without_extension(name) for name in inside]
    often = Counter(short)
    names = [brief if often[brief] == 1 else _with_span(full) for brief, full in zip(short, inside, strict=True)]
    return [f"{name}.wav" for name in _numbered(names)]


def partial_name(name: str, taken: Collection[str]) -> str:
    """The name for a part of the sound ``name``, none of those that are taken: a clip may be called a.partial, too."""
    stem = name.removesuffix(".wav")
    numbered = (f"{stem}.partial_{number}.wav" for number in count(2))
    return next(each for each in chain([f"{stem}.partial.wav"], numbered) if each not in taken)


def _inside(path: str) -> str:
    """A relative path without "..": codes may come from anywhere. Of an absolute path the last part remains."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts[-1:] if path.startswith("/") else parts) or "clip"


def _without_extension(name: str) -> str:
    """Only what is an audio extension goes: a clip may be called take.1"""
    path = _SPAN.sub("", name)
    brief = path.rpartition(".")[0] if Path(path).suffix.lower().lstrip(".") in EXTENSIONS else path
    return _with_span(brief + name[len(path) :])


def _with_span(name: str) -> str:
    """The span of a segment as digits and a dash, whole seconds filled up with zeros."""
    return _SPAN.sub(lambda found: f"_{int(found[1]):05d}{found[2]}-{int(found[3]):05d}{found[4]}", name)


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
