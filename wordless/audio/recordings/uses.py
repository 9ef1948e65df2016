"""What became of everything that a source of recordings looked at: files, rows and columns, each exactly once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class FileUse:
    """A file, and what became of it and its rows."""

    path: str  # below the root, "/" between folders
    use: str = ""  # what it was read for; "": it was not read
    why: str = ""  # why it was not read; "": it was
    rows: int | None = None  # how many it has; None: it has none, or nobody counted them
    unused: Mapping[int, str] = field(default_factory=dict)  # number of a row, from 1 -> why it was not used

    @property
    def used(self) -> int | None:
        """How many of its rows were used; None: it has none, or nobody counted them."""
        return None if self.rows is None else self.rows - len(self.unused)


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnUse:
    """A column of tables or of a data set, and the fields of recordings that it was used for."""

    name: str
    fields: tuple[str, ...] = ()  # such as label and group; (): it was not read
    why: str = ""  # why it was not read


@dataclass(frozen=True, kw_only=True)
class Uses:
    """The files below a root, and the columns of those with rows."""

    root: Path
    files: tuple[FileUse, ...]
    columns: tuple[ColumnUse, ...] = ()
