"""The work of ``wordless finetune``: from recordings and labels to a fine-tuned model and its figures."""

import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from lm.bodies.body import Body, Source, freeze
from lm.bodies.finetuning import RANDOM
from lm.heads.head import Task
from pipelines.chain.corpus import Corpus, find_corpus, read_corpus
from pipelines.commandline.outputs import require_space
from pipelines.commandline.overrides import command_line
from pipelines.finetuning.clips import LabelledClips, channel_of, labelled_clips, require_unseen_labels, with_room
from pipelines.finetuning.options import FinetuneConfig, finetune_settings
from pipelines.finetuning.results import write_results
from pipelines.finetuning.trials import Study, body_inputs, trials
from pipelines.results.provenance import tracked_run
from pipelines.settings.run import choose_workers
from pipelines.store.run_folder import FINETUNED, part_of
from pipelines.store.session import Session
from pipelines.store.store import Store, text_hash
from pipelines.store.work_folder import work_folder
from pipelines.tracking.tracking import NO_TRACKING, Tracking, open_trackers, tracked
from wordless.audio.recordings.manifest import Manifest, recordings_hash
from wordless.base.devices import choose_device
from wordless.base.errors import InputError
from wordless.base.hub import local_weights
from wordless.base.progress import Terminal
from wordless.base.threads import use_threads
from wordless.training.gangs import Gang, open_gang
from wordless.training.precision import with_precision


def finetune_body(config: dict[str, object]) -> None:
    """Train every trial, save the fine-tuned model with its figures, and print them as a table."""
    settings = finetune_settings(config)
    terminal = Terminal()
    pretrained = _open(settings)
    freeze(pretrained.create(seed=0), settings.body.frozen_layers)  # refuses damaged weights, and too many layers
    require_space(settings.store.root, "store.root=PATH", reused=True)
    use_threads(settings.threads)
    with open_gang(choose_device(settings.device)) as gang:
        settings = with_precision(settings, gang)
        corpus = _read(settings, pretrained, gang, terminal)
        clips, task = _learnable(settings, pretrained.body, corpus.manifest)
        notices = [*clips.notices, *require_unseen_labels(settings, pretrained, clips.manifest)]
        for notice in notices:
            terminal.say(f"finetune  {notice}")
        job = _job(settings, pretrained, clips, task)
        folder = settings.output or _folder(settings, corpus.name, job)
        run = tracked_run(folder, command_line("finetune"), config)
        tracking = NO_TRACKING if gang.rank else open_trackers(settings.tracking, run, terminal.say)
        session = _session(settings, pretrained, corpus, folder, gang, terminal, tracking)
        # Rank 0 locks the folder of the results, which must be new, empty, or begun by the same job.
        with nullcontext() if gang.rank else work_folder(folder, job), tracked(tracking):
            inputs = body_inputs(session, clips.manifest, pretrained)
            study = Study(settings=settings, source=pretrained, task=task, clips=clips, inputs=inputs)
            made = list(trials(session, study))
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


def _read(settings: FinetuneConfig, source: Source, gang: Gang, terminal: Terminal) -> Corpus:
    """Read the corpus; labels that the head cannot learn are refused before any recording is decoded."""
    head = settings.head

    def require(labels: Sequence[str | None]) -> None:
        head.require([label for label in labels if label is not None])

    store = settings.store.root
    options = replace(settings.corpus, label_type=head.label_type)
    recordings = find_corpus(options, settings.embedded, store, require=require, terminal=terminal)
    workers, engine = settings.workers, settings.engine
    return read_corpus(
        recordings,
        store,
        workers=workers,
        engine=engine,
        gang=gang,
        terminal=terminal,
        channel=channel_of(settings, source),
    )


def _learnable(settings: FinetuneConfig, body: Body, manifest: Manifest) -> tuple[LabelledClips, Task]:
    """Return the clips that can be used, and the task that their labels give."""
    head, seconds = settings.head, settings.body.batches.max_seconds
    clips = labelled_clips(manifest, body, head, max_seconds=seconds, upsample=settings.upsample)
    train, validation, test = (clips.labels_of(rows) for rows in clips.rows.values())
    task = head.task(train, [*validation, *test])
    return with_room(clips, body, task), task


def _job(settings: FinetuneConfig, source: Source, clips: LabelledClips, task: Task) -> dict[str, object]:
    """Describe the work, by which the folder of the results knows it again."""
    body, own = settings.body, settings.body.own
    common = {name: value for name, value in asdict(body).items() if name not in own}
    options = {"body": {"name": body.name, **common}, "task": asdict(task), "figures": asdict(settings.figures)}
    options |= {"network": asdict(source.body), "body_options": own}
    chosen = {name: getattr(settings, name) for name in ("shares", "seeds", "seed", "beside")}
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


def _session(
    settings: FinetuneConfig,
    source: Source,
    corpus: Corpus,
    folder: Path,
    gang: Gang,
    terminal: Terminal,
    tracking: Tracking,
) -> Session:
    inside = settings.model is not None and folder.absolute().is_relative_to(settings.model.absolute())
    models = [source.folder / part for part in source.body.parts] + ([source.weights] if source.weights else [])
    return Session(
        store=Store(settings.store.root),
        gang=gang,
        terminal=terminal,
        folder=folder,
        user=settings.model if inside else None,  # `wordless runs --delete` deletes both
        workers=choose_workers(settings.workers, settings.engine, seconds=corpus.manifest.seconds),
        engine=settings.engine,
        shared=(*corpus.shared, *models),
        tracking=tracking,
    )
