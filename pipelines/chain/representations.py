"""The representations that a run compares, and the probes of all of them.

Everything is trained on the same training clips, including those without a label. Validation clips choose weights.
They, or cross-validation over the groups of training and validation, choose layers and penalties. Test clips are only
described by models that are finished.
"""

import inspect
from collections.abc import Callable, Sequence

from audio.recordings.manifest import Manifest
from foundation.errors import InputError
from pipelines.methods.method import Made, Method
from pipelines.methods.study import Codec, Study
from pipelines.methods.table import METHODS, inputs_of
from pipelines.settings.run import RunSettings
from pipelines.stages.probe import collect_probes, probe_methods, probe_task
from pipelines.store.session import Session
from pipelines.store.store import Entry
from pipelines.store.stored_features import FEATURES, features_by_method


def compare_methods(
    session: Session, manifest: Manifest, settings: RunSettings, codec: Codec, *, unlabelled: Sequence[Manifest]
) -> list[Entry]:
    """Train the baselines, compute the features of every wanted method, and probe them.

    SimCLR and wav2vec 2.0 are also trained on ``unlabelled``, as the GPT is.
    """
    methods = settings.compare.all_methods
    inputs = inputs_of(methods) if settings.compare.input else {}
    needed = (*methods, *(METHODS[name] for name in sorted({*inputs.values()} - {each.name for each in methods})))
    study = Study(
        session=session,
        manifest=manifest,
        options=settings,
        wanted=frozenset(method.name for method in needed),
        codec=codec,
        unlabelled=tuple(unlabelled),
        task=probe_task(manifest, settings.probe),
    )
    functions = dict.fromkeys(method.features for method in needed)
    made = {function: make_features(study, function, needed) for function in functions}
    entries = [each.features for each in made.values()]
    labelled = frozenset(method.name for method in methods if method.labels == "train")
    names = [method.name for method in methods]
    by = settings.compare.folds
    rows = probe_methods(
        session, manifest, entries, settings.probe, only=names, labelled=labelled, inputs=inputs, folds_by=by
    )
    scores = {method.head.name: made[method.features].features for method in methods if method.head}
    together = collect_probes(session, manifest, rows, settings.probe, scores=scores, folds_by=by)
    return [*(entry for each in made.values() for entry in each.trained), *entries, *rows, together]


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
