"""Windows on an open file: the stretch of a file that one decoder reads as if it were a file of its own.

Also what a file holds that is named like a recording and is none, and how to get the recording.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

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
    **{b"PK\x03\x04": "a ZIP archive: unpack it", b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it"},
    **{b"Rar!": "a RAR archive: unpack it", b"\x1f\x8b": "compressed by gzip: unpack it"},
    **{b"BZh": "compressed by bzip2: unpack it", b"\xfd7zXZ\0": "compressed by xz: unpack it"},
    **{b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it", b"%PDF-": "a PDF file", b"\x89PNG": "a picture"},
    **{b"\xff\xd8\xff": "a picture", b"MThd": "a MIDI file, which holds notes and no sound", b"\x7fELF": "a program"},
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
