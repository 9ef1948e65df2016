"""Training curves as TensorBoard's event files.

TensorBoard's own writer works in a thread, which ends with a traceback where the disk is full. Points are few, so this
writer writes each point at once, and stops writing after the first error.
"""

import errno
import io
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from training.record import Point

VERSION = "brain.Event:2"  # of the format; the first event of every file
TAG = "loss"


class EventFiles:
    """The curves of one training below ``folder``: one file for training losses and one for validation losses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._given_up = False

    def add(self, point: Point) -> str | None:
        """Write a point. The first error is returned as text, and later points are dropped."""
        if self._given_up:
            return None
        try:
            self._append(self.folder, [])
            self._append(self.folder / "loss_train", [_event(point["step"], point["train_loss"])])
            self._append(self.folder / "loss_validation", [_event(point["step"], point["validation_loss"])])
        except OSError as error:
            self._given_up = True
            return error.strerror or type(error).__name__
        return None

    def _append(self, folder: Path, events: list[Event]) -> None:
        """Append whole events to the file of a folder, or nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / self._name).open("ab", buffering=0) as file:
            before = file.tell()
            if not before:
                events = [Event(wall_time=time.time(), file_version=VERSION), *events]
            records = _records(events)
            try:
                if file.write(records) < len(records):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(before)
                raise


def _records(events: list[Event]) -> bytes:
    """Serialise events as TensorBoard reads them, each with its length and checksums."""
    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in events:
        writer.write(event.SerializeToString())
    return stream.getvalue()


def _event(step: int, value: float) -> Event:
    return Event(wall_time=time.time(), step=step, summary=Summary(value=[Summary.Value(tag=TAG, simple_value=value)]))
