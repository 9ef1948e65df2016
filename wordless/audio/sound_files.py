"""The bytes of sound files: windows on them, tags, frames of MPEG audio and FLAC, and files that hold no sound.

A window is the stretch of a file that one decoder reads as if it were a file of its own.

A frame of MPEG audio (MP1, MP2, MP3) names its own length in four bytes, so a file is walked without decoding it: an
hour takes a quarter of a second::

    ID3v2 | Xing or Info | frame | frame | ... | ID3v1, APE, Lyrics3 | ID3v2 | Xing | frame | ...
            ^ frames of this stream                                           ^ a second stream begins

A header of FLAC may declare fewer samples than there are: the sample behind the last one is looked for.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

_OVERSTATED = 1 << 40  # bytes that a window of unknown length declares; libsndfile estimates a length from them
_TAIL = 4096  # bytes; decoders look for tags at the end that a window declares
_CHUNK = 1 << 20  # bytes searched at once


class UnreadableError(Exception):
    """The reason why a file cannot be read as sound, without the file's name: "is an HTML page".

    ``kind`` is what such reasons have in common, before the ``detail``.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stretch of a file that holds one stream of sound."""

    start: int  # bytes
    stop: int  # bytes
    header: bytes = b""  # to be read before the stretch: a header that declares the true length
    unbounded: bool = False  # no header declares the length: everything is decoded, whatever libsndfile estimates


class Window:
    """A readable file that is a stretch of another; it has a position of its own, and memory does not grow with it."""

    def __init__(self, file: int, stream: Stream) -> None:
        self._file, self._start, self._stop, self._header = file, stream.start, stream.stop, stream.header
        self.size = len(stream.header) + stream.stop - stream.start  # bytes
        self._declared = _OVERSTATED if stream.unbounded else self.size
        self._position = 0
        self.failure: OSError | None = None  # of the disk; a decoder that calls back would take it for the end

    def at(self, place: int, count: int) -> bytes:
        """Return the bytes at a place; fewer at the end, and none outside of the window."""
        count = min(count, self.size - place)
        if place < 0 or count <= 0:
            return b""
        front = self._header[place : place + count]
        rest = count - len(front)
        if not rest:
            return front
        return front + os.pread(self._file, rest, self._start + place + len(front) - len(self._header))

    def part(self, start: int, stop: int, *, header: bytes = b"") -> Window:
        """Return a window on a stretch of this one, which has no header of its own, below another ``header``."""
        stop = min(self._start + stop, self._stop)
        return Window(self._file, Stream(start=self._start + start, stop=stop, header=header))

    def find(self, pattern: bytes, place: int) -> int | None:
        """Find the next place of a pattern, by reading on."""
        while place < self.size:
            chunk = self.at(place, _CHUNK + len(pattern))
            if (found := chunk.find(pattern)) >= 0:
                return place + found
            if not chunk:  # the file became shorter
                return None
            place += _CHUNK
        return None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._declared}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes; near an overstated end there are zeros, in which decoders find no tags."""
        try:
            content = self.at(self._position, self._declared if count < 0 else count)
        except OSError as error:
            self.failure = error
            return b""
        if self.size < self._declared - _TAIL <= self._position:
            content = bytes(max(min(count, self._declared - self._position), 0))
        self._position += len(content)
        return content

    def readinto(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes, and return how many there were."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def skip_tags(file: Window, place: int) -> int:
    """Skip tags and zero bytes: the first place behind them, at most the end of the file."""
    while place < file.size:
        size = _tag_size(file, place)
        if not size:
            break
        place += size
    return min(place, file.size)


def _tag_size(file: Window, place: int) -> int:
    """Return the length in bytes of the tag or run of zeros at a place; 0 if there is neither."""
    head = file.at(place, 32)
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 0x80:
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:4] == b"TAG+":
        return 227
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX":
        has_header = int.from_bytes(head[20:24], "little") >> 29 & 1
        return 32 + (int.from_bytes(head[12:16], "little") if has_header else 0)
    if head[:11] == b"LYRICSBEGIN":
        text = file.at(place, _CHUNK)
        ends = [at for mark in (b"LYRICS200", b"LYRICSEND") if (at := text.find(mark)) > 0]
        return min(ends) + 9 if ends else 0
    zeros = file.at(place, _CHUNK) if head[:1] == b"\0" else b""
    return len(zeros) - len(zeros.lstrip(b"\0"))


def without_tags(file: Window) -> int:
    """Return the end of the sound of a file whose last bytes may be tags: ID3v1, APE and Lyrics3, in any order."""
    stop = file.size
    while True:
        if file.at(stop - 128, 3) == b"TAG":
            stop -= 128
        elif (footer := file.at(stop - 32, 32))[:8] == b"APETAGEX":
            has_header = int.from_bytes(footer[20:24], "little") >> 31
            stop -= max(int.from_bytes(footer[12:16], "little"), 32) + 32 * has_header
        elif (footer := file.at(stop - 15, 15))[6:] == b"LYRICS200" and footer[:6].isdigit():
            stop -= int(footer[:6]) + 15
        else:
            return max(stop, 0)


_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_COMPRESSED_SPHERE = re.compile(rb"^sample_coding -s\d+ .*embedded-(shorten|shortpack|wavpack)", re.MULTILINE)
HEADERLESS = ("raw", "pcm", "vox", "sln", "gsm", "g722")  # kinds of files that hold samples alone
_HEAD = 1024  # bytes that are looked at
_TEXT_BYTES = re.compile(rb"[\t\n\r\f\x1b\x20-\x7e\x80-\xff]+")
_MAGIC = {
    b"PK\x03\x04": "a ZIP archive: unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"BZh": "compressed by bzip2: unpack it",
    b"\xfd7zXZ\0": "compressed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"%PDF-": "a PDF file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"MThd": "a MIDI file, which holds notes and no sound",
    b"\x7fELF": "a program",
}


def compressed_sphere(file: Window) -> UnreadableError | None:
    """Recognise a SPHERE file whose samples are compressed, which libsndfile does not read."""
    head = file.at(0, _HEAD)
    found = _COMPRESSED_SPHERE.search(head) if head.startswith(b"NIST_1A") else None
    if found is None:
        return None
    kind = f"is a SPHERE file compressed by {found[1].decode()}"
    return UnreadableError(kind, "convert it by sph2pipe -f wav IN.sph OUT.wav")


def foreign_kind(head: bytes) -> str | None:
    """Say by its first bytes what a file is that is named like a recording or a text, and what to do."""
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return "is a Git LFS pointer, and not the file: run git lfs pull"
    if _HTML.match(head[:_HEAD].removeprefix(b"\xef\xbb\xbf")):
        return "is an HTML page, and not the file: download it again"
    return next((f"is {kind}" for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


def foreign_content(file: Window, suffix: str) -> UnreadableError | None:
    """Say what a file is that no decoder recognises; None if it may be a damaged recording."""
    if suffix in HEADERLESS:
        kind = "holds samples without a header, whose rate and kind only you know"
        return UnreadableError(kind, "convert it to WAV, such as by sox")
    head = file.at(0, _HEAD)
    if known := foreign_kind(head):
        return UnreadableError(*known.split(": ", 1))
    if head and not any(file.at(place, _CHUNK).strip(b"\0") for place in range(0, file.size, _CHUNK)):
        return UnreadableError(f"holds {file.size} zero bytes, and nothing else", "copy or download it again")
    text = head.removeprefix(b"\xef\xbb\xbf")
    if not _TEXT_BYTES.fullmatch(text):
        return None
    try:
        text.decode() if len(text) < _HEAD else text[:-4].decode()
    except UnicodeDecodeError as error:
        if error.start < len(text) - 8:
            return None
    beginning = " ".join(text.decode(errors="replace").split())
    kind = "JSON" if beginning[:1] in ("{", "[") else "XML" if beginning.startswith("<") else "text"
    return UnreadableError(f"is {kind}, and not a recording", f"it begins with {beginning[:40]!r}")


_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1; MPEG 2 has half of them, MPEG 2.5 a quarter
_KILOBITS = {  # per second, by MPEG 1 or later and layer; the index 0 stands for any rate, without a length
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RESYNC = 1 << 16  # bytes that are searched for a frame at a time
_FRAME_HEAD = 64  # bytes of a frame that show whether it is a header of the stream's length
_DECODER_RESYNC = 1024  # bytes between frames over which libsndfile's decoder finds its way; it ends at more
_BEGINNING = 8192  # bytes in which the first frames of a stream are looked for, if it has no other beginning
_FEW = 3  # frames; encoders count the frames of a header differently, and a tail of fewer is no stream


class Kind(NamedTuple):
    """What all frames of a stream share."""

    version: int  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    layer: int
    rate: int  # Hz
    mono: bool


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """What the first frame of a stream says about the stream, if it is a Xing or Info header."""

    frames: int | None
    size: int | None  # bytes, with the frame of the header


def frame_at(header: bytes) -> tuple[Kind, int] | None:
    """Parse the four bytes of a frame's header: its kind, and its length in bytes; None if they are no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bits, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = header[2] >> 1 & 1
    bits_per_second = 1000 * _KILOBITS[version == 3, layer][bits]
    if layer == 1:
        size = (12 * bits_per_second // hertz + padding) * 4
    else:
        size = (72 if layer == 3 and version != 3 else 144) * bits_per_second // hertz + padding
    return Kind(version, layer, hertz, header[3] >> 6 == 3), size


def lengths_of(frame: bytes, kind: Kind) -> Lengths | None:
    """Parse a Xing or Info header, which takes the place of a stream's first frame; None for a frame of sound."""
    side = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}[kind.version == 3, kind.mono]
    for place in (4 + side, 6 + side):  # with and without a checksum
        if frame[place : place + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(frame[place + 4 : place + 8], "big")
            values = [int.from_bytes(frame[place + at : place + at + 4], "big") for at in (8, 12)]
            frames = values[0] if flags & 1 else None
            size = values[1 if flags & 1 else 0] if flags & 2 else None
            return Lengths(frames=frames or None, size=size or None)
    return None


def mpeg_streams(file: Window) -> tuple[Stream, ...]:
    """Divide a file into its streams, by what their frames say; empty if no frames are found.

    A stream without a header of its length is read to its end: libsndfile would estimate the length from the first
    frame. Frames of another rate or number of channels, a second header, and a tag between frames begin a stream.

    Raises:
        UnreadableError: something else lies between the frames, behind which libsndfile reads no more.
    """
    begin = _next_frame(file, skip_tags(file, 0))
    if begin is None:
        return ()
    head = file.at(0, 4)
    start = 0 if head[:3] == b"ID3" or frame_at(head) else begin  # libsndfile knows no other tags at the beginning
    streams: list[Stream] = []
    following: int | None = begin
    while following is not None:
        begin = following
        end, following, declared = _walk(file, begin)
        streams.append(Stream(start=begin if streams else start, stop=end, unbounded=not declared))
    return tuple(streams)


def frames_soon(file: Window) -> bool:
    """Return whether frames begin within the first bytes: recorders of streams begin in the middle of a frame."""
    return _next_frame(file.part(0, _BEGINNING), 0) is not None


def _walk(file: Window, begin: int) -> tuple[int, int | None, bool]:
    """Walk the stream that begins at a frame: its end, the begin of the next one, and whether it declares its length.

    The end of the last stream is that of the file, with the tags that follow.
    """
    chunk, chunk_start = file.at(begin, _CHUNK), begin
    kind, size = _known_frame(chunk[:4])
    lengths = lengths_of(chunk[:size], kind)
    declared = lengths.frames if lengths else None
    if lengths and declared and lengths.size and skip_tags(file, begin + lengths.size) >= file.size:
        return file.size, None, True  # as nearly all files with a header: nothing needs to be walked
    place, frames = begin + size, 1
    while place < file.size:
        if place + _FRAME_HEAD > chunk_start + len(chunk):
            chunk, chunk_start = file.at(place, _CHUNK), place
        head = chunk[place - chunk_start : place - chunk_start + _FRAME_HEAD]
        found = frame_at(head)
        if found is None or found[0] != kind:
            after = skip_tags(file, place)
            resumed = _next_frame(file, after)
            if resumed is None:
                break
            behind_tags = place < after == resumed
            next_kind = _known_frame(file.at(resumed, 4))[0]
            if behind_tags or next_kind != kind or lengths_of(file.at(resumed, _FRAME_HEAD), kind):
                return place, resumed, bool(declared)
            if resumed - place > _DECODER_RESYNC:
                raise UnreadableError("is damaged", f"between its frames, bytes {place} to {resumed} are no sound")
            place = resumed
        elif lengths_of(head, kind) or (declared and frames > declared and _frames_follow(file, place)):
            return place, place, bool(declared)
        else:
            place, frames = place + found[1], frames + 1
    return file.size, None, bool(declared)


def _known_frame(header: bytes) -> tuple[Kind, int]:
    found = frame_at(header)
    assert found is not None  # the caller found the frame
    return found


def _next_frame(file: Window, place: int) -> int | None:
    """Find the next place from which on frames of one kind follow each other; None if there is no such place."""
    while place < file.size:
        chunk = file.at(place, _RESYNC + 4)
        at = chunk.find(b"\xff")
        while 0 <= at < _RESYNC:
            if frame_at(chunk[at : at + 4]) and _frames_follow(file, place + at):
                return place + at
            at = chunk.find(b"\xff", at + 1)
        place += _RESYNC
    return None


def _frames_follow(file: Window, place: int) -> bool:
    """Return whether some frames of one kind follow each other from a place on."""
    kinds = set()
    for _ in range(_FEW):
        found = frame_at(file.at(place, 4))
        if found is None:
            return False
        kinds.add(found[0])
        place += found[1]
    return len(kinds) == 1 and place <= file.size


STREAM_INFO = 42  # bytes: the mark of FLAC, and the first block of its header
_TOTAL = (1 << 36) - 1  # the bits of the number of samples


def corrected_header(file: Window, begin: int, stop: int) -> bytes | None:
    """Return the FLAC header at ``begin`` without a number of samples, if more samples than that number are there."""
    from soundfile import LibsndfileError, SoundFile  # as in `wordless.audio.decoding`

    header = file.at(begin, STREAM_INFO)
    described = int.from_bytes(header[18:26], "big")
    declared = described & _TOTAL
    if len(header) < STREAM_INFO or not declared:
        return None
    undeclared = header[:18] + (described & ~_TOTAL).to_bytes(8, "big") + header[26:]
    try:
        with SoundFile(file.part(begin + STREAM_INFO, stop, header=undeclared)) as sound:
            sound.seek(declared - 1)
            sound.seekable = lambda: False  # or soundfile would seek again behind the last sample
            return undeclared if len(sound.read(2)) == 2 else None
    except LibsndfileError:  # there is no such sample
        return None
