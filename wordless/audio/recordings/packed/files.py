"""The files of a data set: of a folder that ``save_to_disk`` wrote, of a pattern of names, or below any folder.

``data-{000..009}.tar`` and ``{train,test}.parquet`` are expanded as in bash and in WebDataset, ``*`` as in a shell.

A reader gives each file's recordings and facts as parts.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import islice
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.description import SPLIT_NAMES
from wordless.audio.recordings.folders import expand_home
from wordless.audio.recordings.manifest import Split, writable
from wordless.base.errors import InputError
from wordless.base.json_values import read_json


class DamageError(Exception):
    """A part of a packed file cannot be read; the message is the reason, for lists of files that were set aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """The bytes of one recording, which are written as they are."""

    name: str  # of the file to write, below the folder of the packed file; "/" between folders
    # of its sample: `Facts` with this key are about this recording, and so are those with a key that ends at an earlier
    # dot of the file's name: see `wordless.audio.recordings.packed.unpacking`
    key: str
    blocks: Iterable[bytes]  # raises `DamageError` where they cannot be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Values of a sample by their names, as text; values that are not known are left out."""

    key: str
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A part that is set aside; ``key`` also sets aside the sounds of its sample."""

    name: str
    reason: str
    key: str | None = None


Part = Sound | Facts | Broken
Parts = Iterator[Part]


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedFile:
    """A file that holds recordings."""

    path: Path
    name: str  # of the folder that its recordings are written to, unique among the files of a data set
    split: str | None  # the data set's own name of its split, such as "test.clean"; None: unknown
    known: Split | None  # the split that this name stands for; None: none of ours


ARROW, PARQUET = ".arrow", ".parquet"
MOST_FILES = 100_000  # that a pattern with braces may name
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_NUMBERING = re.compile(r"(?:[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{16})?)+$")  # of shards: -00001-of-00010-0123456789abcdef


def data_set_files(place: str) -> list[PackedFile]:
    """Find the files of ``corpus.dataset``: a folder, a file, or a pattern of file names.

    Raises:
        InputError: there is none, or a folder of ``save_to_disk`` is incomplete.
    """
    option = "corpus.dataset"
    root = expand_home(place, option)
    if (root / "dataset_dict.json").is_file():
        return [file for name in _split_names(root) for file in _saved_files(root / name, name)]
    if (root / "state.json").is_file():
        return _saved_files(root, None)
    if root.is_dir():
        found = [path for path in _below(root) if path.suffix == PARQUET] or list(_below(root))
        if not found:
            raise InputError(
                f"{option}={root} holds no Parquet and no Arrow files; name a folder that save_to_disk wrote, or "
                "Parquet files. A folder of recordings is corpus.root=FOLDER, tar shards are corpus.shards=FILES"
            )
    else:
        found = named_files(place, option=option, kinds=(PARQUET, ARROW))
    return _packed(found)


def shard_files(pattern: str) -> list[PackedFile]:
    """Find the tar files that ``corpus.shards`` names.

    Raises:
        InputError: one of them is not there.
    """
    return _packed(named_files(pattern, option="corpus.shards", kinds=(".tar", ".tar.gz", ".tgz", ".tar.xz")))


def named_files(pattern: str, *, option: str, kinds: tuple[str, ...]) -> list[Path]:
    """List the files that a pattern names, in its order; each name with braces must be there."""
    names = list(islice(expand_braces(str(expand_home(pattern, option))), MOST_FILES + 1))
    if len(names) > MOST_FILES:
        raise InputError(f"{option}={pattern} names more than {MOST_FILES} files; write a smaller range")
    paths = []
    for name in names:
        found = sorted(glob(name)) if has_magic(name) and not os.path.lexists(name) else [name]  # noqa: PTH207  absolute too
        paths += [Path(each) for each in found]
        if not found or not Path(found[0]).is_file():
            folder = Path(name).is_dir()
            wanted = f"such as {option}='{name}/*{kinds[0]}'" if folder else f"that end in {' or '.join(kinds)}"
            raise InputError(
                f"{option}={pattern}: {name} is {'a folder' if folder else 'not there'}; name files {wanted}"
            )
    return list(dict.fromkeys(paths))


def expand_braces(pattern: str) -> Iterator[str]:
    """Expand ``{000..009}`` and ``{a,b}`` from the left; other braces stay as they are."""
    for found in _BRACES.finditer(pattern):
        before, after = pattern[: found.start()], pattern[found.end() :]
        choices = _range(found[1]) if _RANGE.fullmatch(found[1]) else found[1].split(",")
        if isinstance(choices, list) and len(choices) == 1:
            continue
        # an opening brace before this one belongs to braces around it, which are expanded afterwards
        for choice in choices:
            yield from expand_braces(f"{before}{choice}{after}")
        return
    yield pattern


def _range(text: str) -> Iterator[str]:
    """Count from the first to the last number; leading zeros set the number of digits."""
    first, _, last = text.partition("..")
    padded = any(len(each) > 1 and each.startswith("0") for each in (first, last))
    width = max(len(first), len(last)) if padded else 0
    step = 1 if int(first) <= int(last) else -1
    return (f"{number:0{width}d}" for number in range(int(first), int(last) + step, step))


def _below(root: Path) -> Iterator[Path]:
    """Give the Parquet and Arrow files below a folder, without hidden ones and without caches of ``map``."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") for part in parts) or path.name.startswith("cache-")
        if path.suffix in (ARROW, PARQUET) and not hidden and path.is_file():
            yield path


def _split_names(root: Path) -> list[str]:
    names = read_json(root / "dataset_dict.json").get("splits")
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise InputError(f"{root / 'dataset_dict.json'} has no list of splits; save the data set again")
    if bad := [name for name in names if not re.fullmatch(r"[\w][\w.-]*", name)]:
        raise InputError(f"{root / 'dataset_dict.json'} names the split {bad[0]!r:.80}; use letters, digits, . and _")
    return names


def _saved_files(folder: Path, split: str | None) -> list[PackedFile]:
    """List the files that ``state.json`` names, in its order."""
    state_file = folder / "state.json"
    if not state_file.is_file():
        raise InputError(f"{state_file} is missing; save the data set again with save_to_disk")
    state = read_json(state_file)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise InputError(
            f"{state_file} selects rows by indices; save the data set again by a newer version of datasets"
        )
    listed = state.get("_data_files")
    names = [each.get("filename") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    files = []
    for number, name in enumerate(names):
        if not isinstance(name, str) or name != PurePosixPath(name).name or not (folder / name).is_file():
            raise InputError(f"{state_file} names the file {name!r:.80}, which is not there; save the data set again")
        own = f"{number:05d}" if split is None else f"{split}/{number:05d}"
        files.append(PackedFile(path=folder / name, name=own, split=split, known=known_split(split or "")))
    return files


def _packed(paths: Sequence[Path]) -> list[PackedFile]:
    """Name each file after its place below the folder that holds all of them, and find its split in this name."""
    absolute = [path.absolute() for path in paths]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    names = [_without_ending(path.relative_to(root).as_posix()) for path in absolute]
    if twice := [name for name, times in Counter(name.casefold() for name in names).items() if times > 1]:
        raise InputError(f"several files below {root} have the name {twice[0]}; rename one")
    folders = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    if both := [name for name in names if name in folders]:
        raise InputError(f"{root} has files and a folder of the name {both[0]}; rename one")
    if bad := [name for name in names if not writable(name)]:
        raise InputError(f"{root / bad[0]!r} holds a tab, a line break or bytes that are not UTF-8; rename it")
    splits = [_split_name(name) for name in names]
    return [
        PackedFile(path=path, name=name, split=split, known=known_split(split))
        for path, name, split in zip(paths, names, splits, strict=True)
    ]


def _without_ending(name: str) -> str:
    return re.sub(r"\.(?:parquet|arrow|tar|tgz|tar\.\w+)$", "", name)


def _split_name(name: str) -> str:
    """Return the part of a name that says the split, without the number of the shard: the file's, or a folder's."""
    parts = [_NUMBERING.sub("", part) for part in reversed(name.split("/"))]
    return next((part for part in parts if known_split(part)), parts[0])


def known_split(name: str) -> Split | None:
    """Return the split that a word of a name stands for, such as test of ``test.clean``; the first word counts."""
    words = re.split(r"[^a-z]+", name.lower())
    for word in words:
        for split, names in SPLIT_NAMES.items():
            if word in names:
                return split
    return None
