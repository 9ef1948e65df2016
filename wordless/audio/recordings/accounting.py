"""Taking the account of a corpus: what lies in its folder, set against what clips were made of and what was set aside.

The source lists all that is there before anything is used (`recordings.sources`). The difference between this list and
what was used or set aside are the files that nobody understood; their names and first lines give the reason.
"""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.account import RECORDING, Account, Item
from wordless.audio.recordings.archives import UNPACK, is_archive
from wordless.audio.recordings.description import known_split
from wordless.audio.recordings.folders import HIDDEN, is_file, is_recording, read_annotation_text
from wordless.audio.recordings.manifest import Clips, Rejected, SplitBy
from wordless.audio.recordings.sources import Column, Looks, ReadFile, Reading, Unused
from wordless.audio.recordings.unread_columns import bare_words, divides
from wordless.base.imports import without_collection
from wordless.base.messages import InputError, counted

_DIVIDING: Mapping[str, SplitBy] = {"fold": "fold", "split": "table", "index": "index"}  # field -> what divides by it
_LISTS = (".txt", ".lst", ".list", ".csv", ".tsv", ".scp", "")  # endings of files that may list recordings
_MOST_OPENED = 200  # unread texts whose first lines are looked at
_FIRST_LINES = 30
_PACKED = (".parquet", ".arrow")
_OBJECTS = (".jsonl", ".json", ".ndjson")
_CELLS = re.compile(r"[\t,;|\" ]+")


@without_collection()  # a million items are made, and none is garbage
def take_account(
    found: Clips,
    used: Clips,
    rejected: Sequence[Rejected],
    *,
    split_by: SplitBy | None = None,
    folds: bool = False,
) -> Account:
    """Return the account of all that the source of ``found`` looked at.

    Args:
        found: the candidates, each with its row in ``where``.
        used: the clips in the end, with their rows.
        rejected: what was set aside; paths are relative to the root, or below it.
        split_by: what divides the recordings; None: nothing is divided, and no column can divide.
        folds: whether the recordings are also divided by the fold of each.
    """
    reading, root = found.reading, found.reading.root or found.root
    own = _Claims(found, used, rejected)
    items = [*_files(reading, own, root, divided=split_by is not None)]
    items += _columns(reading, root, split_by, folds=folds)
    for file in reading.files:
        items += _rows(file, own, root)
    return Account(items=tuple(items))


class _Claims:
    """What became of recordings and rows; paths are absolute."""

    def __init__(self, found: Clips, used: Clips, rejected: Sequence[Rejected]) -> None:
        own, its = _Paths(found.root), _Paths(used.root)
        self.shown = own
        self.recordings = {its.whole(path) for path in dict.fromkeys(used.frame.path)}
        self.rows = {*used.frame["where"]} - {None}
        self.files, self.of_rows = dict[str, Rejected](), dict[str, Rejected]()
        self.parts = defaultdict[str, list[Rejected]](list)  # by file
        for each in rejected:
            path, part, _ = each.path.partition("#t=")
            if each.where:
                self.of_rows.setdefault(each.where, each)
            if each.segments or part or each.where:
                self.parts[own.whole(path)].append(each)
            else:
                self.files.setdefault(own.whole(each.path), each)
        rows = found.frame[["where", "path"]] if found.reading.places is None else found.reading.places
        left = rows[~rows["where"].isin(self.rows)]
        self.path_of = {row: own.whole(path) for row, path in zip(left["where"], left.path, strict=True) if row}

    def why_row(self, row: str, file: Path) -> Unused:
        """Return why no clip was made of a row of a file: what was said of the row, its recording, or the file."""
        path = self.path_of.get(row, "")
        several, whole = self.parts.get(path, ()), self.files.get(os.path.normpath(file.absolute()))
        if each := self.of_rows.get(row) or self.files.get(path) or next(iter(several), whole):
            return _reason(each)
        return Unused(why=SAME_PART)

    def why_file(self, path: str) -> Unused | None:
        """Return why a file, or each part of it, was set aside; None: it was not."""
        if each := self.files.get(path):
            return _reason(each)
        if several := self.parts.get(path):
            reason = _reason(several[0])
            count = sum(max(each.segments, 1) for each in several)
            return reason if count == 1 else replace(reason, why=f"all of {count} parts set aside, first: {reason.why}")
        return None


SAME_PART = "another row names the same part"


@dataclass(frozen=True)
class _Paths:
    """Absolute paths of names below a root, as texts, because objects for a million paths take seconds."""

    root: Path

    @cached_property
    def _base(self) -> str:
        return os.path.normpath(self.root.absolute()).removesuffix("/")  # of the root of a disk

    def whole(self, name: str) -> str:
        if ".." in name or name.startswith("/") or "//" in name or name == ".":
            return os.path.normpath(self.root.absolute() / name)
        return f"{self._base}/{name}"

    def shown(self, path: str) -> str:
        """Return a path below the root relative to it, others whole."""
        return path.removeprefix(f"{self._base}/")


def _reason(each: Rejected) -> Unused:
    return Unused(why=each.reason, kind=each.kind or each.reason)


def _files(reading: Reading, own: _Claims, root: Path, *, divided: bool) -> Iterator[Item]:
    """Give an item for each file that was listed or read, and each folder that was not entered, in order of paths."""
    paths, there, folders = _Paths(root), set[str](), dict[str, str]()
    for seen in reading.seen:
        below = _Paths(seen.root)
        there.update(map(below.whole, seen.files))
        folders |= {below.whole(folder): why for folder, why in seen.closed.items()}
    read = {os.path.normpath(each.path.absolute()): each for each in reading.files}
    unpacked = reading.root is not None  # then recordings lie in the store, and are rows of what is read
    there |= read.keys() | {each for each in own.recordings if each not in folders and not unpacked}
    there -= folders.keys()
    used = {path: each for path, each in read.items() if _is_used(each, own)}
    unread = {os.path.normpath(path.absolute()): why for path, why in reading.unread.items()}
    texts = _Texts(there)
    for path in sorted({*there, *folders}):
        name = paths.shown(path)
        if path in own.recordings:
            yield Item("file", name, used_as=RECORDING)
        elif path in used:
            yield Item("file", name, used_as=used[path].use)
        elif path in folders:
            yield Item("folder", name, why=folders[path], kind_of_reason=folders[path].partition(":")[0])
        else:
            reason = own.why_file(path) or (_unused_rows(read[path], own) if path in read else None)
            if reason is None and path in unread:
                reason = unread[path]
            reason = reason or texts.why(path, name, reading)
            looks: Looks = reason.looks if divided else ""
            yield Item("file", name, "", 1, "", reason.why, reason.option, reason.kind or reason.why, looks)


def _is_used(file: ReadFile, own: _Claims) -> bool:
    return not file.makes_clips or not own.rows.isdisjoint(file.rows)


def _unused_rows(file: ReadFile, own: _Claims) -> Unused:
    """Say why a file that was read gave no clip."""
    if not file.rows:
        return Unused(why="it names no part")
    first = next(iter(file.rows))
    why = file.left_out.get(first) or own.why_row(first, file.path)
    return replace(
        why, why=f"none of its {counted(len(file.rows), 'row')} is used, first: {why.why}", kind="no row used"
    )


@dataclass
class _Texts:
    """The reasons of unused files for which the source gives none."""

    files: Collection[str]  # all that are there
    opened: int = field(default=0, init=False)

    @cached_property
    def _names(self) -> set[str]:
        """The names of the recordings, with and without ending."""
        names = {PurePosixPath(path).name for path in self.files if is_recording(path)}
        return names | {PurePosixPath(name).stem for name in names}

    @cached_property
    def _lower(self) -> set[str]:
        return {name.lower() for name in self._names}

    def why(self, path: str, name: str, reading: Reading) -> Unused:
        """Return the reason that the name of a file shows, or its first lines."""
        last = name.rpartition("/")[2].lower()
        ending = PurePosixPath(last).suffix
        if last.startswith("."):
            return Unused(why=HIDDEN, kind="hidden")
        if is_recording(last):
            return Unused(why=reading.of_recordings or "no source names it")
        if is_archive(last):
            return Unused(why=f"an archive: {UNPACK}")
        if ending in _PACKED:
            return Unused(why="a file of a packed data set", option=f"`dataset`={name}")
        if ending in (*_LISTS, *_OBJECTS) and self.opened < _MOST_OPENED:
            self.opened += 1
            if rows := self._rows_of_recordings(Path(path)):
                return _listing(name, rows)
        if self._is_named_like_one(last):
            options = "`annotations`=KIND reads parts with start, end and label, `table`=FILE a list of recordings"
            return Unused(why=f"a {ending} file named like a recording", option=options)
        what = f"{ending} files" if ending else "files without ending"
        return Unused(why=f"neither a recording nor labels that are known ({what})")

    def _is_named_like_one(self, name: str) -> bool:
        while "." in name[1:]:
            name = name.rpartition(".")[0]
            if name in self._lower:
                return True
        return False

    def _rows_of_recordings(self, path: Path) -> list[list[str]]:
        """Return the cells of the first lines of a text, if most of them name recordings that are there."""
        with suppress(OSError, InputError):
            if is_file(path):
                lines = read_annotation_text(path, head=True).split("\n")[:_FIRST_LINES]
                rows = [[each for each in _CELLS.split(line) if each] for line in lines if line.strip()]
                named = sum(any(PurePosixPath(cell).name in self._names for cell in row) for row in rows)
                return rows if named and 2 * named >= len(rows) else []
        return []


def _listing(name: str, rows: Sequence[Sequence[str]]) -> Unused:
    """Describe a text that names recordings: a list of a split, or a table, which may have a column of splits."""
    last, split = name.rpartition("/")[2], known_split(PurePosixPath(name).stem)
    if split is not None and max(map(len, rows)) == 1:
        option = f"`split.by`=lists `split.{split}`={name}"
        return Unused(why="it lists recordings", option=option, looks="division")
    of_split = split is not None or "list" in bare_words(last) or any(map(divides, (last, *rows[0])))
    looks: Looks = "division" if of_split else ""
    return Unused(why="it lists recordings, and is not read", option=f"`table`={name}", looks=looks)


def _columns(reading: Reading, root: Path, split_by: SplitBy | None, *, folds: bool) -> Iterator[Item]:
    """Give an item for each column; tables with the same columns share theirs."""
    alike, paths = defaultdict[tuple[str, tuple[tuple[str, Column], ...]], list[ReadFile]](list), _Paths(root)
    for file in reading.files:
        alike[file.use, tuple(file.columns.items())].append(file)
    for (use, columns), files in alike.items():
        first = paths.shown(os.path.normpath(files[0].path.absolute()))
        of = first if len(files) == 1 else f"{counted(len(files), use)} such as {first}"
        for name, column in columns:
            by = _DIVIDING.get(column.field)
            divides_here = split_by in (None, by) or (folds and by == "fold")
            if column.field and (by is None or divides_here):
                yield Item("column", name, of, len(files), used_as=column.field)
            elif column.field:
                looks: Looks = "" if column.field == "index" else "division"
                why = "it does not divide the recordings"
                yield Item("column", name, of, len(files), "", why, f"`split.by`={by}", why, looks)
            else:
                looks = column.looks if split_by is not None else ""
                yield Item("column", name, of, len(files), "", column.why, column.option, column.why, looks)


def _rows(file: ReadFile, own: _Claims, root: Path) -> Iterator[Item]:
    """Give an item for rows one after the other that share their use."""
    of, rows = _Paths(root).shown(os.path.normpath(file.path.absolute())), [*dict.fromkeys(file.rows)]
    used = {*rows} - file.left_out.keys()
    used = used & own.rows if file.makes_clips else used - own.of_rows.keys()

    def fate(row: str) -> Unused | None:
        return None if row in used else file.left_out.get(row) or own.why_row(row, file.path)

    whole = [(None, rows)] if rows else []
    fates = whole if len(used) == len(rows) else groupby(rows, fate)
    for reason, group in fates:
        some = [each.rpartition(":")[2].strip() for each in group]
        name = some[0] if len(some) == 1 else f"{some[0]} to {some[-1]}"
        if reason is None:
            yield Item("row", name, of, len(some), used_as="clip" if file.makes_clips else file.use)
        else:
            yield Item("row", name, of, len(some), "", reason.why, reason.option, reason.kind or reason.why)
