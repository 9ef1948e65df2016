"""Tables of recordings that are malformed in every way."""

import contextlib
import itertools
import json
import random
from pathlib import Path

from wordless.audio.recordings.clips import build_manifest
from wordless.audio.recordings.corpus import CorpusConfig
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError

VALUES = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e3",
        "9" * 5_000,
        str(2**63),
        "nan",
        "inf",
        "\u0663",
        "test",
        "TSET",
        "\x00",
        "\x1b",
    ),
    *(
        "\u202e",
        "\ud800",
        "\u2028",
        '"',
        "'",
        "{}",
        "../a.wav",
        "/etc/passwd",
        "/dev/zero",
        ".",
        "..",
        "~",
        "x" * 5_000,
    ),
)
HEADERS = (
    *("path", "path\tlabel", "PATH\tLabel", "label", "path\tpath", "path\tlabel\tlabel", "", "\t", "\ufeffpath"),
    *("path,label", "path;label", "path label", "p\x00ath", "path\tindex\tsplit\tfold\tgroup\tlabel\tstart\tend"),
)
COLUMNS = ("path", "label", "group", "index", "fold", "split", "start", "end")


def hostile_tables(*, seed: int) -> list[tuple[str, bytes]]:
    """Names and contents: TSV, CSV, fairseq manifests and JSONL; some of them can be read."""
    rng = random.Random(seed)
    tables: list[tuple[str, str | bytes]] = []
    for column, value in itertools.product(COLUMNS, VALUES):
        tables.append(("value.tsv", f"path\t{column}\nup/honest_1.flac\t{value}\n"))
        row = {"path": "up/honest_1.flac", column: value}
        tables.append(("value.jsonl", json.dumps(row)))
    suffixes = (".tsv", ".csv", ".txt", "")
    tables += [(f"header{end}", f"{header}\nup/honest_1.flac\tup\n") for header in HEADERS for end in suffixes]
    objects: tuple[object, ...] = (None, True, 3, 1e400, [], ["a"], {}, {"a": {"b": 1}}, "")
    for column, value in itertools.product(("path", "label", "index", "offset", "duration"), objects):
        tables.append(("object.jsonl", json.dumps({"path": "up/honest_1.flac", column: value})))
    tables += [
        ("nested.jsonl", '{"path": ' + "[" * 100_000),
        ("nested.jsonl", '{"path":' * 100_000),
        ("digits.jsonl", '{"path": "a", "index": ' + "9" * 5_000 + "}"),
        ("empty.tsv", b""),
        ("break.tsv", b"\n\n\n"),
        ("zeros.csv", bytes(1_000)),
        ("utf16.tsv", "path\tlabel\na\tb\n".encode("utf-16")),
        ("latin.tsv", "path\nä.wav\n".encode("latin-1")),
        ("random.tsv", rng.randbytes(2_000)),
        ("random.csv", rng.randbytes(2_000)),
        ("random.jsonl", rng.randbytes(2_000)),
        ("quotes.csv", 'path,label\n"up/honest_1.flac,up\n' * 10),
        ("field.csv", "path\n" + "x" * 200_000),
        ("columns.tsv", "\t".join(["path", *(f"c{number}" for number in range(10_000))]) + "\na\n"),
        ("returns.tsv", "path\tlabel\rup/honest_1.flac\tup\r"),
        ("fairseq.tsv", "/\nup/honest_1.flac\t" + "9" * 5_000),
        ("fairseq.tsv", "~nobody-of-this-name\na.wav\t1"),
        ("fairseq.tsv", "\x00\na.wav\t1"),
        ("fairseq.tsv", "x" * 5_000 + "\na.wav\t1"),
        ("twice.tsv", "path\nup/honest_1.flac\nup/honest_1.flac\n"),
        ("whole.tsv", "path\nup/honest_1.flac\ndown/honest_0.wav\n"),
    ]
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
