"""Recordings and their facts in the rows of Parquet and Arrow files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.wordless.audio.recordings.packed_files import (
    AUDIO,
    save,
    save_splits,
    sound,
    table,
    takes,
    write_parquet,
)
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.packed import (
    DamageError,
    PackedRow,
    known_split,
    open_data_set,
    rows_of,
    unpack,
    unpacked_place,
)
from wordless.base.errors import InputError

Part = tuple[PackedRow, bytes]


def read(place: Path, columns: ColumnConfig | None = None) -> list[Part]:
    """The rows of all files with their bytes; those of a damaged file are none."""
    data_set, parts = open_data_set(str(place), columns or ColumnConfig()), list[Part]()
    for file in data_set.files:
        try:
            parts += [(row, b"".join(blocks)) for row, blocks in file.read()]
        except DamageError as error:
            parts.append((PackedRow(path=file.name, reason=str(error)), b""))
    return parts


def sounds(parts: Sequence[Part]) -> dict[str, bytes]:
    return {row.path: content for row, content in parts if not row.reason}


def facts(parts: Sequence[Part]) -> list[dict[str, str]]:
    return [row.fields for row, _ in parts if not row.reason]


def broken(parts: Sequence[Part]) -> dict[str, str]:
    return {row.path: row.reason for row, _ in parts if row.reason}


def test_a_parquet_file_and_a_saved_data_set_hold_the_same(tmp_path: Path) -> None:
    rows = takes(10)
    write_parquet(tmp_path / "p.parquet", rows, tags=[[0, 2]] * 10, vector=[[0.5, 1.0]] * 10)
    save(tmp_path / "saved", [table(rows, tags=[[0, 2]] * 10, vector=[[0.5, 1.0]] * 10)])
    parts = read(tmp_path / "p.parquet")
    assert sounds(parts) == sounds(read(tmp_path / "saved")) == {f"0000/{each.path}": each.content for each in rows}
    assert facts(parts) == facts(read(tmp_path / "saved"))
    assert facts(parts)[3] == {"label": "high", "tags": "a;c", "speaker": "s1"}  # a vector is no fact


def test_datasets_writes_what_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle: rows as `datasets` reads them, without decoding."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets", reason="needs pip install 'wordless[datasets]'")
    rows = takes(12)
    features = datasets.Features(
        {
            "audio": datasets.Audio(sampling_rate=8000),
            "label": datasets.ClassLabel(names=["low", "high"]),
            "speaker": datasets.Value("string"),
            "tags": datasets.List(datasets.ClassLabel(names=["a", "b"])),
        }
    )
    whole = datasets.Dataset(table(rows, tags=[[1, 0]] * 12).cast(features.arrow_schema))
    whole.save_to_disk(str(tmp_path / "saved"), num_shards=3)
    datasets.DatasetDict({"train": whole, "test": whole.select([1, 5])}).save_to_disk(str(tmp_path / "splits"))
    whole.to_parquet(str(tmp_path / "p.parquet"))
    wanted = datasets.load_from_disk(str(tmp_path / "saved")).cast_column("audio", datasets.Audio(decode=False))
    for place in ("saved", "p.parquet"):
        parts = read(tmp_path / place)
        assert list(sounds(parts).values()) == [row["audio"]["bytes"] for row in wanted]
        assert [each["label"] for each in facts(parts)] == [features["label"].int2str(row["label"]) for row in wanted]
        assert {each["tags"] for each in facts(parts)} == {"b;a"}
    data_set = open_data_set(str(tmp_path / "splits"), ColumnConfig())
    assert [(known_split(file.split or ""), len(list(file.read()))) for file in data_set.files] == [
        ("train", 12),
        ("test", 2),
    ]


def test_rows_without_sound_are_broken_and_the_others_are_not(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": "/etc/passwd"}, None, {"bytes": sound(1), "path": "a.wav"}]
    pq.write_table(pa.table({"audio": pa.array(cells, AUDIO)}), tmp_path / "p.parquet")
    parts = read(tmp_path / "p.parquet")
    assert list(sounds(parts)) == ["0000/a.wav"]
    assert "'/etc/passwd'" in broken(parts)["0000/0000000"]
    assert "no sound" in broken(parts)["0000/0000001"]


def test_names_are_safe_stable_and_different(tmp_path: Path) -> None:
    paths = [
        "../../up.wav",
        "C:\\x\\up.wav",
        "UP.WAV",
        "a\nb.wav",
        "notes.txt",
        ".hidden.wav",
        None,
        "l" * 300 + ".wav",
    ]
    kinds = ["WAV"] * 4 + ["FLAC", "OGG", "MP3", "AIFF"]
    cells = [{"bytes": sound(0, kind=kind), "path": path} for path, kind in zip(paths, kinds, strict=True)]
    pq.write_table(pa.table({"audio": pa.array(cells, AUDIO)}), tmp_path / "p.parquet")
    names = [name.removeprefix("0000/") for name in sounds(read(tmp_path / "p.parquet"))]
    assert names == [
        *("up.wav", "up~1.wav", "UP~2.WAV", "0000003.wav", "0000004.flac", "0000005.ogg", "0000006.mp3", "0000007.aiff")
    ]


def test_values_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    values = {
        "label": pa.array([-1, None, 7, 1], pa.int64()),
        "score": [1.5, float("nan"), None, -0.0],
        "text": ["  two\n lines ", "", None, "one"],
    }
    pq.write_table(table(takes(4), **values), tmp_path / "p.parquet")
    found = [{**each, "speaker": ""} for each in facts(read(tmp_path / "p.parquet"))]
    assert found == [
        {"score": "1.5", "text": "two lines", "speaker": ""},
        {"speaker": ""},
        {"label": "class 7", "speaker": ""},
        {"label": "high", "score": "-0.0", "text": "one", "speaker": ""},
    ]


def test_a_column_of_plain_bytes_holds_sound(tmp_path: Path) -> None:
    pq.write_table(pa.table({"flac": pa.array([sound(0, kind="FLAC")], pa.large_binary())}), tmp_path / "p.parquet")
    assert list(sounds(read(tmp_path / "p.parquet"))) == ["0000/0000000.flac"]


@pytest.mark.parametrize(
    ("columns", "wanted", "told"),
    [
        ({"x": [1]}, None, r"no column.* x\b"),
        ({"a": [b"1"], "b": [b"2"]}, None, r"a, b\b.*columns\.audio"),
        ({"a": [b"1"]}, "b", r"columns\.audio is b\b.* a\b"),
        ({"a": [b"1"], "b": [[0.5]]}, "b", r"columns\.audio is b\b.* bytes"),
    ],
)
def test_the_column_with_sound_is_found_or_asked_for(
    columns: dict[str, list[object]], wanted: str | None, told: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=told):
        open_data_set(str(tmp_path / "p.parquet"), ColumnConfig(audio=wanted))


def test_a_missing_column_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    write_parquet(tmp_path / "p.parquet", takes(2))
    with pytest.raises(InputError, match=r"columns\.group is speakr\b.*\bspeaker\?.*label, speaker\b"):
        open_data_set(str(tmp_path / "p.parquet"), ColumnConfig(label="label", group="speakr"))


def test_a_damaged_file_is_set_aside_as_a_whole(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "d/a.parquet", takes(12))
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset  # of the last four rows
    content = bytearray(path.read_bytes())
    content[place : place + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    write_parquet(tmp_path / "d/b.parquet", takes(2, first=20))
    (tmp_path / "d/c.parquet").write_bytes(b"PAR1 is how it begins")
    assert list(broken(read(tmp_path / "d"))) == ["a", "c"]
    data_set = open_data_set(str(tmp_path / "d"), ColumnConfig())
    unpack(data_set, unpacked := unpacked_place(data_set, tmp_path / "cache"))
    assert [row.path for row in rows_of(unpacked, 0)] == ["a"]
    assert "damaged" in next(rows_of(unpacked, 0)).reason
    assert {file.name for file in (unpacked / "sounds").rglob("*.wav")} == {"clip_20.wav", "clip_21.wav"}
    (tmp_path / "d/a.parquet").unlink()
    (tmp_path / "d/b.parquet").unlink()
    with pytest.raises(InputError, match=r"c\.parquet"):
        read(tmp_path / "d")


def test_a_truncated_arrow_file_is_damaged(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(12))])
    (path,) = folder.glob("*.arrow")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert broken(read(folder))


@pytest.mark.parametrize("seed", range(12))
def test_arrow_files_of_strangers_are_read_or_broken(seed: int, tmp_path: Path) -> None:
    """Offsets and lengths of an Arrow file are checked before they are followed."""
    folder = save(tmp_path / "saved", [table(takes(4))])
    (path,) = folder.glob("*.arrow")
    content, random = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in random.integers(8, 1600, size=6):  # schema, lengths and offsets, before the sound
        content[place] = random.integers(256)
    path.write_bytes(content)
    try:
        found = sounds(read(folder))
    except InputError:
        return
    assert all(len(content) < 10_000 for content in found.values())


def test_splits_of_a_saved_data_set_are_read_in_turn(tmp_path: Path) -> None:
    save_splits(tmp_path / "d", {"train": takes(3), "test": takes(2, first=3)})
    assert list(sounds(read(tmp_path / "d"))) == [
        *("0000/clip_00.wav", "0000/clip_01.wav", "0000/clip_02.wav", "0000/clip_03.wav", "0000/clip_04.wav")
    ]
