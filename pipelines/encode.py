"""``wordless encode``: recordings -> codes, as Parquet or as text units that other tools read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.outputs import prepare_output, require_kind
from pipelines.settings.inputs import MODEL, StoredOptions
from pipelines.store.run_folder import part_of
from wordless.audio.recordings.corpus import recordings_at
from wordless.audio.recordings.manifest import Clips
from wordless.base.errors import InputError, require
from wordless.base.options import REQUIRED, option
from wordless.base.pools import LOCAL, EngineConfig
from wordless.base.values import build

UNITS = (".txt", ".units", ".km", ".jsonl", ".ndjson", ".json", ".tsv", ".csv")  # usual suffixes of text units


@dataclass(frozen=True, kw_only=True)
class EncodeConfig(StoredOptions):
    """Options of ``wordless encode``.

    example: wordless encode model=runs/x input=recordings output=codes.parquet
    """

    model: Path = option(REQUIRED, MODEL)
    input: Path = option(
        REQUIRED, "a recording, or a folder of recordings; <output>.rejected.tsv lists files that cannot be read"
    )
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
    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")
    clips_per_shard: int = option(
        500, "recordings per shard; a killed command resumes after the last whole shard", least=1
    )

    @property
    def manifest(self) -> Path:
        """The list of recordings that fairseq reads beside a .km file."""
        return self.output.with_suffix(".tsv")

    def __post_init__(self) -> None:
        super().__post_init__()
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
        return self.format == "parquet" and self.output.suffix.lower() != ".parquet"


def encode(config: dict[str, object]) -> tuple[EncodeConfig, Clips, Path]:
    """Encode recordings; files that cannot be read are set aside."""
    settings = build(EncodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    recordings = recordings_at(settings.input, settings.annotated)
    prepare_output(settings.output)
    return settings, recordings, tokenizer_folder
