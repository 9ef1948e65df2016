"""The work of ``wordless finetune``: from recordings and labels to a fine-tuned model and its figures."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from lm.bodies.body import RANDOM, Body, Source, freeze
from lm.heads.head import Task
from pipelines.chain.corpus import Corpus, find_corpus, read_corpus
from pipelines.commandline.outputs import require_space
from pipelines.commandline.overrides import command_line
from pipelines.finetuning.clips import LabelledClips, channel_of, labelled_clips, require_unseen_labels, with_room
from pipelines.finetuning.options import FinetuneSettings, finetune_settings
from pipelines.finetuning.results import write_results
from pipelines.finetuning.stages import body_inputs
from pipelines.finetuning.trials import Study, trials
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
    command, terminal = settings.command, Terminal()
    pretrained = _open(settings)
    _require_layers(settings, pretrained)
    require_space(command.store.root, "store.root=PATH", reused=True)
    use_threads(command.threads)
    with open_gang(choose_device(command.device)) as gang:
        settings = with_precision(settings, gang)
        corpus = _read(settings, pretrained, gang, terminal)
        clips, task = _learnable(settings, pretrained.body, corpus.manifest)
        notices = [*clips.notices, *require_unseen_labels(settings, pretrained, clips.manifest)]
        for notice in notices:
            terminal.say(f"finetune  {notice}")
        job = _job(settings, pretrained, clips, task)
        folder = command.output or _folder(settings, corpus.name, job)
        run = tracked_run(folder, command_line("finetune"), config)
        tracking = NO_TRACKING if gang.rank else open_trackers(command.tracking, run, terminal.say)
        session = _session(settings, pretrained, corpus, folder, gang, terminal, tracking)
        with _held(folder, job, gang), tracked(tracking):
            inputs = body_inputs(session, clips.manifest, pretrained)
            study = Study(settings=settings, source=pretrained, task=task, clips=clips, inputs=inputs)
            made = list(trials(session, study))
            if not gang.rank:
                write_results(session, study, made, corpus=corpus, notices=notices, config=config)


def _open(settings: FinetuneSettings) -> Source:
    """Describe the body with its weights."""
    options, model, weights = settings.body_options, settings.command.model, settings.body.weights
    needed = options.needs(weights)
    if needed and model is None:
        taken, body = " and ".join(needed), settings.body.name
        otherwise = "" if options.needs(RANDOM) else ", or choose body.weights=none or a folder of weights"
        raise InputError(f"model=null, but body={body} takes {taken} of a run; name its folder: model=RUN{otherwise}")
    if model is None and settings.command.output is None:
        raise InputError(
            "output=null, and there is no model=RUN whose folder could hold the results; add output=FOLDER"
        )
    parts = {str(part): part_of(model, part) for part in needed} if model is not None else {}
    return options.open(parts, weights=local_weights(weights))


def _require_layers(settings: FinetuneSettings, source: Source) -> None:
    """Refuse damaged weights, and to freeze more layers than there are."""
    network = source.create(seed=0)
    freeze(network, settings.body.frozen_layers)


def _read(settings: FinetuneSettings, source: Source, gang: Gang, terminal: Terminal) -> Corpus:
    """Read the corpus; labels that the head cannot learn are refused before any recording is decoded."""
    command, head = settings.command, settings.head_options

    def require(labels: Sequence[str | None]) -> None:
        head.require([label for label in labels if label is not None])

    store = command.store.root
    options = replace(command.corpus, label_type=head.label_type)
    recordings = find_corpus(options, command.embedded, store, require=require, terminal=terminal)
    workers, engine = command.workers, command.engine
    return read_corpus(
        recordings,
        store,
        workers=workers,
        engine=engine,
        gang=gang,
        terminal=terminal,
        channel=channel_of(settings, source),
    )


def _learnable(settings: FinetuneSettings, body: Body, manifest: Manifest) -> tuple[LabelledClips, Task]:
    """Return the clips that can be used, and the task that their labels give."""
    head, seconds = settings.head_options, settings.body.batches.max_seconds
    clips = labelled_clips(manifest, body, head, max_seconds=seconds, upsample=settings.command.upsample)
    train, validation, test = (clips.labels_of(rows) for rows in clips.rows.values())
    task = head.task(train, [*validation, *test])
    return with_room(clips, body, task), task


def _job(settings: FinetuneSettings, source: Source, clips: LabelledClips, task: Task) -> dict[str, object]:
    """Describe the work, by which the folder of the results knows it again."""
    command, body = settings.command, settings.body
    options = {"body": asdict(body), "task": asdict(task), "figures": asdict(command.figures)}
    options |= {"network": asdict(source.body), "body_options": asdict(settings.body_options)}
    chosen = {name: getattr(command, name) for name in ("shares", "seeds", "seed", "beside")}
    return {
        "head": settings.head,
        "body": body.name,
        "weights": source.fingerprint,
        "options": text_hash(json.dumps([options, chosen, asdict(command.probe)], default=str))[:16],
        "recordings": recordings_hash(clips.manifest)[:16],
        "labels": text_hash(json.dumps([[clip.label, clip.split] for clip in clips.manifest.clips]))[:16],
    }


def _folder(settings: FinetuneSettings, corpus: str, job: dict[str, object]) -> Path:
    """Name a folder in that of the run, one for each corpus, head and set of options."""
    assert settings.command.model is not None  # `_open` refuses to go on without both
    name = re.sub(r"[^\w.-]+", "_", corpus).strip("_.") or "corpus"
    return settings.command.model / FINETUNED / f"{name}_{settings.head}_{text_hash(json.dumps(job))[:8]}"


def _session(
    settings: FinetuneSettings,
    source: Source,
    corpus: Corpus,
    folder: Path,
    gang: Gang,
    terminal: Terminal,
    tracking: Tracking,
) -> Session:
    command = settings.command
    inside = command.model is not None and folder.absolute().is_relative_to(command.model.absolute())
    models = [source.folder / part for part in source.body.parts] + ([source.weights] if source.weights else [])
    return Session(
        store=Store(command.store.root),
        gang=gang,
        terminal=terminal,
        folder=folder,
        user=command.model if inside else None,  # `wordless runs --delete` deletes both
        workers=choose_workers(command.workers, command.engine, seconds=corpus.manifest.seconds),
        engine=command.engine,
        shared=(*corpus.shared, *models),
        tracking=tracking,
    )


@contextmanager
def _held(folder: Path, job: dict[str, object], gang: Gang) -> Iterator[None]:
    """Lock the folder of the results on rank 0; it must be new, empty, or begun by the same job."""
    if gang.rank:
        yield
        return
    with work_folder(folder, job):
        yield
