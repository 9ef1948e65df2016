"""Options of ``wordless encode``, ``embed``, ``score`` and ``predict``, which read recordings."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lm.probing.vectors import Pooling
from pipelines.store.outputs import require_kind, require_table
from pipelines.store.shared_options import EngineOptions, ModelOptions, RateOptions, WorkerOptions
from pipelines.store.store import StoreOptions
from wordless.audio.recordings.corpus_config import ColumnConfig, CorpusConfig
from wordless.audio.recordings.folder import NO_ROLES
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.messages import InputError
from wordless.base.options import REQUIRED, option

ALL = "all"  # layer: every candidate
LAYER = re.compile(rf"(layer|inner)_\d+|all_(layers|inner)(_with_input)?|{ALL}")


@dataclass(frozen=True, kw_only=True)
class InputOptions(ModelOptions, WorkerOptions):
    """Options of commands that read recordings with a trained model."""

    root: Path | None = option(None, "folder of the recordings that a table lists; null: the folder of the table")
    columns: ColumnConfig = option(ColumnConfig(), "columns of a table")
    most_rejected: float = option(
        0.05, "share of the rows of a table that may be set aside; more stop the command", least=0, most=1
    )


@dataclass(frozen=True, kw_only=True)
class StoredOptions(InputOptions, StoreOptions):
    input: Path = option(
        REQUIRED,
        "a recording, a folder of recordings, or a table of them, as corpus.table; <output>.rejected.tsv lists what is "
        "set aside",
    )


@dataclass(frozen=True, kw_only=True)
class EncodeConfig(StoredOptions, EngineOptions):
    """Options of ``wordless encode``.

    examples: wordless encode model=runs/x input=recordings output=codes.parquet
              wordless encode model=runs/x input=recordings output=units.km
    """

    output: Path = option(
        REQUIRED,
        "a .parquet file, a folder of shards, or a .km file of text units, with a line for each recording and a .tsv "
        "file that lists them, as fairseq reads both",
    )
    deduplicate: bool = option(False, "of a .km file: true merges repeated units, and their durations are lost")
    clips_per_shard: int = option(
        500, "recordings per shard; a killed command resumes after the last whole shard", least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "codes in Parquet keep their repeats: choose a .km file, such as output=units.km"
        self.refuse_if(self.deduplicate and not self.as_units, "deduplicate", rule)
        possible = "a file ending in .parquet or .km, or a folder of shards"
        require_kind(self.output, (".parquet", ".km"), possible=possible)

    @property
    def as_units(self) -> bool:
        """Whether text units are written."""
        return self.output.suffix.lower() == ".km"


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(StoredOptions):
    """Options of ``wordless embed``: feature vectors of recordings, in the files that compare.features reads.

    By default, the vectors are those that the run's probe reads: the layer and pooling that validation chose, of
    recordings without silent ends if the run cut them off.
    example: wordless embed model=runs/x input=recordings output=vectors.npz
    """

    output: Path = option(
        REQUIRED,
        "a .npz, .parquet or .safetensors file, with a row for each recording, or for each part that a table names",
    )
    method: str = option(
        "gpt",
        "gpt, denoising, bag_of_codes, log_mel or bottleneck",
    )
    layer: str | None = option(
        None,
        "layer_1, ... (states after a layer, of denoising inside it), "
        "inner_1, ... (inside it), all_layers, all_inner, both also with _with_input (the bag of codes, or log-mel), "
        "all (every candidate); null: what the run's probe reads, else the last layer",
    )
    pooling: Pooling | None = option(None, "over time; null: what the run's probe reads, else mean")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_table(self.output, ".npz", ".parquet", ".safetensors")
        if self.layer is not None and not LAYER.fullmatch(self.layer):
            rule = "name one, such as layer_2, inner_1, all_layers, all_inner_with_input or all"
            raise InputError(option="layer", value=self.layer, rule=rule)

    @property
    def corpus(self) -> CorpusConfig:
        """Options of a corpus without splits that holds the recordings."""
        return CorpusConfig(root=str(self.input), pattern=NO_ROLES, most_rejected=self.most_rejected, split=UNDIVIDED)


@dataclass(frozen=True, kw_only=True)
class TableOptions(InputOptions):
    """Options of commands that print a line for each recording, and write a table of all."""

    suffixes: ClassVar[tuple[str, ...]] = (".tsv", ".json", ".parquet")  # of the table

    input: str = option(
        REQUIRED, "a recording, a folder of recordings, a table of them, or several such as [a.wav,b.wav,folder]"
    )
    output: Path | None = option(
        None,
        "also writes a table: a .tsv, .json or .parquet file; null: no table. score: or a .txt file as ZeroSpeech 2021 "
        "reads it, and log_probability_per_second compares recordings over tokenizers",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_table(self.output, *self.suffixes)


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(TableOptions):
    """Options of ``wordless score``.

    example: wordless score model=runs/x input=recordings output=scores.tsv
    """

    suffixes = (*TableOptions.suffixes, ".txt")


@dataclass(frozen=True, kw_only=True)
class PredictConfig(TableOptions, RateOptions):
    """Options of ``wordless predict``; the model may also be a folder that ``wordless finetune`` wrote.

    examples: wordless predict model=runs/x input=recordings output=table.tsv
              wordless predict model=runs/x/finetuned/labels input=recordings output=table.tsv
    """

    method: str = option(
        "auto", "of a run: the method whose probe predicts, such as log_mel or gpt; auto: the best on validation clips"
    )
