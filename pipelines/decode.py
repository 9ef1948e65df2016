"""``wordless decode``: codes -> sound, one WAV file for each clip."""

from pipelines.commandline.command import command
from pipelines.decoding.options import DecodeConfig
from pipelines.store.run_folder import part_of, vocoder_of
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build
from wordless.base.errors import InputError


def decode(config: dict[str, object]) -> None:
    """Decode clips; those whose file is there already are left as they are."""
    settings = build(DecodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    vocoder_of(settings.model, settings.kind)
    if not settings.input.exists():
        raise InputError(f"input={settings.input} does not exist; name codes that wordless encode wrote, or text units")
    if settings.single:
        require_new(settings.output)
    from pipelines.decoding.decode_job import decode_codes  # seconds of imports, which a mistake need not wait for

    decode_codes(settings, tokenizer_folder)


main = command("decode", decode)

if __name__ == "__main__":
    main()
