"""``wordless publish``: the models of a run on the Hugging Face hub, as ONNX files, or as start weights."""

from importlib.util import find_spec

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_space
from pipelines.publishing.contents import require_finished
from pipelines.publishing.options import PublishConfig
from pipelines.publishing.upload import require_uploadable
from pipelines.store.run_folder import is_finetuned
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build
from wordless.base.errors import InputError

ONNX = ("onnx", "onnxscript", "onnxruntime")  # libraries that write and run ONNX files


def publish(config: dict[str, object]) -> None:
    """Show what would be uploaded, or upload it."""
    settings = build(PublishConfig, config, name="")
    if settings.format != "hub":
        return _write_files(settings)
    require_finished(settings.run)
    if settings.upload:
        require_uploadable(settings)
    from pipelines.publishing.job import publish_models  # seconds of imports, which a mistake need not wait for

    publish_models(settings)


def _write_files(settings: PublishConfig) -> None:
    missing = [name for name in ONNX if find_spec(name) is None] if settings.format == "onnx" else []
    if missing:
        raise InputError(
            f"format=onnx needs {', '.join(missing)}, not installed here; call: pip install 'wordless[onnx]'"
        )
    require_finished(settings.run)
    assert settings.output is not None, "the options demand one"
    if is_finetuned(settings.run):
        problem = f"run={settings.run} is a fine-tuned model, of which format={settings.format} writes nothing"
        raise InputError(f"{problem}; name a run")
    require_new(settings.output)
    require_space(settings.output.parent, "output=PATH")
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    if settings.format == "start":
        from pipelines.publishing.start_weights import write_start_weights

        return write_start_weights(settings)
    from pipelines.publishing.onnx_models import write_onnx_models

    write_onnx_models(settings)


main = command("publish", publish)

if __name__ == "__main__":
    main()
