"""``wordless embed``: recordings -> feature vectors, in files that other programs read."""

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_space
from pipelines.embedding.options import EmbedConfig
from pipelines.store.run_folder import part_of, run_of
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build


def embed(config: dict[str, object]) -> None:
    """Compute the vectors of all recordings; files that cannot be read are set aside."""
    settings = build(EmbedConfig, config, name="")
    part_of(settings.model, "lm")
    run = run_of(settings.model)
    require_new(settings.output)
    require_space(settings.output.parent, "output=PATH")
    from pipelines.embedding.inputs import find_inputs

    notices: list[str] = []
    found = find_inputs(settings, notices.append)
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    from pipelines.embedding.job import embed_recordings  # seconds of imports, which a mistake need not wait for

    embed_recordings(settings, run, found, notices)


main = command("embed", embed)

if __name__ == "__main__":
    main()
