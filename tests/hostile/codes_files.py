"""Altered files: codes in Parquet and text that are not what they should be, and tables of recordings.

`codes_files` writes the same files for the same format, whatever machine it is on.
"""

import contextlib
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenizer.codes import CodesFormat
from tokenizer.parquet import METADATA_KEY
from wordless.audio.recordings.corpus import build_manifest
from wordless.audio.recordings.corpus_config import CorpusConfig
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError

VALUES = (None, "", "x", True, 0, -1, 1, 2.5, 10**9, 2**40, 10**30, [], {})
NAMES = ("a.wav", "b.wav")
LENGTHS = (6, 4)  # time steps


def codes_files(folder: Path, codes_format: CodesFormat, *, seed: int = 0) -> Iterator[Path]:
    """Write one file after the other into a folder; each is named after what is wrong with it."""
    good, about = codes_table(codes_format), json.dumps(asdict(codes_format)).encode()
    whole = parquet_bytes(good, about)
    files = [(f"{name}.parquet", content) for name, content in _metadata(good, codes_format)]
    files += [(f"{name}.parquet", content) for name, content in _damaged(whole, random.Random(seed))]
    files += [(f"{name}.parquet", parquet_bytes(table, about)) for name, table in _tables(good)]
    for compression in ("none", "gzip", "zstd", "brotli", "lz4"):
        files.append((f"{compression}.parquet", parquet_bytes(good, about, compression=compression)))
    lines = enumerate(_lines(random.Random(seed)))
    files += [(f"line {number}.txt", b"1 2\n" + line + b"\n") for number, line in lines]
    for name, content in files:
        (folder / name).write_bytes(content)
        yield folder / name


def codes_table(codes_format: CodesFormat) -> pa.Table:
    step, streams = codes_format.samples_per_code, codes_format.streams
    values = [[number % codes_format.codebook_size for number in range(length * streams)] for length in LENGTHS]
    return pa.table(
        {
            "path": list(NAMES), "split": ["train", "test"], "label": ["x", None], "group": pa.nulls(2, pa.string()),
            "offset_frames": pa.array([0, 0], pa.int32()),
            "num_samples": pa.array([length * step for length in LENGTHS], pa.int64()),
            "codes": pa.array(values, pa.list_(pa.int32())),
        }
    )  # fmt: skip


def parquet_bytes(table: pa.Table, about: bytes, *, compression: str = "snappy") -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: about}), sink, compression=compression)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _metadata(good: pa.Table, codes_format: CodesFormat) -> Iterator[tuple[str, bytes]]:
    truth = asdict(codes_format)
    for field in truth:
        for value in VALUES:
            about = json.dumps({**truth, field: value}).encode()
            name = f"{field} {type(value).__name__} {len(repr(value))} {value!r:.5}"
            yield name.replace("/", "_"), parquet_bytes(good, about)
        others = {name: value for name, value in truth.items() if name != field}
        yield f"without {field}", parquet_bytes(good, json.dumps(others).encode())
    for name, about in (
        ("further", json.dumps({**truth, "further": 1}).encode()),
        ("nested", b"[" * 50_000),
        ("digits", b'{"streams": ' + b"9" * 5000 + b"}"),
        ("twice", json.dumps(truth).replace("{", '{"streams": 1, ', 1).encode()),
        ("no text", b"\xff\xfe"),
        ("empty", b""),
    ):
        yield f"metadata {name}", parquet_bytes(good, about)
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
        b"x", b"-1", b"1_0", b"9" * 5000, b"a|1|x", b"\xff", b"\0", b"|", b"a|", b"{", b"[1]", b"null", b"1.5", b"1e3",
        b"nan", b"+1", "\u0663".encode(), b'{"file_name": "a", "units": [1]}',
    )  # fmt: skip
    for _ in range(20):
        yield rng.randbytes(40).replace(b"\n", b" ")


TABLE_VALUES = (
    "", " ", "0", "-1", "1.5", "1e3", "9" * 5_000, str(2**63), "nan", "inf", "\u0663", "test", "TSET", "\x00", "\x1b",
    "\u202e", "\ud800", "\u2028", '"', "'", "{}", "../a.wav", "/etc/passwd", "/dev/zero", ".", "..", "~", "x" * 5_000,
)  # fmt: skip
HEADERS = (
    *("path", "path\tlabel", "PATH\tLabel", "label", "path\tpath", "path\tlabel\tlabel", "", "\t", "\ufeffpath"),
    *("path,label", "path;label", "path label", "p\x00ath", "path\tindex\tsplit\tfold\tgroup\tlabel\tstart\tend"),
)
COLUMNS = ("path", "label", "group", "index", "fold", "split", "start", "end")


def hostile_tables(*, seed: int) -> list[tuple[str, bytes]]:
    """Names and contents: TSV, CSV, fairseq manifests and JSONL; some of them can be read."""
    rng = random.Random(seed)
    tables: list[tuple[str, str | bytes]] = []
    for column, value in itertools.product(COLUMNS, TABLE_VALUES):
        tables.append(("value.tsv", f"path\t{column}\nup/honest_1.flac\t{value}\n"))
        row = {"path": "up/honest_1.flac", column: value}
        tables.append(("value.jsonl", json.dumps(row)))
    suffixes = (".tsv", ".csv", ".txt", "")
    tables += [(f"header{end}", f"{header}\nup/honest_1.flac\tup\n") for header in HEADERS for end in suffixes]
    objects: tuple[object, ...] = (None, True, 3, 1e400, [], ["a"], {}, {"a": {"b": 1}}, "")
    for column, value in itertools.product(("path", "label", "index", "offset", "duration"), objects):
        tables.append(("object.jsonl", json.dumps({"path": "up/honest_1.flac", column: value})))
    tables += [
        ("nested.jsonl", '{"path": ' + "[" * 100_000), ("nested.jsonl", '{"path":' * 100_000),
        ("digits.jsonl", '{"path": "a", "index": ' + "9" * 5_000 + "}"), ("empty.tsv", b""), ("break.tsv", b"\n\n\n"),
        ("zeros.csv", bytes(1_000)), ("utf16.tsv", "path\tlabel\na\tb\n".encode("utf-16")),
        ("latin.tsv", "path\nä.wav\n".encode("latin-1")), ("random.tsv", rng.randbytes(2_000)),
        ("random.csv", rng.randbytes(2_000)), ("random.jsonl", rng.randbytes(2_000)),
        ("quotes.csv", 'path,label\n"up/honest_1.flac,up\n' * 10), ("field.csv", "path\n" + "x" * 200_000),
        ("columns.tsv", "\t".join(["path", *(f"c{number}" for number in range(10_000))]) + "\na\n"),
        ("returns.tsv", "path\tlabel\rup/honest_1.flac\tup\r"), ("fairseq.tsv", "/\nup/honest_1.flac\t" + "9" * 5_000),
        ("fairseq.tsv", "~nobody-of-this-name\na.wav\t1"), ("fairseq.tsv", "\x00\na.wav\t1"),
        ("fairseq.tsv", "x" * 5_000 + "\na.wav\t1"), ("twice.tsv", "path\nup/honest_1.flac\nup/honest_1.flac\n"),
        ("whole.tsv", "path\nup/honest_1.flac\ndown/honest_0.wav\n"),
    ]  # fmt: skip
    return [
        (name, content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        for name, content in tables
    ]


def outcome(root: Path, place: Path, name: str, content: bytes) -> str:
    """Build a manifest of the honest recordings below ``root`` by such a table: "read" or "refused"."""
    table = place / name
    table.write_bytes(content)
    split = SplitConfig(validation_fraction=0, test_fraction=0)
    for own in (str(root), None):
        with contextlib.suppress(InputError):
            build_manifest(CorpusConfig(root=own, table=str(table), split=split))
            return "read"
    return "refused"
