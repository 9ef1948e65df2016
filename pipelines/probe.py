"""``wordless probe``: what do the representations of a trained run know of labelled recordings?"""

from pipelines.commandline.command import command

OFTEN = (
    *("corpus.root", "corpus.table", "corpus.pattern", "corpus.labels", "corpus.split.by"),
    *("store.root", "probe.choose_by"),
)


def probe(config: dict[str, object]) -> None:
    """Probe the models of a run on the corpus that a composed config describes."""
    from pipelines.settings.completed import require_recordings

    require_recordings(config)
    from pipelines.chain.probe_job import probe_run  # seconds of imports, which a mistake need not wait for

    probe_run(config)


main = command("probe", probe, often=OFTEN)

if __name__ == "__main__":
    main()
