"""Opening of recordings by soundfile, else by PyAV; errors name the file and what the library says of it.

libsndfile reads all that it opens but MPEG audio, of whose length it only has an estimate. FFmpeg's libraries, which
PyAV's wheels bring under the LGPL, read the rest. Both are imported when the first recording is opened, so networks run
on machines without them.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wordless.audio.waveform import MAX_RATE, MIN_RATE, Part
from wordless.base.files import file_stamp, open_file_hash, open_regular, stamp_text
from wordless.base.messages import InputError

if TYPE_CHECKING:
    import av

Block = npt.NDArray[np.float32]  # (samples, channels)
WHOLE = Part(start=0, num_samples=sys.maxsize)
READING_VERSION = 1  # in the key of a file: raise it when what is read or measured of one changes its meaning
_MAX_CHANNELS = 1_024
BLOCK_VALUES = 1 << 16  # samples times channels to decode at a time
_RECENT_VALUES = 1 << 22  # 16 MB: the last 95 s of mono at 44.1 kHz are read again without decoding
# bytes of a sample, in encodings whose samples do not depend on others
_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_SAMPLE_BYTES |= {"ULAW": 1, "ALAW": 1}
_PLAIN = frozenset({"WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64"})  # formats that hold such samples as they are
_EXACT = _PLAIN | {"FLAC"}  # formats in which libsndfile seeks to the exact sample
_DEMUXERS = (  # no playlists and no devices: a file must not make FFmpeg open others
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,loas,asf,avi,flv,live_flv,mpeg,mpegts,amr,amrnb,amrwb,ac3,eac3,dts,"
    "dtshd,tta,wv,ape,mpc,mpc8,shn,tak,dsf,iff,mlp,truehd,rm,oma,caf,w64,wav,mp3,flac,aiff,au,voc,nistsphere,avr,ircam"
)
_CLOCKED = ("mov", "matroska")  # kinds of files whose sound may begin late, by a clock that begins with the file
_LATE_SECONDS = 0.05  # less is rounding


class RecordingError(InputError):
    """A file that cannot be used as a recording.

    Reasons of one ``kind`` are counted together; their ``detail`` follows.
    """

    def __init__(self, path: Path, kind: str, detail: str = "", *, remedy: str = "replace it, or leave it out") -> None:
        self.path, self.kind, self.detail = path, kind, detail
        super().__init__(f"{path} {self.reason}", remedy=remedy)

    @property
    def reason(self) -> str:
        """What is wrong, without the file's name."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    def __reduce__(self) -> tuple[object, ...]:  # for pools of processes
        return partial(type(self), remedy=self.remedy), (self.path, self.kind, self.detail)


class Recording(ExitStack):
    """An open recording, read from start to end, or in parts in order of time; the stack closes decoder and file."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            RecordingError: the file is missing, unreadable, not a regular file, of a format that neither library
                opens, or declares a rate or a number of channels out of range.
        """
        super().__init__()
        self.path = path
        self._position, self._recent = 0, deque[Block]()  # what was decoded, where a seek is inexact; in samples
        with self._named_errors():
            self._file = self.enter_context(open_regular(path))
            self._sound: Any = _open_sound(path, self._file)
            self.callback(self._sound.close)
            self.samplerate: int = self._sound.samplerate  # Hz
            self.channels: int = self._sound.channels
            self._exact = self._sound.format in _EXACT and self._sound.subtype in _SAMPLE_BYTES
            # other headers would cause filters or blocks of an unreasonable size
            if self.channels > _MAX_CHANNELS:
                raise RecordingError(path, "declares too many channels", f"{self.channels}, more than {_MAX_CHANNELS}")
            if not MIN_RATE <= self.samplerate <= MAX_RATE:
                detail = f"{self.samplerate} Hz, which is not within {MIN_RATE} to {MAX_RATE}"
                raise RecordingError(path, "declares an unusual sample rate", detail)
            self._size = max(BLOCK_VALUES // self.channels, 1)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Close the recording at an error, and name the file in errors of opening and decoding."""
        try:
            yield
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                kind, cause, remedy = "cannot be read", error.strerror or str(error), "check path and permissions"
            elif cause := getattr(error, "error_string", "").strip().rstrip("."):  # of libsndfile
                kind, remedy = "cannot be decoded", "replace it or convert it to WAV or FLAC"
            else:
                raise
            raise RecordingError(self.path, kind, cause, remedy=remedy) from error

    @property
    def stamp(self) -> str:
        """The `stamp_text` of the open file now: another program may write into it."""
        return stamp_text(self._file)

    @property
    def sha256(self) -> str:
        """The hash of the open file's bytes now."""
        return _sha256_of(_File((os.getpid(), *file_stamp(self._file)), self._file))

    @property
    def declared(self) -> int | None:
        """Samples that the header declares; None where only decoding tells."""
        return None if isinstance(self._sound, _PyAVSound) else int(self._sound.frames)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the blocks read so far."""
        return tuple(self._sound.notices) if isinstance(self._sound, _PyAVSound) else ()

    @property
    def known(self) -> int:
        """First sample that can be read without decoding from the beginning."""
        return 0 if self._exact else self._position - sum(map(len, self._recent))

    def blocks(self, part: Part = WHOLE) -> Iterator[Block]:
        """Give all samples, or a part from `known` on, in blocks ``(samples, channels)``.

        ::

            file      |=============|==========|- - - - - - - -
                                    ^ known    ^ position          known samples can be read again
        """
        end, place = part.start + part.num_samples, self.known
        if self._exact:
            end, place = min(end, self._sound.frames), part.start  # libFLAC takes what follows the end for damage
            with self._named_errors():
                if place != self._sound.tell():
                    self._sound.seek(place)
        known = [*self._recent]
        while place < end:
            count = min(self._size, end - place) if self._exact else self._size
            if not len(block := known.pop(0) if known else self._next(count)):
                return
            if len(inside := block[max(part.start - place, 0) : end - place]):
                yield inside
            place += len(block)

    def _next(self, count: int) -> Block:
        """Decode about ``count`` samples, and exactly so many where a seek is exact; none are given at the end."""
        with self._named_errors():
            block: Block = self._sound.read(count, dtype="float32", always_2d=True)
        if not self._exact:
            self._position += len(block)
            self._recent.append(block)
            while sum(each.size for each in self._recent) - self._recent[0].size >= _RECENT_VALUES:
                self._recent.popleft()
        return block


def count_samples(path: Path) -> int:
    """Count the samples of a recording at its own rate by decoding it."""
    with Recording(path) as recording:
        return sum(map(len, recording.blocks()))


def length_of(path: Path) -> tuple[int, int]:
    """Return the samples of a recording, which is decoded if its header does not say them, and their rate."""
    with Recording(path) as recording:
        rate, size = recording.samplerate, recording.declared
    return (count_samples(path) if size is None else size), rate


def file_state(path: Path) -> tuple[object, ...]:
    """Identify the file's content and the process; a forked process would share the position of an open file."""
    try:
        return os.getpid(), str(path), path.stat().st_dev, *file_stamp(path)
    except OSError:  # opening the file raises the error
        return ()


def file_key(path: Path, channel: str | int = "mean", *, stamp: str | None = None) -> str:
    """Return a key of what is read of a file: its place, stamp, channel and decoder; empty if there is no such file.

    ``stamp`` is the `stamp_text` of the file; None: that of now.
    """
    import av
    import soundfile

    stamp = stamp_text(path) if stamp is None else stamp
    if not stamp:
        return ""
    decoder = f"{soundfile.__libsndfile_version__} {av.__version__}"
    return json.dumps([str(path.resolve()), *map(int, stamp.split()), channel, decoder, READING_VERSION])


@dataclass(frozen=True)
class _File:
    """A file that is open for reading; it equals another of its `file_state`."""

    state: tuple[object, ...]
    descriptor: int = field(compare=False)


@lru_cache(maxsize=1 << 16)
def _sha256_of(opened: _File) -> str:
    return open_file_hash(opened.descriptor)


def _open_sound(path: Path, file: int) -> Any:
    from soundfile import LibsndfileError, SoundFile

    size, head = os.fstat(file).st_size, os.pread(file, 10, 0)
    if not size:
        raise RecordingError(path, "empty", remedy="record it again, or leave it out")
    # MPEG audio with or without a tag before it: libsndfile only estimates its length, and lets mpg123 print
    if head.startswith(b"ID3") or (head[0] == 0xFF and len(head) > 1 and head[1] & 0xE0 == 0xE0):
        return _PyAVSound(path, file)
    os.lseek(file, 0, os.SEEK_SET)
    try:
        sound = SoundFile(file, closefd=False)
    except LibsndfileError as error:
        try:
            return _PyAVSound(path, file)
        except RecordingError as other:
            detail = f"{error.error_string.strip().rstrip('.')}; {other.detail}" if other.detail else other.kind
            raise RecordingError(path, other.kind, detail) from other
    sound.seekable = lambda: False  # soundfile would seek after each block, inexactly in Opus
    width = _SAMPLE_BYTES.get(sound.subtype, 0) * sound.channels
    if width and sound.format in _PLAIN and size > 2 * sound.frames * width + (1 << 12):
        # the header was never completed, or its 32 bits did not suffice: nearly all sound would be lost
        declared, held = (samples / sound.samplerate for samples in (sound.frames, size / width))
        there = f"{declared:.3f} s, and the file holds bytes for {held:.3f} s"
        sound.close()
        raise RecordingError(
            path, "declares less sound than it holds", there, remedy="write its header again, as by sox"
        )
    return sound


class _PyAVSound:
    """The audio stream of a file that FFmpeg takes for its best one; samples are decoded in order."""

    format, subtype = "PyAV", ""  # as those of libsndfile's objects

    def __init__(self, path: Path, file: int) -> None:
        """Open a file, and decode its first samples: only they tell the rate of some kinds of AAC."""
        import av

        self._path = path
        av.logging.set_level(None)
        os.lseek(file, 0, os.SEEK_SET)
        options = {"fd": str(file), "format_whitelist": _DEMUXERS, "protocol_whitelist": "fd"}
        try:
            self._container = av.open("fd:", mode="r", metadata_errors="replace", container_options=options)
        except (av.FFmpegError, ValueError) as error:
            raise RecordingError(path, "cannot be decoded", _cause(error)) from error
        stream = self._container.streams.best("audio")
        if not isinstance(stream, av.AudioStream):
            self._container.close()
            raise RecordingError(path, "holds no sound", "it has no audio stream")
        self.notices: dict[str, None] = {}
        if (count := len(self._container.streams.audio)) > 1:
            one = "the first, or the one that is marked as default, is read"
            self.notices[f"it has {count} sound tracks: {one} (ffmpeg -map 0:a:1 takes out the second)"] = None
        self._blocks: Iterator[Block] = self._decode(stream)
        self._first = next(self._blocks, None)
        if self._first is None:
            raise RecordingError(path, "holds no sound", "nothing can be decoded")
        self.channels: int = self._first.shape[1]

    def read(self, frames: int, **_: object) -> Block:
        """Return the next ``frames`` samples or some more ``(samples, channels)`` float32; fewer at the end."""
        blocks, count = [np.empty((0, self.channels), np.float32)], 0
        if self._first is not None:
            blocks, count, self._first = [self._first], len(self._first), None
        while count < frames and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            count += len(block)
        return np.concatenate(blocks)

    def close(self) -> None:
        self._container.close()

    def _decode(self, stream: av.AudioStream) -> Iterator[Block]:
        """Give blocks ``(samples, channels)`` of the sizes in which the file was encoded."""
        import av

        to_float, described = av.AudioResampler(format="fltp"), None
        try:
            for frame in self._container.decode(stream):
                if described is None:
                    described = frame.sample_rate, frame.layout.nb_channels
                    self.samplerate = frame.sample_rate
                    yield from self._silence(frame)
                if (frame.sample_rate, frame.layout.nb_channels) != described:
                    raise RecordingError(self._path, "changes its rate or its number of channels; divide it there")
                for converted in to_float.resample(frame):
                    block: Block = np.ascontiguousarray(converted.to_ndarray().T, np.float32)
                    if len(block):
                        yield block
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(self._path, "cannot be decoded", _cause(error)) from error

    def _silence(self, frame: av.AudioFrame) -> Iterator[Block]:
        """Give the silence before sound that begins late by the file's clock, so that times are those of the file."""
        late = frame.time or 0.0
        if late > _LATE_SECONDS and self._container.format.name.split(",")[0] in _CLOCKED:
            self.notices["its sound begins later than the file: silence stands before it"] = None
            left, channels = round(late * frame.sample_rate), frame.layout.nb_channels
            while left > 0:
                silence = np.zeros((min(left, BLOCK_VALUES // channels), channels), np.float32)
                left -= len(silence)
                yield silence


def _cause(error: Exception) -> str:
    cause = str(getattr(error, "strerror", None) or error)
    return cause.partition("[Errno")[0].strip().rstrip(".:") or cause
