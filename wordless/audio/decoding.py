r"""Opening of recordings by two readers that must agree, and the key of a file; errors name the file.

libsndfile reads all that it opens but MP3. FFmpeg's libraries, which PyAV's wheels bring under the LGPL, read MP3 and
all else. FFmpeg also counts the sound of what libsndfile reads, without decoding. Where it finds more (a header with
the length 0), it reads the file, as it reads joined Ogg files. A file that holds more than both of them read is set
aside, and so is one that holds less than it declares (`wordless.audio.completeness`, and `Recording` at the end of the
sound). Plain samples are not counted where only tags or chunks follow them::

    WAV   RIFF fmt data|==== declared ====| LIST | id3 |            a chunk follows: libsndfile reads
    WAV   RIFF fmt data|= declared =|-------- noise ---------|      neither reads in full: set aside with both lengths
    WAV   RIFF fmt data|==== declared ====| RIFF fmt data|=====|    joined: set aside with the place

Both libraries are loaded when the first recording is opened, so networks run on machines without them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wordless.audio import completeness
from wordless.audio.waveform import HEADERLESS, MAX_RATE, MIN_RATE, Part
from wordless.base.files import file_stamp, open_file_hash, open_regular, stamp_text
from wordless.base.messages import InputError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from soundfile import SoundFile

Block = npt.NDArray[np.float32]  # (samples, channels)
WHOLE = Part(start=0, num_samples=sys.maxsize)
READING_VERSION = 1  # in the key of a file: raise it when what is read or measured of one changes its meaning
_MAX_CHANNELS = 1_024
BLOCK_VALUES = 1 << 16  # samples times channels to decode at a time
_RECENT_VALUES = 1 << 22  # 16 MB: the last 95 s of mono at 44.1 kHz are read again without decoding
# bytes of a sample, in encodings whose samples do not depend on others
_SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_SAMPLE_BYTES |= {"ULAW": 1, "ALAW": 1}
# Formats whose header says where the sound ends, and in which libsndfile seeks to the exact sample.
_WITH_END = frozenset({"WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF"})
_EXACT = _WITH_END | {"W64", "FLAC"}
_HEADER_BYTES = 128  # some programs count the header into the length of the data
_PLACEHOLDER_BYTES = 0x7EFF_0000  # larger 32-bit lengths mean unknown: SoX writes 0x7F000008 into AIFF
_LENGTH_OF_DATA = r"^ *(?:data|SSND|Data [Ss]ize) *: (\d+)(?: \(should be (\d+)\))?"  # in libsndfile's log
_UNKNOWN_LENGTH = (1 << 63) - 1  # samples: SF_COUNT_MAX of libsndfile, for FLAC that was written into a pipe


class RecordingError(InputError):
    """A file that cannot be used as a recording: "is an HTML page", whatever the file's name is.

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
        """Open a file by the reader that finds more sound in it.

        Raises:
            RecordingError: the file is missing, unreadable, not a regular file, of an unknown format or damaged, holds
                more or less sound than it declares, or declares a rate or a number of channels out of range.
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
            if not isinstance(self._sound, _FFmpegSound):
                self._require_whole(self._sound.frames, _logged_length(self._sound))

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
        return _sha256_of(_File(self.path, (os.getpid(), *file_stamp(self._file)), self._file))

    @property
    def declared(self) -> int | None:
        """Samples that the header declares; None where it does not say, or tells a length that is rounded."""
        return None if isinstance(self._sound, _FFmpegSound) else int(self._sound.frames)

    @property
    def tracks(self) -> int:
        """The number of sound tracks, of which one is read."""
        return len(self._sound.tracks) if isinstance(self._sound, _FFmpegSound) else 1

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the blocks read so far."""
        return tuple(self._sound.notices) if isinstance(self._sound, _FFmpegSound) else ()

    def _require_whole(self, there: int, declared: int) -> None:
        """Refuse a file with fewer samples than it declares: its end is missing, or later sound would be early."""
        # lengths in headers that FFmpeg reads are rounded, and many count what encoders add
        slack = _SLACK_SECONDS * self.samplerate if self.declared is None else 0
        if there < declared - slack:
            raise RecordingError(self.path, "damaged", f"{there} of its {declared} samples can be decoded")

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
                self._require_whole(place, self._sound.length if self.declared is None else self.declared)
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


def _logged_length(sound: SoundFile) -> int:
    """Return the samples that a header declares.

    For a truncated file libsndfile returns the remaining length. Its log has the declared length, unless that is a
    placeholder of a program that wrote into a pipe.
    """
    file = re.search(r"^Length : (\d+)", sound.extra_info, re.MULTILINE)
    found = re.finditer(_LENGTH_OF_DATA, sound.extra_info, re.MULTILINE)
    for declared, there in ((int(each[1]), int(each[2] or (file or each)[1])) for each in found):
        if there + _HEADER_BYTES < declared < _PLACEHOLDER_BYTES:
            return int(max(sound.frames * declared // max(there, 1), sound.frames + 1))
    return int(sound.frames)


def count_samples(path: Path) -> int:
    """Count the samples of a recording at its own rate by decoding it: the header of a cut-off file counts more."""
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


def _open_sound(path: Path, file: int) -> SoundFile | _FFmpegSound:
    if not os.fstat(file).st_size:
        raise RecordingError(path, "empty", remedy="record it again, or leave it out")
    if not _needs_ffmpeg(_File(path, file_state(path), file)):
        return _libsndfile_sound(file)
    try:
        return _FFmpegSound(path, file)
    except RecordingError:
        _refuse_foreign(path, file)
        raise


def _libsndfile_sound(file: int) -> SoundFile:
    """Open a file that says it cannot seek: soundfile would seek after each block, inexactly in Opus."""
    from soundfile import SoundFile

    os.lseek(file, 0, os.SEEK_SET)
    sound = SoundFile(file, closefd=False)
    sound.seekable = lambda: False
    return sound


_STRAY = 1024  # bytes behind the sound; fewer are some program's rubbish
_PADDING = 1 << 30  # zero bytes behind the sound; fewer are padding
_LOOKED_AT = 1 << 20  # bytes behind the sound
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")  # that programs append to any file
_CHUNK = re.compile(rb"[\w ]{4}")  # name of a chunk


@dataclass(frozen=True)
class _File:
    """A file that is open for reading; it equals another of its `file_state`."""

    path: Path
    state: tuple[object, ...]
    descriptor: int = field(compare=False)


@lru_cache(maxsize=1 << 16)
def _sha256_of(opened: _File) -> str:
    return open_file_hash(opened.descriptor)


@lru_cache(maxsize=1 << 16)
def _needs_ffmpeg(opened: _File) -> bool:
    """Return whether FFmpeg is to read a file; one that neither reads in full is refused."""
    from soundfile import LibsndfileError

    path, file = opened.path, opened.descriptor
    start, links, damage = completeness.sound_in(file)
    head, frames, subtype = os.pread(file, _HEAD, start), 0, "MPEG"  # as of what libsndfile does not open
    if damage:
        raise RecordingError(path, "damaged", damage)
    if completeness.begins_frame(head):  # libsndfile would let libmpg123 print on the terminal
        return True
    with suppress(LibsndfileError), _libsndfile_sound(file) as sound:
        begin = os.lseek(file, 0, os.SEEK_CUR)  # of the samples
        frames, rate, kind, subtype = sound.frames, sound.samplerate, sound.format, sound.subtype
        width, log = _SAMPLE_BYTES.get(subtype, 0) * sound.channels, sound.extra_info
    if links:
        return links > 1 or not frames
    # of MP3s without a header libsndfile only estimates the length: 187 seemed 0.18 to 0.26 s too long
    if subtype.startswith("MPEG") or frames == _UNKNOWN_LENGTH:
        _refuse_joined(path, file)
        return True
    end = begin + frames * width
    rest, ends = os.fstat(file).st_size - end, kind in _WITH_END and width > 0
    more = ends and rest > max(_STRAY, width)
    if ends and not more and "(should be" not in log:
        return False
    _refuse_joined(path, file, start=end if more else 1)
    if ends and frames:
        behind = os.pread(file, _LOOKED_AT, end).lstrip(b"\0")
        if behind.startswith(_TAGS) or _CHUNK.match(behind) or (not behind and rest < _PADDING):
            return False
    if not more or not frames or kind == "AU":  # FFmpeg believes the other lengths, as libsndfile does
        seconds, longest = _count_packets(path, file)
        added = 0 if subtype in _SAMPLE_BYTES else 2 * longest  # by encoders
        if seconds > (Fraction(frames, rate) + added if frames else 0):
            return True
    if more:
        detail = f"{frames / rate:.3f} s, and bytes for {rest / width / rate:.3f} s more follow"
        raise RecordingError(path, "declares less sound than it holds", detail)
    return False


# Place and first bytes of a name in the header of files, of which only the first is read if several are joined.
_NAMES = (
    *((8, b"WAVE"), (8, b"AVI "), (8, b"AIF"), (4, b"ftyp"), (0, b"fLaC"), (0, b"caff"), (0, b".snd"), (0, b"riff")),
    *((0, b"NIST_1A"), (0, b"Creative"), (0, b"FLV"), (0, b"TTA1"), (0, b"\x1a\x45\xdf\xa3"), (0, b"\x30\x26\xb2\x75")),
)


def _refuse_joined(path: Path, file: int, *, start: int = 1) -> None:
    """Refuse a file behind which a second one of its kind was appended, from the byte ``start`` on."""
    size, head = os.fstat(file).st_size, os.pread(file, 16, 0)
    stop = min(size, start + _LOOKED_AT) if start > 1 else size
    at, name = next(((at, head[at : at + 8]) for at, name in _NAMES if head[at:].startswith(name)), (0, b""))
    for place in range(start + at, stop if name else 0, _LOOKED_AT):
        found = os.pread(file, _LOOKED_AT + len(name), place).find(name)
        if found >= 0:
            detail = f"the first file ends at byte {place + found - at} of {size}; divide it there"
            raise RecordingError(path, "is joined of several files", detail)


_HEAD = 1024  # bytes that are looked at
_FOREIGN = (  # first bytes of files that are named like a recording or a text, what they are, and what to do
    (rb"version https://git-lfs\.github\.com/spec/", "is a Git LFS pointer, and not the file: run git lfs pull"),
    (
        rb"(?is)(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b",
        "is an HTML page, and not the file: download it again",
    ),
    (rb"PK\x03\x04|7z\xbc\xaf|Rar!|\x1f\x8b|BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd", "is an archive: unpack it"),
    (rb"(?s).{257}ustar", "is a tar archive: unpack it (tar -xf)"),
)
_SILENT = (  # and of files that are named like a recording
    (rb"(?s)NIST_1A.*embedded-shorten", "is a SPHERE file compressed by shorten: convert it by sph2pipe -f wav IN OUT"),
    (rb"\0+\Z", "holds zero bytes in place of a header: copy or download it again"),
)
_TEXTS = ((r"\s*[{\[]", "JSON"), (r"\s*<", "XML"), ("", "text"))
_NO_TEXT = re.compile(r"[^\t\n\r\f\x1b\x20-\x7e\x80-\U0010ffff]")


def foreign_kind(head: bytes, kinds: Sequence[tuple[bytes, str]] = _FOREIGN) -> str | None:
    """Say by its first bytes what a file is that is named like a recording or a text, and what to do."""
    return next((kind for begin, kind in kinds if re.match(begin, head[:_HEAD])), None)


def _refuse_foreign(path: Path, file: int) -> None:
    """Say what a file is that no reader recognises, unless it may be a damaged recording."""
    head = os.pread(file, _HEAD, 0)
    reason, text = foreign_kind(head, _FOREIGN + _SILENT), head.decode("utf-8-sig", errors="ignore")
    if path.suffix.lower().lstrip(".") in HEADERLESS:
        reason = "holds samples without a header, whose rate and kind only you know: convert it to WAV, such as by sox"
    elif reason is None and len(text.encode()) > len(head) - 7 and not _NO_TEXT.search(text):
        kind = next(kind for begin, kind in _TEXTS if re.match(begin, text))
        reason = f"is {kind}, and not a recording: it begins with {' '.join(text.split())[:40]!r}"
    if reason:
        raise RecordingError(path, *reason.split(": ", 1))


_DEMUXERS = (  # no playlists and no devices: a file must not make FFmpeg open others
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,aac,loas,asf,avi,flv,live_flv,mpeg,mpegts,amr,amrnb,amrwb,ac3,eac3,dts,"
    "dtshd,tta,wv,ape,mpc,mpc8,shn,tak,dsf,iff,mlp,truehd,rm,oma,caf,w64,wav,mp3,flac,aiff,au,voc,nistsphere,avr,ircam"
)
_WITH_LENGTHS = frozenset(("mov", "wv", "tta", "ape", "tak", "mpc", "mpc8", "dsf"))  # demuxers whose streams declare it
_SLACK_SECONDS = 0.25  # that a whole file may be shorter than its header says: delays of encoders, last frames
_PIPED = 1 << 30  # packets: numbers from here on stand for an unknown one
_MISCOUNTED = 1  # frames of an MP3: some encoders count the one that has the number
_CLOCKS = {"mov": True, "matroska": True}  # kinds whose packets have times; True: from the beginning of the file on
_CLOCKS |= {"flv": False, "asf": False, "mpegts": False, "mpeg": False}  # False: from the first packet of any stream on
_LATE_SECONDS = 0.05  # that sound may begin late or have as gaps: times in such files are rounded, and clocks drift
_LONGEST_GAP = 3600  # seconds; larger ones are other clocks


def _demuxed(path: Path, file: int) -> tuple[InputContainer, av.AudioStream]:
    """Open a file from its beginning on, and choose its audio stream; the caller closes the container."""
    import av

    if os.pread(file, 4, 0) == b"RIFX":
        raise RecordingError(path, "cannot be decoded", "FFmpeg takes samples of RIFX for little-endian")
    av.logging.set_level(None)
    os.lseek(file, 0, os.SEEK_SET)
    options = {"fd": str(file), "format_whitelist": _DEMUXERS, "protocol_whitelist": "fd"}
    try:
        container = av.open("fd:", mode="r", metadata_errors="replace", container_options=options)
    except (av.FFmpegError, ValueError) as error:
        raise RecordingError(path, "cannot be decoded", _cause(error)) from error
    stream = container.streams.best("audio")
    if not isinstance(stream, av.AudioStream):
        container.close()
        raise RecordingError(path, "holds no sound", "it has no audio stream")
    return container, stream


def sounding_track(path: Path, silence: float) -> int | None:
    """Find the first sound track, beside the one that is read, of which a sample is further than ``silence`` from 0.

    Returns its number from 0, as FFmpeg counts, or None.
    """
    with open_regular(path) as file:
        container, read = _demuxed(path, file)
        with container:
            own, places = read.index, [stream.index for stream in container.streams.audio]
        return next((n for n, place in enumerate(places) if place != own and _sounds(path, file, n, silence)), None)


def _sounds(path: Path, file: int, number: int, silence: float) -> bool:
    """Return whether a track sounds; one that cannot be decoded does not."""
    import av

    container, to_float = _demuxed(path, file)[0], av.AudioResampler(format="fltp")
    with container, suppress(av.FFmpegError, ValueError):
        for frame in container.decode(container.streams.audio[number]):
            if any(np.abs(each.to_ndarray()).max(initial=0) > silence for each in to_float.resample(frame)):
                return True
    return False


def _cause(error: Exception) -> str:
    cause = str(getattr(error, "strerror", None) or error)
    return cause.partition("[Errno")[0].strip().rstrip(".:") or cause


def _count_packets(path: Path, file: int) -> tuple[Fraction, Fraction]:
    """Count the seconds of all packets, with what encoders add, and of the longest one; 0: no sound is found."""
    import av

    total = longest = 0
    try:
        container, stream = _demuxed(path, file)
    except RecordingError:
        return Fraction(0), Fraction(0)
    unit = stream.time_base or Fraction(0)
    with container:
        try:
            for packet in container.demux(stream):
                total, longest = total + (packet.duration or 0), max(longest, packet.duration or 0)
        except (av.FFmpegError, ValueError) as error:
            if total:  # as at a joined stream of another kind
                detail = f"FFmpeg finds {float(total * unit):.3f} s, and then: {_cause(error)}"
                raise RecordingError(path, "is damaged, or joined of several kinds", detail) from error
    return total * unit, longest * unit


class _FFmpegSound:
    """The first audio stream of a file, or that which the file marks as its default; samples are decoded in order."""

    format, subtype = "FFMPEG", ""  # as those of libsndfile's objects

    def __init__(self, path: Path, file: int) -> None:
        """Open a file, and decode its first samples: only they tell the rate of some kinds of AAC."""
        self._path = path
        self._head = os.pread(file, _HEAD, completeness.behind_tags(file))
        self._container, self._stream = _demuxed(path, file)
        self.notices: dict[str, None] = {}
        self.tracks = self._container.streams.audio
        if (count := len(self.tracks)) > 1:
            one = "the first, or the one that is marked as default, is read"
            self.notices[f"it has {count} sound tracks: {one} (ffmpeg -map 0:a:1 takes out the second)"] = None
        self.seconds = _declared_seconds(self._container, self._stream)
        clock = _CLOCKS.get(self._container.format.name.split(",")[0])
        self._zero = None if clock is None else 0.0 if clock else (self._container.start_time or 0) / 1e6
        self._position = 0  # samples decoded, and silence before them
        self._blocks: Iterator[Block] = self._decode()
        first = next(self._blocks, None)
        if first is None:
            whole = f" of {self.seconds:.3f} s" if self.seconds else ""
            raise RecordingError(path, "holds no sound", f"nothing{whole} can be decoded")
        self._blocks = chain([first], self._blocks)
        self.channels: int = first.shape[1]

    @property
    def length(self) -> int:
        """Samples that the header declares; 0: it does not say."""
        return round(self.seconds * self.samplerate)

    def read(self, frames: int, **_: object) -> Block:
        """Return the next ``frames`` samples or some more ``(samples, channels)`` float32; fewer at the end."""
        blocks, count = [np.empty((0, self.channels), np.float32)], 0
        while count < frames and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            count += len(block)
        return np.concatenate(blocks)

    def close(self) -> None:
        self._container.close()

    def _decode(self) -> Iterator[Block]:
        """Give blocks ``(samples, channels)`` of the sizes in which the file was encoded."""
        import av

        to_float, described, damage = av.AudioResampler(format="fltp"), None, None
        count, last = 0, None  # packets of sound
        captured = self._container.format.name in ("mpegts", "mpeg")  # recorders end such files anywhere
        of_frames = completeness.begins_frame(self._head)
        errors = (av.FFmpegError, ValueError)  # nothing is imported when Python ends with a recording half read
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and damage is not None:
                    raise damage
                try:
                    frames = packet.decode()
                    count, last = count + (packet.size > 0), packet if packet.size else last
                except errors as error:  # of a tag, or of rubbish that follows frames; it is the last packet
                    damage, frames = None if bytes(packet)[:3] in _TAGS else error, []
                    if damage is not None and not captured and completeness.begins_frame(bytes(packet)) == of_frames:
                        raise
                for frame in frames:
                    assert isinstance(frame, av.AudioFrame)
                    described = described or (frame.sample_rate, frame.layout.nb_channels)
                    self.samplerate = described[0]
                    if (frame.sample_rate, frame.layout.nb_channels) != described:
                        raise RecordingError(self._path, "changes its rate or its number of channels; divide it there")
                    yield from self._silence(frame)
                    for converted in to_float.resample(frame):
                        block: Block = np.ascontiguousarray(converted.to_ndarray().T, np.float32)
                        if len(block):
                            self._position += len(block)
                            yield block
        except errors as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(self._path, "cannot be decoded", _cause(error)) from error
        if last is not None and completeness.frame_bytes(self._head):
            self._require_frames(count, bytes(last))

    def _require_frames(self, count: int, last: bytes) -> None:
        """Refuse MPEG audio with fewer frames than its first one declares, or whose last frame is cut off."""
        declared, length = completeness.declared_frames(self._head), completeness.frame_bytes(last)
        if count < declared - _MISCOUNTED:
            raise RecordingError(self._path, "damaged", f"{count} of its {declared} frames are there")
        if len(last) < length:
            detail = f"its last frame is cut off after {len(last)} of {length} bytes"
            raise RecordingError(self._path, "damaged", detail)

    def _silence(self, frame: av.AudioFrame) -> Iterator[Block]:
        """Give the silence before a frame that begins late by the file's clock, so that times are those of the file.

        ::

            clock     0        1.5 s
            video     |==========================
            sound     |- - - - |=================
        """
        if self._zero is None or frame.time is None:
            return
        late = frame.time - self._zero - self._position / self.samplerate
        if late > _LONGEST_GAP and self._position:
            at = self._position / self.samplerate
            raise RecordingError(self._path, "has a gap", f"{late:.0f} s without sound at {at:.3f} s; divide it there")
        if late > _LONGEST_GAP or late < -_LATE_SECONDS:  # the clock began elsewhere, or goes back as of joined files
            self._zero, self.seconds = self._zero + late, self.seconds - max(late, 0)
        elif late > _LATE_SECONDS:
            self.notices["its sound begins later than the file, or has gaps: silence stands in their place"] = None
            left, channels = round(late * self.samplerate), frame.layout.nb_channels
            while left:
                silence = np.zeros((min(left, max(BLOCK_VALUES // channels, 1)), channels), np.float32)
                left, self._position = left - len(silence), self._position + len(silence)
                yield silence


def _declared_seconds(container: InputContainer, stream: av.AudioStream) -> float:
    """Return the length that the header declares; 0 for kinds in which it is missing, or computed by FFmpeg."""
    kind, unit = container.format.name.split(",")[0], stream.time_base or Fraction(0)
    if kind in ("avi", "caf"):
        return float(stream.frames * unit) if stream.frames < _PIPED else 0.0
    if kind in _WITH_LENGTHS:
        return float(((stream.duration or 0) + max(stream.start_time or 0, 0)) * unit)
    if kind in ("matroska", "flv") and all(each.type == "audio" for each in container.streams):
        return (container.duration or 0) / 1e6  # of all streams; a video may go on in silence
    return 0.0
