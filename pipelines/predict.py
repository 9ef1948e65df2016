"""``wordless predict``: what a fine-tuned model predicts for recordings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.commandline.outputs import prepare_output, require_table
from pipelines.settings.inputs import SEVERAL, InputOptions, recordings_of, require_writable_folders
from pipelines.store.run_folder import is_finetuned
from wordless.audio.recordings.manifest import Clips
from wordless.base.hub import fetch, hub_address, is_on_hub
from wordless.base.options import REQUIRED, option


@dataclass(frozen=True, kw_only=True)
class PredictConfig(InputOptions):
    """Options of ``wordless predict``.

    example: wordless predict model=runs/x/finetuned/labels input=recordings output=table.tsv
    """

    model: Path = option(REQUIRED, "folder that wordless finetune wrote, or hf://user/name")
    input: str = option(REQUIRED, SEVERAL)
    output: Path | None = option(None, "also writes a table: a .tsv, .json or .parquet file; null: no table")
    upsample: bool = option(
        False, "true: recordings may have a lower sample rate than the model; it then reads bands that are empty"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_table(self.output, ".tsv", ".json", ".parquet")
        rule = "it is no fine-tuned model: name a folder of wordless finetune, such as one in finetuned/ of a run"
        self.refuse_if(not is_on_hub(self.model) and not is_finetuned(self.model), "model", rule)


def predict(settings: PredictConfig) -> tuple[PredictConfig, Sequence[Clips]]:
    """Print a line for each recording; files that cannot be read are set aside."""
    recordings = recordings_of(settings.input, settings.annotated)
    if address := hub_address(settings.model):
        settings = replace(settings, model=fetch(address, "finetuned", ""))
    if settings.output is not None:
        require_writable_folders(recordings, settings.output)
        prepare_output(settings.output)
    return settings, recordings
