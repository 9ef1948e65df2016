"""``wordless probe``: linear probes of the models of a run on other recordings. Its options."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipelines.settings.run_settings import OFTEN, CorpusCommand, ReadingConfig
from pipelines.store.outputs import require_kind
from pipelines.store.run_parts import require_output
from pipelines.store.shared_options import ModelOptions
from wordless.base.options import option
from wordless.base.saved_models import is_on_hub


@dataclass(frozen=True, kw_only=True)
class ProbeRunConfig(CorpusCommand, ModelOptions):
    """Options of ``wordless probe``.

    example: wordless probe model=runs/x corpus.root=recordings
    """

    often: ClassVar[tuple[str, ...]] = (*OFTEN, "probe.choose_by")

    output: Path | None = option(
        None, "JSON file of the figures, next to which a table is written; null: a file in the folder probes of the run"
    )
    compare: ReadingConfig = option(ReadingConfig(), "the feature vectors that probes read")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output is not None:
            require_kind(self.output, (".json",), possible="a file ending in .json")
        require_output(self.model, self.output, example="output=FILE.json")
        rule = "probes predict classes: leave it out, or call wordless finetune"
        self.refuse_if(self.corpus.label_type != "class", "corpus.label_type", rule)

    @property
    def folder(self) -> Path:
        """The folder on whose behalf artifacts of the store are kept: that of the run, unless the run is on the hub."""
        return self.output.parent if self.output is not None and is_on_hub(self.model) else self.model
