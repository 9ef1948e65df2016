"""Training curves: what `training.fit` reports, as JSON in the store and in the run folder for TensorBoard."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.record import Point
from training.state import FitConfig

CURVE = "curve.json"
TENSORBOARD = "tensorboard"  # folder in a run folder, with a folder for each training
NAMES = {"lm": "language model", "simclr": "SimCLR", "supervised": "supervised encoder", "ast": "AST"}


def training_name(stage: str, place: str = "") -> str:
    """What the training of a stage is called on the terminal and in TensorBoard; ``place`` is its fold and seed."""
    return f"{NAMES.get(stage, stage)} {place}".strip().replace("/", "_")  # groups may be named as folders are


def numeric(config: FitConfig) -> dict[str, object]:
    """What of a training config decides the weights, and so belongs to an entry's key."""
    values = asdict(config)
    del values["checkpoint_minutes"]
    return values


def tensorboard(folder: Path, say: Callable[[str], None] = lambda line: None) -> Callable[[Point], None]:
    """A function that adds a point of a training curve to the TensorBoard log in ``folder``.

    What cannot be written, as on a full disk, is told in one line to ``say`` and left out: it ends no training.
    """
    from training.event_files import EventFiles  # slow to import, and few processes need it

    files = EventFiles(folder)

    def track(point: Point) -> None:
        if (problem := files.add(point)) is not None:
            say(f"WARNING   {folder} is not continued ({problem}); training goes on")

    return track


def write_tensorboard(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a whole curve, as a stage stored it, as a TensorBoard log, unless the folder holds one already."""
    if not folder.exists():
        track = tensorboard(folder)
        for point in record["curve"]:
            track(point)
