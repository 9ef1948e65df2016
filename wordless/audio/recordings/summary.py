"""The summary of a corpus: what was read, shown before any training, in a few lines.

A class 2023, a person in two spellings, or a column that nobody reads is seen here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from wordless.audio.recordings.checks import CONFLICTING
from wordless.audio.recordings.inspection import frequent_reasons
from wordless.audio.recordings.manifest import SPLITS, Clips, Rejected
from wordless.base.messages import counted, escape_line

SHOWN = 10  # classes, groups, columns
_MOST = 60  # characters of a name
_LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments


def corpus_summary(
    clips: Clips, *, rejected: Sequence[Rejected] = (), listed: str = "", highest: float | None = None
) -> tuple[str, ...]:
    """Return what was read, a line each; of clips that are not measured, without lengths and levels.

    Args:
        clips: those that are used.
        rejected: what was set aside; the file ``listed`` has all of it.
        highest: the largest frequency in Hz that the front end keeps; None: not known.
    """
    frame, lines = clips.frame, [_recordings(clips)]
    lines += _classes(frame.label.tolist())
    lines += _groups(frame.group.tolist(), frame.label.tolist())
    if frame.split.any():
        lines.append(f"splits: {', '.join(_split(clips, split) for split in SPLITS if (frame.split == split).any())}")
    lines += _twice(frame.path)
    if clips.unread:
        lines.append(f"not read: {clips.unread}")
    if rejected:
        see = f": see {listed}" if listed else ""
        lines.append(f"set aside: {frequent_reasons(rejected)}{see}")
    if same := [each.path for each in rejected if each.kind == CONFLICTING]:
        files = f"{counted(len(same), 'file')} with the sound of another file"
        lines.append(f"{files} and another label, group or split, such as {same[0]}")
    return tuple(map(escape_line, [*lines, *_of_sound(clips, highest)]))


def _recordings(clips: Clips) -> str:
    frame, segments = clips.frame, clips.has_segments or bool(clips.frame.begin.notna().any())
    files = f" of {counted(frame.path.nunique(), 'recording')}" if segments else ""
    text = f"{counted(len(frame), 'clip')}{files}"
    if not (frame.sample_rate > 0).all():
        return text
    hours = clips.seconds / 3600
    lasting = f"{hours:,.2f} hours" if hours >= 1 else f"{clips.seconds / 60:.1f} minutes"
    rates = Counter(frame.sample_rate.tolist()).most_common()
    shown = ", ".join(f"{count} at {rate:,} Hz" if len(rates) > 1 else f"{rate:,} Hz" for rate, count in rates[:SHOWN])
    trimmed = f", {clips.trimmed_seconds:,.1f} s of silent ends cut off" if clips.trimmed_seconds else ""
    return f"{text}, {lasting}, {shown}{trimmed}"


def _classes(labels: Sequence[str | None]) -> list[str]:
    counts = Counter(label for label in labels if label is not None)
    without = len(labels) - counts.total()
    none = f"; {counted(without, 'clip')} without a label" if without and counts else ""
    return [f"{counted(len(counts), 'label')}: {_largest(counts)}{none}"] if counts else ["no labels"]


def _groups(groups: Sequence[str | None], labels: Sequence[str | None]) -> list[str]:
    counts, of = Counter(group for group in groups if group is not None), dict[str, set[str]]()
    if not counts:
        return ["no groups"]
    for group, label in zip(groups, labels, strict=True):
        if group is not None and label is not None:
            of.setdefault(group, set()).add(label)
    alone = [group for group, own in of.items() if len(own) == 1] if len({*labels} - {None}) > 1 else []
    one = f"; {len(alone)} in one class alone, such as {_short(alone[0])}" if alone else ""
    without = len(groups) - counts.total()
    none = f"; {counted(without, 'clip')} without a group" if without else ""
    return [f"{counted(len(counts), 'group')}: {_largest(counts)}{one}{none}"]


def _twice(paths: Iterable[str]) -> list[str]:
    """Count recordings that stand there in several formats, by their names."""
    suffixes = dict[str, set[str]]()
    for path in paths:
        name, _, suffix = path.rpartition(".")
        suffixes.setdefault(name, set()).add(suffix)
    several = sorted(name for name, own in suffixes.items() if len(own) > 1)
    kinds = ", ".join(f".{each}" for each in sorted(suffixes[several[0]])) if several else ""
    return [f"{counted(len(several), 'name')} with several suffixes, such as {several[0]} ({kinds})"] if several else []


def _split(clips: Clips, split: str) -> str:
    own = clips.frame[clips.frame.split == split]
    groups = f" of {counted(own.group.nunique(), 'group')}" if own.group.notna().any() else ""
    return f"{split} {counted(len(own), 'clip')}{groups}"


def _largest(counts: Counter[str]) -> str:
    """Name the largest, with how many more there are; names of equal counts are in order."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    more = f" and {len(ordered) - SHOWN} more, the smallest {ordered[-1][1]}" if len(ordered) > SHOWN else ""
    return ", ".join(f"{_short(name)} {count}" for name, count in ordered[:SHOWN]) + more


def _short(name: str) -> str:
    text = name if len(name) <= _MOST else f"{name[:_MOST]}..."
    return repr(text) if " " in text or "," in text or ";" in text else text


def _of_sound(clips: Clips, highest: float | None) -> Iterable[str]:
    """Give lines on recordings of other rates than the front end keeps, and on long clips."""
    frame = clips.frame
    if not len(frame) or not (frame.sample_rate > 0).all():
        return
    rates = frame.drop_duplicates("path").sample_rate.to_numpy()
    if highest is not None and (above := int(np.sum(rates > 2 * highest))):
        what = f"{above} of {counted(len(rates), 'recording')} have sound above {highest:,.0f} Hz"
        yield f"{what}, which the model does not read (up to {rates.max():,} Hz: audio.sample_rate)"
    if highest is not None and (below := int(np.sum(rates < 2 * highest))):
        lowest = int(rates.min())
        what = f"{below} of {counted(len(rates), 'recording')} have a lower rate than the model, down to {lowest:,} Hz"
        remedy = f"audio.sample_rate={lowest}, or audio.f_max={lowest / 2:g}"
        yield f"{what}: their bands above {lowest / 2:,.0f} Hz are empty ({remedy})"
    lengths = (frame.num_samples / frame.sample_rate).to_numpy()
    if (long := int((lengths > _LONG_SECONDS).sum())) and not clips.has_segments:
        what = f"{counted(long, 'clip is', 'clips are')} longer than {_LONG_SECONDS:g} s"
        remedy = "corpus.segment_seconds=10 cuts them into clips of 10 s"
        yield f"{what} (the longest: {lengths.max() / 60:.1f} minutes): {remedy}"
