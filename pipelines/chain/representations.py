"""The representations that a run compares, and the probes of all of them.

Everything is trained on the same training clips, including those without a label. Validation clips choose weights.
They, or cross-validation over the groups of training and validation, choose layers and penalties. Test clips are only
described by models that are finished.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.chain.parts import Part
from pipelines.methods.method import Made, Method
from pipelines.methods.study import RunEntries, Study
from pipelines.methods.table import METHODS, inputs_of
from pipelines.stages.probe import collect_probes, probe_methods, probe_task
from pipelines.store.session import Session


def compare_methods(session: Session, part: Part, entries: RunEntries) -> RunEntries:
    """Train the baselines, compute the features of every wanted method, and probe them.

    SimCLR, gpt_sound and wav2vec 2.0 are also trained on unlabelled clips, as the GPT is.
    """
    compare, config, manifest = part.settings.compare, part.settings.probe, part.manifest
    methods = compare.all_methods
    inputs = inputs_of(methods) if compare.input else {}
    needed = (*methods, *(METHODS[name] for name in sorted({*inputs.values()} - {each.name for each in methods})))
    made = _make_methods(session, part, entries, needed)
    probed = probe_methods(
        session,
        manifest,
        {method.name: made[method.features].features for method in needed},
        config,
        only=[method.name for method in methods],
        labelled=frozenset(method.name for method in methods if method.labels == "train"),
        inputs=inputs,
        folds_by=compare.folds,
        noise_snr=compare.noise_snr,
    )
    scores = {method.head.name: made[method.features].features for method in methods if method.head}
    probe = collect_probes(
        session, manifest, probed, config, scores=scores, folds_by=compare.folds, noise_snr=compare.noise_snr
    )
    return replace(entries, methods=tuple(made.values()), probed=probed, probe=probe)


def _make_methods(
    session: Session, part: Part, entries: RunEntries, methods: Sequence[Method]
) -> dict[Callable[[Study], Made], Made]:
    """Train methods, and make their features, by the functions that make them."""
    study = Study(
        session=session,
        manifest=part.manifest,
        audio=part.settings.audio,
        vectors=part.settings.compare.vectors,
        noise_snr=part.settings.compare.noise_snr,
        options=part.settings,
        entries=entries,
        unlabelled=tuple(part.unlabelled),
        task=probe_task(part.manifest, part.settings.probe),
    )
    return {function: function(study) for function in dict.fromkeys(method.features for method in methods)}
