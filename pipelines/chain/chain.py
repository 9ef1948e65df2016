"""The stages of a run in their order: codes -> language model -> probes -> vocoder -> sounds, of each fold and seed."""

from collections.abc import Sequence
from functools import partial

import torch

from lm.probing.vectors import read_features
from pipelines.chain.language import make_codes, train_language
from pipelines.chain.method_features import features_of
from pipelines.chain.parts import Made, make_parts
from pipelines.chain.sound_stages import make_sounds
from pipelines.chain.study import Study
from pipelines.extras.work import works
from pipelines.methods.methods_table import METHODS
from pipelines.settings.run_settings import RunSettings
from pipelines.stages.probing import probed, require_probeable, scored
from pipelines.store.stage import Session
from pipelines.store.store import Entry
from pipelines.store.stored_features import natural
from wordless.audio.recordings.manifest import Clips
from wordless.base.machine import limited_threads
from wordless.base.messages import InputError, counted


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
