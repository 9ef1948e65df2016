"""Reading recordings as a stream: any format of libsndfile, any rate, any channels -> mono float32 at the wanted rate.

Memory grows neither with a recording's length nor with what its header declares, and the samples do not depend on how
the stream was cut::

    file --libsndfile--> blocks --mean of channels--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks
"""

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from audio.blocks import equal_blocks, first_samples
from audio.errors import InputError
from audio.files import open_regular
from audio.trimming import Part
from audio.waveform import FloatArray, Waveform

R = TypeVar("R")

MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz; a recording that declares another rate is set aside
MAX_CHANNELS = 1_024
LOUDEST = 1e4  # of full scale; beyond it a sample is no sound, and squared it may exceed what float32 holds
BLOCK_VALUES = 1 << 18  # samples times channels that are decoded at a time, at most

# Samples handed to the resampler at a time: always the same, so that results cannot depend on the caller's blocks.
_RESAMPLER_BLOCK = 1 << 15


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Samples after resampling: ceil(num_samples * to_rate / from_rate), the fewest that cover the whole recording."""
    return -(-num_samples * to_rate // from_rate)


def read(path: Path, sample_rate: int) -> Waveform:
    """A whole recording, mono, at ``sample_rate`` Hz: the blocks of `read_blocks`, joined."""
    return Waveform(samples=_joined(read_blocks(path, sample_rate)), sample_rate=sample_rate)


def read_blocks(
    path: Path, sample_rate: int, *, block_seconds: float = 2.0, part: Part | None = None
) -> Iterator[FloatArray]:
    """Mono blocks ``(samples,)`` float32 at ``sample_rate`` Hz, in constant memory; ``block_seconds`` bounds it.

    The block size changes no sample. Of a ``part`` the samples are those of a file that holds nothing else. In formats
    in which a seek is exact the part alone is decoded. In others (MP3, Vorbis, Opus...) what lies before the part is
    decoded and dropped; the file then stays open behind the part, so that the parts of a file, read in order of time,
    cost one pass of decoding.

    Raises:
        InputError: on the first block, when the file cannot be opened; later, when it proves damaged, or holds a sample
            that no front end can hear (`inaudible`).
    """
    if part is not None:
        with _cursor_before(path, part.start) as cursor:
            blocks = cursor.blocks(part, max(round(block_seconds * cursor.sample_rate), 1))
            yield from resample_blocks(_audible(blocks, path), cursor.sample_rate, sample_rate)
        return
    with open_recording(path) as recording:
        blocks = mono_blocks(recording, max(round(block_seconds * recording.samplerate), 1))
        yield from resample_blocks(_audible(blocks, path), recording.samplerate, sample_rate)


def read_beginning(path: Path, sample_rate: int, seconds: float, *, part: Part | None = None) -> Waveform:
    """The first ``seconds`` of a recording or part, or all of a shorter one: no more than that is kept."""
    wanted = round(seconds * sample_rate)
    blocks = first_samples(read_blocks(path, sample_rate, part=part), wanted)
    return Waveform(samples=_joined(blocks), sample_rate=sample_rate)


class RecordingError(InputError):
    """A file that cannot be used as a recording; ``reason`` says why without naming the file, for lists of such files.

    The message alone restores the exception in another process, and the reason follows as an attribute.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def open_recording(path: Path) -> Iterator[soundfile.SoundFile]:
    """A recording opened with libsndfile; what goes wrong inside, decoding included, names the file.

    Raises:
        RecordingError: the file is missing, unreadable, not a regular file, of an unknown format or damaged, or
            declares a rate or a number of channels out of range.
    """
    try:
        with open_regular(path) as file:
            if not os.pread(file, 1, 0):
                raise RecordingError(f"{path} is empty; record it again, or leave it out", "empty")
            with _Forward(file, closefd=False) as recording:
                _require_plausible(recording, path)
                yield recording
    except OSError as error:
        cause = error.strerror or str(error)
        message = f"{path} cannot be read: {cause}; check path and permissions"
        raise RecordingError(message, f"cannot be read: {cause}") from error
    except soundfile.LibsndfileError as error:
        cause = str(error.error_string).strip().rstrip(".")
        message = f"{path} cannot be decoded ({cause}); replace it or convert it to WAV or FLAC"
        raise RecordingError(message, f"cannot be decoded: {cause}") from error


def _require_plausible(recording: soundfile.SoundFile, path: Path) -> None:
    """Refuse a header that would have filters or blocks made of a size that no recording needs."""
    rate, channels = recording.samplerate, recording.channels
    if not MIN_RATE <= rate <= MAX_RATE:
        reason = f"declares a sample rate of {rate} Hz, which is not within {MIN_RATE} to {MAX_RATE}"
    elif channels > MAX_CHANNELS:
        reason = f"declares {channels} channels, more than {MAX_CHANNELS}"
    else:
        return
    raise RecordingError(f"{path} {reason}; mend its header, or leave it out", reason)


def inaudible(peak: float) -> str | None:
    """Why a recording with this largest absolute sample cannot be heard by any front end; None where it can.

    Up to `LOUDEST` the log-mel spectrogram of every front end is finite.
    """
    if not np.isfinite(peak):
        return "holds values that are not finite"
    return f"holds a sample of {peak:.3g} times full scale, more than {LOUDEST:g}" if peak > LOUDEST else None


def _audible(blocks: Iterable[FloatArray], path: Path) -> Iterator[FloatArray]:
    for block in blocks:
        if len(block) and (reason := inaudible(float(np.abs(block).max()))):
            raise RecordingError(f"{path} {reason}; replace it, or leave it out", reason)
        yield block


def declared_length(recording: soundfile.SoundFile) -> int | None:
    """Samples that an open recording's header declares; None where the format does not say, as MP3 does not.

    libsndfile estimates the length of an MP3 from its size and bit rate. Of a file that was cut off it tells the length
    that is left; what the header declared stands in its log, unless that is a placeholder of a program that could not
    go back to the header, such as one that wrote into a pipe.
    """
    if recording.format == "MP3":
        return None
    frames: int = recording.frames
    log = recording.extra_info
    file = re.search(r"^Length : (\d+)", log, re.MULTILINE)
    for found in re.finditer(r"^ *(?:data|SSND|Data [Ss]ize) *: (\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE):
        declared, there = int(found[1]), int(found[2] or (file or found)[1])
        if there + _HEADER_BYTES < declared < _PLACEHOLDER_BYTES:
            return max(frames * declared // max(there, 1), frames + 1)
    return frames


_HEADER_BYTES = 128  # some programs count the header into the length of the data
_PLACEHOLDER_BYTES = 0x7FFF_0000  # nearly the largest 32-bit length, signed or not, stands for an unknown one


def count_samples(path: Path) -> int:
    """Samples of a recording at its own rate, decoded where its header does not say.

    Raises:
        InputError: as `open_recording`.
    """
    with open_recording(path) as recording:
        if (declared := declared_length(recording)) is not None:
            return declared
        return sum(map(len, mono_blocks(recording, BLOCK_VALUES)))


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no type information
    """A file read from start to end only.

    soundfile seeks after each block it reads from a file that can seek. In MP3 and Opus libsndfile's seek is inexact,
    and the blocks then differ from the whole (by half of full scale in MP3); here no seek is asked for.
    """

    def seekable(self) -> bool:
        return False


# Formats and encodings in which libsndfile finds any sample exactly; tests compare the bits.
_EXACT_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
_EXACT_ENCODINGS = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}  # no sample needs another
)
_RECENT_SAMPLES = 1 << 22  # that a cursor keeps, 16 MB: 95 s at 44.1 kHz may be read again without decoding anew


class _Cursor:
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
        block = _mixed(self._named(lambda: self._recording.read(at_once, dtype="float32", always_2d=True)))
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


_kept: list[_Cursor] = []  # the cursor used last, if any; taken out while it is in use, so that no two readers share it


@contextmanager
def _cursor_before(path: Path, start: int) -> Iterator[_Cursor]:
    """The cursor that was used last where it can go on to ``start``, or a new one."""
    state = _state(path)
    cursor = _kept.pop() if _kept else None
    if cursor is not None and not cursor.serves(state, start):
        cursor.close()
        cursor = None
    cursor = cursor or _Cursor(path, state)
    try:
        yield cursor
    except GeneratorExit:  # the reader wants no more
        _keep(cursor)
        raise
    except BaseException:
        cursor.close()
        raise
    _keep(cursor)


def _keep(cursor: _Cursor) -> None:
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


def mono_blocks(recording: soundfile.SoundFile, block_samples: int) -> Iterator[FloatArray]:
    """Blocks of at most ``block_samples`` at the recording's own rate: the mean of its channels.

    Of many channels the blocks are shorter: `BLOCK_VALUES` are decoded at a time, whatever the header declares.
    """
    at_once = min(block_samples, max(BLOCK_VALUES // recording.channels, 1))
    while len(block := recording.read(at_once, dtype="float32", always_2d=True)):
        yield _mixed(block)


def resample_blocks(blocks: Iterable[FloatArray], from_rate: int, to_rate: int) -> Iterator[FloatArray]:
    """A mono stream cut anyhow, at another rate; `resampled_length` samples in all, however it was cut.

    soxr rounds the length its own way: its last sample is dropped, or a zero appended.
    """
    if min(from_rate, to_rate) <= 0:
        raise InputError(f"sample_rate is {min(from_rate, to_rate)}; it must be a positive number of Hz")
    if from_rate == to_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    received = sent = 0
    for block in equal_blocks(blocks, _RESAMPLER_BLOCK):
        received += len(block)
        resampled: FloatArray = resampler.resample_chunk(block)
        sent += len(resampled)
        if len(resampled):
            yield resampled
    tail: FloatArray = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    missing = resampled_length(received, from_rate, to_rate) - sent
    if missing:
        yield np.pad(tail[:missing], (0, max(missing - len(tail), 0)))


def _mixed(block: npt.NDArray[np.float32]) -> FloatArray:
    """Mean of the channels: ``(samples, channels)`` -> ``(samples,)``."""
    total: FloatArray = block[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # the sum is judged as a single channel is: see `inaudible`
        for channel in range(1, block.shape[1]):  # column by column: numpy's mean over a short last axis is slow
            total = total + block[:, channel]
    return total / np.float32(block.shape[1]) if block.shape[1] > 1 else total


def _joined(blocks: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *blocks])
