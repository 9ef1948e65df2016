"""The work of ``wordless finetune``: from recordings and labels to a fine-tuned model and its figures.

The model, its predictions, and its figures as JSON, Markdown and a table are written at the end.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Column, Table

from lm.bodies.body import Source, freeze
from lm.finetuned import FineTunedModel
from lm.finetuning import RANDOM
from lm.heads import Task
from pipelines.chain.corpus import REJECTED, find_corpus, read_corpus, seen_of
from pipelines.commandline.outputs import work_folder
from pipelines.commandline.overrides import command_line
from pipelines.finetune import FinetuneConfig, finetune_settings
from pipelines.jobs.finetune_trials import (
    Arm,
    LabelledClips,
    Study,
    Trial,
    body_inputs,
    channel_of,
    labelled_clips,
    require_unseen_labels,
    title_of,
    trials,
    with_room,
)
from pipelines.results.results import provenance, tracked_run
from pipelines.results.tables import print_table
from pipelines.settings.run import choose_workers
from pipelines.store.run_folder import FINETUNED, part_of
from pipelines.store.session import Session
from pipelines.store.store import Store, text_hash, write_json
from pipelines.tracking.tracking import NO_TRACKING, Tracking, tracked
from wordless.audio.recordings.manifest import SPLITS, Clips, recordings_hash, write_rejected
from wordless.base.arrays import write_table
from wordless.base.errors import InputError
from wordless.base.files import write_aside
from wordless.base.hub import local_weights
from wordless.base.machine import choose_device, use_threads
from wordless.base.progress import Terminal
from wordless.training.gangs import Gang, open_gang
from wordless.training.precision import with_precision


def finetune_body(config: dict[str, object]) -> None:
    """Train every trial, save the fine-tuned model with its figures, and print them as a table."""
    settings = finetune_settings(config)
    terminal = Terminal()
    pretrained = _open(settings)
    freeze(pretrained.create(seed=0), settings.body.frozen_layers)  # refuses damaged weights, and too many layers
    use_threads(settings.threads)
    with open_gang(choose_device(settings.device)) as gang:
        settings = with_precision(settings, gang)
        corpus = _read(settings, pretrained, gang, terminal)
        head, seconds = settings.head, settings.body.batches.max_seconds
        clips = labelled_clips(corpus, pretrained.body, head, max_seconds=seconds, upsample=settings.upsample)
        clips, errors = with_room(clips, pretrained.body, clips.task(head))
        task = clips.task(head)
        notices = [*clips.notices, *errors, *require_unseen_labels(settings, pretrained, clips.manifest)]
        for notice in notices:
            terminal.say(f"finetune  {notice}")
        job = _job(settings, pretrained, clips, task)
        folder = settings.output or _folder(settings, corpus.name, job)
        run = tracked_run(folder, command_line("finetune"), config)
        tracking = NO_TRACKING if gang.rank else Tracking(settings.tracking, run, terminal.say)
        inside = settings.model is not None and folder.absolute().is_relative_to(settings.model.absolute())
        models = [pretrained.folder / part for part in pretrained.body.parts]
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=folder,
            user=settings.model if inside else None,  # `wordless runs --delete` deletes both
            workers=choose_workers(settings.workers, settings.engine, seconds=corpus.seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *models, *([pretrained.weights] if pretrained.weights else [])),
            tracking=tracking,
        )
        # Rank 0 locks the folder of the results, which must be new, empty, or begun by the same job.
        with nullcontext() if gang.rank else work_folder(folder, job), tracked(tracking):
            inputs = body_inputs(session, clips.manifest, pretrained)
            study = Study(settings=settings, source=pretrained, task=task, clips=clips, inputs=inputs)
            made = trials(session, study)
            if not gang.rank:
                write_results(session, study, made, corpus=corpus, notices=notices, config=config)


def _open(settings: FinetuneConfig) -> Source:
    """Describe the body with its weights."""
    body, model = settings.body, settings.model
    needed = body.needs
    if needed and model is None:
        otherwise = (
            "" if replace(body, weights=RANDOM).needs else ", or choose body.weights=none or a folder of weights"
        )
        raise InputError(
            f"model=null, but body={body.name} takes {' and '.join(needed)} of a run; name its folder: model=RUN"
            f"{otherwise}"
        )
    if model is None and settings.output is None:
        raise InputError(
            "output=null, and there is no model=RUN whose folder could hold the results; add output=FOLDER"
        )
    parts = {str(part): part_of(model, part) for part in needed} if model is not None else {}
    return replace(body, weights=local_weights(body.weights)).open(parts)


def _read(settings: FinetuneConfig, source: Source, gang: Gang, terminal: Terminal) -> Clips:
    """Read the corpus; labels that the head cannot learn are refused before any recording is decoded."""
    head = settings.head

    def require(labels: Sequence[str | None]) -> None:
        head.require([label for label in labels if label is not None])

    store = settings.store.root
    options = replace(settings.corpus, label_type=head.label_type)
    options, found = find_corpus(options, settings.embedded, store, require=require, terminal=terminal)
    return read_corpus(
        options,
        found,
        store,
        workers=settings.workers,
        engine=settings.engine,
        gang=gang,
        terminal=terminal,
        channel=channel_of(settings, source),
    )


def _job(settings: FinetuneConfig, source: Source, clips: LabelledClips, task: Task) -> dict[str, object]:
    """Describe the work, by which the folder of the results knows it again."""
    body, own = settings.body, settings.body.own
    common = {name: value for name, value in asdict(body).items() if name not in own}
    options = {"body": {"name": body.name, **common}, "task": asdict(task), "figures": asdict(settings.figures)}
    options |= {"network": asdict(source.body), "body_options": own}
    chosen = {name: getattr(settings, name) for name in ("seed", "beside")}
    return {
        "head": settings.head.name,
        "body": body.name,
        "weights": source.fingerprint,
        "options": text_hash(json.dumps([options, chosen, asdict(settings.probe)], default=str))[:16],
        "recordings": recordings_hash(clips.manifest)[:16],
        "labels": text_hash(json.dumps([[clip.label, clip.split] for clip in clips.manifest.clips]))[:16],
    }


def _folder(settings: FinetuneConfig, corpus: str, job: dict[str, object]) -> Path:
    """Name a folder in that of the run, one for each corpus, head and set of options."""
    assert settings.model is not None  # `_open` refuses to go on without both
    name = re.sub(r"[^\w.-]+", "_", corpus).strip("_.") or "corpus"
    return settings.model / FINETUNED / f"{name}_{settings.head.name}_{text_hash(json.dumps(job))[:8]}"


BASELINE = "the same answer for every clip"


def named_figures(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Name the figures of the table as ``opponent/figure``."""
    return {
        f"{row['of']}/{figure['name']}": value
        for row in rows
        for figure in row["figures"]
        if (value := figure["value"]) is not None
    }


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    head = _heading(rows)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *_cells(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(*(Column(name, no_wrap=True) for name in _heading(rows)), box=None, pad_edge=False)
    for cells in _cells(rows):
        table.add_row(*cells)
    return table


def _heading(rows: Sequence[dict[str, Any]]) -> list[str]:
    return ["", *(figure["name"] for figure in rows[0]["figures"])]


def _cells(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        yield [row["of"], *(figure["text"] for figure in row["figures"])]


FIGURES, TABLE, PREDICTIONS = "figures.json", "figures.md", "predictions.tsv"


def write_results(
    session: Session,
    study: Study,
    trials: Mapping[Arm, Trial],
    *,
    corpus: Clips,
    notices: Sequence[str],
    config: Mapping[str, object],
) -> None:
    """Write the folder of the session, the model last, and print the table."""
    folder, settings = session.folder, study.settings
    labels, rows = study.clips.labels_of, study.clips.rows
    baseline = [study.task.constant(labels(rows["train"]))] * len(rows["test"])
    constant = study.task.figures(baseline, labels(rows["test"]), settings.figures, study.clips.test_groups)
    table: list[dict[str, Any]] = [
        *({"of": title_of(arm, study.task), **trial.record} for arm, trial in trials.items()),
        {"of": BASELINE, "figures": [each.plain for each in constant]},
    ]
    saved = trials["finetuned"]
    source = provenance(command_line("finetune"), config, session.gang, {saved.entry.stage: saved.entry})
    facts = {
        "corpus": corpus.name,
        "clips": {split: len(rows[split]) for split in SPLITS},
        "notices": [*corpus.notices, *notices],
        "over": " and ".join(dict.fromkeys(each.over for each in saved.figures)),  # of the intervals
        "head": study.settings.head.name,
        "body": study.settings.body.name,
        "summary": study.task.summary,
    }
    write_json(folder / FIGURES, {**facts, "table": table, "provenance": source})
    write_aside(folder / TABLE, as_markdown(table))
    write_rejected([*corpus.rejected, *study.clips.set_aside], folder / REJECTED)
    predicted = study.task.rows(saved.outputs)
    described = zip(study.clips.names_of(rows["test"]), labels(rows["test"]), predicted, strict=True)
    write_table(folder / PREDICTIONS, [{"path": name, "truth": label, **row} for name, label, row in described])
    model = FineTunedModel.from_pretrained(saved.entry.folder)
    model.trim_db = study.clips.manifest.effective_trim_db(settings.corpus.inspection.trim_db)
    model.channel = channel_of(study.settings, study.source)
    model.save_pretrained(folder, front_end=study.source.folder)
    files = [folder / name for name in (FIGURES, TABLE, PREDICTIONS)]
    session.tracking.conclude(named_figures(table), files, {})
    print_table(as_table(table))
    session.terminal.say(f"model     {folder}; the figures are in {FIGURES} and {TABLE}")
