"""Which files a data set has, and which split each belongs to."""

from pathlib import Path

import pytest

from tests.wordless.audio.recordings.packed_files import save, save_splits, table, takes
from wordless.audio.recordings.packed import data_set_files, expand_braces, known_split, shard_files
from wordless.base.errors import InputError

PATTERNS = (
    "data-{000..003}.tar",
    "{8..12}",
    "{3..1}",
    "{train,test}-{0..1}.tar",
    "plain.tar",
    "a{b}c",
    "{a,}x",
    "{09..11}",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_braces_expand_as_in_webdataset(pattern: str) -> None:
    braceexpand = pytest.importorskip("braceexpand", reason="needs pip install 'wordless[datasets]'")
    assert list(expand_braces(pattern)) == list(braceexpand.braceexpand(pattern))


def test_braces_around_braces() -> None:
    assert list(dict.fromkeys(expand_braces("{a,b{1,2}}.tar"))) == ["a.tar", "b1.tar", "b2.tar"]


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
    ],
)
def test_names_of_files_say_the_split(names: tuple[str, ...], splits: list[str | None], tmp_path: Path) -> None:
    assert [known_split(file.split or "") for file in data_set_files(str(touched(tmp_path, *names)))] == splits


def test_the_folder_above_all_files_says_no_split(tmp_path: Path) -> None:
    touched(tmp_path / "test", "a-000.tar", "a-001.tar")
    found = shard_files(str(tmp_path / "test/a-{000..001}.tar"))
    assert [(file.name, known_split(file.split or "")) for file in found] == [("a-000", None), ("a-001", None)]


def test_files_of_a_saved_data_set_keep_their_order(tmp_path: Path) -> None:
    save(tmp_path / "one", [table(takes(2)), table(takes(2, first=2))])
    assert [file.name for file in data_set_files(str(tmp_path / "one"))] == ["00000", "00001"]
    save_splits(tmp_path / "two", {"train.clean": takes(2), "unsupervised": takes(2)})
    found = data_set_files(str(tmp_path / "two"))
    assert [(file.name, known_split(file.split or "")) for file in found] == [
        ("train.clean/00000", "train"),
        ("unsupervised/00000", None),
    ]


@pytest.mark.parametrize(
    ("name", "split"), [("dev", "validation"), ("Test.clean", "test"), ("trained", None), ("", None)]
)
def test_whole_words_say_the_split(name: str, split: str | None) -> None:
    assert known_split(name) == split


def test_caches_and_hidden_files_are_no_part(tmp_path: Path) -> None:
    touched(tmp_path, "cache-12.arrow", ".hidden/a.parquet", "a.parquet")
    assert [file.name for file in data_set_files(str(tmp_path))] == ["a"]


@pytest.mark.parametrize(
    ("place", "told"), [("missing", "missing"), ("a-{0..1}.parquet", r"a-1\.parquet"), ("empty", r"empty.* Parquet")]
)
def test_what_is_not_there_is_refused(place: str, told: str, tmp_path: Path) -> None:
    touched(tmp_path, "a-0.parquet", "empty/a.wav")
    with pytest.raises(InputError, match=told):
        data_set_files(str(tmp_path / place))


@pytest.mark.parametrize(
    ("names", "told"), [(("a.tar", "A.tar.gz"), r"files\b.* a\b"), (("a.tar", "a/1.tar"), r"folder\b.* a\b")]
)
def test_files_whose_recordings_would_mix_are_refused(names: tuple[str, str], told: str, tmp_path: Path) -> None:
    touched(tmp_path, *names)
    with pytest.raises(InputError, match=told):
        shard_files(f"{tmp_path}/{{{','.join(names)}}}")


def test_a_huge_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="100000"):
        shard_files(str(tmp_path / "{0..999999999}.tar"))


def test_a_saved_data_set_names_no_file_elsewhere(tmp_path: Path) -> None:
    folder = save(tmp_path / "saved", [table(takes(2))])
    (folder / "state.json").write_text('{"_data_files": [{"filename": "../other.arrow"}]}')
    touched(tmp_path, "other.arrow")
    with pytest.raises(InputError, match=r"'\.\./other\.arrow'"):
        data_set_files(str(folder))


def test_a_folder_of_shards_is_told_as_one(tmp_path: Path) -> None:
    touched(tmp_path, "shards/a.tar")
    with pytest.raises(InputError, match=r"shards.* shards='.*/shards/\*\.tar'"):
        shard_files(str(tmp_path / "shards"))
