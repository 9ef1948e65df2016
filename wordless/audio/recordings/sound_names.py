"""File names of decoded clips, below the folder that they are written into."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, count
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.folders import EXTENSIONS

MAX_PART_BYTES = 200  # of a file's or folder's name; file systems take 255, with the endings that are added to it
MAX_BYTES, MAX_PARTS = 1024, 32  # of a name with its folders
_SPAN = re.compile(r"#t=(\d+)((?:\.\d+)?),(\d+)((?:\.\d+)?)$")  # as `manifest.clip_name` writes it


def sound_names(clips: Sequence[str]) -> list[str]:
    """Choose a .wav file name for each clip's name; all are different, and none leaves the folder.

    A segment ``a.ogg#t=10,20.5`` becomes ``a_00010-00020.5.wav``: a folder then lists segments in order of time.
    """
    inside = [_inside(name) for name in clips]
    short = [_without_extension(name) for name in inside]
    often = Counter(short)
    unique = [brief if often[brief] == 1 else _with_span(full) for brief, full in zip(short, inside, strict=True)]
    return [f"{name}.wav" for name in _numbered([_fitting(name) for name in unique])]


def partial_name(name: str, taken: Collection[str]) -> str:
    """Choose a free name for an unfinished file of the sound ``name``; a clip may have the name a.partial."""
    stem = name.removesuffix(".wav")
    numbered = (f"{stem}.partial_{number}.wav" for number in count(2))
    return next(each for each in chain([f"{stem}.partial.wav"], numbered) if each not in taken)


def _inside(path: str) -> str:
    """Remove ".." from a path, because codes may come from anywhere; of an absolute path keep the last part."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return "/".join(parts[-1:] if path.startswith("/") else parts) or "clip"


def _fitting(name: str) -> str:
    """Shorten a name that file systems refuse; a hash of the whole replaces the rest."""
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
    """Remove an audio extension, and no other: a clip may have the name take.1"""
    path, span = without_span(name)
    brief = path.rpartition(".")[0] if Path(path).suffix.lower().lstrip(".") in EXTENSIONS else path
    return _with_span(brief + span)


def without_span(name: str) -> tuple[str, str]:
    """Divide a clip's name into its path and the text of its span, which is empty for a whole recording."""
    path = _SPAN.sub("", name)
    return path, name[len(path) :]


def _with_span(name: str) -> str:
    """Write the span of a segment as digits and a dash, with leading zeros in whole seconds."""
    return _SPAN.sub(lambda found: f"_{int(found[1]):05d}{found[2]}-{int(found[3]):05d}{found[4]}", name)


def _folders(names: Sequence[str]) -> Iterator[str]:
    """Find names whose file or temporary file would be where other names need a folder."""
    for name in names:
        for folder in PurePosixPath(name).parents:
            for ending in (".wav", ".wav.aside"):
                if folder.name.endswith(ending):
                    yield str(folder).removesuffix(ending)


def _numbered(names: Sequence[str]) -> list[str]:
    """Append _2, _3 and so on to repeated names; names that other names need as folders count as taken."""
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
