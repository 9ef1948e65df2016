"""``wordless publish``: the models of a run on the Hugging Face hub."""

from foundation.configuration import build
from pipelines.commandline.command import command
from pipelines.publishing.contents import require_finished
from pipelines.publishing.options import PublishConfig
from pipelines.publishing.upload import require_uploadable


def publish(config: dict[str, object]) -> None:
    """Show what would be uploaded, or upload it."""
    settings = build(PublishConfig, config, name="")
    require_finished(settings.run)
    if settings.upload:
        require_uploadable(settings)
    from pipelines.publishing.job import publish_models  # seconds of imports, which a mistake need not wait for

    publish_models(settings)


main = command("publish", publish, paths=frozenset({"run"}), texts=frozenset({"repo"}))

if __name__ == "__main__":
    main()
