"""The folder of a run, written from the entries of the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pipelines.chain.corpus import MANIFEST, REJECTED, Corpus
from pipelines.chain.next_samples import measure_speed
from pipelines.chain.probe_folder import write_probe
from pipelines.chain.sounds import comb_notice
from pipelines.chain.unlabelled import write_started, write_unlabelled
from pipelines.commandline.run_names import link_latest
from pipelines.pages.run_words import summary
from pipelines.pages.runs import RUNS, write_runs_page
from pipelines.results.comparison_table import as_markdown
from pipelines.results.predictions import PREDICTIONS, write_predictions
from pipelines.results.results import FoldSeed, write_results
from pipelines.results.run_record import CODE_SOUNDS, RESAMPLES, RESULTS, SAMPLE_SOUNDS, Provenance, read_results
from pipelines.settings.run import RunSettings
from pipelines.stages.next_sample import NEXT_SAMPLE
from pipelines.stages.options import ModelName
from pipelines.store.session import Session
from pipelines.store.store import ENTRY, Entry
from pipelines.store.stored_features import PROBE
from wordless.audio.recordings.manifest import Manifest, write_manifest, write_rejected
from wordless.base.errors import InputError
from wordless.base.files import replace_folder, write_aside

COMPARISON = "comparison.md"
# folder of a run -> the stages whose entry is copied there, the first that the run has
PARTS = {
    "tokenizer": ("rate_tokenizer", "tokenizer"),
    "lm": ("rate_lm", "lm"),
    "wav2vec2": ("wav2vec2",),
    "audio_transformer": ("audio_transformer",),
    "vocoder": ("vocoder",),
    "listening": ("listening",),
    CODE_SOUNDS: ("code_table",),
    **{stage: (stage,) for stage in (f"{NEXT_SAMPLE}_{name}" for name in get_args(ModelName))},
    "rates": ("rate_continuations",),
}


def require_own_parts(folder: Path) -> None:
    """Refuse a folder in which something that no run wrote has the name of a part, because a run replaces its parts."""
    for name in (*PARTS, SAMPLE_SOUNDS):
        place = folder / name
        if place.exists() and not (place / ENTRY).is_file():
            raise InputError(
                f"no run wrote {place}, and this run would replace it; choose another folder, hydra.run.dir=PATH, or "
                f"move {place}"
            )


def write_run_folder(
    session: Session,
    corpus: Corpus,
    unlabelled: Sequence[Manifest],
    settings: RunSettings,
    made: dict[FoldSeed, dict[str, Entry]],
    source: Provenance,
) -> None:
    """Write the folder of a run: manifest, models, sounds, probe, results and report.

    What an earlier run with other stages left in the folder is removed. A run in ``runs`` gets a line in the page of
    runs, and the link to the last finished run.
    """
    folder, terminal = session.folder, session.terminal
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (PROBE, COMPARISON, RESAMPLES):  # left by an earlier run in this folder with other stages
        (folder / stale).unlink(missing_ok=True)
    write_manifest(corpus.manifest, folder / MANIFEST)
    write_rejected(corpus.rejected, folder / REJECTED)
    write_unlabelled(unlabelled, folder)
    write_started(settings, corpus.manifest.root, folder)
    first = next(iter(made.values()))
    only = first if len(made) == 1 else {}  # models of several folds stay in the store
    for part, stages in PARTS.items():
        replace_folder(folder / part, next((only[stage].folder for stage in stages if stage in only), None))
    sounds = first.get(SAMPLE_SOUNDS)
    replace_folder(folder / SAMPLE_SOUNDS, sounds.folder if sounds else None)
    if "probe" in only:
        write_aside(folder / PROBE, (only["probe"].folder / PROBE).read_bytes())  # `wordless embed` reads the layer
    (folder / PREDICTIONS).unlink(missing_ok=True)  # of an earlier run in this folder
    if probed := {place: entries["probe"].read_json(PROBE) for place, entries in made.items() if "probe" in entries}:
        by, separator = settings.compare.folds or "split", settings.probe.label_separator
        write_predictions(folder / PREDICTIONS, probed, corpus.manifest, by=by, separator=separator)
    write_probe(folder, only, corpus.manifest, settings)
    write_results(
        folder,
        manifest=corpus.manifest,
        rejected=corpus.rejected,
        name=corpus.name,
        notices=(*corpus.notices, *([comb_notice(first["vocoder"], settings)] if "vocoder" in first else [])),
        settings=settings,
        made=made,
        source=source,
        speeds=measure_speed(settings, first, session.gang.device) if NEXT_SAMPLE in settings.stages else {},
    )
    results = read_results(folder)
    if comparison := results.get("comparison"):
        write_aside(folder / COMPARISON, as_markdown(comparison))
    for line in summary(results):
        terminal.say(f"          {line}")
    terminal.say(f"results   {folder / RESULTS}")
    if "report" in settings.stages:
        from pipelines.pages.report import write_report  # matplotlib takes its time to import

        report = write_report(folder)
        terminal.record(str(report))
        print(report, flush=True)
    if folder.absolute().parent.name == RUNS:
        link_latest(folder.absolute())
        write_runs_page(folder.absolute().parent, finished=folder.absolute())
