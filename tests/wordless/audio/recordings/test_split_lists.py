"""Splits by the lists of a data set, in a folder like Speech Commands."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wordless.audio.conftest import Tone
from wordless.audio.recordings.corpus import CorpusConfig, build_manifest, find_recordings
from wordless.audio.recordings.manifest import Manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError

SPLIT = SplitConfig(by="lists", validation=("validation_list.txt",), test=("testing_list.txt",))
Write = Callable[..., CorpusConfig]


@pytest.fixture
def commands(tmp_path: Path, tone: Tone) -> Write:
    """Two words by three speakers, and noise; ``lists`` are the contents of the lists by their names."""
    number = 0
    for word in ("bed", "cat"):
        for speaker in ("0a", "0b", "0c"):
            tone(f"{word}/{speaker}_nohash_0.wav", seconds=0.1 + 0.01 * number)
            number += 1
    tone("_background_noise_/pink_noise.wav", seconds=0.5)

    def write(split: SplitConfig = SPLIT, **lists: str) -> CorpusConfig:
        for name, content in lists.items():
            (tmp_path / f"{name}.txt").write_text(content)
        return CorpusConfig(
            root=str(tmp_path), pattern="{label}/{group}_nohash_{index}.wav", labels="pattern", split=split
        )

    return write


VALIDATION, TEST = "bed/0b_nohash_0.wav\ncat/0b_nohash_0.wav\n", "bed/0c_nohash_0.wav\r\n\n ./cat/0c_nohash_0.wav "


def divided(manifest: Manifest) -> dict[str, list[str]]:
    return {split: [clip.path for clip in manifest.of(split)] for split in ("train", "validation", "test")}  # type: ignore[arg-type]  # splits


def test_lists_name_the_clips_of_their_split_and_all_others_train(commands: Write) -> None:
    manifest, rejected = build_manifest(commands(validation_list=VALIDATION, testing_list=TEST))
    assert divided(manifest) == {
        "train": ["bed/0a_nohash_0.wav", "cat/0a_nohash_0.wav"],
        "validation": ["bed/0b_nohash_0.wav", "cat/0b_nohash_0.wav"],
        "test": ["bed/0c_nohash_0.wav", "cat/0c_nohash_0.wav"],
    }
    assert [each.path for each in rejected] == ["_background_noise_/pink_noise.wav"]


def test_validation_is_drawn_where_it_has_no_list(commands: Write) -> None:
    config = commands(SplitConfig(by="lists", test=("testing_list.txt",)), testing_list=TEST)
    found = divided(build_manifest(config)[0])
    assert found["test"] == ["bed/0c_nohash_0.wav", "cat/0c_nohash_0.wav"]
    assert len(found["validation"]) == len(found["train"]) == 2  # one speaker each, with both words


def test_with_a_list_for_training_clips_of_no_list_are_set_aside(commands: Write) -> None:
    split = SplitConfig(
        by="lists", train=("train.txt",), validation=("validation_list.txt",), test=("testing_list.txt",)
    )
    config = commands(split, train="cat/0a_nohash_0.wav", validation_list=VALIDATION, testing_list=TEST)
    manifest, rejected = build_manifest(config)
    assert divided(manifest)["train"] == ["cat/0a_nohash_0.wav"]
    assert "corpus.split" in {each.path: each.reason for each in rejected}["bed/0a_nohash_0.wav"]


def test_a_list_may_name_what_the_corpus_leaves_out(commands: Write) -> None:
    test = f"{TEST}\n_background_noise_/pink_noise.wav\n"
    manifest, _ = build_manifest(commands(validation_list=VALIDATION, testing_list=test))
    assert len(divided(manifest)["test"]) == 2


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (
            VALIDATION,
            f"{TEST}\nbed/0d_nohash_0.wav",
            r"testing_list\.txt:4: bed/0d_nohash_0\.wav\b",
        ),
        (VALIDATION, "../elsewhere.wav", r"testing_list\.txt:1: \.\./elsewhere\.wav\b"),
        (
            VALIDATION,
            VALIDATION,
            r"list\.txt:1: bed/0b\S+ .*\btest\b.*\bvalidation\b.*list\.txt:1\b",
        ),
    ],
)
def test_lists_that_contradict_the_folder_are_refused_by_line(
    commands: Write, validation: str, test: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        find_recordings(commands(validation_list=validation, testing_list=test))


def test_lists_that_cannot_be_read_are_refused(commands: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus\.split\.validation.*validation_list\.txt"):
        find_recordings(commands(testing_list=TEST))
    (tmp_path / "validation_list.txt").write_bytes(b"a.wav\n\xff")
    with pytest.raises(InputError, match=r"validation_list\.txt:2"):
        find_recordings(commands(testing_list=TEST))
    (tmp_path / "validation_list.txt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(InputError, match=r"validation_list\.txt:1: .*git lfs pull"):
        find_recordings(commands(testing_list=TEST))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_other_systems_are_read(commands: Write, tmp_path: Path, tone: Tone, encoding: str) -> None:
    name = "bed/0\N{LATIN SMALL LETTER E WITH ACUTE}_nohash_0.wav"
    tone(name)
    written = unicodedata.normalize("NFD", VALIDATION + name).replace("/", "\\").replace("\n", "\r")
    config = commands(testing_list=TEST)
    (tmp_path / "validation_list.txt").write_text(written, encoding=encoding, newline="")
    manifest, _ = build_manifest(config)
    assert divided(manifest)["validation"] == [*VALIDATION.split()[:1], name, *VALIDATION.split()[1:]]
