"""Memory that a Parquet file needs, computed from its footer and page headers before Arrow reads it.

Arrow trusts a file: a page declares its size, and a kilobyte of run lengths may stand for a billion numbers. Arrow's
own view of a footer ends the process if statistics in it are damaged. So this module parses both by itself, as
https://github.com/apache/parquet-format specifies them, in Thrift's compact protocol::

    PAR1 | page header, page | page header, page | ... | footer | length of the footer | PAR1
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from wordless.base.errors import InputError

MAGIC, ENCRYPTED = b"PAR1", b"PARE"
MAX_FOOTER = 1 << 26  # bytes
MAX_PAGE_HEADER = 1 << 16  # bytes
MAX_DEPTH = 16  # structs within structs

Struct = dict[int, object]  # field number -> value
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """The size of one row group in memory."""

    rows: int
    values: int  # of its longest column, counting each number of a list
    size: int  # bytes of its pages, uncompressed


def row_groups(file: Path) -> list[RowGroup]:
    """Read the sizes of a Parquet file's row groups."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        footer = _Reader(_footer(opened, size)).struct()
        groups = [(_field(each, 3, int), _structs(each, 1)) for each in _structs(footer, 4)]
        chunks = [[_chunk(opened, size, column) for column in columns] for _, columns in groups]
    return [
        RowGroup(rows=rows, values=max((values for values, _ in own), default=0), size=sum(size for _, size in own))
        for (rows, _), own in zip(groups, chunks, strict=True)
    ]


def _footer(opened: BinaryIO, size: int) -> bytes:
    opened.seek(max(size - 8, 0))
    end = opened.read(8)
    if end[4:] == ENCRYPTED:
        raise InputError("it is encrypted")
    length = int.from_bytes(end[:4], "little")
    if len(end) < 8 or end[4:] != MAGIC or not 0 < length <= min(size - 12, MAX_FOOTER):
        raise InputError("it has no footer")
    opened.seek(size - 8 - length)
    return opened.read(length)


def _chunk(opened: BinaryIO, size: int, column: Struct) -> tuple[int, int]:
    """Return the values of one column of a row group and their bytes: the larger of page headers and footer."""
    about = _field(column, 3, dict)
    values, uncompressed = _field(about, 5, int), _field(about, 6, int)
    start, length = _field(about, 9, int), _field(about, 7, int)
    if 11 in about:  # a dictionary precedes the data
        start = min(start, _field(about, 11, int))
    if 1 in column or not 0 < start <= start + length <= size or min(values, uncompressed) < 0:
        raise InputError("a column lies outside the file")
    in_pages, of_pages = 0, 0
    for numbers, becomes in _pages(opened, start, start + length):
        in_pages, of_pages = in_pages + numbers, of_pages + becomes
    return max(values, in_pages), max(uncompressed, of_pages)


def _pages(opened: BinaryIO, place: int, end: int) -> Iterator[tuple[int, int]]:
    """Give values and uncompressed bytes of each page."""
    while place < end:
        opened.seek(place)
        reader = _Reader(opened.read(min(MAX_PAGE_HEADER, end - place)))
        header = reader.struct()
        becomes, takes = _field(header, 2, int), _field(header, 3, int)
        data = next((_field(header, number, dict) for number in (5, 8) if number in header), None)
        values = 0 if data is None else _field(data, 1, int)
        if min(becomes, takes, values) < 0 or place + reader.place + takes > end:
            raise InputError("a page lies outside its column")
        yield values, becomes
        place += reader.place + takes


def _structs(struct: Struct, number: int) -> list[Struct]:
    values = _field(struct, number, list)
    if not all(isinstance(value, dict) for value in values):
        raise InputError("its footer is damaged")
    return values


def _field(struct: Struct, number: int, kind: type[T]) -> T:
    value = struct.get(number)
    if type(value) is not kind:
        raise InputError("its footer is damaged")
    return value


class _Reader:
    """A parser of Thrift's compact protocol."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def struct(self, depth: int = 0) -> Struct:
        """Read the fields of a struct."""
        if depth > MAX_DEPTH:
            raise InputError("its footer is nested too deeply")
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> object:
        match kind:
            case 1 | 2 | 3:  # booleans in a list, and bytes
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self.struct(depth + 1)
            case _:  # the format has no maps
                raise InputError("its footer is damaged")

    def _list(self, depth: int) -> list[object]:
        head = self._byte()
        count = self._unsigned() if head >> 4 == 15 else head >> 4
        if count > len(self.content) - self.place:
            raise InputError("its footer is damaged")
        return [self._value(head & 15, depth) for _ in range(count)]

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)  # zigzag: 0, -1, 1, -2, ...

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise InputError("its footer is damaged")

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _bytes(self, count: int) -> bytes:
        taken = self.content[self.place : self.place + count]
        if len(taken) < count:
            raise InputError("its footer is damaged")
        self.place += count
        return taken
