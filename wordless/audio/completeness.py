r"""Whether a file holds all that its structure declares. Nothing is decoded, so damage is found before sound is used.

::

    Ogg    page 0 | page 1 | ... | page n with the mark of the end      checksums, numbers and the mark are compared
    MP4    length, box | length, box | length, b                        a box that ends behind the file was cut off
    MP3    frame with the number of frames | frame | ... | fra          packets are counted, the last one is measured
"""

import os
import re
import zlib
from collections.abc import Callable

_UNKNOWN = 0x7EFF_0000  # larger 32-bit lengths mean unknown
_MOST_ELEMENTS = 1 << 20  # that are looked at
_HEAD = 1024  # bytes

Length = Callable[[bytes], int]  # from the first bytes of an element to its length, 0: it declares none


def sound_in(file: int) -> tuple[int, int, str]:
    """Say where the sound of a file begins, how many streams it has if it is Ogg, and how it is damaged; empty: not."""
    start = behind_tags(file)
    if os.pread(file, 4, start) == b"OggS":
        return start, *ogg_links(file, start)
    return start, 0, missing_end(file)


def missing_end(file: int) -> str:
    """Say by how much a file is shorter than its boxes, chunks or elements declare; empty: by nothing."""
    size, head = os.fstat(file).st_size, os.pread(file, _HEAD, 0)
    kind = next((each for each in _KINDS if re.match(each[0], head)), None)
    if kind is None:
        return ""
    _, start, length = kind
    place = start(head)
    for _ in range(_MOST_ELEMENTS if length else 0):
        element = length(os.pread(file, 32, place).ljust(32, b"\0")) if length and place < size else 0
        if not element:
            break
        place += element
    return f"its structure declares {place} bytes, and the file has {size}" if place > size else ""


def _box(head: bytes) -> int:  # MP4, MOV
    length = int.from_bytes(head[:4], "big")
    if not re.match(rb"[\w \xa9-]{4}", head[4:]):
        return 0
    return int.from_bytes(head[8:16], "big") if length == 1 else length if length >= 8 else 0


def _element(head: bytes) -> int:  # Matroska, WebM
    named = 1 if head[:1] in (b"\xec", b"\xbf") else 4  # bytes of the name; of empty space and checksums 1
    sized = 9 - head[named].bit_length()  # bytes of the length
    if (named == 4 and head[0] >> 4 != 1) or sized > 8:
        return 0
    most = (1 << 7 * sized) - 1
    length = int.from_bytes(head[named : named + sized], "big") & most
    if length == most:  # unknown: what is in a segment is looked at
        return named + sized if head.startswith(b"\x18\x53\x80\x67") else 0
    return named + sized + length


def _riff(head: bytes) -> int:  # AVI, whose parts of 1 GB follow each other; MP3 in WAV
    length = int.from_bytes(head[4:8], "little")
    return 8 + length if head.startswith(b"RIFF") and 0 < length < _UNKNOWN else 0


def _object(head: bytes) -> int:  # ASF, WMA
    length = int.from_bytes(head[16:24], "little")
    return length if head[4:8] == b"\x8e\x66\xcf\x11" and 24 <= length < 1 << 62 else 0


def _caf_chunk(head: bytes) -> int:
    length = int.from_bytes(head[4:12], "big")
    return 12 + length if re.match(rb"(?!caff)[\w ]{4}", head) and length < 1 << 62 else 0


def _voc_block(head: bytes) -> int:
    return 4 + int.from_bytes(head[1:4], "little") if 0 < head[0] < 10 else 0


def _sphere_end(head: bytes) -> int:
    """Return where the samples of a SPHERE file end; 0 for compressed ones."""
    fields = dict(re.findall(rb"(\w+) -i (\d{1,18})\s", head))
    header = re.match(rb"NIST_1A\s+(\d{1,9})\s", head)
    wanted = (b"sample_count", b"channel_count", b"sample_n_bytes")
    if header is None or b"embedded" in head or not all(each in fields for each in wanted):
        return 0
    count, channels, width = (int(fields[each]) for each in wanted)
    return int(header[1]) + count * channels * width


# First bytes of a kind, its first element, and how its elements tell their lengths.
_KINDS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], int], Length | None], ...] = (
    (re.compile(rb"(?s).{4}(ftyp|moov|mdat|wide|free|skip)"), lambda _: 0, _box),
    (re.compile(rb"\x1a\x45\xdf\xa3"), lambda _: 0, _element),
    (re.compile(rb"(?s)RIFF.{4}(AVI |WAVEfmt .{4}\x55\0)"), lambda _: 0, _riff),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), lambda _: 0, _object),
    (re.compile(rb"caff"), lambda _: 8, _caf_chunk),
    (re.compile(rb"Creative Voice File"), lambda head: int.from_bytes(head[20:22], "little"), _voc_block),
    (re.compile(rb"NIST_1A"), _sphere_end, None),
)


def behind_tags(file: int) -> int:
    """Return the place of the first byte behind ID3v2 tags."""
    place = 0
    while (tag := os.pread(file, 10, place)).startswith(b"ID3") and len(tag) == 10:
        place += 10 + sum((byte & 127) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
    return place


# Ogg

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_FIRST, _LAST = 2, 4  # marks of the first and last page of a stream
_TAIL = 1 << 16  # bytes behind a stream, among which another one may begin
WHOLE_OGG = "if nothing is missing, ffmpeg -i IN -c copy OUT sets the mark"


def ogg_links(file: int, place: int) -> tuple[int, str]:
    """Count the streams that follow each other in an Ogg file, and say how it is damaged; empty: it is not."""
    size, links, begun = os.fstat(file).st_size, 0, True
    numbers = dict[bytes, int]()  # of the next page, of each stream that goes on
    while True:
        head = os.pread(file, 27 + 255, place)
        if not head.startswith(b"OggS\0"):
            found = os.pread(file, _TAIL, place).find(b"OggS\0") if links and not numbers else -1
            if found < 0:
                break
            place += found
            continue
        table = 27 + head[26] if len(head) > 26 else 27
        end = place + table + sum(head[27:table])
        if end > size:
            return links, f"its last page is cut off at byte {size}"
        page = os.pread(file, end - place, place)
        marks, serial, number = page[5], page[14:18], int.from_bytes(page[18:22], "little")
        if _checksum(page) != page[22:26]:
            return links, f"the checksum of the page at byte {place} is another"
        if marks & _FIRST:
            if numbers and not begun:
                return links, f"the mark of the end is missing before byte {place}; {WHOLE_OGG}"
            links += not numbers
            begun = True
        elif numbers.get(serial) != number:
            return links, f"pages are missing before byte {place}"
        else:
            begun = False
        numbers[serial] = number + 1 & 0xFFFF_FFFF
        if marks & _LAST:
            del numbers[serial]
        place = end
    if numbers and place < size:
        return links, f"no page begins at byte {place}"
    return links, f"its end is missing, because its last page lacks the mark of the end; {WHOLE_OGG}" if numbers else ""


def _checksum(page: bytes) -> bytes:
    """Compute the checksum of an Ogg page: CRC-32 without reflection, which is that of zlib of reversed bytes."""
    reversed_page = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    return (zlib.crc32(reversed_page, 0xFFFF_FFFF) ^ 0xFFFF_FFFF).to_bytes(4, "big").translate(_REVERSED)


# MPEG audio

_KBIT = {  # (version 1, layer) -> kbit/s of each index
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KBIT[False, 3] = _KBIT[False, 2]


def begins_frame(head: bytes) -> bool:
    """Return whether MPEG audio or ADTS begins here: eleven bits are set."""
    return head[:1] == b"\xff" and head[1:2] >= b"\xe0"


def frame_bytes(head: bytes) -> int:
    """Return the length of a frame of MPEG audio; 0: its header does not say, or is none."""
    if not begins_frame(head) or len(head) < 4:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)  # 3: version 1; 2: version 2; 0: version 2.5
    index, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return 0
    hertz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBIT[version == 3, layer][index]
    if layer == 1:
        return 4 * (12 * bits // hertz + padding)
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def declared_frames(head: bytes) -> int:
    """Return the number of frames that the first frame of an MP3 declares (Xing, Info, VBRI); 0: it does not say."""
    if found := re.search(rb"(?s)(?:Xing|Info)...([\0-\xff])(....)", head[4:64]):
        return int.from_bytes(found[2], "big") if found[1][0] & 1 else 0
    return int.from_bytes(head[50:54], "big") if head[36:40] == b"VBRI" else 0
