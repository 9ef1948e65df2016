"""The options of a corpus: where its recordings are, what describes them, and how they are cut and divided."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from wordless.audio.recordings import description, letters, splits
from wordless.audio.recordings.annotation_kinds import ANNOTATION_KINDS
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.base.options import Options, option
from wordless.base.progress import Terminal

Source = Literal["embedded", "dataset", "table", "root"]
NAMED_BY: tuple[Source, ...] = get_args(Source)  # options of a corpus that name its recordings; the first that is given
_QUIETEST_DBFS = -120.0
MAX_OVERLAP = 0.9  # of a segment
CORPUS = "the recordings, their labels, and their division into splits"


@dataclass(frozen=True, kw_only=True)
class AnnotationOptions(Options):
    """Options of all commands that read the annotations of recordings."""

    annotations: str = option(
        "auto",
        "kind of the annotations beside recordings, which give labelled parts; auto: as their suffixes say; none: "
        "whole recordings",
        choices=("auto", "none", *ANNOTATION_KINDS),
    )
    tier: str | None = option(
        None, "tier of TextGrids or ELAN documents, or column of a table, that has the labels; null: the only one"
    )

    columns = description.ColumnConfig(missing="none")  # of tables; options of a corpus alone

    @property
    def labels_in(self) -> tuple[str | None, str]:
        """The tier of annotations, or the column of a table, that has the labels, and the option that names it."""
        label = ",".join(self.columns.named.get("label", ())) or None
        return (letters.plain(self.tier), "tier") if self.tier else (label, "columns.label")

    @property
    def groups_in(self) -> str | None:
        """The column of a table that has the groups."""
        return next(iter(self.columns.named.get("group", ())), None)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the description that file names give."""
        return ()

    def refuse_annotations(self) -> None:
        """Refuse options of annotations where none are read."""
        rule = "it has no effect, as no annotations are read here: leave it out"
        for name in ("tier", "annotations"):
            self.refuse_if(getattr(self, name) not in (None, "auto", "none"), name, rule)


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(AnnotationOptions):
    """Options of the corpus: where its recordings are, and how they are split."""

    root: str | None = option(None, "folder of recordings; null: the built-in corpus")
    pattern: str | None = option(None, 'pattern of file names, such as "{label}_{group}_{index}.wav"')
    labels: Literal["folder", "pattern", "none"] = option("folder", "the source of the labels")
    label_type: description.LabelType = option(
        "class", "names of classes, measured numbers, or what is said; only classes are spread evenly over the splits"
    )
    label_names: Mapping[str, str] | None = option(None, 'such as {"0": zero, "1": one}: other names of some labels')
    table: str | None = option(None, "TSV, CSV, JSONL or Parquet file that lists recordings, with a header")
    dataset: str | None = option(
        None, "data set with recordings inside: a folder of save_to_disk, or Parquet files; see corpus=dataset"
    )
    columns: description.ColumnConfig = option(description.ColumnConfig(), "columns of a table or data set")
    missing: Literal["stop", "list"] = option(
        "stop", "a file of the table that is not there stops the run, or is set aside and listed"
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

    @property
    def is_made(self) -> bool:
        """Whether the source writes the recordings before it lists them."""
        return self.source in ("embedded", "dataset")

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the description that file names give."""
        return () if self.pattern is None else description.pattern_fields(self.pattern)

    def __post_init__(self) -> None:
        super().__post_init__()
        described = self.table or self.dataset  # by more than file names
        self.refuse_if(self.dataset == "", "dataset", "name the files, such as `dataset`=FOLDER")
        rule = "name the folder of your recordings, `root`=PATH, or a table that lists them, `table`=FILE"
        self.refuse_if(not any(getattr(self, name) for name in NAMED_BY), "root", rule)
        rule = f"`pattern` is {self.pattern!r}: put {{label}} into it"
        self.refuse_if("label" not in self.fields and self.labels == "pattern" and not described, "labels", rule)
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
