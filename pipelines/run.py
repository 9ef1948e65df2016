"""``wordless run``: recordings -> codes -> language model -> vocoder -> probes -> report; and ``wordless probe``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig

from pipelines.commandline.command import start
from pipelines.commandline.command_options import completed
from pipelines.commandline.run_folders import logged
from pipelines.jobs.sweep_runs import going_on
from pipelines.settings.run_settings import (
    OFTEN,
    CorpusCommand,
    ReadingConfig,
    corpus_command,
    corpus_options,
    require_recordings,
)
from pipelines.store.inputs_and_outputs import ModelOptions, require_kind, require_output
from wordless.base.machine import large_imports
from wordless.base.options import option
from wordless.base.saved_models import is_on_hub


def run(config: dict[str, Any]) -> None:
    """Run the chain that a composed config describes."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with going_on(), logged(folder):
        config = completed("run", config)
        require_recordings(corpus_options(config), in_folds=bool(config["compare"]["folds"]))
        with large_imports():
            from pipelines.jobs.run_chain import run_chain  # seconds of imports, which a mistake need not wait for

        run_chain(config, folder)


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
        """The folder on whose behalf entries of the store are kept: that of the run, unless the run is on the hub."""
        return self.output.parent if self.output is not None and is_on_hub(self.model) else self.model


def probe(config: dict[str, object]) -> tuple[ProbeRunConfig]:
    """Probe the models of a run on the corpus that a composed config describes."""
    settings = corpus_command(ProbeRunConfig, completed("probe", config))
    require_recordings(settings.corpus)
    return (settings,)


if __name__ == "__main__":
    start("run")
