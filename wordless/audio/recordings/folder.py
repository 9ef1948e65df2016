"""A folder of recordings: each file below it whose suffix is that of sound. Its first folder, or a pattern, says more.

Nothing else is opened. Links are followed, each folder once; hidden files, and folders that Wordless wrote, are not
entered. The order is that of the paths, on every machine.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wordless.audio.recordings.checks import SPLIT_TEXTS, plain_text, split_of
from wordless.audio.recordings.manifest import Clips, Rejected, writable
from wordless.audio.recordings.patterns import read_names, roles_of
from wordless.audio.waveform import EXTENSIONS
from wordless.base.files import MARK, is_ours
from wordless.base.messages import InputError, counted, listed

MAX_PART_BYTES = 200  # of a file's or folder's name; file systems take 255, with the endings that are added to it
NO_ROLES = "**"  # the pattern of a folder whose names say nothing


@dataclass(kw_only=True)
class Listing:
    """The files below a folder, relative to it, "/" between folders."""

    recordings: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)  # folders that Wordless wrote
    rejected: list[Rejected] = field(default_factory=list)  # folders that cannot be listed, or have two names

    @classmethod
    def of(cls, root: Path) -> "Listing":
        """List the files below ``root``. The disk is asked once."""
        ours = set[str]()  # by their real paths
        found, entered = cls(), dict[str, str]()  # by real paths, because some file systems give no numbers of inodes

        def refuse(error: OSError) -> None:
            below, reason = os.path.relpath(error.filename, root), f"cannot be listed: {error.strerror}"
            if below == ".":
                raise InputError(f"{root} {reason}; check its permissions") from error
            kind = "its path is too long" if error.errno == errno.ENAMETOOLONG else "cannot be listed"
            found.rejected.append(Rejected(path=below, reason=f"{reason}; check its permissions", kind=kind))

        for folder, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
            here, below = os.path.realpath(folder), PurePosixPath(folder).relative_to(PurePosixPath(root))
            if known := entered.get(here):
                subfolders.clear()
                if here in ours:  # as the link runs/latest
                    continue
                reason = "listed by another name"
                found.rejected.append(
                    Rejected(path=str(below), reason=f"{reason}: it is the folder {known}", kind=reason)
                )
                continue
            entered[here] = str(below)
            if below.parts and is_ours(Path(folder), names):
                subfolders.clear()
                ours.add(here)
                found.ours.append(str(below))
                continue
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            begin = f"{below}/" if below.parts else ""
            for name in names:
                sound = is_recording(name) and not name.startswith(".")
                (found.recordings if sound else found.others).append(begin + name)
        found.recordings.sort()
        found.others.sort(key=lambda name: (name.count("/"), name))  # a list in the root is named before texts below
        return found

    @property
    def unread(self) -> str:
        """What was not read, in a line."""
        texts = []
        if self.others:
            kinds = Counter(PurePosixPath(name).suffix.lower() or "without a suffix" for name in self.others)
            some = f"{', '.join(sorted(kinds)[:8])}{' and more' if len(kinds) > 8 else ''}"
            texts.append(f"{counted(len(self.others), 'file')} ({some}; the first is {self.others[0]})")
        if self.ours:
            which = f"{counted(len(self.ours), 'folder')} that Wordless wrote, such as {self.ours[0]}"
            texts.append(f"{which} (name it to read it, or delete the file {MARK} in it)")
        return "; ".join(texts)


def is_recording(path: str) -> bool:
    """Return whether a path has the suffix of a recording."""
    return PurePosixPath(path).suffix.lower().lstrip(".") in EXTENSIONS


def recordings_below(root: Path) -> tuple[list[str], Listing]:
    """List the recordings below a folder; refuse a folder without any."""
    listing = Listing.of(root)
    if not listing.recordings:
        there = (
            listing.unread or "; ".join(f"{each.path} {each.reason}" for each in listing.rejected[:1]) or "it is empty"
        )
        rule = f"it holds no recordings: {there}; looked for .wav, .flac and {len(EXTENSIONS) - 2} more"
        raise InputError(option="root", value=root, rule=rule, remedy="check the path, or convert to WAV or FLAC")
    return listing.recordings, listing


def clips_of_folder(root: Path, pattern: str | None) -> Clips:
    """List the recordings below a folder as candidates, with the roles of their names.

    Without a ``pattern`` the label is the name of the first folder below the root. Names that do not fit a pattern, or
    whose split is none, are set aside.
    """
    paths, listing = recordings_below(root)
    others = {"rejected": tuple(listing.rejected), "unread": listing.unread}
    if pattern is None:
        _require_no_splits(paths)
        labels = [_known(path.partition("/")[0]) if "/" in path else None for path in paths]
        return Clips.from_columns(root, {"path": paths, "label": labels, "split": [""] * len(paths)}, **others)
    roles = roles_of(pattern)
    columns: dict[str, list[object]] = {name: [] for name in ("path", "split", *roles)}
    for path, both in zip(paths, read_names(pattern, paths), strict=True):
        if both is None:
            kind = "does not fit the pattern"
            listing.rejected.append(Rejected(path=path, reason=f"{kind} {pattern}", kind=kind))
            continue
        if both[0] != both[1]:
            ways = ["; ".join(f"{name} {each[name]}" for name in each if name != "all") for each in both]
            rule = f"{path} fits in two ways: {ways[0]} -- or {ways[1]}"
            remedy = "name more of the path, or list the recordings in a `table`"
            raise InputError(option="pattern", value=pattern, rule=rule, remedy=remedy)
        names = {name: _known(both[0][name]) for name in roles}
        split = split_of(names.pop("split", "") or "")
        if split is None:
            reason = f"has the split {both[0]['split']!r:.40}, which is none of {SPLIT_TEXTS}"
            listing.rejected.append(Rejected(path=path, reason=reason, kind="unknown split"))
            continue
        row = {**names, "path": path, "split": split}
        for name, values in columns.items():
            values.append(int(str(row[name])) if name == "index" else row[name])
    if not columns["path"]:
        fits = f"it fits none of {counted(len(paths), 'file')} below {root}, such as {paths[0]!r}"
        raise InputError(option="pattern", value=pattern, rule=fits, remedy="write it after such a name")
    return Clips.from_columns(root, columns, **{**others, "rejected": tuple(listing.rejected)})


def _known(name: str) -> str | None:
    """Return the text of a role; None: the name cannot be written, so inspection sets its recording aside."""
    return plain_text(name) or None if writable(name) else None


def _require_no_splits(paths: Iterable[str]) -> None:
    """Refuse first folders that are named after splits: they are no labels."""
    names = dict.fromkeys(path.partition("/")[0] for path in paths if "/" in path)
    if splits := [name for name in names if split_of(name)]:
        those = f"the folders {listed(splits)} are" if len(splits) > 1 else f"the folder {splits[0]} is"
        problem = f"{those} named after splits, and first folders are labels"
        remedy = '`pattern`="{split}/{label}/*" reads them as splits, `pattern`="{label}/**" as labels'
        raise InputError(problem, remedy=remedy)


def expand_home(text: str, option: str) -> Path:
    """Convert the value of an option to a path; ``~`` and ``~user`` become home folders."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # for an unknown user
        rule = f"it does not exist ({error}): write the whole path"
        raise InputError(option=option, value=text, rule=rule) from error


def require_folder(text: str, *, option: str = "root") -> Path:
    """Return the path if it is a folder; ``option`` names it."""
    path, rule = expand_home(text, option), "it is a file"
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return path
    except OSError as error:
        rule = f"it cannot be read ({error.strerror})"
    except ValueError:  # the path has a null character, or a character that UTF-8 cannot encode
        rule = "it is not a path"
    shown = text if text.isprintable() else repr(text)
    raise InputError(option=option, value=shown, rule=rule, remedy=f"name the folder of your recordings as `{option}`")
