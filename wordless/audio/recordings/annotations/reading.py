"""Annotations of the recordings of a folder, or of one file, as parts of each recording.

Each recording may have annotations of one kind, or of several kinds that agree.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.annotations.annotation import Annotation, AnnotationConfig, Kind, Medium, Tier
from wordless.audio.recordings.annotations.data_folders import WAV_SCP
from wordless.audio.recordings.annotations.finding import FORMATS, UNREAD, Places, fold, kind_in_folder
from wordless.audio.recordings.description import SPAN_FIELDS, Description, describe
from wordless.audio.recordings.folders import Folder
from wordless.audio.recordings.manifest import Rejected
from wordless.base.errors import InputError
from wordless.base.text import counted

_SAME_SECONDS = 0.002  # tools round to milliseconds
_STRAY = "annotations without a recording"  # files that may be something else
Parts = dict[str, tuple[Description, ...]]


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """Recordings with the parts that annotations name."""

    root: Path
    parts: Parts  # of each recording, by its path relative to the root
    rejected: tuple[Rejected, ...]
    notices: tuple[str, ...]  # a sentence each


def annotations_below(
    folder: Folder, recordings: Sequence[str], config: AnnotationConfig, *, option: str
) -> Annotated | None:
    """Return the annotated recordings among ``recordings``, which lie in the folder.

    None: there are no annotations. ``option`` names the root in messages.

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
    wanted = [config.kind] if config.kind != "auto" else [kind for kind in FORMATS if kind in found]
    others = _unread_notices(unread)
    if config.kind != "auto" and not found.get(config.kind):
        raise InputError(
            f"{config.prefix}annotations={config.kind}, and {option}={root} holds no {FORMATS[config.kind].name}"
            + "".join(f"; {notice}" for notice in others)
        )
    readings = [Reading.of(kind, found[kind], Places(root, recordings), config) for kind in wanted]
    if config.tier is not None:
        _require_tier([reading for reading in readings if reading.has_tiers], config)
        if len(wanted) > 1:  # the tier chooses among the kinds
            readings = [each for each in readings if not each.has_tiers or each.files]
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
    reading = Reading.of(kind, [os.path.relpath(path.absolute(), root.absolute())], Places(root, recordings), config)
    if config.tier is not None:
        _require_tier([reading] if reading.has_tiers else [], config)
    _require_group([reading], config)
    if (annotated := _joined(root, [reading], config, option)) is None:
        reasons = _reasons(reading.rejected)
        remedy = "set corpus.root to the folder of the recordings"
        raise InputError(f"{option}={path}: no recording of it can be used ({reasons}); {remedy}")
    return annotated


@dataclass(kw_only=True)
class Reading:
    """What the files of one kind say, filled file by file."""

    kind: Kind
    files: int = 0  # that were read, and have the wanted tier
    parts: dict[str, list[Description]] = field(default_factory=lambda: defaultdict(list))  # by recording
    empty: dict[str, str] = field(default_factory=dict)  # recordings whose annotations name no part -> the file
    rejected: list[Rejected] = field(default_factory=list)
    gaps: int = 0
    points: int = 0
    without_tier: str = ""  # an example, in words

    @classmethod
    def of(cls, kind: Kind, files: Sequence[str], places: Places, config: AnnotationConfig) -> "Reading":
        """Read all files of a kind. A faulty file is set aside.

        Raises:
            InputError: a file has several tiers, and no option chooses.
        """
        reading = cls(kind=kind)
        seen: dict[tuple[str, float, float | None], Description] = {}
        for name in files:
            reading._read(name, places, config, seen)
        return reading

    @property
    def has_tiers(self) -> bool:
        """Whether files of this kind have tiers or columns, of which one has the labels."""
        return FORMATS[self.kind].has_tiers

    def _read(
        self,
        name: str,
        places: Places,
        config: AnnotationConfig,
        seen: dict[tuple[str, float, float | None], Description],
    ) -> None:
        form = FORMATS[self.kind]
        own = [] if form.names_recordings else places.of_file(name)
        try:
            found = form.read(places.root / name, name, config)
        except OSError as error:
            self._set_aside(own or [name], f"{name} cannot be read: {error.strerror or error}")
            return
        except InputError as error:
            self._set_aside(own or [name], str(error))
            return
        tier = _chosen(found, name, config) if form.has_tiers else found[0]
        if tier is None:
            reason = f"{name}: no tier or column {config.tier!r}; there are {_names(found)}"
            self.without_tier = self.without_tier or reason
            self._set_aside(own, reason)
            return
        self.files += 1
        self.gaps += tier.gaps
        self.points += tier.points
        own = own or places.of_media(tier.media, name)
        named = {each.recording for each in tier.annotations if each.recording is not None}
        if not own and not named and not form.names_recordings:
            self.rejected.append(Rejected(path=name, reason=f"{_STRAY}: {places.looked_for(name)}", kind=_STRAY))
            return
        points = f" ({tier.points} points, which have no length)" if tier.points else ""
        self.empty |= {each: f"{name}{points}" for each in own if not tier.annotations}
        for origin, recordings in _by_origin(tier.media, own).items():
            for each in tier.annotations:
                self._add(_later(each, origin), recordings, name, places, seen, renamed=len(named) == 1)

    def _set_aside(self, recordings: Iterable[str], reason: str) -> None:
        reason = f"annotations not usable: {reason}"
        self.rejected += [Rejected(path=recording, reason=reason) for recording in recordings]

    def _add(
        self,
        each: Annotation,
        own: Sequence[str],
        file: str,
        places: Places,
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
            self.rejected.append(Rejected(path=path, reason=f"annotation left out: {each.where}: {fault}", segments=1))
            return
        for recording in recordings:
            span = known.span
            key = (recording, span.start if span else 0.0, span.end if span else None)
            first = seen.setdefault(key, known)
            if first is known:
                self.parts[recording].append(known)
            elif first.label != known.label:
                problem = f"{each.where}: the same start and end as {first.where}, with another label"
                if known.annotated_channel != first.annotated_channel:  # one clip would have two labels
                    problem += " for another channel, and a part has the sound of all channels; write one file for each"
                reason = f"annotation left out: {problem} ({known.label}, and there {first.label})"
                self.rejected.append(Rejected(path=recording, reason=reason, segments=1))


def _chosen(tiers: Sequence[Tier], shown: str, config: AnnotationConfig) -> Tier | None:
    """Return the wanted tier, or the only one that has annotations; None: the file has no tier of the wanted name.

    Raises:
        InputError: the file has several tiers, and no option chooses.
    """
    if config.tier is not None:
        return next((tier for tier in tiers if tier.name == config.tier), None)
    filled = [tier for tier in tiers if tier.annotations]
    if len(filled) > 1:
        raise InputError(
            f"{shown}: {len(filled)} tiers or columns have labels: {_names(filled)}; choose one, such as "
            f"{config.prefix}tier={filled[0].name}, or {config.prefix}annotations=none for whole recordings"
        )
    gaps, points = sum(tier.gaps for tier in tiers), sum(tier.points for tier in tiers)
    media = tiers[0].media if tiers else ()
    return filled[0] if filled else Tier(gaps=gaps, points=points, media=media)


def _names(tiers: Sequence[Tier], most: int = 8) -> str:
    names = [tier.name for tier in tiers[:most] if tier.name]
    return (", ".join(names) or "none") + (f" and {len(tiers) - most} more" if len(tiers) > most else "")


def _by_origin(media: Sequence[Medium], own: Sequence[str]) -> dict[float, list[str]]:
    """Return the recordings of a file by the second at which its time begins in them, which ELAN can move."""
    origins: dict[float, list[str]] = defaultdict(list)
    for recording in own:
        name = PurePosixPath(recording).name
        same = [each for each in media if fold(name) in map(fold, each.files)]
        alike = [each for each in media if fold(_stem(name)) in map(fold, map(_stem, each.files))]
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


def _require_group(readings: Sequence[Reading], config: AnnotationConfig) -> None:
    """Refuse a column for groups where there are no columns."""
    if config.group is not None and not any(reading.kind == "raven" for reading in readings):
        option = f"{config.prefix}columns.group={config.group}"
        raise InputError(f"{option} has no effect: no selection table was found; leave it out")


def _require_tier(readings: Sequence[Reading], config: AnnotationConfig) -> None:
    """Refuse a tier that no file has."""
    option = f"{config.prefix}{config.tier_option}={config.tier}"
    if not readings:
        raise InputError(f"{option} has no effect: no file with tiers or columns was found; leave it out")
    if not any(reading.files for reading in readings):
        without = next((reading.without_tier for reading in readings if reading.without_tier), "")
        if without:
            raise InputError(f"{option}: no file has it ({without}); name one that the files have")


def _joined(root: Path, readings: Sequence[Reading], config: AnnotationConfig, option: str) -> Annotated | None:
    """Join the kinds, of which each recording may have one, or several that agree."""
    kinds: dict[str, list[Reading]] = defaultdict(list)
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
    readings: Sequence[Reading], rejected: Sequence[Rejected], config: AnnotationConfig, at: str
) -> None:
    """Refuse annotations of which none can be used; files that belong to no recording are something else."""
    stray = [each for each in rejected if each.kind == _STRAY]
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


def _contradiction(recording: str, several: Sequence[Reading], config: AnnotationConfig, at: str) -> InputError:
    parts = ", ".join(f"{reading.kind} with {counted(len(reading.parts[recording]), 'part')}" for reading in several)
    option = f"{config.prefix}annotations"
    return InputError(
        f"{at}: {recording} has annotations of {len(several)} kinds that differ ({parts}); choose one, such as "
        f"{option}={several[0].kind}, or {option}=none for whole recordings"
    )


def _notices(
    readings: Sequence[Reading], parts: Collection[Sequence[Description]], config: AnnotationConfig
) -> Iterator[str]:
    """Give sentences on the number of parts, on what is no part, and on what has no effect."""
    files = ", ".join(counted(reading.files, FORMATS[reading.kind].name) for reading in readings if reading.files)
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
