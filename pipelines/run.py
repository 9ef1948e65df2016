"""``wordless run``: recordings -> codes -> language model -> vocoder -> probes -> report."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from pipelines.commandline.command import start
from pipelines.commandline.run_folders import logged
from pipelines.jobs.sweep_runs import going_on
from wordless.base.machine import large_imports


def run(config: dict[str, Any]) -> None:
    """Run the chain that a composed config describes."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with going_on(), logged(folder):
        from pipelines.commandline.command_options import completed
        from pipelines.settings.run_settings import corpus_options, require_recordings

        config = completed("run", config)
        require_recordings(corpus_options(config), in_folds=bool(config["compare"]["folds"]))
        with large_imports():
            from pipelines.jobs.run_chain import run_chain  # seconds of imports, which a mistake need not wait for

        run_chain(config, folder)


if __name__ == "__main__":
    start("run")
