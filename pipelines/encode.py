"""``wordless encode``: recordings -> codes, as Parquet or as text units that other tools read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import prepare_output, require_kind, require_table
from pipelines.settings.inputs import EngineOptions, StoredOptions
from pipelines.store.run_folder import part_of
from wordless.audio.recordings.corpus import recordings_at
from wordless.audio.recordings.manifest import Clips
from wordless.base.options import REQUIRED, option

UNITS = (".txt", ".units", ".km", ".jsonl", ".ndjson", ".json", ".tsv", ".csv")  # usual suffixes of text units


@dataclass(frozen=True, kw_only=True)
class EncodeConfig(StoredOptions, EngineOptions):
    """Options of ``wordless encode``.

    example: wordless encode model=runs/x input=recordings output=codes.parquet
    """

    output: Path = option(REQUIRED, "a .parquet file, a folder of shards, or a text file")
    format: Literal["parquet", "name_units", "fairseq", "jsonl", "times"] = option(
        "parquet",
        "fairseq writes a .km file and a .tsv file; name_units and fairseq also write the samples of each recording, "
        "<output>.lengths; times writes a .tsv or .csv file with the seconds of each code",
    )
    deduplicate: bool = option(
        False,
        "true: merges repeated units (text formats only); their durations are written beside them: <output>.durations, "
        "or duration in JSON lines; times has the seconds of each run",
    )
    clips_per_shard: int = option(
        500, "recordings per shard; a killed command resumes after the last whole shard", least=1
    )

    @property
    def manifest(self) -> Path:
        """The list of recordings that fairseq reads beside a .km file."""
        return self.output.with_suffix(".tsv")

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "format=parquet keeps durations: choose format=name_units, fairseq, jsonl or times"
        self.refuse_if(self.deduplicate and self.format == "parquet", "deduplicate", rule)
        if self.format == "times":
            return require_table(self.output, ".tsv", ".csv")
        if self.format == "parquet":
            possible = "a file ending in .parquet, or a folder of shards; text units need format=name_units or another"
            return require_kind(self.output, (".parquet",), possible=possible)
        written = [suffix for suffix in UNITS if self.format != "fairseq" or suffix != ".tsv"]  # its list of recordings
        possible = f"for format={self.format} a text file ending in {', '.join(written)}"
        require_kind(self.output, written, possible=possible)

    @property
    def in_shards(self) -> bool:
        return self.format == "parquet" and self.output.suffix.lower() != ".parquet"


def encode(settings: EncodeConfig) -> tuple[EncodeConfig, Clips, Path]:
    """Encode recordings; files that cannot be read are set aside."""
    tokenizer_folder = part_of(settings.model, "tokenizer")
    recordings = recordings_at(settings.input, settings.annotated)
    prepare_output(settings.output)
    return settings, recordings, tokenizer_folder
