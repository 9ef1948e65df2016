"""Reading of several parts of a recording in order of time, without decoding from its beginning each time."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from wordless.audio.channels import ChannelPowers
from wordless.audio.decoding import BLOCK_VALUES, mix_channels, open_recording, require_channel
from wordless.audio.trimming import Part
from wordless.audio.waveform import FloatArray

R = TypeVar("R")

# Formats and encodings in which libsndfile seeks to the exact sample; tests compare the bits.
_EXACT_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
_EXACT_ENCODINGS = frozenset(
    # samples that do not depend on other samples
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
)
_RECENT_VALUES = 1 << 22  # kept by a cursor, 16 MB: the last 95 s of mono at 44.1 kHz are read again without decoding


class Cursor:
    """A position in an open recording, for reading parts in order of time.

    ::

        file      |=============|==========|- - - - - - - -
                                ^ recent   ^ position          recent samples can be read again
    """

    def __init__(self, path: Path, state: tuple[object, ...], channel: int | None = None) -> None:
        self.state = state  # of the file and the process; the cursor serves only this state
        self._stack = ExitStack()
        self._recording = self._stack.enter_context(open_recording(path))
        self._name_errors(lambda: require_channel(self._recording, channel, path))
        self._channel = channel
        exact = self._recording.format in _EXACT_FORMATS and self._recording.subtype in _EXACT_ENCODINGS
        self._exact = exact and not self._recording.is_joined
        self._position = 0
        self._length = self._recording.declared  # None: the end shows when it is reached
        self._ended = False
        self._recent: deque[npt.NDArray[np.float32]] = deque()  # (samples, channels)

    @property
    def sample_rate(self) -> int:
        """Sample rate of the file in Hz."""
        rate: int = self._recording.samplerate
        return rate

    @property
    def at_end(self) -> bool:
        """Whether the whole file has been read."""
        return self._ended or (self._length is not None and self._position >= self._length)

    def serves(self, state: tuple[object, ...], start: int) -> bool:
        """Return whether sample ``start`` of the file in this state can be read without decoding from the beginning."""
        return self.state == state and (self._exact or start >= self._position - sum(map(len, self._recent)))

    def blocks(self, part: Part, size: int, powers: ChannelPowers | None = None) -> Iterator[FloatArray]:
        """Give a part in mono blocks of at most ``size`` samples, at the file's own rate; its ``powers`` are summed."""
        for block in self._blocks_of_all_channels(part, size):
            read = mix_channels(block, self._channel)
            if powers is not None and block.shape[1] > 1:
                powers.add(block, read)
            yield read

    def _blocks_of_all_channels(self, part: Part, size: int) -> Iterator[npt.NDArray[np.float32]]:
        if self._exact and part.start != self._position:
            self._name_errors(lambda: self._recording.seek(part.start))
            self._position, self._ended = part.start, False
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

    def _read(self, count: int) -> npt.NDArray[np.float32]:
        at_once = min(count, max(BLOCK_VALUES // self._recording.channels, 1))
        block = self._name_errors(lambda: self._recording.read(at_once, dtype="float32", always_2d=True))
        self._position += len(block)
        self._ended = not len(block)
        if not self._exact:
            self._recent.append(block)
            while sum(each.size for each in self._recent) - self._recent[0].size >= _RECENT_VALUES:
                self._recent.popleft()
        return block

    def _name_errors(self, work: Callable[[], R]) -> R:
        """Call ``work``, and name the file in its errors, as `open_recording` does."""
        try:
            return work()
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise


_cursors: list[Cursor] = []  # the last cursor, if any; it is removed while in use, so that no two readers share it


@contextmanager
def cursor_before(path: Path, part: Part) -> Iterator[Cursor]:
    """Give the last cursor if it can read the part's channel from its start on, else a new one."""
    state = (*file_state(path), part.channel)
    cursor = _cursors.pop() if _cursors else None
    if cursor is not None and not cursor.serves(state, part.start):
        cursor.close()
        cursor = None
    cursor = cursor or Cursor(path, state, part.channel)
    try:
        yield cursor
    except GeneratorExit:  # the reader stopped early
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
    _cursors.append(cursor)
    while len(_cursors) > 1:
        _cursors.pop(0).close()


def file_state(path: Path) -> tuple[object, ...]:
    """Identify the file's content and the process; a forked process would share the position of an open file."""
    try:
        status = path.stat()
    except OSError:  # opening the file raises the error
        return ()
    return os.getpid(), str(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
