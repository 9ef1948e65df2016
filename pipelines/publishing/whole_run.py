"""The publication of a run: its models, its card and its figures."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.demonstration.models import DemoModels
from pipelines.publishing.card import run_card
from pipelines.publishing.contents import CARD, Publication, choose_parts, linked, model_files
from pipelines.publishing.options import PublishConfig
from pipelines.results.figures import COSTS
from pipelines.results.run_record import Results, read_results
from pipelines.store.run_folder import REPORT
from vocoder.sampling import Sampling
from wordless.base.errors import InputError
from wordless.base.text import escape

FIGURES = "figures.json"


def whole_run(settings: PublishConfig) -> Publication:
    """Load the models as others will, and write their card."""
    results = read_results(settings.run)
    config = results["provenance"]["config"] if "provenance" in results else {}
    parts = choose_parts(settings.run, settings.parts, config)
    files = model_files(settings.run, parts)
    models = _load(settings.run, files)
    if "probe" in parts and models.unread:
        raise InputError(
            f"parts has probe, which reads {models.unread}, and not the model that computes it: add lm to parts, or "
            "leave probe out"
        )
    cards = {str(part): files[f"{part}/{CARD}"] for part in parts if f"{part}/{CARD}" in files}
    report = {REPORT: _report(settings.run)} if settings.report else {}
    return Publication(
        card=run_card(settings, models, results, cards),
        files={FIGURES: _figures(results), **files, **report},
        notices=tuple(_notices(settings, models)),
    )


def _load(run: Path, files: Mapping[str, Path]) -> DemoModels:
    """Load the models from these files alone."""
    with linked(files) as folder:
        try:
            return DemoModels.of_folder(folder, sampling=Sampling(), device="cpu")
        except InputError as error:
            raise InputError(str(error).replace(str(folder), str(run))) from error


def _figures(results: Results) -> bytes:
    """Return the figures of a run as JSON; costs say something about this machine alone."""
    rows = [figure.as_row() for figure in results["figures"] if figure.name not in COSTS]
    return (json.dumps({"figures": rows}, indent=1) + "\n").encode()


def _report(run: Path) -> Path:
    if not (run / REPORT).is_file():
        raise InputError(f"report=true, but {run / REPORT} is missing; draw it first: wordless report run={run}")
    return run / REPORT


def _notices(settings: PublishConfig, models: DemoModels) -> Iterator[str]:
    """Say which names of the recordings the files contain, and whether they contain sound."""
    if models.groups:
        yield f"the vocoder names the groups of its recordings: {escape(', '.join(models.groups))}"
    if models.probe is not None:
        yield f"the probe names the labels: {escape(', '.join(models.probe.description.classes))}"
    if settings.report:
        yield (
            f"{REPORT} contains sounds, spectrograms, file names, labels and groups of recordings: upload it only "
            "if you have the right to"
        )
