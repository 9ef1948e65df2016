"""Recordings one by one, in several processes: what is set aside, and what the user should know of a recording."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from wordless.audio.decoding import Channel, ChannelPowers, cancelled
from wordless.audio.reading import read_blocks
from wordless.audio.recordings.inspection import InspectionConfig, frequent_reasons
from wordless.audio.recordings.manifest import UNWRITABLE, Clip, Clips, Rejected, writable, write_rejected
from wordless.audio.waveform import FloatArray, Part
from wordless.base.errors import InputError
from wordless.base.pools import LOCAL, EngineConfig, in_order, open_pool
from wordless.base.progress import Terminal
from wordless.base.text import counted
from wordless.base.values import list_hash

R = TypeVar("R", bound="Read")
T = TypeVar("T")
BYTES_FOR_WORKERS = 100e6  # 16-bit sound that one process encodes while a worker starts


def each_recording(
    work: Callable[[Clip], T | Rejected],
    place: Clips,
    clips: Sequence[Clip],
    terminal: Terminal,
    *,
    title: str,
    workers: int,
    engine: EngineConfig = LOCAL,
    shared: Sequence[Path] = (),
    gpu: bool = False,
    remedy: str = "call the same command with workers=1, which reads all recordings again",
) -> Iterator[tuple[Clip, T | Rejected]]:
    """Give the ``clips`` of a place that are still to be read, in order, each with the result of ``work``.

    A clip that cannot be read is set aside, with the reason.

    ``workers`` is a number of processes, 0 for as many as cores if there is enough work; ``shared`` are files that each
    of them reads beside the recordings. ``remedy`` says what to do where memory runs out.
    """
    for notice in place.notices:
        terminal.say(notice)
    total, left = len(place.clips), len(clips)
    size = sum(status.st_size for _, status in _files(place) if status)  # bytes
    fitting = min(engine.workers(workers, enough=size > BYTES_FOR_WORKERS), left)
    shared = [*shared, *(place.root / clip.path for clip in place.clips[:1])]
    with (
        open_pool(engine, max(fitting, 1), shared=shared, gpu=gpu) as pool,
        terminal.working(title, total, "recordings") as progress,
    ):
        results = progress.each(in_order(partial(_attempted, work), clips, pool, remedy=remedy), done=total - left)
        yield from zip(clips, results, strict=True)


def _attempted(work: Callable[[Clip], T | Rejected], clip: Clip) -> T | Rejected:
    if not writable(clip.path):
        return Rejected(path=clip.path, reason=UNWRITABLE)
    try:
        return work(clip)
    except InputError as error:
        return Rejected.by(clip.name, error)


def state_of(place: Clips) -> str:
    """Hash the files' names, sizes and times of change, and what annotations say."""
    files = [[path, [status.st_size, status.st_mtime_ns] if status else "missing"] for path, status in _files(place)]
    return list_hash([*files, *([each.name, each.label, each.group] for each in place.clips)])


def _files(place: Clips) -> Iterator[tuple[str, os.stat_result | None]]:
    """Give each file and its status: None for a broken link, which is set aside later with undecodable files."""
    for path in dict.fromkeys(place.frame.path):
        status = None
        with suppress(OSError):
            status = (place.root / path).stat()
        yield path, status


class Read(Protocol):
    """What is read of a recording."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the recording."""


def read_all(
    places: Sequence[Clips],
    reader: Callable[[Clips], Callable[[Clip], R | Rejected]],
    *,
    option: str,
    workers: int,
    title: str,
    output: Path | None,
    terminal: Terminal,
) -> Iterator[tuple[str, R]]:
    """Give the path of each recording that can be read, as the user can open it, with what ``reader`` makes of it.

    At the end, print a line for each notice, and each recording that was set aside with its reason, or list them
    beside the ``output``. ``option`` is the option that names the recordings, with its value.

    Raises:
        InputError: no recording can be read.
    """
    rejected = [replace(each, path=str(place.root / each.path)) for place in places for each in place.rejected]
    notices, count = Notices(), 0
    for place in places:
        for clip, read in each_recording(reader(place), place, place.clips, terminal, title=title, workers=workers):
            path = str(place.root / clip.name)
            if isinstance(read, Rejected):
                rejected.append(replace(read, path=path))
                continue
            count += 1
            notices.add(path, read.notices)
            yield path, read
    notices.tell(terminal)
    if output is None:
        for each in rejected:
            terminal.say(f"set aside: {each.path}: {each.reason}")
    else:
        list_rejected(rejected, listed := rejected_list(output))
        tell_rejected(rejected, listed, terminal)
    if not count:
        raise InputError(f"{option}: no recording can be read ({frequent_reasons(rejected)})")


def rejected_list(output: Path) -> Path:
    """Return the file beside an output that lists the recordings that were set aside, with reasons."""
    return output.with_name(f"{output.name}.rejected.tsv")


def list_rejected(rejected: Sequence[Rejected], listed: Path) -> None:
    """Write the list of what was set aside, if anything was; a list of an earlier call goes."""
    listed.unlink(missing_ok=True)
    if rejected:
        write_rejected(rejected, listed)


def tell_rejected(rejected: Sequence[Rejected], listed: Path, terminal: Terminal) -> None:
    """Print how many recordings were set aside, and which file lists them."""
    if rejected:
        terminal.say(f"{len(rejected)} set aside ({frequent_reasons(rejected)}): {listed}")


@dataclass(kw_only=True)
class ReadSound:
    """A recording as a model reads it, and what the user should know of it."""

    channel: Channel
    sample_rate: int  # Hz, of the model
    highest: float  # Hz; what lies above is not read
    louder: int | None = None  # channel of a recording that was measured before; else the powers say it
    powers: ChannelPowers = field(default_factory=ChannelPowers)
    bounds: tuple[float, float] = (np.inf, -np.inf)  # lowest and highest sample
    own_rate: int | None = None  # Hz, of a file that was opened before

    def blocks(self, path: Path, *, part: Part | None = None) -> Iterator[FloatArray]:
        """Read the blocks of a whole recording, or of a part, at the model's rate."""
        for block in read_blocks(path, self.sample_rate, part=part, channel=self.channel, powers=self.powers):
            low, high = self.bounds
            self.bounds = float(block.min(initial=low)), float(block.max(initial=high))
            yield block

    @property
    def notices(self) -> tuple[str, ...]:
        """Why the sound is silent or far softer than the recording, and that its upper bands are empty."""
        found, silence = [], InspectionConfig().silence_peak
        number = self.channel if isinstance(self.channel, int) else None
        louder = self.powers.louder if self.louder is None else self.louder
        why = f"no sample exceeds {silence:g} of full scale"
        if louder is not None:
            why = f"{cancelled(number, louder)}, where the model is made (wordless run, wordless finetune)"
        if self.bounds[1] - self.bounds[0] <= 2 * silence:  # a constant offset is no sound
            found.append(f"silent: {why}")
        elif louder is not None:
            found.append(f"far softer than one of its channels: {why}")
        rate = self.powers.sample_rate if self.own_rate is None else self.own_rate
        if rate / 2 < self.highest:
            found.append(
                f"its rate is {rate} Hz and the model's {self.sample_rate} Hz, so the bands above {rate / 2:g} Hz are "
                f"empty; a model with audio.sample_rate={rate} has no empty bands"
            )
        return tuple(found)


class Notices:
    """Notices about recordings. Each notice is printed once, with the number of recordings."""

    def __init__(self) -> None:
        self._first, self._counts = dict[str, str](), Counter[str]()  # of each notice

    def add(self, path: str, notices: Iterable[str]) -> None:
        for notice in notices:
            self._first.setdefault(notice, path)
            self._counts[notice] += 1

    def tell(self, terminal: Terminal) -> None:
        for notice, first in self._first.items():
            others = self._counts[notice] - 1
            more = f" and {counted(others, 'other recording')}" if others else ""
            terminal.say(f"{first}{more}: {notice}")
