"""Division of recordings in time, for corpora with too few recordings for every split."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from audio.recordings.manifest import Clip, Split


def sequences(clips: Sequence[Clip], *, smallest: int) -> list[list[Clip]]:
    """Return sequences of clips in order of time, one per recording and label, to be divided separately.

    Sequences of fewer than ``smallest`` clips are used for training only. If all are like that, labels are merged, and
    then recordings.
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
    """Name the clips that overlap an earlier clip of their recording in another split; the earlier clip stays."""
    ends: dict[str, dict[Split, int]] = defaultdict(dict)  # end of the last clip that each split keeps
    overlapping = set()
    for clip in sorted(clips, key=lambda clip: (clip.path, clip.start, clip.num_samples)):
        if any(clip.start < end for split, end in ends[clip.path].items() if split != clip.split):
            overlapping.add(clip.name)
        else:
            end = ends[clip.path].get(clip.split, 0)
            ends[clip.path][clip.split] = max(end, clip.start + clip.num_samples)
    return overlapping
