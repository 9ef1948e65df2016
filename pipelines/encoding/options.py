"""Options of ``wordless encode``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import require_kind
from wordless.audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind
from wordless.base.devices import Device
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.ranges import require

UNITS = (".txt", ".units", ".km", ".jsonl", ".ndjson", ".json", ".tsv", ".csv")  # usual suffixes of text units


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """Options of ``wordless encode``."""

    model: Path  # folder of a run
    input: Path  # a recording, or a folder of them
    annotations: AnnotationKind = "auto"  # of other tools beside the recordings: each part is encoded
    tier: str | None = None  # of the annotations
    output: Path  # a .parquet file, a folder of shards, or a text file
    format: Literal["parquet", "name_units", "fairseq", "jsonl", "times"]
    deduplicate: bool  # merge repeated units, beside their durations; only for text
    workers: int  # 0: as many as cores if there is enough work
    engine: EngineConfig = LOCAL
    clips_per_shard: int
    device: Device

    @property
    def annotated(self) -> AnnotationConfig:
        """Options of annotations."""
        return AnnotationConfig(kind=self.annotations, tier=self.tier)

    @property
    def manifest(self) -> Path:
        """The list of recordings that fairseq reads beside a .km file."""
        return self.output.with_suffix(".tsv")

    def __post_init__(self) -> None:
        require(self.workers >= 0, "workers", self.workers, "choose 0 (as many as fit) or a number of processes")
        require(self.clips_per_shard >= 1, "clips_per_shard", self.clips_per_shard, "a shard holds at least 1")
        if self.format == "parquet":
            if self.deduplicate:
                remedy = "choose format=name_units, fairseq, jsonl or times"
                raise InputError(f"deduplicate=true, but format=parquet keeps durations; {remedy}")
            possible = "a file ending in .parquet, or a folder of shards"
            if self.output.suffix.lower() in UNITS:
                possible += "; text units need format=name_units, fairseq, jsonl or times"
            return require_kind(self.output, (".parquet",), possible=possible)
        if self.output.suffix.lower() == ".parquet":
            problem = f"output={self.output}, but format={self.format} is text"
            raise InputError(f"{problem}; name a text file, or format=parquet")
        if self.format == "times":
            rule = "name a table ending in .tsv or .csv"
            require(self.output.suffix.lower() in (".tsv", ".csv"), "output", self.output, rule)
        if self.format == "fairseq" and self.output.suffix == ".tsv":
            raise InputError(f"output={self.output}, but its .tsv will list the recordings; name the units .km")
        require_kind(self.output, UNITS, possible="a text file, such as units.txt, .km or .jsonl")

    @property
    def in_shards(self) -> bool:
        """Whether the output is a folder."""
        return self.format == "parquet" and self.output.suffix.lower() != ".parquet"

    @property
    def shards(self) -> Path:
        """The folder of the shards: the output itself, or a folder beside the file into which they are joined."""
        return self.output if self.in_shards else self.output.with_name(self.output.name + ".partial")

    @property
    def rejected(self) -> Path:
        """The list of files that were set aside."""
        return self.output.with_name(self.output.name + ".rejected.tsv")
