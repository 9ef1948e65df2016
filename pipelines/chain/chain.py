"""A run: recordings -> codes -> language model -> probes -> vocoder -> sounds -> results and report."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lm.probing.features_file import read_features
from lm.probing.task import require_labels
from pipelines.chain.clips_of_run import MANIFEST, REJECTED, find_corpus, read_corpus, seen_of
from pipelines.chain.language import make_codes, train_language
from pipelines.chain.method_features import features_of
from pipelines.chain.notices import UNLABELLED, notices, voice_notices
from pipelines.chain.parts import Made, make_parts
from pipelines.chain.run_output import FILES, require_own_parts, require_same_clips, write_run_folder
from pipelines.chain.sound_stages import make_sounds
from pipelines.chain.study import Study
from pipelines.chain.unlabelled import find_sources, read_unlabelled, shared_paths
from pipelines.commandline.choices import EMBEDDED, usual_stages
from pipelines.commandline.composition import command_line
from pipelines.commandline.run_folders import LOG
from pipelines.extras.table import extras
from pipelines.extras.work import works
from pipelines.methods.methods_table import METHODS
from pipelines.results.results import provenance, tracked_run
from pipelines.results.rows import values_by_name
from pipelines.results.run_record import read_results
from pipelines.settings.run_rules import run_settings
from pipelines.settings.run_settings import RunSettings, choose_workers
from pipelines.stages.probing import probed, require_probeable, scored
from pipelines.store.session import Session
from pipelines.store.store import Entry, Store
from pipelines.store.stored_features import natural
from pipelines.store.tracking import Tracking
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.errors import InputError
from wordless.base.machine import choose_device, limited_threads, use_threads
from wordless.base.progress import Terminal
from wordless.base.text import counted, listed
from wordless.training.fit import with_precision
from wordless.training.gangs import open_gang


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


def make_folds(session: Session, manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings) -> Made:
    """Check that each fold has what the stages need, and make the entries of every fold and seed."""
    seeds = [settings.with_seed(number) for number in range(settings.seeds)]
    shared_groups = settings.corpus.split.shared_groups
    compare, by, seed = settings.compare, settings.compare.by, settings.corpus.split.seed
    folds = compare.divide(manifest, quick=settings.quick, shared_groups=shared_groups, seed=seed)
    parts = {(fold.name, seeded.seed): (fold, seeded) for fold in folds for seeded in seeds}
    if len(parts) > 1:
        sizes = sorted({len({clip.group for clip in fold.of("test")}) for fold in folds})
        of = f"of {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} groups" if by == "groups" else f"by {by}"
        divided = f"{len(folds)} folds {of}" if compare.folds else "1 split"
        session.terminal.say(
            f"folds     {divided}, {counted(len(seeds), 'seed')}: models are trained {len(parts)} times"
        )
    for fold in folds:
        _require_clips(fold, settings)
    if "probe" in settings.stages:
        noun = by.removesuffix("s") if compare.folds else None
        for notice in require_probeable(folds, settings.probe, by=noun):
            session.terminal.say(f"probe     {notice}")
    if settings.parallel is None and (len(parts) > 1 or not settings.reads_codes) and settings.obstacle:
        session.terminal.say(f"parallel  one stage after the other: {settings.obstacle}")
    make, threads = partial(make_part, unlabelled=unlabelled), settings.branch_threads or torch.get_num_threads()
    made = make_parts(session, parts, make, processes=settings.processes, threads=threads)
    first = made[next(iter(parts))]
    for work in works(settings.stages):
        first |= {entry.stage: entry for entry in work.once(session, folds[0], settings, first)}
    return made


def make_part(
    session: Session, manifest: Clips, settings: RunSettings, unlabelled: Sequence[Clips] = ()
) -> dict[str, Entry]:
    """Make the entries that the wanted stages of one fold and seed need, by their names in ``results.json``."""
    study, stages = Study.of(session, manifest, settings, unlabelled), settings.stages
    if settings.reads_codes:
        make_codes(study)
        with limited_threads(settings.branch_threads):
            train_language(study)
            if "probe" in stages:
                compare_methods(study)
            if "vocoder" in stages:
                make_sounds(study)
            for work in works(each.name for each in settings.chosen if each.reads_codes):
                work.plan(study)
    for work in works(each.name for each in settings.chosen if not each.reads_codes):
        work.plan(study)
    return study.entries


def compare_methods(study: Study) -> None:
    """Make the features of every wanted method, with the models that it trains, and probe them.

    Everything is trained on the same training clips; networks that learn without labels also on unlabelled ones. Test
    clips are only described by finished models.
    """
    session, manifest, compare, config = study.session, study.manifest, study.settings.compare, study.settings.probe
    methods = {method.name: method for method in compare.all_methods}
    single = {method.name: method for method in compare.single_methods}
    inputs = {name: method.input for name, method in single.items() if method.input} if compare.input else {}
    needed = single | {name: METHODS[name] for name in sorted({*inputs.values()} - {*single})}
    features = {name: study.add(features_of(study, method), f"{name}_features") for name, method in needed.items()}
    noise = compare.noises
    for name in sorted(methods, key=natural):
        read_by = [part.name for part in methods[name].singles]
        read = {each: features[each] for each in (*read_by, *map(inputs.get, read_by)) if each is not None}
        labelled = methods[name].learns_labels
        study.add(probed(session, manifest, config, name, read, labelled=labelled, noises=noise), f"probed_{name}")
    for head, network in sorted((method.head.name, features[name]) for name, method in methods.items() if method.head):
        study.add(scored(session, manifest, config, head, network, noises=noise), f"probed_{head}")


def _require_clips(manifest: Clips, settings: RunSettings) -> None:
    train, held_out = len(manifest.of("train")), len(manifest.of("validation"))
    if not held_out:
        problem = f"there are {train} train clips and none for validation, which judges codebook and weights"
        raise InputError(f"{problem}: raise corpus.split.validation_fraction, or name some in corpus.split.validation")
    comparing = [each.name for each in settings.chosen if "test clips" in each.needs]
    if comparing and not manifest.of("test"):
        problem = f"there are {train} train clips and none for test, on which {comparing[0]} compares models"
        raise InputError(f"{problem}: raise corpus.split.test_fraction, or name some in corpus.split.test")
    for work in works(settings.stages):
        work.require_clips(manifest, settings)
    for method in settings.probed_methods:
        if method.file is not None:
            read_features(method.file).require_clips([clip.name for clip in manifest.clips])
