"""``wordless demo``: a page with the spectrogram, codes, predicted label and continuation of a sound."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pipelines.commandline.command import command
from pipelines.store.run_folder import part_of, run_of
from vocoder.sampling import EngineChoice, Sampling
from wordless.base.configuration import build
from wordless.base.devices import Device
from wordless.base.errors import InputError
from wordless.base.hub import is_on_hub
from wordless.base.ranges import require

LONGEST = 600.0  # seconds of a sound: the page draws it whole, and keeps it in memory


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Options of ``wordless demo``."""

    model: Path  # folder of a run
    port: int  # 0: any free port
    browser: bool  # whether to open the page
    max_seconds: float  # of a sound
    vocoder_temperature: float
    postfilter: float  # strength of WaveNet's post-filter
    postfilter_passes: int
    device: Device
    engine: EngineChoice

    def __post_init__(self) -> None:
        rule = "choose a port from 1024 to 65535, or 0 for any that is free"
        require(self.port == 0 or 1024 <= self.port <= 65535, "port", self.port, rule)
        rule = f"choose more than 0 seconds, at most {LONGEST:g}"
        require(0 < self.max_seconds <= LONGEST, "max_seconds", self.max_seconds, rule)
        _ = self.sampling  # refuses values that are out of range

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the sound."""
        return Sampling(
            temperature=self.vocoder_temperature,
            postfilter=self.postfilter,
            postfilter_passes=self.postfilter_passes,
            engine=self.engine,
        )


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


main = command("demo", demo, paths=frozenset({"model"}))

if __name__ == "__main__":
    main()
