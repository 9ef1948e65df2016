"""Files that are named like recordings and hold something else: what they are, and how to get the recording."""

from __future__ import annotations

import re

from wordless.audio.windows import Window

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_COMPRESSED_SPHERE = re.compile(rb"^sample_coding -s\d+ .*embedded-(shorten|shortpack|wavpack)", re.MULTILINE)
HEADERLESS = ("raw", "pcm", "vox", "sln", "gsm", "g722")  # kinds of files that hold samples alone
_HEAD = 1024  # bytes that are looked at
_TEXT = re.compile(rb"[\t\n\r\f\x1b\x20-\x7e\x80-\xff]+")
_MAGIC = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"BZh", "compressed by bzip2: unpack it"),
    (b"\xfd7zXZ\0", "compressed by xz: unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"MThd", "a MIDI file, which holds notes and no sound"),
    (b"\x7fELF", "a program"),
)


def compressed_sphere(file: Window) -> str | None:
    """Recognise a SPHERE file whose samples are compressed, which libsndfile does not read."""
    head = file.at(0, _HEAD)
    found = _COMPRESSED_SPHERE.search(head) if head.startswith(b"NIST_1A") else None
    if found is None:
        return None
    return f"is a SPHERE file compressed by {found[1].decode()}: convert it by sph2pipe -f wav IN.sph OUT.wav"


def foreign_content(file: Window, suffix: str) -> str | None:
    """Say what a file is that no decoder recognises; None if it may be a damaged recording."""
    if suffix in HEADERLESS:
        return "holds samples without a header, whose rate and kind only you know: convert it to WAV, such as by sox"
    head = file.at(0, _HEAD)
    if head.startswith(_LFS):
        return "is a Git LFS pointer, and not the recording: run git lfs pull"
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return "is an HTML page, and not a recording: download it again"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return f"is {kind}"
    if head and not head.strip(b"\0") and _only_zeros(file):
        return f"holds {file.size} zero bytes, and nothing else: copy or download it again"
    text = head.removeprefix(b"\xef\xbb\xbf")
    if not _TEXT.fullmatch(text):
        return None
    try:
        text.decode() if len(text) < _HEAD else text[:-4].decode()
    except UnicodeDecodeError as error:
        if error.start < len(text) - 8:
            return None
    beginning = " ".join(text.decode(errors="replace").split())
    kind = "JSON" if beginning[:1] in ("{", "[") else "XML" if beginning.startswith("<") else "text"
    return f"is {kind}, and not a recording: it begins with {beginning[:40]!r}"


def _only_zeros(file: Window) -> bool:
    place = 0
    while chunk := file.at(place, 1 << 20):
        if chunk.count(0) < len(chunk):
            return False
        place += len(chunk)
    return True
