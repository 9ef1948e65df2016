"""What a source of recordings looked at: the files of its folder, and the columns and rows of the files that it read.

A source gives this with its candidates (`Clips.reading`). `recordings.account` makes of it, and of the clips in the
end, the account of all that lies in a user's folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pandas import DataFrame

Looks = Literal["", "division", "group"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A folder that was listed."""

    root: Path
    files: tuple[str, ...]  # relative to the root, "/" between folders; hidden ones, too, but no folders
    closed: Mapping[str, str] = field(default_factory=dict)  # folder that was not entered -> why


@dataclass(frozen=True, kw_only=True, slots=True)
class Unused:
    """Why a file or a row is not used; options stand in backticks."""

    why: str
    option: str = ""  # that would use it
    kind: str = ""  # what reasons have in common, for counts; "": the reason itself
    looks: Looks = ""  # what it seems to be


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table, or a tier of annotations."""

    field: str = ""  # of a clip that it gives, such as label, or what else it is used for; "": nothing reads it
    why: str = ""  # why nothing reads it; options stand in backticks
    option: str = ""  # that would read it, such as `columns.group`=src
    looks: Looks = ""  # what an unread column seems to be


OF_THE_PROGRAM = Column(why="a number or a measurement of the program that wrote the table")


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A file that names recordings or parts of them, or divides them."""

    path: Path
    use: str  # what it is, such as "table" or "Raven selection table"
    columns: Mapping[str, Column] = field(default_factory=dict)
    rows: Sequence[str] = ()  # the place of each row, "file:line", as in `Clip.where`
    left_out: Mapping[str, Unused] = field(default_factory=dict)  # place of a row -> why no clip was made of it
    makes_clips: bool = True  # whether a row is used if a clip has its place; else each row that is not left out is


@dataclass(frozen=True, kw_only=True)
class Reading:
    """All that a source looked at."""

    seen: tuple[Seen, ...] = ()
    files: tuple[ReadFile, ...] = ()
    unread: Mapping[Path, Unused] = field(default_factory=dict)  # files that the source does not read
    places: DataFrame | None = None  # "where" and "path" of all candidates, before some are set aside
    of_recordings: str = ""  # why the source does not use a recording that it says nothing else of
    root: Path | None = None  # of a source that unpacks recordings, what it unpacks; None: the root of the clips

    def __add__(self, other: "Reading") -> "Reading":
        return Reading(
            seen=(*self.seen, *other.seen),
            files=(*self.files, *other.files),
            unread={**self.unread, **other.unread},
            places=self.places if other.places is None else other.places,
            of_recordings=self.of_recordings or other.of_recordings,
            root=self.root or other.root,
        )


NOTHING_READ = Reading()
