"""Training curves as TensorBoard logs, point by point or whole."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.record import Point


def tensorboard(folder: Path, say: Callable[[str], None] = lambda line: None) -> Callable[[Point], None]:
    """Return a function that adds a point of a training curve to the TensorBoard log in ``folder``.

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
