"""``wordless predict``: what a fine-tuned model predicts for recordings."""

from dataclasses import replace

from pipelines.commandline.command import command
from pipelines.commandline.inputs import recordings_of, require_writable_folders
from pipelines.commandline.outputs import require_space
from pipelines.finetuning.prediction_options import PredictConfig
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build
from wordless.base.hub import fetch, hub_address


def predict(config: dict[str, object]) -> None:
    """Print a line for each recording; files that cannot be read are set aside."""
    settings = build(PredictConfig, config, name="")
    recordings = recordings_of(settings.input, settings.annotated)
    if address := hub_address(settings.model):
        settings = replace(settings, model=fetch(address, "finetuned", ""))
    if settings.output is not None:
        require_writable_folders(recordings, settings.output)
        require_new(settings.output)
        require_space(settings.output.parent, "output=PATH")
        settings.output.parent.mkdir(parents=True, exist_ok=True)
    from pipelines.finetuning.prediction import (
        predict_recordings,
    )  # seconds of imports, which a mistake need not wait for

    predict_recordings(settings, recordings)


main = command("predict", predict)

if __name__ == "__main__":
    main()
