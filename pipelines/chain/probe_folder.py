"""The folder ``probe`` of a run: the linear probe of the GPT's states, or else of codes, with its weights."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from threadpoolctl import threadpool_limits

from lm.probing.fitted import FittedProbe, VectorRecipe
from lm.probing.probe import fitted_penalties
from pipelines.settings.run import RunSettings
from pipelines.stages.features import BAG_OF_CODES
from pipelines.stages.probe import probe_task
from pipelines.store.store import Entry
from pipelines.store.stored_features import FEATURES, GPT, PROBE, StoredFeatures, features_by_method
from wordless.audio.recordings.manifest import Manifest
from wordless.base.saved_models import CONFIG
from wordless.base.saved_models import PROBE as KIND


def write_probe(folder: Path, made: Mapping[str, Entry], manifest: Manifest, settings: RunSettings) -> None:
    """Fit the probe again that the comparison chose, and save it; the store keeps its figures and not its weights.

    A run without the stage ``probe``, or without a method whose vectors the run's own models make, has no such folder.
    """
    place = folder / KIND.part
    if (place / CONFIG).is_file():  # of an earlier run in this folder
        shutil.rmtree(place, ignore_errors=True)
    if "probe" not in made:
        return
    rows = {str(row["of"]): row for row in cast(Sequence[Mapping[str, Any]], made["probe"].read_json(PROBE)["methods"])}
    if (found := _method(made, settings, [*rows])) is None:
        return
    method, candidates = found
    row = rows[method]
    config, compare, chosen = settings.probe, settings.compare, str(row["chosen"])
    task = probe_task(manifest, config)
    with threadpool_limits(1):  # more threads round sums in another way
        probe = FittedProbe.fit(
            candidates[chosen],
            task,
            config,
            of=chosen,
            recipe=VectorRecipe(
                vectors=compare.vectors,
                states=compare.states,
                assignments=compare.assignments,
            ),
            penalties=fitted_penalties(float(row["penalty"]), task, config),
            test_accuracy=float(row["test_accuracy"]),
            trim_db=manifest.effective_trim_db(settings.corpus.inspection.trim_db),
        )
    probe.save_pretrained(place)


def _method(
    made: Mapping[str, Entry], settings: RunSettings, probed: Sequence[str]
) -> tuple[str, StoredFeatures] | None:
    """Return the method and its candidates; of several rates, the GPT of the comparison is not the run's own."""
    places = dict.fromkeys(entry.folder / FEATURES for entry in made.values())
    methods = features_by_method([file for file in places if file.is_file()])
    names = (BAG_OF_CODES,) if settings.tokenizer.rates else (GPT, BAG_OF_CODES)
    if (name := next((name for name in names if name in methods and name in probed), None)) is None:
        return None
    with_codes = name == GPT and settings.compare.input
    return name, methods[name].with_input(methods[BAG_OF_CODES]) if with_codes else methods[name]
