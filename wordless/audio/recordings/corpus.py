"""A corpus: its recordings are found, inspected, cut into clips, and divided into splits; and those of a command.

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
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from pandas import concat

from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.decoding import Recording, RecordingError, count_samples
from wordless.audio.levels import Levels, loudest, of_text
from wordless.audio.recordings import description, splits
from wordless.audio.recordings.annotations import AnnotationOptions, annotations_below, annotations_in, kind_of
from wordless.audio.recordings.description import group_of
from wordless.audio.recordings.folders import Folder, expand_home, is_missing, is_recording, listed_path, require_folder
from wordless.audio.recordings.inspection import InspectionConfig, Inspector, Measurement, frequent_reasons, inspect
from wordless.audio.recordings.manifest import OUTSIDE, SPLITS, Clip, Clips, Rejected, SplitBy, clip_name, number_of
from wordless.audio.recordings.splits import GIVEN
from wordless.audio.recordings.tables import folder_of, read_table
from wordless.audio.waveform import Part
from wordless.base.errors import InputError, require, within
from wordless.base.options import option
from wordless.base.text import counted

QUIETEST_DBFS = -120.0
MAX_OVERLAP = 0.9  # of a segment
DUPLICATE = "duplicate of another file"  # kinds of reasons
CONFLICTING = "duplicate of another file, with another label, group, split or part"
FEW = 20  # recordings; so few are inspected in moments, even long ones
LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments
HELD_OUT = (*description.SPLIT_NAMES["validation"], *description.SPLIT_NAMES["test"])
CORPUS = "the recordings, their labels, and their division into splits"


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(AnnotationOptions):
    """Options of the corpus: where its recordings are, and how they are split."""

    root: str | None = option(None, "folder of recordings; null: the built-in corpus")
    pattern: str | None = option(None, 'pattern of file names, such as "{label}_{group}_{index}.wav"')
    labels: Literal["folder", "pattern", "none"] = option("folder", "the source of the labels")
    label_type: description.LabelType = option(
        "class", "names of classes, measured numbers, or what is said; only classes are spread evenly over the splits"
    )
    label_names: Mapping[str, str] | None = option(None, 'such as {"0": zero, "1": one}: other names of some labels')
    table: str | None = option(None, "TSV, CSV, JSONL or Parquet file that lists recordings, with a header")
    dataset: str | None = option(
        None, "data set with recordings inside: a folder of save_to_disk, or Parquet files; see corpus=dataset"
    )
    columns: description.ColumnConfig = option(description.ColumnConfig(), "columns of a table or data set")
    missing: Literal["stop", "list"] = option(
        "stop", "a file of the table that is not there stops the run, or is set aside and listed"
    )
    segment_seconds: float | None = option(
        None, "such as 10: cuts longer recordings into clips of 10 seconds; null: cuts no recording", above=0
    )
    segment_overlap_seconds: float = option(0.0, "seconds that a segment shares with the segment before it", least=0)
    segment_silence_dbfs: float | None = option(
        None,
        "such as -50: leaves out segments without any sample above -50 dBFS; null: only silent ones",
        least=QUIETEST_DBFS,
        below=0,
        unit="dBFS",
    )
    inspection: InspectionConfig = option(
        InspectionConfig(), "which recordings are left out, and which parts of the others are used"
    )
    split: splits.SplitConfig = option(splits.SplitConfig(), "the division into training, validation and test clips")

    @property
    def labels_in(self) -> tuple[str | None, str]:
        """The tier of annotations, or the column of a table, that has the labels, and the option that names it."""
        label = ",".join(self.columns.named.get("label", ())) or None
        return (self.tier, "tier") if self.tier else (label, "columns.label")

    @property
    def groups_in(self) -> str | None:
        """The column of a table that has the groups."""
        return next(iter(self.columns.named.get("group", ())), None)

    @property
    def not_known(self) -> frozenset[str]:
        """Labels and groups of tables of annotations that stand for missing values."""
        return self.columns.not_known

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the description that file names give."""
        return () if self.pattern is None else description.pattern_fields(self.pattern)

    def __post_init__(self) -> None:
        super().__post_init__()
        described = self.table or self.dataset  # by more than file names
        self.refuse_if(self.dataset == "", "dataset", "name the files, such as `dataset`=FOLDER")
        rule = "name the folder of your recordings, `root`=PATH, or a table that lists them, `table`=FILE"
        self.refuse_if(not (self.root or described), "root", rule)
        rule = f"`pattern` is {self.pattern!r}: put {{label}} into it"
        self.refuse_if("label" not in self.fields and self.labels == "pattern" and not described, "labels", rule)
        rule = "it has no effect on whole recordings: give `segment_seconds`, too, such as 10"
        for name in ("segment_overlap_seconds", "segment_silence_dbfs"):
            self.refuse_if(self.segment_seconds is None and getattr(self, name), name, rule)
        most = MAX_OVERLAP * (self.segment_seconds or math.inf)
        rule = f"choose 0 to {most:g} seconds, {MAX_OVERLAP:.0%} of a segment"
        self.refuse_if(self.segment_overlap_seconds > most, "segment_overlap_seconds", rule)


def whole(root: Path, paths: Sequence[str], *, notices: tuple[str, ...] = ()) -> Clips:
    """Return candidates that are whole recordings."""
    return Clips.from_columns(root, {"path": paths, "split": [""] * len(paths)}, notices=notices)


def resolved(config: CorpusConfig, split_by: SplitBy) -> CorpusConfig:
    """Return the config with ``split_by``, as `find_recordings` found it, in place of ``split.by``=auto."""
    return config if config.split.by != "auto" else replace(config, split=replace(config.split, by=split_by))


def find_recordings(config: CorpusConfig, *, unpacked: Clips | None = None) -> Clips:
    """Find the candidates of a corpus, with what is known of them, and set files aside that do not fit the pattern.

    Nothing is decoded, so that most mistakes show quickly. A recording has a row for each part that a table or
    annotations name. ``unpacked`` are the recordings of a data set.
    """
    folder = None if config.table or unpacked else Folder.at(require_folder(config.root or ""))
    found = unpacked or _find_annotations(config, folder)
    has_parts = unpacked is None and len(found.frame) > 0
    if folder and not has_parts:
        found = whole(folder.root, folder.require_recordings(), notices=found.notices)
    elif not (unpacked or has_parts):
        found = _find_in_table(config)
    rule = "it has no effect, as no annotations are read here: leave it out"
    for name in ("tier", "annotations"):
        config.refuse_if(not has_parts and getattr(config, name) not in (None, "auto", "none"), name, rule)
    if folder is not None or has_parts:
        columns = {"group", *(() if config.tier else ("label",))} if has_parts else {*()}
        unread = dict.fromkeys(config.columns.unread, (description.UNREAD,))
        for name, value in (config.columns.named | unread).items():
            if name not in columns:
                beside = f"`tier`={config.tier}" if config.tier else found.root
                rule = f"it has no effect beside {beside}: leave it out, or give the table that has it, `table`=FILE"
                raise InputError(option=f"columns.{name}", value=",".join(value), rule=rule)
    if config.pattern is not None:
        found = _completed(found, config, config.pattern)

    # a name of a folder is no text, and parts and tables have labels of their own: a blank one is not known
    from_folders = config.labels == "folder" and not (has_parts or unpacked or found.has_labels)
    from_folders = from_folders and config.label_type != "text"
    depth = description.split_depth({*found.frame.path})
    labels, groups = list[str | None](), list[str | None]()
    of_parts = {path: group_of(path) for path in {*found.frame.path}} if has_parts else {}
    for path, label, group in zip(*(found.frame[name] for name in ("path", "label", "group")), strict=True):
        folders = path.split("/")[:-1] if from_folders else []
        if (
            depth is not None and folders and description.folder_split(path, depth)
        ):  # a folder named after a split is no label
            del folders[depth]
        label = label or (normalize("NFC", folders[-1]) if folders else None)
        labels.append(None if config.labels == "none" else label)
        groups.append(group or of_parts.get(path))
    labels, notices = _renamed(labels, config)
    for path, label in zip(found.frame.path, labels, strict=True) if config.label_type == "number" else ():
        if label is not None and number_of(label) is None:
            rule = f"the label of {path} is {label!r:.40}"
            remedy = "write a finite number, such as 3.5, or leave recordings without a number unlabelled"
            raise InputError(option="label_type", value="number", rule=rule, remedy=remedy)
    found = found.with_columns(label=labels, group=groups)
    if config.split.by == "lists":
        found = splits.split_by_lists(found, config.split)
    split_by, divided = _divided_by(config, found, depth)
    notices_of, set_aside = (folder.notices, folder.rejected) if folder else ((), ())
    found = replace(found, rejected=(*found.rejected, *set_aside))
    return replace(found, notices=(*notices_of, *found.notices, *notices, *divided), split_by=split_by)


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
    named = (
        {path.split("/")[depth] for path in paths if description.folder_split(path, depth)}
        if depth is not None
        else set()
    )
    folders = f"the folders {', '.join(sorted(named)):.200}" if len({*by_folder} - {""}) > 1 else ""
    unread = [f"{folders} do not divide the recordings here (`split.by`=folder)"] if folders else []
    sizes = Counter(known if by in GIVEN and any(known) else by_folder)
    drawn = [f"{split} drawn from train" for split in SPLITS if not sizes[split] and config.split.fraction(split)]
    counts = ", ".join([*(f"{sizes[split]} {split}" for split in SPLITS if sizes[split]), *drawn])
    counts = f"{counts} (`split.by`=hash draws all)"
    if by in GIVEN and any(known):
        others = f"; {counted(sizes[''], 'other has', 'others have')} none, and count as train" if sizes[""] else ""
        source = config.table or config.dataset or "file names and annotations"
        return "table", [f"splits of {Path(source).name}: {counts}{others}", *unread]
    if by != "auto":
        return by, [] if by == "folder" else unread
    if folders:
        others = f"; {counted(sizes[''], 'other recording')} set aside" if sizes[""] else ""
        return "folder", [f"splits of {folders}: {counts}{others}"]
    held_out = {name for path in paths for name in path.split("/")[:-1] if name.lower() in HELD_OUT}
    if not held_out or depth is not None:
        return "hash", []
    remedy = "`split.by`=folder `split.test`=[NAME] holds one out"
    return "hash", [f"folders named {', '.join(sorted(held_out))} among others are no split: {remedy}"]


def _find_annotations(config: CorpusConfig, folder: Folder | None) -> Clips:
    """Return the parts that annotations beside recordings, or a ``table`` of annotations, name, if there are any."""
    if folder is None:
        path = expand_home(config.table or "", "table")
        if (kind := kind_of(path, config.annotations)) is None:
            return whole(path, ())
        root = require_folder(config.root) if config.root else require_folder(str(path.parent), by=str(path))
        return annotations_in(path, kind, root, config)
    found = annotations_below(folder, config)
    listed = {*(each.path for each in found.rejected), *found.frame.path}
    reason = "no annotations beside it, and other recordings have some (`annotations`=none uses all as a whole)"
    alone = len(found.frame) and found.root == folder.root
    others = (Rejected(path=path, reason=reason) for path in folder.recordings if alone and path not in listed)
    return replace(found, rejected=(*found.rejected, *others))


def _find_in_table(config: CorpusConfig) -> Clips:
    path = expand_home(config.table or "", "table")
    table = read_table(path, config.columns, label_type=config.label_type, splits=config.split.by in GIVEN)
    notices = [*table.notices]
    if not len(table.frame):
        raise InputError(option="table", value=path, rule="it lists no recordings: give it a row for each")
    base = require_folder(config.root) if config.root else table.root
    root = folder_of(table, base, around=not config.root)
    if root != base:
        notices.append(f"{path.name}: its recordings are in {root} (`root` names another folder)")

    written = table.frame[["path", "fold", "where"]]  # many rows may share a path
    places = {
        (name, fold): listed_path(root, name, where, remedy="fix the row, or set `root`", fold=fold)
        for name, fold, where in written.drop_duplicates(["path", "fold"]).itertuples(index=False)
    }
    relatives = [places[each] for each in zip(written.path, written.fold, strict=True)]
    missing = written[[each is None for each in relatives]].drop_duplicates("path")
    listed = table.with_columns(path=relatives).where(each is not None for each in relatives)
    twice = listed.frame.duplicated(["path", "begin", "end"])
    if twice.any():
        row = listed.frame[twice].iloc[0]
        remedy = "give each recording one row, or each of its parts another start and end"
        raise InputError(f"{row['where']}: {row.path} is listed twice", remedy=remedy)
    paths = sorted({*listed.frame.path})
    if len(missing) and (config.missing == "stop" or not paths):
        files, some = len(missing) + len(paths), ", ".join(missing.path[:3])
        several = f": {len(missing)} of {files} files are missing, such as {some}" if files > 1 else ""
        problem = f"{missing['where'].iloc[0]}: {missing.path.iloc[0]} is not there (looked in {root}){several}"
        aside = ", or set them aside by `missing`=list" if paths else ""
        raise InputError(problem, remedy=f"fix the rows, or set `root`{aside}")
    kind = "not there, though the table lists it"
    lost = zip(missing.path, missing["where"], strict=True)
    left_out = [Rejected(path=name, reason=f"{kind} ({where})", kind=kind) for name, where in lost]
    with suppress(OSError):  # a folder that may not be listed
        folders = sorted({each.rpartition("/")[0] for each in paths})
        names = (f"{each}/{name}".lstrip("/") for each in folders for name in sorted(os.listdir(root / each)))  # noqa: PTH208  names alone
        beside = [name for name in names if not is_recording(name) and root / name != path]
        notices += Folder(root=root, files=tuple(paths)).unread(beside)
    frame = listed.frame.sort_values("path", kind="stable", ignore_index=True)
    return replace(table, root=root, frame=frame, rejected=tuple(left_out), notices=tuple(notices))


def _renamed(labels: list[str | None], config: CorpusConfig) -> tuple[list[str | None], list[str]]:
    """Give labels their other names, with a sentence about unknown ones; refuse labels that are all unknown."""
    known, notices = {label for label in labels if label is not None}, list[str]()
    if names := {normalize("NFC", name): other for name, other in (config.label_names or {}).items()}:
        if unknown := [name for name in names if name not in known]:
            there = ", ".join(sorted(known)) or "(none)"
            problem = f"`label_names` has {', '.join(unknown)}, which no recording has as its label"
            if len(unknown) == len(names):
                raise InputError(problem, remedy=f"the labels are {there:.400}")
            notices.append(f"{problem}; the labels are {there:.400}")
        labels = [label if label is None else names.get(label, label) for label in labels]
    if config.label_type == "text" and config.labels != "none" and not known:
        rule = "no recording has a text, and names of folders are none"
        remedy = 'give the texts in a `table` (`columns.label`=NAME), or in file names (`pattern`="{label}_*.wav")'
        raise InputError(option="label_type", value="text", rule=rule, remedy=remedy)
    return labels, notices


def recordings_at(place: Path, annotations: AnnotationOptions | None = None, *, option: str = "input") -> Clips:
    """Find the clips of a command as `candidates_at` does, with the places of parts in samples of their recordings."""
    found = candidates_at(place, annotations, option=option)
    lengths, unread = dict[str, tuple[int, int]](), list[Rejected]()
    for path in dict.fromkeys(found.frame.path[found.frame.begin.notna()]):
        try:
            with Recording(found.root / path) as recording:
                rate, length = recording.samplerate, recording.declared
            lengths[path] = (count_samples(found.root / path) if length is None else length), rate
        except RecordingError as error:
            unread.append(Rejected.by(path, error))
    faulty = {each.path for each in unread}
    read = found.where(path not in faulty for path in found.frame.path)
    placed = description.measured(replace(read, rejected=(*found.rejected, *unread)), lengths)
    return placed.with_columns(begin=None, end=None, where=None)


def candidates_at(place: Path, annotations: AnnotationOptions | None = None, *, option: str = "input") -> Clips:
    """Find the recording ``place``, or all recordings below the folder ``place``, and their annotated parts.

    ``place``, the value of ``option``, may also be a file of annotations. Without ``annotations`` recordings are whole.
    A single recording has the annotations of its name in its folder; if a kind or a tier is chosen, all that name it.
    """
    if is_missing(place):
        raise InputError(option=option, value=place, rule="it does not exist: name a recording, or a folder of some")
    config, root, paths = annotations or AnnotationOptions(annotations="none"), place.parent, [place.name]
    found = whole(root, ())
    with within("", root=option):
        if os.path.isdir(place):  # noqa: PTH112  Path raises for long names; other kinds of files are set aside when they are read
            folder = Folder.at(place)
            found = annotations_below(folder, config)
            rejected, told = (*found.rejected, *folder.rejected), (*folder.notices, *found.notices)
            found = replace(found, rejected=rejected, notices=told)
            elsewhere = len(found.frame) and found.root != place  # as ELAN documents name their media
            paths = [] if elsewhere else folder.require_recordings()
        elif is_recording(place.name):
            chosen = config.annotations not in ("auto", "none") or config.tier is not None
            beside = Folder.at(root).others if chosen else sorted({*os.listdir(root)} - {place.name})  # noqa: PTH208  names alone
            alone = Folder(root=root, files=(place.name, *(each for each in beside if not is_recording(each))))
            if not chosen:  # files of other recordings are none of this one
                alone = replace(alone, files=(place.name, *(each for each in alone.others if alone.of_file(each))))
            found = annotations_below(alone, config, alone=True)
            found = replace(found, rejected=tuple(each for each in found.rejected if each.path == place.name))
        elif kind := kind_of(place, config.annotations):
            found, paths = annotations_in(place, kind, root, config), []
    if config.tier is not None and not len(found.frame):
        rule = f"it has no effect on {place}, beside which no annotations of it lie"
        raise InputError(option="tier", value=config.tier, rule=rule, remedy="leave it out, or name their file")
    found = found.named("")
    groups = [group or group_of(path) for path, group in zip(found.frame.path, found.frame.group, strict=True)]
    others = {*paths} - {*found.frame.path} - {each.path for each in found.rejected}
    both = concat([found.with_columns(group=groups).frame, whole(root, [*others]).frame])
    in_time = both.sort_values("begin", kind="stable")  # pandas sorts by several columns only text that is UTF-8
    return replace(found, frame=in_time.sort_values("path", kind="stable", ignore_index=True))


@cache
def noise_recordings(folder: Path, option: str) -> tuple[Clip, ...]:
    """Measure the recordings below a folder of noise, the value of ``option``; their paths are absolute."""
    root = require_folder(str(folder), option=option).resolve()
    with within("", root=option):
        fit, unfit = inspect(root, Folder.at(root).require_recordings(), InspectionConfig())
    rule = f"none of its recordings can be used ({frequent_reasons(unfit)}): replace them"
    require(bool(fit), option, folder, rule)
    of_file = ("num_samples", "sample_rate", "size", "sha256", "samples_sha256")
    known = ((path, {name: getattr(each, name) for name in of_file}) for path, each in fit.items())
    return tuple(Clip(path=str(root / path), **each) for path, each in known)


# Building: inspection, segments, duplicates, splits


def build_manifest(
    config: CorpusConfig,
    *,
    found: Clips | None = None,
    inspector: Inspector = inspect,
    set_aside: Callable[[Sequence[Rejected]], None] | None = None,
    notice: Callable[[str], None] | None = None,
    duplicates: bool = False,
) -> tuple[Clips, tuple[Rejected, ...]]:
    """Build the corpus of a config; also return the files that were set aside with the reasons; both sorted by path.

    Args:
        found: what `find_recordings` returned for the config; None: it is called now.
        inspector: `inspect`, or its `functools.partial` with other workers, cache, channel...
        set_aside: called with the unusable files after inspection, and with the unusable parts of the others, also if
            the rest is not enough for a corpus.
        notice: called with a sentence about recordings that lose most of their sound, as channels cancel.
        duplicates: whether files with the samples of another file are used, too.
    """
    found = found or find_recordings(config)
    config = resolved(config, found.split_by)
    root, paths = found.root, [*dict.fromkeys(found.frame.path)]
    by_label = config.label_type == "class"  # numbers and texts are too many to be spread evenly over the splits
    # Splits that cannot be made are refused before inspection takes hours. Few recordings take moments, and how many
    # segments there will be is not known.
    whole_only = config.segment_seconds is None and found.frame.begin.isna().all()
    if whole_only and len(paths) > FEW:
        splits.split_clips(found, config.split, by_label=by_label)
    else:
        splits.named_splits(found, config.split)
    fit, unfit = inspector(root, paths, config.inspection)
    kept, copies = (found, ()) if duplicates else without_duplicates(found, fit)
    unfit = (*unfit, *copies)
    fit = {path: fit[path] for path in dict.fromkeys(kept.frame.path) if path in fit}
    softer = {path: each.louder for path, each in fit.items() if each.louder is not None}
    if notice and softer:
        path, louder = next(iter(softer.items()))
        why = "as channels cancel in their mean, or another was chosen"
        lost = f"{counted(len(softer), 'recording')} such as {path} lose most of their sound, {why}"
        notice(f"{lost}: `channel`={louder} or `channel`=loudest reads it")
    told = defaultdict[str, list[str]](list)
    for path, each in fit.items():
        for text in each.notices:
            told[text].append(path)
    for text, several in told.items():
        if notice:
            notice(f"{counted(len(several), 'recording')} such as {several[0]}: {text}")
    if set_aside:
        set_aside((*found.rejected, *unfit))
    usable = replace(kept.where(path in fit for path in kept.frame.path), rejected=())
    clips = clips_of(usable, fit, config)
    unused = (*unfit, *clips.rejected)
    if set_aside:
        set_aside(clips.rejected)
    if not len(clips.frame):
        rule = f"none of its {counted(len(paths), 'recording')} can be used ({frequent_reasons(unused)})"
        remedy = (
            "check start and end of the named parts, choose a lower `segment_silence_dbfs`"
            if fit
            else "check the files"
        )
        remedy += "" if duplicates else ", or loosen `inspection`"
        remedy = _OTHER_CLOCK if outside_notices(clips.clips, clips.rejected) else remedy
        raise InputError(option="root", value=root, rule=rule, remedy=remedy)
    try:
        divided, undivided = splits.split_clips(clips, config.split, by_label=by_label)
    except InputError as error:
        if not unused:
            raise
        raise error.also(f"set aside before: {frequent_reasons(unused)}") from error
    return divided, tuple(sorted((*found.rejected, *unused, *undivided), key=lambda each: each.path))


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
    placed = description.measured(found, {path: (each.num_samples, each.sample_rate) for path, each in fit.items()})
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
            rejected.append(Rejected(path=name, reason=f"{kind}: {where}{rule}", segments=count, kind=kind))
    frame = placed.frame.iloc[[row for row, *_ in pieces]].reset_index(drop=True)
    files = [fit[path] for path in frame.path]
    of_files = ("sample_rate", "channel", "size", "sha256", "samples_sha256")
    made = {name: [getattr(each, name) for each in files] for name in of_files}
    made |= {name: [getattr(part, name) for _, _, part, _ in pieces] for name in ("start", "num_samples")}
    made |= {"segment": [is_part for _, is_part, *_ in pieces], "trimmed": [trimmed for *_, trimmed in pieces]}
    clips = replace(placed, frame=frame, rejected=()).with_columns(**made, begin=None, end=None, where=None)
    frame = clips.frame.sort_values(["path", "start", "num_samples"], ignore_index=True)
    names = frame[["path", "start", "num_samples"]].where(frame.segment, -1).assign(path=frame.path)
    numbers = zip(frame.segment, frame.groupby("path").cumcount().tolist(), strict=True)
    clips = replace(clips, frame=frame).with_columns(segment=[number if part else None for part, number in numbers])
    twice = names.duplicated()
    rejected += (Rejected(path=clip.name, reason="named by two rows of the table") for clip in clips.where(twice))
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
    """Return a notice about parts of which most lie behind the ends of their recordings; none if few do."""
    outside, inside = sum(each.kind == OUTSIDE for each in rejected), sum(clip.segment is not None for clip in clips)
    if outside <= inside:
        return ()
    return (f"{counted(outside, 'part')} of {outside + inside} lie behind the ends of the recordings: {_OTHER_CLOCK}",)


def length_notices(clips: Iterable[Clip], segment_seconds: float | None) -> tuple[str, ...]:
    """Return a notice about clips that should be cut into segments; none if they are cut already."""
    lengths = [clip.seconds for clip in clips]
    long = sum(length > LONG_SECONDS for length in lengths)
    if not long or segment_seconds is not None:
        return ()
    longer = f"longer than {LONG_SECONDS:g} s (the longest: {max(lengths) / 60:.1f} minutes)"
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
