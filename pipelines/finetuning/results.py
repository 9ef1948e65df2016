"""What ``wordless finetune`` writes: the fine-tuned model, its predictions for test clips, and all figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lm.finetuned import FineTunedModel
from pipelines.chain.corpus import REJECTED, Corpus
from pipelines.commandline.overrides import command_line
from pipelines.finetuning.pretraining import channel_of
from pipelines.finetuning.record import as_markdown, as_table, named_figures, summary
from pipelines.finetuning.trials import Study, Trial
from pipelines.results.comparison_table import print_table
from pipelines.results.provenance import provenance
from pipelines.store.session import Session
from pipelines.store.store import write_json
from pipelines.tracking.tracker import Outcome
from wordless.audio.recordings.manifest import SPLITS, write_rejected
from wordless.base.arrays import write_table
from wordless.base.files import write_aside

FIGURES, TABLE, PREDICTIONS = "figures.json", "figures.md", "predictions.tsv"


def write_results(
    session: Session,
    study: Study,
    trials: Sequence[Trial],
    *,
    corpus: Corpus,
    notices: Sequence[str],
    config: Mapping[str, object],
) -> None:
    """Write the folder of the session, the model last, and print the table."""
    folder, command = session.folder, study.settings.command
    labels, rows = study.clips.labels_of, study.clips.rows
    baseline = [study.task.constant(labels(rows["train"]))] * len(rows["test"])
    constant = study.task.figures(baseline, labels(rows["test"]), command.figures, study.clips.test_groups)
    table = summary(trials, constant, confidence=command.figures.confidence)
    saved = next(trial for trial in trials if trial.arm == "finetuned" and trial.share == command.shares[-1])
    source = provenance(command_line("finetune"), config, session.gang, [saved.entry])
    facts = {
        "corpus": corpus.name,
        "clips": {split: len(rows[split]) for split in SPLITS},
        "notices": [*corpus.notices, *notices],
        "resampled": "clip" if study.clips.test_groups is None else "group",  # by the intervals of a single seed
        "head": study.settings.head,
        "body": study.settings.body.name,
        "summary": saved.task.summary,
    }
    write_json(folder / FIGURES, {**facts, "table": table, "trials": [t.record for t in trials], "provenance": source})
    write_aside(folder / TABLE, as_markdown(table))
    write_rejected([*corpus.rejected, *study.clips.set_aside], folder / REJECTED)
    _write_predictions(folder / PREDICTIONS, study, saved)
    model = FineTunedModel.from_pretrained(saved.entry.folder)
    model.trim_db = study.clips.manifest.effective_trim_db(command.corpus.inspection.trim_db)
    model.channel = channel_of(study.settings, study.source)
    model.save_pretrained(folder, front_end=study.source.folder)
    files = [folder / name for name in (FIGURES, TABLE, PREDICTIONS)]
    session.tracking.conclude(Outcome(figures=named_figures(table), files=files, pictures={}))
    print_table(as_table(table))
    session.terminal.say(f"model     {folder}; the figures are in {FIGURES} and {TABLE}")


def _write_predictions(path: Path, study: Study, trial: Trial) -> None:
    """Write the label and the prediction of each test clip."""
    test = study.clips.rows["test"]
    described = zip(
        study.clips.names_of(test), study.clips.labels_of(test), trial.task.rows(trial.outputs), strict=True
    )
    write_table(path, [{"path": name, "truth": label, **row} for name, label, row in described])
