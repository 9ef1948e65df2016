"""The work of ``wordless run``: recordings are read, the chain makes its entries, and the run's folder is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lm.probing.task import require_labels
from pipelines.chain.chain import make_folds
from pipelines.chain.clips_of_run import MANIFEST, REJECTED, find_corpus, read_corpus, seen_of
from pipelines.commandline.composition import command_line
from pipelines.commandline.run_folders import LOG
from pipelines.extras.table import extras
from pipelines.jobs.notices import UNLABELLED, notices, voice_notices
from pipelines.jobs.provenance import provenance, tracked_run
from pipelines.jobs.run_output import FILES, require_own_parts, require_same_clips, write_run_folder
from pipelines.jobs.unlabelled import find_sources, read_unlabelled, shared_paths
from pipelines.results.rows import values_by_name
from pipelines.results.run_record import read_results
from pipelines.settings.choices import EMBEDDED, usual_stages
from pipelines.settings.run_rules import run_settings
from pipelines.settings.run_settings import RunSettings, choose_workers
from pipelines.store.stage import Session
from pipelines.store.store import Store
from pipelines.store.tracking import Tracking
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.machine import choose_device, use_threads
from wordless.base.messages import listed
from wordless.base.progress import Terminal
from wordless.training.fit import open_gang, with_precision


def run_chain(config: dict[str, object], folder: Path) -> None:
    """Make or reuse the entries of the stages that a completed config wants, and write the run's ``folder``."""
    settings = run_settings(config)
    use_threads(settings.threads)
    terminal = Terminal(log=folder / LOG)
    require = require_labels if "probe" in settings.stages else None
    undivided = replace(settings.corpus, split=UNDIVIDED) if settings.compare.folds else settings.corpus
    found = find_corpus(undivided, settings, require=require, terminal=terminal)
    if not settings.compare.folds:
        settings = replace(settings, corpus=replace(settings.corpus, split=found.config.split))
    sources = find_sources(settings, terminal)
    with open_gang(choose_device(settings.device)) as gang:
        settings = with_precision(settings, gang)
        if gang.rank == 0:
            require_own_parts(folder)
        place: dict[str, Any] = {"gang": gang, "terminal": terminal}
        corpus = read_corpus(found, settings, audio=settings.audio, rejected=folder / REJECTED, **place)
        compare = gang.rank == 0 and not settings.replace
        if compare:
            require_same_clips(folder, MANIFEST, corpus.clips, "clip")
        unlabelled = read_unlabelled(settings, corpus, sources, folder=folder, **place)
        if compare:
            others = [clip for each in unlabelled for clip in each.clips]
            require_same_clips(folder, UNLABELLED, others, "unlabelled clip")
        corpus = replace(corpus, notices=(*corpus.notices, *notices(corpus, unlabelled, settings, folder)))
        terminal.say(f"audio     {rates(settings)}")
        usual = settings.corpus.root == EMBEDDED and [*settings.stages] == usual_stages(config)
        for each in extras() if usual else ():
            if why := each.joins(config):
                terminal.say(f"notice    {why}")
        for notice in voice_notices(settings):
            terminal.say(f"vocoder   {notice}")
        seconds = corpus.seconds + sum(each.seconds for each in unlabelled)
        run = tracked_run(folder, command_line("run"), config)
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *shared_paths(settings, unlabelled)),
            tracking=None if gang.rank else Tracking(settings.tracking, run, terminal.say),  # rank 0 tracks alone
        )
        made = make_folds(session, corpus, unlabelled, settings)
        if gang.rank == 0:
            models = next(iter(made.values()))  # models of the other folds and seeds have the same sizes
            source = provenance(command_line("run"), config, gang, models)
            write_run_folder(session, corpus, unlabelled, settings, made, source)
            if session.tracking is not None and session.tracking.names:
                from pipelines.pages.report import report_pictures  # matplotlib takes its time to import

                files = [path for path in (folder / name for name in FILES) if path.is_file()]
                values = values_by_name(read_results(folder)["figures"])
                session.tracking.conclude(values, files, report_pictures(folder))


def rates(settings: RunSettings) -> str:
    """Describe sample rate, window and hop of the front end, and the codes per second."""
    audio, tokenizers = settings.audio, [own.config(settings.audio) for own in settings.tokenizer.by_rate]
    window, hop = (1000 * samples / audio.sample_rate for samples in (audio.window_length, audio.hop_length))
    codes = listed([f"{audio.sample_rate / each.samples_per_code:.4g}" for each in tokenizers])
    streams = tokenizers[0].bands
    where = "in 1 stream" if streams == 1 else f"in each of {streams} streams"
    return f"{audio.sample_rate:,} Hz, window {window:.4g} ms, hop {hop:.4g} ms, {codes} codes per second {where}"
