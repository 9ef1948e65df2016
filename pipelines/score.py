"""``wordless score``: the log-probability of recordings under a finished run's GPT."""

from pipelines.commandline.command import command
from pipelines.commandline.outputs import require_space
from pipelines.scoring.options import ScoreConfig
from pipelines.store.run_folder import part_of
from pipelines.store.work_folder import require_new
from wordless.base.configuration import build


def score(config: dict[str, object]) -> None:
    """Print a line for each recording; files that cannot be read are set aside."""
    settings = build(ScoreConfig, config, name="")
    tokenizer, model = part_of(settings.model, "tokenizer"), part_of(settings.model, "lm")
    recordings = settings.recordings()
    settings.require_names(recordings)
    if settings.output is not None:
        require_new(settings.output)
        require_space(settings.output.parent, "output=PATH")
        settings.output.parent.mkdir(parents=True, exist_ok=True)
    from pipelines.scoring.job import score_recordings  # seconds of imports, which a mistake need not wait for

    score_recordings(settings, recordings, tokenizer, model)


main = command("score", score)

if __name__ == "__main__":
    main()
