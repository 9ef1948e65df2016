"""``wordless find``: places in recordings that sound like a query."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.commandline.recording_options import (
    TABLES,
    FileOptions,
    StoredOptions,
    kind_of_output,
    require_input_recordings,
    require_writable_folder,
)
from pipelines.store.outputs import prepare_output
from pipelines.store.run_parts import part_of
from wordless.audio.levels import MAX_TRIM_DB, MIN_TRIM_DB
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.manifest import Clips
from wordless.base.options import REQUIRED, option

FrameFeatures = Literal["log_mel", "mfcc", "bottleneck", "soft_codes", "states"]


@dataclass(frozen=True, kw_only=True)
class FindConfig(StoredOptions, FileOptions):
    """Options of ``wordless find``: the places in recordings that sound like a query, without any label.

    Annotations name parts of the queries; the recordings of the input, of any length, are searched as a whole.
    example: wordless find model=runs/x query=word.wav input=recordings output=hits.tsv
    """

    query: Path = option(
        REQUIRED, "a recording of the sound to find, or a folder of several; annotated parts are queries of their own"
    )
    output: Path = option(
        REQUIRED,
        "a .tsv, .json or .parquet file with a row for each place, or a file of another program (format); a page with "
        "players is written beside it, such as hits.html",
    )
    features: FrameFeatures = option(
        "log_mel",
        "what is compared: patches of log-mel, MFCC, the tokenizer's bottlenecks, how near the "
        "sound is to each code, or states of the language model. All but soft codes have mean 0 and variance 1 over a "
        "recording, which is in memory",
    )
    layer: int | None = option(
        None, "features=states: layer of the language model, from 1; null: the one in the middle", least=1
    )
    hits: int = option(20, "most places of each query in the table, over all recordings", least=1)
    trim_db: float | None = option(
        30.0,
        "removes ends of a query that are so much softer than its loudest 20 ms; null: queries as they are",
        least=MIN_TRIM_DB,
        most=MAX_TRIM_DB,
        unit="dB",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        kind_of_output(self.output, self.format, *TABLES)


def find(settings: FindConfig) -> tuple[FindConfig, Clips, Clips, Path, Path | None]:
    tokenizer = part_of(settings.model, "tokenizer")
    model = part_of(settings.model, "lm") if settings.features == "states" else None
    queries = recordings_at(settings.query, settings, option="query")
    recordings = recordings_at(settings.input)
    require_writable_folder(recordings, settings.output)
    require_input_recordings(
        settings.output, settings.kind, (str(recordings.root / path) for path in recordings.frame.path)
    )
    prepare_output(settings.output, settings.output.with_suffix(".html"))
    return settings, queries, recordings, tokenizer, model
