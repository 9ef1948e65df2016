"""``wordless demo``: a page with the spectrogram, codes, predicted label and continuation of a sound."""

from importlib.util import find_spec

from pipelines.commandline.command import command
from pipelines.demonstration.options import DemoConfig
from pipelines.store.run_folder import part_of, run_of
from wordless.base.configuration import build
from wordless.base.errors import InputError
from wordless.base.hub import is_on_hub


def demo(config: dict[str, object]) -> None:
    """Serve the page until Ctrl-C."""
    settings = build(DemoConfig, config, name="")
    if not is_on_hub(settings.model):
        part_of(settings.model, "tokenizer")
    if find_spec("gradio") is None:
        raise InputError("the page needs Gradio, which is not installed; call: pip install 'wordless[demo]'")
    from pipelines.demonstration.server import require_free, serve

    if settings.port:
        require_free(settings.port)
    run_of(settings.model)
    serve(settings)


main = command("demo", demo)

if __name__ == "__main__":
    main()
