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
from wordless.audio.recordings.annotations import Annotated, annotations_below, annotations_in, kind_of
from wordless.audio.recordings.description import (
    FIELDS,
    ColumnConfig,
    Description,
    LabelType,
    Span,
    Template,
    describe,
    number_of,
)
from wordless.audio.recordings.folders import (
    EXTENSIONS,
    Folder,
    MissingRecordingError,
    expand_home,
    listed_path,
    require_folder,
)
from wordless.audio.recordings.inspection import InspectionConfig, Progress, conflicts, frequent_reasons, inspect
from wordless.audio.recordings.manifest import SPLITS, Clip, Manifest, Rejected, clip_name
from wordless.audio.recordings.segments import SegmentConfig, clips_of, span_seconds
from wordless.audio.recordings.splits import Described, SplitConfig, split_by_lists, split_clips
from wordless.audio.recordings.tables import Row, folder_of, read_table, spelling_of
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError, within
from wordless.base.options import Options, option
from wordless.base.text import counted

Found = tuple[Path, Described, tuple[Rejected, ...]]  # root, recordings by path, and files that were set aside
LONG_SECONDS = 60.0  # of a clip; a corpus of longer clips learns more from segments
_NO_EFFECT, _LEAVE = "it has no effect", "leave one of them out"
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
    )
    segment_overlap_seconds: float = option(0.0, "seconds that a segment shares with the segment before it")
    segment_silence_dbfs: float | None = option(
        None,
        "such as -50: leaves out segments without any sample above -50 dBFS; null: only silent ones",
    )
    inspection: InspectionConfig = option(
        InspectionConfig(),
        "which recordings are left out, and which parts of the others are used",
    )
    split: SplitConfig = option(SplitConfig(), "the division into training, validation and test clips")

    @property
    def segments(self) -> SegmentConfig:
        """Options of cutting recordings into segments."""
        try:
            return SegmentConfig(
                seconds=self.segment_seconds,
                overlap_seconds=self.segment_overlap_seconds,
                silence_dbfs=self.segment_silence_dbfs,
            )
        except InputError as error:
            option = f"segment_{error.option}"
            raise InputError(option=option, value=error.value, rule=error.rule, remedy=error.remedy) from error

    @property
    def is_packed(self) -> bool:
        """Whether the recordings are inside other files; ``root`` and ``table`` are known once they are unpacked."""
        return bool(self.dataset or self.shards)

    @property
    def annotated(self) -> AnnotationConfig:
        """Options of annotations; in selection tables ``columns`` name the label and the group, too."""
        return AnnotationConfig(
            kind=self.annotations,
            tier=self.tier or ",".join(self.columns.labels) or None,
            tier_option="tier" if self.tier else "columns.label",
            group=self.columns.group,
            prefix="corpus.",
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the description that file names give."""
        return () if self.pattern is None else Template(self.pattern).fields

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.segments  # refuses contradictory values
        packed, described = self.is_packed, bool(self.table) or self.is_packed  # described by more than file names
        sources = (
            "name a folder that save_to_disk wrote, or Parquet files, `dataset`=PATH, or tar shards, "
            "`shards`=data-{000..009}.tar"
        )
        two = f"`shards` is {self.shards}, and a corpus has one source: choose one of them"
        root = "name the folder of your recordings, root=PATH, or a table that lists them, table=FILE"
        label = None if packed else self.columns.label  # that of a data set is a preset's
        rules: list[tuple[str, object, object, str]] = [  # option, its value, whether it is refused, rule
            ("dataset", "", self.dataset == "", sources),
            ("shards", "", self.shards == "", sources),
            ("dataset", self.dataset, self.dataset and self.shards, two),
            (
                "missing",
                "list",
                self.missing == "list" and not self.table,
                f"{_NO_EFFECT} without a table: leave it out",
            ),
        ]
        for name, value in (("columns.label", label), ("label_names", self.label_names)):
            rules.append((name, value, value and self.labels == "none", f"{_NO_EFFECT} with labels=none: {_LEAVE}"))
        for name, columns in self.columns.named.items():
            refused = packed and name in ("index", "start", "end", "duration")
            rule = f"{_NO_EFFECT} on data sets and shards, only on a table: leave it out"
            rules.append((f"columns.{name}", columns[0], refused, rule))
        by_ending = "recordings in shards are known by their endings: leave it out"
        rules.append(("columns.audio", self.columns.audio, self.shards and self.columns.audio is not None, by_ending))
        rules.append(("root", self.root, not (self.root or described), root))
        for name, value in (("annotations", self.annotations), ("tier", self.tier)):
            chosen = value not in ("auto", "none", None)
            rules.append((name, value, chosen and packed, f"{_NO_EFFECT} on a data set or on shards: leave it out"))
            without = chosen and self.annotations == "none"
            rules.append((name, value, without, f"{_NO_EFFECT} with annotations=none: {_LEAVE}"))
        named = described or "label" in self.fields
        unnamed = f"pattern is {self.pattern!r}: put {{label}} into it"
        rules.append(("labels", "pattern", self.labels == "pattern" and not named, unnamed))
        for name, given, is_refused, rule in rules:
            if is_refused:
                raise InputError(option=name, value=given, rule=rule)
        if self.split.by != "group" or self.annotations == "none":  # annotations, which give groups, are found later
            self.require_split_values()

    def require_split_values(self) -> None:
        """Refuse a split by values that neither names nor tables of recordings can have."""
        wanted = "split" if self.split.by == "table" else self.split.by
        described = bool(self.table) or self.is_packed
        if wanted in ("group", "index", "fold", "split") and wanted not in self.fields and not described:
            rule = f"nothing says which {wanted} a recording has"
            remedy = f"put {{{wanted}}} into pattern, or give a table with a column {wanted}"
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
    option: str = "corpus.root",
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
        option: name of the option that holds the root, for messages.
        channel: of each recording that is read.
        sample_rate: of the front end, in Hz; None: it is not known.
        notice: called with a sentence about recordings that lose most of their sound, as channels cancel.
        duplicates: whether files with the samples of another file are used, too.

    Raises:
        InputError: no recording is found or usable, a table names a missing file, or the splits cannot be made.
    """
    root, described, unmatched = found or find_recordings(config, names=OptionNames(folder=option))
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
            f"their mean or another channel was chosen: audio.channel={louder} or audio.channel=loudest reads it"
        )
    if set_aside:
        set_aside((*unmatched, *unfit))
    recordings = counted(len(described), "recording")
    if not fit:
        raise InputError(
            f"{option}={root}: none of its {recordings} can be used ({frequent_reasons(unfit)}); check the files"
            f"{', or loosen corpus.inspection' if option == 'corpus.root' else ''}"
        )
    clips: list[Clip] = []
    unused = [*unfit]
    for path, measured in fit.items():
        own, left_out = clips_of(path, merged[path], measured, config.segments, config.inspection)
        clips += own
        unused += left_out
    if not clips:
        raise InputError(
            f"{option}={root}: nothing of its {recordings} can be used ({frequent_reasons(unused)}); "
            "check start and end in the table, choose a lower corpus.segment_silence_dbfs, or loosen corpus.inspection"
        )
    try:
        divided, undivided = _split_by_type(clips, config)
    except InputError as error:
        if not unused:
            raise
        raise InputError(f"{error}; set aside before: {frequent_reasons(unused)}") from error
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
                reason = f"duplicate of {other}{different}"
                rejected.append(Rejected(path=path, reason=reason, kind="duplicate of another part"))
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


@dataclass(frozen=True, kw_only=True)
class OptionNames:
    """How messages name the options of a corpus; a command may have names of its own."""

    folder: str = "corpus.root"  # that all recordings below are taken of
    table: str = "corpus.table"
    prefix: str = "corpus."  # of the others


def find_recordings(
    config: CorpusConfig, *, names: OptionNames = OptionNames(), say: Callable[[str], None] | None = None
) -> Found:
    """Find the root, the descriptions of each recording by path, and the files that do not fit the pattern.

    A recording has several descriptions if a table or annotations name several parts of it. Nothing is decoded, so that
    most mistakes show quickly. ``say`` gets sentences about annotations, and what was found though nobody named it.
    """
    option = names.folder
    folder = None if config.table else Folder.at(require_folder(config.root or "", option, option=option))
    annotated = _find_annotations(config, folder, names)
    if annotated and say:
        for notice in annotated.notices:
            say(notice)
    if has_parts := annotated is not None and bool(annotated.parts):
        root, listed, left_out = annotated.root, annotated.parts, annotated.rejected
    elif folder is None:
        root, listed, left_out = _find_in_table(config, names, say)
    else:
        with within("corpus"):
            config.require_split_values()
        for name, columns in config.columns.named.items():
            raise InputError(
                f"corpus.columns.{name}={columns[0]} has no effect on {option}={folder.root}, which has no table; give "
                "the table with this column as corpus.table=FILE, or leave the column out"
            )
        wanted, remedy = config.extensions or EXTENSIONS, ", or set corpus.extensions"
        paths = folder.require_recordings(wanted, option=option, remedy=remedy)
        root, listed, left_out = folder.root, dict.fromkeys(paths, (Description(),)), ()

    if config.pattern is not None:
        template = Template(config.pattern)
        matched = {path: fields for path in listed if (fields := template.match(path)) is not None}
        if not matched:
            raise InputError(
                f"corpus.pattern is {config.pattern!r}, which fits none of {counted(len(listed), 'file')} below {root},"
                f" such as {min(listed)!r}; write the pattern after such a name"
            )
        others = sorted(listed.keys() - matched.keys())
        reason = f"name does not fit corpus.pattern {config.pattern}"
        left_out = (*left_out, *(Rejected(path=path, reason=reason) for path in others))
        merged = {}
        for path, fields in matched.items():  # a table's description is completed from the file name
            named = describe(fields, str(root / path))
            merged[path] = tuple(
                replace(known, **{name: getattr(named, name) for name in FIELDS if getattr(known, name) is None})
                for known in listed[path]
            )
        if config.table and not has_parts and merged == listed:
            raise InputError(
                f"{names.prefix}pattern={config.pattern} has no effect: {names.table}={config.table} gives "
                f"{' and '.join(template.fields) or 'everything'} for each recording; leave the pattern out"
            )
        listed = merged

    described: Described = {}
    for path, several in listed.items():
        label = PurePosixPath(path).parent.name or None  # a name is no text, and parts have labels of their own
        from_folder = config.labels == "folder" and not has_parts and config.label_type != "text"
        described[path] = tuple(
            replace(
                known,
                label=None if config.labels == "none" else known.label or (label if from_folder else None),
                group=known.group or (_group_of(path) if has_parts else None),
            )
            for known in several
        )
    described = _with_label_names(described, config, say)
    if config.split.by == "lists":
        described, unlisted = split_by_lists(root, described, config.split)
        left_out = (*left_out, *unlisted)
    return root, described, left_out


def _find_annotations(config: CorpusConfig, folder: Folder | None, names: OptionNames) -> Annotated | None:
    """Return the annotated recordings of a folder, or of a ``table`` of annotations; None: there are none.

    If a folder has any, its other recordings are set aside.
    """
    if config.annotations == "none":
        return None
    extensions, annotated = config.extensions or EXTENSIONS, replace(config.annotated, prefix=names.prefix)
    if folder is None:
        path, root_name = expand_home(config.table or "", names.table), f"{names.prefix}root"
        kind = kind_of(path) if config.annotations == "auto" else config.annotations
        if kind is None:
            if config.tier is not None:
                problem = f"{names.prefix}tier={config.tier} has no effect: {names.table}={path} has no tiers"
                raise InputError(f"{problem}; leave it out")
            return None
        beside = path if path.is_dir() else path.parent
        root = require_folder(config.root or str(beside), root_name if config.root else str(path), option=root_name)
        recordings = Folder.at(root).recordings(extensions)
        found: Annotated | None = annotations_in(path, kind, root, recordings, annotated, option=names.table)
    else:
        recordings = folder.recordings(extensions)
        found = annotations_below(folder, recordings, annotated, option=names.folder)
    if found is None or not found.parts:
        return found
    if config.tier and config.columns.labels:
        problem = f"corpus.columns.label={','.join(config.columns.labels)} has no effect beside corpus.tier"
        raise InputError(f"{problem}={config.tier}, which names the labels of the annotations; leave one of them out")
    for name, columns in config.columns.named.items():
        if name not in ("label", "group"):
            problem = f"corpus.columns.{name}={columns[0]} has no effect on annotations"
            raise InputError(
                f"{problem}, of which only selection tables have columns, for label and group; leave it out"
            )
    if folder is None or found.root != folder.root:
        return found
    listed = {each.path for each in found.rejected} | found.parts.keys()
    reason = (
        f"no annotations beside it, and other recordings have some ({names.prefix}annotations=none uses all as a whole)"
    )
    others = tuple(Rejected(path=path, reason=reason) for path in recordings if path not in listed)
    return replace(found, rejected=(*found.rejected, *others))


def _find_in_table(config: CorpusConfig, names: OptionNames, say: Callable[[str], None] | None) -> Found:
    path, root_name = expand_home(config.table or "", names.table), f"{names.prefix}root"
    columns = None if config.is_packed else config.columns  # those of a data set are in the table by their usual names
    table = read_table(path, columns, label_type=config.label_type, say=say, option=names.table)
    if not table.rows:
        raise InputError(f"{names.table}={path} lists no recordings; give it a row for each")
    base = require_folder(
        config.root or table.root or str(path.parent), root_name if config.root else f"{path}", option=root_name
    )
    root = folder_of(table.rows, base, around=not config.root and table.root is None)
    if root != base and say:
        say(f"{path.name}: its recordings are in {root} ({root_name} names another folder)")
    left_out = [Rejected(path=row.path, reason=row.set_aside) for row in table.rows if row.set_aside]
    if len(left_out) == len(table.rows):
        reasons = frequent_reasons(left_out)
        raise InputError(f"{names.table}={path}: none of its {counted(len(left_out), 'row')} can be used ({reasons})")

    described: dict[str, list[Description]] = {}
    relatives: dict[tuple[str, str | None], str] = {}  # of each path as it is written, which many rows may share
    missing: dict[str, Row] = {}  # the first row of each path that is not there
    listed: set[tuple[str, Span | None]] = set()
    for row in (row for row in table.rows if not row.set_aside):
        known, place = row.description, (row.path, row.description.fold)
        if place not in relatives:
            spelt = spelling_of(row, root) or row.path
            try:
                relatives[place] = listed_path(root, spelt, row.where, remedy=f"fix the row, or set {root_name}")
            except MissingRecordingError:
                missing.setdefault(row.path, row)
                continue
        relative = relatives[place]
        rows = described.setdefault(relative, [])
        if (relative, known.span) in listed:
            problem = f"{row.where}: {relative} is listed twice"
            raise InputError(f"{problem}; give each recording one row, or each of its parts another start and end")
        if config.split.by == "table" and known.split is None and "split" not in config.fields:
            raise InputError(f"{row.where}: no split; corpus.split.by=table needs train, validation or test here")
        listed.add((relative, known.span))
        rows.append(known)

    if missing and (config.missing == "stop" or not described):
        first, files = next(iter(missing.values())), len(missing) + len(described)
        several = f": {len(missing)} of {files} files are missing, such as {', '.join(islice(missing, 3))}"
        remedy = f", or set them aside by {names.prefix}missing=list" if described else ""
        raise InputError(
            f"{first.where}: {first.path} is not there (looked in {root}){several if files > 1 else ''}; fix the rows, "
            f"or set {root_name}{remedy}"
        )
    kind = "not there, though the table lists it"
    left_out += [Rejected(path=row.path, reason=f"{kind} ({row.where})", kind=kind) for row in missing.values()]
    labelled = any(known.label for rows in described.values() for known in rows)
    if config.label_type == "text" and config.labels != "none" and "label" not in config.fields and not labelled:
        raise InputError(
            f"corpus.label_type=text, but no row of corpus.table={path} has a text; name its column, "
            f"corpus.columns.label=NAME (the columns are {', '.join(table.columns) or 'path'!s:.800})"
        )
    return root, {path: tuple(rows) for path, rows in sorted(described.items())}, tuple(left_out)


def _with_label_names(described: Described, config: CorpusConfig, say: Callable[[str], None] | None) -> Described:
    """Give labels their other names; refuse unknown names, labels that are no numbers, and missing texts."""
    labels = {known.label for several in described.values() for known in several} - {None}
    if names := config.label_names:
        if unknown := [name for name in names if name not in labels]:
            there = ", ".join(sorted(str(label) for label in labels)) or "(none)"
            problem = f"corpus.label_names has {', '.join(unknown)}, which no recording has as its label"
            if len(unknown) == len(names):
                raise InputError(f"{problem}; the labels are {there:.400}")
            if say:
                say(f"{problem}; the labels are {there:.400}")
        renamed = {label: names.get(label, label) for label in labels if label}
        described = {
            path: tuple(replace(known, label=renamed.get(known.label or "")) for known in each)
            for path, each in described.items()
        }
    if config.label_type == "text" and config.labels != "none" and not any(labels):
        raise InputError(
            "corpus.label_type=text, but no recording has a text, and names of folders are none; give the texts in a "
            'corpus.table, or in file names, corpus.pattern="{label}_*.wav" (also of folders: "{label}/*")'
        )
    for path, several in described.items() if config.label_type == "number" else ():
        for label in (known.label for known in several if known.label is not None):
            if number_of(label) is None:
                raise InputError(
                    f"corpus.label_type=number, but the label of {path} is {label!r:.40}; write a finite number, such "
                    "as 3.5, or leave recordings without a number unlabelled"
                )
    return described


def length_notices(clips: Collection[Clip], segment_seconds: float | None) -> tuple[str, ...]:
    """Return a notice about clips that should be cut into segments; none if they are cut already."""
    lengths = [clip.seconds for clip in clips]
    long = sum(length > LONG_SECONDS for length in lengths)
    if not long or segment_seconds is not None:
        return ()
    return (
        f"{counted(long, 'clip is', 'clips are')} longer than {LONG_SECONDS:g} s (the longest: "
        f"{max(lengths) / 60:.1f} minutes): corpus.segment_seconds=10 cuts them into clips of 10 s, each of which is "
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
        f"{and_lower}), so their bands above {frequent / 2:g} Hz are empty: a model with audio.sample_rate={frequent}, "
        f"or audio.f_max={frequent / 2:g}, has no empty bands",
    )
