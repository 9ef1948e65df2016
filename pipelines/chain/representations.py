"""The representations that a run compares, and the probes of all of them.

Everything is trained on the same training clips, including those without a label. Validation clips choose weights.
They, or cross-validation over the groups of training and validation, choose layers and penalties. Test clips are only
described by models that are finished.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pipelines.chain.pairs import Pair, make_pairs
from pipelines.methods.method import Made, Method
from pipelines.methods.study import RunEntries, Study
from pipelines.methods.table import METHODS, inputs_of
from pipelines.stages.probe import collect_probes, probe_methods, probe_task
from pipelines.store.session import Session
from pipelines.store.store import Entry
from pipelines.store.stored_features import FEATURES, features_by_method
from wordless.base.errors import InputError


def compare_methods(session: Session, pair: Pair, entries: RunEntries) -> RunEntries:
    """Train the baselines, compute the features of every wanted method, and probe them.

    SimCLR, gpt_sound and wav2vec 2.0 are also trained on unlabelled clips, as the GPT is.
    """
    settings = pair.settings
    methods = settings.compare.all_methods
    made, probed = _probe(session, pair, entries, methods)
    scores = {method.head.name: made[method.features].features for method in methods if method.head}
    by = settings.compare.folds
    probe = collect_probes(
        session, pair.manifest, probed, settings.probe, scores=scores, folds_by=by, noise_snr=settings.compare.noise_snr
    )
    return replace(entries, methods=tuple(made.values()), probed=probed, probe=probe)


def probe_some(session: Session, pair: Pair, entries: RunEntries, *, reading_models: bool) -> RunEntries:
    """Train and probe the compared methods that read language models of codes, or all others.

    So both can be made at the same time; `compare_methods` collects them.
    """
    methods = [
        method for method in pair.settings.probed_methods if (method.reads_lm or method.reads_rates) == reading_models
    ]
    if not methods:
        return entries
    made, probed = _probe(session, pair, entries, methods)
    return replace(entries, methods=tuple(made.values()), probed=probed)


def _probe(
    session: Session, pair: Pair, entries: RunEntries, methods: Sequence[Method]
) -> tuple[dict[Callable[[Study], Made], Made], dict[str, Entry]]:
    """Return what methods made, and their probes."""
    settings = pair.settings
    inputs = inputs_of(methods) if settings.compare.input else {}
    needed = (*methods, *(METHODS[name] for name in sorted({*inputs.values()} - {each.name for each in methods})))
    session = session.after(_train_at_the_same_time(session, pair, entries, needed))
    made = _make_methods(session, pair, entries, needed)
    probed = probe_methods(
        session,
        pair.manifest,
        [each.features for each in made.values()],
        settings.probe,
        only=[method.name for method in methods],
        labelled=frozenset(method.name for method in methods if method.labels == "train"),
        inputs=inputs,
        folds_by=settings.compare.folds,
        noise_snr=settings.compare.noise_snr,
    )
    return made, probed


def _make_methods(
    session: Session, pair: Pair, entries: RunEntries, methods: Sequence[Method]
) -> dict[Callable[[Study], Made], Made]:
    """Train methods, and make their features, by the functions that make them."""
    study = Study(
        session=session,
        manifest=pair.manifest,
        audio=pair.settings.audio,
        vectors=pair.settings.compare.vectors,
        noise_snr=pair.settings.compare.noise_snr,
        options=pair.settings,
        entries=entries,
        unlabelled=tuple(pair.unlabelled),
        task=probe_task(pair.manifest, pair.settings.probe),
    )
    functions = dict.fromkeys(method.features for method in methods)
    return {function: make_features(study, function, methods) for function in functions}


def _train_at_the_same_time(
    session: Session, pair: Pair, entries: RunEntries, methods: Sequence[Method]
) -> list[Entry]:
    """Train the networks of methods in ``session.parallel`` processes, and compute their features.

    Methods of one family are made one after the other, because one may need what another trains.
    """
    families = dict.fromkeys(_family(method) for method in methods if method.training)
    if session.parallel == 1 or len(families) < 2:
        return []
    make = partial(_make_family, entries)
    pairs = {family: replace(pair, training=family) for family in families}
    pairs = {family: each for family, each in pairs.items() if not session.contains(partial(make, pair=each))}
    if len(pairs) < 2:
        return []
    made = make_pairs(session, pairs, make, parallel=session.parallel, what="families of methods")
    return [entry for each in made.values() for entry in each.named.values()]


def _family(method: Method) -> str:
    """Return the group of options of the methods that are trained with those of ``method``; "" if it is not trained."""
    return method.training.option.partition(".")[0] if method.training else ""


def _make_family(entries: RunEntries, session: Session, pair: Pair) -> RunEntries:
    compared = pair.settings.compare.all_methods
    functions = {method.features for method in compared if _family(method) == pair.training}
    methods = [method for method in compared if method.features in functions]
    return RunEntries(methods=tuple(_make_methods(session, pair, entries, methods).values()))


def make_features(study: Study, features: Callable[[Study], Made], methods: Sequence[Method]) -> Made:
    """Make the features of all methods that share the function ``features``.

    Raises:
        InputError: their keys begin with the name of another method, as after a method's file was copied.
    """
    made = features(study)
    wanted = [method.name for method in methods if method.features == features]
    found = list(features_by_method([made.features.folder / FEATURES]))
    if sorted(found) != sorted(wanted):
        file, keys = inspect.getsourcefile(getattr(features, "func", features)), ", ".join(found) or "no method"
        raise InputError(
            f"the method {', '.join(wanted)} makes features with the keys of {keys}, in {file}: begin the keys with "
            f"the method's own name, as in {wanted[0]}:mean"
        )
    return made
