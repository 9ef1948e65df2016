"""Files of annotations: their kinds, and the recordings that they belong to.

A file belongs to the recording of its name: ``field.Table.1.selections.txt``, ``field.txt`` and ``field.TextGrid``
belong to ``field.wav``, in the same folder or else anywhere below the root if only one recording has this name. Some
files name their recordings themselves.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.annotations import lines, tiers
from wordless.audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind, Kind, Medium, Tier
from wordless.audio.recordings.annotations.data_folders import (
    KALDI_FILES,
    LHOTSE,
    WAV_SCP,
    first_line,
    kaldi,
    lhotse,
    lhotse_role,
)
from wordless.audio.recordings.text_files import decode, read_annotation_bytes, read_annotation_text
from wordless.base.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Format:
    """The facts about a kind of annotations."""

    name: str  # for people
    read: Callable[[Path, str, AnnotationConfig], list[Tier]]  # of a file and its name in messages
    suffix: str | None = None  # that shows the kind; None: the file is looked into
    has_tiers: bool = False  # or columns, of which one has the labels
    names_recordings: bool = False  # in its lines; the name of the file says nothing


def _of_text(read: Callable[[str, str], list[Tier]]) -> Callable[[Path, str, AnnotationConfig], list[Tier]]:
    return lambda path, shown, _: read(read_annotation_text(path), shown)


FORMATS: Mapping[Kind, Format] = {  # of several kinds that agree, the first is used: it knows most
    "raven": Format(
        name="Raven selection table",
        read=lambda path, shown, config: lines.raven(read_annotation_text(path), shown, config.tier, config.group),
        has_tiers=True,
    ),
    "elan": Format(
        name="ELAN document",
        read=lambda path, shown, _: tiers.elan(read_annotation_bytes(path, xml=True), shown),
        suffix=".eaf",
        has_tiers=True,
    ),
    "textgrid": Format(name="Praat TextGrid", read=_of_text(tiers.textgrid), suffix=".textgrid", has_tiers=True),
    "audacity": Format(name="Audacity label track", read=_of_text(lines.audacity)),
    "kaldi": Format(
        name="Kaldi data folder",
        read=lambda path, shown, _: kaldi(path.parent, str(PurePosixPath(shown).parent)),
        names_recordings=True,
    ),
    "lhotse": Format(name="lhotse manifest", read=lambda path, shown, _: lhotse(path, shown), names_recordings=True),
    "rttm": Format(name="RTTM file", read=_of_text(lines.rttm), suffix=".rttm", names_recordings=True),
    "ctm": Format(name="CTM file", read=_of_text(lines.ctm), suffix=".ctm", names_recordings=True),
    "lab": Format(name=".lab file", read=_of_text(lines.lab)),
}
_TEXTS = (".txt", ".tsv", ".selections", ".lab")
_SUFFIXES: Mapping[str, Kind] = {each.suffix: kind for kind, each in FORMATS.items() if each.suffix}
_LOOKED_INTO = (*_TEXTS, *_SUFFIXES, ".scp", ".jsonl", ".gz")
_HEAD = 1 << 16  # bytes that show whether a text may hold annotations
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
    return kind_in_folder(path) or ("lhotse" if _role(path) else None)


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file; false for a path that no file can have, or that is not allowed."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _role(path: Path) -> str | None:
    return lhotse_role(first_line(path)) if path.name.lower().endswith(LHOTSE) else None


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
        return "lhotse" if _role(path) in ("supervisions", "cuts") else None
    if suffix not in _TEXTS:
        return None
    try:
        with path.open("rb") as file:
            head = decode(file.read(_HEAD)).replace("\r", "\n")
        if lines.is_raven(head.partition("\n")[0]):
            return "raven"
        if suffix == ".lab":
            fits = lines.has_line(head, "lab") if wanted == "lab" else lines.is_lab(read_annotation_text(path))
            return "lab" if fits else None
        if suffix == ".txt" and wanted == "audacity":
            return "audacity" if lines.has_line(head, "audacity") else None
        # The last line of the head may be cut off.
        beginning = head.rpartition("\n")[0] if len(head) >= _HEAD // 4 else head
        may_be = suffix == ".txt" and lines.is_label_track(beginning)
        return "audacity" if may_be and lines.is_label_track(read_annotation_text(path)) else None
    except (OSError, InputError):
        return None


class Places:
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
                self._names[fold(each)].append(path)

    def of_file(self, file: str) -> list[str]:
        """Return the recordings that a file annotates: those of its name beside it.

        Without one, the only recording of its name in another folder: ``wav/a/1.wav`` for ``grid/a/1.lab``.
        """
        folder, last = PurePosixPath(file).parent, PurePosixPath(file).name
        named = [self._names.get(fold(name), []) for name in _shortened(last)]
        for same in named:
            if beside := [path for path in same if PurePosixPath(path).parent == folder]:
                return beside
        for same in named:
            for choice in (same, [path for path in same if PurePosixPath(path).parent.name == folder.name]):
                if len(choice) == 1:
                    return choice
        return []

    def of_media(self, media: Sequence[Medium], file: str) -> list[str]:
        """Return the recording that an ELAN document names."""
        for name in (name for each in media for name in each.urls):
            try:
                return [self.named(name, file)]
            except InputError:
                continue
        return []

    def looked_for(self, file: str) -> str:
        """Say which recordings of a file's name were looked for, and how many have this name in other folders."""
        names = list(_shortened(PurePosixPath(file).name))
        same = next((found for name in names if (found := self._names.get(fold(name)))), [])
        where = f"and {len(same)} recordings in other folders have this name" if same else f"in {self.root}"
        return f"looked for {PurePosixPath(file).stem}.* {where}"

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
        same = self._names.get(fold(last), [])
        if len(same) == 1:
            return same[0]
        if same:
            raise InputError(f"{name:.200} is the name of {len(same)} recordings; write its folder as well")
        raise InputError(f"{name:.200} is not there (looked in {folder}, in the folders above, and in {self.root})")


def fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shortened(name: str) -> Iterator[str]:
    """Give a name without its last ending, without the last two, and so on."""
    while "." in name[1:]:
        name = name.rpartition(".")[0]
        yield name
