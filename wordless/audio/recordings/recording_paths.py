"""Recordings that a command reads: one file, or all files below a folder, and their annotated parts."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from wordless.audio.decoding import Recording, RecordingError, count_samples
from wordless.audio.recordings.annotation_formats import AnnotationConfig
from wordless.audio.recordings.annotations import annotations_below, annotations_in, kind_of
from wordless.audio.recordings.description import Found, group_of
from wordless.audio.recordings.folders import EXTENSIONS, Folder, is_missing
from wordless.audio.recordings.manifest import OUTSIDE, Rejected, clip_name
from wordless.audio.waveform import Part
from wordless.base.errors import InputError, within


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A recording, or a part of one that an annotation names."""

    path: str  # of the file, relative to the root
    part: Part | None = None  # at the file's rate; None: the whole recording
    sample_rate: int | None = None  # Hz, of the file; known for a part
    label: str | None = None
    group: str | None = None

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of a part in seconds; None: the whole recording."""
        return None if self.part is None or self.sample_rate is None else self.part.span(self.sample_rate)

    @property
    def name(self) -> str:
        """The path, and for a part also its span, as a clip of the corpus is named."""
        return clip_name(self.path, self.span)


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Paths relative to ``root``, "/" between folders, sorted; some may have parts."""

    root: Path
    paths: tuple[str, ...]
    parts: tuple[Passage, ...] = ()  # of annotated recordings, in order of path and time
    rejected: tuple[Rejected, ...] = ()  # annotations that cannot be used
    notices: tuple[str, ...] = ()  # sentences about annotations

    @property
    def passages(self) -> tuple[Passage, ...]:
        """What a command reads: the parts, and each recording without parts as a whole; sorted by path."""
        annotated = {part.path for part in self.parts} | {each.path for each in self.rejected}
        whole = (Passage(path=path) for path in self.paths if path not in annotated)
        return tuple(sorted((*self.parts, *whole), key=lambda each: each.path))

    @property
    def size(self) -> int:
        """Sum the bytes of all existing files."""
        return sum(status.st_size for path in self.paths if (status := self._status(path)))

    @property
    def state(self) -> str:
        """Hash the files' names, sizes and times of change."""
        digest = hashlib.sha256()
        for path in self.paths:
            status = self._status(path)
            known = f"{status.st_size} {status.st_mtime_ns}" if status else "missing"
            digest.update(f"{path!r} {known}\n".encode())
        for part in self.parts:
            digest.update(f"{part.name!r} {part.label!r} {part.group!r}\n".encode())
        return digest.hexdigest()

    def _status(self, path: str) -> os.stat_result | None:
        """Return a file's status; None for a broken link, which is set aside later with undecodable files."""
        try:
            return (self.root / path).stat()
        except OSError:
            return None


def recordings_at(place: Path, annotations: AnnotationConfig | None = None, *, option: str = "input") -> Recordings:
    """Find the recording ``place``, or all recordings below the folder ``place``, and their annotated parts.

    ``place``, the value of ``option``, may also be a file of annotations. Without ``annotations``, and for a single
    recording unless a kind or a tier is chosen, recordings are whole.
    """
    if is_missing(place):
        rule = "it does not exist: name a recording, or a folder of recordings"
        raise InputError(option=option, value=place, rule=rule)
    config = annotations or AnnotationConfig(kind="none")
    if config.kind == "none" and config.tier is not None:
        rule = "it has no effect with `annotations`=none: leave one of them out"
        raise InputError(option="tier", value=config.tier, rule=rule)
    with within("", root=option):
        if not os.path.isdir(place):  # noqa: PTH112  Path raises for long names; other kinds of files are set aside when they are read
            return _recording(place, config)
        folder = Folder.at(place)
        found = annotations_below(folder, folder.recordings(), config)
        if found and found.described and found.root != place:  # a Kaldi folder, whose recordings lie elsewhere
            return _with_parts(Recordings(root=place, paths=()), found)
        return _with_parts(Recordings(root=place, paths=tuple(folder.require_recordings())), found)


def _recording(place: Path, config: AnnotationConfig) -> Recordings:
    """Find one recording, or those that a file of annotations names."""
    whole = Recordings(root=place.parent, paths=(place.name,))
    if config.kind == "none":
        return whole
    folder, found = Folder.at(place.parent), None
    if place.name.lower().endswith(_ENDINGS) and folder.files:
        if config.kind != "auto" or config.tier is not None:
            found = annotations_below(folder, [place.name], config)
        if found is not None:  # the files of other recordings are none of this one
            found = replace(found, rejected=tuple(each for each in found.rejected if each.path == place.name))
    elif (kind := kind_of(place) if config.kind == "auto" else config.kind) is not None:
        found = annotations_in(place, kind, folder.root, folder.recordings(), config)
        return _with_parts(Recordings(root=place.parent, paths=()), found)
    if config.tier is not None and (found is None or not found.described):
        rule = f"it has no effect on {place}, beside which no annotations of it lie"
        remedy = "leave it out, or name the file of annotations"
        raise InputError(option="tier", value=config.tier, rule=rule, remedy=remedy)
    return _with_parts(whole, found)


def _with_parts(recordings: Recordings, found: Found | None) -> Recordings:
    """Add the annotated parts to recordings; parts behind the end of a recording are set aside."""
    if found is None:
        return recordings
    found = found.named("")
    parts: list[Passage] = []
    rejected = list(found.rejected)
    for path, several in sorted(found.described.items()):
        try:
            with Recording(found.root / path) as recording:
                rate, length = recording.samplerate, recording.declared
            length = count_samples(found.root / path) if length is None else length
        except RecordingError as error:
            rejected.append(Rejected.by(path, error))
            continue
        for known in sorted(several, key=lambda each: each.span.start if each.span else 0.0):
            try:
                part = known.span.part(length, rate) if known.span else None
            except InputError as error:
                rejected.append(Rejected(path=path, reason=f"{error} ({known.where})", segments=1, kind=OUTSIDE))
                continue
            whole, group = part is None or part.num_samples == length, known.group or group_of(path)
            part = None if whole else part
            parts.append(Passage(path=path, part=part, sample_rate=rate, label=known.label, group=group))
    described = found.described
    paths = tuple(sorted({*recordings.paths, *described})) if found.root == recordings.root else tuple(described)
    return Recordings(root=found.root, paths=paths, parts=tuple(parts), rejected=tuple(rejected), notices=found.notices)


_ENDINGS = tuple(f".{each}" for each in EXTENSIONS)
