"""Where the sound of a file lies: joined streams, and lengths in headers that are wrong.

libsndfile reads one stream, as long as its header says. Files hold more than that: files of most kinds are joined by
``cat``, the 32-bit length of a WAV file wraps above 4 GiB, and recorders that died or wrote into a pipe leave
a length of 0 in the header. Only headers, frames and pages are looked at here, and nothing is decoded::

    WAV    RIFF fmt data|==== declared ====|---- more sound ----|     read to the end, below a header of the true length
    WAV    RIFF fmt data|==== declared ====| LIST | id3 |             chunks explain the rest
    Ogg    BOS page page page | BOS page page                         two streams
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

from wordless.audio.sound_files import (
    Stream,
    UnreadableError,
    Window,
    corrected_header,
    frame_at,
    frames_soon,
    mpeg_streams,
    skip_tags,
    without_tags,
)

_UNKNOWN_64 = 1 << 62  # larger 64-bit lengths stand for an unknown one
_MAX_32 = 0xFFFF_FFFF
_PIPED = 0x7EFF_0000  # bytes; larger 32-bit lengths stand for an unknown one
_STRAY = 8  # bytes behind the sound; fewer are no chunk
_STRAY_SOUND = 1024  # bytes behind more sound; fewer are some program's rubbish, and would be a crack of noise
_PADDING = 1 << 30  # zero bytes behind the sound; fewer are padding
_LAST = 1 << 16  # bytes at the end in which a chunk is searched for
_MAX_CHUNKS = 100_000  # before the sound; more are not looked at
_MAX_HEADER = 1 << 20  # bytes before the sound that are copied into a corrected header
_FLAC = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with the begin of the block that must follow
_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC", b"Speex   ")
_MPEG_TAGS = (0x50, 0x55)  # encodings of WAV files
_WAVPACK_INITIAL, _WAVPACK_FINAL = 0x800, 0x1000  # flags of the first and the last block of the same samples
_LONGEST_BEGIN = 96  # bytes of a header that are compared
_HEADERS = {  # other kinds: first bytes -> more of a header, so that no sound looks like it
    name: re.compile(re.escape(name) + more, re.DOTALL)
    for name, more in (
        (b"\x1a\x45\xdf\xa3", rb".{0,64}?\x42\x82.(matroska|webm)"),
        (b"FLV\x01", rb"[\0-\x05]\0\0\0\x09\0\0\0\0"),
        (b"TTA1", rb"[\x01\x02]\0[\x01-\x20]\0[\x08\x10\x18\x20]\0"),
        (b"#!AMR", rb"(-WB)?\n"),
        (b"RIFF", rb".{4}AVI LIST"),
        (b"riff\x2e\x91\xcf\x11", rb".{16}wave\xf3\xac\xd3\x11"),  # Wave64
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", rb"\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),  # Windows Media
        (b"NIST_1A\n", rb"[ 0-9]{7}\n"),
        (b"Creative Voice File\x1a", b""),
        (b"FRM8", rb".{8}DSD "),
        (b".RMF", rb"\0\0\0[\x10\x12]\0[\0\x01]"),
        (b"MPCKSH", rb".{5}\x08"),
        (b"MAC ", rb".\x0f\0\0\x34\0\0\0"),
        (b"DSD \x1c", rb"\0{7}"),
        (b"tBaK\x01", rb".\0\0"),
    )
}
_KNOWN_CHUNKS = frozenset(  # behind the sound, they explain the rest even where their lengths are wrong
    (
        b"LIST", b"list", b"INFO", b"id3 ", b"ID3 ", b"bext", b"cue ", b"plst", b"fact", b"PEAK", b"smpl", b"inst",
        b"cart", b"iXML", b"_PMX", b"axml", b"chna", b"JUNK", b"junk", b"PAD ", b"pad ", b"FLLR", b"DISP", b"acid",
        b"afsp", b"levl", b"umid", b"minf", b"elm1", b"regn", b"strc", b"adtl", b"labl", b"note", b"NAME", b"AUTH",
        b"(c) ", b"ANNO", b"COMT", b"MARK", b"INST", b"MIDI", b"APPL", b"AESD", b"CHAN", b"COMM", b"FVER", b"info",
        b"strg", b"uuid", b"edct", b"free", b"peak", b"kuki", b"pakt", b"chan", b"mark", b"ovvw", b"user", b"DSIG",
    )
)  # fmt: skip

_Found = tuple[tuple[Stream, ...], int | None]  # streams, and the place of a file that was appended


@dataclass(frozen=True)
class _OpenFile:
    """The state of a file, by which its streams are remembered; they are read from the file ``number``."""

    state: tuple[int, ...]
    number: int = field(compare=False)


def streams_of(file: int) -> tuple[Stream, ...]:
    """Divide an open file into the streams of sound that it holds, in order; usually it is one, the whole file.

    Raises:
        UnreadableError: more sound than declared is there, and it cannot be read.
    """
    status = os.fstat(file)
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return _streams(_OpenFile(state, file), status.st_size)


@lru_cache(maxsize=256)  # of the files that were opened last, by any thread
def _streams(opened: _OpenFile, size: int) -> tuple[Stream, ...]:
    streams: list[Stream] = []
    start: int | None = 0
    while start is not None and start < size:
        found, following = _first(Window(opened.number, Stream(start=start, stop=size)))
        streams += _moved(found, start)
        start = None if following is None else start + following
    return tuple(streams) or (Stream(start=0, stop=size),)


def _first(file: Window) -> _Found:
    """Find the streams of the file that begins here, and the place where another file was appended, if one was."""
    head = file.at(0, 12)
    match head[:4]:
        case b"RIFF" | b"RIFX" | b"RF64" | b"BW64" if head[8:] == b"WAVE":
            return _riff(file)
        case b"FORM" if head[8:] in (b"AIFF", b"AIFC"):
            return _with_length(file, _aiff(file), partial(_rest, file, ">"))
        case b"caff":
            return _with_length(file, _caf(file), partial(_rest, file, "caf"))
        case b".snd":
            return _with_length(file, _au(file), partial(_rest, file, "au"))
        case b"OggS":
            return _ogg(file)
        case b"wvpk":
            return _until(file, _next_wavpack(file))
    if head[4:8] == b"ftyp":
        return _until(file, _next_mp4(file))
    if file.at(skip_tags(file, 0) if head[:3] == b"ID3" else 0, 4) == b"fLaC":
        return _flac(file)
    if head[:3] == b"ID3" or frame_at(file.at(skip_tags(file, 0), 4)) or frames_soon(file):
        return mpeg_streams(file) or _until(file, None)[0], None
    return _until(file, _next_header(file))


def _until(file: Window, following: int | None) -> _Found:
    """Return one stream that ends where the next file begins, or at the end."""
    return (Stream(start=0, stop=file.size if following is None else following),), following


def _next_header(file: Window) -> int | None:
    """Find the next header of the kind that the file begins with."""
    begin = file.at(0, _LONGEST_BEGIN)
    for name, header in _HEADERS.items():
        if header.match(begin):
            place = file.find(name, len(name))
            while place is not None and not header.match(file.at(place, _LONGEST_BEGIN)):
                place = file.find(name, place + 1)
            return place
    return None


def _next_wavpack(file: Window) -> int | None:
    """Find the first block that begins a recording behind others, whose samples are counted on."""
    place: int | None = 0
    behind_sound = False
    while place is not None and place < file.size:
        block = file.at(place, 32)
        if block[:4] != b"wvpk" or len(block) < 32:
            place = file.find(b"wvpk", place + 1)
            continue
        length, index, samples, flags = struct.unpack("<4xI8xIII4x", block)
        if samples and flags & _WAVPACK_INITIAL and not index and not block[10] and behind_sound:
            return place
        behind_sound = behind_sound or bool(samples and flags & _WAVPACK_FINAL)
        place += 8 + length
    return None


def _next_mp4(file: Window) -> int | None:
    """Find the next file behind the sound: FFmpeg reads what the first index names."""
    place = 0
    for _ in range(_MAX_CHUNKS):
        head = file.at(place, 16)
        length = int.from_bytes(head[8:] if head[:4] == b"\0\0\0\1" else head[:4], "big")
        if place and head[4:8] == b"ftyp":
            return place
        if length < 8:
            return None
        place += length
    return None


def _ogg(file: Window) -> _Found:
    """End at the first page that begins a stream behind pages that do not: what begins together belongs together."""
    place, beginning = 0, True
    while place < file.size:
        page = file.at(place, 27 + 255 + 8)
        if page[:4] != b"OggS" or len(page) < 27:
            found = file.find(b"OggS", place + 1)
            if found is None:  # libsndfile takes zero bytes and tags behind Opus for damage
                return (Stream(start=0, stop=place),), None
            place = found
            continue
        body = 27 + page[26]
        begins = bool(page[5] & 2) and page[body : body + 8].startswith(_OGG_CODECS)
        if begins and not beginning:
            return _until(file, place)
        beginning = beginning and bool(page[5] & 2)
        place += body + sum(page[27:body])
    return _until(file, None)


def _flac(file: Window) -> _Found:
    """End at the next header of a FLAC file, without the tags before it, which libsndfile takes for damage.

    A header that declares fewer samples than follow is replaced by one that declares no number.
    """
    begin = skip_tags(file, 0)
    following = min((place for mark in _FLAC if (place := file.find(mark, begin + 4)) is not None), default=None)
    before = file.part(0, file.size if following is None else following)
    stop = without_tags(before)
    tail = max(stop - _MAX_HEADER, begin)
    tag = tail + before.at(tail, stop - tail).rfind(b"ID3")
    if following is not None and tag >= tail and skip_tags(before, tag) == stop:
        stop = tag
    if header := corrected_header(file, begin, stop):
        return (Stream(start=begin + len(header), stop=stop, header=header),), following
    return (Stream(start=0, stop=stop),), following


def _riff(file: Window) -> _Found:
    """Read the chunks of a WAV file, also RF64, BW64 and RIFX."""
    name = file.at(0, 4)
    order = ">" if name == b"RIFX" else "<"
    described, long_length = b"", 0
    for chunk, length, place in _chunks(file, order, 12, b"data"):
        match chunk:
            case b"ds64":
                long_length = int.from_bytes(file.at(place + 16, 8), "little")
            case b"fmt ":
                described = file.at(place + 8, min(length, _MAX_HEADER))
    if chunk != b"data" or len(described) < 16:
        return _until(file, None)
    begin, declared = place + 8, length
    if name in (b"RF64", b"BW64") and length == _MAX_32:
        declared = long_length
    end, following, wrong = _sound_end(file, begin, declared, partial(_rest, file, order))
    if not wrong and declared >= file.size - begin and length > _PIPED and (found := file.find(b"WAVEfmt ", begin)):
        end = following = found - 8  # joined by cat, and both were written into a pipe
    tag = int.from_bytes(described[:2], "big" if order == ">" else "little")
    if tag in _MPEG_TAGS:
        streams = mpeg_streams(file.part(begin, end))
        if wrong or len(streams) > 1 or any(stream.unbounded for stream in streams):
            return _moved(streams, begin) or _until(file, None)[0], following
    if not wrong and name != b"BW64":  # which libsndfile does not know, though it is RF64 under another name
        return _until(file, following)
    return (Stream(start=begin, stop=end, header=_riff_header(name, order, described, end - begin)),), following


def _riff_header(name: bytes, order: str, described: bytes, length: int) -> bytes:
    """Write the header of a WAV file whose sound has this many bytes: RF64 where 32 bits are too few."""
    description = b"fmt " + struct.pack(f"{order}I", len(described)) + described + bytes(len(described) % 2)
    size = 4 + len(description) + 8 + length
    if size < _MAX_32 and name in (b"RIFF", b"RIFX"):
        data = b"data" + struct.pack(f"{order}I", length)
        return name + struct.pack(f"{order}I", size) + b"WAVE" + description + data
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, size + 36, length, 0, 0)
    return struct.pack("<4sI", b"RF64", _MAX_32) + b"WAVE" + sizes + description + struct.pack("<4sI", b"data", _MAX_32)


@dataclass(frozen=True, kw_only=True)
class _Sound:
    """Where a header says that the sound lies, and how to write a header with another length."""

    begin: int  # bytes
    declared: int  # bytes
    header: Callable[[int], bytes]  # for a number of bytes of sound


def _with_length(file: Window, sound: _Sound | None, explain: Callable[[int], int | None]) -> _Found:
    """Return the stream of a sound, below a header of its true length where the file's own is wrong."""
    if sound is None:
        return _until(file, None)
    end, following, wrong = _sound_end(file, sound.begin, sound.declared, explain)
    if not wrong:
        return _until(file, following)
    return (Stream(start=sound.begin, stop=end, header=sound.header(end - sound.begin)),), following


def _aiff(file: Window) -> _Sound | None:
    *_, (chunk, length, place) = _chunks(file, ">", 12, b"SSND")
    if chunk != b"SSND" or place > _MAX_HEADER or length == 0:  # libsndfile reads all of a length of 0
        return None
    begin = place + 8

    def header(size: int) -> bytes:
        if begin + size - 8 > _MAX_32:
            raise UnreadableError(f"declares {length} bytes of sound, and holds {size}; 32 bits are too few for AIFF")
        head = bytearray(file.at(0, begin))
        head[4:8], head[place + 4 : begin] = struct.pack(">I", begin + size - 8), struct.pack(">I", size)
        return bytes(head)

    return _Sound(begin=begin, declared=length, header=header)


def _caf(file: Window) -> _Sound | None:
    *_, (chunk, length, place) = _chunks(file, "caf", 8, b"data")
    if chunk != b"data" or place > _MAX_HEADER:
        return None
    declared = length if length >= 0 else _UNKNOWN_64
    return _Sound(
        begin=place + 12, declared=declared, header=lambda size: file.at(0, place + 4) + struct.pack(">q", size)
    )


def _au(file: Window) -> _Sound | None:
    begin, declared = struct.unpack(">II", file.at(4, 8).ljust(8, b"\0"))
    if not 24 <= begin <= min(_MAX_HEADER, file.size) or declared == _MAX_32:
        return None

    def header(size: int) -> bytes:
        return file.at(0, 8) + struct.pack(">I", min(size, _MAX_32)) + file.at(12, begin - 12)

    return _Sound(begin=begin, declared=declared, header=header)


def _sound_end(
    file: Window, begin: int, declared: int, explain: Callable[[int], int | None]
) -> tuple[int, int | None, bool]:
    """Find the end of the sound that begins at a place, the next file's begin, and whether the length is wrong.

    ``explain`` returns the place of a file that was appended, the end of the file if the rest is no sound, or None.
    """
    there = file.size - begin
    if declared >= _UNKNOWN_64:
        return file.size, None, True
    if declared >= there:  # cut off, or written into a pipe: libsndfile reads what is there
        return file.size, None, False
    wrapped = declared + (there - declared >> 32 << 32)  # what 32 bits of a longer length would say
    for length in dict.fromkeys((wrapped, declared)):
        for place in dict.fromkeys((begin + length + length % 2, begin + length)):  # some programs do not pad
            explained = explain(place)
            if explained is not None:
                return begin + length, explained if explained < file.size else None, length != declared
    if there - declared < min(declared, _STRAY_SOUND):
        return file.size, None, False
    last = max(file.size - _LAST, begin + declared)
    tail = file.at(last, _LAST)
    chunks = sorted(last + place for name in _KNOWN_CHUNKS if (place := tail.find(name)) >= 0)
    # a chunk behind sound of a wrong length is known by its own length, which leads to the end
    whole = (  # in either order of bytes
        place
        for place in chunks
        if any(0 <= file.size - place - 8 - _chunk(file, place, each)[1] <= 1 for each in "<>")
    )
    ends = [place for place in whole if explain(place) == file.size]
    return min(ends, default=file.size), None, True


def _rest(file: Window, order: str, place: int) -> int | None:
    """Explain what follows the sound of a WAV, AIFF or CAF file by chunks, which AU has not; see `_sound_end`."""
    head = 12 if order == "caf" else 8  # bytes
    while not _is_end(file, place := _behind_tags(file, place)):
        chunk, length = _chunk(file, place, order)
        after, is_name = place + head + length, all(chr(each).isalnum() or each in b" _-" for each in chunk)
        unknown = chunk not in _KNOWN_CHUNKS and (after > file.size or not (is_name and chunk.isascii()))
        if order == "au" or length < 0 or unknown:
            return None
        place = after + (order != "caf" and length % 2 and file.at(after, 1) == b"\0")
    return min(place, file.size)


def _behind_tags(file: Window, place: int) -> int:
    """Skip tags and zero bytes behind the sound; a few bytes are skipped as well, and gigabytes of zeros are not."""
    left = file.size - place
    if left < _STRAY:
        return file.size
    return place if left >= _PADDING and file.at(place, 1) == b"\0" else skip_tags(file, place)


def _is_end(file: Window, place: int) -> bool:
    """Return whether the file ends at a place, or another file that was appended begins there."""
    head = file.at(place, 12)
    is_wav = head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:] == b"WAVE"
    is_aiff = head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC")
    is_other = head[:6] == b"caff\0\1" or head[:4] == b".snd" or head[:8] in _FLAC
    return place >= file.size or is_wav or is_aiff or is_other


def _moved(streams: Sequence[Stream], by: int) -> tuple[Stream, ...]:
    """Turn the places of streams in a window into those in what lies around it."""
    return tuple(replace(stream, start=by + stream.start, stop=by + stream.stop) for stream in streams)


def _chunks(file: Window, order: str, place: int, last: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give name, length and place of each chunk from a place on, up to the chunk ``last``, or until there is none."""
    for _ in range(_MAX_CHUNKS):
        chunk, length = _chunk(file, place, order)
        yield chunk, length, place
        if chunk == last or len(chunk) < 4 or length < 0:
            return
        place += 12 + length if order == "caf" else 8 + length + length % 2


def _chunk(file: Window, place: int, order: str) -> tuple[bytes, int]:
    """Read the name and length of a chunk, in the order of bytes "<" or ">", or of CAF; no name at the end."""
    if order == "caf":
        return file.at(place, 4), int.from_bytes(file.at(place + 4, 8), "big", signed=True)
    head = file.at(place, 8)
    return (head[:4], int.from_bytes(head[4:], "little" if order == "<" else "big")) if len(head) == 8 else (b"", 0)
