"""Annotations of the recordings of a folder: the files beside them, or one file, as parts of each recording.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav``, in the same folder or else anywhere below the root if only one recording has this name. Some
files name their recordings themselves.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.annotations import lines, tiers
from wordless.audio.recordings.annotations.annotation import (
    KINDS,
    Annotation,
    AnnotationConfig,
    AnnotationKind,
    Kind,
    NoTierError,
    Tier,
    choose_tier,
    decoded,
    read_bytes,
    read_text,
)
from wordless.audio.recordings.annotations.data_folders import (
    KALDI_FILES,
    LHOTSE,
    WAV_SCP,
    first_line,
    kaldi,
    lhotse,
    lhotse_role,
)
from wordless.audio.recordings.description import SPAN_FIELDS, Description, describe
from wordless.audio.recordings.manifest import Rejected
from wordless.base.errors import InputError
from wordless.base.text import counted

NAMES: Mapping[Kind, str] = {
    "raven": "Raven selection table",
    "elan": "ELAN document",
    "textgrid": "Praat TextGrid",
    "audacity": "Audacity label track",
    "kaldi": "Kaldi data folder",
    "lhotse": "lhotse manifest",
    "rttm": "RTTM file",
    "ctm": "CTM file",
    "lab": ".lab file",
}
_TEXTS = (".txt", ".tsv", ".selections", ".lab")
_SUFFIXES: Mapping[str, Kind] = {".textgrid": "textgrid", ".eaf": "elan", ".rttm": "rttm", ".ctm": "ctm"}
# Other annotations that people have beside recordings: what they are, and what makes a file of them that is read.
_IMPORT = "import it into ELAN (File > Import), and save it as .eaf"
UNREAD: Mapping[str, tuple[str, str]] = {
    ".svl": (
        "layer of Sonic Visualiser",
        "export the layer as text, and awk -F'\\t' -v OFS='\\t' '{print $1, $1+$3, $4}' layer.txt > a.txt",
    ),
    ".boris": ("project of BORIS", "choose Observations > Export events > Praat TextGrid"),
    ".phn": ("TIMIT transcription", """awk -v OFS='\\t' '{print $1/16000, $2/16000, $3}' a.phn > a.txt"""),
    ".wrd": ("TIMIT transcription", """awk -v OFS='\\t' '{print $1/16000, $2/16000, $3}' a.wrd > a.txt"""),
    ".mlf": ("master label file of HTK", "write one .lab for each recording (HLEd -l DIRECTORY)"),
    ".trs": ("file of Transcriber", _IMPORT),
    ".cha": ("CHAT transcript", _IMPORT),
    ".srt": ("subtitle file", _IMPORT),
    ".vtt": ("subtitle file", _IMPORT),
    ".exb": ("EXMARaLDA transcription", "choose File > Export > Praat TextGrid in the Partitur Editor"),
    ".antx": ("file of Annotation Pro", "export it as a Praat TextGrid"),
    ".xmi": ("file of WebAnno or INCEpTION", "write a tab-separated table with path, start, end and label"),
}
_LOOKED_INTO = (*_TEXTS, *_SUFFIXES, ".scp", ".jsonl", ".gz")
_HEAD = 1 << 16  # bytes that show whether a text may hold annotations
_SAME_SECONDS = 0.002  # tools round to milliseconds
Parts = dict[str, tuple[Description, ...]]


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """Recordings with the parts that annotations name."""

    root: Path
    parts: Parts  # of each recording, by its path relative to the root
    rejected: tuple[Rejected, ...]
    notices: tuple[str, ...]  # a sentence each


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
    return _kind_in_folder(path) or ("lhotse" if _role(path) else None)


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file; false for a path that no file can have, or that is not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _role(path: Path) -> str | None:
    return lhotse_role(first_line(path)) if path.name.lower().endswith(LHOTSE) else None


def _kind_in_folder(path: Path, wanted: AnnotationKind = "auto") -> Kind | None:
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
        return "lhotse" if _role(path) in ("supervisions", "cuts") else None
    if suffix not in _TEXTS:
        return None
    try:
        with path.open("rb") as file:
            head = decoded(file.read(_HEAD)).replace("\r", "\n")
        if lines.is_raven(head.partition("\n")[0]):
            return "raven"
        if suffix == ".lab":
            fits = lines.has_line(head, "lab") if wanted == "lab" else lines.is_lab(read_text(path))
            return "lab" if fits else None
        if suffix == ".txt" and wanted == "audacity":
            return "audacity" if lines.has_line(head, "audacity") else None
        # The last line of the head may be cut off.
        beginning = head.rpartition("\n")[0] if len(head) >= _HEAD // 4 else head
        may_be = suffix == ".txt" and lines.is_label_track(beginning)
        return "audacity" if may_be and lines.is_label_track(read_text(path)) else None
    except (OSError, InputError):
        return None


def annotations_below(
    root: Path, recordings: Sequence[str], files: Iterable[str], config: AnnotationConfig, *, option: str
) -> Annotated | None:
    """Return the annotated recordings among ``recordings``; ``files`` are all files below the root.

    None: there are no annotations. ``option`` names the root in messages.

    Raises:
        InputError: annotations of the wanted kind are missing or not usable; several kinds or tiers contradict each
            other, and no option chooses.
    """
    if config.kind == "none":
        return None
    found: dict[Kind, list[str]] = defaultdict(list)
    unread: Counter[str] = Counter()
    for name in sorted(files):  # of equal parts the first file counts, in whichever order a disk lists them
        if (kind := _kind_in_folder(root / name, config.kind)) is not None:
            found[kind].append(name)
        elif (suffix := PurePosixPath(name).suffix.lower()) in UNREAD:
            unread[suffix] += 1
    wanted = [config.kind] if config.kind != "auto" else [kind for kind in KINDS if kind in found]
    others = _unread_notices(unread)
    if config.kind != "auto" and not found.get(config.kind):
        raise InputError(
            f"{config.prefix}annotations={config.kind}, and {option}={root} holds no {NAMES[config.kind]}"
            + "".join(f"; {notice}" for notice in others)
        )
    places = _Places(root, recordings) if wanted else None
    readings = [_read(kind, found[kind], places, config) for kind in wanted] if places else []
    if config.tier is not None:
        _require_tier([reading for reading in readings if reading.kind in _TIERED], config)
        if len(wanted) > 1:  # the tier chooses among the kinds
            readings = [each for each in readings if each.kind not in _TIERED or each.has_tier]
    if readings:
        _require_group(readings, config)
    annotated = _joined(root, readings, config, option)
    if annotated is None:
        return Annotated(root=root, parts={}, rejected=(), notices=others) if others else None
    return replace(annotated, notices=(*annotated.notices, *others))


def annotations_in(
    path: Path, kind: Kind, root: Path, recordings: Sequence[str], config: AnnotationConfig, *, option: str
) -> Annotated:
    """Return the recordings that one file of annotations, or one Kaldi folder, describes."""
    path = path / WAV_SCP if path.is_dir() else path
    reading = _read(kind, [os.path.relpath(path.absolute(), root.absolute())], _Places(root, recordings), config)
    if config.tier is not None:
        _require_tier([reading] if kind in _TIERED else [], config)
    _require_group([reading], config)
    if (annotated := _joined(root, [reading], config, option)) is None:
        reasons = _reasons(reading.rejected)
        remedy = "set corpus.root to the folder of the recordings"
        raise InputError(f"{option}={path}: no recording of it can be used ({reasons}); {remedy}")
    return annotated


_TIERED = ("raven", "elan", "textgrid")


@dataclass(kw_only=True)
class _Reading:
    """What the files of one kind say, filled file by file."""

    kind: Kind
    files: int = 0
    parts: dict[str, list[Description]] = field(default_factory=lambda: defaultdict(list))  # by recording
    empty: dict[str, str] = field(default_factory=dict)  # recordings whose annotations name no part -> the file
    rejected: list[Rejected] = field(default_factory=list)
    gaps: int = 0
    points: int = 0
    repeats: int = 0
    has_tier: bool = False
    without_tier: str = ""  # an example, in words


def _read(kind: Kind, files: Sequence[str], places: "_Places", config: AnnotationConfig) -> _Reading:
    """Read all files of a kind."""
    reading = _Reading(kind=kind)
    seen: dict[tuple[str, float, float | None], Description] = {}
    for name in files:
        own = [] if kind in ("kaldi", "lhotse", "rttm", "ctm") else places.of_file(name)
        try:
            tier = _parsed(kind, places.root / name, name, config)
        except NoTierError as error:
            reading.without_tier = reading.without_tier or str(error)
            reading.rejected += [_whole(each, str(error)) for each in own]
            continue
        except _UnreadableError as error:
            reading.rejected += [_whole(each, str(error)) for each in own or [name]]
            continue
        reading.files += 1
        reading.has_tier = True
        reading.gaps += tier.gaps
        reading.points += tier.points
        if kind == "elan" and not own:
            own = places.of_media(name)
        named = {each.recording for each in tier.annotations if each.recording is not None}
        if not own and not named and kind not in ("kaldi", "lhotse", "rttm", "ctm"):
            reason = f"annotations without a recording: looked for {places.stem_of(name)}.* {places.why(name)}"
            reading.rejected.append(Rejected(path=name, reason=reason))
            continue
        points = f" ({tier.points} points, which have no length)" if tier.points else ""
        reading.empty |= {each: f"{name}{points}" for each in own if not tier.annotations}
        for origin, recordings in _by_origin(kind, places.root / name, own).items():
            for each in tier.annotations:
                _add(_later(each, origin), recordings, name, places, reading, seen, renamed=len(named) == 1)
    return reading


def _by_origin(kind: Kind, path: Path, own: Sequence[str]) -> dict[float, list[str]]:
    """Return the recordings of a file by the second at which its time begins in them, which ELAN can move."""
    media = tiers.media_of(read_bytes(path, xml=True), path.name) if kind == "elan" and own else ()
    origins: dict[float, list[str]] = defaultdict(list)
    for recording in own:
        name = PurePosixPath(recording).name
        same = [each for each in media if _fold(name) in map(_fold, each.files)]
        alike = [each for each in media if _fold(_stem(name)) in map(_fold, map(_stem, each.files))]
        medium = next(iter([*same, *alike]), media[0] if len(media) == 1 else None)
        origins[medium.origin if medium else 0.0].append(recording)
    return origins or {0.0: []}


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _later(each: Annotation, seconds: float) -> Annotation:
    """Return a part that begins later in its recording."""
    if not seconds or each.fault:
        return each
    try:
        times = {name: repr(round(float(each.fields[name]) + seconds, 9)) for name in SPAN_FIELDS}
    except ValueError:  # reported when the part is described
        return each
    return replace(each, fields={**each.fields, **times})


class _UnreadableError(InputError):
    """A file of annotations that cannot be read; others go on."""


def _whole(recording: str, reason: str) -> Rejected:
    return Rejected(path=recording, reason=f"annotations not usable: {reason}")


def _parsed(kind: Kind, path: Path, shown: str, config: AnnotationConfig) -> Tier:
    """Read a file and choose the tier. A faulty file raises `_UnreadableError`, a missing choice `InputError`."""
    try:
        found = list(_tiers(kind, path, shown, config))
    except OSError as error:
        raise _UnreadableError(f"{shown} cannot be read: {error.strerror or error}") from error
    except InputError as error:
        raise _UnreadableError(str(error)) from error
    wanted = config.tier if kind in _TIERED else None
    return choose_tier(found, wanted, shown, config)


def _tiers(kind: Kind, path: Path, shown: str, config: AnnotationConfig) -> list[Tier]:
    match kind:
        case "raven":
            return lines.raven(read_text(path), shown, config.tier, config.group)
        case "audacity":
            return lines.audacity(read_text(path), shown)
        case "lab":
            return lines.lab(read_text(path), shown)
        case "rttm":
            return lines.rttm(read_text(path), shown)
        case "ctm":
            return lines.ctm(read_text(path), shown)
        case "textgrid":
            return tiers.textgrid(read_text(path), shown)
        case "elan":
            return tiers.elan(read_bytes(path, xml=True), shown)
        case "kaldi":
            return kaldi(path.parent, str(PurePosixPath(shown).parent))
        case "lhotse":
            return lhotse(path, shown)


def _add(
    each: Annotation,
    own: Sequence[str],
    file: str,
    places: "_Places",
    reading: _Reading,
    seen: dict[tuple[str, float, float | None], Description],
    *,
    renamed: bool,
) -> None:
    """Add a part to its recordings, or the reason why it is left out.

    The only file that a table names may have another name now, which is that of the table: ``renamed``.
    """
    recordings: Sequence[str] = own
    fault = each.fault
    if each.recording is not None:
        try:
            recordings = [places.named(each.recording, file)]
        except InputError as error:
            fault = fault or (None if own and renamed else str(error))
    try:
        known = None if fault else describe(each.fields, each.where)
    except InputError as error:
        fault = str(error).removeprefix(f"{each.where}: ")
    if fault or known is None:
        path = (recordings or [each.recording or file])[0]
        reading.rejected.append(Rejected(path=path, reason=f"annotation left out: {each.where}: {fault}", segments=1))
        return
    for recording in recordings:
        span = known.span
        key = (recording, span.start if span else 0.0, span.end if span else None)
        first = seen.setdefault(key, known)
        if first is known:
            reading.parts[recording].append(known)
        elif first.label == known.label:
            reading.repeats += 1
        else:
            problem = f"{each.where}: the same start and end as {first.where}, with another label"
            if known.annotated_channel != first.annotated_channel:  # one clip would have two labels
                problem += " for another channel, and a part has the sound of all channels; write one file for each"
            reason = f"annotation left out: {problem} ({known.label}, and there {first.label})"
            reading.rejected.append(Rejected(path=recording, reason=reason, segments=1))


def _require_group(readings: Sequence[_Reading], config: AnnotationConfig) -> None:
    """Refuse a column for groups where there are no columns."""
    if config.group is not None and not any(reading.kind == "raven" for reading in readings):
        option = f"{config.prefix}columns.group={config.group}"
        raise InputError(f"{option} has no effect: no selection table was found; leave it out")


def _require_tier(readings: Sequence[_Reading], config: AnnotationConfig) -> None:
    """Refuse a tier that no file has."""
    option = f"{config.prefix}{config.tier_option}={config.tier}"
    if not readings:
        raise InputError(f"{option} has no effect: no file with tiers or columns was found; leave it out")
    if not any(reading.has_tier for reading in readings):
        without = next((reading.without_tier for reading in readings if reading.without_tier), "")
        if without:
            raise InputError(f"{option}: no file has it ({without}); name one that the files have")


def _joined(root: Path, readings: Sequence[_Reading], config: AnnotationConfig, option: str) -> Annotated | None:
    """Join the kinds, of which each recording may have one, or several that agree."""
    kinds: dict[str, list[_Reading]] = defaultdict(list)
    for reading in readings:
        for recording in reading.parts:
            kinds[recording].append(reading)
    agreeing: Counter[tuple[Kind, ...]] = Counter()
    parts: dict[str, Sequence[Description]] = {}
    for recording, several in sorted(kinds.items()):
        first = several[0]
        for other in several[1:]:
            if not _agree(first.parts[recording], other.parts[recording]):
                raise _contradiction(recording, several, config, f"{option}={root}")
        if len(several) > 1:
            agreeing[tuple(reading.kind for reading in several)] += 1
        parts[recording] = first.parts[recording]
    rejected = [each for reading in readings for each in reading.rejected]
    rejected += [
        Rejected(path=recording, reason=f"annotations name no part of it: {file}")
        for reading in readings
        for recording, file in reading.empty.items()
        if recording not in parts
    ]
    if not parts:
        _require_none_meant(readings, rejected, config, f"{option}={root}")
        return None
    base, described, outside = _below_one_root(root, parts)
    used = [reading for reading in readings if any(several[0] is reading for several in kinds.values())]
    notices = [*_notices(used, parts.values(), config), *_agreements(agreeing, config)]
    return Annotated(root=base, parts=described, rejected=(*rejected, *outside), notices=tuple(notices))


def _require_none_meant(
    readings: Sequence[_Reading], rejected: Sequence[Rejected], config: AnnotationConfig, at: str
) -> None:
    """Refuse annotations of which none can be used; files that belong to no recording are something else."""
    stray = [each for each in rejected if each.reason.startswith("annotations without")]
    if readings and (config.kind != "auto" or len(stray) < len(rejected)):
        raise InputError(
            f"{at}: none of its annotations can be used ({_reasons(rejected)}); mend them, or use whole recordings "
            f"with {config.prefix}annotations=none"
        )


def _reasons(rejected: Sequence[Rejected]) -> str:
    """Show the first reason in full, and count the others."""
    if not rejected:
        return "they name no part"
    more = f"; and {len(rejected) - 1} more" if len(rejected) > 1 else ""
    return f"{rejected[0].path}: {rejected[0].reason}{more}"


def _agree(one: Sequence[Description], other: Sequence[Description]) -> bool:
    """Return whether two files name the same parts with the same labels."""
    if len(one) != len(other):
        return False
    return all(
        a[2] == b[2] and abs(a[0] - b[0]) <= _SAME_SECONDS and (a[1] == b[1] or abs(a[1] - b[1]) <= _SAME_SECONDS)
        for a, b in zip(sorted(map(_key, one)), sorted(map(_key, other)), strict=True)
    )


def _key(known: Description) -> tuple[float, float, str]:
    """Return start, end and label of a part for a comparison."""
    span = known.span
    end = float("inf") if span is None or span.end is None else span.end
    return (span.start if span else 0.0, end, known.label or "")


def _contradiction(recording: str, several: Sequence[_Reading], config: AnnotationConfig, at: str) -> InputError:
    parts = ", ".join(f"{reading.kind} with {counted(len(reading.parts[recording]), 'part')}" for reading in several)
    option = f"{config.prefix}annotations"
    return InputError(
        f"{at}: {recording} has annotations of {len(several)} kinds that differ ({parts}); choose one, such as "
        f"{option}={several[0].kind}, or {option}=none for whole recordings"
    )


def _notices(
    readings: Sequence[_Reading], parts: Collection[Sequence[Description]], config: AnnotationConfig
) -> Iterator[str]:
    """Give sentences on the number of parts, on what is no part, and on what has no effect."""
    files = ", ".join(counted(reading.files, NAMES[reading.kind]) for reading in readings if reading.files)
    every = [known for several in parts for known in several]
    yield f"{counted(len(every), 'annotated part')} of {counted(len(parts), 'recording')} from {files}"
    if gaps := sum(reading.gaps for reading in readings):
        yield f"{counted(gaps, 'interval')} without text are gaps between parts, and not used"
    if points := sum(reading.points for reading in readings):
        yield f"{counted(points, 'point')} without a length are not used"
    if unlabelled := sum(known.label is None for known in every):
        yield f"{counted(unlabelled, 'part')} without a label are used as unlabelled clips"
    if any(known.low_hz is not None or known.annotated_channel is not None for known in every):
        kept = "kept in manifest.tsv" if config.prefix else "not kept"
        yield f"frequency bounds and channels of annotations are {kept}, and cut nothing out of the sound"


def _agreements(agreeing: Mapping[tuple[Kind, ...], int], config: AnnotationConfig) -> Iterator[str]:
    for kinds, count in agreeing.items():
        same = f"{kinds[0]} is used, and {', '.join(kinds[1:])} say the same"
        yield f"{counted(count, 'recording')} with several kinds of annotations: {same} ({config.prefix}annotations)"


def _unread_notices(unread: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        f"{count} {suffix} file{'s' if count > 1 else ''} ({UNREAD[suffix][0]}) not read: {UNREAD[suffix][1]}"
        for suffix, count in sorted(unread.items())
    )


def _below_one_root(root: Path, parts: Mapping[str, Sequence[Description]]) -> tuple[Path, Parts, tuple[Rejected, ...]]:
    """Return the root, and the parts by path below it.

    A Kaldi folder holds no recordings: the common folder of those that it names is then the root.
    """
    outside = [path for path in parts if PurePosixPath(path).is_absolute()]
    if len(outside) < len(parts):
        reason = f"lies outside {root}; set the root to a folder that holds all recordings"
        kept = {path: tuple(each) for path, each in parts.items() if path not in outside}
        return root, kept, tuple(Rejected(path=path, reason=reason) for path in outside)
    base = Path(os.path.commonpath([PurePosixPath(path).parent for path in outside]))
    return base, {PurePosixPath(path).relative_to(base).as_posix(): tuple(each) for path, each in parts.items()}, ()


class _Places:
    """The recordings below a root, by their names; letters may be upper or lower case, and composed or not."""

    def __init__(self, root: Path, recordings: Sequence[str]) -> None:
        self.root = root
        self._known = set(recordings)
        self._names: dict[str, list[str]] = defaultdict(list)  # stem, or whole name -> paths
        self._found: dict[tuple[str, str], str] = {}
        self._roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
        for path in recordings:
            name = PurePosixPath(path).name
            for each in {name, PurePosixPath(name).stem}:
                self._names[_fold(each)].append(path)

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file beside them annotates."""
        folder = str(PurePosixPath(file).parent)
        for name in _shortened(PurePosixPath(file).name):
            same = self._names.get(_fold(name), [])
            if beside := [path for path in same if str(PurePosixPath(path).parent) == folder]:
                return beside
        return self._elsewhere(file)

    def _elsewhere(self, file: str) -> list[str]:
        """Return the only recording of a file's name in another folder: ``wav/a/1.wav`` for ``grid/a/1.lab``."""
        for name in _shortened(PurePosixPath(file).name):
            same = self._names.get(_fold(name), [])
            alike = [path for path in same if PurePosixPath(path).parent.name == PurePosixPath(file).parent.name]
            for choice in (same, alike):
                if len(choice) == 1:
                    return choice
        return []

    def of_media(self, file: str) -> list[str]:
        """Return the recording that an ELAN document names."""
        media = tiers.media_of(read_bytes(self.root / file, xml=True), file)
        for name in (name for each in media for name in each.urls):
            try:
                return [self.named(name, file)]
            except InputError:
                continue
        return []

    def stem_of(self, file: str) -> str:
        """Return the longest name that a recording of this file may have."""
        return PurePosixPath(PurePosixPath(file).name).stem

    def why(self, file: str) -> str:
        """Say how many recordings have the name of a file, if it is not one."""
        names = _shortened(PurePosixPath(file).name)
        same = next((found for name in names if (found := self._names.get(_fold(name)))), [])
        return f"and {len(same)} recordings in other folders have this name" if same else f"in {self.root}"

    def named(self, name: str, file: str) -> str:
        """Return the recording that a file names, relative to the root, or absolute outside of it.

        Relative paths are those from the file's folder, the folders above it, the root, or the current folder.
        Otherwise the only recording of the same name is meant, because recordings move to other machines.

        Raises:
            InputError: there is no such recording, or there are several.
        """
        key = (name, str(PurePosixPath(file).parent))
        if key not in self._found:
            self._found[key] = self._find(name, (self.root / file).parent)
        return self._found[key]

    def _find(self, name: str, folder: Path) -> str:
        folder = Path(os.path.normpath(folder.absolute()))
        for base in (folder, self.root.absolute(), *list(folder.parents)[:3], Path.cwd()):
            path = Path(os.path.normpath(base / name))
            if _is_file(path):
                relative = [path.relative_to(root).as_posix() for root in self._roots if path.is_relative_to(root)]
                return relative[0] if relative else str(path)
        last = PurePosixPath(name.replace("\\", "/")).name
        same = self._names.get(_fold(last), [])
        if len(same) == 1:
            return same[0]
        if same:
            raise InputError(f"{name:.200} is the name of {len(same)} recordings; write its folder as well")
        raise InputError(f"{name:.200} is not there (looked in {folder}, in the folders above, and in {self.root})")


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shortened(name: str) -> Iterator[str]:
    """Give a name without its last ending, without the last two, and so on."""
    while "." in name[1:]:
        name = name.rpartition(".")[0]
        yield name
