"""Judged recordings that a model has seen in training: figures of these say little about new recordings."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.jobs.clips_of_run import MANIFEST, overlap_notices, share_sound, unlabelled_of_run
from wordless.audio.audio_options import Channel
from wordless.audio.recordings.inspection import InspectionConfig, inspect
from wordless.audio.recordings.manifest import Clip, Clips, read_manifest
from wordless.base.messages import counted
from wordless.base.progress import Terminal

ALL_RECORDINGS = "Events of each class"  # title of figures where no recording was seen
_EVERY = InspectionConfig(min_seconds=0, silence_peak=-1)


@dataclass(frozen=True, kw_only=True)
class SeenRecordings:
    """The judged recordings or parts that a model was trained on, or that chose its options."""

    names: frozenset[str] = frozenset()  # as the user can open them
    notices: tuple[str, ...] = ()

    def tables(self, judged: Collection[str]) -> dict[str, Collection[str]]:
        """Return the titles of the tables of figures, and the names of the recordings of each: unseen ones first."""
        if not self.names:
            return {ALL_RECORDINGS: judged}
        unseen, seen = {*judged} - self.names, len({*judged} & self.names)
        every = f"All recordings, {seen} of {len(judged)} known to the model"
        return ({f"{counted(len(unseen), 'recording')} new to the model": unseen} if unseen else {}) | {every: judged}


def seen_among(judged: Mapping[str, tuple[Path, Clip]], model: Path, channel: Channel) -> SeenRecordings:
    """Compare judged recordings or parts with the clips of a run or of a fine-tuned model, and print what is found.

    ``judged`` has the root and the clip of each name. Recordings are compared by their bytes, and by the samples of the
    ``channel`` that the model reads, as `wordless probe` compares them.
    """
    if not judged:
        return SeenRecordings()
    if not (model / MANIFEST).is_file():
        listed = f"no {MANIFEST} in {model} says which of the judged recordings the model was trained on"
        return _told(frozenset(), f"{listed}: figures of these are too good")
    measured = dict[str, Clip]()
    for root in sorted({root for root, _ in judged.values()}):
        own = {name: clip for name, (of, clip) in judged.items() if of == root}
        files, _ = inspect(root, [*{clip.path for clip in own.values()}], _EVERY, channel=channel)
        for name, clip in own.items():
            if (file := files.get(clip.path)) is not None:
                whole = replace(clip, sha256=file.sha256, samples_sha256=file.samples_sha256, split="test")
                size = file.num_samples if clip.segment is None else clip.num_samples
                measured[name] = replace(whole, sample_rate=file.sample_rate, num_samples=size)
    trained, unlabelled = read_manifest(model / MANIFEST, Path()), unlabelled_of_run(model, Path())
    noun = "judged parts" if any(clip.segment is not None for clip in measured.values()) else "judged recordings"
    clips = Clips.from_rows(Path(), measured.values())
    about = {"readers": "its models", "noun": noun}
    notices = overlap_notices(clips, trained, owner=model, unlabelled=unlabelled, **about)
    shared = share_sound(measured.values(), [*trained.of("train"), *trained.of("validation"), *unlabelled])
    names = frozenset(name for name, is_shared in zip(measured, shared, strict=True) if is_shared)
    if names and len(names) == len(judged):
        notices += (f"none of the {noun} is new to the model: figures of new ones may be lower",)
    elif names:
        notices += (f"figures of the {len(judged) - len(names)} that are new to the model come first",)
    return _told(names, *notices)


def _told(names: frozenset[str], *notices: str) -> SeenRecordings:
    for notice in notices:
        Terminal().say(f"judged    {notice}")
    return SeenRecordings(names=names, notices=notices)
