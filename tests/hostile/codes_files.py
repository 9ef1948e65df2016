"""Altered codes files: Parquet whose bytes, columns or metadata are not what they should be, and text that is no units.

`codes_files` writes the same files for the same format, whatever machine it is on.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.codes import CodesFormat
from tokenizer.parquet import METADATA_KEY

VALUES = (None, "", "x", True, 0, -1, 1, 2.5, 10**9, 2**40, 10**30, [], {})
NAMES = ("a.wav", "b.wav")
LENGTHS = (6, 4)  # time steps


def codes_files(folder: Path, codes_format: CodesFormat, *, seed: int = 0) -> Iterator[Path]:
    """Write one file after the other into a folder; each is named after what is wrong with it."""
    good = _table(codes_format)
    whole = _bytes(good, json.dumps(asdict(codes_format)).encode())
    for name, content in (*_metadata(good, codes_format), *_damaged(whole, random.Random(seed))):
        yield _written(folder / f"{name}.parquet", content)
    about = json.dumps(asdict(codes_format)).encode()
    for name, table in _tables(good):
        yield _written(folder / f"{name}.parquet", _bytes(table, about))
    for compression in ("none", "gzip", "zstd", "brotli", "lz4"):
        yield _written(folder / f"compressed by {compression}.parquet", _bytes(good, about, compression=compression))
    for number, line in enumerate(_lines(random.Random(seed))):
        yield _written(folder / f"line {number}.txt", b"ok|1 2\n" + line + b"\n")


def _table(codes_format: CodesFormat) -> pa.Table:
    step, streams = codes_format.samples_per_code, codes_format.streams
    values = [[number % codes_format.codebook_size for number in range(length * streams)] for length in LENGTHS]
    return pa.table(
        {
            "path": list(NAMES),
            "split": ["train", "test"],
            "label": ["x", None],
            "group": pa.nulls(2, pa.string()),
            "offset_frames": pa.array([0, 0], pa.int32()),
            "num_samples": pa.array([length * step for length in LENGTHS], pa.int64()),
            "values": pa.array(values, pa.list_(pa.int32())),
        }
    )


def _bytes(table: pa.Table, about: bytes, *, compression: str = "snappy") -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: about}), sink, compression=compression)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _metadata(good: pa.Table, codes_format: CodesFormat) -> Iterator[tuple[str, bytes]]:
    truth = asdict(codes_format)
    for field in truth:
        for value in VALUES:
            about = json.dumps({**truth, field: value}).encode()
            yield (
                f"{field} {type(value).__name__} {len(repr(value))} {value!r:.5}".replace("/", "_"),
                _bytes(good, about),
            )
        yield f"without {field}", _bytes(good, json.dumps({k: v for k, v in truth.items() if k != field}).encode())
    for name, about in (
        ("further", json.dumps({**truth, "further": 1}).encode()),
        ("nested", b"[" * 50_000),
        ("digits", b'{"streams": ' + b"9" * 5000 + b"}"),
        ("twice", json.dumps(truth).replace("{", '{"streams": 1, ', 1).encode()),
        ("no text", b"\xff\xfe"),
        ("empty", b""),
    ):
        yield f"metadata {name}", _bytes(good, about)
    sink = pa.BufferOutputStream()
    pq.write_table(good.replace_schema_metadata(None), sink)
    yield "no metadata", sink.getvalue().to_pybytes()


def _damaged(whole: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "zeros", bytes(len(whole))
    yield "random", rng.randbytes(len(whole))
    yield "twice the same", whole * 2
    yield "marks alone", b"PAR1" + (2**31 - 1).to_bytes(4, "little") + b"PAR1"
    yield "encrypted", whole[:-4] + b"PARE"
    for number in range(20):
        yield f"cut {number}", whole[: rng.randrange(len(whole))]
    for number in range(60):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield f"flipped {number}", bytes(content)


def _tables(good: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    for name in good.column_names:
        yield f"no column {name}", good.drop_columns([name])
        yield f"{name} twice", good.append_column(name, good.column(name))
        for what, values in (
            ("nulls", pa.nulls(2)),
            ("numbers", pa.array([1.5, 2.5])),
            ("bytes", pa.array([b"\xff", b"a"])),
            ("negative", pa.array([-1, -(2**62)])),
            ("lists", pa.array([[1], None])),
            ("gaps", pa.array([[1, None], [2]], pa.list_(pa.int32()))),
            ("far outside", pa.array([[2**31 - 1] * LENGTHS[0], [-5] * LENGTHS[1]], pa.list_(pa.int32()))),
        ):
            yield f"{name} of {what}", good.set_column(good.column_names.index(name), name, values)
    yield "no rows", good.slice(0, 0)
    yield "paths alike", good.set_column(0, "path", pa.array(["a.wav", "a.wav"]))
    yield "paths outside", good.set_column(0, "path", pa.array(["/etc/x", "../../y"]))


def _lines(rng: random.Random) -> Iterator[bytes]:
    yield from (
        b"a|x",
        b"a|-1",
        b"a|1_0",
        b"a|" + b"9" * 5000,
        b"a|1|x",
        b"\xff",
        b"\0",
        b"|",
        b"a|",
        b"{",
        b"[1]",
        b"null",
    )
    for value in (
        "1",
        '"1"',
        "null",
        "[1.5]",
        "[[1]]",
        "[NaN]",
        '[{"a": 1}]',
        "[" * 50_000,
        "9" * 5000,
        "[1e400]",
        "[-1]",
    ):
        yield b'{"file_name": "a", "units": ' + value.encode() + b"}"
    for name in ("1", "null", '"\\ud800"', '"a\\u0000"', '""', "[]"):
        yield b'{"file_name": ' + name.encode() + b', "units": [1]}'
    for _ in range(20):
        yield rng.randbytes(40).replace(b"\n", b" ")
