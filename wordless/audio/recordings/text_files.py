"""The text of tables, lists and annotations as programs write them: UTF-8 or UTF-16, with any line ends."""

from codecs import getincrementaldecoder
from pathlib import Path

from wordless.audio.windows import foreign_kind
from wordless.base.errors import InputError

MAX_BYTES = 1 << 28  # of a file of annotations
_HEAD = 1 << 16  # bytes that show whether a text may hold annotations
_MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_OTHERS = (  # first bytes -> what the file is, and what to do
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook: save the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook: save the table as CSV"),
    (b"PAR1", "is a Parquet file: give it as `dataset` if it holds sound, or save the table as CSV"),
)
_XML = (b"<!doctype", b"<!--", b"<?xml")
_LOOKED_AT = 400  # bytes


def read_text(path: Path, *, option: str) -> str:
    r"""Return the text of a table or list, which ``option`` names, with ``\n`` at the ends of its lines.

    Raises:
        InputError: the file cannot be read, is of another kind, or is no text.
    """
    try:
        if path.is_char_device() or path.is_block_device():  # reading /dev/zero never ends; a pipe of a shell ends
            raise InputError(option=option, value=path, rule="it is a device: name a file")
        content = path.read_bytes()
    except OSError as error:
        rule = f"it cannot be read: {error.strerror}"
        raise InputError(option=option, value=path, rule=rule, remedy="check the path") from error
    except InputError:
        raise
    except ValueError as error:  # the path has a null character, or a character that UTF-8 cannot encode
        raise InputError(option=option, value=repr(str(path)), rule="it is not a path: name a file") from error
    _require_text(content, str(path))
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not {encoding[:6].upper()}; save the table as UTF-8 text") from error
    text = text.removeprefix("\ufeff")
    return text if "\n" in text else text.replace("\r", "\n")


def read_annotation_text(path: Path, *, head: bool = False) -> str:
    r"""Return the text of a file of annotations with ``\n`` at the ends of its lines; what is no Unicode is Latin-1.

    With ``head``, of a file of more than 64 KB only the first lines are read.
    """
    content = read_annotation_bytes(path, head=head)
    cut = head and len(content) == _HEAD
    encoding = _encoding(content)
    decoder = getincrementaldecoder(encoding)("strict" if encoding == "utf-8" else "replace")
    try:
        text = decoder.decode(content, final=not cut)  # the last character of the head may be cut off
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text.rpartition("\n")[0] if cut else text


def read_annotation_bytes(path: Path, *, xml: bool = False, head: bool = False) -> bytes:
    """Read the bytes of a file of annotations, which may be an XML document, or its ``head`` alone.

    Raises:
        InputError: the file is too long, or of another kind: a Git LFS pointer, a web page...
    """
    with path.open("rb") as file:
        content = file.read(_HEAD if head else MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path.name}:1: more than {MAX_BYTES >> 20} MiB of text; divide the file")
    _require_text(content, path.name, xml=xml)
    return content


def _require_text(content: bytes, shown: str, *, xml: bool = False) -> None:
    """Refuse the content of files of other kinds; ``shown`` names the file, which may be an XML document."""
    begin = content[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = next((kind for start, kind in _OTHERS if content.startswith(start)), None) or foreign_kind(content)
    if kind is None and not xml and begin.startswith(_XML):
        kind = "is a web page or an XML document: download the text itself"
    if kind:
        raise InputError(f"{shown}:1: it {kind}{'' if ': ' in kind else ': give the text file itself'}")


def _encoding(content: bytes) -> str:
    """Return the encoding that the first bytes show."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    begin = content[:_LOOKED_AT]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):  # every second byte of Latin letters is zero
        if len(begin) >= 4 and begin[first::2].count(0) > len(begin) / 3 and 0 not in begin[1 - first :: 2]:
            return encoding
    return "utf-8"
