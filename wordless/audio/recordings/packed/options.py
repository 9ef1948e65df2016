"""Options of data sets and tables: the columns that are read."""

from dataclasses import dataclass, fields

SEPARATOR = ";"  # between several labels of a recording, as in probe.label_separator


@dataclass(frozen=True, kw_only=True)
class ColumnConfig:
    """Columns of a table or data set; in tar shards, keys of a sample's ``.json`` and endings of its members.

    A table may have no header; its columns are then named by their numbers, from 1. None: in a table, a column of a
    well-known name (`recordings/tables.py`); in a data set, nothing but its only column of sound and its splits.
    """

    audio: str | None = None  # holds the recordings, or in a table their paths; tar shards need none
    label: str | int | tuple[str | int, ...] | None = None  # several are joined by `SEPARATOR`
    group: str | None = None  # speaker, site...
    fold: str | None = None  # fold given by the data set
    split: str | None = None
    index: str | None = None  # of tables alone, as the following ones: position in a numbered series
    start: str | None = None  # seconds at which a part of a recording begins
    end: str | None = None
    duration: str | None = None  # seconds, instead of an end

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the label."""
        return self.named.get("label", ())

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The columns that are named, by option."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        several = {name: value if isinstance(value, tuple) else (value,) for name, value in given.items()}
        return {name: tuple(map(str, each)) for name, each in several.items() if given[name] not in (None, ())}

    @property
    def wanted(self) -> dict[str, str]:
        """Each column that is read as text, and the option that names it."""
        return {
            column: f"corpus.columns.{name}={column}"
            for name, columns in self.named.items()
            for column in columns
            if name != "audio"
        }
