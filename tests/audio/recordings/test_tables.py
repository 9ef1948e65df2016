"""Tables: each format that is read, and errors that name file and line."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio.recordings.description import Description, Span
from audio.recordings.tables import Row, read_table
from foundation.errors import InputError


def rows(folder: Path, name: str, text: str | bytes) -> tuple[Row, ...]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path).rows


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.tsv", "path\tlabel\tgroup\tindex\tfold\tsplit\nx/a 1.wav\tup\tanna\t3\t1\tdev\n"),
        ("t.csv", 'Path,Label,Group,Index,Fold,Split,Other\r\n"x/a 1.wav",up,anna,3,1,valid,"a, b"\r\n\r\n'),
        ("t.csv", b"\xef\xbb\xbfsplit,path,fold,index,group,label\nVAL,x/a 1.wav,1,3,anna,up"),
        ("t.csv", b'\xef\xbb\xbfPath;Label;Group;Index;Fold;Split;Other\r\n"x/a 1.wav";up;anna;3;1;dev;"a; b, c"\r\n'),
        ("t.csv", "path\tlabel\tgroup\tindex\tfold\tsplit\nx/a 1.wav\tup\tanna\t3\t1\tdev\n"),
        ("t.jsonl", '{"audio_filepath": "x/a 1.wav", "duration": 1.5, "command": "up", "speaker": "anna", "index": 3, '
         '"fold": 1, "split": "validation", "text": null}\n\n'),
    ],
)  # fmt: skip
def test_each_format_says_the_same(tmp_path: Path, name: str, text: str | bytes) -> None:
    (row,) = rows(tmp_path, name, text)
    assert row.path == "x/a 1.wav"
    assert row.description == Description(label="up", group="anna", index=3, fold="1", split="validation")


def test_a_table_with_semicolons_has_decimal_commas(tmp_path: Path) -> None:
    first, second = rows(tmp_path, "t.csv", 'path;start;end;label\r\n"a, b.wav";2,5;4,25;up, down\r\na.wav;3.5;;up\r\n')
    assert first.path == "a, b.wav"
    assert first.description == Description(label="up, down", span=Span(start=2.5, end=4.25))
    assert second.description == Description(label="up", span=Span(start=3.5, end=None))


def test_a_fairseq_manifest_names_its_root(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("/data/audio\na.wav\t16000\nb/c.flac\t3200\n")
    table = read_table(tmp_path / "train.tsv")
    assert table.root == "/data/audio"
    assert [row.path for row in table.rows] == ["a.wav", "b/c.flac"]
    assert table.rows[1].where.endswith("train.tsv:3")


def test_empty_cells_say_nothing(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "t.tsv", "path\tlabel\tindex\na.wav\t\t\n")
    assert row.description == Description()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "file,label\na.wav,up\n", r"t\.csv:1: the header is \['file', 'label'\]; it needs path"),
        ("t.csv", "path,label\na.wav\n", r"t\.csv:2: 1 values under a header of 2 columns"),
        ("t.csv", 'path\n"a.wav\n', r"t\.csv:2: unexpected end"),
        ("t.tsv", "path\tindex\na.wav\tthree\n", r"t\.tsv:2: index is 'three'; it must be a whole number"),
        ("t.tsv", "path\tsplit\na.wav\ttest\nb.wav\ttset\n", r"t\.tsv:3: split is 'tset'; write one of train"),
        ("t.tsv", "path\tlabel\n\tup\n", r"t\.tsv:2: no path"),
        ("t.csv", 'path,label\na.wav,"two\nlines"\n', r"t\.csv:3: label is 'two\\nlines'"),
        ("t.tsv", "/root\na.wav\tlong\n", r"t\.tsv:2: 'a\.wav\\tlong'; a fairseq manifest"),
        ("t.jsonl", '{"audio_filepath": "a"}\n{"audio_filepath": \n', r"t\.jsonl:2: not JSON"),
        ("t.jsonl", "[1]\n", r"t\.jsonl:1: .*one JSON object"),
        ("t.jsonl", '{"label": "up"}\n', r"t\.jsonl:1: no path"),
        ("t.csv", b"path\na.wav\n\xff.wav\n", r"t\.csv:3: not UTF-8"),
        ("t.tsv", "path\tindex\na.wav\t" + "9" * 5000, r"t\.tsv:2: index is '9{30,40}; it must be a whole number"),
        ("t.tsv", f"path\tindex\na.wav\t{2**63}", r"t\.tsv:2: index is '9223372036854775808'; it must be"),
        ("t.csv", "path,label,path\na.wav,up,b.wav\n", r"t\.csv:1: the header names path twice"),
        ("t.jsonl", "[" * 100_000, r"t\.jsonl:1: not JSON \(too deeply nested\)"),
        ("t.jsonl", '{"path": "a", "label": ' + '{"a": ' * 100_000 + "1", r"not JSON \(too deeply nested\)"),
        ("t.jsonl", '{"path": {"of": "a"}}', r't\.jsonl:1: path is {"of": "a"}; it must be text'),
        ("t.jsonl", '{"path": 3}', r"t\.jsonl:1: path is 3; it must be text"),
        ("t.jsonl", '{"path": "a", "label": ["up"]}', r't\.jsonl:1: label is \["up"\]; it must be text or a number'),
        ("t.jsonl", '{"path": "a", "index": ' + "9" * 5000 + "}", r"t\.jsonl:1: not JSON"),
    ],
)
def test_problems_name_the_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(tmp_path, name, text)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.table=.*none\.tsv cannot be read"):
        read_table(tmp_path / "none.tsv")


def test_a_device_and_a_name_that_no_file_can_have_are_no_tables() -> None:
    with pytest.raises(InputError, match=r"corpus\.table=/dev/zero is a device"):
        read_table(Path("/dev/zero"))
    with pytest.raises(InputError, match="is not a path; name a file"):
        read_table(Path("null\0.tsv"))


CELLS = st.text(max_size=30) | st.sampled_from(["path", "index", "split", "label", "9" * 5000, "\0", "a.wav", "\ud800"])
LINES = st.lists(st.lists(CELLS, max_size=5).map("\t".join) | st.lists(CELLS, max_size=5).map(",".join), max_size=6)
OBJECTS = st.dictionaries(
    st.sampled_from(["path", "audio_filepath", "label", "index", "split", "start", "end", "offset", "duration", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
        max_leaves=5,
    ),
)
OURS = "path\tsegment\tstart\tnum_samples\tsample_rate"  # of a run's own manifest
TABLES = (
    st.binary(max_size=200)
    | LINES.map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
    | LINES.map(lambda lines: "\n".join(["path\tlabel\tindex", *lines]).encode("utf-8", "surrogatepass"))
    | LINES.map(lambda lines: "\n".join(["path,start,end,fold,split", *lines]).encode("utf-8", "surrogatepass"))
    | LINES.map(lambda lines: "\n".join([OURS, *lines]).encode("utf-8", "surrogatepass"))
    | st.lists(OBJECTS.map(json.dumps), max_size=4).map(lambda lines: "\n".join(lines).encode())
)


@given(content=TABLES, suffix=st.sampled_from([".tsv", ".csv", ".jsonl", ".json", ".txt", ""]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_table_holds_it_is_read_or_refused_with_its_name(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    told = ""
    rows: tuple[Row, ...] = ()
    try:
        rows = read_table(path).rows
    except InputError as error:
        told = str(error)
    assert all(row.path and row.where.startswith(str(path)) for row in rows)
    assert not told or f"t{suffix}" in told
