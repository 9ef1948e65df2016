"""A corpus: its options; how its recordings are found, inspected, cut into clips, and divided into splits.

A source is one function, ``candidates(config, making) -> Clips``: it lists recordings, or parts of them, with what it
knows of them. `SOURCES` lists all.

Segments of ``segment_seconds`` with an overlap begin at multiples of ``seconds - overlap``, rounded to samples of the
file, and never reach into another file::

    file       |<---------------------- 34 s ---------------------->|
    segments   [    0-10     ][   10-20     ][   20-30     ][ 30-34 ]        segment_seconds=10
    segments   [    0-10     ]        [   16-26     ]                        segment_overlap_seconds=2
                       [    8-18     ]         [   24-34     ]

The last segment may be shorter. As with recordings, segments that are shorter than ``min_seconds`` or silent are left
out.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.levels import Levels, loudest, of_text
from wordless.audio.recordings import annotations, description, letters, packed, splits, tables
from wordless.audio.recordings.accounting import take_account
from wordless.audio.recordings.archives import require_no_archive
from wordless.audio.recordings.corpus_config import CorpusConfig, Making, Source
from wordless.audio.recordings.description import group_of
from wordless.audio.recordings.embedded import speak, utterances
from wordless.audio.recordings.folders import Folder, require_folder
from wordless.audio.recordings.inspection import InspectionConfig, Inspector, Measurement, frequent_reasons, inspect
from wordless.audio.recordings.manifest import (
    OUTSIDE,
    SPLITS,
    Clip,
    Clips,
    Rejected,
    SplitBy,
    clip_name,
    number_of,
    whole_recording,
)
from wordless.audio.recordings.sources import NOTHING_READ, Column, Reading
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.waveform import Part
from wordless.base.messages import InputError, counted, require, within

DUPLICATE = "duplicate of another file"  # kinds of reasons
CONFLICTING = "duplicate of another file, with another label, group, split or part"
_FEW = 20  # recordings; so few are inspected in moments, even long ones
_LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments


def _candidates(config: CorpusConfig, making: Making | None) -> Clips:
    """List the recordings of a corpus by the source that its options name."""
    return SOURCES[config.source](config, making)


def built_in(config: CorpusConfig, making: Making | None) -> Clips:
    """List the clips of the built-in corpus, which are synthesised once; other labels than words are not in names."""
    own = config.embedded
    assert own is not None
    assert making is not None
    making.terminal.say("corpus    the built-in corpus; its voices are synthesised once, which takes some seconds")
    spoken = sorted(utterances(own), key=lambda each: each.file)
    root = speak(utterances(own), making.folder(), seed=own.seed)
    found, named = whole_recording(root, [each.file for each in spoken]), own.label != "word"
    found = found.with_columns(label=[str(getattr(each, own.label)) for each in spoken]) if named else found
    return replace(found, name="built-in corpus (eSpeak NG)", has_labels=named)


SOURCES: Mapping[Source, Callable[[CorpusConfig, Making | None], Clips]] = {
    "embedded": built_in,
    "dataset": packed.candidates,
    "table": tables.candidates,
    "root": annotations.candidates,
}


def resolved_corpus(config: CorpusConfig, split_by: SplitBy) -> CorpusConfig:
    """Return the config with ``split_by``, as `find_recordings` found it, in place of ``split.by``=auto."""
    return config if config.split.by != "auto" else replace(config, split=replace(config.split, by=split_by))


def find_recordings(config: CorpusConfig, making: Making | None = None) -> Clips:
    """Find the candidates of a corpus, with what is known of them, and set files aside that do not fit the pattern.

    Nothing is decoded, so that most mistakes show quickly. A recording has a row for each part that a source names.
    """
    for name in ("root", "table", "dataset"):
        require_no_archive(name, getattr(config, name))
    found = _candidates(config, making)
    found = replace(found, reading=replace(found.reading, places=found.frame[["where", "path"]]))
    if config.pattern is not None:
        found = _completed(found, config, config.pattern)
    # a name of a folder is no text, and where a source knows labels, a recording without one has none
    from_folders = config.labels == "folder" and config.label_type != "text" and not found.has_labels
    depth = description.split_depth({*found.frame.path})
    if from_folders:
        found = _labelled_by_folders(found, depth)
    labels = [None if config.labels == "none" else label for label in found.frame.label]
    labels, notices = _renamed(labels, config)
    for path, label in zip(found.frame.path, labels, strict=True) if config.label_type == "number" else ():
        if label is not None and number_of(label) is None:
            rule = f"the label of {path} is {label!r:.40}"
            remedy = "write a finite number, such as 3.5, or leave recordings without a number unlabelled"
            raise InputError(option="label_type", value="number", rule=rule, remedy=remedy)
    reading = found.reading if config.labels != "none" else _without_labels(found.reading)
    found = replace(found.with_columns(label=labels), reading=reading)
    if config.split.by == "lists":
        found = splits.split_by_lists(found, config.split)
    split_by, divided = _divided_by(config, found, depth)
    return replace(found, notices=(*found.notices, *notices, *divided), split_by=split_by)


def _labelled_by_folders(found: Clips, depth: int | None) -> Clips:
    """Complete labels by the names of folders, without those named after splits at a ``depth``.

    Recordings in a folder whose name cannot be a label are set aside.
    """
    labels, faults = list[str | None](), dict[str, str]()
    named = dict[str, tuple[str | None, str]]()  # the label that the name of a folder is, and the character against it
    for path, label in zip(found.frame.path, found.frame.label, strict=True):
        folders = path.split("/")[:-1]
        if depth is not None and folders and description.folder_split(path, depth):  # named after a split, it is none
            del folders[depth]
        if not label and folders:
            if (name := folders[-1]) not in named:
                named[name] = letters.plain(name) or None, letters.refused(letters.plain(name))
            label, fault = named[name]
            faults |= {path: fault} if fault else {}
        labels.append(label)
    kind = "the name of its folder cannot be a label"
    reason = f"{kind}: it has {{}}; rename it, or give labels otherwise"
    rejected = [Rejected(path=path, reason=reason.format(fault), kind=kind) for path, fault in faults.items()]
    found = replace(found.with_columns(label=labels), rejected=(*found.rejected, *rejected))
    if rejected and len(rejected) == len({*found.frame.path}):
        raise InputError(f"{found.root / rejected[0].path}: {rejected[0].reason}")
    return found.where(path not in faults for path in found.frame.path) if faults else found


def _without_labels(reading: Reading) -> Reading:
    """Say that no column gives labels."""
    none = Column(why="labels are not read here", option="`labels`=folder")
    files = (
        replace(file, columns={name: none if each.field == "label" else each for name, each in file.columns.items()})
        for file in reading.files
    )
    return replace(reading, files=tuple(files))


def _completed(found: Clips, config: CorpusConfig, pattern: str) -> Clips:
    """Complete what is known by file names, and set recordings aside whose names do not fit."""
    root, paths = found.root, [*dict.fromkeys(found.frame.path)]
    by_path = dict(zip(paths, description.match_pattern(pattern, paths), strict=True))
    matched = {path: fields for path, fields in by_path.items() if fields is not None}
    if not matched:
        fits = f"it fits none of {counted(len(paths), 'file')} below {root}, such as {min(paths)!r}"
        raise InputError(option="pattern", value=pattern, rule=fits, remedy="write it after such a name")
    names = [name for name in config.fields if name != "split" or config.split.by in GIVEN]
    texts = {name: [fields[name] for fields in matched.values()] for name in names}
    named, faults = description.describe(texts, [str(root / path) for path in matched])
    if faults:
        raise InputError(faults[min(faults)])
    reason = f"name does not fit `pattern` {pattern}"
    others = (Rejected(path=path, reason=reason) for path in sorted(by_path.keys() - matched.keys()))
    kept = replace(found.where(path in matched for path in found.frame.path), rejected=(*found.rejected, *others))
    for name in names:
        of_path = dict(zip(matched, named[name], strict=True))
        known = zip(kept.frame.path, kept.frame[name], strict=True)
        kept = kept.with_columns(**{name: [of_path[path] if value in (None, "") else value for path, value in known]})
    return kept


def _divided_by(config: CorpusConfig, found: Clips, depth: int | None) -> tuple[SplitBy, list[str]]:
    """Return what divides the recordings, and a sentence about splits that they have or seem to have."""
    by, paths, known = config.split.by, [*dict.fromkeys(found.frame.path)], found.frame.split.tolist()
    by_folder = [] if depth is None else splits.folder_splits(paths)
    named = {path.split("/")[depth] for path in paths if depth is not None and description.folder_split(path, depth)}
    folders = f"the folders {', '.join(sorted(named)):.200}" if len({*by_folder} - {""}) > 1 else ""
    unread = [f"{folders} do not divide the recordings here (`split.by`=folder)"] if folders else []
    sizes = Counter(known if by in GIVEN and any(known) else by_folder)
    drawn = [f"{split} drawn from train" for split in SPLITS if not sizes[split] and config.split.fraction(split)]
    counts = ", ".join([*(f"{sizes[split]} {split}" for split in SPLITS if sizes[split]), *drawn])
    counts = f"{counts} (`split.by`=hash draws all)"
    if by in GIVEN and any(known):
        others = f"; {counted(sizes[''], 'other has', 'others have')} none, and count as train" if sizes[""] else ""
        return "table", [f"splits of {found.title or 'file names and annotations'}: {counts}{others}", *unread]
    if depth is not None and ((by == "auto" and folders) or (by == "folder" and not config.split.names)):
        splits.require_training_folder(paths, depth)
    if by != "auto":
        return by, [] if by == "folder" else unread
    if folders:
        others = f"; {counted(sizes[''], 'other recording')} set aside" if sizes[""] else ""
        return "folder", [f"splits of {folders}: {counts}{others}"]
    held_out = {path: [name for name in path.split("/")[:-1] if _holds_out(name)] for path in paths}
    if not (names := sorted({name for each in held_out.values() for name in each})):
        return "hash", []
    which, alone = f"folders named {', '.join(names):.200}", all(held_out.values())
    options = description.divided_by_names("folder", [*names, *([] if alone else ["train"])])
    if alone:
        return "hash", [f"all recordings lie in {which}, which divide nothing here: {options} divides by them"]
    return "hash", [f"{which} among others are no split: {options} holds them out, if they are no labels"]


def _holds_out(folder: str) -> bool:
    return description.known_split(folder) in ("validation", "test")


def _renamed(labels: list[str | None], config: CorpusConfig) -> tuple[list[str | None], list[str]]:
    """Give labels their other names, with a sentence about unknown ones; refuse labels that are all unknown."""
    known, notices = {label for label in labels if label is not None}, list[str]()
    if config.label_names:
        # a line about labels that look alike writes some letters as escape sequences
        forms = {form(label): label for form in (letters.visible, letters.spelled) for label in known}
        forms |= {label: label for label in known}
        pairs = (tuple(map(letters.plain, pair)) for pair in config.label_names.items())
        names = {forms.get(name, name): forms.get(other, other) for name, other in pairs}
        if unknown := [name for name in names if name not in known]:
            there = ", ".join(sorted(known)) or "(none)"
            problem = f"`label_names` has {', '.join(unknown)}, which no recording has as its label"
            if len(unknown) == len(names):
                raise InputError(problem, remedy=f"the labels are {there:.400}")
            notices.append(f"{problem}; the labels are {there:.400}")
        if faulty := next(filter(letters.refused, names.values()), None):
            rule = f"it has {letters.refused(faulty)}: leave tabs, line breaks and control characters out"
            raise InputError(option="label_names", value=faulty, rule=rule)
        labels = [label if label is None else names.get(label, label) for label in labels]
    notices += _alike(label for label in labels if label is not None and config.label_type != "number")
    if config.label_type == "text" and config.labels != "none" and not known:
        rule = "no recording has a text, and names of folders are none"
        remedy = 'give the texts in a `table` (`columns.label`=NAME), or in file names (`pattern`="{label}_*.wav")'
        raise InputError(option="label_type", value="text", rule=rule, remedy=remedy)
    return labels, notices


MOST_ALIKE = 3  # groups of labels that a line names


def _alike(labels: Iterable[str]) -> list[str]:
    """Name labels that look alike and are different classes, with the option that joins them; often there are none."""
    counts, told, joins = Counter(labels), list[str](), list[str]()
    found = letters.alike(counts)
    for several in found[:MOST_ALIKE]:
        # the most frequent one is kept, or the plainest
        *others, most = sorted(several, key=lambda label: (counts[label], -len(letters.spelled(label)), label))
        told.append(" and ".join(f"{letters.visible(label)} ({counts[label]})" for label in several))
        joins += (f"{letters.spelled(label)}:{letters.spelled(most)}" for label in others)
    more = f"; and {len(found) - MOST_ALIKE} more" if len(found) > MOST_ALIKE else ""
    remedy = f"`label_names`='{{{','.join(joins)}}}' joins {'these' if more else 'them'}"
    return [f"labels that look alike and differ: {'; '.join(told)}{more} ({remedy})"] if found else []


@cache
def noise_recordings(folder: Path, option: str) -> tuple[Clip, ...]:
    """Measure the recordings below a folder of noise, the value of ``option``; their paths are absolute."""
    root = require_folder(str(folder), option=option).resolve()
    with within("", root=option):
        fit, unfit = inspect(root, Folder.at(root).require_recordings(), InspectionConfig())
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
    folds: bool = False,
) -> tuple[Clips, tuple[Rejected, ...]]:
    """Build the corpus of a config; also return the files that were set aside with the reasons; both sorted by path.

    Args:
        found: what `find_recordings` returned for the config; None: it is called now.
        inspector: `inspect`, or its `functools.partial` with other workers, cache, channel...
        rejected: an empty list, which gets what was set aside, also if the rest is not enough for a corpus.
        duplicates: whether files with the samples of another file are used, too.
        folds: whether the recordings are divided again, by the fold of each.
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
    usable = replace(kept.where(path in fit for path in kept.frame.path), rejected=(), notices=_sound_notices(fit))
    clips = clips_of(usable, fit, config)
    aside += clips.rejected
    lengths = {path: (each.num_samples, each.sample_rate) for path, each in fit.items()}
    description.require_inside(usable, lengths, remedy=_OTHER_CLOCK)
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
    account = take_account(found, divided, unused, split_by=config.split.by, folds=folds)
    corpus = replace(divided.with_columns(where=None), account=account, reading=NOTHING_READ, split_by=config.split.by)
    return corpus, tuple(unused)


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
        notices.insert(0, f"{lost}: `channel`={louder} or `channel`=loudest reads it")
    return tuple(notices)


def without_duplicates(found: Clips, fit: Mapping[str, Measurement]) -> tuple[Clips, tuple[Rejected, ...]]:
    """Keep the first of files with the same samples, with the parts that only the others name."""
    first, rejected = dict[str, str](), list[Rejected]()  # hash of samples -> path of the first file
    originals = {path: first.setdefault(each.samples_sha256, path) for path, each in fit.items()}
    copies = {path: original for path, original in originals.items() if path != original}
    if not copies:
        return found, ()
    rows = found.frame[found.frame.path.isin([*copies, *copies.values()])].groupby("path")
    parts = {path: {(row.begin, row.end): row for row in each.itertuples()} for path, each in rows}
    moved = dict[int, tuple[str, str | None]]()  # path and group of rows that become parts of the first file
    for path, original in copies.items():
        there, other, before = parts[original], dict[str, None](), len(moved)
        for span, here in parts[path].items():
            own_group = None if here.group == group_of(path) else here.group  # the default of annotations
            if (known := there.get(span)) is not None:
                pairs = {"label": (known.label, here.label), "group": (known.group, own_group)}
                pairs["split"] = known.split, here.split
                differing = {name: pair for name, pair in pairs.items() if all(pair) and pair[0] != pair[1]}
                other |= {f"another {name}: here {pair[1]}, there {pair[0]}": None for name, pair in differing.items()}
            elif here.begin is None or (None, None) in there:
                other["it names other parts"] = None
            else:
                moved[here.Index] = original, own_group or (here.group and group_of(original))
                there[span] = here._replace(group=moved[here.Index][1])
        count = len(moved) - before
        used = f"; {counted(count, 'part')} of it used as parts of that file" if count else ""
        same = "" if fit[path].sha256 == fit[original].sha256 else " (the same samples in other bytes)"
        reason = ", with ".join([f"duplicate of {original}{same}", *other])
        rejected.append(Rejected(path=path, reason=f"{reason}{used}", kind=CONFLICTING if other else DUPLICATE))
    frame = found.frame.copy()
    for row, (path, group) in moved.items():
        frame.loc[row, ["path", "group"]] = path, group
    kept = replace(found, frame=frame)
    return kept.where(path not in copies for path in frame.path), tuple(rejected)


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
    placed = description.with_measured_times(
        found, {path: (each.num_samples, each.sample_rate) for path, each in fit.items()}
    )
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
            reason, row_of = f"{kind}: {where}{rule}", placed.frame["where"].iat[row] if count == 1 else None
            rejected.append(Rejected(path=name, reason=reason, segments=count, kind=kind, where=row_of))
    frame = placed.frame.iloc[[row for row, *_ in pieces]].reset_index(drop=True)
    files = [fit[path] for path in frame.path]
    of_files = ("sample_rate", "channel", "size", "sha256", "samples_sha256", "stamp")
    made = {name: [getattr(each, name) for each in files] for name in of_files}
    made |= {name: [getattr(part, name) for _, _, part, _ in pieces] for name in ("start", "num_samples")}
    made |= {"segment": [is_part for _, is_part, *_ in pieces], "trimmed": [trimmed for *_, trimmed in pieces]}
    clips = replace(placed, frame=frame, rejected=()).with_columns(**made, begin=None, end=None)
    frame = clips.frame.sort_values(["path", "start", "num_samples"], ignore_index=True)
    names = frame[["path", "start", "num_samples"]].where(frame.segment, -1).assign(path=frame.path)
    numbers = zip(frame.segment, frame.groupby("path").cumcount().tolist(), strict=True)
    clips = replace(clips, frame=frame).with_columns(segment=[number if part else None for part, number in numbers])
    twice = names.duplicated()
    several = "named by two rows of the table"
    rejected += (Rejected(path=clip.name, reason=several, where=clip.where) for clip in clips.where(twice))
    return replace(clips.where(~twice), rejected=tuple(rejected))


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


_OTHER_CLOCK = (
    "if their times count within longer recordings, which these were cut from, `columns.start`=none (beside "
    "annotations, `annotations`=none) uses each recording as a whole"
)


def outside_notices(clips: Collection[Clip], rejected: Iterable[Rejected]) -> tuple[str, ...]:
    """Return a notice about parts that lie behind the ends of their recordings; none if all lie inside."""
    outside, inside = sum(each.kind == OUTSIDE for each in rejected), sum(clip.segment is not None for clip in clips)
    if not outside:
        return ()
    return (f"{counted(outside, 'part')} of {outside + inside} lie behind the ends of the recordings: {_OTHER_CLOCK}",)


def length_notices(clips: Iterable[Clip], segment_seconds: float | None) -> tuple[str, ...]:
    """Return a notice about clips that should be cut into segments; none if they are cut already."""
    lengths = [clip.seconds for clip in clips]
    long = sum(length > _LONG_SECONDS for length in lengths)
    if not long or segment_seconds is not None:
        return ()
    longer = f"longer than {_LONG_SECONDS:g} s (the longest: {max(lengths) / 60:.1f} minutes)"
    return (f"{counted(long, 'clip is', 'clips are')} {longer}: `segment_seconds`=10 cuts them into clips of 10 s",)


def upsampling_notices(clips: Iterable[Clip], audio: SpectrogramConfig) -> tuple[str, ...]:
    """Return a notice about recordings that are resampled to a higher rate, and hold nothing in the upper bands."""
    rates = {clip.path: clip.sample_rate for clip in clips}
    lower = Counter(rate for rate in rates.values() if rate / 2 < audio.highest)
    if not lower:
        return ()
    (frequent, _), lowest = lower.most_common(1)[0], min(lower)
    which = f"{lower.total()} of {counted(len(rates), 'recording')}" if lower.total() < len(rates) else "all recordings"
    and_lower = f", down to {lowest} Hz" if lowest < frequent else ""
    rate = f"a lower sample rate than the {audio.sample_rate} Hz of the front end (mostly {frequent} Hz{and_lower})"
    remedy = f"a model with `sample_rate`={frequent}, or `f_max`={frequent / 2:g}, has no empty bands"
    return (f"{which} have {rate}, so their bands above {frequent / 2:g} Hz are empty: {remedy}",)


def band_notices(clips: Iterable[Clip], audio: SpectrogramConfig) -> tuple[str, ...]:
    """Return a notice about annotated bands that reach above the front end; a box over all frequencies has no band."""
    boxes = [
        clip for clip in clips if clip.high_hz is not None and (clip.low_hz or clip.high_hz < clip.sample_rate / 2)
    ]
    tops = [min(clip.high_hz or 0.0, clip.sample_rate / 2) for clip in boxes]
    if not (above := [top for top in tops if top > audio.highest]):
        return ()
    reach = f"{len(above)} of {counted(len(boxes), 'annotated band')} reach above the {audio.highest:g} Hz"
    option = (
        f"`f_max`={max(above):g}"
        if max(above) <= audio.sample_rate / 2
        else f"`sample_rate`={math.ceil(2 * max(above))}"
    )
    return (f"{reach} that the front end keeps: {option} keeps all of them",)
