"""Annotations of the recordings of a folder, or of one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav``, in the same folder or else anywhere below the root if only one recording has this name. Some
files name their recordings themselves. Each recording may have annotations of one kind, or of several kinds that agree.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from wordless.audio.recordings import annotation_formats as formats
from wordless.audio.recordings.annotation_formats import (
    KALDI_FILES,
    LHOTSE,
    WAV_SCP,
    Annotation,
    AnnotationConfig,
    AnnotationKind,
    Kind,
    Tier,
    kaldi,
    lhotse,
    lhotse_role,
)
from wordless.audio.recordings.description import SPAN_FIELDS, Description, Found, Span, describe, known_split
from wordless.audio.recordings.folders import Folder, read_annotation_bytes, read_annotation_text
from wordless.audio.recordings.manifest import Rejected
from wordless.base.errors import InputError
from wordless.base.text import counted

Read = Callable[[Path, str, AnnotationConfig], list[Tier]]  # of a file with its name in messages


@dataclass(frozen=True)
class Format:
    """The facts about a kind of annotations."""

    name: str  # for people
    read: Read
    suffix: str | None = None  # that shows the kind; None: the file is looked into
    has_tiers: bool = False  # or columns, of which one has the labels
    names_recordings: bool = False  # in its lines; the name of the file says nothing


def _of_text(read: Callable[[str, str], list[Tier]]) -> Read:
    return lambda path, shown, _: read(read_annotation_text(path), shown)


def _raven(path: Path, shown: str, config: AnnotationConfig) -> list[Tier]:
    return formats.raven(read_annotation_text(path), shown, config.labels, config.group)


def _elan(path: Path, shown: str, _: AnnotationConfig) -> list[Tier]:
    return formats.elan(read_annotation_bytes(path, xml=True), shown)


def _kaldi(path: Path, shown: str, _: AnnotationConfig) -> list[Tier]:
    return kaldi(path.parent, str(PurePosixPath(shown).parent))


FORMATS: dict[Kind, Format] = {  # of several kinds that agree, the first is used: it knows most
    "raven": Format("Raven selection table", _raven, has_tiers=True),
    "elan": Format("ELAN document", _elan, ".eaf", has_tiers=True),
    "textgrid": Format("Praat TextGrid", _of_text(formats.textgrid), ".textgrid", has_tiers=True),
    "audacity": Format("Audacity label track", _of_text(formats.audacity)),
    "kaldi": Format("Kaldi data folder", _kaldi, names_recordings=True),
    "lhotse": Format("lhotse manifest", lambda path, shown, _: lhotse(path, shown), names_recordings=True),
    "rttm": Format("RTTM file", _of_text(formats.rttm), ".rttm", names_recordings=True),
    "ctm": Format("CTM file", _of_text(formats.ctm), ".ctm", names_recordings=True),
    "lab": Format(".lab file", _of_text(formats.lab)),
}
_TEXTS = (".txt", ".tsv", ".selections", ".lab")
_SUFFIXES: dict[str, Kind] = {each.suffix: kind for kind, each in FORMATS.items() if each.suffix}
_LOOKED_INTO = (*_TEXTS, *_SUFFIXES, ".scp", ".jsonl", ".gz")
# Other annotations that people have beside recordings: what they are, and what makes a file of them that is read.
_IMPORT = "import it into ELAN (File > Import), and save it as .eaf"
_TIMIT = ("TIMIT transcription", """awk -v OFS='\\t' '{{print $1/16000, $2/16000, $3}}' a.{0} > a.txt""")
UNREAD: dict[str, tuple[str, str]] = {
    ".svl": (
        "layer of Sonic Visualiser",
        "export the layer as text, and awk -F'\\t' -v OFS='\\t' '{print $1, $1+$3, $4}' layer.txt > a.txt",
    ),
    ".boris": ("project of BORIS", "choose Observations > Export events > Praat TextGrid"),
    **{f".{name}": (_TIMIT[0], _TIMIT[1].format(name)) for name in ("phn", "wrd")},
    ".mlf": ("master label file of HTK", "write one .lab for each recording (HLEd -l DIRECTORY)"),
    ".trs": ("file of Transcriber", _IMPORT),
    ".cha": ("CHAT transcript", _IMPORT),
    ".srt": ("subtitle file", _IMPORT),
    ".vtt": ("subtitle file", _IMPORT),
    ".exb": ("EXMARaLDA transcription", "choose File > Export > Praat TextGrid in the Partitur Editor"),
    ".antx": ("file of Annotation Pro", "export it as a Praat TextGrid"),
    ".xmi": ("file of WebAnno or INCEpTION", "write a tab-separated table with path, start, end and label"),
}


def kind_of(path: Path) -> Kind | None:
    """Return the kind of annotations that a file or a folder holds; None: another file.

    Raises:
        InputError: the file holds annotations of a kind that is not read; the message has the line that converts them.
    """
    if path.is_dir():
        return "kaldi" if (path / WAV_SCP).is_file() else None
    if unread := UNREAD.get(path.suffix.lower()):
        raise InputError(f"{path} is a {unread[0]}, which is not read: {unread[1]}")
    if not _is_file(path):
        return _SUFFIXES.get(path.suffix.lower())  # whoever reads it says that it is missing
    if path.name in KALDI_FILES and (path.name != "text" or (path.parent / WAV_SCP).is_file()):
        return "kaldi"
    if kind := kind_in_folder(path):
        return kind
    return "lhotse" if path.name.lower().endswith(LHOTSE) and lhotse_role(path) else None


def kind_in_folder(path: Path, wanted: AnnotationKind = "auto") -> Kind | None:
    """Return the kind of a file below a folder of recordings; a manifest of recordings alone annotates nothing.

    Of a wanted kind, a single line that fits is enough; the others are set aside one by one.
    """
    suffix = path.suffix.lower()
    if suffix not in _LOOKED_INTO or not _is_file(path):  # a pipe of this name would wait for ever
        return None
    if path.name == WAV_SCP:
        return "kaldi"
    if kind := _SUFFIXES.get(suffix):
        return kind
    if path.name.lower().endswith(LHOTSE):
        return "lhotse" if lhotse_role(path) in ("supervisions", "cuts") else None
    if suffix not in _TEXTS:
        return None
    try:
        head = read_annotation_text(path, head=True)
        if formats.is_raven(head.partition("\n")[0]):
            return "raven"
        match suffix, wanted:
            case ".lab", "lab":
                return "lab" if formats.has_line(head, "lab") else None
            case ".txt", "audacity":
                return "audacity" if formats.has_line(head, "audacity") else None
            case ".lab", _:
                return "lab" if formats.is_lab(head) and formats.is_lab(read_annotation_text(path)) else None
            case ".txt", _ if formats.is_label_track(head):
                return "audacity" if formats.is_label_track(read_annotation_text(path)) else None
    except (OSError, InputError):
        pass
    return None


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file; false for a path that no file can have, or that is not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class Places:
    """The recordings below a root, by their names; letters may be upper or lower case, and composed or not."""

    def __init__(self, root: Path, recordings: Sequence[str]) -> None:
        self.root = root
        self._names: dict[str, list[str]] = defaultdict(list)  # stem, or whole name -> paths
        self._found: dict[tuple[str, Path], str] = {}
        self._roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
        for path in recordings:
            name = PurePosixPath(path)
            for each in {name.name, name.stem}:
                self._names[_fold(each)].append(path)

    def named_like(self, file: str) -> list[list[str]]:
        """Return the recordings of a file's name without its last ending, without the last two, and so on."""
        name, found = PurePosixPath(file).name, []
        while "." in name[1:]:
            name = name.rpartition(".")[0]
            found.append(self._names.get(_fold(name), []))
        return found

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file annotates: those of its name beside it.

        Without one, the only recording of its name in another folder: ``wav/a/1.wav`` for ``grid/a/1.lab``.
        """
        folder, named = PurePosixPath(file).parent, self.named_like(file)
        for same in named:
            if beside := [path for path in same if PurePosixPath(path).parent == folder]:
                return beside
        for same in named:
            for choice in (same, [path for path in same if PurePosixPath(path).parent.name == folder.name]):
                if len(choice) == 1:
                    return choice
        return []

    def named(self, name: str, file: str) -> str:
        """Return the recording that a file names, relative to the root, or absolute outside of it.

        Relative paths are those from the file's folder, the folders above it, the root, or the current folder.
        Otherwise the only recording of the same name is meant, because recordings move to other machines.

        Raises:
            InputError: there is no such recording, or there are several.
        """
        folder = Path(os.path.normpath((self.root / file).parent.absolute()))
        if (name, folder) in self._found:
            return self._found[name, folder]
        for base in (folder, self.root.absolute(), *list(folder.parents)[:3], Path.cwd()):
            path = Path(os.path.normpath(base / name))
            if _is_file(path):
                relative = [path.relative_to(root).as_posix() for root in self._roots if path.is_relative_to(root)]
                same = [*relative, str(path)][:1]
                break
        else:
            same = self._names.get(_fold(PurePosixPath(name.replace("\\", "/")).name), [])
        if len(same) > 1:
            raise InputError(f"{name:.200} is the name of {len(same)} recordings; write its folder as well")
        if not same:
            raise InputError(f"{name:.200} is not there (looked in {folder}, in the folders above, and in {self.root})")
        return self._found.setdefault((name, folder), same[0])


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


_WHOLE = Span(start=0.0, end=None)
_SAME_SECONDS = 0.002  # tools round to milliseconds
# kinds of reasons against annotations; strays may be something else
_STRAY, _EMPTY = "annotations without a recording", "annotations name no part of it"
_LEFT_OUT, _UNUSABLE = "annotation left out", "annotations not usable"


def annotations_below(folder: Folder, recordings: Sequence[str], config: AnnotationConfig) -> Found | None:
    """Return the annotated recordings among ``recordings``, which lie in the folder; None: there are no annotations.

    Raises:
        InputError: annotations of the wanted kind are missing or not usable; several kinds or tiers contradict each
            other, and no option chooses.
    """
    if config.kind == "none":
        return None
    root = folder.root
    found: dict[Kind, list[str]] = defaultdict(list)
    unread: Counter[str] = Counter()
    for name in sorted(folder.files):  # of equal parts the first file counts, in whichever order a disk lists them
        if (kind := kind_in_folder(root / name, config.kind)) is not None:
            found[kind].append(name)
        elif (suffix := PurePosixPath(name).suffix.lower()) in UNREAD:
            unread[suffix] += 1
    others = tuple(
        f"{count} {suffix} file{'s' if count > 1 else ''} ({UNREAD[suffix][0]}) not read: {UNREAD[suffix][1]}"
        for suffix, count in sorted(unread.items())
    )
    if config.kind != "auto" and config.kind not in found:
        rule = "; ".join([f"{root} holds no {FORMATS[config.kind].name}", *others])
        raise InputError(option="annotations", value=config.kind, rule=rule)
    wanted = [kind for kind in FORMATS if kind in found and config.kind in ("auto", kind)]
    readings = [_read(kind, found[kind], Places(root, recordings), config) for kind in wanted]
    _require_effect(readings, config)
    if config.labels is not None and len(wanted) > 1:  # the tier chooses among the kinds
        readings = [each for each in readings if not FORMATS[each.kind].has_tiers or each.files]
    annotated = _joined(root, readings, config)
    if annotated is None:
        return Found(root=root, described={}, notices=others) if others else None
    return replace(annotated, notices=(*annotated.notices, *others))


def annotations_in(path: Path, kind: Kind, root: Path, recordings: Sequence[str], config: AnnotationConfig) -> Found:
    """Return the recordings that one file of annotations, or one Kaldi folder, describes."""
    path = path / WAV_SCP if path.is_dir() else path
    reading = _read(kind, [os.path.relpath(path.absolute(), root.absolute())], Places(root, recordings), config)
    _require_effect([reading], config)
    if (annotated := _joined(root, [reading], config)) is None:
        problem = f"{path}: no recording of it can be used ({_reasons(reading.rejected)})"
        raise InputError(problem, remedy="set `root` to the folder of the recordings")
    return annotated


def _require_effect(readings: Sequence["AnnotationReading"], config: AnnotationConfig) -> None:
    """Refuse a tier that no file has, and a column for groups where there are no columns."""
    if config.labels is not None:
        with_tiers = [reading for reading in readings if FORMATS[reading.kind].has_tiers]
        without = next((reading.without_tier for reading in with_tiers if reading.without_tier), "")
        rule = ""
        if not with_tiers:
            rule = "it has no effect, as no file with tiers or columns was found: leave it out"
        elif without and not any(reading.files for reading in with_tiers):
            rule = f"no file has it ({without}): name one that the files have"
        if rule:
            raise InputError(option=config.option, value=config.labels, rule=rule)
    if config.group is not None and readings and not any(reading.kind == "raven" for reading in readings):
        rule = "it has no effect, as no selection table was found: leave it out"
        raise InputError(option="columns.group", value=config.group, rule=rule)


@dataclass(kw_only=True)
class AnnotationReading:
    """What the files of one kind say, filled file by file."""

    kind: Kind
    files: int = 0  # that were read, and have the wanted tier
    parts: dict[str, dict[Span, Description]] = field(default_factory=lambda: defaultdict(dict))  # by recording
    empty: dict[str, str] = field(default_factory=dict)  # recordings whose annotations name no part -> the file
    rejected: list[Rejected] = field(default_factory=list)
    gaps: int = 0
    points: int = 0
    without_tier: str = ""  # an example, in words

    def set_aside(self, recordings: Iterable[str], kind: str, why: str, *, parts: int = 0) -> None:
        """Set recordings aside whose annotations, or some parts of them, cannot be used."""
        reason = f"{kind}: {why}"
        self.rejected += [Rejected(path=path, reason=reason, kind=kind, segments=parts) for path in recordings]

    def add(self, each: Annotation, recordings: Sequence[str], tier: Tier, file: str) -> None:
        """Add a part to its recordings, or the reason why it is left out."""
        fault = each.fault or (None if recordings else "it names no recording")
        for recording in recordings or [each.recording or file]:
            try:
                if fault:
                    raise InputError(fault)
                later = _origin(tier.media, recording)  # only of ELAN, whose times are numbers
                times = {name: repr(round(float(each.fields[name]) + later, 9)) for name in SPAN_FIELDS if later}
                known = describe({**each.fields, **times}, each.where)
            except InputError as error:
                reason = f"{each.where}: {str(error).removeprefix(f'{each.where}: ')}"
                return self.set_aside([recording], _LEFT_OUT, reason, parts=1)
            first = self.parts[recording].setdefault(known.span or _WHOLE, known)
            if first.label != known.label:
                problem = f"{each.where}: the same start and end as {first.where}, with another label"
                if known.annotated_channel != first.annotated_channel:  # one clip would have two labels
                    problem += " for another channel, and a part has the sound of all channels; write one file for each"
                self.set_aside([recording], _LEFT_OUT, f"{problem} ({known.label}, and there {first.label})", parts=1)


def _read(kind: Kind, files: Sequence[str], places: Places, config: AnnotationConfig) -> AnnotationReading:
    """Read all files of a kind. A faulty file is set aside.

    Raises:
        InputError: several tiers of a file have annotations, and no option chooses one.
    """
    reading, form = AnnotationReading(kind=kind), FORMATS[kind]
    listed = [PurePosixPath(name) for name in files] if form.names_recordings else []
    around = [*listed[0].parents] if listed else []  # a folder around all files divides none of them
    shared = next((folder for folder in around if all(folder in name.parents for name in listed)), PurePosixPath())
    splits = {str(name): split for name in listed if (split := known_split(str(name.relative_to(shared))))}
    for name in files:
        own = [] if form.names_recordings else places.of_file(name)
        try:
            found = form.read(places.root / name, name, config)
        except (OSError, InputError) as error:
            unreadable = isinstance(error, OSError)
            reason = f"{name} cannot be read: {getattr(error, 'strerror', None) or error}" if unreadable else str(error)
            reading.set_aside(own or [name], _UNUSABLE, reason)
            continue
        tier = _chosen(found, name, config) if form.has_tiers else found[0]
        if tier is None:
            reason = f"{name}: no tier or column {config.labels!r}; there are {_names(found)}"
            reading.without_tier = reading.without_tier or reason
            reading.set_aside(own, _UNUSABLE, reason)
            continue
        reading.files += 1
        reading.gaps += tier.gaps
        reading.points += tier.points
        for url in tier.media:  # an ELAN document names its recording
            with suppress(InputError):
                own = own or [places.named(url, name)]
        named = {each.recording for each in tier.annotations if each.recording is not None}
        if not own and not named and not form.names_recordings:
            same = next((found for found in places.named_like(name) if found), [])
            where = f"and {len(same)} recordings in other folders have this name" if same else f"in {places.root}"
            reading.set_aside([name], _STRAY, f"looked for {PurePosixPath(name).stem}.* {where}")
            continue
        points = f" ({tier.points} points, which have no length)" if tier.points else ""
        reading.empty |= {each: f"{name}{points}" for each in own if not tier.annotations}
        for each in tier.annotations:
            recordings = own
            if each.recording is not None:
                try:
                    recordings = [places.named(each.recording, name)]
                except InputError as error:  # the only recording that a file names may now have the name of the file
                    each = each if each.fault or (own and len(named) == 1) else replace(each, fault=str(error))
            if len({*splits.values()}) > 1 and name in splits:  # as in train/wav.scp and test/wav.scp
                each = replace(each, fields={**each.fields, "split": splits[name]})
            reading.add(each, recordings, tier, name)
    return reading


def _chosen(tiers: Sequence[Tier], shown: str, config: AnnotationConfig) -> Tier | None:
    """Return the wanted tier, or the only one that has annotations; None: the file has no tier of the wanted name.

    Raises:
        InputError: several tiers have annotations, and no option chooses one.
    """
    if config.labels is not None:
        return next((tier for tier in tiers if tier.name == config.labels), None)
    filled = [tier for tier in tiers if tier.annotations]
    if len(filled) > 1:
        problem = f"{shown}: {len(filled)} tiers or columns have labels: {_names(filled)}"
        remedy = f"choose one, such as `tier`={filled[0].name}, or `annotations`=none for whole recordings"
        raise InputError(problem, remedy=remedy)
    gaps, points = sum(tier.gaps for tier in tiers), sum(tier.points for tier in tiers)
    media = tiers[0].media if tiers else {}
    return filled[0] if filled else Tier(gaps=gaps, points=points, media=media)


def _names(tiers: Sequence[Tier], most: int = 8) -> str:
    names = [tier.name for tier in tiers[:most] if tier.name]
    return (", ".join(names) or "none") + (f" and {len(tiers) - most} more" if len(tiers) > most else "")


def _origin(media: Mapping[str, float], recording: str) -> float:
    """Return the second of a recording at which the time of a document begins: of the medium of its name."""
    names = {PurePosixPath(url.replace("\\", "/")): origin for url, origin in media.items()}
    own = PurePosixPath(recording)
    fitting = [origin for each, origin in names.items() if _fold(each.name) == _fold(own.name)]
    fitting += [origin for each, origin in names.items() if _fold(each.stem) == _fold(own.stem)]
    fitting += {*media.values()} if len({*media.values()}) == 1 else ()
    return fitting[0] if fitting else 0.0


def _joined(root: Path, readings: Sequence[AnnotationReading], config: AnnotationConfig) -> Found | None:
    """Join the kinds, of which each recording may have one, or several that agree."""
    kinds: dict[str, list[AnnotationReading]] = defaultdict(list)
    for reading in readings:
        for recording in reading.parts:
            kinds[recording].append(reading)
    agreeing: Counter[tuple[Kind, ...]] = Counter()
    parts: dict[str, Sequence[Description]] = {}
    for recording, several in sorted(kinds.items()):
        first, *others = ([*each.parts[recording].values()] for each in several)
        parts[recording] = first
        if not all(_agree(first, other) for other in others):
            differing = ", ".join(f"{each.kind} with {counted(len(each.parts[recording]), 'part')}" for each in several)
            problem = f"{root / recording} has annotations of {len(several)} kinds that differ ({differing})"
            remedy = f"choose one, such as `annotations`={several[0].kind}, or `annotations`=none for whole recordings"
            raise InputError(problem, remedy=remedy)
        if len(several) > 1:
            agreeing[tuple(reading.kind for reading in several)] += 1
    rejected = [each for reading in readings for each in reading.rejected]
    rejected += [
        Rejected(path=recording, reason=f"{_EMPTY}: {file}", kind=_EMPTY)
        for reading in readings
        for recording, file in reading.empty.items()
        if recording not in parts
    ]
    if not parts:
        meant = any(each.kind != _STRAY for each in rejected)  # files that belong to no recording are something else
        if readings and (config.kind != "auto" or meant):
            problem = f"{root}: none of its annotations can be used ({_reasons(rejected)})"
            raise InputError(problem, remedy="mend them, or use whole recordings with `annotations`=none")
        return None

    used = [each for each in readings if each.files and any(several[0] is each for several in kinds.values())]
    files = ", ".join(counted(reading.files, FORMATS[reading.kind].name) for reading in used)
    every = [known for several in parts.values() for known in several]
    notices = [f"{counted(len(every), 'annotated part')} of {counted(len(parts), 'recording')} from {files}"]
    if gaps := sum(reading.gaps for reading in used):
        notices.append(f"{counted(gaps, 'interval')} without text are gaps between parts, and not used")
    if points := sum(reading.points for reading in used):
        notices.append(f"{counted(points, 'point')} without a length are not used")
    if unlabelled := sum(known.label is None for known in every):
        notices.append(f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips")
    if any(known.low_hz is not None or known.annotated_channel is not None for known in every):
        notices.append("frequency bounds and channels of annotations cut nothing out of the sound")
    for chosen, count in agreeing.items():
        same = f"{chosen[0]} is used, and {', '.join(chosen[1:])} say the same"
        notices.append(f"{counted(count, 'recording')} with several kinds of annotations: {same} (`annotations`)")

    # A Kaldi folder holds no recordings: the common folder of those that it names is then the root.
    outside = [path for path in parts if PurePosixPath(path).is_absolute()]
    base = root
    if len(outside) < len(parts):
        reason = f"lies outside {root}; set the root to a folder that holds all recordings"
        rejected += [Rejected(path=path, reason=reason) for path in outside]
        below = {path: tuple(each) for path, each in parts.items() if path not in outside}
    else:
        base = Path(os.path.commonpath([PurePosixPath(path).parent for path in outside]))
        below = {PurePosixPath(path).relative_to(base).as_posix(): tuple(each) for path, each in parts.items()}
    return Found(root=base, described=below, rejected=tuple(rejected), notices=tuple(notices))


def _reasons(rejected: Sequence[Rejected]) -> str:
    """Show the first reason in full, and count the others."""
    if not rejected:
        return "they name no part"
    more = f"; and {len(rejected) - 1} more" if len(rejected) > 1 else ""
    return f"{rejected[0].path}: {rejected[0].reason}{more}"


def _agree(one: Sequence[Description], other: Sequence[Description]) -> bool:
    """Return whether two files name the same parts with the same labels."""

    def keys(several: Sequence[Description]) -> list[tuple[float, float, str]]:
        spans = [(known.span or _WHOLE, known.label or "") for known in several]
        return sorted((span.start, float("inf") if span.end is None else span.end, label) for span, label in spans)

    return len(one) == len(other) and all(
        a[2] == b[2] and abs(a[0] - b[0]) <= _SAME_SECONDS and (a[1] == b[1] or abs(a[1] - b[1]) <= _SAME_SECONDS)
        for a, b in zip(keys(one), keys(other), strict=True)
    )
