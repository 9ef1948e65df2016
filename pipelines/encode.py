"""``wordless encode``: recordings -> codes, as Parquet or as text units that other tools read."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_kind
from pipelines.jobs.places import rejected_list
from pipelines.store.run_folder import part_of
from pipelines.store.work_folder import JOB, require_new
from wordless.audio.recordings.annotations.annotation import AnnotationConfig, AnnotationKind
from wordless.audio.recordings.recording_paths import recordings_at
from wordless.base.configuration import build
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
        return rejected_list(self.output)


def encode(config: dict[str, object]) -> None:
    """Encode recordings; files that cannot be read are set aside."""
    settings = build(EncodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    recordings = recordings_at(settings.input, settings.annotated)
    # Output and shards stand side by side only where a call was killed between writing the one and removing the others.
    if not settings.in_shards and not (settings.shards / JOB).exists():
        with suppress(OSError):
            settings.shards.rmdir()  # a call that was killed at its very end left it empty
        require_new(settings.output)
        if settings.format == "fairseq":
            require_new(settings.manifest)
    from pipelines.jobs.encode import encode_recordings  # seconds of imports, which a mistake need not wait for

    encode_recordings(settings, recordings, tokenizer_folder)


main = command("encode", encode, paths=frozenset({"model", "input", "output"}), texts=frozenset({"tier"}))

if __name__ == "__main__":
    main()
