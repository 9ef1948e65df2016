"""A corpus: how its recordings are found, inspected, cut into clips, and divided into splits.

Four makers list recordings, or parts of them, with what is named of them: a folder, a table, a data set, and the
built-in corpus. Each gives one data frame of candidates.

Segments of ``segment_seconds`` with an overlap begin at multiples of ``seconds - overlap``, rounded to samples of the
file, and never reach into another file::

    file       |<---------------------- 34 s ---------------------->|
    segments   [    0-10     ][   10-20     ][   20-30     ][ 30-34 ]        segment_seconds=10
    segments   [    0-10     ]        [   16-26     ]                        segment_overlap_seconds=2
                       [    8-18     ]         [   24-34     ]

The last segment may be shorter. As with recordings, segments that are shorter than ``min_seconds`` or silent are left
out.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

from wordless.audio.decoding import RecordingError, length_of
from wordless.audio.levels import Levels, loudest, of_text
from wordless.audio.recordings import splits
from wordless.audio.recordings.checks import in_samples, placed_parts, require_most_read, text_of, without_duplicates
from wordless.audio.recordings.clip_table import clips_of_table, is_table
from wordless.audio.recordings.corpus_config import ColumnConfig, CorpusConfig, Making
from wordless.audio.recordings.data_set import clips_of_data_set
from wordless.audio.recordings.embedded import speak, utterances
from wordless.audio.recordings.folder import (
    NO_ROLES,
    clips_of_folder,
    expand_home,
    recordings_below,
    require_folder,
)
from wordless.audio.recordings.inspection import InspectionConfig, Inspector, Measurement, frequent_reasons, inspect
from wordless.audio.recordings.manifest import Clip, Clips, Rejected, SplitBy, clip_name, number_of
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.waveform import Part
from wordless.base.messages import InputError, counted, require, within

SOFT_DBFS = -60.0  # of sound that is told as soft
_FEW = 20  # recordings; so few are inspected in moments, even long ones


def _built_in(config: CorpusConfig, making: Making | None) -> Clips:
    """List the clips of the built-in corpus, which are synthesised once; the group is the voice."""
    own = config.embedded
    assert own is not None
    assert making is not None
    making.terminal.say("corpus    the built-in corpus; its voices are synthesised once, which takes some seconds")
    spoken = sorted(utterances(own), key=lambda each: each.file)
    root = speak(utterances(own), making.folder(), seed=own.seed)
    names = [each.file.removesuffix(".wav").split("_") for each in spoken]
    labels = [
        name[0] if own.label == "word" else str(getattr(each, own.label))
        for name, each in zip(names, spoken, strict=True)
    ]
    columns: dict[str, Sequence[object]] = {
        "path": [each.file for each in spoken],
        "label": labels,
        "group": [name[1] for name in names],
    }
    columns |= {"index": [int(name[2]) for name in names], "split": [""] * len(spoken)}
    return Clips.from_columns(root, columns, name="built-in corpus (eSpeak NG)")


def _candidates(config: CorpusConfig, making: Making | None) -> Clips:
    """List the recordings of a corpus by the maker that its options name."""
    match config.source:
        case "embedded":
            return _built_in(config, making)
        case "dataset":
            assert making is not None
            return clips_of_data_set(config.dataset or "", config.columns, config.split.by, making)
        case "table":
            root = None if config.root is None else require_folder(config.root)
            return clips_of_table(config.table or "", config.columns, root=root)
        case "root":
            return clips_of_folder(require_folder(config.root or ""), config.pattern)


def resolved_corpus(config: CorpusConfig, split_by: SplitBy) -> CorpusConfig:
    """Return the config with ``split_by``, as `find_recordings` found it, in place of ``split.by``=auto."""
    return config if config.split.by != "auto" else replace(config, split=replace(config.split, by=split_by))


def find_recordings(config: CorpusConfig, making: Making | None = None) -> Clips:
    """Find the candidates of a corpus, with what is named of them; a table with too many faulty rows is refused.

    Nothing is decoded, so that most mistakes show quickly. A recording has a row for each part that a table names.
    """
    found = _candidates(config, making)
    require_most_read(found.rejected, found.rows, config.most_rejected)
    found = _renamed(found, config)
    for path, label in zip(found.frame.path, found.frame.label, strict=True) if config.label_type == "number" else ():
        if label is not None and number_of(label) is None:
            rule = f"the label of {path} is {label!r:.40}"
            remedy = "write a finite number, such as 3.5, or leave recordings without a number unlabelled"
            raise InputError(option="label_type", value="number", rule=rule, remedy=remedy)
    if config.split.by == "lists":
        found = splits.split_by_lists(found, config.split)
    elif config.split.by not in GIVEN:
        found = found.with_columns(split="")
    given = config.split.by == "auto" and bool(found.frame.split.any())
    return replace(found, split_by="table" if given else "hash" if config.split.by == "auto" else config.split.by)


def _renamed(found: Clips, config: CorpusConfig) -> Clips:
    """Give labels their other names; refuse names of labels that are all unknown."""
    if not config.label_names:
        return found
    known = {label for label in found.frame.label if label is not None}
    names = {
        text_of("label", name, "label_names"): text_of("label", other, "label_names")
        for name, other in config.label_names.items()
    }
    if not known & names.keys():
        problem = f"`label_names` has {', '.join(map(str, names))}, which no recording has as its label"
        raise InputError(problem, remedy=f"the labels are {', '.join(sorted(known)) or '(none)':.400}")
    return found.with_columns(label=[names.get(label, label) for label in found.frame.label])


def clips_at(place: str, columns: ColumnConfig, *, root: Path | None = None, option: str = "input") -> Clips:
    """Find the recordings of a command: one recording, all below a folder, or those that a table names."""
    path = expand_home(place, option)
    if root is not None and not is_table(path):
        raise InputError(option="root", value=root, rule=f"{option} is {place}, and no table: leave it out")
    with within("", root=option, table=option):
        if is_table(path):
            return clips_of_table(place, columns, root=root, option=option)
        if path.is_dir():
            return clips_of_folder(path, NO_ROLES)
        try:
            path.lstat()
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
                rule = "it does not exist: name a recording, a folder of some, or a table"
                raise InputError(option=option, value=place, rule=rule) from error
        return Clips.from_columns(path.parent, {"path": [path.name], "split": [""]})


def placed_clips(found: Clips, most_rejected: float) -> Clips:
    """Give the parts of candidates their samples, by the lengths of their recordings, which are not inspected."""
    if found.frame.begin.isna().all():
        return found.with_columns(channel=found.frame.table_channel.tolist())
    lengths, unread = dict[str, tuple[int, int]](), list[Rejected]()
    for path in dict.fromkeys(found.frame.path[found.frame.begin.notna()]):
        try:
            lengths[path] = length_of(found.root / path)
        except RecordingError as error:
            unread.append(Rejected.by(path, error))
    faulty = {each.path for each in unread}
    read = found.where(path not in faulty for path in found.frame.path)
    placed = in_samples(read, lengths)
    require_most_read(placed.rejected, found.rows, most_rejected)
    placed = placed.with_columns(begin=None, end=None, channel=placed.frame.table_channel.tolist())
    return replace(placed, rejected=(*placed.rejected, *unread))


@cache
def noise_recordings(folder: Path, option: str) -> tuple[Clip, ...]:
    """Measure the recordings below a folder of noise, the value of ``option``; their paths are absolute."""
    root = require_folder(str(folder), option=option).resolve()
    with within("", root=option):
        fit, unfit = inspect(root, recordings_below(root)[0], InspectionConfig())
    rule = f"none of its recordings can be used ({frequent_reasons(unfit)}): replace them"
    require(bool(fit), option, folder, rule)
    of_file = ("num_samples", "sample_rate", "size", "sha256", "samples_sha256", "stamp")
    known = ((path, {name: getattr(each, name) for name in of_file}) for path, each in fit.items())
    return tuple(Clip(path=str(root / path), **each) for path, each in known)


def build_manifest(
    config: CorpusConfig,
    *,
    found: Clips | None = None,
    inspector: Inspector = inspect,
    rejected: list[Rejected] | None = None,
    duplicates: bool = False,
) -> tuple[Clips, tuple[Rejected, ...]]:
    """Build the corpus of a config; also return the files that were set aside with the reasons; both sorted by path.

    Args:
        found: what `find_recordings` returned for the config; None: it is called now.
        inspector: `inspect`, or its `functools.partial` with other workers, cache, channel...
        rejected: an empty list, which gets what was set aside, also if the rest is not enough for a corpus.
        duplicates: whether files with the samples of another file are used, too.
    """
    found, aside = found or find_recordings(config), [] if rejected is None else rejected
    config, paths = resolved_corpus(config, found.split_by), [*dict.fromkeys(found.frame.path)]
    by_label = config.label_type == "class"  # numbers and texts are too many to be spread evenly over the splits
    # Splits that cannot be made are refused before inspection takes hours. Few recordings take moments, and how many
    # segments there will be is not known.
    named = splits.named_splits(found, config.split)
    if config.segment_seconds is None and found.frame.begin.isna().all() and len(paths) > _FEW:
        splits.split_clips(found, config.split, by_label=by_label)
    if config.split.by not in splits.DRAWN:  # a copy in another split is told
        found = found.with_columns(split=named)
    every, unfit = inspector(found.root, paths, config.inspection)
    # Before the splits are drawn below: of two copies of a recording, one could be drawn for train and one for test.
    kept, copies = (found, ()) if duplicates else without_duplicates(found, every)
    fit = {path: every[path] for path in dict.fromkeys(kept.frame.path) if path in every}
    aside += (*found.rejected, *unfit, *copies)
    usable = replace(
        kept.where(path in fit for path in kept.frame.path), rejected=(), notices=(*found.notices, *_sound_notices(fit))
    )
    clips = clips_of(usable, fit, config)
    aside += clips.rejected
    require_most_read([each for each in aside if each.kind not in _OF_SOUND], found.rows, config.most_rejected)
    unused = aside[len(found.rejected) :]
    if not len(clips.frame):
        rule = f"none of its {counted(len(paths), 'recording')} can be used ({frequent_reasons(unused)})"
        places = "check start and end of the named parts, choose a lower `segment_silence_dbfs`"
        remedy = f"{places if fit else 'check the files'}{'' if duplicates else ', or loosen `inspection`'}"
        raise InputError(option="root", value=found.root, rule=rule, remedy=remedy)
    try:
        divided, undivided = splits.split_clips(clips, config.split, by_label=by_label)
    except InputError as error:
        if not unused:
            raise
        raise error.also(f"set aside before: {frequent_reasons(unused)}") from error
    unused = sorted((*aside, *undivided), key=lambda each: each.path)
    return replace(divided.with_columns(where=None), split_by=config.split.by), tuple(unused)


_OF_SOUND = ("too short", "silent", "named by two rows of the table")  # kinds of reasons that are no faults of a row


def _sound_notices(fit: Mapping[str, Measurement]) -> tuple[str, ...]:
    """Return what to know of the sound of recordings, first of those whose channels cancel."""
    told, softer = defaultdict[str, list[str]](list), {path: each.louder for path, each in fit.items()}
    softer = {path: louder for path, louder in softer.items() if louder is not None}
    for path, each in fit.items():
        for text in each.notices:
            told[text].append(path)
    notices = [f"{counted(len(paths), 'recording')} such as {paths[0]}: {text}" for text, paths in told.items()]
    for path, louder in [*softer.items()][:1]:
        why = "as channels cancel in their mean, or another was chosen"
        lost = f"{counted(len(softer), 'recording')} such as {path} lose most of their sound, {why}"
        notices.insert(0, f"{lost}: audio.channel={louder} or audio.channel=loudest reads it")
    if soft := [path for path, each in fit.items() if each.peak < 10 ** (SOFT_DBFS / 20)]:
        notices.append(f"{counted(len(soft), 'recording')} below {SOFT_DBFS:g} dB, such as {soft[0]}")
    if ends := [path for path, each in fit.items() if 2 * each.part(-SOFT_DBFS).num_samples < each.num_samples]:
        silent = f"{counted(len(ends), 'recording')} are silence at the ends for more than half of the time"
        notices.append(f"{silent}, such as {ends[0]} (`inspection.trim_db` cuts ends off)")
    return tuple(notices)


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


def clips_of(found: Clips, fit: Mapping[str, Measurement], config: CorpusConfig) -> Clips:
    """Cut candidates into clips, in order of path and time; what is left out is set aside with its reason."""
    placed = placed_parts(found, fit)
    levels_of = lru_cache(1)(lambda path: of_text(fit[path].levels))
    rejected, pieces = [*placed.rejected], list[tuple[int, bool, Part, int]]()  # row, whether it is a part, trimmed
    columns = (placed.frame[name].tolist() for name in ("path", "segment", "start", "num_samples", "begin"))
    for row, (path, segment, start, size, begin) in enumerate(zip(*columns, strict=True)):
        of_file, rate, trimmed = fit[path], fit[path].sample_rate, 0
        base = Part(start=start, num_samples=of_file.num_samples if segment is None else size)
        if begin is None:  # the recording without its silent ends; parts that a table names are not trimmed
            base = of_file.part(config.inspection.trim_db)
            trimmed = of_file.num_samples - base.num_samples
        parts = cut(base, rate, seconds=config.segment_seconds, overlap=config.segment_overlap_seconds)
        if len(parts) == 1 and segment is None:  # inspection has already checked the whole
            pieces.append((row, False, base, trimmed))
            continue
        left_out: dict[tuple[str, str], list[Part]] = defaultdict(list)
        for part in parts:
            if fault := _fault(part, rate, levels_of(path), config):
                left_out[fault].append(part)
            else:
                pieces.append((row, True, part, trimmed))
                trimmed = 0  # the first segment alone counts them
        for (what, rule), lost in left_out.items():
            lasting = sum(part.num_samples for part in lost) / rate
            several = f"{len(lost)} of {len(parts)} ({lasting:.1f} s; the first at {lost[0].start / rate:.1f} s), "
            kind, where, count = (f"{what} segments", several, len(lost)) if len(parts) > 1 else (what, "", 0)
            name = path if begin is None else clip_name(path, base.span(rate))
            reason, row_of = f"{kind}: {where}{rule}", placed.frame["where"].iat[row] if count == 0 else None
            rejected.append(Rejected(path=name, reason=reason, segments=count, kind=kind, where=row_of))
    frame = placed.frame.iloc[[row for row, *_ in pieces]].reset_index(drop=True)
    files = [fit[path] for path in frame.path]
    of_files = ("sample_rate", "size", "sha256", "samples_sha256", "stamp")
    made = {name: [getattr(each, name) for each in files] for name in of_files}
    made["channel"] = _channels(frame.path.tolist(), frame.table_channel.tolist(), files)
    made |= {name: [getattr(part, name) for _, _, part, _ in pieces] for name in ("start", "num_samples")}
    made |= {"segment": [is_part for _, is_part, *_ in pieces], "trimmed": [trimmed for *_, trimmed in pieces]}
    clips = replace(placed, frame=frame, rejected=()).with_columns(**made, begin=None, end=None)
    frame = clips.frame.sort_values(["path", "start", "num_samples"], kind="stable", ignore_index=True)
    names = (
        frame[["path", "start", "num_samples", "table_channel"]]
        .where(frame.segment, -1)
        .assign(path=frame.path, table_channel=frame.table_channel)
    )
    numbers = zip(frame.segment, frame.groupby("path").cumcount().tolist(), strict=True)
    clips = replace(clips, frame=frame).with_columns(segment=[number if part else None for part, number in numbers])
    twice = names.duplicated()
    several = "named by two rows of the table"
    rejected += (
        Rejected(path=clip.name, reason=several, kind=several, where=clip.where) for clip in clips.where(twice)
    )
    return replace(clips.where(~twice), rejected=tuple(rejected))


def _channels(paths: Sequence[str], named: Sequence[int | None], files: Sequence[Measurement]) -> list[int | None]:
    """Return the channel of each clip: that of its row, else that of its recording."""
    for path, channel, file in zip(paths, named, files, strict=True):
        if channel is not None and channel >= file.channels:
            has = f"{path} has {counted(file.channels, 'channel')}, which count from 0, and its row names {channel}"
            raise InputError(has, remedy="mend the column, or choose `columns.channel`=null")
    return [file.channel if channel is None else channel for channel, file in zip(named, files, strict=True)]


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
