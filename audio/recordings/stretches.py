"""Stretches of time of a recording, where there are too few recordings to give each split some of its own."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from audio.recordings.manifest import Clip, Split


def sequences(clips: Sequence[Clip], *, smallest: int) -> list[list[Clip]]:
    """Clips in order of time, to be divided each sequence by itself: those of one recording and one label.

    Sequences of fewer than ``smallest`` clips train whole, unless all are like that: then labels, and if need be
    recordings, are taken together.
    """
    ordered = sorted(clips, key=lambda clip: (clip.path, clip.start))
    by_label: dict[tuple[str, str | None], list[Clip]] = defaultdict(list)
    by_recording: dict[str, list[Clip]] = defaultdict(list)
    for clip in ordered:
        by_label[clip.path, clip.label].append(clip)
        by_recording[clip.path].append(clip)
    for several in (list(by_label.values()), list(by_recording.values()), [ordered]):
        if enough := [sequence for sequence in several if len(sequence) >= smallest]:
            return enough
    return []


def overlapping_clips(clips: Collection[Clip]) -> set[str]:
    """Names of the clips that overlap an earlier clip of their recording in another split; the earlier clip stays."""
    ends: dict[str, dict[Split, int]] = defaultdict(dict)  # where the last clip that each split keeps ends
    overlapping = set()
    for clip in sorted(clips, key=lambda clip: (clip.path, clip.start, clip.num_samples)):
        if any(clip.start < end for split, end in ends[clip.path].items() if split != clip.split):
            overlapping.add(clip.name)
        else:
            end = ends[clip.path].get(clip.split, 0)
            ends[clip.path][clip.split] = max(end, clip.start + clip.num_samples)
    return overlapping
