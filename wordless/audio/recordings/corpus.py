"""Building of a corpus from a folder or table of recordings: find the files, describe, inspect and split them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from wordless.audio.decoding import Channel
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.annotation_formats import AnnotationConfig, AnnotationKind
from wordless.audio.recordings.annotations import annotations_below, annotations_in, kind_of
from wordless.audio.recordings.description import (
    FIELDS,
    ColumnConfig,
    Described,
    Description,
    Found,
    LabelType,
    Span,
    Template,
    describe,
)
from wordless.audio.recordings.folders import (
    EXTENSIONS,
    Folder,
    MissingRecordingError,
    expand_home,
    listed_path,
    require_folder,
)
from wordless.audio.recordings.inspection import (
    CONFLICTING,
    InspectionConfig,
    Progress,
    conflicts,
    frequent_reasons,
    inspect,
)
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, Rejected, clip_name, number_of
from wordless.audio.recordings.segments import MAX_OVERLAP, SegmentConfig, clips_of, span_seconds
from wordless.audio.recordings.splits import SplitConfig, split_by_lists, split_clips
from wordless.audio.recordings.tables import Row, folder_of, read_table, spelling_of
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.options import Options, option
from wordless.base.text import counted

LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments
QUIETEST_DBFS = -120.0
FEW = 20  # recordings; so few are inspected in moments, even long ones
CORPUS = "the recordings, their labels, and their division into splits"


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Options):
    """Options of the corpus: where its recordings are, and how they are split."""

    root: str | None = option(None, "folder of recordings; null: the built-in corpus")
    pattern: str | None = option(None, 'pattern of file names, such as "{label}_{group}_{index}.wav"')
    labels: Literal["folder", "pattern", "none"] = option("folder", "the source of the labels")
    label_type: LabelType = option(
        "class",
        "names of classes, measured numbers, or what is said; only classes are spread evenly over the splits",
    )
    label_names: Mapping[str, str] | None = option(
        None,
        'such as {"0": zero, "1": one}: other names of some labels',
    )
    table: str | None = option(None, "TSV, CSV, fairseq TSV, JSONL or JSON file that lists recordings")
    annotations: AnnotationKind = option(
        "auto",
        "annotations of other tools beside the recordings give labelled parts; auto: all kinds; none: whole recordings",
    )
    tier: str | None = option(
        None,
        "tier of TextGrids or ELAN documents, or column of Raven selection tables, that has the labels; null: the "
        "only one",
    )
    dataset: str | None = option(
        None,
        "data set with recordings inside: a folder of save_to_disk, or Parquet files; see corpus=dataset",
    )
    shards: str | None = option(
        None,
        "tar shards with recordings inside, such as data-{000..009}.tar; see corpus=shards",
    )
    columns: ColumnConfig = option(
        ColumnConfig(),
        "columns of a table or data set; for shards, endings of members and keys of .json members; without a header: "
        "numbers",
    )
    missing: Literal["stop", "list"] = option(
        "stop",
        "a file of the table that is not there stops the run, or is set aside and listed",
    )
    extensions: tuple[str, ...] | None = option(
        None,
        "file types to look for, such as [wav, flac]; null: all that libsndfile reads, and those that FFmpeg reads",
        filled=True,
    )
    segment_seconds: float | None = option(
        None,
        "such as 10: cuts longer recordings into clips of 10 seconds; null: cuts no recording",
        above=0,
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
        InspectionConfig(),
        "which recordings are left out, and which parts of the others are used",
    )
    split: SplitConfig = option(SplitConfig(), "the division into training, validation and test clips")

    @property
    def segments(self) -> SegmentConfig:
        """How recordings are cut into segments."""
        return SegmentConfig(
            seconds=self.segment_seconds,
            overlap_seconds=self.segment_overlap_seconds,
            silence_dbfs=self.segment_silence_dbfs,
        )

    @property
    def is_packed(self) -> bool:
        """Whether the recordings are inside other files, which are unpacked first."""
        return bool(self.dataset or self.shards)

    @property
    def annotated(self) -> AnnotationConfig:
        """Options of annotations; in selection tables ``columns`` name the label and the group, too."""
        column = ",".join(self.columns.labels) or None
        return AnnotationConfig(kind=self.annotations, tier=self.tier, column=column, group=self.columns.group)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the description that file names give."""
        return () if self.pattern is None else Template(self.pattern).fields

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.fields  # refuses a pattern
        for name, value, rule in self._contradictions():
            raise InputError(option=name, value=value, rule=rule)
        if self.split.by != "group" or self.annotations == "none":  # annotations, which give groups, are found later
            self.require_split_values()

    def _contradictions(self) -> Iterator[tuple[str, object, str]]:
        """Give option, value and rule of each option that another one contradicts."""
        no_effect, leave = "it has no effect", "leave one of them out"
        for name, value in (("dataset", self.dataset), ("shards", self.shards)):
            if value == "":
                yield (
                    name,
                    value,
                    (
                        "name a folder that save_to_disk wrote, or Parquet files, `dataset`=PATH, or tar shards, "
                        "`shards`=data-{000..009}.tar"
                    ),
                )
        if self.dataset and self.shards:
            yield "dataset", self.dataset, f"`shards` is {self.shards}, and a corpus has one source: choose one of them"
        described = self.table or self.is_packed  # by more than file names
        if not (self.root or described):
            rule = "name the folder of your recordings, `root`=PATH, or a table that lists them, `table`=FILE"
            yield "root", self.root, rule
        if self.missing == "list" and not self.table:
            yield "missing", "list", f"{no_effect} without a table: leave it out"
        label = None if self.is_packed else self.columns.label  # that of a data set is a preset's
        for name, given in (("columns.label", label), ("label_names", self.label_names)):
            if given and self.labels == "none":
                yield name, given, f"{no_effect} with `labels`=none: {leave}"
        if self.labels == "pattern" and not described and "label" not in self.fields:
            yield "labels", "pattern", f"`pattern` is {self.pattern!r}: put {{label}} into it"
        for name in ("index", "start", "end", "duration"):
            if self.is_packed and (column := getattr(self.columns, name)):
                yield f"columns.{name}", column, f"{no_effect} on data sets and shards, only on a table: leave it out"
        if self.shards and self.columns.audio is not None:
            yield "columns.audio", self.columns.audio, "recordings in shards are known by their endings: leave it out"
        for name, chosen in (("annotations", self.annotations), ("tier", self.tier)):
            if chosen not in ("auto", "none", None) and self.is_packed:
                yield name, chosen, f"{no_effect} on a data set or on shards: leave it out"
        if self.tier is not None and self.annotations == "none":
            yield "tier", self.tier, f"{no_effect} with `annotations`=none: {leave}"
        overlap, silence = self.segment_overlap_seconds, self.segment_silence_dbfs
        if self.segment_seconds is None:
            rule = "without a length of segments nothing is cut: give `segment_seconds`, too, such as 10"
            for name, number in (("segment_overlap_seconds", overlap or None), ("segment_silence_dbfs", silence)):
                if number is not None:
                    yield name, number, rule
        elif overlap > (most := MAX_OVERLAP * self.segment_seconds):
            yield "segment_overlap_seconds", overlap, f"choose 0 to {most:g} seconds, {MAX_OVERLAP:.0%} of a segment"

    def require_split_values(self) -> None:
        """Refuse a split by values that neither names nor tables of recordings can have."""
        wanted = "split" if self.split.by == "table" else self.split.by
        described = self.table or self.is_packed
        if wanted in ("group", "index", "fold", "split") and wanted not in self.fields and not described:
            rule = f"nothing says which {wanted} a recording has"
            remedy = f"put {{{wanted}}} into `pattern`, or give a `table` with a column {wanted}"
            raise InputError(option="split.by", value=self.split.by, rule=rule, remedy=remedy)


def build_manifest(
    config: CorpusConfig,
    *,
    found: Found | None = None,
    workers: int = 1,
    engine: EngineConfig = LOCAL,
    cache: Path | None = None,
    progress: Progress | None = None,
    set_aside: Callable[[Sequence[Rejected]], None] | None = None,
    channel: Channel = "mean",
    sample_rate: int | None = None,
    notice: Callable[[str], None] | None = None,
    duplicates: bool = False,
) -> tuple[Manifest, tuple[Rejected, ...]]:
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
    root, described, unmatched = found.root, found.described, found.rejected
    # A split that cannot be made is refused before inspection takes hours. Whether a few recordings suffice is checked
    # after inspection, which finds the usable ones.
    unheard = [clip for path, several in described.items() for clip in _placeholder_clips(path, several, config)]
    few = replace(config, split=replace(config.split, validation_fraction=0, test_fraction=0))
    _split_by_type(unheard, few if len(described) <= FEW else config)
    # Labels and groups of parts of equal files may rightly differ: only whole recordings contradict each other.
    whole = {path: each[0] for path, each in described.items() if len(each) == 1 and each[0].span is None}
    fit, unfit = inspect(
        root,
        list(described),
        config.inspection,
        workers=workers,
        engine=engine,
        cache=cache,
        progress=progress,
        known={path: _names(description) for path, description in whole.items()},
        channel=channel,
        sample_rate=sample_rate,
        duplicates=duplicates,
    )
    merged, unfit = _with_parts_of_twins(described, unfit)
    softer = {path: each.louder for path, each in fit.items() if each.louder is not None}
    if notice and softer:
        path, louder = next(iter(softer.items()))
        notice(
            f"{counted(len(softer), 'recording')} such as {path} lose most of their sound, since channels cancel in "
            f"their mean or another channel was chosen: `channel`={louder} or `channel`=loudest reads it"
        )
    if set_aside:
        set_aside((*unmatched, *unfit))
    clips: list[Clip] = []
    unused = [*unfit]
    for path, measured in fit.items():
        own, left_out = clips_of(path, merged[path], measured, config.segments, config.inspection)
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
        divided, undivided = _split_by_type(clips, config)
    except InputError as error:
        if not unused:
            raise
        raise error.also(f"set aside before: {frequent_reasons(unused)}") from error
    rejected = sorted((*unmatched, *unused, *undivided), key=lambda each: each.path)
    return Manifest(root=root, clips=divided), tuple(rejected)


def _names(known: Description) -> dict[str, str]:
    """Return the label, group and split of a description, if they are known."""
    return {name: value for name in ("label", "group", "split") if (value := getattr(known, name)) is not None}


def _with_parts_of_twins(
    described: Described, unfit: Sequence[Rejected]
) -> tuple[dict[str, tuple[Description, ...]], tuple[Rejected, ...]]:
    """Give the parts of files with the same samples to the first of them; only equal parts are set aside."""
    merged, rejected = {path: tuple(each) for path, each in described.items()}, list[Rejected]()
    for each in unfit:
        original, own = each.original, described[each.path]
        if original is None or all(known.span is None for known in (*merged[original], *own)):
            rejected.append(each)
            continue
        group, its_group = _group_of(each.path), _group_of(original)
        named = [replace(known, group=its_group) if known.group == group else known for known in own]
        there = {known.span: known for known in merged[original]}
        moved = tuple(known for known in named if known.span not in there)
        merged[original] += moved
        used = f"; parts of it that are used as parts of that file: {len(moved)}" if moved else ""
        rejected.append(replace(each, reason=f"{each.reason}{used}"))
        for known in named:
            if (first := there.get(known.span)) and (different := conflicts(_names(first), _names(known))):
                path, other = (clip_name(name, span_seconds(known.span)) for name in (each.path, original))
                rejected.append(Rejected(path=path, reason=f"duplicate of {other}{different}", kind=CONFLICTING))
    return merged, tuple(rejected)


def _group_of(path: str) -> str:
    """Return the group of the parts of a recording, if annotations give no other: all of them stay in one split."""
    return str(PurePosixPath(path).with_suffix(""))


def _split_by_type(clips: Sequence[Clip], config: CorpusConfig) -> tuple[tuple[Clip, ...], tuple[Rejected, ...]]:
    """Call `split_clips`; numbers and texts are too many to be spread evenly over the splits, as classes are."""
    if config.label_type == "class":
        return split_clips(clips, config.split)
    divided, undivided = split_clips([replace(clip, label=None) for clip in clips], config.split)
    labels = {clip.name: clip.label for clip in clips}
    return tuple(replace(clip, label=labels[clip.name]) for clip in divided), undivided


def _placeholder_clips(path: str, described: Sequence[Description], config: CorpusConfig) -> Iterator[Clip]:
    """Give a recording's clips as far as they are known before inspection, with placeholder lengths in microseconds.

    A recording that may be cut stands for as many segments as there are splits.
    """
    pieces = 1 if config.segment_seconds is None else len(SPLITS)
    for number, known in enumerate(described):
        begin = 0 if known.span is None else round(known.span.start * 1_000_000)
        whole = known.span is None and pieces == 1
        for piece in range(pieces):
            segment, start = None if whole else pieces * number + piece, begin + piece
            sound: dict[str, Any] = {"num_samples": 0, "sample_rate": 1_000_000, "size": 0, "sha256": ""}
            yield Clip(path=path, segment=segment, start=start, **sound, **known.clip_fields())


def find_recordings(config: CorpusConfig, *, unpacked: Found | None = None) -> Found:
    """Find the root, the descriptions of each recording by path, and the files that do not fit the pattern.

    A recording has several descriptions if a table or annotations name several parts of it. Nothing is decoded, so that
    most mistakes show quickly. ``unpacked`` are the recordings of a data set or of shards.
    """
    folder = None if config.table or unpacked else Folder.at(require_folder(config.root or ""))
    annotated = None if unpacked else _find_annotations(config, folder)
    notices = [*(annotated.notices if annotated else ())]
    if has_parts := annotated is not None and bool(annotated.described):
        found = annotated
    elif unpacked is not None:
        found = unpacked
        notices += found.notices
    elif folder is None:
        found = _find_in_table(config)
        notices += found.notices
    else:
        config.require_split_values()
        for name, columns in config.columns.named.items():
            rule = f"it has no effect on {folder.root}, which has no table"
            remedy = "give the table with this column as `table`=FILE, or leave the column out"
            raise InputError(option=f"columns.{name}", value=columns[0], rule=rule, remedy=remedy)
        paths = folder.require_recordings(config.extensions or EXTENSIONS, remedy=", or set `extensions`")
        found = Found(root=folder.root, described=dict.fromkeys(paths, (Description(),)))
    root, listed, left_out = found.root, found.described, found.rejected

    if config.pattern is not None:
        template = Template(config.pattern)
        matched = {path: fields for path in listed if (fields := template.match(path)) is not None}
        if not matched:
            fits = f"it fits none of {counted(len(listed), 'file')} below {root}, such as {min(listed)!r}"
            raise InputError(option="pattern", value=config.pattern, rule=fits, remedy="write it after such a name")
        others = sorted(listed.keys() - matched.keys())
        reason = f"name does not fit `pattern` {config.pattern}"
        left_out = (*left_out, *(Rejected(path=path, reason=reason) for path in others))
        merged = {}
        for path, fields in matched.items():  # a table's description is completed from the file name
            named = describe(fields, str(root / path))
            merged[path] = tuple(
                replace(known, **{name: getattr(named, name) for name in FIELDS if getattr(known, name) is None})
                for known in listed[path]
            )
        if folder is None and not has_parts and merged == listed:
            given = " and ".join(template.fields) or "everything"
            rule = f"it has no effect, as {config.table or root} gives {given} for each recording: leave it out"
            raise InputError(option="pattern", value=config.pattern, rule=rule)
        listed = merged

    described: Described = {}
    for path, several in listed.items():
        label = PurePosixPath(path).parent.name or None  # a name is no text, and parts have labels of their own
        from_folder = config.labels == "folder" and not has_parts and not unpacked and config.label_type != "text"
        described[path] = tuple(
            replace(
                known,
                label=None if config.labels == "none" else known.label or (label if from_folder else None),
                group=known.group or (_group_of(path) if has_parts else None),
            )
            for known in several
        )
    described = _with_label_names(described, config, notices)
    if config.split.by == "lists":
        described, unlisted = split_by_lists(root, described, config.split)
        left_out = (*left_out, *unlisted)
    return Found(root=root, described=described, rejected=left_out, notices=tuple(notices))


def _find_annotations(config: CorpusConfig, folder: Folder | None) -> Found | None:
    """Return the annotated recordings of a folder, or of a ``table`` of annotations; None: there are none.

    If a folder has any, its other recordings are set aside.
    """
    if config.annotations == "none":
        return None
    extensions = config.extensions or EXTENSIONS
    if folder is None:
        path = expand_home(config.table or "", "table")
        kind = kind_of(path) if config.annotations == "auto" else config.annotations
        if kind is None:
            if config.tier is not None:
                rule = f"it has no effect, as {path} has no tiers: leave it out"
                raise InputError(option="tier", value=config.tier, rule=rule)
            return None
        root = _root_beside(path if path.is_dir() else path.parent, config, path)
        recordings = Folder.at(root).recordings(extensions)
        found: Found | None = annotations_in(path, kind, root, recordings, config.annotated)
    else:
        recordings = folder.recordings(extensions)
        found = annotations_below(folder, recordings, config.annotated)
    if found is None or not found.described:
        return found
    for name, columns in config.columns.named.items():
        rule = ""
        if name not in ("label", "group"):
            rule = "it has no effect on annotations, of which only selection tables have columns, for label and group"
        elif name == "label" and config.tier:
            rule = f"it has no effect beside `tier`={config.tier}, which names the labels of the annotations"
        if rule:
            raise InputError(option=f"columns.{name}", value=",".join(columns), rule=rule, remedy="leave it out")
    if folder is None or found.root != folder.root:
        return found
    listed = {each.path for each in found.rejected} | found.described.keys()
    reason = "no annotations beside it, and other recordings have some (`annotations`=none uses all as a whole)"
    others = tuple(Rejected(path=path, reason=reason) for path in recordings if path not in listed)
    return replace(found, rejected=(*found.rejected, *others))


def _root_beside(place: Path, config: CorpusConfig, table: Path) -> Path:
    """Return the folder of the recordings of a table: ``place``, unless an option names another."""
    return require_folder(config.root) if config.root else require_folder(str(place), by=str(table))


def _find_in_table(config: CorpusConfig) -> Found:
    path = expand_home(config.table or "", "table")
    table = read_table(path, config.columns, label_type=config.label_type)
    notices = [*table.notices]
    if not table.rows:
        raise InputError(option="table", value=path, rule="it lists no recordings: give it a row for each")
    base = _root_beside(Path(table.root or path.parent), config, path)
    root = folder_of(table.rows, base, around=not config.root and table.root is None)
    if root != base:
        notices.append(f"{path.name}: its recordings are in {root} (`root` names another folder)")

    described: dict[str, list[Description]] = {}
    relatives: dict[tuple[str, str | None], str] = {}  # of each path as it is written, which many rows may share
    missing: dict[str, Row] = {}  # the first row of each path that is not there
    listed: set[tuple[str, Span | None]] = set()
    for row in table.rows:
        known, place = row.description, (row.path, row.description.fold)
        if place not in relatives:
            spelt = spelling_of(row, root) or row.path
            try:
                relatives[place] = listed_path(root, spelt, row.where, remedy="fix the row, or set `root`")
            except MissingRecordingError:
                missing.setdefault(row.path, row)
                continue
        relative = relatives[place]
        rows = described.setdefault(relative, [])
        if (relative, known.span) in listed:
            remedy = "give each recording one row, or each of its parts another start and end"
            raise InputError(f"{row.where}: {relative} is listed twice", remedy=remedy)
        if config.split.by == "table" and known.split is None and "split" not in config.fields:
            problem = f"{row.where}: no split"
            raise InputError(problem, remedy="`split.by`=table needs train, validation or test here")
        listed.add((relative, known.span))
        rows.append(known)

    if missing and (config.missing == "stop" or not described):
        first, files = next(iter(missing.values())), len(missing) + len(described)
        several = f": {len(missing)} of {files} files are missing, such as {', '.join(islice(missing, 3))}"
        problem = f"{first.where}: {first.path} is not there (looked in {root}){several if files > 1 else ''}"
        aside = ", or set them aside by `missing`=list" if described else ""
        raise InputError(problem, remedy=f"fix the rows, or set `root`{aside}")
    kind = "not there, though the table lists it"
    left_out = [Rejected(path=row.path, reason=f"{kind} ({row.where})", kind=kind) for row in missing.values()]
    labelled = any(known.label for rows in described.values() for known in rows)
    if config.label_type == "text" and config.labels != "none" and "label" not in config.fields and not labelled:
        rule = f"no row of {path} has a text"
        there = f"(the columns are {', '.join(table.columns) or 'path'!s:.800})"
        remedy = f"name its column, `columns.label`=NAME {there}"
        raise InputError(option="label_type", value="text", rule=rule, remedy=remedy)
    found = {path: tuple(rows) for path, rows in sorted(described.items())}
    return Found(root=root, described=found, rejected=tuple(left_out), notices=tuple(notices))


def _with_label_names(described: Described, config: CorpusConfig, notices: list[str]) -> Described:
    """Give labels their other names; refuse unknown names, labels that are no numbers, and missing texts."""
    labels = {known.label for several in described.values() for known in several} - {None}
    if names := config.label_names:
        if unknown := [name for name in names if name not in labels]:
            there = ", ".join(sorted(str(label) for label in labels)) or "(none)"
            problem = f"`label_names` has {', '.join(unknown)}, which no recording has as its label"
            if len(unknown) == len(names):
                raise InputError(problem, remedy=f"the labels are {there:.400}")
            notices.append(f"{problem}; the labels are {there:.400}")
        renamed = {label: names.get(label, label) for label in labels if label}
        described = {
            path: tuple(replace(known, label=renamed.get(known.label or "")) for known in each)
            for path, each in described.items()
        }
    if config.label_type == "text" and config.labels != "none" and not any(labels):
        rule = "no recording has a text, and names of folders are none"
        in_names = '`pattern`="{label}_*.wav" (also of folders: "{label}/*")'
        remedy = f"give the texts in a `table`, or in file names, {in_names}"
        raise InputError(option="label_type", value="text", rule=rule, remedy=remedy)
    for path, several in described.items() if config.label_type == "number" else ():
        for label in (known.label for known in several if known.label is not None):
            if number_of(label) is None:
                rule = f"the label of {path} is {label!r:.40}"
                remedy = "write a finite number, such as 3.5, or leave recordings without a number unlabelled"
                raise InputError(option="label_type", value="number", rule=rule, remedy=remedy)
    return described


def length_notices(clips: Collection[Clip], segment_seconds: float | None) -> tuple[str, ...]:
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


def upsampling_notices(clips: Collection[Clip], audio: SpectrogramConfig) -> tuple[str, ...]:
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
