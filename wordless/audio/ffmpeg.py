"""The second reader: FFmpeg's libraries read MP3 and what libsndfile does not, and count the sound of other files.

PyAV's wheels bring the libraries, which are under the LGPL. Samples are decoded in order; nothing is sought.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_DEMUXERS = (  # no playlists and no devices: a file must not make FFmpeg open others
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,loas,asf,avi,flv,live_flv,mpeg,mpegts,amr,amrnb,amrwb,ac3,eac3,dts,"
    "dtshd,tta,wv,ape,mpc,mpc8,shn,tak,dsf,iff,mlp,truehd,rm,oma,caf,w64,wav,mp3,flac,aiff,au,voc,nistsphere,avr,ircam"
)
_WITH_LENGTHS = frozenset(("mov", "wv", "tta", "ape", "tak", "mpc", "mpc8", "dsf"))  # demuxers whose streams declare it
_SLACK_SECONDS = 0.25  # that a whole file may be shorter than its header says: delays of encoders, last frames
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")  # that lie between the frames of joined MP3s
_PIPED, _UNKNOWN = 1 << 30, 1 << 62  # packets, bytes: lengths from here on stand for an unknown one


class UnreadableError(Exception):
    """The reason why a file cannot be read as sound, without the file's name: "is an HTML page".

    ``kind`` is what such reasons have in common, before the ``detail``.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


def count_packets(file: int) -> tuple[Fraction, Fraction]:
    """Count the sound of a file without decoding it; 0 where FFmpeg finds none.

    The sound of all packets, with what encoders add, and that of the longest packet are in seconds.

    Raises:
        UnreadableError: FFmpeg gives up within the file, as at a joined stream of another kind.
    """
    try:
        container, stream = _open(file)
    except UnreadableError:
        return Fraction(0), Fraction(0)
    total = longest = 0
    unit = stream.time_base or Fraction(0)
    with container:
        try:
            for packet in container.demux(stream):
                total, longest = total + (packet.duration or 0), max(longest, packet.duration or 0)
        except _errors() as error:
            if not total:
                return Fraction(0), Fraction(0)
            detail = f"FFmpeg finds {float(total * unit):.3f} s, and then: {_cause(error)}"
            raise UnreadableError("is damaged, or joined of several kinds", detail) from error
    return total * unit, longest * unit


class FFmpegSound:
    """The first audio stream of a file, or the one that the file marks as its default; video is skipped."""

    format, subtype = "FFMPEG", ""  # for code that asks libsndfile's objects for theirs

    def __init__(self, file: int) -> None:
        """Open a file, and decode its first samples: only they tell the rate of some kinds of AAC.

        Raises:
            UnreadableError: the file is of an unknown kind or damaged, or holds no sound.
        """
        self._decoded = 0  # samples
        self._container, self._stream = _open(file)
        try:
            self.choices = len(self._container.streams.audio)  # audio streams, of which one is read
            self._seconds = _declared_seconds(self._container, self._stream, file)
            self._blocks = self._decode()
            first = next(self._blocks, None)
            if first is None:
                length = f"nothing of its {self._seconds:.3f} s can be decoded" if self._seconds else ""
                raise UnreadableError("is damaged" if length else "holds no sound", length or "its audio is empty")
        except BaseException:
            self._container.close()
            raise
        self._ahead: npt.NDArray[np.float32] = first
        self.channels: int = first.shape[1]

    @property
    def declared(self) -> int | None:
        """Samples that the header declares, if some were decoded and far fewer than these; otherwise None.

        Lengths in such headers are rounded, and many count what encoders add.
        """
        short = 0 < self._decoded / self.samplerate < self._seconds - _SLACK_SECONDS
        return round(self._seconds * self.samplerate) if short else None

    def read(self, frames: int, *, dtype: str, always_2d: bool) -> npt.NDArray[np.float32]:
        """Return the next samples ``(samples, channels)``: ``frames``, or fewer at the end."""
        assert (dtype, always_2d) == ("float32", True)
        blocks, count = [self._ahead], len(self._ahead)
        while count < frames and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            count += len(block)
        joined = np.concatenate(blocks)
        self._ahead = joined[frames:]
        self._decoded += len(joined[:frames])
        return joined[:frames]

    def close(self) -> None:
        """Close the decoder."""
        self._container.close()

    def _decode(self) -> Iterator[npt.NDArray[np.float32]]:
        """Give blocks ``(samples, channels)`` of the sizes in which the file was encoded.

        Raises:
            UnreadableError: the sound is damaged, or changes its rate or its number of channels.
        """
        import av

        to_float: av.AudioResampler | None = None
        described: tuple[int, int] | None = None
        errors = _errors()  # now: nothing is imported when Python ends with a recording half read
        try:
            for frame in self._frames():
                if to_float is None:
                    described = (frame.sample_rate, frame.layout.nb_channels)
                    self.samplerate = frame.sample_rate
                    to_float = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
                if (frame.sample_rate, frame.layout.nb_channels) != described:
                    raise UnreadableError("changes its rate or its number of channels; divide it there")
                for converted in [frame] if frame.format.name == "fltp" else to_float.resample(frame):
                    block: npt.NDArray[np.float32] = np.ascontiguousarray(converted.to_ndarray().T, np.float32)
                    if len(block):
                        yield block
        except errors as error:
            raise UnreadableError("cannot be decoded", _cause(error)) from error

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Give the decoded frames; an error in the last packet alone means that a recorder was stopped within it."""
        import av

        damage: Exception | None = None
        errors = _errors()
        for packet in self._container.demux(self._stream):
            if packet.size and damage is not None:
                raise damage
            try:
                yield from (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
            except errors as error:
                damage = None if bytes(packet)[:3] in _TAGS else error


def _errors() -> tuple[type[Exception], ...]:
    import av

    return av.FFmpegError, ValueError


def _open(file: int) -> tuple[InputContainer, av.AudioStream]:
    """Open a file from its beginning on, and choose its audio stream; the caller closes the container."""
    import av

    if os.pread(file, 4, 0) == b"RIFX":
        raise UnreadableError("cannot be decoded", "FFmpeg takes samples of RIFX for little-endian")
    av.logging.set_level(None)
    os.lseek(file, 0, os.SEEK_SET)
    options = {"fd": str(file), "format_whitelist": _DEMUXERS, "protocol_whitelist": "fd"}
    try:
        container = av.open("fd:", mode="r", metadata_errors="replace", container_options=options)
    except _errors() as error:
        raise UnreadableError("cannot be decoded", _cause(error)) from error
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream):
        container.close()
        raise UnreadableError("holds no sound", "it has no audio stream")
    return container, stream


def _declared_seconds(container: InputContainer, stream: av.AudioStream, file: int) -> float:
    """Return the length that the header declares; 0 for kinds in which it is missing, or computed by FFmpeg."""
    kind, unit = container.format.name.split(",")[0], stream.time_base or Fraction(0)
    if kind in ("avi", "caf"):
        return float(stream.frames * unit) if stream.frames < _PIPED else 0.0
    if kind in _WITH_LENGTHS:
        return float((stream.duration or 0) * unit)
    if kind in ("matroska", "flv") and all(each.type == "audio" for each in container.streams):
        return (container.duration or 0) / 1e6  # of all streams; a video may go on in silence
    if kind == "asf":  # FFmpeg shortens the length to the share of the sound that is there
        place = int.from_bytes(os.pread(file, 8, 16), "little")  # behind the header: the sound, with its length
        declared, there = int.from_bytes(os.pread(file, 8, place + 16), "little"), os.fstat(file).st_size - place
        return float((stream.duration or 0) * unit * declared / there) if there < declared < _UNKNOWN else 0.0
    return 0.0


def _cause(error: Exception) -> str:
    cause = str(getattr(error, "strerror", None) or error)
    return cause.partition("[Errno")[0].strip().rstrip(".:") or cause
