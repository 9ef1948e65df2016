"""``wordless run``: recordings -> codes -> language model -> vocoder -> probes -> report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from pipelines.chain.sweep import going_on
from pipelines.commandline.command import command
from pipelines.commandline.run_folders import logged

OFTEN = (
    *("corpus.root", "corpus.table", "corpus.pattern", "corpus.labels", "corpus.split.by", "audio.sample_rate"),
    *("tokenizer.codebook_size", "tokenizer.patch.frames"),
    *("lm.gpt.layers", "lm.gpt.model_dim", "lm.fit.steps", "vocoder.fit.steps"),
    *("compare.methods", "compare.folds", "listening.judged_clips", "store.root"),
)
OF_TRAINED_VOICES = ("fit.[!s]*", "fit.seed", "crops.*", "codebook_sizes")  # of a vocoder's training, beside fit.steps


def idle(config: Mapping[str, object], typed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give the options of a vocoder's training that takes no step, which other options decide."""
    if not any(option.startswith("vocoder.") for option in typed):
        return
    from pipelines.settings.run import completed  # PyTorch, which a mistake in other options need not wait for
    from pipelines.stages.options import STEPS

    match completed(config):
        case {"stages": [*stages], "vocoder": {"fit": {"steps": 0}}} if "vocoder" in stages:
            for name in OF_TRAINED_VOICES:
                yield f"vocoder.{name}", f"WaveNet is trained 0 steps, and vocoder.fit.steps={STEPS} would train it"


def run(config: dict[str, object]) -> None:
    """Run the chain that a composed config describes."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    with going_on(), logged(folder):
        from pipelines.commandline.choices import require_recordings

        require_recordings(config)
        from pipelines.chain.chain import run_chain  # seconds of imports, which a mistake need not wait for

        run_chain(config, folder)


main = command("run", run, often=OFTEN, idle=idle)

if __name__ == "__main__":
    main()
