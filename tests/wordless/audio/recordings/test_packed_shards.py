"""Recordings and their facts in tar shards and in the rows of Parquet and Arrow files."""

import gzip
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.wordless.audio.recordings.packed_files import (
    AUDIO,
    samples,
    save,
    sound,
    table,
    takes,
    write_parquet,
    write_tar,
)
from wordless.audio.recordings.description import ColumnConfig, known_split
from wordless.audio.recordings.packed import (
    DamageError,
    PackedRow,
    open_data_set,
    open_shards,
    rows_of,
    unpack,
    unpacked_place,
)
from wordless.base.errors import InputError


class Read:
    """What a shard holds: recordings and their facts, and parts that are set aside, or the damage of the shard."""

    def __init__(self, path: Path) -> None:
        self.sounds: dict[str, bytes] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.broken: dict[str, str] = {}
        self.damage = ""
        try:
            for row, blocks in open_shards(str(path)).files[0].read():
                if row.reason:
                    self.broken[row.path] = row.reason
                else:
                    self.sounds[row.path], self.facts[row.path] = b"".join(blocks), row.fields
        except DamageError as error:
            self.damage = str(error)


def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    """The oracle: keys and members as `webdataset` divides and groups them, without decoding."""
    webdataset = pytest.importorskip("webdataset", reason="needs pip install 'wordless[datasets]'")
    members = [
        *("a/x.wav", "a/x.cls", "a/y.v2.wav", "a/y.txt", "b.c/z.flac", "b.c/z.json", "__meta__.wav", "noending"),
        *("UP.WAV", "UP.CLS"),
    ]
    contents = [(name, b'{"label": 1}' if name.endswith("json") else b"7") for name in members]
    path = write_tar(tmp_path / "a.tar", contents)
    read = Read(path)
    endings = ("wav", "flac")
    wanted: dict[str, set[str]] = {}
    for sample in webdataset.WebDataset(str(path), shardshuffle=False, empty_check=False):
        found = {ending for ending in sample if ending.split(".")[-1] in endings}
        wanted |= {sample["__key__"]: found} if found else {}
    assert {f"{key}.{ending}".lower() for key, all_of in wanted.items() for ending in all_of} == {
        name.lower() for name in read.sounds
    }
    assert read.facts["a/x.wav"] == read.facts["UP.WAV"] == {"cls": "7"}
    assert (read.facts["a/y.v2.wav"], read.facts["b.c/z.flac"]) == ({"txt": "7"}, {"label": "1"})


def linked(name: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("../up.wav", "leads out"),
        ("a/../../up.wav", "leads out"),
        ("/tmp/up.wav", "leads out"),
        ("a\\..\\up.wav", "leads out"),
        ("C:up.wav", "leads out"),
        ("tab\there.wav", "control characters"),
        ("not utf-8 \udcff.wav", "control characters"),
        (f"{'l' * 240}.wav", "too long"),
        ("/".join("d" * 40) + "/a.wav", "too long"),
        (linked("a.wav", tarfile.SYMTYPE), "a link to '/etc/passwd'"),
        (linked("a.wav", tarfile.LNKTYPE), "a link to '/etc/passwd'"),
        (linked("a.wav", tarfile.FIFOTYPE), "not a regular file"),
        (linked("a.wav", tarfile.CHRTYPE), "not a regular file"),
    ],
)
def test_unsafe_members_are_set_aside(member: str | tarfile.TarInfo, told: str, tmp_path: Path) -> None:
    content = b"" if isinstance(member, tarfile.TarInfo) else sound(0)
    read = Read(write_tar(tmp_path / "a.tar", [(member, content), ("good.wav", sound(1))]))
    assert read.sounds == {"good.wav": sound(1)}
    assert [told in reason for reason in read.broken.values()] == [True]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", b"{no json", "JSON"),
        ("a.json", b"[1]", "object"),
        ("a.txt", b"\xff\xfe", "UTF-8"),
        ("a.txt", b"x" * (1 << 21), "bytes"),
        ("A.wav", sound(2), "same name"),
        ("a.wav", sound(2), "same name"),
    ],
)
def test_broken_facts_are_set_aside_with_their_sample(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    """Of two sounds of one name the first is kept."""
    path = write_tar(tmp_path / "a.tar", [("a.wav", sound(0)), (name, content), ("b.wav", sound(1))])
    read = Read(path)
    kept = {"a.wav": sound(0)} if name.endswith("wav") else {}
    assert read.sounds == kept | {"b.wav": sound(1)}
    assert [(broken, told in reason) for broken, reason in read.broken.items()] == [(name, True)]


def test_hidden_members_are_left_alone_and_those_of_other_kinds_are_counted(tmp_path: Path) -> None:
    others = [("a.pyd", b"cos\n"), ("b.PYD", b"cos\n"), ("a/._b.wav", b"?"), ("a/.b", b"?"), ("README", b"?")]
    path = write_tar(tmp_path / "a.tar", [("a.wav", sound(0)), *others])
    read = Read(path)
    assert (read.facts, set(read.broken)) == ({"a.wav": {}}, {"*.pyd", "*"})
    assert all(each in read.broken["*.pyd"] for each in ("2 members", "a.pyd"))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_compressed_shards_are_read(mode: str, tmp_path: Path) -> None:
    path = write_tar(tmp_path / f"a.tar.{mode[2:]}", samples(takes(3)), mode)
    assert len(Read(path).sounds) == 3
    path.write_bytes(path.read_bytes()[:-200])
    assert Read(path).damage


def test_a_shard_that_is_cut_off_between_members_or_has_a_damaged_header_is_noticed(tmp_path: Path) -> None:
    """The standard library takes the first header that it does not understand for the end."""
    members = [(each.path, each.content) for each in takes(4)]
    content, header = write_tar(tmp_path / "a.tar", members).read_bytes(), tarfile.BLOCKSIZE * 8 * 2
    assert content[header : header + 7] == b"clip_02"
    (tmp_path / "a.tar").write_bytes(content[:header])
    assert "end mark" in Read(tmp_path / "a.tar").damage
    (tmp_path / "a.tar").write_bytes(content[:header] + b"\x80" * 512 + content[header + 512 :])
    assert Read(tmp_path / "a.tar").damage


def huge_member() -> bytes:
    member = tarfile.TarInfo("huge.wav")
    member.size = 1 << 50
    return member.tobuf(format=tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "content",
    [b"no tar file", gzip.compress(b"no tar file either", mtime=0), huge_member() + sound(0)],
    ids=["text", "gzip", "huge_member"],
)
def test_what_is_no_shard_is_damaged(content: bytes, tmp_path: Path) -> None:
    """Also a member that claims to be huge, which costs nothing."""
    (tmp_path / "a.tar").write_bytes(content)
    assert Read(tmp_path / "a.tar").damage


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
    paths = ["../../up.wav", "C:\\x\\up.wav", "UP.WAV", "a\nb.wav", "x.txt", ".hidden.wav", None, "l" * 300 + ".wav"]
    kinds = ["WAV"] * 4 + ["FLAC", "OGG", "MP3", "AIFF"]
    cells = [{"bytes": sound(0, kind=kind), "path": path} for path, kind in zip(paths, kinds, strict=True)]
    pq.write_table(pa.table({"audio": pa.array(cells, AUDIO)}), tmp_path / "p.parquet")
    assert [name.removeprefix("0000/") for name in sounds(read(tmp_path / "p.parquet"))] == [
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


@pytest.mark.parametrize(
    ("columns", "wanted", "told"),
    [
        ({"x": [1]}, {}, r"columns\.audio\b.* x\b.*save"),
        ({"a": [b"1"], "b": [b"2"]}, {}, r"columns\.audio.* a, b\b"),
        ({"a": [b"1"]}, {"audio": "b"}, r"columns\.audio is b\b.* a\b"),
        ({"a": [b"1"], "b": [[0.5]]}, {"audio": "b"}, r"columns\.audio is b\b.*save"),
        ({"a": [b"1"], "speaker": ["x"]}, {"group": "speakr"}, r"columns\.group is speakr\b.*\bspeaker\?"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    columns: dict[str, list[object]], wanted: dict[str, Any], told: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=told):
        open_data_set(str(tmp_path / "p.parquet"), ColumnConfig(**wanted))


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
