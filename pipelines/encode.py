"""``wordless encode``: recordings -> codes, as Parquet or as text units that other tools read."""

from contextlib import suppress

from pipelines.commandline.command import command
from pipelines.encoding.options import EncodeConfig
from pipelines.store.run_folder import part_of
from pipelines.store.work_folder import JOB, require_new
from wordless.audio.recordings.recording_paths import recordings_at
from wordless.base.configuration import build


def encode(config: dict[str, object]) -> None:
    """Encode recordings; files that cannot be read are set aside."""
    settings = build(EncodeConfig, config, name="")
    tokenizer_folder = part_of(settings.model, "tokenizer")
    recordings = recordings_at(settings.input, settings.annotated)
    # Output and shards stand side by side only where a call was killed between writing the one and removing the others.
    if not settings.in_shards and not (settings.shards / JOB).exists():
        with suppress(OSError):
            settings.shards.rmdir()  # a call that was killed at its very end left it empty
        require_new(settings.output)
        if settings.format == "fairseq":
            require_new(settings.manifest)
    from pipelines.encoding.job import encode_recordings  # seconds of imports, which a mistake need not wait for

    encode_recordings(settings, recordings, tokenizer_folder)


main = command("encode", encode)

if __name__ == "__main__":
    main()
