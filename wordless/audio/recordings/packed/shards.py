"""Recordings in WebDataset shards: tar files in which the members of a sample share the name before a dot.

``a/0001.flac`` is the recording, ``a/0001.cls``, ``a/0001.txt`` and ``a/0001.json`` are its facts, in any order. Names
may hold further dots. The ending is what follows the last one: ``008 Track 2.0.json`` is about ``008 Track 2.0.flac``.
WebDataset itself divides names at the first dot: ``a.json`` is about ``a.left.flac`` and ``a.right.flac``, too.

The standard library reads shards: `webdataset` would decode members by their endings, and some of its endings are
pickles.
"""

import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import PurePosixPath

from wordless.audio.recordings.folders import EXTENSIONS
from wordless.audio.recordings.manifest import writable
from wordless.audio.recordings.packed.files import Broken, DamageError, Facts, PackedFile, Parts, Sound
from wordless.audio.recordings.packed.rows import as_text
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.json_values import parse_json
from wordless.base.text import counted

TEXTS = ("cls", "txt", "text", "transcript", "id", "index")  # endings of members that hold one value
JSON = "json"
MOST_KINDS, MORE_KINDS = 20, "others"  # unknown endings of members that are listed, and the name of all further ones
MAX_FACT_BYTES = 1 << 20  # of a member that is no recording
MAX_PARTS, MAX_PART_BYTES, MAX_BYTES = 32, 200, 1024  # of a name; file systems take 255 bytes between two "/"
BLOCK = 1 << 20  # bytes read at once
_SAMPLE = re.compile(r"((?:.*/)?[^./][^/]*)\.([^./]+)", re.DOTALL)  # key and ending
_HIDDEN = re.compile(r"(?:.*/)?\.[^/]*", re.DOTALL)
_COMPRESSED = (b"\x1f\x8b", b"BZ", b"\xfd7")  # first bytes of gzip, bzip2 and xz
_ERRORS = (tarfile.TarError, EOFError, zlib.error, LZMAError, OSError, ValueError, OverflowError)


def read_shard(file: PackedFile) -> Parts:
    """Give the sounds and facts of a shard in its order, and its members with unsafe names as broken."""
    others = _Others()
    try:
        with (
            open_regular(file.path) as handle,
            _reading(),
            os.fdopen(os.dup(handle), "rb") as source,
            tarfile.open(fileobj=source, mode="r:*") as archive,
        ):
            seen: set[str] = set()
            while member := archive.next():
                yield from _member(archive, member, seen, others)
                archive.members = []  # type: ignore[attr-defined]  # a list that grows with the shard otherwise
            _require_end(handle, archive)
    except DamageError as error:
        yield Broken(name="the rest of the shard", reason=str(error))
    except OSError as error:
        yield Broken(name="the shard", reason=f"cannot be read: {error.strerror or error}")
    yield from others.parts()


class _Others:
    """Members with unknown endings, which somebody may have meant as sounds or facts."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, name: str, ending: str) -> None:
        kind = f"*.{ending}" if ending else "*"
        kind = kind if kind in self._counts or len(self._counts) < MOST_KINDS else MORE_KINDS
        self._counts[kind] += 1
        self._first.setdefault(kind, name)

    def parts(self) -> Parts:
        """Give a part for each ending."""
        for kind, count in self._counts.items():
            first = f"such as {self._first[kind]}" if count > 1 else self._first[kind]
            reason = f"not read, because the ending is not one of sound or facts: {counted(count, 'member')}, {first}"
            yield Broken(name=kind, reason=reason)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, seen: set[str], others: _Others) -> Parts:
    name = member.name
    if member.isdir():
        return
    if reason := _fault(member):
        yield Broken(name=name, reason=reason)
        return
    if _HIDDEN.fullmatch(name):
        return
    sample = _SAMPLE.fullmatch(name)
    key, ending = (sample[1], sample[2].lower()) if sample else (name, "")
    if ending not in (*EXTENSIONS, *TEXTS, JSON):
        others.add(name, ending)
        return
    if name.casefold() in seen:
        yield Broken(name=name, reason="another member of the shard has the same name", key=key)
        return
    seen.add(name.casefold())
    if ending in (*TEXTS, JSON):
        yield _facts(archive, member, key, ending)
    else:
        yield Sound(name=name, key=key, blocks=_blocks(archive, member))


def _fault(member: tarfile.TarInfo) -> str | None:
    """Return why a member must not be unpacked: it is no regular file, or its name is no place in a folder."""
    parts = member.name.split("/")
    if member.issym() or member.islnk():
        return f"it is a link to {member.linkname!r:.100}"
    if not member.isreg() or member.issparse():
        return "it is not a regular file"
    if not writable(member.name) or not member.name.isprintable():
        return "its name holds control characters or bytes that are not UTF-8"
    if member.name.startswith("/") or PurePosixPath(member.name).is_absolute():
        return "its name is absolute"
    if ".." in parts or "\\" in member.name or re.match(r"[A-Za-z]:", member.name):
        return "its name leads out of the shard"
    if len(parts) > MAX_PARTS or len(member.name.encode()) > MAX_BYTES or len(_longest(parts)) > MAX_PART_BYTES:
        return "its name is too long"
    return None


def _longest(parts: list[str]) -> bytes:
    return max((part.encode() for part in parts), key=len)


def _facts(archive: tarfile.TarFile, member: tarfile.TarInfo, key: str, ending: str) -> Facts | Broken:
    if member.size > MAX_FACT_BYTES:
        return Broken(name=member.name, reason=f"it has {member.size} bytes, more than {MAX_FACT_BYTES}", key=key)
    content = b"".join(_blocks(archive, member))
    try:
        if ending != JSON:
            return Facts(key=key, fields={ending: text} if (text := as_text(content.decode("utf-8-sig"), None)) else {})
        values = parse_json(content)
    except (InputError, UnicodeDecodeError) as error:
        told = str(error) if isinstance(error, InputError) else "is not text in UTF-8"
        return Broken(name=member.name, reason=f"it {told}", key=key)
    if not isinstance(values, dict):
        return Broken(name=member.name, reason="it is not a JSON object", key=key)
    texts = {str(name): as_text(value, None) for name, value in values.items() if not isinstance(value, dict)}
    return Facts(key=key, fields={name: text for name, text in texts.items() if text and name not in TEXTS})


def _blocks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Give the bytes of a member.

    Raises:
        DamageError: the shard ends within the member, or its compression is damaged.
    """
    with _reading():
        file = archive.extractfile(member)
        if file is None:  # a member that is no file has a fault
            raise DamageError("it is not a regular file")
        left = member.size
        while left:
            block = file.read(min(left, BLOCK))
            if not block:
                raise DamageError("the shard ends within it")
            left -= len(block)
            yield block


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _ERRORS as error:
        raise DamageError(f"cannot be read: {' '.join(str(error).split()):.200}") from error


def _require_end(handle: int, archive: tarfile.TarFile) -> None:
    """Refuse a shard that goes on behind the last header that `tarfile` understands, which takes this for the end."""
    compressed = os.pread(handle, 2, 0) in _COMPRESSED  # its own checksums say whether it is whole
    if not compressed and os.pread(handle, 512, archive.offset) != bytes(512):
        raise DamageError("its end mark is not there: the shard is cut off, or damaged from here on")
