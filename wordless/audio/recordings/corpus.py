"""Building of a corpus from a folder or table of recordings: find the files, describe, inspect and split them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal

from wordless.audio.decoding import Channel
from wordless.audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind
from wordless.audio.recordings.annotations.finding import kind_of
from wordless.audio.recordings.annotations.reading import Annotated, annotations_below, annotations_in
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
from wordless.audio.recordings.notices import softer_notice
from wordless.audio.recordings.segments import SegmentConfig, clips_of, span_seconds
from wordless.audio.recordings.splits import Described, SplitConfig, split_by_lists, split_clips
from wordless.audio.recordings.tables import Row, folder_of, read_table, spelling_of
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError, within
from wordless.base.options import Options, option
from wordless.base.text import counted

Found = tuple[Path, Described, tuple[Rejected, ...]]  # root, recordings by path, and files that were set aside
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
        self._require_one_source()
        self._require_effect()
        if not self.root and not self.table and not self.is_packed:
            rule = "name the folder of your recordings, root=PATH, or a table that lists them, table=FILE"
            raise InputError(option="root", value=self.root, rule=rule)
        self._require_annotations()
        fields = self.fields
        described = bool(self.table) or self.is_packed  # by more than file names
        if self.labels == "pattern" and "label" not in fields and not described:
            rule = f"pattern is {self.pattern!r}: put {{label}} into it"
            raise InputError(option="labels", value="pattern", rule=rule)
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

    def _require_effect(self) -> None:
        """Refuse options that change nothing beside the others."""
        if self.missing == "list" and not self.table:
            raise InputError(option="missing", value="list", rule="it has no effect without a table: leave it out")
        if self.labels == "none":
            label = None if self.is_packed else self.columns.label  # that of a data set is a preset's
            for name, value in (("columns.label", label), ("label_names", self.label_names)):
                if value:
                    rule = "it has no effect with labels=none: leave one of them out"
                    raise InputError(option=name, value=value, rule=rule)
        if self.is_packed:
            for name, columns in self.columns.named.items():
                if name in ("index", "start", "end", "duration"):
                    rule = "it has no effect on data sets and shards, only on a table: leave it out"
                    raise InputError(option=f"columns.{name}", value=columns[0], rule=rule)
            if self.shards and self.columns.audio is not None:
                rule = "recordings in shards are known by their endings: leave it out"
                raise InputError(option="columns.audio", value=self.columns.audio, rule=rule)

    def _require_annotations(self) -> None:
        """Refuse options of annotations where none are looked for."""
        for name, value in (("annotations", self.annotations), ("tier", self.tier)):
            if value in ("auto", "none", None):
                continue
            if self.is_packed:
                rule = "it has no effect on a data set or on shards: leave it out"
                raise InputError(option=name, value=value, rule=rule)
            if self.annotations == "none":
                rule = "it has no effect with annotations=none: leave one of them out"
                raise InputError(option=name, value=value, rule=rule)

    def _require_one_source(self) -> None:
        """Refuse an empty data set, and two of them."""
        for name, place in (("dataset", self.dataset), ("shards", self.shards)):
            if place == "":
                rule = (
                    "name a folder that save_to_disk wrote, or Parquet files, `dataset`=PATH, or tar shards, "
                    "`shards`=data-{000..009}.tar"
                )
                raise InputError(option=name, value="", rule=rule)
        if self.dataset and self.shards:
            rule = f"`shards` is {self.shards}, and a corpus has one source: choose one of them"
            raise InputError(option="dataset", value=self.dataset, rule=rule)


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
    root, described, unmatched = found or find_recordings(config, option=option)
    _require_divisible(described, config)
    fit, unfit = inspect(
        root,
        list(described),
        config.inspection,
        workers=workers,
        engine=engine,
        cache=cache,
        progress=progress,
        known=_whole_recordings(described),
        channel=channel,
        sample_rate=sample_rate,
        duplicates=duplicates,
    )
    merged, unfit = _with_parts_of_twins(described, unfit)
    if notice and (softer := softer_notice(fit)):
        notice(softer)
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
    divided, undivided = _split(clips, config, unused)
    rejected = sorted((*unmatched, *unused, *undivided), key=lambda each: each.path)
    return Manifest(root=root, clips=divided), tuple(rejected)


def _whole_recordings(described: Described) -> dict[str, dict[str, str]]:
    """Return what is known of whole recordings; the labels and groups of parts of equal files may rightly differ."""
    whole = {path: several[0] for path, several in described.items() if len(several) == 1 and several[0].span is None}
    return {path: _names(description) for path, description in whole.items()}


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
    """Return the group of the parts of a recording, if annotations give no other."""
    return str(PurePosixPath(path).with_suffix(""))


def _require_divisible(described: Described, config: CorpusConfig) -> None:
    """Refuse a split that cannot be made, before inspection takes hours.

    Whether a few recordings suffice is checked after inspection, which finds the usable ones.
    """
    unheard = [clip for path, several in described.items() for clip in _placeholder_clips(path, several, config)]
    few = replace(config, split=replace(config.split, validation_fraction=0, test_fraction=0))
    _split_by_type(unheard, few if len(described) <= FEW else config)


def _split(
    clips: list[Clip], config: CorpusConfig, unused: Sequence[Rejected]
) -> tuple[tuple[Clip, ...], tuple[Rejected, ...]]:
    """Call `split_clips`; an error also says what was set aside before."""
    try:
        return _split_by_type(clips, config)
    except InputError as error:
        if not unused:
            raise
        raise InputError(f"{error}; set aside before: {frequent_reasons(unused)}") from error


def _split_by_type(clips: Sequence[Clip], config: CorpusConfig) -> tuple[tuple[Clip, ...], tuple[Rejected, ...]]:
    """Call `split_clips`; numbers and texts are too many to be spread evenly over the splits, as classes are."""
    if config.label_type == "class":
        return split_clips(clips, config.split)
    divided, undivided = split_clips([replace(clip, label=None) for clip in clips], config.split)
    labels = {clip.name: clip.label for clip in clips}
    return tuple(replace(clip, label=labels[clip.name]) for clip in divided), undivided


def find_recordings(
    config: CorpusConfig, *, option: str = "corpus.root", say: Callable[[str], None] | None = None
) -> Found:
    """Find the root, the descriptions of each recording by path, and the files that do not fit the pattern.

    A recording has several descriptions if a table or annotations name several parts of it. Nothing is decoded, so that
    most mistakes show quickly. ``say`` gets sentences about annotations, and what was found though nobody named it.
    """
    root, described, unmatched = _find_described(config, option, say)
    if config.split.by != "lists":
        return root, described, unmatched
    divided, unlisted = split_by_lists(root, described, config.split)
    return root, divided, (*unmatched, *unlisted)


def _find_described(config: CorpusConfig, option: str, say: Callable[[str], None] | None) -> Found:
    folder = None if config.table else Folder.at(require_folder(config.root or "", option, option=option))
    annotated = _annotations_of_table(config) if folder is None else _annotations_in_folder(config, folder, option)
    if annotated and say:
        for notice in annotated.notices:
            say(notice)
    if has_parts := annotated is not None and bool(annotated.parts):
        _require_columns_of_annotations(config)
        root, listed, left_out = annotated.root, annotated.parts, annotated.rejected
    else:
        root, listed, left_out = (
            _find_in_table(config, say) if folder is None else _find_in_folder(config, folder, option)
        )

    def complete(path: str, known: Description) -> Description:
        known = _in_recording(path, known) if has_parts else known
        return replace(known, label=_label(path, known, config, from_folder=not has_parts))

    if config.pattern is None:
        completed = {path: tuple(complete(path, known) for known in each) for path, each in listed.items()}
        labelled = _with_label_names(completed, config, say)
        _require_labels(labelled, config)
        return root, labelled, left_out
    template = Template(config.pattern)
    matched = {path: fields for path in listed if (fields := template.match(path)) is not None}
    if not matched:
        raise InputError(
            f"corpus.pattern is {config.pattern!r}, which fits none of {counted(len(listed), 'file')} below {root}, "
            f"such as {min(listed)!r}; write the pattern after such a name"
        )
    merged = {
        path: tuple(_merge(named, known) for known in listed[path])
        for path, fields in matched.items()
        if (named := describe(fields, str(root / path)))
    }
    if config.table and not has_parts and merged == listed:
        raise InputError(
            f"corpus.pattern={config.pattern} has no effect: corpus.table={config.table} gives "
            f"{' and '.join(template.fields) or 'everything'} for each recording; leave the pattern out"
        )
    completed = {path: tuple(complete(path, known) for known in each) for path, each in merged.items()}
    described = _with_label_names(completed, config, say)
    _require_labels(described, config)
    reason = f"name does not fit corpus.pattern {config.pattern}"
    others = (Rejected(path=path, reason=reason) for path in sorted(listed.keys() - matched.keys()))
    return root, described, (*left_out, *others)


def _annotations_of_table(config: CorpusConfig) -> Annotated | None:
    """Return the recordings of ``table`` if it is a file of annotations; None: it is another table."""
    if config.annotations == "none":
        return None
    path = expand_home(config.table or "", "corpus.table")
    kind = kind_of(path) if config.annotations == "auto" else config.annotations
    if kind is None:
        if config.tier is not None:
            raise InputError(f"corpus.tier={config.tier} has no effect: corpus.table={path} has no tiers; leave it out")
        return None
    beside = path if path.is_dir() else path.parent
    root = require_folder(config.root or str(beside), "corpus.root" if config.root else str(path))
    recordings = Folder.at(root).recordings(config.extensions or EXTENSIONS)
    return annotations_in(path, kind, root, recordings, config.annotated, option="corpus.table")


def _annotations_in_folder(config: CorpusConfig, folder: Folder, option: str) -> Annotated | None:
    """Return the annotated recordings of a folder; if there are any, the others are set aside."""
    if config.annotations == "none":
        return None
    recordings = folder.recordings(config.extensions or EXTENSIONS)
    found = annotations_below(folder, recordings, config.annotated, option=option)
    if found is None or not found.parts or found.root != folder.root:
        return found
    listed = {each.path for each in found.rejected} | found.parts.keys()
    reason = "no annotations beside it, and other recordings have some (corpus.annotations=none uses all as a whole)"
    others = tuple(Rejected(path=path, reason=reason) for path in recordings if path not in listed)
    return replace(found, rejected=(*found.rejected, *others))


def _require_columns_of_annotations(config: CorpusConfig) -> None:
    """Refuse columns that annotations do not have, and two options for the labels."""
    if config.tier and config.columns.labels:
        problem = (
            f"corpus.columns.label={','.join(config.columns.labels)} has no effect beside corpus.tier={config.tier}"
        )
        raise InputError(f"{problem}, which names the labels of the annotations; leave one of them out")
    for name, column in asdict(config.columns).items():
        if column is not None and name not in ("label", "group"):
            problem = f"corpus.columns.{name}={column} has no effect on annotations"
            raise InputError(
                f"{problem}, of which only selection tables have columns, for label and group; leave it out"
            )


def _in_recording(path: str, known: Description) -> Description:
    """Return a part with a group: all parts of a recording stay in one split."""
    return replace(known, group=known.group or _group_of(path))


def _find_in_folder(config: CorpusConfig, folder: Folder, option: str) -> Found:
    with within("corpus"):
        config.require_split_values()
    for name, columns in config.columns.named.items():
        raise InputError(
            f"corpus.columns.{name}={columns[0]} has no effect on {option}={folder.root}, which has no table; give the "
            "table with this column as corpus.table=FILE, or leave the column out"
        )
    wanted, remedy = config.extensions or EXTENSIONS, ", or set corpus.extensions"
    paths = folder.require_recordings(wanted, option=option, remedy=remedy)
    return folder.root, dict.fromkeys(paths, (Description(),)), ()


def _find_in_table(config: CorpusConfig, say: Callable[[str], None] | None) -> Found:
    path = expand_home(config.table or "", "corpus.table")
    columns = None if config.is_packed else config.columns  # those of a data set are in the table by their usual names
    table = read_table(path, columns, label_type=config.label_type, say=say)
    if not table.rows:
        raise InputError(f"corpus.table={path} lists no recordings; give it a row for each")
    base = require_folder(config.root or table.root or str(path.parent), "corpus.root" if config.root else f"{path}")
    root = folder_of(table.rows, base, around=not config.root and table.root is None)
    if root != base and say:
        say(f"{path.name}: its recordings are in {root} (corpus.root names another folder)")
    described: dict[str, list[Description]] = {}
    relatives: dict[tuple[str, str | None], str] = {}  # of each path as it is written, which many rows may share
    missing: dict[str, Row] = {}  # the first row of each path that is not there
    listed: set[tuple[str, Span | None]] = set()
    left_out = [Rejected(path=row.path, reason=row.set_aside) for row in table.rows if row.set_aside]
    if len(left_out) == len(table.rows):
        reasons = frequent_reasons(left_out)
        raise InputError(f"corpus.table={path}: none of its {counted(len(left_out), 'row')} can be used ({reasons})")
    for row in (row for row in table.rows if not row.set_aside):
        place = (row.path, row.description.fold)
        if place not in relatives:
            try:
                relatives[place] = _relative(root, row)
            except MissingRecordingError:
                missing.setdefault(row.path, row)
                continue
        relative = relatives[place]
        rows = described.setdefault(relative, [])
        if (relative, row.description.span) in listed:
            problem = f"{row.where}: {relative} is listed twice"
            raise InputError(f"{problem}; give each recording one row, or each of its parts another start and end")
        if config.split.by == "table" and row.description.split is None and "split" not in config.fields:
            raise InputError(f"{row.where}: no split; corpus.split.by=table needs train, validation or test here")
        listed.add((relative, row.description.span))
        rows.append(row.description)
    if missing and (config.missing == "stop" or not described):
        raise InputError(_missing_files(missing, len(missing) + len(described), root))
    kind = "not there, though the table lists it"
    left_out += [Rejected(path=row.path, reason=f"{kind} ({row.where})", kind=kind) for row in missing.values()]
    labelled = any(known.label for rows in described.values() for known in rows)
    if config.label_type == "text" and config.labels != "none" and "label" not in config.fields and not labelled:
        raise InputError(
            f"corpus.label_type=text, but no row of corpus.table={path} has a text; name its column, "
            f"corpus.columns.label=NAME (the columns are {', '.join(table.columns) or 'path'!s:.800})"
        )
    return root, {path: tuple(rows) for path, rows in sorted(described.items())}, tuple(left_out)


def _relative(root: Path, row: Row) -> str:
    """Return the path of a row relative to the root, as it is spelt on the disk."""
    return listed_path(root, spelling_of(row, root) or row.path, row.where, remedy="fix the row, or set corpus.root")


def _missing_files(missing: Mapping[str, Row], files: int, root: Path) -> str:
    """Say how many files of a table are missing, with the place of the first in the table."""
    first = next(iter(missing.values()))
    several = f"{len(missing)} of {counted(files, 'file')} are missing, such as {', '.join(islice(missing, 3))}"
    remedy = ", or set them aside by corpus.missing=list" if len(missing) < files else ""
    return (
        f"{first.where}: {first.path} is not there (looked in {root}){f': {several}' if files > 1 else ''}; fix the "
        f"rows, or set corpus.root{remedy}"
    )


def _merge(named: Description, listed: Description) -> Description:
    """Merge two descriptions: the table's, completed from the file name."""
    unknown = [name for name in FIELDS if getattr(listed, name) is None]
    return replace(listed, **{name: getattr(named, name) for name in unknown})


def _label(path: str, known: Description, config: CorpusConfig, *, from_folder: bool) -> str | None:
    match config.labels:
        case "none":
            return None
        case "folder" if known.label is None and from_folder and config.label_type != "text":  # a name is no text
            return PurePosixPath(path).parent.name or None
        case _:
            return known.label


def _with_label_names(described: Described, config: CorpusConfig, say: Callable[[str], None] | None) -> Described:
    """Give labels their other names; names for labels that no recording has are refused."""
    names = config.label_names
    if not names:
        return described
    labels = {known.label for several in described.values() for known in several} - {None}
    if unknown := [name for name in names if name not in labels]:
        there = ", ".join(sorted(str(label) for label in labels)) or "(none)"
        problem = f"corpus.label_names has {', '.join(unknown)}, which no recording has as its label"
        if len(unknown) == len(names):
            raise InputError(f"{problem}; the labels are {there:.400}")
        if say:
            say(f"{problem}; the labels are {there:.400}")
    renamed = {label: names.get(label, label) for label in labels if label}
    return {
        path: tuple(replace(known, label=renamed.get(known.label or "")) for known in each)
        for path, each in described.items()
    }


def _require_labels(described: Described, config: CorpusConfig) -> None:
    """Refuse labels that are no numbers, if they must be, and recordings without any text."""
    labelled = any(known.label for several in described.values() for known in several)
    if config.label_type == "text" and config.labels != "none" and not labelled:
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


def _placeholder_clips(path: str, described: Sequence[Description], config: CorpusConfig) -> Iterator[Clip]:
    """Give a recording's clips as far as they are known before inspection, with placeholder lengths in microseconds.

    A recording that may be cut stands for as many segments as there are splits.
    """
    pieces = 1 if config.segment_seconds is None else len(SPLITS)
    for number, known in enumerate(described):
        begin = 0 if known.span is None else round(known.span.start * 1_000_000)
        whole = known.span is None and pieces == 1
        for piece in range(pieces):
            yield Clip(
                path=path,
                segment=None if whole else pieces * number + piece,
                start=begin + piece,
                num_samples=0,
                sample_rate=1_000_000,
                size=0,
                sha256="",
                **known.clip_fields(),
            )
