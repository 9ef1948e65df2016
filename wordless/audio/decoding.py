r"""Opening of recordings by two readers that must agree; errors name the file.

libsndfile reads all that it opens but MP3; FFmpeg's libraries read MP3 and all else. FFmpeg also counts the sound of
what libsndfile reads, without decoding. Where it finds more (joined Ogg files, a header with the length 0), it reads
the file. A file that holds more than both of them read is set aside. Plain samples are not counted where the chunks
of the file lead to its end::

    WAV   RIFF fmt data|==== declared ====| LIST | id3 |            the chunks lead to the end: libsndfile reads
    WAV   RIFF fmt data|= declared =|-------- noise ---------|      neither reads in full: set aside with both lengths
    WAV   RIFF fmt data|==== declared ====| RIFF fmt data|=====|    joined: set aside with the place

One channel is read: the mean of all, one of them, or the loudest. The mean loses what channels hold with opposite
signs, such as a balanced line whose halves were recorded as stereo::

    channel 0     /\__/\__
    channel 1    _\/__\/__        mean  __________        audio.channel=0   /\__/\__

libsndfile and FFmpeg are loaded when the first recording is opened, so networks run on machines without them.
"""

from __future__ import annotations

import os
import re
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from wordless.audio.ffmpeg import FFmpegSound, UnreadableError, count_packets
from wordless.audio.waveform import FloatArray, Part
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
    """An open recording, read from start to end, or in parts in order of time. Errors name the file."""

    def __init__(self, path: Path) -> None:
        """Open a file by the reader that finds more sound in it.

        Raises:
            RecordingError: the file is missing, unreadable, not a regular file, of an unknown format or damaged, holds
                more sound than is read, or declares a rate or a number of channels out of range.
        """
        self.path = path
        self._opened = ExitStack()
        with self._named_errors():
            file = self._opened.enter_context(open_regular(path))
            if not os.pread(file, 1, 0):
                raise RecordingError(path, "empty", remedy="record it again, or leave it out")
            self._sound: Any = self._open(file)
            self._opened.callback(self._sound.close)
            self._position = 0  # in samples
            self.samplerate: int = self._sound.samplerate  # Hz
            self.channels: int = self._sound.channels
            self.format: str = self._sound.format  # as libsndfile names it
            self.subtype: str = self._sound.subtype
            self._exact = self.format in _EXACT_FORMATS and self.subtype in SAMPLE_BYTES
            self._ended, self._recent = False, deque[npt.NDArray[np.float32]]()
            # other headers would cause filters or blocks of an unreasonable size
            kind, reason = "", ""
            if self.channels > MAX_CHANNELS:
                kind = "declares too many channels"
                reason = f"declares {self.channels} channels, more than {MAX_CHANNELS}"
            if not MIN_RATE <= self.samplerate <= MAX_RATE:
                kind = "declares an unusual sample rate"
                reason = f"declares a sample rate of {self.samplerate} Hz, which is not within {MIN_RATE} to {MAX_RATE}"
            if kind:
                raise RecordingError(path, reason, kind=kind, remedy="mend its header, or leave it out")

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the decoder and the file."""
        self._opened.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Close the recording at an error, and name the file in errors of opening and decoding."""
        try:
            yield
        except BaseException as error:
            self.close()
            from soundfile import LibsndfileError

            reason, kind, remedy = "", "cannot be decoded", "replace it or convert it to WAV or FLAC"
            match error:
                case UnreadableError():
                    reason, kind, remedy = str(error), error.kind, "replace it, or leave it out"
                case OSError():
                    kind, remedy = "cannot be read", "check path and permissions"
                    reason = f"{kind}: {error.strerror or error}"
                case LibsndfileError():
                    reason = f"{kind}: {str(error.error_string).strip().rstrip('.')}"
                case _:
                    raise
            raise RecordingError(self.path, reason, kind=kind, remedy=remedy) from error

    @property
    def declared(self) -> int | None:
        """Samples that the header declares; None where it does not say.

        For a truncated file libsndfile returns the remaining length. Its log has the declared length, unless that is a
        placeholder of a program that wrote into a pipe.
        """
        if isinstance(self._sound, FFmpegSound):
            return self._sound.declared
        frames: int = self._sound.frames
        log = self._sound.extra_info
        file = re.search(r"^Length : (\d+)", log, re.MULTILINE)
        for found in re.finditer(r"^ *(?:data|SSND|Data [Ss]ize) *: (\d+)(?: \(should be (\d+)\))?", log, re.MULTILINE):
            declared, there = int(found[1]), int(found[2] or (file or found)[1])
            if there + _HEADER_BYTES < declared < _PLACEHOLDER_BYTES:
                return max(frames * declared // max(there, 1), frames + 1)
        return frames

    def read(self, frames: int) -> npt.NDArray[np.float32]:
        """Read the next samples of all channels ``(samples, channels)``: at most ``frames``, and none at the end."""
        with self._named_errors():
            # libFLAC takes whatever follows the last sample for damage
            left = self._sound.frames - self._position if self.format == "FLAC" else frames
            block: npt.NDArray[np.float32] = self._sound.read(min(frames, left), dtype="float32", always_2d=True)
            self._position += len(block)
            return block

    @property
    def at_end(self) -> bool:
        """Whether the whole file has been read."""
        return self._ended or (self.declared is not None and self._position >= self.declared)

    def reaches(self, start: int) -> bool:
        """Return whether the sample ``start`` can be read without decoding from the beginning."""
        return self._exact or start >= self._position - sum(map(len, self._recent))

    def samples(self, part: Part, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Give a part that `reaches` allows in blocks ``(samples, channels)`` of at most ``size`` samples.

        ::

            file      |=============|==========|- - - - - - - -
                                    ^ recent   ^ position          recent samples can be read again
        """
        if self._exact and part.start != self._position:
            with self._named_errors():
                self._sound.seek(part.start)
            self._position, self._ended = part.start, False
        while part.start > self._position:
            if not len(self._read_on(min(part.start - self._position, size))):
                return
        place, end = part.start, part.start + part.num_samples
        if place < self._position:
            recent = np.concatenate(self._recent)
            known = recent[len(recent) - (self._position - place) :][: part.num_samples]
            place += len(known)
            yield known
        while place < end and len(block := self._read_on(min(end - place, size))):
            place += len(block)
            yield block

    def _read_on(self, count: int) -> npt.NDArray[np.float32]:
        block = self.read(min(count, max(BLOCK_VALUES // self.channels, 1)))
        self._ended = not len(block)
        if not self._exact:
            self._recent.append(block)
            while sum(each.size for each in self._recent) - self._recent[0].size >= _RECENT_VALUES:
                self._recent.popleft()
        return block

    def _open(self, file: int) -> SoundFile | FFmpegSound:
        status = os.fstat(file)
        state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if len(_chosen) >= _MOST_CHOSEN:
            _chosen.clear()
        if (by_ffmpeg := _chosen.get(state)) is None:  # threads open files, too
            by_ffmpeg = _chosen[state] = _ffmpeg_reads(file, status.st_size)
        if not by_ffmpeg:
            return _by_libsndfile(file)
        from soundfile import LibsndfileError

        try:
            sound = FFmpegSound(file)
        except UnreadableError as error:
            if fault := foreign_content(file, self.path.suffix.lower().lstrip(".")):
                raise fault from None
            try:
                _by_libsndfile(file).close()
            except LibsndfileError as refused:  # its reason says more, where it knows the kind of file
                if refused.code != _UNKNOWN_KIND:
                    raise refused from None
            raise error from None
        if sound.choices > 1:
            text = f"{self.path} has {sound.choices} audio streams: the first, or the one marked as default, is read"
            warnings.warn(text, stacklevel=2)
        return sound


_HEADER_BYTES = 128  # some programs count the header into the length of the data
_PLACEHOLDER_BYTES = 0x7EFF_0000  # larger 32-bit lengths mean unknown: SoX writes 0x7F000008 into AIFF
_UNKNOWN_LENGTH = (1 << 63) - 1  # samples: SF_COUNT_MAX of libsndfile, for FLAC that was written into a pipe
# bytes of a sample, in encodings whose samples do not depend on others
SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
SAMPLE_BYTES |= {"ULAW": 1, "ALAW": 1}
# Formats in which libsndfile seeks to the exact sample; tests compare the bits.
_EXACT_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"})
_RECENT_VALUES = 1 << 22  # kept of others, 16 MB: the last 95 s of mono at 44.1 kHz are read again without decoding
_STRAY = 1024  # bytes behind the sound; fewer are some program's rubbish
_PADDING = 1 << 30  # zero bytes behind the sound; fewer are padding
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")  # that programs append to any file
# Place and first bytes of a name in the header of files, of which only the first is read if several are joined.
_NAMES = (
    *((8, b"WAVE"), (8, b"AVI "), (8, b"AIF"), (4, b"ftyp"), (0, b"fLaC"), (0, b"caff"), (0, b".snd"), (0, b"riff")),
    *((0, b"NIST_1A"), (0, b"Creative"), (0, b"FLV"), (0, b"TTA1"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75")),
)
_FORMS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"caff")  # files of chunks
_CHUNK = 1 << 20  # bytes searched at once
_UNKNOWN_KIND = 1  # SF_ERR_UNRECOGNISED_FORMAT


_chosen: dict[tuple[int, ...], bool] = {}  # whether FFmpeg reads the files that were opened last, by their states
_MOST_CHOSEN = 1 << 16


def _by_libsndfile(file: int) -> SoundFile:
    """Open a file to be read only from start to end.

    soundfile seeks after each block of a file that can seek. In Opus libsndfile's seek is inexact, and the blocks then
    differ from the whole. A file that says it cannot seek has no such seeks.
    """
    from soundfile import SoundFile

    os.lseek(file, 0, os.SEEK_SET)
    sound = SoundFile(file, closefd=False)
    sound.seekable = lambda: False
    return sound


def _ffmpeg_reads(file: int, size: int) -> bool:
    """Choose the reader of a file: FFmpeg, or libsndfile.

    libsndfile only estimates the length of MP3s without a header, from the first frame and the size with all tags:
    187 MP3s of instruments seemed 0.18 to 0.26 s longer than FFmpeg's packets. Decoded, both gave the samples of the
    packets, which differ by less than 3e-7, so the estimate was wrong.

    Raises:
        UnreadableError: neither reads the file in full.
    """
    from soundfile import LibsndfileError

    try:
        with _by_libsndfile(file) as sound:
            frames, rate, sound_format, subtype = sound.frames, sound.samplerate, sound.format, sound.subtype
            width = SAMPLE_BYTES.get(subtype, 0) * sound.channels if sound_format != "FLAC" else 0
    except LibsndfileError:
        _require_one_file(file, size)
        return True
    if subtype.startswith("MPEG") or frames == _UNKNOWN_LENGTH:
        _require_one_file(file, size)
        return True
    end = _end_of_chunks(file, size, frames * width) if width else None
    rest = 0 if end is None else min(size - end, size - frames * width)
    if end is not None and rest <= _STRAY:
        return False
    _require_one_file(file, size if end is None else min(size, end + _CHUNK), end or 1)
    if end is not None and frames:
        behind = os.pread(file, _CHUNK, end).lstrip(b"\0")
        if behind.startswith(_TAGS) or behind[:4].isalnum() or (not behind and rest < _PADDING):
            return False
    if end is None or not frames or sound_format == "AU":  # FFmpeg believes the other lengths, as libsndfile does
        seconds, longest = count_packets(file)
        added = 0 if subtype in SAMPLE_BYTES else 2 * longest  # by encoders
        if seconds > (Fraction(frames, rate) + added if frames else 0):
            return True
    if end is not None:
        detail = f"{frames / rate:.3f} s, and bytes for {rest / width / rate:.3f} s more follow"
        raise UnreadableError("declares less sound than it holds", detail)
    return False


def _end_of_chunks(file: int, size: int, sound: int) -> int | None:
    """Follow the chunks of a file to the end of the last; ``sound`` is the bytes of sound that libsndfile reads.

    None: the file has no chunks, or the length of its sound goes beyond its end.
    """
    form = os.pread(file, 12, 0)
    if form[:4] == b".snd":
        return int.from_bytes(form[4:8], "big") + sound
    if form[:4] not in _FORMS:
        return None
    place, head = (8, 12) if form[:4] == b"caff" else (12, 8)  # bytes
    while place + head <= size:
        chunk = os.pread(file, head, place)
        length = int.from_bytes(chunk[4:], "big" if form[:4] in (b"RIFX", b"FORM", b"caff") else "little")
        if form[:4] == b"RF64" and chunk[:4] == b"data":
            length = sound
        beyond = place + head + length - size
        if beyond > 0 and chunk[:4] in (b"data", b"SSND"):
            return None
        is_chunk = chunk[:4].isascii() and chunk[:4].decode().isprintable() and chunk[:4] not in _FORMS
        if beyond > _STRAY or not is_chunk:
            return place
        place += head + length + (length % 2 if head == 8 else 0)
    return min(place, size)


def _require_one_file(file: int, stop: int, start: int = 1) -> None:
    """Refuse a file behind which a second one of its kind was appended, at bytes ``start`` to ``stop``."""
    head = os.pread(file, 16, 0)
    at, name = next(((at, head[at : at + 8]) for at, name in _NAMES if head[at:].startswith(name)), (0, b""))
    for place in range(start + at, stop if name else 0, _CHUNK):
        found = os.pread(file, _CHUNK + len(name), place).find(name)
        if found >= 0:
            detail = f"the first file ends at byte {place + found - at} of {os.fstat(file).st_size}; divide it there"
            raise UnreadableError("is joined of several files", detail)


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
    while len(block := recording.read(at_once)):
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


def count_samples(path: Path) -> int:
    """Count the samples of a recording at its own rate by decoding it: the header of a cut-off file counts more."""
    with Recording(path) as recording:
        return sum(map(len, read_all(recording, BLOCK_VALUES)))


_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
HEADERLESS = ("raw", "pcm", "vox", "sln", "gsm", "g722")  # kinds of files that hold samples alone
_HEAD = 1024  # bytes that are looked at
_TEXT_BYTES = re.compile(rb"[\t\n\r\f\x1b\x20-\x7e\x80-\xff]+")
_PACKED = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # archives


def foreign_kind(head: bytes) -> str | None:
    """Say by its first bytes what a file is that is named like a recording or a text, and what to do."""
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return "is a Git LFS pointer, and not the file: run git lfs pull"
    if _HTML.match(head[:_HEAD].removeprefix(b"\xef\xbb\xbf")):
        return "is an HTML page, and not the file: download it again"
    return "is an archive, or compressed: unpack it" if head.startswith(_PACKED) else None


def foreign_content(file: int, suffix: str) -> UnreadableError | None:
    """Say what a file is that no reader recognises; None if it may be a damaged recording."""
    if suffix in HEADERLESS:
        kind = "holds samples without a header, whose rate and kind only you know"
        return UnreadableError(kind, "convert it to WAV, such as by sox")
    head = os.pread(file, _HEAD, 0)
    if known := foreign_kind(head):
        return UnreadableError(*known.split(": ", 1))
    if head.startswith(b"NIST_1A") and (found := re.search(rb"embedded-(shorten|shortpack|wavpack)", head)):
        kind = f"is a SPHERE file compressed by {found[1].decode()}"
        return UnreadableError(kind, "convert it by sph2pipe -f wav IN.sph OUT.wav")
    if not head.strip(b"\0"):
        return UnreadableError("holds zero bytes in place of a header", "copy or download it again")
    text = head.removeprefix(b"\xef\xbb\xbf")
    beginning = text.decode(errors="ignore")
    if not _TEXT_BYTES.fullmatch(text) or len(beginning.encode()) < len(text) - 4:  # the last letter may be cut
        return None
    beginning = " ".join(beginning.split())
    kind = "JSON" if beginning[:1] in ("{", "[") else "XML" if beginning.startswith("<") else "text"
    return UnreadableError(f"is {kind}, and not a recording", f"it begins with {beginning[:40]!r}")
