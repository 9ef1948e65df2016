"""Packed data sets: recordings and their facts; unpacked once, whole or not at all, and resumed after a kill."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.killing import PROCESSES, Kill, arm
from tests.wordless.audio.recordings import packed_files
from tests.wordless.audio.recordings.packed_files import save, sound, table, takes, write_parquet
from wordless.audio.recordings import packed
from wordless.audio.recordings.description import ColumnConfig, known_split
from wordless.audio.recordings.packed import data_set_files, rows_of_table, unpack, unpacked_place
from wordless.base.files import file_hash
from wordless.base.messages import InputError


def unpacked(data_set: packed.PackedDataSet, cache: Path) -> Path:
    place = unpacked_place(data_set, cache)
    unpack(data_set, place)
    return place


def opened(place: Path) -> packed.PackedDataSet:
    return packed.open_data_set(str(place), ColumnConfig())


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    for split, rows in (("train", takes(6)), ("test", takes(3, first=6))):
        write_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", rows)
    return tmp_path / "data"


def test_sounds_are_written_byte_by_byte_and_again_for_other_files(parquet: Path, tmp_path: Path) -> None:
    place = unpacked(opened(parquet), tmp_path / "cache")
    rows = [row for number in range(2) for row in rows_of_table(place, number)]
    found = {Path(row.path).name: ((place / "sounds") / row.path).read_bytes() for row in rows}
    assert found == {each.path: each.content for each in takes(9)}
    assert rows[0].path == "test-00000-of-00001/0000/clip_06.wav"
    assert rows[0].fields == {"label": "low", "speaker": "s0"}
    shutil.copytree(parquet, tmp_path / "copy")
    assert unpacked_place(opened(tmp_path / "copy"), tmp_path / "cache") != place


def test_a_file_that_cannot_be_read_now_is_not_damaged(tmp_path: Path) -> None:
    """As a folder that is not mounted, or permissions that are missing: nothing is recorded."""
    data_set = opened(write_parquet(tmp_path / "a.parquet", takes(2)))
    place, file = unpacked_place(data_set, tmp_path / "cache"), tmp_path / "a.parquet"
    file.rename(tmp_path / "away")
    with pytest.raises(InputError, match="permissions"):
        unpack(data_set, place)
    (tmp_path / "away").rename(file)
    again = opened(file)  # its time of change is another one
    place = unpacked_place(again, tmp_path / "cache")
    unpack(again, place)
    assert [row.reason for row in rows_of_table(place, 0)] == ["", ""]


def test_other_names_of_classes_are_other_contents(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(4)).replace_schema_metadata(None)])
    first = unpacked(opened(folder), tmp_path / "cache")
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"low"', '"deep"'))
    second = unpacked(opened(folder), tmp_path / "cache")
    found = [[row.fields["label"] for row in rows_of_table(place, 0)][:2] for place in (first, second)]
    assert found == [["low", "high"], ["deep", "high"]]


@pytest.mark.parametrize(
    "kill",
    [
        Kill(path="*.wav", count=3), Kill(path="*/clip_04.wav", written=100), Kill(path="*/rows/00000.jsonl"),
        Kill(path="*/train*/clip_01.wav"), Kill(path="cache/dataset-????????????????"),
    ],
)  # fmt: skip
def test_a_killed_unpacking_resumes_to_the_same_bytes(kill: Kill, parquet: Path, tmp_path: Path) -> None:
    wanted = files(unpacked(opened(parquet), tmp_path / "other"))
    process = PROCESSES.Process(target=_killed, args=(parquet, tmp_path, kill))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    assert kill.ended(process.exitcode)
    assert kill.path.startswith("cache") or not unpacked_place(opened(parquet), tmp_path / "cache").exists()
    place = unpacked(opened(parquet), tmp_path / "cache")
    assert files(place) == wanted
    assert not list((tmp_path / "cache").glob("*.partial"))


def _killed(parquet: Path, root: Path, kill: Kill) -> None:
    arm(root, kill)
    unpacked(opened(parquet), root / "cache")


def test_two_processes_unpack_once(parquet: Path, tmp_path: Path) -> None:
    processes = [PROCESSES.Process(target=unpacked, args=(opened(parquet), tmp_path / "cache")) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = files(tmp_path / "cache")
    assert files(unpacked(opened(parquet), tmp_path / "cache").parent) == found
    assert len([name for name in found if name.endswith(".wav")]) == 9


def test_a_full_disk_is_named_and_the_rest_resumes(parquet: Path, small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1_010_000))
    with pytest.raises(OSError, match="No space left") as refusal:
        unpacked(opened(parquet), small_disk / "cache")
    assert str(small_disk) in str(refusal.value.filename)
    (small_disk / "filler").unlink()
    place = unpacked(opened(parquet), small_disk / "cache")
    assert len(list((place / "sounds").rglob("*.wav"))) == 9


def test_a_data_set_that_changes_meanwhile_is_refused(parquet: Path, tmp_path: Path) -> None:
    data_set, file = opened(parquet), parquet / "test-00000-of-00001.parquet"
    wanted = files(unpacked(data_set, tmp_path / "other"))
    place = unpacked_place(data_set, tmp_path / "cache")
    file.rename(tmp_path / "before")
    write_parquet(file, takes(3, first=20))
    with pytest.raises(InputError, match="changed"):
        unpack(data_set, place)
    assert not place.exists()
    assert unpacked(opened(parquet), tmp_path / "cache") != place
    (tmp_path / "before").replace(file)
    assert files(unpacked(opened(parquet), tmp_path / "cache")) == wanted


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("data/train-00000-of-00002-0123456789abcdef.parquet", "data/test-00000-of-00001.parquet"), ["test", "train"]),
        (("default/train/0000.parquet", "default/validation/0000.parquet"), ["train", "validation"]),
        (("train.clean.100-00000-of-00001.parquet", "test.other-00000-of-00001.parquet"), ["test", "train"]),
        (("all-0.parquet", "all-1.parquet"), [None, None]),
        (("train.clean/data-0.arrow", "other/data-0.arrow", "other/cache-12.arrow", ".h/a.parquet"), [None, "train"]),
    ],
)
def test_names_of_files_say_the_split(names: tuple[str, ...], splits: list[str | None], tmp_path: Path) -> None:
    files = data_set_files(str(touched(tmp_path, *names))).files
    assert [known_split(file.split or "") for file in files] == splits


def test_the_folder_above_all_files_says_no_split_and_files_of_a_saved_data_set_are_numbered(tmp_path: Path) -> None:
    touched(tmp_path / "test", "a-000.parquet", "a-001.parquet")
    shards = data_set_files(str(tmp_path / "test/a-*.parquet")).files
    assert [(file.name, known_split(file.split or "")) for file in shards] == [("a-000", None), ("a-001", None)]
    save(tmp_path / "one", [table(takes(2)), table(takes(2, first=2))])
    assert [file.name for file in data_set_files(str(tmp_path / "one")).files] == ["00000", "00001"]
    packed_files.save_splits(tmp_path / "two", {"train.clean": takes(2), "unsupervised": takes(2)})
    found = {file.name: known_split(file.split) for file in data_set_files(str(tmp_path / "two")).files}
    assert found == {"train.clean/00000": "train", "unsupervised/00000": None}


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("missing", "missing"),
        ("a-1.parquet", r"a-1\.parquet"),
        ("empty", r"empty.* Parquet"),
        ("mixed/[aA].parquet", r"name\b.*rename"),  # their recordings would mix
        ("mixed", r"name\b.*rename"),
    ],
)
def test_places_without_data_set_are_refused(place: str, told: str, tmp_path: Path) -> None:
    touched(tmp_path, "a-0.parquet", "empty/a.wav", "mixed/a.parquet", "mixed/A.parquet", "mixed/a/1.parquet")
    with pytest.raises(InputError, match=told):
        data_set_files(str(tmp_path / place))


class Read:
    """What files hold: recordings and their facts, parts that are set aside, and the damage of a file by its name."""

    def __init__(self, data_set: packed.PackedDataSet) -> None:
        self.sounds: dict[str, bytes] = {}
        self.facts: dict[str, dict[str, str]] = {}
        self.broken: dict[str, str] = {}
        self.damage: dict[str, str] = {}
        for file in data_set.files:
            try:
                for row, content in file.read():
                    if row.reason:
                        self.broken[row.path] = row.reason
                    else:
                        self.sounds[row.path], self.facts[row.path] = content, row.fields
            except packed.DamageError as error:
                self.damage[file.name] = str(error)


def data_set(place: Path) -> Read:
    return Read(opened(place))


def test_a_parquet_file_and_a_saved_data_set_hold_the_same(tmp_path: Path) -> None:
    rows = takes(10)
    write_parquet(tmp_path / "p.parquet", rows, tags=[[0, 2]] * 10, vector=[[0.5, 1.0]] * 10)
    save(tmp_path / "saved", [table(rows, tags=[[0, 2]] * 10, vector=[[0.5, 1.0]] * 10)])
    read, saved = data_set(tmp_path / "p.parquet"), data_set(tmp_path / "saved")
    assert read.sounds == saved.sounds == {f"0000/{each.path}": each.content for each in rows}
    assert read.facts == saved.facts
    assert read.facts["0000/clip_03.wav"] == {"label": "high", "tags": "a;c", "speaker": "s1"}  # a vector is no fact


def test_datasets_writes_what_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle: rows as `datasets` reads them, without decoding."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets", reason="needs pip install 'wordless[datasets]'")
    rows = takes(12)
    features = datasets.Features(
        {
            "audio": datasets.Audio(sampling_rate=8000), "label": datasets.ClassLabel(names=["low", "high"]),
            "speaker": datasets.Value("string"), "tags": datasets.List(datasets.ClassLabel(names=["a", "b"])),
        }
    )  # fmt: skip
    whole = datasets.Dataset(table(rows, tags=[[1, 0]] * 12).cast(features.arrow_schema))
    whole.save_to_disk(str(tmp_path / "saved"), num_shards=3)
    datasets.DatasetDict({"train": whole, "test": whole.select([1, 5])}).save_to_disk(str(tmp_path / "splits"))
    whole.to_parquet(str(tmp_path / "p.parquet"))
    wanted = datasets.load_from_disk(str(tmp_path / "saved")).cast_column("audio", datasets.Audio(decode=False))
    for place in ("saved", "p.parquet"):
        read = data_set(tmp_path / place)
        assert list(read.sounds.values()) == [row["audio"]["bytes"] for row in wanted]
        classes = [features["label"].int2str(row["label"]) for row in wanted]
        assert [each["label"] for each in read.facts.values()] == classes
        assert {each["tags"] for each in read.facts.values()} == {"b;a"}
    files = opened(tmp_path / "splits").files
    assert [(known_split(file.split or ""), len(list(file.read()))) for file in files] == [("train", 12), ("test", 2)]


def test_rows_without_sound_are_broken_and_the_others_are_not(tmp_path: Path) -> None:
    cells = [{"bytes": None, "path": "/etc/passwd"}, None, {"bytes": sound(1), "path": "a.wav"}]
    pq.write_table(pa.table({"audio": pa.array(cells, packed_files.AUDIO)}), tmp_path / "p.parquet")
    read = data_set(tmp_path / "p.parquet")
    assert list(read.sounds) == ["0000/a.wav"]
    assert "'/etc/passwd'" in read.broken["0000/0000000"]
    assert "no sound" in read.broken["0000/0000001"]


def test_names_are_safe_stable_and_different(tmp_path: Path) -> None:
    paths = ["../../up.wav", "C:\\x\\up.wav", "UP.WAV", "a\nb.wav", "x.txt", ".hidden.wav", None, "l" * 300 + ".wav"]
    kinds = ["WAV"] * 4 + ["FLAC", "OGG", "MP3", "AIFF"]
    cells = [{"bytes": sound(0, kind=kind), "path": path} for path, kind in zip(paths, kinds, strict=True)]
    pq.write_table(pa.table({"audio": pa.array(cells, packed_files.AUDIO)}), tmp_path / "p.parquet")
    assert [name.removeprefix("0000/") for name in data_set(tmp_path / "p.parquet").sounds] == [
        *("up.wav", "up~1.wav", "UP~2.WAV", "0000003.wav", "0000004.flac", "0000005.ogg", "0000006.mp3", "0000007.aiff")
    ]


def test_values_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    values = {
        "label": pa.array([-1, None, 7, 1], pa.int64()),
        "score": [1.5, float("nan"), None, -0.0],
        "text": ["  two\n lines ", "", None, "one"],
    }
    pq.write_table(table(takes(4), **values), tmp_path / "p.parquet")
    found = [{**each, "speaker": ""} for each in data_set(tmp_path / "p.parquet").facts.values()]
    assert found == [
        {"score": "1.5", "text": "  two\n lines ", "speaker": ""}, {"speaker": ""}, {"label": "class 7", "speaker": ""},
        {"label": "high", "score": "-0.0", "text": "one", "speaker": ""},
    ]  # fmt: skip


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
def test_missing_columns_are_refused(
    columns: dict[str, list[object]], wanted: dict[str, Any], told: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=told):
        packed.open_data_set(str(tmp_path / "p.parquet"), ColumnConfig(**wanted))


def test_a_damaged_file_is_set_aside_as_a_whole(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "d/a.parquet", takes(12))
    page = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset  # of the last four rows
    content = bytearray(path.read_bytes())
    content[page : page + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    write_parquet(tmp_path / "d/b.parquet", takes(2, first=20))
    (tmp_path / "d/c.parquet").write_bytes(b"PAR1 is how it begins")
    assert list(data_set(tmp_path / "d").damage) == ["a", "c"]
    place = unpacked(opened(tmp_path / "d"), tmp_path / "cache")
    assert [(row.path, "damaged" in row.reason) for row in rows_of_table(place, 0)] == [("a", True)]
    assert {file.name for file in (place / "sounds").rglob("*.wav")} == {"clip_20.wav", "clip_21.wav"}
    (tmp_path / "d/a.parquet").unlink()
    (tmp_path / "d/b.parquet").unlink()
    with pytest.raises(InputError, match=r"c\.parquet"):
        opened(tmp_path / "d")


def test_a_truncated_arrow_file_is_damaged(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(12)), table(takes(4, first=12))])
    path = folder / "data-00000-of-00002.arrow"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found = data_set(folder)
    assert found.damage.keys() == {"00000"}
    assert len(found.sounds) == 4


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
        found = data_set(folder).sounds
    except InputError:
        return
    assert all(len(content) < 10_000 for content in found.values())
