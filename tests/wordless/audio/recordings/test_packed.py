"""Unpacking: which files a data set has, once, whole or not at all, and resumed where a killed process left it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.killing import PROCESSES, Kill, arm
from tests.wordless.audio.recordings.packed_files import (
    samples,
    save,
    save_splits,
    sound,
    table,
    takes,
    write_parquet,
    write_tar,
)
from wordless.audio.recordings.description import ColumnConfig, known_split
from wordless.audio.recordings.packed import (
    PackedDataSet,
    data_set_files,
    expand_braces,
    open_data_set,
    open_shards,
    rows_of,
    unpack,
    unpacked_place,
)
from wordless.base.errors import InputError
from wordless.base.files import file_hash


def unpacked(data_set: PackedDataSet, cache: Path) -> Path:
    place = unpacked_place(data_set, cache)
    unpack(data_set, place)
    return place


def opened(place: Path) -> PackedDataSet:
    return open_data_set(str(place), ColumnConfig())


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_hash(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A data set of two files."""
    for split, rows in (("train", takes(6)), ("test", takes(3, first=6))):
        write_parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", rows)
    return tmp_path / "data"


def test_sounds_are_written_byte_by_byte_and_not_again_for_a_copy(parquet: Path, tmp_path: Path) -> None:
    place = unpacked(opened(parquet), tmp_path / "cache")
    rows = [row for number in range(2) for row in rows_of(place, number)]
    found = {Path(row.path).name: ((place / "sounds") / row.path).read_bytes() for row in rows}
    assert found == {each.path: each.content for each in takes(9)}
    assert rows[0].path == "test-00000-of-00001/0000/clip_06.wav"
    assert rows[0].fields == {"label": "low", "speaker": "s0"}
    shutil.copytree(parquet, tmp_path / "copy")
    assert unpacked_place(opened(tmp_path / "copy"), tmp_path / "cache") == place


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_a_file_that_cannot_be_read_now_is_not_damaged(kind: str, tmp_path: Path) -> None:
    """As a folder that is not mounted, or permissions that are missing: nothing is recorded."""
    if kind == "tar":
        data_set = open_shards(str(write_tar(tmp_path / "a.tar", samples(takes(2)))))
    else:
        data_set = opened(write_parquet(tmp_path / "a.parquet", takes(2)))
    place, file = unpacked_place(data_set, tmp_path / "cache"), tmp_path / f"a.{kind}"
    file.rename(tmp_path / "away")
    with pytest.raises(InputError, match="permissions"):
        unpack(data_set, place)
    (tmp_path / "away").rename(file)
    unpack(data_set, place)
    assert [row.reason for row in rows_of(place, 0)] == ["", ""]


def test_other_names_of_classes_are_other_contents(tmp_path: Path) -> None:
    """They stand beside the files where the files themselves do not say them."""
    folder = save(tmp_path / "saved", [table(takes(4)).replace_schema_metadata(None)])
    first = unpacked(opened(folder), tmp_path / "cache")
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace('"low"', '"deep"'))
    second = unpacked(opened(folder), tmp_path / "cache")
    assert [[row.fields["label"] for row in rows_of(place, 0)][:2] for place in (first, second)] == [
        ["low", "high"],
        ["deep", "high"],
    ]


@pytest.mark.parametrize(
    "kill",
    [
        Kill(path="*.wav", count=3),
        Kill(path="*/clip_04.wav", written=100),
        Kill(path="*/rows/00000.jsonl"),
        Kill(path="*/train*/clip_01.wav"),
        Kill(path="cache/dataset-????????????????"),
    ],
)
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
    processes = [PROCESSES.Process(target=_unpacked, args=(parquet, tmp_path)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = files(tmp_path / "cache")
    assert files(unpacked(opened(parquet), tmp_path / "cache").parent) == found
    assert len([name for name in found if name.endswith(".wav")]) == 9


def _unpacked(parquet: Path, root: Path) -> None:
    unpacked(opened(parquet), root / "cache")


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


def test_broken_parts_are_rows_with_their_reasons(tmp_path: Path) -> None:
    members = [
        *samples(takes(2)),
        ("../up.wav", sound(5)),
        ("x.wav", sound(6)),
        ("x.json", b"{"),
        ("y.wav/z.wav", b"z"),
    ]
    path = write_tar(tmp_path / "a.tar", [*members, ("y.wav", sound(7))])
    place = unpacked(open_shards(str(path)), tmp_path / "cache")
    rows = {row.path: row.reason for row in rows_of(place, 0)}
    assert {name for name, reason in rows.items() if not reason} == {
        *("a/clip_00.wav", "a/clip_01.wav", "a/y.wav/z.wav")
    }
    assert "name" in rows["a/../up.wav"]
    assert "JSON" in rows["a/x.json"]
    assert "same name" in rows["a/y.wav"]
    assert len(list((place / "sounds").rglob("*.wav"))) == 4  # with the folder y.wav
    assert not (tmp_path / "up.wav").exists()


DOTTED = ("008 Track 2.0", "008 Track 2.1", "v1.5/a.b.c", "plain", "2024.01.31 12.30")
ABOUT = ("2.json", b'{"speaker": "s", "label": "x"}'), ("2.0.json", b'{"label": "y"}'), ("2.0.1.cls", b"1")
SAMPLE = ("x/a.json", b'{"speaker": "s", "side": "?"}'), ("x/a.left.json", b'{"side": "l"}'), ("x/a.cls", b"7")
ASIDE = {"set aside": ""}


@pytest.mark.parametrize(
    ("members", "expected"),  # beside sounds: members with facts; of each row its facts, or that it is set aside
    [
        # both readings of names: the ending follows the last dot, and WebDataset divides at the first
        ([(f"{name}.json", b'{"speaker": "%d"}' % number) for number, name in enumerate(DOTTED)]
         + [(f"{name}.cls", b"%d" % number) for number, name in enumerate(DOTTED)],
         {f"{name}.flac": {"cls": f"{number}", "speaker": f"{number}"} for number, name in enumerate(DOTTED)}),
        # sounds of several parts share the facts of their sample
        (SAMPLE, {"x/a.left.flac": {"speaker": "s", "side": "l", "cls": "7"},
                  "x/a.right.v2.flac": {"speaker": "s", "side": "?", "cls": "7"}}),
        # 2.1 as WebDataset has it: nothing else says anything about it
        (ABOUT, {"2.wav": {"speaker": "s", "label": "x"}, "2.0.wav": {"label": "y"},
                 "2.1.wav": {"speaker": "s", "label": "x"}, "2.0.1.wav": {"cls": "1"}}),
        # a broken fact sets aside the sounds it is about: a.left and b
        ([("a.json", b"{"), ("b.json", b"{"), ("b.1.cls", b"1"), ("c.cls", b"1"), ("a.left.wav", sound(1)),
          ("b.wav", sound(2))],
         {"a.json": ASIDE, "b.json": ASIDE, "b.1.wav": {"cls": "1"}, "c.wav": {"cls": "1"}}),
    ],
)  # fmt: skip
def test_facts_are_those_of_their_own_recording_or_set_aside(
    members: Sequence[tuple[str, bytes]], expected: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    sounds = [(name, sound(number)) for number, name in enumerate(expected) if name.endswith(("wav", "flac"))]
    place = unpacked(open_shards(str(write_tar(tmp_path / "a.tar", [*sounds, *members]))), tmp_path / "cache")
    rows = {row.path.partition("/")[2]: ASIDE if row.reason else row.fields for row in rows_of(place, 0)}
    assert rows == expected


@pytest.mark.parametrize(
    "pattern",
    ["data-{000..003}.tar", "{8..12}", "{3..1}", "{train,test}-{0..1}.tar", "plain.tar", "a{b}c", "{a,}x", "{09..11}"],
)
def test_braces_expand_as_in_webdataset(pattern: str) -> None:
    braceexpand = pytest.importorskip("braceexpand", reason="needs pip install 'wordless[datasets]'")
    assert list(expand_braces(pattern)) == list(braceexpand.braceexpand(pattern))


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
    assert [known_split(file.split or "") for file in data_set_files(str(touched(tmp_path, *names)))] == splits


def test_the_folder_above_all_files_says_no_split(tmp_path: Path) -> None:
    touched(tmp_path / "test", "a-000.tar", "a-001.tar")
    found = open_shards(str(tmp_path / "test/a-{000..001}.tar")).files
    assert [(file.name, known_split(file.split or "")) for file in found] == [("a-000", None), ("a-001", None)]


def test_files_of_a_saved_data_set_are_numbered(tmp_path: Path) -> None:
    save(tmp_path / "one", [table(takes(2)), table(takes(2, first=2))])
    assert [file.name for file in data_set_files(str(tmp_path / "one"))] == ["00000", "00001"]
    save_splits(tmp_path / "two", {"train.clean": takes(2), "unsupervised": takes(2)})
    found = data_set_files(str(tmp_path / "two"))
    assert [(file.name, known_split(file.split)) for file in found] == [
        ("train.clean/00000", "train"),
        ("unsupervised/00000", None),
    ]


@pytest.mark.parametrize(
    ("find", "place", "told"),
    [
        (data_set_files, "missing", "missing"),
        (data_set_files, "a-{0..1}.parquet", r"a-1\.parquet"),
        (data_set_files, "empty", r"empty.* Parquet"),
        (open_shards, "{a.tar,A.tar.gz}", r"name\b.*rename"),  # their recordings would mix
        (open_shards, "{a.tar,a/1.tar}", r"name\b.*rename"),
        (open_shards, "{0..999999999}.tar", r"0\.tar"),
        (open_shards, "shards", r"shards.* shards='.*/shards/\*\.tar'"),
    ],
)
def test_places_that_hold_no_data_set_are_refused(
    find: Callable[[str], object], place: str, told: str, tmp_path: Path
) -> None:
    touched(tmp_path, "a-0.parquet", "empty/a.wav", "shards/a.tar", "mixed/a.tar", "mixed/A.tar.gz", "mixed/a/1.tar")
    with pytest.raises(InputError, match=told):
        find(str(tmp_path / ("mixed" if place.startswith(("{a.", "{A.")) else "") / place))
