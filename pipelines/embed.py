"""``wordless embed``: recordings -> feature vectors, in files that other programs read."""

import re
from dataclasses import dataclass
from pathlib import Path

from lm.options import Pooling
from pipelines.commandline.outputs import prepare_output, require_table
from pipelines.settings.inputs import StoredOptions
from pipelines.store.run_folder import part_of, run_of
from wordless.audio.recordings.annotations import kind_of
from wordless.audio.recordings.corpus import candidates_at
from wordless.audio.recordings.folders import EXTENSIONS
from wordless.audio.recordings.manifest import Clips
from wordless.base.errors import InputError
from wordless.base.hub import is_on_hub
from wordless.base.options import REQUIRED, option

TABLES = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".ndjson")
ALL = "all"  # layer: every candidate
LAYER = re.compile(rf"(layer|inner)_\d+|all_(layers|inner)(_with_input)?|{ALL}")


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(StoredOptions):
    """Options of ``wordless embed``: feature vectors of recordings, in the files that compare.features reads.

    By default, the vectors are those that the run's probe reads: the layer and pooling that validation chose, of
    recordings without silent ends if the run cut them off.
    example: wordless embed model=runs/x input=recordings output=vectors.npz
    """

    input: Path = option(
        REQUIRED,
        "a recording, a folder of recordings, or a table of them such as runs/x/manifest.tsv; <output>.rejected.tsv "
        "lists what is set aside",
    )
    output: Path = option(
        REQUIRED,
        "a .npz, .parquet or .safetensors file, with a row for each recording, or for each part that a table names",
    )
    root: Path | None = option(
        None, "folder of the recordings that a table lists; null: the folder of the table, or the one that it names"
    )
    method: str = option(
        "gpt", "gpt, gpt_sound, bag_of_codes, log_mel or bottleneck; of several rates, such as gpt_of_rate_1"
    )
    layer: str | None = option(
        None,
        "layer_1, ... (states after a layer; of gpt_sound its convolutions, then inside each layer), inner_1, ... "
        "(inside it), all_layers, all_inner, both also with _with_input (the bag of codes, or log-mel), all (every "
        "candidate); null: what the run's probe reads, else the last layer",
    )
    pooling: Pooling | None = option(None, "over time; null: what the run's probe reads, else mean")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_table(self.output, ".npz", ".parquet", ".safetensors")
        if self.layer is not None and not LAYER.fullmatch(self.layer):
            rule = "name one, such as layer_2, inner_1, all_layers, all_inner_with_input or all"
            raise InputError(option="layer", value=self.layer, rule=rule)

    @property
    def is_table(self) -> bool:
        """Whether the input is a table that lists recordings, or a file of annotations."""
        suffix = self.input.suffix.lower()
        if suffix.removeprefix(".") in EXTENSIONS or self.input.is_dir():
            return False
        return suffix in TABLES or (self.annotations != "none" and kind_of(self.input) is not None)


def embed(settings: EmbedConfig) -> tuple[EmbedConfig, Path, Clips | None]:
    """Compute the vectors of all recordings; files that cannot be read are set aside."""
    if settings.method == "gpt_sound" and is_on_hub(settings.model):
        rule = "wordless publish does not publish this model: name the folder of the run"
        raise InputError(option="model", value=settings.model, rule=rule)
    part_of(settings.model, "gpt_sound" if settings.method == "gpt_sound" else "lm")
    run = run_of(settings.model)
    if not settings.is_table and settings.root is not None:
        raise InputError(f"root={settings.root}, but input={settings.input} is no table that lists recordings")
    recordings = None if settings.is_table else candidates_at(settings.input, settings.annotated)
    prepare_output(settings.output)
    return settings, run, recordings
