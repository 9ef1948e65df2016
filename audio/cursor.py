"""Reading parts of one recording after another without decoding from its beginning each time."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from audio.decoding import BLOCK_VALUES, mixed, open_recording
from audio.trimming import Part
from audio.waveform import FloatArray

R = TypeVar("R")

# Formats and encodings in which libsndfile finds any sample exactly; tests compare the bits.
_EXACT_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
_EXACT_ENCODINGS = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}  # no sample needs another
)
_RECENT_SAMPLES = 1 << 22  # that a cursor keeps, 16 MB: 95 s at 44.1 kHz may be read again without decoding anew


class Cursor:
    """A place in an open recording, from which its parts are read in order of time.

    ::

        file      |=============|==========|- - - - - - - -
                                ^ recent   ^ position          what is recent may be asked for again
    """

    def __init__(self, path: Path, state: tuple[object, ...]) -> None:
        self.state = state  # of the file and the process: a cursor serves no other
        self._stack = ExitStack()
        self._recording = self._stack.enter_context(open_recording(path))
        self._exact = self._recording.format in _EXACT_FORMATS and self._recording.subtype in _EXACT_ENCODINGS
        self._position = 0
        self._recent: deque[FloatArray] = deque()

    @property
    def sample_rate(self) -> int:
        """Hz, of the file."""
        rate: int = self._recording.samplerate
        return rate

    @property
    def at_end(self) -> bool:
        """Whether the whole file has been read."""
        return bool(self._position >= self._recording.frames)

    def serves(self, state: tuple[object, ...], start: int) -> bool:
        """Whether sample ``start`` of the file in this state can be read without beginning anew."""
        return self.state == state and (self._exact or start >= self._position - sum(map(len, self._recent)))

    def blocks(self, part: Part, size: int) -> Iterator[FloatArray]:
        """Mono blocks of at most ``size`` samples of a part, at the file's own rate."""
        if self._exact:
            self._seek(part.start)
        while part.start > self._position:
            if not len(self._read(min(part.start - self._position, size))):
                return
        place, end = part.start, part.start + part.num_samples
        if place < self._position:
            recent = np.concatenate(self._recent)
            known = recent[len(recent) - (self._position - place) :][: part.num_samples]
            place += len(known)
            yield known
        while place < end and len(block := self._read(min(end - place, size))):
            place += len(block)
            yield block

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def _seek(self, start: int) -> None:
        if start != self._position:
            self._named(lambda: self._recording.seek(start))
            self._position = start

    def _read(self, count: int) -> FloatArray:
        at_once = min(count, max(BLOCK_VALUES // self._recording.channels, 1))
        block = mixed(self._named(lambda: self._recording.read(at_once, dtype="float32", always_2d=True)))
        self._position += len(block)
        if not self._exact:
            self._recent.append(block)
            while sum(map(len, self._recent)) - len(self._recent[0]) >= _RECENT_SAMPLES:
                self._recent.popleft()
        return block

    def _named(self, work: Callable[[], R]) -> R:
        """What ``work`` returns; errors name the file, as those inside `open_recording` do."""
        try:
            return work()
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise


_kept: list[Cursor] = []  # the cursor used last, if any; taken out while it is in use, so that no two readers share it


@contextmanager
def cursor_before(path: Path, start: int) -> Iterator[Cursor]:
    """The cursor that was used last where it can go on to ``start``, or a new one."""
    state = _state(path)
    cursor = _kept.pop() if _kept else None
    if cursor is not None and not cursor.serves(state, start):
        cursor.close()
        cursor = None
    cursor = cursor or Cursor(path, state)
    try:
        yield cursor
    except GeneratorExit:  # the reader wants no more
        _keep(cursor)
        raise
    except BaseException:
        cursor.close()
        raise
    _keep(cursor)


def _keep(cursor: Cursor) -> None:
    if cursor.at_end:
        cursor.close()
        return
    _kept.append(cursor)
    while len(_kept) > 1:
        _kept.pop(0).close()


def _state(path: Path) -> tuple[object, ...]:
    """What a file's samples depend on, and the process: a forked one shares the place in an open file."""
    try:
        status = path.stat()
    except OSError:  # opening the file says what is wrong
        return ()
    return os.getpid(), str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
