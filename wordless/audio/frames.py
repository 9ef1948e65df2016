"""Frames of MPEG audio and FLAC: where one stream ends and another begins, and whether its length is declared.

A frame of MPEG audio (MP1, MP2, MP3) names its own length in four bytes, so a file is walked without decoding it: an
hour takes a quarter of a second::

    ID3v2 | Xing or Info | frame | frame | ... | ID3v1, APE, Lyrics3 | ID3v2 | Xing | frame | ...
            ^ frames of this stream                                           ^ a second stream begins

A header of FLAC may declare fewer samples than there are: the sample behind the last one is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wordless.audio.windows import Stream, UnreadableError, Window, skip_tags

_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG 1; MPEG 2 has half of them, MPEG 2.5 a quarter
_KILOBITS = {  # per second, by MPEG 1 or later and layer; the index 0 stands for any rate, without a length
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_CHUNK = 1 << 20  # bytes read at once
_RESYNC = 1 << 16  # bytes that are searched for a frame at a time
_HEAD = 64  # bytes of a frame that show whether it is a header of the stream's length
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
        if place + _HEAD > chunk_start + len(chunk):
            chunk, chunk_start = file.at(place, _CHUNK), place
        head = chunk[place - chunk_start : place - chunk_start + _HEAD]
        found = frame_at(head)
        if found is None or found[0] != kind:
            after = skip_tags(file, place)
            resumed = _next_frame(file, after)
            if resumed is None:
                break
            behind_tags = place < after == resumed
            next_kind = _known_frame(file.at(resumed, 4))[0]
            if behind_tags or next_kind != kind or lengths_of(file.at(resumed, _HEAD), kind):
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
