"""TensorBoard's event files, written event by event.

TensorBoard's own writer works in a thread, which ends with a traceback where the disk is full. Events are few, so this
writer writes each one at once, whole or not at all.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

VERSION = "brain.Event:2"  # of the format; the first event of every file
PNG_SIZE = slice(16, 24)  # bytes of a PNG file that hold its width and height


def event_file(folder: Path) -> Path:
    """Name a new event file of this process in a folder."""
    return folder / f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"


def append_scalars(path: Path, values: Mapping[str, float], *, step: int) -> None:
    """Append scalars by tag; a new file begins with the version of the format."""
    from tensorboard.compat.proto.summary_pb2 import Summary  # slow to import, and few processes need it

    scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    append_summary(path, Summary(value=scalars) if scalars else None, step=step)


def append_text(path: Path, tag: str, markdown: str) -> None:
    """Append a text that TensorBoard shows as Markdown."""
    from torch.utils.tensorboard.summary import text

    append_summary(path, text(tag, markdown))  # type: ignore[no-untyped-call]  # torch's own


def append_picture(path: Path, tag: str, png: bytes) -> None:
    """Append a picture, the content of a PNG file."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    width, height = struct.unpack(">II", png[PNG_SIZE])
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    append_summary(path, Summary(value=[Summary.Value(tag=tag, image=image)]))


def append_summary(path: Path, summary: Summary | None = None, *, step: int = 0) -> None:
    """Append an event, or nothing but the head of a new file.

    Raises:
        OSError: the disk is full, for example; the file is then as it was.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        before, now = file.tell(), time.time()
        events = [] if before else [Event(wall_time=now, file_version=VERSION)]
        if summary is not None:
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


def steps_in(folder: Path) -> Iterator[int]:
    """Give the step of each event of all event files in a folder, as far as they can be read."""
    paths = sorted(folder.glob("events.out.tfevents.*"))
    if not paths:
        return
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader  # slow to import
    from tensorboard.compat.proto.event_pb2 import Event

    for path in paths:
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            if event.HasField("summary"):
                yield event.step
