"""Options of data sets: the columns that are read."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ColumnConfig:
    """Columns of a data set; in tar shards, keys of a sample's ``.json`` and endings of its members, such as cls."""

    audio: str | None = None  # holds the recordings; None: the only one that can; tar shards need none
    label: str | tuple[str, ...] | None = None  # several are joined; None: no labels
    group: str | None = None  # speaker, site...
    fold: str | None = None  # fold given by the data set
    split: str | None = None  # None: the splits are those of the data set's folders and files

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of the label."""
        return (self.label,) if isinstance(self.label, str) else self.label or ()

    @property
    def wanted(self) -> dict[str, str]:
        """Each column that is read as text, and the option that names it."""
        options = {"group": self.group, "fold": self.fold, "split": self.split}
        named = {column: f"corpus.columns.{name}={column}" for name, column in options.items() if column is not None}
        return {**{column: f"corpus.columns.label={column}" for column in self.labels}, **named}
