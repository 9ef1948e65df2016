"""Training curves: what `pipelines.fit` reports, as JSON in the store and in the run folder for TensorBoard."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.fit import FitReport
from pipelines.store import write_json
from pipelines.training import FitConfig, Point

CURVE = "curve.json"
TENSORBOARD = "tensorboard"  # folder in a run folder, with a folder for each training
NAMES = {"lm": "language model", "simclr": "SimCLR", "supervised": "supervised encoder", "ast": "AST"}


def training_name(stage: str) -> str:
    """What the training of a stage is called on the terminal and in TensorBoard."""
    return NAMES.get(stage, stage)


def numeric(config: FitConfig) -> dict[str, object]:
    """What of a training config decides the weights, and so belongs to an entry's key."""
    values = asdict(config)
    del values["checkpoint_minutes"]
    return values


def write_curve(folder: Path, report: FitReport) -> None:
    """Write a report beside the weights that it is about."""
    write_json(folder / CURVE, asdict(report))


def tensorboard(folder: Path) -> Callable[[Point], None]:
    """A function that adds a point of a training curve to the TensorBoard log in ``folder``."""
    from torch.utils.tensorboard import SummaryWriter  # slow to import, and few processes need it

    writer = SummaryWriter(folder)  # type: ignore[no-untyped-call]  # torch's own

    def track(point: Point) -> None:
        losses = {"train": point.train_loss, "validation": point.validation_loss}
        writer.add_scalars("loss", losses, point.step)  # type: ignore[no-untyped-call]  # torch's own
        writer.flush()  # type: ignore[no-untyped-call]  # torch's own

    return track


def write_tensorboard(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a whole curve, as `write_curve` stored it, as a TensorBoard log, unless the folder holds one already."""
    if not folder.exists():
        track = tensorboard(folder)
        for point in record["curve"]:
            track(Point(**point))
