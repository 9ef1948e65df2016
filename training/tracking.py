"""Training curves as TensorBoard's event files, point by point or whole.

TensorBoard's own writer works in a thread, which ends with a traceback where the disk is full. Points are few, so this
writer writes each point at once, and stops writing after the first error.
"""

import errno
import io
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from training.record import Point

VERSION = "brain.Event:2"  # of the format; the first event of every file
TAG = "loss"


def tensorboard(folder: Path, say: Callable[[str], None] = lambda line: None) -> Callable[[Point], None]:
    """Make a function that adds a point of a training curve to the TensorBoard log in ``folder``.

    The log has one file for training losses and one for validation losses. The first error, such as a full disk, is
    told in one line to ``say``, and later points are dropped: the training goes on.
    """
    name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
    going_on = True

    def track(point: Point) -> None:
        nonlocal going_on
        if not going_on:
            return
        try:
            _append(folder / name)
            _append(folder / "loss_train" / name, point["train_loss"], step=point["step"])
            _append(folder / "loss_validation" / name, point["validation_loss"], step=point["step"])
        except OSError as error:
            going_on = False
            problem = error.strerror or type(error).__name__
            say(f"WARNING   {folder} is not continued ({problem}); training goes on")

    return track


def write_tensorboard(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a whole curve, as a stage stored it, as a TensorBoard log, unless the folder holds one already."""
    if not folder.exists():
        track = tensorboard(folder)
        for point in record["curve"]:
            track(point)


def _append(path: Path, loss: float | None = None, *, step: int = 0) -> None:
    """Append the event of a loss to an event file, or nothing; a new file begins with the version of the format."""
    from tensorboard.compat.proto.event_pb2 import Event  # slow to import, and few processes need it
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        before, now = file.tell(), time.time()
        events = [] if before else [Event(wall_time=now, file_version=VERSION)]
        if loss is not None:
            summary = Summary(value=[Summary.Value(tag=TAG, simple_value=loss)])
            events.append(Event(wall_time=now, step=step, summary=summary))
        records = io.BytesIO()
        for event in events:
            RecordWriter(records).write(event.SerializeToString())
        try:
            if file.write(records.getvalue()) < records.tell():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(before)
            raise
