"""``wordless run``: recordings -> codes -> language model -> vocoder -> probes -> report."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from pipelines.command import command
from pipelines.sweep import going_on

PATHS = frozenset(
    {"corpus.root", "corpus.table", "store.root", "ast.model.weights", "hydra.run.dir", "hydra.sweep.dir"}
)
TEXTS = frozenset({"corpus.pattern"})  # braces and asterisks mean something to Hydra


def run(config: dict[str, object]) -> None:
    """Run the chain that a composed config describes."""
    from pipelines.chain import run_chain  # seconds of imports, which a misspelt option need not wait for

    with going_on():
        run_chain(config, Path(HydraConfig.get().runtime.output_dir))


main = command("run", run, paths=PATHS, texts=TEXTS)

if __name__ == "__main__":
    main()
