"""``wordless demo``: a page in the browser for sounds and models of a run. Its options."""

from dataclasses import dataclass

from pipelines.store.shared_options import ModelOptions
from vocoder.vocoder_options import TEMPERATURE, Sampling, SoundOptions
from wordless.base.options import option


@dataclass(frozen=True, kw_only=True)
class DemoConfig(ModelOptions, SoundOptions):
    """Options of ``wordless demo``.

    The page is served to this machine alone, and needs no network. Ctrl-C ends it. It needs pip install
    'wordless[demo]'.
    example: wordless demo model=runs/x
    """

    port: int = option(7860, "the page is http://127.0.0.1:PORT; 0: any free port", least=0, most=65_535)
    browser: bool = option(True, "whether to open the page in a browser")
    max_seconds: float = 30.0  # longest sound in seconds that the page accepts

    @property
    def sampling(self) -> Sampling:
        return self.sampled(temperature=TEMPERATURE)
