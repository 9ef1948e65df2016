"""Training curves in the store: what `pipelines.fit` reports, as JSON."""

from dataclasses import asdict
from pathlib import Path

from pipelines.fit import FitReport
from pipelines.store import write_json
from pipelines.training import FitConfig

CURVE = "curve.json"


def numeric(config: FitConfig) -> dict[str, object]:
    """What of a training config decides the weights, and so belongs to an entry's key."""
    values = asdict(config)
    del values["checkpoint_minutes"]
    return values


def write_curve(folder: Path, report: FitReport) -> None:
    """Write a report beside the weights that it is about."""
    write_json(folder / CURVE, asdict(report))
