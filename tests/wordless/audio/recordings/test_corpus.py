"""From folders and tables to manifests, on tiny recordings and, where they are present, on real ones."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.wordless.audio.conftest import Tone
from wordless.audio.recordings.corpus import CONFLICTING, CorpusConfig, build_manifest, find_recordings
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.inspection import inspect
from wordless.audio.recordings.manifest import Rejected, SplitBy
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.errors import InputError

ALL_TRAIN = SplitConfig(validation_fraction=0, test_fraction=0)


def labels(config: CorpusConfig) -> dict[str, str | None]:
    return {known.path: known.label for known in find_recordings(config)}


def test_sub_folders_are_labels(tmp_path: Path, tone: Tone) -> None:
    for name in ("dog/1.wav", "dog/2.FLAC", "cat (big)/ä 1.ogg", "loose.mp3", ".hidden/3.wav", "dog/._1.wav"):
        tone(name, sample_rate=44_100)
    (tmp_path / "dog" / "notes.txt").write_text("no sound")
    assert labels(CorpusConfig(root=str(tmp_path))) == {
        "cat (big)/ä 1.ogg": "cat (big)",
        "dog/1.wav": "dog",
        "dog/2.FLAC": "dog",
        "loose.mp3": None,
    }


def test_splits_that_cannot_be_made_are_refused_before_a_recording_is_decoded(tmp_path: Path) -> None:
    for number in range(21):
        (tmp_path / f"{'ab'[number % 2]}_{number}.wav").write_text("no sound")
    with pytest.raises(InputError, match=r"^validation split\b.*\b2 groups\b"):
        build_manifest(CorpusConfig(root=str(tmp_path), pattern="{group}_{index}"))


def test_labels_may_be_left_out_or_renamed(tmp_path: Path, tone: Tone) -> None:
    tone("dog/1.wav")
    assert labels(CorpusConfig(root=str(tmp_path), labels="none")) == {"dog/1.wav": None}
    assert labels(CorpusConfig(root=str(tmp_path), pattern="{label}.wav", labels="pattern")) == {"dog/1.wav": "1"}
    (tmp_path / "dog/1.wav").unlink()
    for name in ("7_a.wav", "8_a.wav"):
        tone(name)
    config = CorpusConfig(root=str(tmp_path), pattern="{label}_{group}.wav", label_names={"7": "seven"})
    assert labels(config) == {"7_a.wav": "seven", "8_a.wav": "8"}


def test_labels_that_must_be_numbers_are_checked(tmp_path: Path, tone: Tone) -> None:
    for name in ("1.5_a.wav", "-2e3_a.wav"):
        tone(name)
    config = CorpusConfig(root=str(tmp_path), pattern="{label}_{group}.wav", label_type="number")
    assert labels(config) == {"1.5_a.wav": "1.5", "-2e3_a.wav": "-2e3"}
    tone("inf_a.wav")
    with pytest.raises(InputError, match=r"label_type is number\b.*inf_a\.wav.*\binf\b"):
        labels(config)


def test_only_classes_are_spread_over_the_splits(tmp_path: Path, tone: Tone) -> None:
    for number in range(20):
        tone(f"{number}_{number}.wav")
        tone(f"0_{20 + number}.wav")
    splits = {}
    for kind in ("class", "number"):
        config = CorpusConfig(root=str(tmp_path), pattern="{label}_{index}.wav", label_type=kind)
        manifest, _ = build_manifest(config)
        splits[kind] = {clip.label for clip in manifest.clips if clip.split == "test"}
        assert len(manifest.of("test")) in (2, 4)
    assert splits["class"] == {"0"}  # the other labels have one clip each, and train
    assert len(splits["number"] - {"0"}) > 0


def test_linked_folders_are_entered_once(tmp_path: Path, tone: Tone) -> None:
    tone("corpus/dog/1.wav")
    tone("elsewhere/2.wav")
    (tmp_path / "corpus" / "loop").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus" / "more").symlink_to(tmp_path / "elsewhere")
    assert list(labels(CorpusConfig(root=str(tmp_path / "corpus")))) == ["dog/1.wav", "more/2.wav"]


def test_files_that_the_pattern_does_not_fit_are_set_aside(tmp_path: Path, tone: Tone) -> None:
    for name in ("yes_ann_0.wav", "no_bob_1.wav", "readme.wav"):
        tone(name)
    config = CorpusConfig(root=str(tmp_path), pattern="{label}_{group}_{index}.wav", split=ALL_TRAIN)
    manifest, rejected = build_manifest(config)
    assert [(each.label, each.group, each.index) for each in manifest.clips] == [("no", "bob", 1), ("yes", "ann", 0)]
    assert [each.path for each in rejected] == ["readme.wav"]
    assert "`pattern` {label}_{group}_{index}.wav" in rejected[0].reason


def test_a_fairseq_table_brings_its_root_and_a_jsonl_table_may_hold_absolute_paths(tmp_path: Path, tone: Tone) -> None:
    tone("audio/a.wav")
    (tmp_path / "train.tsv").write_text(f"{tmp_path / 'audio'}\na.wav\t800\n")
    found = find_recordings(CorpusConfig(table=str(tmp_path / "train.tsv")))
    assert (found.root, [clip.path for clip in found]) == (tmp_path / "audio", ["a.wav"])
    path = tone("audio/a.wav")
    (tmp_path / "t.jsonl").write_text(f'{{"audio_filepath": "{path}", "label": "up"}}\n')
    assert labels(CorpusConfig(root=str(tmp_path / "audio"), table=str(tmp_path / "t.jsonl"))) == {"a.wav": "up"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.wav\nb.wav\n", r"table\.tsv:3: b\.wav"),
        ("path\na.wav\n./a.wav\n", r"table\.tsv:3: a\.wav.* twice"),
        ("path\n../a.wav\n", r"table\.tsv:2: \.\./a\.wav"),
        ("path\tlabel\n", r"table\.tsv.* no recordings"),
    ],
)
def test_problems_of_a_table_name_the_line(tmp_path: Path, tone: Tone, text: str, message: str) -> None:
    tone("corpus/a.wav")
    tone("a.wav")
    table = tmp_path / "table.tsv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        build_manifest(CorpusConfig(root=str(tmp_path / "corpus"), table=str(table)))


def test_an_absolute_path_in_a_table_fits_a_root_given_in_any_way(
    tmp_path: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = tone("data/deep/a.wav")
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path)
    for root in ("data", f"../{tmp_path.name}/data", "link", str(tmp_path / "data"), str(tmp_path / "link")):
        for path in (recording, Path("deep/a.wav"), (tmp_path / root / "deep/a.wav")):
            Path("table.tsv").write_text(f"path\n{path}\n")
            found = find_recordings(CorpusConfig(root=root, table="table.tsv"))
            assert [clip.path for clip in found] == ["deep/a.wav"], (root, path)
    Path("table.tsv").write_text(f"path\n{tmp_path / 'data2/a.wav'}\n")
    with pytest.raises(InputError, match=r"data2/a\.wav.* data\b"):
        find_recordings(CorpusConfig(root="data", table="table.tsv"))


def test_what_is_no_regular_file_is_set_aside_in_a_folder_and_in_a_table(tmp_path: Path, tone: Tone) -> None:
    for number in range(3):
        tone(f"data/{number}.wav")
    tone("data/folder.wav/inside.wav")
    (tmp_path / "data/pipe.wav").unlink(missing_ok=True)
    os.mkfifo(tmp_path / "data/pipe.wav")
    (tmp_path / "data/broken.wav").symlink_to("nowhere.wav")
    names = ["0.wav", "1.wav", "2.wav", "folder.wav/inside.wav"]
    unfit = ["broken.wav", "folder.wav", "pipe.wav"]
    (tmp_path / "table.csv").write_text("\n".join(["path", *names, *unfit]))
    for config in (
        CorpusConfig(root=str(tmp_path / "data"), split=ALL_TRAIN),
        CorpusConfig(root=str(tmp_path / "data"), split=ALL_TRAIN, table=str(tmp_path / "table.csv")),
    ):
        told: list[Rejected] = []
        manifest, rejected = build_manifest(config, set_aside=told.extend)
        assert [clip.path for clip in manifest.clips] == names
        assert [each.path for each in rejected] == unfit
        assert sorted(told, key=lambda each: each.path) == list(rejected)


SIZES = {"train": 25, "validation": 5, "test": 10}


def write_table(folder: Path, tone: Tone, name: str, spellings: dict[str, str], *, column: str = "split") -> Path:
    """Write a table of 40 recordings, eight of a speaker, whose splits are spelt in this way."""
    splits = [split for split, count in SIZES.items() for _ in range(count)]
    rows = [
        {"path": f"{n}.wav", "label": "ab"[n % 2], "group": f"g{n // 5}", column: spellings.get(split, split)}
        for n, split in enumerate(splits)
    ]
    for row in rows:
        tone(row["path"])
    table = folder / name
    if name.endswith(".jsonl"):
        table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        cells = [[*rows[0]], *([*row.values()] for row in rows)]
        table.write_text("".join(("," if name.endswith(".csv") else "\t").join(each) + "\n" for each in cells))
    return table


def divided(config: CorpusConfig) -> dict[str, str]:
    return {clip.path: clip.split for clip in build_manifest(config)[0].clips}


OWN = {f"{n}.wav": split for n, split in enumerate(s for s, count in SIZES.items() for _ in range(count))}


@pytest.mark.parametrize(
    ("name", "column", "spellings"),
    [
        ("t.tsv", "split", {}),
        ("t.csv", "Split", {"train": "Training", "validation": "DEV", "test": "eval"}),
        ("t.jsonl", "subset", {"validation": "val", "test": "testing"}),
    ],
)
def test_the_splits_of_a_table_are_used_without_an_option(
    tmp_path: Path, tone: Tone, name: str, column: str, spellings: dict[str, str]
) -> None:
    config = CorpusConfig(table=str(write_table(tmp_path, tone, name, spellings, column=column)))
    assert divided(config) == OWN
    assert "25 train, 5 validation, 10 test" in find_recordings(config).notices[-1]
    drawn = replace(config, split=SplitConfig(by="hash"))
    assert divided(drawn) != OWN
    if name != "t.jsonl":
        assert "column" in find_recordings(drawn).notices[-1]


def test_a_column_of_another_name_and_a_pattern_say_splits(tmp_path: Path, tone: Tone) -> None:
    table = write_table(tmp_path, tone, "t.tsv", {}, column="where")
    assert divided(CorpusConfig(table=str(table), columns=ColumnConfig(split="where"))) == OWN
    for split, count in SIZES.items():
        for number in range(count):
            tone(f"named/{split}_{'ab'[number % 2]}_{number}.wav")
    config = CorpusConfig(root=str(tmp_path / "named"), pattern="{split}_{label}_{index}.wav", labels="pattern")
    assert all(path.startswith(split) for path, split in divided(config).items())


def test_rows_without_a_split_count_as_train_and_a_line_says_so(tmp_path: Path, tone: Tone) -> None:
    table = write_table(tmp_path, tone, "t.tsv", {"train": "", "validation": ""})
    config = CorpusConfig(table=str(table))
    assert {path for path, split in divided(config).items() if split == "test"} == {f"{n}.wav" for n in range(30, 40)}
    assert all(each in find_recordings(config).notices[-1] for each in ("10 test", "validation drawn", "30 others"))


def test_splits_that_leave_nothing_to_train_on_or_are_none_are_refused(tmp_path: Path, tone: Tone) -> None:
    table = write_table(tmp_path, tone, "t.tsv", {"train": "test", "validation": "test"})
    with pytest.raises(InputError, match=r"split\.by\b.*\b40 clips\b.*\bhash\b"):
        build_manifest(CorpusConfig(table=str(table)))
    table = write_table(tmp_path, tone, "t.tsv", {"train": "1", "validation": "2", "test": "3"})
    with pytest.raises(InputError, match=r"t\.tsv:2: split is '1'.*split\.by=hash"):
        build_manifest(CorpusConfig(table=str(table)))
    assert len(divided(CorpusConfig(table=str(table), split=SplitConfig(by="hash")))) == 40


@pytest.mark.parametrize(
    ("folders", "found"),  # of each folder: its recordings' split and label
    [
        (
            ("train/dog", "train/cat", "test/dog", "test/cat"),
            [("train", "dog"), ("train", "cat"), ("test", "dog"), ("test", "cat")],
        ),
        (("Training", "val", "TEST"), [("train", None), ("validation", None), ("test", None)]),
        (("dog/train", "dog/eval"), [("train", "dog"), ("test", "dog")]),
        (("audio/train_set/dog", "audio/testset/dog"), [("train", "dog"), ("test", "dog")]),
        (
            ("train-clean-100/8/1", "dev-clean/9/2", "test-clean/7/3"),
            [("train", "1"), ("validation", "2"), ("test", "3")],
        ),
        (("dog", "cat", "test/dog"), [("train", "dog"), ("train", "cat"), ("test", "dog")]),
        (("train/a", "test/a", "noise"), [("train", "a"), ("test", "a"), None]),
        (("yes", "no", "test", "train"), [("train", "yes"), ("train", "no"), ("train", "test"), ("train", "train")]),
        (("train/a", "train/b"), [("train", "a"), ("train", "b")]),
        (("test",), [("train", None)]),
        (("dev_1", "dev_2"), [("train", "dev_1"), ("train", "dev_2")]),
    ],
)
def test_folders_named_after_splits_divide_the_recordings_and_are_no_labels(
    tmp_path: Path, tone: Tone, folders: Sequence[str], found: Sequence[tuple[str, str | None] | None]
) -> None:
    for folder in folders:
        for number in range(3):
            tone(f"{folder}/{number}.wav")
    config = CorpusConfig(root=str(tmp_path), split=ALL_TRAIN)
    clips = {(str(Path(clip.path).parent), clip.split, clip.label) for clip in build_manifest(config)[0].clips}
    assert clips == {(folder, *each) for folder, each in zip(folders, found, strict=True) if each}
    drawn, said = replace(config, split=replace(ALL_TRAIN, by="hash")), find_recordings(config).notices
    assert {clip.split for clip in build_manifest(drawn)[0].clips} == {"train"}
    tests = [folder for folder, each in zip(folders, found, strict=True) if each and each[0] == "test"]
    assert not tests or f"{3 * len(tests)} test" in said[-1]
    assert ("set aside" in " ".join(said)) == (None in found)
    assert ("test" in folders and len(folders) == 4) <= any("split.by`=folder" in each for each in said)


def test_folders_of_which_none_trains_are_refused(tmp_path: Path, tone: Tone) -> None:
    for name in ("dev/a/1.wav", "eval/a/2.wav"):
        tone(name)
    with pytest.raises(InputError, match=r"split\.by is folder\b.*\btrain\b"):
        build_manifest(CorpusConfig(root=str(tmp_path)))
    split = SplitConfig(by="folder", test=("eval",), validation_fraction=0)
    assert divided(CorpusConfig(root=str(tmp_path), split=split)) == {"dev/a/1.wav": "train", "eval/a/2.wav": "test"}
    with pytest.raises(InputError, match=r"split\.by is folder\b.*\bsplit\.test="):
        build_manifest(CorpusConfig(root=str(tmp_path / "dev"), split=SplitConfig(by="folder")))


@pytest.mark.parametrize(
    ("root", "message"),
    [("~nobody-of-this-name/data", "~nobody-of-this-name/data"), ("null\0", "path"), ("x" * 5000, "x{30}")],
)
def test_a_root_that_no_folder_can_be_is_refused(tmp_path: Path, root: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_recordings(CorpusConfig(root=root))
    (tmp_path / "fairseq.tsv").write_text(f"{root}\na.wav\t16000\n")
    with pytest.raises(InputError, match=message):
        find_recordings(CorpusConfig(table=str(tmp_path / "fairseq.tsv")))


@pytest.mark.parametrize("by", ["table", "fold", "group"])
def test_a_division_by_values_that_no_recording_has_is_refused(tmp_path: Path, tone: Tone, by: SplitBy) -> None:
    tone("a.wav")
    with pytest.raises(InputError, match=rf"^split\.by is {by}\b"):
        build_manifest(CorpusConfig(root=str(tmp_path), split=SplitConfig(by=by)))


def test_an_empty_folder_and_a_pattern_that_fits_nothing_are_told(tmp_path: Path, tone: Tone) -> None:
    (tmp_path / "song.txt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"1 \.txt.*\.wav, \.flac"):
        build_manifest(CorpusConfig(root=str(tmp_path)))
    tone("x/yes-0.wav")
    with pytest.raises(InputError, match=r"\b1 file .*'x/yes-0\.wav'"):
        build_manifest(CorpusConfig(root=str(tmp_path), pattern="{label}_{index}.wav"))


def test_a_corpus_without_a_fit_recording_gives_the_reasons(tmp_path: Path, tone: Tone) -> None:
    tone("short.wav", seconds=0.01)
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_text(name)
    with pytest.raises(InputError, match=r"\b3 recordings .*\(2 .*text.*; 1 .*short"):
        build_manifest(CorpusConfig(root=str(tmp_path)))


def test_a_split_that_cannot_be_made_shows_before_listening(tmp_path: Path, tone: Tone) -> None:
    for name in ("a_ann.wav", "a_bob.wav"):
        tone(name)
    config = CorpusConfig(
        root=str(tmp_path), pattern="{label}_{group}.wav", split=SplitConfig(by="group", test=("cy",))
    )
    with pytest.raises(InputError, match=r"group 'cy'.*'ann', 'bob'"):
        build_manifest(config, inspector=lambda *_: pytest.fail("recordings were decoded"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path: Path, tone: Tone) -> None:
    folder = tone("closed/a.wav").parent
    folder.chmod(0)
    try:
        with pytest.raises(InputError, match=r"closed.*Permission denied"):
            build_manifest(CorpusConfig(root=str(tmp_path)))
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"^root\b.*\btable="),
        ({"root": "x", "labels": "pattern"}, r"^labels\b.*\bpattern\b"),
        ({"root": "x", "pattern": "{speaker}"}, r"\{label\}"),
    ],
)
def test_contradictory_values_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CorpusConfig(**values)  # type: ignore[arg-type]  # what a user may give


def test_the_same_recordings_elsewhere_are_the_same_corpus(tmp_path: Path, tone: Tone) -> None:
    for name in ("here/a.wav", "here/b/c.wav"):
        path = tone(name)
        copy = tmp_path / name.replace("here", "there")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    manifests = [
        build_manifest(
            CorpusConfig(root=str(tmp_path / name), split=ALL_TRAIN), inspector=partial(inspect, workers=workers)
        )[0]
        for name, workers in (("here", 1), ("there", 3))
    ]
    assert manifests[0].clips == manifests[1].clips


def test_fsdd_official_split(fsdd: Path) -> None:
    config = CorpusConfig(
        root=str(fsdd),
        pattern="{label}_{group}_{index}.wav",
        split=SplitConfig(by="index", test=("0-4",), validation=("5-9",)),
    )
    manifest, rejected = build_manifest(config)
    assert [len(manifest.of(split)) for split in ("train", "validation", "test")] == [2_000, 250, 250]
    assert {each.group for each in manifest.clips} == {"george", "jackson", "lucas", "nicolas", "yweweler"}
    assert not rejected


def test_esc10_folds(esc10: Path) -> None:
    config = CorpusConfig(
        root=str(esc10), pattern="{fold}-{group}-*.ogg", split=SplitConfig(by="fold", test=("4",), validation=("1",))
    )
    found = find_recordings(config)
    assert (found.root, len(found.clips), found.rejected) == (esc10, 320, ())
    known = found.clips[0]
    assert (known.label, known.fold) == ("001 - Dog bark", "1")


IMPOSSIBLE = [
    f"{'x' * 300}.wav",
    "/".join(["deep"] * 1_000) + "/a.wav",
    f"{'y' * 5_000}.wav",
    "null\0.wav",
    "\ud800.wav",
]


@pytest.mark.parametrize("path", IMPOSSIBLE)
def test_a_listed_path_that_no_file_can_have_is_set_aside(tmp_path: Path, tone: Tone, path: str) -> None:
    tone("a.wav")
    (tmp_path / "table.jsonl").write_text("".join(f"{json.dumps({'path': each})}\n" for each in ("a.wav", path)))
    manifest, rejected = build_manifest(CorpusConfig(table=str(tmp_path / "table.jsonl"), split=ALL_TRAIN))
    assert [clip.path for clip in manifest.clips] == ["a.wav"]
    assert [each.path for each in rejected] == [path]
    assert rejected[0].reason


def test_parts_of_files_with_the_same_sound_are_those_of_the_first(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 48_000, np.int16)
    for name in ("a.wav", "b.flac", "c.wav", "e.wav"):
        soundfile.write(tmp_path / name, samples, 8_000)
    soundfile.write(tmp_path / "d.wav", samples[::-1], 8_000)
    table = tmp_path / "t.csv"
    table.write_text("path,start,end,label\na.wav,0,1,t\nb.flac,2,4,u\nc.wav,0,1,v\nd.wav,,,t\ne.wav,0,1,t\n")
    manifest, rejected = build_manifest(CorpusConfig(table=str(table), split=ALL_TRAIN))
    assert [(clip.name, clip.label) for clip in manifest.clips] == [
        *(("a.wav#t=0,1", "t"), ("a.wav#t=2,4", "u"), ("d.wav", "t"))
    ]
    reasons = {each.path: each.reason for each in rejected}
    assert all("a.wav" in reason for reason in reasons.values())
    assert ("1 part" in reasons["b.flac"], "here v, there t" in reasons["c.wav"]) == (True, True)
    conflicts = {each.path: each.kind == CONFLICTING for each in rejected}
    assert conflicts == {"b.flac": False, "c.wav": True, "e.wav": False}


def test_annotations_of_files_with_the_same_sound_are_of_the_first(tmp_path: Path, tone: Tone) -> None:
    shutil.copy(tone("a.wav", seconds=1), tmp_path / "b.wav")
    (tmp_path / "a.txt").write_text("0\t0.5\tx\n")
    (tmp_path / "b.txt").write_text("0\t0.5\ty\n")
    manifest, (rejected,) = build_manifest(CorpusConfig(root=str(tmp_path), split=ALL_TRAIN))
    assert [(clip.path, clip.label, clip.group) for clip in manifest.clips] == [("a.wav", "x", "a")]
    assert rejected.kind == CONFLICTING
    assert "group" not in rejected.reason


def test_folders_and_files_beyond_the_longest_path_are_set_aside(tmp_path: Path, tone: Tone) -> None:
    tone("a.wav")
    here, part = os.open(tmp_path, os.O_RDONLY), "d" * 200
    for _ in range(25):
        os.mkdir(part, dir_fd=here)
        below = os.open(part, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    manifest, (rejected,) = build_manifest(CorpusConfig(root=str(tmp_path), split=ALL_TRAIN))
    assert [clip.path for clip in manifest.clips] == ["a.wav"]
    assert "long" in rejected.reason


def test_a_tier_is_refused_where_no_annotations_are_read(tmp_path: Path, tone: Tone) -> None:
    tone("a.wav")
    (tmp_path / "table.tsv").write_text("path\tlabel\na.wav\tx\n")
    for config in (
        CorpusConfig(table=str(tmp_path / "table.tsv"), tier="words"),
        CorpusConfig(root=str(tmp_path), annotations="none", tier="words"),
    ):
        with pytest.raises(InputError, match=r"\btier\b"):
            find_recordings(config)
