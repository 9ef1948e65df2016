"""Building of a corpus: recordings that were found are inspected, cut into clips, and divided into splits.

Segments of ``segment_seconds`` with an overlap begin at multiples of ``seconds - overlap``, rounded to samples of the
file, and never reach into another file::

    file       |<---------------------- 34 s ---------------------->|
    segments   [    0-10     ][   10-20     ][   20-30     ][ 30-34 ]        segment_seconds=10
    segments   [    0-10     ]        [   16-26     ]                        segment_overlap_seconds=2
                       [    8-18     ]         [   24-34     ]

The last segment may be shorter. As with recordings, segments that are shorter than ``min_seconds`` or silent are left
out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np

from wordless.audio.levels import Levels, loudest, of_text
from wordless.audio.options import SpectrogramConfig
from wordless.audio.reading import Channel
from wordless.audio.recordings.corpus import CorpusConfig, find_recordings, resolved
from wordless.audio.recordings.description import group_of, measured
from wordless.audio.recordings.inspection import Measurement, Progress, frequent_reasons, inspect
from wordless.audio.recordings.manifest import OUTSIDE, SPLITS, Clip, Clips, Rejected, clip_name
from wordless.audio.recordings.splits import split_clips
from wordless.audio.waveform import Part
from wordless.base.errors import InputError
from wordless.base.pools import LOCAL, EngineConfig
from wordless.base.text import counted

DUPLICATE = "duplicate of another file"  # kinds of reasons
CONFLICTING = "duplicate of another file, with another label, group, split or part"
LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments
FEW = 20  # recordings; so few are inspected in moments, even long ones


def build_manifest(
    config: CorpusConfig,
    *,
    found: Clips | None = None,
    workers: int = 1,
    engine: EngineConfig = LOCAL,
    cache: Path | None = None,
    progress: Progress | None = None,
    set_aside: Callable[[Sequence[Rejected]], None] | None = None,
    channel: Channel = "mean",
    sample_rate: int | None = None,
    notice: Callable[[str], None] | None = None,
    duplicates: bool = False,
) -> tuple[Clips, tuple[Rejected, ...]]:
    """Build the corpus of a config; also return the files that were set aside with the reasons; both sorted by path.

    Args:
        found: what `find_recordings` returned for the config; None: it is called now.
        workers: threads that decode, or tasks of the engine that decode at the same time.
        cache: JSONL file with the measurements of inspection, so that unchanged files are not decoded again.
        progress: called with the number of files done and in all.
        set_aside: called after inspection with the unusable files, also if the rest is not enough for a corpus.
        channel: of each recording that is read.
        sample_rate: of the front end, in Hz; None: it is not known.
        notice: called with a sentence about recordings that lose most of their sound, as channels cancel.
        duplicates: whether files with the samples of another file are used, too.

    Raises:
        InputError: no recording is found or usable, a table names a missing file, or the splits cannot be made.
    """
    found = found or find_recordings(config)
    config = resolved(config, found.split_by)
    root, described = found.root, {path: tuple(rows) for path, rows in groupby(found, key=lambda clip: clip.path)}
    # A split that cannot be made is refused before inspection takes hours. Whether a few recordings suffice is checked
    # after inspection, which finds the usable ones.
    few = replace(config.split, validation_fraction=0, test_fraction=0)
    by_label = config.label_type == "class"  # numbers and texts are too many to be spread evenly over the splits
    split_clips(_expected(found, config), few if len(described) <= FEW else config.split, by_label=by_label)
    fit, unfit = inspect(
        root,
        list(described),
        config.inspection,
        workers=workers,
        engine=engine,
        cache=cache,
        progress=progress,
        channel=channel,
        sample_rate=sample_rate,
    )
    kept, copies = (described, ()) if duplicates else without_duplicates(described, fit)
    unfit = (*unfit, *copies)
    softer = {path: each.louder for path, each in fit.items() if path in kept and each.louder is not None}
    if notice and softer:
        path, louder = next(iter(softer.items()))
        notice(
            f"{counted(len(softer), 'recording')} such as {path} lose most of their sound, since channels cancel in "
            f"their mean or another channel was chosen: `channel`={louder} or `channel`=loudest reads it"
        )
    if set_aside:
        set_aside((*found.rejected, *unfit))
    clips: list[Clip] = []
    unused = [*unfit]
    for path, measurement in fit.items():
        own, left_out = clips_of(path, kept.get(path, ()), measurement, config)
        clips += own
        unused += left_out
    if not clips:
        rule = f"none of its {counted(len(described), 'recording')} can be used ({frequent_reasons(unused)})"
        loosen = "" if duplicates else ", or loosen `inspection`"
        remedy = f"check the files{loosen}"
        if fit:
            remedy = f"check start and end in the table, choose a lower `segment_silence_dbfs`{loosen}"
        raise InputError(option="root", value=root, rule=rule, remedy=remedy)
    try:
        divided, undivided = split_clips(Clips.from_rows(root, clips), config.split, by_label=by_label)
    except InputError as error:
        if not unused:
            raise
        raise error.also(f"set aside before: {frequent_reasons(unused)}") from error
    return divided, tuple(sorted((*found.rejected, *unused, *undivided), key=lambda each: each.path))


Described = dict[str, tuple[Clip, ...]]  # the candidates of each recording


def without_duplicates(described: Described, fit: Mapping[str, Measurement]) -> tuple[Described, tuple[Rejected, ...]]:
    """Keep the first of files with the same samples; the reason against another says where their descriptions differ.

    They differ in labels, groups and splits that both know, and in parts that only the other names.
    """
    kept: Described = {}
    rejected: list[Rejected] = []
    first: dict[str, str] = {}  # hash of samples -> path of the first file
    for path, found in fit.items():
        original = first.setdefault(found.samples_sha256, path)
        if original == path:
            kept[path] = described[path]
            continue
        there, other = {known.span: known for known in kept[original]}, dict[str, None]()
        for here in described[path]:
            if (known := there.get(here.span)) is None:
                other["it names other parts"] = None
                continue
            groups = (known.group, None if here.group == group_of(path) else here.group)  # the default of annotations
            pairs = {"label": (known.label, here.label), "group": groups, "split": (known.split, here.split)}
            differing = {name: pair for name, pair in pairs.items() if all(pair) and pair[0] != pair[1]}
            other |= {f"another {name}: here {pair[1]}, there {pair[0]}": None for name, pair in differing.items()}
        same = "" if found.sha256 == fit[original].sha256 else " (the same samples in other bytes)"
        reason = ", with ".join([f"duplicate of {original}{same}", *other])
        rejected.append(Rejected(path=path, reason=reason, kind=CONFLICTING if other else DUPLICATE))
    return kept, tuple(rejected)


def _expected(found: Clips, config: CorpusConfig) -> Clips:
    """Return the clips as far as they are known before inspection, with placeholder lengths in microseconds.

    A recording that may be cut stands for as many segments as there are splits.
    """
    pieces = 1 if config.segment_seconds is None else len(SPLITS)
    frame = found.frame.loc[found.frame.index.repeat(pieces)].reset_index(drop=True)
    begins = [0.0 if begin is None else begin for begin in frame.begin]
    starts = np.round(np.array(begins) * 1_000_000).astype(np.int64) + np.tile(np.arange(pieces), len(found.frame))
    parts = [number if pieces > 1 or begin is not None else None for number, begin in enumerate(frame.begin)]
    frame = frame.assign(start=starts, num_samples=0, sample_rate=1_000_000)
    return replace(found, frame=frame).with_columns(segment=parts, begin=None)


def cut(part: Part, sample_rate: int, *, seconds: float | None, overlap: float) -> list[Part]:
    """Cut a part of a recording into segments, in order of time; a part no longer than one segment stays whole."""
    if seconds is None or part.num_samples <= max(round(seconds * sample_rate), 1):
        return [part]
    size = Fraction(seconds) * sample_rate
    step, parts, end = max(size - Fraction(overlap) * sample_rate, Fraction(1)), list[Part](), 0
    while end < part.num_samples:  # each border is rounded separately, so no error adds up
        place = len(parts) * step
        end = min(max(round(place + size), round(place) + 1), part.num_samples)
        parts.append(Part(start=part.start + round(place), num_samples=end - round(place)))
    return parts


def clips_of(
    path: str, described: Sequence[Clip], found: Measurement, config: CorpusConfig
) -> tuple[list[Clip], list[Rejected]]:
    """Return the clips of one recording in order of time, and what was left out, with the reasons.

    ``described`` has a candidate for the recording, or for each part of it that a table names.
    """
    rate, levels = found.sample_rate, of_text(found.levels)
    of_file = {name: getattr(found, name) for name in ("sample_rate", "channel", "size", "sha256", "samples_sha256")}
    pieces: list[Clip] = []  # segments have the number 0 until all are there
    rejected: list[Rejected] = []
    for known in described:
        if known.begin is None:  # the recording without its silent ends
            part = found.part(config.inspection.trim_db)
            size, trimmed = part.num_samples, found.num_samples - part.num_samples
            base = replace(known, start=part.start, num_samples=size, trimmed=trimmed, where=None, **of_file)
        else:  # a part that a table names, which is not trimmed
            try:
                base = replace(measured(known, found.num_samples, rate), **of_file)
            except InputError as error:
                rejected.append(Rejected(path=known.name, reason=str(error), kind=OUTSIDE))
                continue
        seconds, overlap = config.segment_seconds, config.segment_overlap_seconds
        parts = cut(base.part, rate, seconds=seconds, overlap=overlap)
        if len(parts) == 1 and base.segment is None:  # inspection has already checked the whole
            pieces.append(base)
            continue
        faults = [_fault(part, rate, levels, config) for part in parts]
        kept = [part for part, fault in zip(parts, faults, strict=True) if fault is None]
        segments = [replace(base, segment=0, start=each.start, num_samples=each.num_samples) for each in kept]
        pieces += [each if number == 0 else replace(each, trimmed=0) for number, each in enumerate(segments)]
        name = path if known.begin is None else clip_name(path, base.part.span(rate))
        for what, rule in dict.fromkeys(fault for fault in faults if fault):
            left_out = [part for part, fault in zip(parts, faults, strict=True) if fault == (what, rule)]
            kind, where = what, ""
            if len(parts) > 1:
                lost, first = sum(part.num_samples for part in left_out) / rate, left_out[0].start / rate
                kind = f"{what} segments"
                where = f"{len(left_out)} of {len(parts)} ({lost:.1f} s; the first at {first:.1f} s), "
            count = len(left_out) if where else 0
            rejected.append(Rejected(path=name, reason=f"{kind}: {where}{rule}", segments=count, kind=kind))
    clips: dict[str, Clip] = {}
    for number, piece in enumerate(sorted(pieces, key=lambda piece: (piece.start, piece.num_samples))):
        clip = piece if piece.segment is None else replace(piece, segment=number)
        if clip.name in clips:
            rejected.append(Rejected(path=clip.name, reason="named by two rows of the table"))
        clips.setdefault(clip.name, clip)
    return list(clips.values()), rejected


def _fault(part: Part, sample_rate: int, levels: Levels, config: CorpusConfig) -> tuple[str, str] | None:
    """Return a segment's fault and the violated rule, or None; peaks are rounded, and segments in doubt are kept."""
    inspection, dbfs = config.inspection, config.segment_silence_dbfs
    if part.num_samples < inspection.min_seconds * sample_rate:
        return "too short", f"less than {inspection.min_seconds:g} s"
    peak, level = inspection.silence_peak, f"{inspection.silence_peak:g} of full scale"
    if dbfs is not None and (wanted := 10 ** (dbfs / 20)) > peak:
        peak, level = wanted, f"{dbfs:g} dBFS"
    if loudest(levels, part, sample_rate) <= peak:
        return "silent", f"no sample exceeds {level}"
    return None


def length_notices(clips: Iterable[Clip], segment_seconds: float | None) -> tuple[str, ...]:
    """Return a notice about clips that should be cut into segments; none if they are cut already."""
    lengths = [clip.seconds for clip in clips]
    long = sum(length > LONG_SECONDS for length in lengths)
    if not long or segment_seconds is not None:
        return ()
    return (
        f"{counted(long, 'clip is', 'clips are')} longer than {LONG_SECONDS:g} s (the longest: "
        f"{max(lengths) / 60:.1f} minutes): `segment_seconds`=10 cuts them into clips of 10 s, each of which is "
        "probed and listened to",
    )


def upsampling_notices(clips: Iterable[Clip], audio: SpectrogramConfig) -> tuple[str, ...]:
    """Return a notice about recordings that are resampled to a higher rate, and hold nothing in the upper bands."""
    rates = {clip.path: clip.sample_rate for clip in clips}
    lower = Counter(rate for rate in rates.values() if rate / 2 < audio.highest)
    if not lower:
        return ()
    (frequent, _), lowest = lower.most_common(1)[0], min(lower)
    which = f"{lower.total()} of {counted(len(rates), 'recording')}" if lower.total() < len(rates) else "all recordings"
    and_lower = f", down to {lowest} Hz" if lowest < frequent else ""
    return (
        f"{which} have a lower sample rate than the {audio.sample_rate} Hz of the front end (mostly {frequent} Hz"
        f"{and_lower}), so their bands above {frequent / 2:g} Hz are empty: a model with `sample_rate`={frequent}, "
        f"or `f_max`={frequent / 2:g}, has no empty bands",
    )
