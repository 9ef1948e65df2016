"""File names of decoded clips, below the folder that they are written into."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath

from audio.recordings.corpus import EXTENSIONS

MAX_PART_BYTES = 200  # of a file's or folder's name; file systems take 255, with the endings that are added to it
MAX_BYTES, MAX_PARTS = 1024, 32  # of a name with its folders
_SPAN = re.compile(r"#t=(\d+)((?:\.\d+)?),(\d+)((?:\.\d+)?)$")  # as `audio.recordings.manifest.clip_name` writes it


def sound_names(clips: Sequence[str]) -> list[str]:
    """A file name ending in .wav for each clip's name, no two alike, none leading out of the folder.

    A segment ``a.ogg#t=10,20.5`` becomes ``a_00010-00020.5.wav``: a folder then lists segments in order of time.
    """
    inside = [_inside(name) for name in clips]
    short = [_without_extension(name) for name in inside]
    often = Counter(short)
    names = [
        _fitting(brief if often[brief] == 1 else _with_span(full)) for brief, full in zip(short, inside, strict=True)
    ]
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


def _fitting(name: str) -> str:
    """The name, or a shorter one that file systems take: what is cut off is replaced by a hash of the whole."""
    parts = name.split("/")
    if len(parts) > MAX_PARTS or len(name.encode()) > MAX_BYTES:
        parts = [f"{parts[-1]}~{_short_hash(name)}"]
    return "/".join(_fitting_part(part) for part in parts)


def _fitting_part(part: str) -> str:
    encoded = part.encode()
    if len(encoded) <= MAX_PART_BYTES:
        return part
    return f"{encoded[: MAX_PART_BYTES - 9].decode(errors='ignore')}~{_short_hash(part)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _without_extension(name: str) -> str:
    """Only what is an audio extension goes: a clip may be called take.1"""
    path = _SPAN.sub("", name)
    brief = path.rpartition(".")[0] if Path(path).suffix.lower().lstrip(".") in EXTENSIONS else path
    return _with_span(brief + name[len(path) :])


def _with_span(name: str) -> str:
    """The span of a segment as digits and a dash, whole seconds filled up with zeros."""
    return _SPAN.sub(lambda found: f"_{int(found[1]):05d}{found[2]}-{int(found[3]):05d}{found[4]}", name)


def _folders(names: Sequence[str]) -> Iterator[str]:
    """Names whose file, or the file that is written before its rename, would lie where other names need a folder."""
    for name in names:
        for folder in PurePosixPath(name).parents:
            for ending in (".wav", ".wav.aside"):
                if folder.name.endswith(ending):
                    yield str(folder).removesuffix(ending)


def _numbered(names: Sequence[str]) -> list[str]:
    """The second of a name gets _2, and so on until it is free; a name whose file is to be a folder counts as taken."""
    taken: set[str] = set(names)
    seen: set[str] = set(_folders(names))
    unique = []
    for name in names:
        chosen, number = name, 2
        while chosen in seen or (chosen != name and chosen in taken):
            chosen, number = f"{name}_{number}", number + 1
        seen.add(chosen)
        unique.append(chosen)
    return unique
