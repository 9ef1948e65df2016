"""Tables: each format that is read, and errors that name file and line."""

from pathlib import Path

import pytest

from audio.description import Description
from audio.errors import InputError
from audio.tables import Row, read_table


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
        ("t.jsonl", '{"audio_filepath": "x/a 1.wav", "duration": 1.5, "command": "up", "speaker": "anna", "index": 3, '
         '"fold": 1, "split": "validation", "text": null}\n\n'),
    ],
)  # fmt: skip
def test_each_format_says_the_same(tmp_path: Path, name: str, text: str | bytes) -> None:
    (row,) = rows(tmp_path, name, text)
    assert row.path == "x/a 1.wav"
    assert row.description == Description(label="up", group="anna", index=3, fold="1", split="validation")


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
    ],
)
def test_problems_name_the_line(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(tmp_path, name, text)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.table=.*none\.tsv cannot be read"):
        read_table(tmp_path / "none.tsv")
