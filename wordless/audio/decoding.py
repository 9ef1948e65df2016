r"""Opening of recordings: no memory is allocated because of a header, and errors name the file.

libsndfile is loaded when the first recording is opened, so networks run on machines without it. FFmpeg's libraries read
what libsndfile does not, where they are installed.

One channel is read: the mean of all, one of them, or the loudest. The mean loses what channels hold with opposite
signs, such as a balanced line whose halves were recorded as stereo::

    channel 0     /\__/\__
    channel 1    _\/__\/__        mean  __________        audio.channel=0   /\__/\__
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from wordless.audio.ffmpeg import FFmpegSound, kind_of, second_chance
from wordless.audio.sound_files import Stream, UnreadableError, Window, compressed_sphere, foreign_content
from wordless.audio.streams import streams_of
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError, require
from wordless.base.files import open_regular

if TYPE_CHECKING:
    from soundfile import SoundFile

Channel = int | Literal["mean", "loudest"]  # a number counts from 0
FAR_SOFTER = 0.1  # of the power of a mean in which the loudest channel sounds alone


def require_choice(channel: Channel, option: str) -> None:
    """Refuse a number below 0, and words of a saved model that this version does not know."""
    known = channel in get_args(get_args(Channel)[1]) if isinstance(channel, str) else channel >= 0
    require(known, option, channel, "choose mean, loudest, or the number of a channel, from 0 on")


class ChannelPowers:
    """Power of each channel of a recording, and of what was read of them, about their means; summed block by block."""

    def __init__(self) -> None:
        self.sample_rate = 0  # Hz, of the recording
        self._sums: npt.NDArray[np.float64] = np.zeros((3, 1))  # of ones, samples and squares; the last column was read

    def add(self, block: npt.NDArray[np.floating], read: FloatArray) -> None:
        """Add the power of a block ``(samples, channels)``, and that of the samples ``(samples,)`` read from it."""
        columns = [*block.T.astype(np.float64), read.astype(np.float64)]
        with np.errstate(over="ignore", invalid="ignore"):  # samples that are not finite are refused elsewhere
            sums = [[len(each), each.sum(), np.einsum("n,n->", each, each)] for each in columns]
            self._sums = self._sums + np.transpose(sums)

    @property
    def _powers(self) -> npt.NDArray[np.float64]:
        count, sums, squares = self._sums
        with np.errstate(over="ignore", invalid="ignore"):
            powers = squares - sums**2 / np.maximum(count, 1)
        return np.where(powers < _ROUNDING * squares, 0, powers)

    @property
    def loudest(self) -> int:
        """The channel with the highest power; the first of equal ones."""
        return int(np.argmax(self._powers[:-1])) if self._sums.shape[1] > 1 else 0

    @property
    def louder(self) -> int | None:
        """The loudest channel, if what was read is far too soft for it: channels cancel, or another channel was read.

        The mean of ``n`` channels of which one sounds alone has ``1 / n**2`` of its power.
        """
        *channels, read = self._powers
        return self.loudest if channels and read < FAR_SOFTER * max(channels) / len(channels) ** 2 else None


def cancelled(channel: int | None, louder: int) -> str:
    """Say why a recording is silent although its channel ``louder`` is not; ``channel`` was read, or the mean."""
    why = f"its channel {channel} is silent, and its channel {louder} is not"
    why = "its channels cancel each other in their mean" if channel is None else why
    return f"{why}; choose audio.channel={louder}, or loudest"


_ROUNDING = 1e-12  # of the squares: a power below is rounding
MIN_RATE, MAX_RATE = 1, 1_000_000  # Hz; recordings that declare another rate are set aside
MAX_CHANNELS = 1_024
BLOCK_VALUES = 1 << 18  # samples times channels to decode at a time, at most


def whole_rate(sample_rate: object, *, least: int) -> int:
    """Return a rate in Hz of ``least`` to `MAX_RATE` as an int; libraries also give floats, and arrays of one number.

    Raises:
        InputError: the rate is no whole number, or out of range.
    """
    if getattr(sample_rate, "ndim", None) == 0:
        sample_rate = cast(Any, sample_rate).item()
    rule = f"give a whole number of Hz, {least} to {MAX_RATE}, such as 16000"
    require(isinstance(sample_rate, Real) and not isinstance(sample_rate, bool), "sample_rate", repr(sample_rate), rule)
    rate = float(cast(float, sample_rate))
    require(rate.is_integer() and least <= rate <= MAX_RATE, "sample_rate", sample_rate, rule)
    return int(rate)


class RecordingError(InputError):
    """A file that cannot be used as a recording; ``reason`` omits the file's name, for lists of such files.

    ``kind`` is what reasons of this kind have in common.
    """

    def __init__(self, path: Path, reason: str, *, kind: str = "", remedy: str = "leave it out") -> None:
        super().__init__(f"{path} {reason}", remedy=remedy)
        self.path, self._reason, self.kind = path, reason, kind or reason

    @property
    def reason(self) -> str:
        """What is wrong with the file."""
        return self._reason

    def __reduce__(self) -> tuple[object, ...]:  # for pools of processes
        return partial(type(self), kind=self.kind, remedy=self.remedy), (self.path, self._reason)


class Recording:
    """An open recording, read from start to end: all its streams, one after the other. Errors name the file."""

    def __init__(self, path: Path) -> None:
        """Open the first stream of a file, and look at the others.

        Raises:
            RecordingError: the file is missing, unreadable, not a regular file, of an unknown format or damaged,
                declares a rate or a number of channels out of range, or a stream has others than the first.
        """
        self.path = path
        self._opened = ExitStack()
        with self._named_errors():
            self._file = self._opened.enter_context(open_regular(path))
            if not os.pread(self._file, 1, 0):
                raise RecordingError(path, "empty", remedy="record it again, or leave it out")
            self._streams = streams_of(self._file)
            self._current = 0  # number of the open stream
            self._position = 0  # in the open stream, in samples
            self._sound, self._window = self._open(self._streams[0])
            self._opened.callback(lambda: self._sound.close())
            self.samplerate: int = self._sound.samplerate  # Hz
            self.channels: int = self._sound.channels
            self.format: str = self._sound.format  # as libsndfile names it
            self.subtype: str = self._sound.subtype
            _require_plausible(self)
            # samples that the headers of several streams declare
            further = list(map(self._look_at, self._streams[1:]))
            self._lengths = [_declared(self._sound), *further] if further else []

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the decoder and the file."""
        self._opened.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Close the recording at an error, and name the file in the error."""
        try:
            yield
        except BaseException as error:
            self.close()
            if (named := _named_error(self.path, error)) is None:
                raise
            raise named from error

    @property
    def is_joined(self) -> bool:
        """Whether the file holds several streams."""
        return len(self._streams) > 1

    @property
    def declared(self) -> int | None:
        """Samples that the headers of all streams declare; None where one does not say."""
        lengths = self._lengths or [_declared(self._sound)]
        return None if None in lengths else sum(length for length in lengths if length is not None)

    def read(self, frames: int, *, dtype: str, always_2d: bool) -> npt.NDArray[np.float32]:
        """Read the next samples of all channels ``(samples, channels)``: at most ``frames``, and none at the end.

        The arguments are those of soundfile, and ``dtype`` is "float32".
        """
        with self._named_errors():
            while True:
                # libFLAC takes whatever follows the last sample for damage
                left = self._sound.frames - self._position if self._sound.format == "FLAC" else frames
                block: npt.NDArray[np.float32] = self._sound.read(min(frames, left), dtype=dtype, always_2d=always_2d)
                self._position += len(block)
                if self._window is not None and self._window.failure is not None:
                    raise self._window.failure
                if len(block) or self._current + 1 == len(self._streams):
                    return block
                self._sound.close()
                self._current, self._position = self._current + 1, 0
                self._sound, self._window = self._open(self._streams[self._current])

    def seek(self, sample: int) -> None:
        """Go to a sample of a recording that is not joined, in a format with exact seeking."""
        with self._named_errors():
            self._sound.seek(sample)
        self._position = sample

    def _open(self, stream: Stream) -> tuple[Any, Window | None]:
        """Open a stream: by libsndfile, or by FFmpeg what libsndfile does not read."""
        from soundfile import LibsndfileError

        window = Window(self._file, stream)
        if fault := compressed_sphere(window):
            raise fault
        kind = kind_of(window)
        if kind is None:
            whole = stream == Stream(start=0, stop=os.fstat(self._file).st_size)
            try:
                return _open_forward(self._file if whole else window), None if whole else window
            except LibsndfileError:
                suffix = self.path.suffix.lower().lstrip(".")
                if fault := foreign_content(window, suffix):
                    raise fault from None
                kind = second_chance(window, suffix)
                if kind is None:
                    raise
                window.seek(0)
        sound = FFmpegSound(window, kind)
        if sound.choices > 1:
            text = f"{self.path} has {sound.choices} audio streams: the first, or the one marked as default, is read"
            warnings.warn(text, stacklevel=2)
        return sound, window

    def _look_at(self, stream: Stream) -> int | None:
        """Compare a further stream to the first, and return the samples that it declares."""
        from soundfile import LibsndfileError

        try:
            sound, _ = self._open(stream)
        except LibsndfileError as error:
            cause = str(error.error_string).strip().rstrip(".")
            detail = f"a stream begins at byte {stream.start} that cannot be decoded: {cause}"
            raise UnreadableError("is joined", detail) from error
        except UnreadableError as error:
            raise UnreadableError("is joined", f"a stream begins at byte {stream.start}, which {error}") from error
        with closing(sound):
            if (sound.samplerate, sound.channels) != (self.samplerate, self.channels):
                own, other = (f"{each.samplerate} Hz, channels: {each.channels}" for each in (self, sound))
                detail = f"a stream begins at byte {stream.start} ({other}) behind one ({own})"
                raise UnreadableError("is joined", detail)
            return _declared(sound)


def _named_error(path: Path, error: BaseException) -> RecordingError | None:
    """Return an error of opening or decoding a file with the file's name; None: it is another error."""
    from soundfile import LibsndfileError

    match error:
        case UnreadableError():
            return RecordingError(path, str(error), kind=error.kind, remedy="replace it, or leave it out")
        case OSError():
            kind, remedy = "cannot be read", "check path and permissions"
            return RecordingError(path, f"{kind}: {error.strerror or error}", kind=kind, remedy=remedy)
        case LibsndfileError():
            cause, kind = str(error.error_string).strip().rstrip("."), "cannot be decoded"
            return RecordingError(path, f"{kind}: {cause}", kind=kind, remedy="replace it or convert it to WAV or FLAC")
    return None


def _require_plausible(recording: Recording) -> None:
    """Refuse a header whose rate or channels would cause filters or blocks of an unreasonable size."""
    rate, channels = recording.samplerate, recording.channels
    kind, reason = "declares too many channels", f"declares {channels} channels, more than {MAX_CHANNELS}"
    if not MIN_RATE <= rate <= MAX_RATE:
        kind = "declares an unusual sample rate"
        reason = f"declares a sample rate of {rate} Hz, which is not within {MIN_RATE} to {MAX_RATE}"
    elif channels <= MAX_CHANNELS:
        return
    raise RecordingError(recording.path, reason, kind=kind, remedy="mend its header, or leave it out")


def require_channel(recording: Recording, channel: int | None) -> None:
    """Refuse a recording without the channel that is to be read; None is the mean of all.

    Raises:
        RecordingError: the recording has fewer channels.
    """
    if channel is not None and channel >= recording.channels:
        has = f"has {recording.channels} channel{'s' if recording.channels > 1 else ''}, which count from 0"
        reason = f"{has}, and audio.channel={channel} chooses another"
        remedy = "leave it out, or choose mean or loudest"
        raise RecordingError(recording.path, reason, kind="lacks the chosen channel", remedy=remedy)


def read_all(recording: Recording, block_samples: int) -> Iterator[npt.NDArray[np.float32]]:
    """Give blocks ``(samples, channels)`` of at most ``block_samples``, at the recording's own rate.

    With many channels the blocks are shorter: `BLOCK_VALUES` are decoded at a time, whatever the header declares.
    """
    at_once = min(block_samples, max(BLOCK_VALUES // recording.channels, 1))
    while len(block := recording.read(at_once, dtype="float32", always_2d=True)):
        yield block


def mono_blocks(
    blocks: Iterable[npt.NDArray[np.float32]], channel: int | None = None, powers: ChannelPowers | None = None
) -> Iterator[FloatArray]:
    """Take a channel of blocks ``(samples, channels)``, or average all (None); ``powers`` of several are summed."""
    for block in blocks:
        read: FloatArray = block[:, 0] if channel is None else np.ascontiguousarray(block[:, channel])
        if channel is None and block.shape[1] > 1:
            with np.errstate(over="ignore", invalid="ignore"):  # `unusable_peak` checks the sum as it checks a channel
                # column by column, because numpy's mean over a short last axis is slow
                for number in range(1, block.shape[1]):
                    read = read + block[:, number]
            read = read / np.float32(block.shape[1])
        if powers is not None and block.shape[1] > 1:
            powers.add(block, read)
        yield read


def _declared(sound: SoundFile | FFmpegSound) -> int | None:
    """Return the samples that the header of an open stream declares; None where the header does not say.

    For MP3, also inside a WAV file, the length is an estimate from size and bit rate. A FLAC file that was written into
    a pipe declares no length, since its encoder could not go back to the header; libsndfile then returns the largest
    number. For a truncated file libsndfile returns the remaining length. Its log has the declared length, unless that
    is a placeholder of a program that wrote into a pipe.
    """
    if isinstance(sound, FFmpegSound):
        return sound.declared
    frames: int = sound.frames
    if sound.subtype.startswith("MPEG") or (sound.format == "FLAC" and frames == _UNKNOWN_LENGTH):
        return None
    log = sound.extra_info
    file = re.search(r"^Length : (\d+)", log, re.MULTILINE)
    for found in re.finditer(r"^ *(?:data|SSND|Data [Ss]ize) *: (\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE):
        declared, there = int(found[1]), int(found[2] or (file or found)[1])
        if there + _HEADER_BYTES < declared < _PLACEHOLDER_BYTES:
            return max(frames * declared // max(there, 1), frames + 1)
    return frames


_HEADER_BYTES = 128  # some programs count the header into the length of the data
_PLACEHOLDER_BYTES = 0x7EFF_0000  # larger 32-bit lengths mean unknown: SoX writes 0x7F000008 into AIFF
_UNKNOWN_LENGTH = (1 << 63) - 1  # samples: SF_COUNT_MAX of libsndfile


def count_samples(path: Path) -> int:
    """Count the samples of a recording at its own rate by decoding it: the header of a cut-off file counts more."""
    with Recording(path) as recording:
        return sum(map(len, read_all(recording, BLOCK_VALUES)))


def _open_forward(file: int | Window) -> SoundFile:
    """Open a file descriptor or a window to be read only from start to end.

    soundfile seeks after each block of a file that can seek. In MP3 and Opus libsndfile's seek is inexact, and the
    blocks then differ from the whole (by half of full scale in MP3). A file that says it cannot seek has no such seeks.
    """
    from soundfile import SoundFile

    recording = SoundFile(file, closefd=False)
    recording.seekable = lambda: False
    return recording
