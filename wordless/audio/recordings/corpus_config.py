"""The options of a corpus: where its recordings are, what is read of them, and how they are cut and divided."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from wordless.audio.recordings import patterns, splits
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.base.options import Options, option
from wordless.base.progress import Terminal

Source = Literal["embedded", "dataset", "table", "root"]
LabelType = Literal["class", "number", "text"]  # a name of a class, a measured number, or what is said
NAMED_BY: tuple[Source, ...] = get_args(Source)  # options of a corpus that name its recordings; the first that is given
_QUIETEST_DBFS = -120.0
MAX_OVERLAP = 0.9  # of a segment
CORPUS = "the recordings, their labels, and their division into splits"


@dataclass(frozen=True, kw_only=True)
class ColumnConfig(Options):
    """Columns of a table or data set; no others are read. A default that is not there is not read either.

    Without a header the columns are called 1, 2, 3... Where no column names the recording (``path`` is null),
    ``recording`` is the name of a column that has it, so that ``group`` may be ``recording``.
    """

    path: str | None = option(
        "path",
        "column of the recording, of a data set the one with its sound; null: each table belongs to the recording "
        "beside it whose name begins the table's",
    )
    label: str | None = option("label", "column of the label; null: no labels")
    group: str | None = option("group", "column of the group, such as the speaker; null: no groups")
    split: str | None = option("split", "column of the split: train, validation or test; null: none is read")
    fold: str | None = option("fold", "column of the fold; null: none is read")
    index: str | None = option(None, "column of the position in a series, a whole number; null: none is read")
    start: str | None = option("start", "column of the second at which a part begins; null: whole recordings")
    end: str | None = option("end", "column of the second at which the part ends")
    channel: str | None = option("channel", "column of the channel that is read, from 0; null: that of audio.channel")
    delimiter: str | None = option(None, "between cells, such as ;; null: a comma in .csv, a tab in .tsv and .txt")
    header: bool = option(True, "whether the first line names the columns")
    quotes: bool = option(True, "whether quotation marks enclose cells; false: they are letters")
    encoding: str = option("utf-8-sig", "of the letters, as Python calls it, such as cp1252 or utf-16")

    @property
    def named(self) -> dict[str, str]:
        """The column of each field."""
        found = {each.name: getattr(self, each.name) for each in fields(self)[:9]}
        return {name: column for name, column in found.items() if column is not None}

    def is_given(self, name: str) -> bool:
        """Return whether the column of a field has another name than by default, and must be there."""
        return bool(getattr(self, name) != type(self).__dataclass_fields__[name].default)

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "write one character, such as , or ;"
        self.refuse_if(self.delimiter is not None and len(self.delimiter) != 1, "delimiter", rule)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Options):
    """Options of the corpus: where its recordings are, and how they are split."""

    root: str | None = option(
        None, "folder of recordings, or of those that a table names; null: the built-in corpus, or the table's folder"
    )
    pattern: str | None = option(
        None,
        'roles of names, such as "{group}/{label}/*" or "{label}_{group}_{index}.wav"; null: the first folder '
        "is the label",
    )
    table: str | None = option(
        None, "a .csv, .tsv, .txt, .jsonl or .parquet file that lists recordings, or several, such as birds/*.txt"
    )
    dataset: str | None = option(
        None, "data set with recordings inside: a folder of save_to_disk, or Parquet files; see corpus=dataset"
    )
    columns: ColumnConfig = option(ColumnConfig(), "columns of a table or data set")
    label_type: LabelType = option(
        "class", "names of classes, measured numbers, or what is said; only classes are spread evenly over the splits"
    )
    label_names: Mapping[str, str] | None = option(None, 'such as {"0": zero, "1": one}: other names of some labels')
    most_rejected: float = option(
        0.05, "share of the rows of a table that may be set aside; more stop the run", least=0, most=1
    )
    segment_seconds: float | None = option(
        None, "such as 10: cuts longer recordings into clips of 10 seconds; null: cuts no recording", above=0
    )
    segment_overlap_seconds: float = option(0.0, "seconds that a segment shares with the segment before it", least=0)
    segment_silence_dbfs: float | None = option(
        None,
        "such as -50: leaves out segments without any sample above -50 dBFS; null: only silent ones",
        least=_QUIETEST_DBFS,
        below=0,
        unit="dBFS",
    )
    inspection: InspectionConfig = option(
        InspectionConfig(), "which recordings are left out, and which parts of the others are used"
    )
    split: splits.SplitConfig = option(splits.SplitConfig(), "the division into training, validation and test clips")

    embedded: EmbeddedConfig | None = None  # the built-in corpus stands in the place of ``root``

    @property
    def source(self) -> Source:
        """The option that names the recordings."""
        return next(name for name in NAMED_BY if getattr(self, name))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_if(self.dataset == "", "dataset", "name the files, such as `dataset`=FOLDER")
        rule = "name the folder of your recordings, `root`=PATH, or a table that lists them, `table`=FILE"
        self.refuse_if(not any(getattr(self, name) for name in NAMED_BY), "root", rule)
        if self.pattern is not None:
            patterns.roles_of(self.pattern)
            rule = (
                f"names are read of a folder alone, and `{self.source}` is given: name columns, such as `columns.group`"
            )
            self.refuse_if(self.source != "root", "pattern", rule)
        told = self.source != "root" or "label" in patterns.roles_of(self.pattern or "*")
        rule = (
            "names of folders are no texts: give them in a `table` (`columns.label`=NAME), or as {label} of `pattern`"
        )
        self.refuse_if(self.label_type == "text" and not told, "label_type", rule)
        rule = "columns are those of a table or a data set, and none is given: name it as `table`"
        for each in fields(ColumnConfig) if self.source == "root" else ():
            self.refuse_if(self.columns.is_given(each.name), f"columns.{each.name}", rule)
        rule = "it has no effect on whole recordings: give `segment_seconds`, too, such as 10"
        for name in ("segment_overlap_seconds", "segment_silence_dbfs"):
            self.refuse_if(self.segment_seconds is None and getattr(self, name), name, rule)
        most = MAX_OVERLAP * (self.segment_seconds or math.inf)
        rule = f"choose 0 to {most:g} seconds, {MAX_OVERLAP:.0%} of a segment"
        self.refuse_if(self.segment_overlap_seconds > most, "segment_overlap_seconds", rule)


@dataclass(frozen=True, kw_only=True)
class Making:
    """What a source needs that makes recordings before it lists them."""

    folder: Callable[[], Path]  # marks a store as used, and returns its folder
    terminal: Terminal
