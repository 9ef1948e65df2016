"""The stages of a run in their order: codes -> language model -> probes -> vocoder -> sounds, of each fold and seed.

Folds and seeds are made one after the other, or by a task graph, several stages at the same time. The codebook of a
rate is made by the stages of a run that has this rate alone. Of several rates, a GPT models the coarsest codes, and an
upsampler each finer rate, which reads the codes of coarser rates as `lm.rates` draws it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from lm.probing.vectors import read_features
from pipelines.chain.evaluator import create_evaluator
from pipelines.chain.method_vectors import features_of
from pipelines.chain.trial import Trial, rate_prefix
from pipelines.methods.methods_table import METHODS
from pipelines.results.run_record import FoldSeed
from pipelines.settings.run_settings import RunSettings
from pipelines.stages import codebooks
from pipelines.stages.decoders import code_decoder
from pipelines.stages.features import (
    codes,
    training_views,
)
from pipelines.stages.language_model import CodesAndViews, language_model, rate_language_model
from pipelines.stages.listening import (
    Playback,
    choose_clips,
    decode_clips,
    label_accuracy,
    label_task,
    listening,
    measure_clips,
)
from pipelines.stages.probing import probed, require_probeable, scored
from pipelines.stages.stage_options import TokenizerSettings
from pipelines.stages.stored_arrays import waveforms
from pipelines.stages.voices import CodedIn, vocoder
from pipelines.store.claims import keep_claimed
from pipelines.store.stage import Session, open_task_graph
from pipelines.store.store import CachedArtifact
from pipelines.store.stored_features import natural
from pipelines.store.tensorboard import Say, TensorBoard
from wordless.audio.recordings.manifest import Clips
from wordless.audio.views import Views
from wordless.base.messages import InputError, counted
from wordless.base.progress import Terminal
from wordless.training.fit import Gang

Trials = Mapping[FoldSeed, tuple[Clips, RunSettings]]  # the divided recordings, and the options, moved to the seed
Make = Callable[[Session, Clips, RunSettings], dict[str, CachedArtifact]]
_Made = dict[FoldSeed, dict[str, CachedArtifact]]  # artifacts of each trial by their names


def make_folds(session: Session, manifest: Clips, unlabelled: Sequence[Clips], settings: RunSettings) -> _Made:
    """Check that each fold has what the stages need, and make the artifacts of every fold and seed."""
    seeds = [settings.with_seed(number) for number in range(settings.seeds)]
    shared_groups = settings.corpus.split.shared_groups
    compare, by, seed = settings.compare, settings.compare.by, settings.corpus.split.seed
    folds = compare.divide(manifest, quick=settings.quick, shared_groups=shared_groups, seed=seed)
    trials = {(fold.name, seeded.seed): (fold, seeded) for fold in folds for seeded in seeds}
    if len(trials) > 1:
        sizes = sorted({len({clip.group for clip in fold.of("test")}) for fold in folds})
        of = f"of {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} groups" if by == "groups" else f"by {by}"
        divided = f"{len(folds)} folds {of}" if compare.folds else "1 split"
        session.terminal.say(
            f"folds     {divided}, {counted(len(seeds), 'seed')}: models are trained {len(trials)} times"
        )
    for fold in folds:
        _require_clips(fold, settings)
    if "probe" in settings.stages:
        noun = by.removesuffix("s") if compare.folds else None
        for notice in require_probeable(folds, settings.probe, by=noun):
            session.terminal.say(f"probe     {notice}")
    if settings.parallel is None and (len(trials) > 1 or not settings.reads_codes) and settings.obstacle:
        session.terminal.say(f"parallel  one stage after the other: {settings.obstacle}")
    of_first = settings.with_recordings(folds[0], unlabelled)
    make, threads = partial(make_part, unlabelled=unlabelled), settings.branch_threads or torch.get_num_threads()
    made = make_trials(session, trials, make, processes=settings.processes, threads=threads)
    first = made[next(iter(trials))]
    for plugin in settings.chosen:
        first |= {artifact.stage: artifact for artifact in plugin.once(session, folds[0], of_first, first)}
    return made


def _require_clips(manifest: Clips, settings: RunSettings) -> None:
    train, held_out = len(manifest.of("train")), len(manifest.of("validation"))
    if not held_out:
        problem = f"there are {train} train clips and none for validation, which judges codebook and weights"
        raise InputError(f"{problem}: raise corpus.split.validation_fraction, or name some in corpus.split.validation")
    comparing = [each.name for each in settings.chosen if "test clips" in each.needs]
    if comparing and not manifest.of("test"):
        problem = f"there are {train} train clips and none for test, on which {comparing[0]} compares models"
        raise InputError(f"{problem}: raise corpus.split.test_fraction, or name some in corpus.split.test")
    for plugin in settings.chosen:
        plugin.require_clips(manifest, settings)
    for method in settings.probed_methods:
        if method.file is not None:
            read_features(method.file).require_clips(manifest.names)


def make_trials(session: Session, trials: Trials, make: Make, *, processes: int, threads: int) -> _Made:
    """Make the artifacts of all trials, by up to ``processes`` with ``threads`` each."""
    keep_claimed()
    places = {key: f"{key[0]}, seed {key[1]}" if len(trials) > 1 else "" for key in trials}
    made: _Made = {}
    if processes <= 1:
        for (fold, seed), trial in trials.items():
            if len(trials) > 1:
                session.terminal.say(f"fold      {fold} held out for test, seed {seed}")
            made[fold, seed] = make(replace(session, place=places[fold, seed]), *trial)
        return first_marked(made)
    # `run_rules` gives a run on GPUs, or of several processes already, one process here: these compute on the CPU.
    about = {name: getattr(session, name) for name in ("store", "folder", "engine", "shared")}
    workers = session.workers and (session.workers // processes or 1)  # 0: all of Ray, which shares them itself
    opened = partial(Session, **about, gang=Gang(torch.device("cpu")), workers=workers)
    elsewhere = None if session.tensorboard is None else session.tensorboard.elsewhere
    open_session = partial(_open_elsewhere, opened, elsewhere, session.terminal.log)
    line = f"parallel  {processes} stages at the same time, with {counted(threads, 'thread')} each"
    session = replace(session, threads=torch.get_num_threads())  # each trial is planned in a thread of its own
    with open_task_graph(
        open_session, processes=processes, threads=threads, tell=partial(session.terminal.say, line)
    ) as graph:
        plans = [partial(make, replace(session, place=places[key], graph=graph), *trials[key]) for key in trials]
        made = dict(zip(trials, graph.plan(plans), strict=True))
    return first_marked(made)


def _open_elsewhere(
    opened: Callable[..., Session], open_tensorboard: Callable[[Say], TensorBoard] | None, log: Path | None, place: str
) -> Session:
    """Open the session of a process that makes artifacts of a fold and seed for the one that plans."""
    terminal = Terminal(place=place, shared=True, log=log)
    return opened(terminal=terminal, place=place, tensorboard=open_tensorboard and open_tensorboard(terminal.say))


def first_marked(made: _Made) -> _Made:
    """Mark artifacts that a run made as such in their first place alone: other trials and names reuse them."""
    new = {artifact.place for artifacts in made.values() for artifact in artifacts.values() if not artifact.reused}
    for artifacts in made.values():
        for name, artifact in artifacts.items():
            artifacts[name] = replace(artifact, reused=artifact.place not in new)
            new.discard(artifact.place)
    return made


def make_part(
    session: Session, manifest: Clips, settings: RunSettings, unlabelled: Sequence[Clips] = ()
) -> dict[str, CachedArtifact]:
    """Make the artifacts that the wanted stages of one fold and seed need, by their names in ``results.json``."""
    settings = settings.with_recordings(manifest, unlabelled)  # the training clips of each fold are others
    trial, stages = Trial.of(session, manifest, settings, unlabelled), settings.stages
    if settings.reads_codes:
        make_codes(trial)
        # Both trials share the dictionary of artifacts, which this function returns.
        branches = replace(trial, session=replace(session, threads=settings.branch_threads or session.threads))
        train_language(branches)
        if "probe" in stages:
            compare_methods(branches)
        if "vocoder" in stages:
            make_sounds(branches)
        for plugin in settings.chosen:
            if plugin.reads_codes:
                plugin.add_tasks(branches)
    for plugin in settings.chosen:
        if not plugin.reads_codes:
            plugin.add_tasks(trial)
    return trial.artifacts


def make_codes(trial: Trial) -> None:
    """Make tokenizer and codes of each rate; the tokenizers of several rates also become one tokenizer."""
    rates, settings = trial.settings.tokenizer.by_rate, trial.settings
    for number in (len(rates), *range(1, len(rates))):  # the finest first
        _make_codes(trial, rates[number - 1], number)
    finest = trial.by_rate[len(rates)]
    start, decoder = settings.tokenizer.start, settings.tokenizer.decoder
    if start is not None and decoder is not None and codebooks.start_has_decoder(start):
        trial.add(codebooks.started_decoder(trial.session, finest.tokenizer, start))
    elif "vocoder" in settings.stages and decoder is not None:
        trial.add(code_decoder(trial.session, trial.manifest, finest, decoder))
    if len(rates) > 1:
        coarser = [trial.by_rate[number].tokenizer for number in range(1, len(rates))]
        trial.add(codebooks.rate_tokenizer(trial.session, [*coarser, trial.sounding]))


def _make_codes(trial: Trial, settings: TokenizerSettings, number: int) -> None:
    """Train the tokenizer of one rate, or use that of ``settings.start``; encode the corpus; measure the health."""
    manifest, audio, layer = trial.manifest, settings.front_end(trial.audio), trial.layer
    prefix = rate_prefix(number) if trial.by_rate else ""  # the finest has none
    session, add = trial.session.named(f"{prefix}{{stage}}"), partial(trial.add, prefix=prefix)
    pitched = trial.add(codebooks.pitches(session, manifest, audio, settings), prefix=prefix)
    sample = add(codebooks.frame_sample(session, manifest, audio, settings, layer))
    if settings.start is not None:
        tokens = add(codebooks.started_tokenizer(session, settings.start))
    else:
        inputs = None
        if layer is None and settings.views.change_inputs:
            inputs = add(codebooks.augmented_sample(session, manifest, audio, settings))
        trained = add(codebooks.autoencoder(session, sample, audio, settings, inputs, layer))
        tokens = add(codebooks.codebook(session, sample, trained, audio, settings, layer, pitched))
    coded = add(codes(session, manifest, tokens))
    trial.by_rate[number] = CodedIn(tokens, coded)
    add(codebooks.health(session, manifest, tokens, coded, seed=trial.settings.seed))


def train_language(trial: Trial) -> None:
    """Train the language models of codes."""
    session, settings = trial.session, trial.settings
    if settings.trains_rates:
        coded, models = [_coded_clips(trial, number) for number in sorted(trial.by_rate)], list[CachedArtifact]()
        for number, own in enumerate(settings.lm.divided(len(coded)), 1):
            trial.add(coded[number - 1][0].views, prefix=rate_prefix(number))
            model = language_model(session.named(f"{rate_prefix(number)}{{stage}}"), coded[:number], own)
            models.append(trial.add(model, f"{rate_prefix(number)}lm"))
        trial.add(rate_language_model(session, models))
    if settings.trains_lm:
        corpus, *unlabelled = sources = _coded_clips(trial, max(trial.by_rate))
        trial.add(corpus.views)
        trial.add_unlabelled((each.codes, each.views) for each in unlabelled)
        trial.add(language_model(session, [sources], settings.lm))


def _coded_clips(trial: Trial, number: int) -> list[CodesAndViews]:
    """Encode the clips of the run and of each unlabelled source at a rate, and their training clips in all views."""
    session, tokens, settings = trial.session, trial.by_rate[number].tokenizer, trial.settings.lm
    frames, sources = trial.settings.tokenizer.by_rate[0].patch.frames, list[CodesAndViews]()
    for clips in (trial.manifest, *trial.unlabelled):
        own = codes(session, clips, tokens) if sources else trial.by_rate[number].codes
        # Copies are made of clips that have their split: none of a held-out clip is trained on.
        changed = [view for clip in clips.of("train") for view in settings.views.of(clip, frames)]
        copies = training_views(session, Views(root=clips.root, views=changed), tokens) if changed else None
        sources.append(CodesAndViews(codes=own, views=copies))
    return sources


def compare_methods(trial: Trial) -> None:
    """Make the features of every wanted method, with the models that it trains, and probe them.

    Everything is trained on the same training clips; networks that learn without labels also on unlabelled ones. Test
    clips are only described by finished models.
    """
    session, manifest, compare, config = trial.session, trial.manifest, trial.settings.compare, trial.settings.probe
    methods = {method.name: method for method in compare.all_methods}
    single = {method.name: method for method in compare.single_methods}
    inputs = {name: method.input for name, method in single.items() if method.input and compare.input}
    needed = single | {name: METHODS[name] for name in sorted({*inputs.values()} - {*single})}
    features = {name: trial.add(features_of(trial, method), f"{name}_features") for name, method in needed.items()}
    noise = compare.noises
    for name in sorted(methods, key=natural):
        read_by = [part.name for part in methods[name].singles]
        read = {each: features[each] for each in (*read_by, *map(inputs.get, read_by)) if each is not None}
        labelled = methods[name].learns_labels
        trial.add(probed(session, manifest, config, name, read, labelled=labelled, noises=noise), f"probed_{name}")
    for head, network in sorted((method.head.name, features[name]) for name, method in methods.items() if method.head):
        trial.add(scored(session, manifest, config, head, network, noises=noise), f"probed_{head}")


def make_sounds(trial: Trial) -> None:
    """Train the vocoder, and make sounds to listen to, and the figures of a larger number of clips."""
    session, manifest, settings, artifacts = trial.session, trial.manifest, trial.settings, trial.artifacts
    config, tokens, coded = settings.listening, trial.sounding, artifacts["codes"]
    sound = trial.add(waveforms(session, manifest, settings.audio.sample_rate))
    wavenet = vocoder(session, manifest, CodedIn(tokens, coded), sound, settings.vocoder)
    playback = Playback(
        clips=choose_clips(manifest, config.clips, seed=config.seed, prompt_seconds=config.prompt_seconds),
        tokenizer=tokens,
        vocoder=trial.add(wavenet),
        audio=settings.audio,
        config=config,
        device=session.gang.device,
    )
    if config.evaluated_clips:
        judged = choose_clips(manifest, config.evaluated_clips, seed=config.seed)
        decoded = trial.add(decode_clips(session, replace(playback, clips=judged)))
        trial.add(measure_clips(session, playback, decoded))
    if "rate_lm" in artifacts:
        trial.add(listening(session, playback, artifacts["rate_lm"], artifacts["rate_tokenizer"], coded))
    elif "lm" in artifacts:
        trial.add(listening(session, playback, artifacts["lm"], None, coded))
    else:
        trial.add(listening(session, playback))
    if (
        config.evaluated_clips
        and config.asks("label_accuracy")
        and (task := label_task(session, manifest, settings.probe))
    ):
        evaluator = create_evaluator(trial, task)
        trial.add(label_accuracy(session, evaluator, decoded, artifacts["listening"], task.classes))
