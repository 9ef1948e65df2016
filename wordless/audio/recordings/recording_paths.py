"""Paths of recordings: one file, or all files below a folder."""

import errno
import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from wordless.audio.decoding import RecordingError, count_samples, open_recording
from wordless.audio.ffmpeg import FFMPEG_EXTENSIONS
from wordless.audio.recordings.annotations.annotation import AnnotationConfig
from wordless.audio.recordings.annotations.finding import kind_of
from wordless.audio.recordings.annotations.reading import Annotated, annotations_below, annotations_in
from wordless.audio.recordings.description import Description, Span
from wordless.audio.recordings.manifest import Rejected, clip_name
from wordless.audio.waveform import Part
from wordless.audio.windows import HEADERLESS
from wordless.base.errors import InputError

EXTENSIONS = (
    *("wav", "flac", "ogg", "oga", "opus", "mp3", "aiff", "aif", "aifc"),
    *("au", "snd", "caf", "w64", "rf64", "sph", "voc"),
    *("mp2", "mp1", "mpga", "mpa", "bwf", "bw64", "nist"),
    *HEADERLESS,  # set aside by name
    *FFMPEG_EXTENSIONS,  # set aside by name where FFmpeg's libraries are not installed
)
MOST_NAMED = 20  # file types in a message


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A recording, or a part of one that an annotation names."""

    path: str  # of the file, relative to the root
    part: Part | None = None  # at the file's rate; None: the whole recording
    sample_rate: int | None = None  # Hz, of the file; known for a part
    label: str | None = None
    group: str | None = None

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of a part in seconds; None: the whole recording."""
        return None if self.part is None or self.sample_rate is None else self.part.span(self.sample_rate)

    @property
    def name(self) -> str:
        """The path, and for a part also its span, as a clip of the corpus is named."""
        return clip_name(self.path, self.span)


class MissingRecordingError(InputError):
    """A table or a list names a recording that is not there."""


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Paths relative to ``root``, "/" between folders, sorted; some may have parts."""

    root: Path
    paths: tuple[str, ...]
    parts: tuple[Passage, ...] = ()  # of annotated recordings, in order of path and time
    rejected: tuple[Rejected, ...] = ()  # annotations that cannot be used
    notices: tuple[str, ...] = ()  # sentences about annotations

    @property
    def passages(self) -> tuple[Passage, ...]:
        """What a command reads: the parts, and each recording without parts as a whole; sorted by path."""
        annotated = {part.path for part in self.parts} | {each.path for each in self.rejected}
        whole = (Passage(path=path) for path in self.paths if path not in annotated)
        return tuple(sorted((*self.parts, *whole), key=lambda each: each.path))

    @property
    def size(self) -> int:
        """Sum the bytes of all existing files."""
        return sum(status.st_size for path in self.paths if (status := self._status(path)))

    @property
    def state(self) -> str:
        """Hash the files' names, sizes and times of change."""
        digest = hashlib.sha256()
        for path in self.paths:
            status = self._status(path)
            known = f"{status.st_size} {status.st_mtime_ns}" if status else "missing"
            digest.update(f"{path!r} {known}\n".encode())
        for part in self.parts:
            digest.update(f"{part.name!r} {part.label!r} {part.group!r}\n".encode())
        return digest.hexdigest()

    def _status(self, path: str) -> os.stat_result | None:
        """Return a file's status; None for a broken link, which is set aside later with undecodable files."""
        try:
            return (self.root / path).stat()
        except OSError:
            return None


def recordings_at(place: Path, annotations: AnnotationConfig | None = None) -> Recordings:
    """Find the recording ``place``, or all recordings below the folder ``place``, and their annotated parts.

    ``place`` may also be a file of annotations. Without ``annotations``, and for a single recording unless a kind or a
    tier is chosen, recordings are whole.
    """
    if is_missing(place):
        raise InputError(f"input={place} does not exist; name a recording, or a folder of recordings")
    config = annotations or AnnotationConfig(kind="none")
    if config.kind == "none" and config.tier is not None:
        problem = f"{config.prefix}tier={config.tier} has no effect with {config.prefix}annotations=none"
        raise InputError(f"{problem}; leave one of them out")
    if not os.path.isdir(place):  # noqa: PTH112  Path raises for long names; other kinds of files are set aside when they are read
        return _recording(place, config)
    files = list(files_below(place))
    found = annotations_below(place, some_paths(place, EXTENSIONS, files), files, config, option="input")
    if found and found.parts and found.root != place:  # a Kaldi folder, whose recordings lie elsewhere
        return _with_parts(Recordings(root=place, paths=()), found)
    paths = find_paths(place, EXTENSIONS, option="input", remedy="", files=files)
    return _with_parts(Recordings(root=place, paths=tuple(paths)), found)


def _recording(place: Path, config: AnnotationConfig) -> Recordings:
    """Find one recording, or those that a file of annotations names."""
    whole = Recordings(root=place.parent, paths=(place.name,))
    if config.kind == "none":
        return whole
    files = list(files_below(place.parent)) if place.name.lower().endswith(_ENDINGS) else []
    if files:
        chosen = config.kind != "auto" or config.tier is not None
        found = annotations_below(place.parent, [place.name], files, config, option="input") if chosen else None
        if found is not None:  # the files of other recordings are none of this one
            found = replace(found, rejected=tuple(each for each in found.rejected if each.path == place.name))
        if found is None or not found.parts:
            _require_no_tier(place, config)
        return _with_parts(whole, found)
    if (kind := kind_of(place) if config.kind == "auto" else config.kind) is None:
        _require_no_tier(place, config)
        return whole
    recordings = some_paths(place.parent, EXTENSIONS, list(files_below(place.parent)))
    found = annotations_in(place, kind, place.parent, recordings, config, option="input")
    return _with_parts(Recordings(root=place.parent, paths=()), found)


def _require_no_tier(place: Path, config: AnnotationConfig) -> None:
    """Refuse a tier where no annotations were found."""
    if config.tier is not None:
        problem = f"{config.prefix}tier={config.tier} has no effect on {place}, beside which no annotations of it lie"
        raise InputError(f"{problem}; leave it out, or name the file of annotations")


def _with_parts(recordings: Recordings, found: Annotated | None) -> Recordings:
    """Add the annotated parts to recordings; parts behind the end of a recording are set aside."""
    if found is None:
        return recordings
    parts: list[Passage] = []
    rejected = list(found.rejected)
    for path, several in sorted(found.parts.items()):
        try:
            with open_recording(found.root / path) as recording:
                rate, length = recording.samplerate, recording.declared
            length = count_samples(found.root / path) if length is None else length
        except RecordingError as error:
            rejected.append(Rejected(path=path, reason=error.reason))
            continue
        for known in sorted(several, key=lambda each: (each.span or _WHOLE).start):
            try:
                parts.append(_passage(path, known, length, rate))
            except InputError as error:
                rejected.append(Rejected(path=path, reason=f"{error} ({known.where})", segments=1))
    paths = tuple(sorted({*recordings.paths, *found.parts})) if found.root == recordings.root else tuple(found.parts)
    return Recordings(root=found.root, paths=paths, parts=tuple(parts), rejected=tuple(rejected), notices=found.notices)


_WHOLE = Span(start=0.0, end=None)
_ENDINGS = tuple(f".{each}" for each in EXTENSIONS)


def _passage(path: str, known: Description, num_samples: int, sample_rate: int) -> Passage:
    group = known.group or str(PurePosixPath(path).with_suffix(""))
    if known.span is None:
        return Passage(path=path, label=known.label, group=group)
    part = known.span.part(num_samples, sample_rate)
    whole = part.num_samples == num_samples
    return Passage(path=path, part=None if whole else part, sample_rate=sample_rate, label=known.label, group=group)


def find_paths(
    root: Path, extensions: Collection[str], *, option: str, remedy: str, files: Iterable[str] | None = None
) -> list[str]:
    """List the paths of the recordings below ``root``, sorted; ``option`` and ``remedy`` are for a message.

    ``files`` are all files below the root, if they are known.
    """
    wanted = {extension.lower().lstrip(".") for extension in extensions}
    others: Counter[str] = Counter()
    paths = []
    for path in files_below(root) if files is None else files:
        suffix = PurePosixPath(path).suffix.lower().lstrip(".")
        if suffix in wanted or _is_too_long(root / path):
            paths.append(path)  # inspection sets aside what is out of reach
        elif not os.path.isdir(root / path):  # noqa: PTH112  Path raises for long names
            others[suffix] += 1
    if not paths:
        most = "".join(f"; it holds {count} .{suffix} files" for suffix, count in others.most_common(1) if suffix)
        named = " ".join(f".{each}" for each in list(extensions)[:MOST_NAMED])
        more = f" and {len(extensions) - MOST_NAMED} more" if len(extensions) > MOST_NAMED else ""
        problem = f"{option}={root} holds no recordings{most}; looked for {named}{more}"
        raise InputError(f"{problem}, in sub-folders too: check the path, convert other formats to WAV or FLAC{remedy}")
    return sorted(paths)


def some_paths(root: Path, extensions: Collection[str], files: Sequence[str]) -> list[str]:
    """List the recordings among the files below ``root`` as `find_paths` does; there may be none."""
    try:
        return find_paths(root, extensions, option="", remedy="", files=files)
    except InputError:
        return []


def files_below(root: Path) -> Iterator[str]:
    """List the paths of all files and folders below ``root`` except hidden ones; those of each folder in order.

    Links are followed, each folder once. A folder may have a recording's name: the folder is then set aside by name,
    and the recordings in it are found as well.
    """
    entered = set()
    for folder, subfolders, names in os.walk(root, onerror=_unlisted, followlinks=True):
        status = Path(folder).stat()
        here = (status.st_dev, status.st_ino)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".")) if here not in entered else []
        if here in entered:
            continue
        entered.add(here)
        below = PurePosixPath(folder).relative_to(PurePosixPath(root))
        yield from (str(below / name) for name in (*subfolders, *sorted(names)) if not name.startswith("."))


def _is_too_long(path: Path) -> bool:
    """Return whether the system takes no path of this length: a folder of a deep tree, which cannot be listed."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False


def _unlisted(error: OSError) -> None:
    """Refuse a folder that may not be listed; one whose path is too long is set aside by `find_paths`."""
    if error.errno != errno.ENAMETOOLONG:
        raise InputError(f"{error.filename} cannot be listed: {error.strerror}; check its permissions") from error


def expand_home(text: str, source: str) -> Path:
    """Convert text to a path; ``~`` and ``~user`` become home folders."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # for an unknown user
        raise InputError(f"{source}: {text} does not exist ({error}); write the whole path") from error


def require_folder(text: str, source: str, *, option: str = "corpus.root") -> Path:
    """Return the path if it is a folder that may be listed; ``source`` gave it, and ``option`` can name another."""
    path = expand_home(text, source)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = f"{source}: {path} does not exist"
        raise InputError(f"{problem}; name the folder of your recordings ({option}=PATH)") from error
    except ValueError as error:  # the path has a null character, or a character that UTF-8 cannot encode
        raise InputError(f"{source}: {text!r:.200} is not a path; name the folder of your recordings") from error
    except OSError as error:
        raise InputError(f"{source}: {path} cannot be read: {error.strerror}; check its permissions") from error
    if not is_folder:
        raise InputError(f"{source}: {path} is a file; name the folder that holds it")
    return path


def listed_path(root: Path, listed: str, where: str, *, remedy: str) -> str:
    """Return a listed path relative to the root, "/" between folders, "." and ".." resolved.

    An absolute path may name the root as given, or with its links resolved. A path that no file can have (too long, or
    with a null character) is returned as well: inspection sets it aside with its reason.

    Raises:
        InputError: the path lies outside the root, or is not there; the message begins with ``where``.
    """
    path = Path(os.path.normpath(root.absolute() / (on_disk(root, listed) or listed)))
    roots = [Path(os.path.normpath(root.absolute())), root.resolve()]
    found = [path.relative_to(own).as_posix() for own in roots if path.is_relative_to(own)]
    if not found:
        raise InputError(f"{where}: {listed} lies outside {root}; set corpus.root to a folder that holds it")
    if is_missing(path):
        raise MissingRecordingError(f"{where}: {listed} is not there (looked in {root}); {remedy}")
    return found[0]


def is_missing(path: Path) -> bool:
    """Return whether nothing has this path. A broken link has it, and other errors are reasons to set a file aside."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # the name is too long, may not be looked up, or has a null character
        return False
    return False


def on_disk(root: Path, listed: str) -> str | None:
    """Return a listed path as it is spelt on this disk; None: it is not there.

    Other systems write backslashes between folders, and letters with marks in another form of Unicode (NFC, NFD).
    """
    plain = dict.fromkeys((listed, listed.strip(), listed.strip().replace("\\", "/")))
    for spelling in plain:
        for form in (spelling, *(unicodedata.normalize(form, spelling) for form in ("NFC", "NFD"))):
            if os.path.lexists(os.path.normpath(root / form)):
                return form
    found = (_in_mixed_forms(root, spelling) for spelling in plain if not spelling.isascii())
    return next((spelling for spelling in found if spelling), None)


def _in_mixed_forms(root: Path, listed: str) -> str | None:
    """Find a path whose folders and name may each be in another form of Unicode."""
    place, here = root / PurePosixPath(listed).anchor, PurePosixPath(listed)
    for part in here.parts[bool(here.anchor) :]:
        if not os.path.lexists(place / part):
            try:
                names = _composed_names(str(place), place.stat().st_mtime_ns)
            except (OSError, ValueError):  # no folder, none that may be listed, or no path at all
                return None
            part = names.get(unicodedata.normalize("NFC", part), "")
        if not part:
            return None
        place /= part
    return str(place.relative_to(root)) if not here.anchor else str(place)


@lru_cache(maxsize=4)
def _composed_names(folder: str, changed_ns: int) -> dict[str, str]:
    """Return the names in a folder by their composed forms."""
    return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}  # noqa: PTH208  names alone
