"""``wordless finetune``: a head on a pre-trained body, trained on labels."""

from pipelines.commandline.command import command

OFTEN = (
    *("corpus.root", "corpus.table", "corpus.pattern", "corpus.labels", "corpus.split.by"),
    *("body.weights", "body.frozen_layers", "body.fit.steps", "body.fit.lr", "store.root"),
)


def finetune(config: dict[str, object]) -> None:
    """Fine-tune a body on the corpus that a composed config describes."""
    from pipelines.finetuning.options import finetune_settings
    from pipelines.settings.completed import require_recordings

    finetune_settings(config)
    require_recordings(config)
    from pipelines.finetuning.job import finetune_body  # seconds of imports, which a mistake need not wait for

    finetune_body(config)


main = command("finetune", finetune, often=OFTEN)

if __name__ == "__main__":
    main()
