"""``wordless generate``: a language model continues a prompt, or speaks from silence."""

from pipelines.commandline.command import command
from pipelines.decoding.options import GenerateConfig
from pipelines.store.run_folder import part_of, vocoder_of
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build
from wordless.base.errors import InputError


def generate(config: dict[str, object]) -> None:
    """Prompt -> codes -> language model -> vocoder; ends with WAV files and codes.parquet."""
    settings = build(GenerateConfig, config, name="")
    for part in ("tokenizer", "lm"):
        part_of(settings.model, part)
    if settings.kind is not None:
        vocoder_of(settings.model, settings.kind)
    if settings.prompt is not None and not settings.prompt.is_file():
        raise InputError(f"prompt={settings.prompt} is no file; name a recording, or none: prompt=null")
    require_new(settings.output)
    from pipelines.decoding.generate_job import generate_sounds  # seconds of imports, which a mistake need not wait for

    generate_sounds(settings)


main = command("generate", generate)

if __name__ == "__main__":
    main()
