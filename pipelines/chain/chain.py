"""The whole chain: recordings -> codes -> language model -> vocoder -> probes -> report."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lm.probing.task import require_labels
from pipelines.chain.corpus import find_corpus, read_corpus, seen_of
from pipelines.chain.parts import Part, make_parts
from pipelines.chain.representations import compare_methods
from pipelines.chain.run_output import FILES, figures, open_tracking, require_own_parts, write_run_folder
from pipelines.chain.sounds import known_speech, make_continuations, make_sounds, train_on_samples
from pipelines.chain.unlabelled import (
    find_sources,
    notices_of_starts,
    notices_of_unlabelled,
    notices_of_weights,
    read_unlabelled,
    shared_paths,
    voice_notices,
)
from pipelines.commandline.choices import EMBEDDED, EMBEDDED_SOURCE, with_choices, without_test
from pipelines.commandline.overrides import command_line
from pipelines.commandline.run_folders import LOG
from pipelines.methods.study import RunEntries
from pipelines.results.results import FoldSeed, provenance
from pipelines.results.run_record import read_results
from pipelines.settings.parallel import obstacle
from pipelines.settings.run import RunSettings, choose_workers, run_settings
from pipelines.stages.codes import code_table
from pipelines.stages.language_model import CodedClips, language_model
from pipelines.stages.next_sample import NEXT_SAMPLE, generate_sample_sounds
from pipelines.stages.probe import require_probeable
from pipelines.stages.rates import (
    TokenizedCorpus,
    coded_clips,
    long_clips,
    rate_models,
    rate_tokenizer,
    tokenize_corpus,
)
from pipelines.stages.zerospeech import Subject, abx, consistency, has_pairs, spoken_pairs
from pipelines.store.session import Session
from pipelines.store.store import SYNTHESISED, Entry, Store
from pipelines.tracking.tracking import NO_TRACKING, tracked
from wordless.audio.recordings.manifest import Clips
from wordless.audio.recordings.splits import UNDIVIDED
from wordless.base.errors import InputError
from wordless.base.machine import choose_device, limited_threads, use_threads
from wordless.base.progress import Terminal
from wordless.base.text import listed
from wordless.training.fit import with_precision
from wordless.training.gangs import open_gang


def run_chain(config: dict[str, object], folder: Path) -> None:
    """Make or reuse the entries of the wanted stages, and write the run's ``folder``."""
    named, config = config.get("stages") is not None, with_choices(config)  # the run's record says what was chosen
    settings = run_settings(config)
    require_language_tests(settings)
    use_threads(settings.threads)
    terminal = Terminal(log=folder / LOG)
    require = require_labels if "probe" in settings.stages else None
    undivided = replace(settings.corpus, split=UNDIVIDED) if settings.compare.folds else settings.corpus
    options, found = find_corpus(undivided, settings, require=require, terminal=terminal)
    if not settings.compare.folds:
        settings = replace(settings, corpus=replace(settings.corpus, split=options.split))
    sources = find_sources(settings, terminal)
    with open_gang(choose_device(settings.device)) as gang:
        settings = with_precision(settings, gang)
        if gang.rank == 0:
            require_own_parts(folder)
        corpus = read_corpus(
            options, found, settings, gang=gang, terminal=terminal, folder=folder, audio=settings.audio
        )
        unlabelled = read_unlabelled(settings, corpus, sources, gang=gang, terminal=terminal, folder=folder)
        noticed = [
            *corpus.notices,
            *notices_of_unlabelled(corpus, unlabelled, settings),
            *notices_of_weights(corpus, settings),
            *notices_of_starts(corpus, settings, folder),
        ]
        corpus = replace(corpus, notices=tuple(noticed))
        terminal.say(f"audio     {rates(settings)}")
        if settings.corpus.root == EMBEDDED and not named and (why := without_test(config)):
            terminal.say(f"notice    word order is not tested: {why}")
        for notice in voice_notices(settings):
            terminal.say(f"vocoder   {notice}")
        seconds = corpus.seconds + sum(each.seconds for each in unlabelled)
        session = Session(
            store=Store(settings.store.root),
            gang=gang,
            terminal=terminal,
            folder=folder,
            workers=choose_workers(settings.workers, settings.engine, seconds=seconds),
            engine=settings.engine,
            shared=(*seen_of(corpus), *shared_paths(settings, unlabelled)),
            tracking=open_tracking(settings, folder, config, terminal) if gang.rank == 0 else NO_TRACKING,
        )
        with tracked(session.tracking):
            made = make_folds(session, corpus, unlabelled, settings)
            if gang.rank == 0:
                models = next(iter(made.values())).named  # models of the other folds and seeds have the same sizes
                source = provenance(command_line("run"), config, gang, models)
                write_run_folder(session, corpus, unlabelled, settings, made, source)
                if session.tracking.kinds:
                    from pipelines.pages.report import report_pictures  # matplotlib takes its time to import

                    files = [path for path in (folder / name for name in FILES) if path.is_file()]
                    session.tracking.conclude(figures(read_results(folder)), files, report_pictures(folder))


def rates(settings: RunSettings) -> str:
    """Describe sample rate, window and hop of the front end, and the codes per second."""
    audio, tokenizers = settings.audio, [own.config(settings.audio) for own in settings.tokenizer.by_rate]
    window, hop = (1000 * samples / audio.sample_rate for samples in (audio.window_length, audio.hop_length))
    codes = listed([f"{audio.sample_rate / each.samples_per_code:.4g}" for each in tokenizers])
    streams = tokenizers[0].spectral_streams
    where = "in 1 stream" if streams == 1 else f"in each of {streams} streams"
    return f"{audio.sample_rate:,} Hz, window {window:.4g} ms, hop {hop:.4g} ms, {codes} codes per second {where}"


def make_folds(
    session: Session, manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings
) -> dict[FoldSeed, RunEntries]:
    """Check that each fold has what the stages need, and make the entries of every fold and seed.

    A run on the corpus's own split has one fold.
    """
    seeds = [settings.with_seed(number) for number in range(settings.seeds)]
    shared_groups = settings.corpus.split.shared_groups
    folds = settings.compare.divide(manifest, quick=settings.quick, shared_groups=shared_groups)
    several = len(folds) * settings.seeds > 1
    for fold in folds:
        _require_clips(fold, settings)
    if "probe" in settings.stages:
        for notice in require_probeable(folds, settings.probe, by=settings.compare.folds):
            session.terminal.say(f"probe     {notice}")
    if (
        settings.parallel is None
        and settings.processes == 1
        and (several or not settings.reads_codes)
        and (reason := obstacle(settings.threads, settings.device, settings.engine))
    ):
        session.terminal.say(f"parallel  one stage after the other: {reason}")
    parts = {
        (fold.name, seeded.seed): Part(
            manifest=fold,
            settings=seeded,
            unlabelled=unlabelled,
            place=f"{fold.name}, seed {seeded.seed}" if several else "",
        )
        for fold in folds
        for seeded in seeds
    }
    made = make_parts(
        session,
        parts,
        make_part,
        processes=settings.processes,
        threads=settings.branch_threads or torch.get_num_threads(),
    )
    if NEXT_SAMPLE in settings.stages:
        first = next(iter(parts))
        options, models, rate = settings.next_sample.sounds, made[first].sample_models, settings.audio.sample_rate
        sounds = generate_sample_sounds(session, parts[first].manifest, models, options, sample_rate=rate)
        made[first] = replace(made[first], sample_sounds=sounds)
    return made


def make_part(session: Session, part: Part) -> RunEntries:
    """Make the entries that the wanted stages of one fold and seed need."""
    manifest, settings, entries = part.manifest, part.settings, RunEntries()
    if settings.reads_codes:
        entries = _make_codes(session, manifest, settings)
        with limited_threads(settings.branch_threads):
            entries = _train_language(session, part, entries)
            alone = settings.compare.folds is None and settings.seeds == 1
            if "report" in settings.stages and alone and manifest.of("test"):  # the report has sounds of the codes
                labels = None if settings.probe.label_separator else [clip.label for clip in manifest.of("test")]
                table = code_table(session, manifest, labels, entries.finest.tokenizer)
                entries = replace(entries, code_table=table)
            if "probe" in settings.stages:
                entries = compare_methods(session, part, entries)
            if "rates" in settings.stages:
                entries = make_continuations(session, manifest, settings, entries)
            if "vocoder" in settings.stages:
                entries = make_sounds(session, manifest, settings, entries)
    if NEXT_SAMPLE in settings.stages:
        entries = train_on_samples(session, manifest, settings, entries)
    return entries


def _make_codes(session: Session, manifest: Clips, settings: RunSettings) -> RunEntries:
    """Make the codes of all rates."""
    audio, layer, seed = settings.audio, settings.speech_layer, settings.seed
    *coarser, finest = settings.tokenizer.by_rate
    own = tokenize_corpus(session, manifest, audio, finest, layer, seed=seed)
    others = [
        tokenize_corpus(session.at_rate(number), manifest, audio, each, layer, seed=seed)
        for number, each in enumerate(coarser, 1)
    ]
    codebooks = (*others, own)
    together = rate_tokenizer(session, [each.tokenizer for each in codebooks]) if others else None
    return RunEntries(codebooks=codebooks, rate_tokenizer=together)


def _train_language(session: Session, part: Part, entries: RunEntries) -> RunEntries:
    """Train the language models of codes, and judge them by the run's tests of words and sentences."""
    # A flat GPT beside models of several rates has their views.
    settings, coarsest = part.settings, entries.codebooks[0].patch_frames

    def coded(codebook: TokenizedCorpus) -> CodedClips:
        clips, own = (part.manifest, codebook, part.unlabelled), settings.lm
        return coded_clips(session, *clips, own.views, coarsest=coarsest, pitched=own.pitch == "among")

    if settings.trains_rates:
        entries = replace(entries, rates=rate_models(session, [*map(coded, entries.codebooks)], settings.lm))
    if not settings.trains_lm:
        return entries
    clips = coded(entries.finest)
    model = language_model(session, [clips], settings.lm)
    entries = replace(entries, views=clips.own.views, unlabelled=tuple(clips.unlabelled), lm=model)
    if "zerospeech" in settings.stages:
        trained_on = [each.codes for each in (clips.own, *clips.unlabelled)]
        entries = _judge_language_model(session, settings, trained_on, model, entries)
    return entries


def _require_clips(manifest: Clips, settings: RunSettings) -> None:
    """Refuse a corpus without validation clips, or without the clips that a stage or a method needs."""
    train, held_out = len(manifest.of("train")), len(manifest.of("validation"))
    if not held_out:
        raise InputError(
            f"there are {train} train clips and none for validation, which judges codebook and weights: raise "
            "corpus.split.validation_fraction, or name some in corpus.split.validation"
        )
    comparing = [stage for stage in (NEXT_SAMPLE, "rates") if stage in settings.stages]
    if comparing and not manifest.of("test"):
        raise InputError(
            f"there are {train} train clips and none for test, on which the stage {comparing[0]} compares models: "
            "raise corpus.split.test_fraction, or name some in corpus.split.test"
        )
    if "vocoder" in settings.stages and settings.listening.asks("words"):
        known_speech(manifest, settings).require_words()
    if "rates" in settings.stages:
        long_clips(manifest, shortest=settings.coarsest_code_seconds)
    for method in settings.probed_methods:
        method.require_clips(manifest)


def require_language_tests(settings: RunSettings) -> None:
    """Refuse a GPT without the embedded corpus, or with the tests' voices, and words that give no pairs."""
    if "zerospeech" not in settings.stages:
        return
    sources = () if settings.unlabelled_hours == 0 else settings.unlabelled or ()
    if settings.corpus.root != EMBEDDED and EMBEDDED_SOURCE not in sources:
        raise InputError(
            "stages has zerospeech, which asks what the GPT learned from the built-in corpus, but the GPT is not "
            "trained on this corpus: leave zerospeech out, add unlabelled=embedded and no "
            "unlabelled_hours=0, or leave corpus.root out"
        )
    settings.zerospeech.require_unheard(settings.embedded)
    settings.zerospeech.pairs(settings.embedded)


def _judge_language_model(
    session: Session, settings: RunSettings, trained_on: Sequence[Entry], model: Entry, entries: RunEntries
) -> RunEntries:
    """Judge the GPT by pairs of utterances and by changes of sound.

    In a corpus of words with enough phones, it is also judged by its phones. ``trained_on`` are the codes that the GPT
    was trained on.
    """
    subject = Subject(
        tokens=entries.finest.tokenizer,
        trained_on=trained_on,
        model=model,
        config=settings.zerospeech,
        embedded=settings.embedded,
        cache=session.store.root / SYNTHESISED,
        seed=settings.lm.fit.seed,
    )
    entries = replace(entries, spoken_pairs=spoken_pairs(session, subject))
    if settings.zerospeech.consistency:
        entries = replace(entries, consistency=consistency(session, subject))
    if settings.embedded.sentences:
        return entries
    phones = abx(session, subject)
    why = (
        "notice    ABX is left out: no two phones stand between the same neighbours in two voices. It needs "
        "zerospeech.voices=2 or more, and codes that are shorter than most phones"
    )
    session.when_made(phones, lambda made: None if has_pairs(made) else why)
    return replace(entries, abx=phones)
