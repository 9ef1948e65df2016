"""Options of ``wordless probe``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lm.options import ProbeConfig
from pipelines.commandline.inputs import DEVICE, MODEL
from pipelines.commandline.outputs import require_kind
from pipelines.settings.comparison import ReadingConfig
from pipelines.settings.run import EMBEDDED_TYPED, OWN_SEEDS
from pipelines.store.run_folder import require_output
from pipelines.store.store import StoreConfig
from wordless.audio.recordings.corpus import CORPUS, CorpusConfig
from wordless.audio.recordings.embedded import EmbeddedConfig
from wordless.base.devices import Device
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.hub import is_on_hub
from wordless.base.options import REQUIRED, Options, Typed, option
from wordless.base.seeds import MAX_SEED


@dataclass(frozen=True, kw_only=True)
class ProbeRunConfig(Options):
    """Options of ``wordless probe``.

    example: wordless probe model=runs/x corpus.root=recordings
    """

    typed: ClassVar[Mapping[str, Typed]] = EMBEDDED_TYPED
    own_seeds: ClassVar[tuple[str, ...]] = OWN_SEEDS

    model: Path = option(REQUIRED, MODEL)
    output: Path | None = option(
        None,
        "JSON file of the figures, next to which a table is written; null: a file in the folder probes of the run",
    )
    seed: int = option(0, "seed of the splits and of the probes", least=0, most=MAX_SEED)
    device: Device = option("auto", DEVICE)
    workers: int = option(0, "processes that read and encode; 0: all cores if the corpus is large", least=0)
    engine: EngineConfig = option(LOCAL, "what reads and encodes: processes of this machine, or a Ray cluster")
    store: StoreConfig = option(StoreConfig(), "the results of finished stages, which later runs reuse")
    embedded: EmbeddedConfig = option(EmbeddedConfig(), "the built-in corpus of spoken sentences or words")
    compare: ReadingConfig = option(ReadingConfig(), "the feature vectors that probes read")
    probe: ProbeConfig = option(ProbeConfig(), "the linear probes")
    corpus: CorpusConfig = option(REQUIRED, CORPUS, given_as=CorpusConfig, group="embedded")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_kind(self.output, (".json",), possible="a file ending in .json")
        require_output(self.model, self.output, example="output=FILE.json")
        if self.corpus.label_type != "class":
            rule = "probes predict classes: leave it out, or call wordless finetune"
            raise InputError(option="corpus.label_type", value=self.corpus.label_type, rule=rule)

    @property
    def folder(self) -> Path:
        """The folder on whose behalf entries of the store are kept: that of the run, unless the run is on the hub."""
        return self.output.parent if self.output is not None and is_on_hub(self.model) else self.model
