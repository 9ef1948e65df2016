"""From folders and tables to manifests, on tiny recordings and, where they are present, on real ones."""

import errno
import json
import os
import re
import shutil
import tarfile
import unicodedata
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile

from tests.wordless.audio.conftest import ALL_TRAIN, Tone, corpus_config, inspected, train_all
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.corpus import CONFLICTING, SOURCES, build_manifest, find_recordings, outside_notices
from wordless.audio.recordings.corpus_config import NAMED_BY, AnnotationOptions, CorpusConfig
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.recordings.manifest import Rejected, write_manifest
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.files import MARK
from wordless.base.messages import InputError

Files = dict[str, str]  # the content of each file; of a recording nothing, for a tone of its own


def write_files(folder: Path, files: Files, tone: Tone) -> None:
    for name, content in files.items():
        if name.lower().endswith((".wav", ".flac", ".ogg", ".mp3")) and not content:
            tone(name, sample_rate=44_100)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)


RUN, STORE = "runs/2026", "a store"
OURS = {
    f"{RUN}/{MARK}": "",
    f"{RUN}/listening/a.wav": "",
    f"{STORE}/{MARK}": "",
    f"{STORE}/listening/0123456789abcdef/a.wav": "",
    "listening/entry.json": '{"stage": "listening", "arguments": {}}',  # the folder of recordings is that of a run
    "listening/a.wav": "",
    f"decoded/{MARK}": "",
    "decoded/more/a.wav": "",
}


def test_sounds_that_wordless_wrote_are_no_recordings(tmp_path: Path, tone: Tone) -> None:
    own = {"a/1.wav": "", "a/2.wav": "", "b/entry.json": '{"stage": "left"}', "b/3.wav": "", "b/log.txt": ""}
    write_files(tmp_path, {**own, **OURS}, tone)
    (tmp_path / "runs/latest").symlink_to("2026")
    for found in (find_recordings(corpus_config(tmp_path)), recordings_at(tmp_path)):
        assert [clip.path for clip in found] == ["a/1.wav", "a/2.wav", "b/3.wav"]
        (told,) = found.notices
        assert re.match(rf"4 folders that Wordless wrote\b.*\b{STORE}\b.*{re.escape(MARK)}", told)
    assert [clip.path for clip in recordings_at(tmp_path / "decoded")] == ["more/a.wav"]
    assert [clip.path for clip in recordings_at(tmp_path / RUN)] == ["listening/a.wav"]
    (alone := tmp_path / "alone").mkdir()
    for name in ("runs", "decoded"):
        (tmp_path / name).rename(alone / name)
    with pytest.raises(InputError, match=r"no recordings.*2 folders that Wordless wrote"):
        recordings_at(alone)


@pytest.mark.parametrize("name", ["shard-000.tar", "shard-{000..009}.tar", "a.tar.gz", "a.TGZ", "a.zip", "a.tar.zst"])
@pytest.mark.parametrize("option", ["root", "table", "dataset"])
def test_archives_are_refused_by_their_names(name: str, option: str, tmp_path: Path, tone: Tone) -> None:
    if "{" not in name:
        (tmp_path / name).write_bytes(b"an archive")
    for place in (f"{tmp_path}/{name}", name):
        with pytest.raises(InputError, match=rf"^{option} is .*{re.escape(name)}; archives .* unpack"):
            find_recordings(CorpusConfig(**{option: place}))  # type: ignore[arg-type]  # options that are texts
    if option == "root":
        (tmp_path / "folder.tar").mkdir()
        tone("folder.tar/a.wav")
        assert len(find_recordings(CorpusConfig(root=str(tmp_path / "folder.tar"))).frame) == 1


def test_archives_among_recordings_are_named(tmp_path: Path, tone: Tone) -> None:
    for name in ("a/1.wav", "b/2.wav"):
        tone(name)
    with tarfile.open(tmp_path / "more.tar", "w") as tar:
        tar.add(tmp_path / "a/1.wav", "3.wav")
    (tmp_path / "a/even more.tgz").write_bytes(b"")
    for found in (find_recordings(corpus_config(tmp_path)), recordings_at(tmp_path)):
        (told,) = found.notices
        assert re.match(r"2 archives not read, such as a/even more\.tgz: unpack .*tar -xf", told)
    (tmp_path / "alone").mkdir()
    (tmp_path / "more.tar").rename(tmp_path / "alone/more.tar")
    with pytest.raises(InputError, match=r"no recordings.*1 archive not read, such as more\.tar"):
        recordings_at(tmp_path / "alone")
    (tmp_path / "alone/more.tar").rename(tmp_path / "more.wav")  # what the name does not say, the bytes do
    (rejected,) = inspected(tmp_path, ["more.wav"])[1]
    assert re.search(r"tar archive.*unpack", rejected.reason)


FOLDERS = ("dog/1.wav", "dog/2.FLAC", "cat (big)/ä 1.ogg", "loose.mp3", ".hidden/3.wav", "dog/._1.wav")
NAMES = {"pattern": "{label}_{group}.wav"}


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        (FOLDERS, {}, {"cat (big)/ä 1.ogg": "cat (big)", "dog/1.wav": "dog", "dog/2.FLAC": "dog", "loose.mp3": None}),
        (["up/a.wav"], {"label_type": "text", "pattern": "{label}/*"}, {"up/a.wav": "up"}),
        (["dog/1.wav"], {"labels": "none"}, {"dog/1.wav": None}),
        (["dog/1.wav"], {"pattern": "{label}.wav", "labels": "pattern"}, {"dog/1.wav": "1"}),
        (["7_a.wav", "8_a.wav"], NAMES | {"label_names": {"7": "seven"}}, {"7_a.wav": "seven", "8_a.wav": "8"}),
        (["1.5_a.wav", "-2e3_a.wav"], NAMES | {"label_type": "number"}, {"1.5_a.wav": "1.5", "-2e3_a.wav": "-2e3"}),
    ],
)  # fmt: skip
def test_labels_are_folders_or_parts_of_names(
    tmp_path: Path, tone: Tone, files: Sequence[str], options: dict[str, Any], expected: dict[str, str | None]
) -> None:
    write_files(tmp_path, dict.fromkeys(files, "") | {"dog/notes.txt": "no sound"}, tone)
    assert {clip.path: clip.label for clip in find_recordings(corpus_config(tmp_path, **options))} == expected


@pytest.mark.parametrize(
    ("link", "target", "found", "told"),
    [
        ("loop", ".", [], "listed by another name: it is the folder ."),
        ("wolf", "dog", [], "listed by another name: it is the folder dog"),
        ("more", "../elsewhere", ["more/2.wav"], None),
        ("owl", "gone", [], "cannot be read: it is a link to gone, which does not exist"),
        ("yak", "yak", [], "cannot be read: it is a link to yak: Too many levels of symbolic links"),
        *((f"runs/{name}", "night", [], None) for name in ("latest", "zebra")),  # before and after the folder
    ],
)
def test_linked_folders_are_read_once_and_what_is_not_read_is_listed(
    tmp_path: Path, tone: Tone, link: str, target: str, found: list[str], told: str | None
) -> None:
    own = f"corpus/runs/night/{MARK}"  # a folder that Wordless wrote
    write_files(tmp_path, {"corpus/dog/1.wav": "", "elsewhere/2.wav": "", "corpus/runs/night/3.wav": "", own: ""}, tone)
    (tmp_path / "corpus" / link).symlink_to(target)
    wanted = [(link, told.partition(":")[0], told)] if told else []
    for place in (find_recordings(corpus_config(tmp_path, root="corpus")), recordings_at(tmp_path / "corpus")):
        assert [clip.path for clip in place] == ["dog/1.wav", *found]
        assert [(each.path, each.kind, each.reason) for each in place.rejected] == wanted


def test_folders_without_inodes_are_all_read(tmp_path: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ["0.wav", "a/1.wav", "a/b/2.wav", "c/3.wav"]
    write_files(tmp_path, dict.fromkeys(paths, ""), tone)
    stat = os.stat

    def without_inode(*arguments: Any, **options: Any) -> os.stat_result:
        found = stat(*arguments, **options)
        return os.stat_result((found.st_mode, 0, *found[2:]))

    monkeypatch.setattr(os, "stat", without_inode)
    assert [clip.path for clip in recordings_at(tmp_path)] == paths


def test_a_closed_folder_is_set_aside(tmp_path: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"good/1.wav": "", "closed/2.wav": ""}, tone)
    scandir = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    for found in (find_recordings(corpus_config(tmp_path)), recordings_at(tmp_path)):
        assert [clip.path for clip in found.clips] == ["good/1.wav"]
        assert [each.path for each in found.rejected] == ["closed"]
        assert "Permission denied" in found.rejected[0].reason
    with pytest.raises(InputError, match=r"closed.*Permission denied"):
        recordings_at(tmp_path / "closed")


WORDS = {"up/a.wav": "", "t.csv": "path,words\nup/a.wav,hello\n"}
TWO_MISSING = {"t.csv": "path\n0.wav\n1.wav\n2.wav\n"}
LISTED = {"root": "corpus", "table": "t.tsv"}
SPLIT_NAMED_OTHERWISE = {f"{n}.wav": "" for n in range(6)} | {
    "t.tsv": "path\tsplit\n" + "".join(f"{n}.wav\t{n % 3}\n" for n in range(6))
}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({f"{'ab'[n % 2]}_{n}.wav": "no sound" for n in range(21)}, {"pattern": "{group}_{index}"},
         "^validation.* 2 groups"),
        ({"a_ann.wav": "no sound", "a_bob.wav": "no sound"}, NAMES | {"split": SplitConfig(by="group", test=("cy",))},
         "group 'cy'.*'ann', 'bob'"),
        *(
            ({"a.wav": ""}, {"split": SplitConfig(by=by)}, rf"^split\.by is {by}\b")  # type: ignore[arg-type]  # a split's name
            for by in ("table", "fold", "group")
        ),
        ({"dev/a/1.wav": "", "eval/a/2.wav": ""}, {}, r"split\.by is folder\b.*\btrain\b"),
        ({"a/1.wav": ""}, {"split": SplitConfig(by="folder")}, r"split\.by is folder\b.*\bsplit\.test="),
        (SPLIT_NAMED_OTHERWISE, {"table": "t.tsv"}, r"t\.tsv:2: split is '0'.*split\.by=hash"),
        ({"a.wav": "", "b.wav": "", "t.tsv": "path\tsplit\na.wav\ttest\nb.wav\ttest\n"}, {"table": "t.tsv"},
         r"split has test alone.*split\.by=hash"),
        ({"inf_a.wav": ""}, NAMES | {"label_type": "number"}, r"label_type is number\b.*inf_a\.wav.*\binf\b"),
        ({"corpus/a.wav": "", "t.tsv": "path\na.wav\nb.wav\n"}, LISTED, r"t\.tsv:3: b\.wav"),
        ({"corpus/a.wav": "", "t.tsv": "path\na.wav\n./a.wav\n"}, LISTED, r"t\.tsv:3: a\.wav.* twice"),
        ({"a.wav": "", "t.csv": "path,start,end\na.wav,0,1\na.wav,0,1\n"}, {"table": "t.csv"},
         r"t\.csv:3: a\.wav\b.* twice"),
        ({"corpus/a.wav": "", "a.wav": "", "t.tsv": "path\n../a.wav\n"}, LISTED, r"t\.tsv:2: \.\./a\.wav"),
        ({"corpus/a.wav": "", "t.tsv": "path\tlabel\n"}, LISTED, r"t\.tsv.* no recordings"),
        ({"a.wav": "", "t.tsv": "path\tlabel\na.wav\tx\n"}, {"table": "t.tsv", "tier": "words"}, r"^tier\b"),
        ({"a.wav": ""}, {"annotations": "none", "tier": "words"}, r"^tier\b"),
        ({"a/up.wav": ""}, {"columns": ColumnConfig(group="speaker")}, r"^columns\.group is speaker"),
        ({"a/up.wav": ""}, {"labels": "none", "label_names": {"a": "b"}}, "^label_names"),
        ({"a/up.wav": ""}, {"label_names": {"left": "right"}}, "^label_names"),
        ({}, {"labels": "pattern"}, r"^labels\b.*\bpattern\b"),
        ({}, {"pattern": "{speaker}"}, r"\{label\}"),
        ({}, {"segment_seconds": 10.0, "segment_overlap_seconds": 9.5}, r"^segment_overlap_seconds\b.*9\.5\b.*\b9\b"),
        ({}, {"segment_overlap_seconds": 1.0}, r"^segment_overlap_seconds\b.*seconds"),
        ({}, {"segment_silence_dbfs": -50.0}, r"^segment_silence_dbfs\b.*seconds"),
        (WORDS, {"table": "t.csv", "label_type": "text"}, r"label_type is text\b.*columns\.label"),
        (WORDS, {"label_type": "text"}, "label_type is text"),
        ({"0.wav": "", **TWO_MISSING}, {"table": "t.csv"}, r"t\.csv:3: 1\.wav\b.*2 of 3 files.*missing=list"),
        (TWO_MISSING, {"table": "t.csv", "missing": "list"}, "3 of 3 files"),
        ({"song.txt": "x"}, {}, r"1 \.txt.*\.wav, \.flac"),
        ({"x/yes-0.wav": ""}, {"pattern": "{label}_{index}.wav"}, r"\b1 file .*'x/yes-0\.wav'"),
        ({"a.wav": "no sound", "b.wav": "no sound", "short.wav": ""}, {"inspection": InspectionConfig(min_seconds=1)},
         r"\b3 recordings .*\(2 .*text.*; 1 .*short"),
    ],
)  # fmt: skip
def test_other_corpora_are_refused(
    tmp_path: Path, tone: Tone, files: Files, options: dict[str, Any], message: str
) -> None:
    """Names and options are refused before a recording is decoded: "no sound" would be another reason."""
    write_files(tmp_path, files, tone)
    with pytest.raises(InputError, match=message):
        build_manifest(corpus_config(tmp_path, **options))


def test_only_classes_are_spread_over_the_splits(tmp_path: Path, tone: Tone) -> None:
    for number in range(20):
        tone(f"{number}_{number}.wav")
        tone(f"0_{20 + number}.wav")
    splits = {}
    for kind in ("class", "number"):
        manifest, _ = build_manifest(corpus_config(tmp_path, pattern="{label}_{index}.wav", label_type=kind))
        splits[kind] = {clip.label for clip in manifest.of("test")}
        assert len(manifest.of("test")) in (2, 4)
    assert splits["class"] == {"0"}  # the other labels have one clip each, and train
    assert len(splits["number"] - {"0"}) > 0


def test_files_that_the_pattern_does_not_fit_are_set_aside(tmp_path: Path, tone: Tone) -> None:
    write_files(tmp_path, dict.fromkeys(("yes_ann_0.wav", "no_bob_1.wav", "readme.wav"), ""), tone)
    manifest, (rejected,) = train_all(tmp_path, pattern="{label}_{group}_{index}.wav")
    assert [(each.label, each.group, each.index) for each in manifest.clips] == [("no", "bob", 1), ("yes", "ann", 0)]
    assert rejected.path == "readme.wav"
    assert "`pattern` {label}_{group}_{index}.wav" in rejected.reason


def test_an_absolute_path_in_a_table_fits_any_root(tmp_path: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
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
    """Also a folder with a path that is too long; the recordings in a folder that is named like one are used."""
    write_files(tmp_path, {"data/0.wav": "", "data/folder.wav/inside.wav": ""}, tone)
    os.mkfifo(tmp_path / "data/pipe.wav")
    (tmp_path / "data/broken.wav").symlink_to("nowhere.wav")
    names, unfit = ["0.wav", "folder.wav/inside.wav"], ["broken.wav", "folder.wav", "pipe.wav"]
    (tmp_path / "table.csv").write_text("\n".join(["path", *names, *unfit]))
    here, part = os.open(tmp_path / "data", os.O_RDONLY), "d" * 200
    for _ in range(25):
        os.mkdir(part, dir_fd=here)
        above, here = here, os.open(part, os.O_RDONLY, dir_fd=here)
        os.close(above)
    os.close(here)
    for table in ({}, {"table": "table.csv"}):
        told: list[Rejected] = []
        config = corpus_config(tmp_path, root="data", split=ALL_TRAIN, **table)
        manifest, rejected = build_manifest(config, rejected=told)
        assert [clip.path for clip in manifest.clips] == names
        assert [each.path for each in rejected if len(each.path) < 99] == unfit
        assert sum("long" in each.reason for each in rejected) == (not table)
        assert "a link to nowhere.wav" in next(each.reason for each in rejected if each.path == "broken.wav")
        assert sorted(told, key=lambda each: each.path) == list(rejected)


OWN = {f"{n}.wav": split for n, split in enumerate(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)}


def write_table(folder: Path, tone: Tone, spellings: dict[str, str], *, column: str = "split") -> str:
    """Write recordings and a table of them, whose splits are spelt in this way."""
    rows = [f"{path}\t{'ab'[n % 2]}\t{spellings.get(OWN[path], OWN[path])}\n" for n, path in enumerate(OWN)]
    write_files(folder, dict.fromkeys(OWN, "") | {"t.tsv": f"path\tlabel\t{column}\n{''.join(rows)}"}, tone)
    return str(folder / "t.tsv")


def divided(config: CorpusConfig) -> dict[str, str]:
    return {clip.path: clip.split for clip in build_manifest(config)[0].clips}


def test_the_splits_of_a_table_are_used_without_an_option(tmp_path: Path, tone: Tone) -> None:
    config = CorpusConfig(table=write_table(tmp_path, tone, {"validation": "DEV", "test": "eval"}, column="Subset"))
    assert divided(config) == OWN
    assert "6 train, 2 validation, 2 test" in find_recordings(config).notices[-1]
    drawn = replace(config, split=SplitConfig(by="hash"))
    assert divided(drawn) != OWN
    assert "column" in find_recordings(drawn).notices[-1]
    config = CorpusConfig(table=write_table(tmp_path, tone, {"train": "", "validation": ""}))  # these are drawn
    assert {path for path, split in divided(config).items() if split == "test"} == {"8.wav", "9.wav"}
    assert all(each in find_recordings(config).notices[-1] for each in ("2 test", "validation drawn", "8 others"))


def test_a_column_of_another_name_and_a_pattern_say_splits(tmp_path: Path, tone: Tone) -> None:
    table = write_table(tmp_path, tone, {}, column="where")
    assert divided(CorpusConfig(table=table, columns=ColumnConfig(split="where"))) == OWN
    write_files(tmp_path, {f"named/{split}_{path[0]}.wav": "" for path, split in OWN.items()}, tone)
    config = corpus_config(tmp_path, root="named", pattern="{split}_{index}.wav")
    assert all(path.startswith(split) for path, split in divided(config).items())


@pytest.mark.parametrize("column", ["set", "Data Split", "SUBSET", "partition", "Usage", "fold", "split"])
def test_a_column_of_splits_is_known_by_its_values_whatever_it_is_called(
    tmp_path: Path, tone: Tone, column: str
) -> None:
    """Names that stand for both train and validation train, and cells may be empty."""
    spellings = {"train": "trainval", "validation": "pretrain", "test": "test_unseen"}
    config = CorpusConfig(table=write_table(tmp_path, tone, spellings, column=column))
    held_out = {path for path, split in OWN.items() if split == "test"}
    assert {path for path, split in divided(config).items() if split == "test"} == held_out
    config = CorpusConfig(table=write_table(tmp_path, tone, {"validation": ""}, column=column))
    assert {path for path, split in divided(config).items() if split == "test"} == held_out


@pytest.mark.parametrize("column", ["set", "split", "fold"])
def test_values_that_are_no_known_split_stop_a_run_with_what_names_them(
    tmp_path: Path, tone: Tone, column: str
) -> None:
    config = CorpusConfig(table=write_table(tmp_path, tone, {"test": "held-out"}, column=column))
    with pytest.raises(InputError, match=rf"{column} .*held-out") as error:
        find_recordings(config)
    named = f"columns.fold={column} split.by=fold split.validation=[validation] split.test=[held-out]"
    assert named in str(error.value)
    split = SplitConfig(by="fold", validation=("validation",), test=("held-out",))
    assert divided(replace(config, columns=ColumnConfig(fold=column), split=split)) == OWN
    whole = find_recordings(replace(config, columns=ColumnConfig(split="none")))
    assert {clip.split for clip in whole.clips} == {""}
    with pytest.raises(InputError, match="held-out"):
        find_recordings(replace(config, split=SplitConfig(by="table"), columns=ColumnConfig(split=column)))
    sizes = {"train": "small", "validation": "medium", "test": "large"}  # a column of other things
    if column == "set":
        found = find_recordings(CorpusConfig(table=write_table(tmp_path, tone, sizes, column=column)))
        assert {clip.split for clip in found.clips} == {""}


def test_splits_without_one_to_train_on_name_what_trains(tmp_path: Path, tone: Tone) -> None:
    spellings = {"train": "dev", "validation": "dev", "test": "eval"}
    config = CorpusConfig(table=write_table(tmp_path, tone, spellings, column="subset"))
    with pytest.raises(InputError, match=r"split\.by=fold split\.train=\[dev\] split\.test=\[eval\]"):
        find_recordings(config)
    split = SplitConfig(by="fold", train=("dev",), test=("eval",))
    config = replace(config, columns=ColumnConfig(fold="subset"), split=split)
    assert {path for path, split in divided(config).items() if split == "test"} == {"8.wav", "9.wav"}
    for number in range(6):
        tone(f"folders/dev/{number}.wav")
        tone(f"folders/test/{number}.wav")
    config = corpus_config(tmp_path, root="folders")
    with pytest.raises(InputError, match=r"split\.by=folder split\.train=\[dev\] split\.test=\[test\]"):
        find_recordings(config)
    named = replace(config, split=SplitConfig(by="folder", train=("dev",), test=("test",)))
    assert {path for path, split in divided(named).items() if split == "test"} == {f"test/{n}.wav" for n in range(6)}
    tone("folders/learning/0.wav")
    with pytest.raises(InputError, match=r"learning .*split\.validation=\[dev\] split\.test=\[test\]"):
        find_recordings(config)


def test_a_folder_held_out_by_its_name_among_others_is_named(tmp_path: Path, tone: Tone) -> None:
    for folder in ("learning", "learning/yes", "test_unseen"):
        tone(f"{folder}/0.wav")
    told = find_recordings(corpus_config(tmp_path)).notices[-1]
    assert "`split.by`=folder `split.test`=[test_unseen]" in told


@pytest.mark.parametrize(
    ("folders", "found"),  # of each folder: its recordings' split and label
    [
        (("train/dog", "train/cat", "test/dog", "test/cat"),
         [("train", "dog"), ("train", "cat"), ("test", "dog"), ("test", "cat")]),
        (("Training", "val", "TEST"), [("train", None), ("validation", None), ("test", None)]),
        (("pretrain/a", "trainval/a", "test/a"), [("train", "a"), ("train", "a"), ("test", "a")]),
        (("dog/train", "dog/eval"), [("train", "dog"), ("test", "dog")]),
        (("audio/train_set/dog", "audio/testset/dog"), [("train", "dog"), ("test", "dog")]),
        (("train-clean-100/8/1", "dev-clean/9/2", "test-clean/7/3"),
         [("train", "1"), ("validation", "2"), ("test", "3")]),
        (("dog", "cat", "test/dog"), [("train", "dog"), ("train", "cat"), ("test", "dog")]),
        (("train/a", "test/a", "noise"), [("train", "a"), ("test", "a"), None]),
        (("yes", "no", "test", "train"), [("train", "yes"), ("train", "no"), ("train", "test"), ("train", "train")]),
        (("train/a", "train/b"), [("train", "a"), ("train", "b")]),
        (("test",), [("train", None)]),
        (("dev_1", "dev_2"), [("train", "dev_1"), ("train", "dev_2")]),
    ],
)  # fmt: skip
def test_folders_named_after_splits_divide_the_recordings_and_are_no_labels(
    tmp_path: Path, tone: Tone, folders: Sequence[str], found: Sequence[tuple[str, str | None] | None]
) -> None:
    for folder in folders:
        for number in range(3):
            tone(f"{folder}/{number}.wav")
    config = corpus_config(tmp_path, split=ALL_TRAIN)
    clips = {(str(Path(clip.path).parent), clip.split, clip.label) for clip in build_manifest(config)[0].clips}
    assert clips == {(folder, *each) for folder, each in zip(folders, found, strict=True) if each}
    drawn, said = replace(config, split=replace(ALL_TRAIN, by="hash")), find_recordings(config).notices
    assert {clip.split for clip in build_manifest(drawn)[0].clips} == {"train"}
    tests = [folder for folder, each in zip(folders, found, strict=True) if each and each[0] == "test"]
    assert not tests or f"{3 * len(tests)} test" in said[-1]
    assert ("set aside" in " ".join(said)) == (None in found)
    assert ("test" in folders and len(folders) == 4) <= any("split.by`=folder" in each for each in said)


def test_a_root_that_no_folder_can_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"^root\b.*\btable="):
        CorpusConfig()
    for root, told in (("~nobody-of-this-name/x", "~nobody-of-this-name/x"), ("null\0", "path"), ("x" * 5000, "x{30}")):
        with pytest.raises(InputError, match=told):
            find_recordings(CorpusConfig(root=root))


IMPOSSIBLE = [f"{'x' * 300}.wav", "deep/" * 1_000 + "a.wav", f"{'y' * 5_000}.wav", "null\0.wav", "\ud800.wav", "\ud800"]


def test_listed_paths_that_no_file_can_have_are_set_aside(tmp_path: Path, tone: Tone) -> None:
    tone("a.wav")
    (tmp_path / "a.txt").touch()  # whose name is compared with those of the table
    (tmp_path / "table.jsonl").write_text("".join(f"{json.dumps({'path': each})}\n" for each in ("a.wav", *IMPOSSIBLE)))
    manifest, rejected = train_all(tmp_path, table="table.jsonl")
    assert [clip.path for clip in manifest.clips] == ["a.wav"]
    assert {each.path for each in rejected if each.reason} == {*IMPOSSIBLE}


def test_parts_of_files_with_the_same_sound_are_those_of_the_first(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 48_000, np.int16)
    for name in ("a.wav", "b.flac", "c.wav", "e.wav"):
        soundfile.write(tmp_path / name, samples, 8_000)
    soundfile.write(tmp_path / "d.wav", samples[::-1], 8_000)
    parts = "a.wav,0,1,t\nb.flac,2,4,u\nc.wav,0,1,v\nd.wav,,,t\ne.wav,0,1,t\n"
    (tmp_path / "t.csv").write_text(f"path,start,end,label\n{parts}")
    manifest, rejected = train_all(tmp_path, table="t.csv")
    kept = {"a.wav#t=0,1": "t", "a.wav#t=2,4": "u", "d.wav": "t"}
    assert {clip.name: clip.label for clip in manifest.clips} == kept
    reasons = {each.path: each.reason for each in rejected}
    assert all("a.wav" in reason for reason in reasons.values())
    assert ("1 part" in reasons["b.flac"], "here v, there t" in reasons["c.wav"]) == (True, True)
    conflicts = {each.path: each.kind == CONFLICTING for each in rejected}
    assert conflicts == {"b.flac": False, "c.wav": True, "e.wav": False}


def test_a_copy_in_another_split_is_told_however_the_splits_are_named(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        for number in range(3):
            sound = draw.integers(-9_000, 9_000, 8_000, np.int16)
            soundfile.write(tmp_path / split / f"cat/{number}.wav", sound, 8_000)
    shutil.copy(tmp_path / "train/cat/0.wav", tmp_path / "test/cat/copy.wav")
    for split in (SplitConfig(), SplitConfig(by="folder", test=("te*",), validation=("val*",))):
        _, rejected = build_manifest(corpus_config(tmp_path, split=split))
        (copy,) = rejected
        assert (copy.kind, "here train, there test" in copy.reason) == (CONFLICTING, True), copy.reason


SETS = {  # table -> its recordings and its text
    "cv/validated.tsv": (
        ("cv/clips/common_voice_en_1.mp3", "cv/clips/common_voice_en_2.mp3"),
        "client_id\tpath\tsentence_id\tsentence\tup_votes\tage\tgender\tsegment\n"
        'ann\tcommon_voice_en_1.mp3\t1\tShe said "yes".\t2\t\tfemale\t\n'
        "bob\tcommon_voice_en_2\t2\tIt's 5, or 6; no.\t2\ttwenties\t\t\n",
    ),
    "ESC-50/meta/esc50.csv": (
        ("ESC-50/audio/1-A-0.wav", "ESC-50/audio/2-A-14.wav"),
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-A-0.wav,1,0,dog,True,100032,A\n2-A-14.wav,2,14,chirping_birds,False,100038,A\n",
    ),
    "train/metadata.csv": (
        ("train/a.wav", "train/x/b.wav"),
        'file_name,transcription,speaker_id\na.wav,one,7\nx/b.wav,"two, three",8\n',
    ),
    "UrbanSound8K/metadata/UrbanSound8K.csv": (  # start and end are times in the recording before
        ("UrbanSound8K/audio/fold5/3-0-0.wav", "UrbanSound8K/audio/fold10/2-0-117.wav"),
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n2-0-117.wav,100263,58.5,62.5,1,10,2,children_playing\n",
    ),
    **{
        f"LJSpeech/{name}": (("LJSpeech/wavs/LJ001-0001.wav", "LJSpeech/wavs/LJ001-0002.wav"), text)
        for name in ("metadata.csv", "metadata.txt")
        for text in ('LJ001-0001|"Printing," in the 1|"Printing," in the one, differs\nLJ001-0002|in being|in being\n',)
    },
    "LJSpeech/one.csv": (("LJSpeech/wavs/LJ001-0001.wav",), "LJ001-0001|in 1, differs|in one, differs"),
    "slashes.csv": (("x/y/a.wav",), "path,label\nx\\y\\a.wav,up\n"),
    "backslashes.csv": (("x/y/a.wav", "x\\y\\a.wav"), "path,label\nx\\y\\a.wav,up\n"),
    "blank.csv": (("up/a.wav", "up/b.wav"), "path,label,speaker\nup/a.wav,,ann\nup/b.wav,yes,bob\n"),
    "words.csv": (("up/a.wav",), "path,words\nup/a.wav,hello\n"),
    "composed.csv": ((unicodedata.normalize("NFD", "été/Übung.wav"),), "path,label\nété/Übung.wav,x"),
    "decomposed.csv": (("été/Übung.wav",), unicodedata.normalize("NFD", "path,label\nété/Übung.wav,x")),
}
TEXT = {"label_type": "text"}
LJ = ("LJSpeech/metadata.csv", "LJSpeech/metadata.txt")
TOLD = {"cv/validated.tsv": ["client_id", "sentence", "clips"], LJ[0]: ["raw_text"]}


@pytest.mark.parametrize(
    ("table", "options", "expected"),
    [
        ("cv/validated.tsv", TEXT, [("common_voice_en_1.mp3", 'She said "yes".', "ann", None),
                                    ("common_voice_en_2.mp3", "It's 5, or 6; no.", "bob", None)]),
        ("cv/validated.tsv", {"columns": ColumnConfig(label="gender")},
         [("common_voice_en_1.mp3", "female", "ann", None), ("common_voice_en_2.mp3", None, "bob", None)]),
        ("ESC-50/meta/esc50.csv", {}, [("1-A-0.wav", "dog", None, "1"), ("2-A-14.wav", "chirping_birds", None, "2")]),
        ("ESC-50/meta/esc50.csv", {"columns": ColumnConfig(label="target")},
         [("1-A-0.wav", "0", None, "1"), ("2-A-14.wav", "14", None, "2")]),
        ("train/metadata.csv", TEXT, [("a.wav", "one", "7", None), ("x/b.wav", "two, three", "8", None)]),
        ("UrbanSound8K/metadata/UrbanSound8K.csv", {},
         [("fold10/2-0-117.wav", "children_playing", None, "10"), ("fold5/3-0-0.wav", "dog_bark", None, "5")]),
        *((table, options, [("LJ001-0001.wav", text, None, None), ("LJ001-0002.wav", "in being", None, None)])
          for table in LJ for options, text in (
              (TEXT, '"Printing," in the one, differs'),
              (TEXT | {"columns": ColumnConfig(label="raw_text")}, '"Printing," in the 1'))),
        (LJ[0], {}, [("LJ001-0001.wav", None, None, None), ("LJ001-0002.wav", None, None, None)]),
        ("LJSpeech/one.csv", TEXT, [("LJ001-0001.wav", "in one, differs", None, None)]),
        ("slashes.csv", {}, [("x/y/a.wav", "up", None, None)]),
        ("backslashes.csv", {}, [("x\\y\\a.wav", "up", None, None)]),
        ("words.csv", {}, [("up/a.wav", "up", None, None)]),
        ("blank.csv", {}, [("up/a.wav", None, "ann", None), ("up/b.wav", "yes", "bob", None)]),
        ("blank.csv", {"columns": ColumnConfig(label="none")},
         [("up/a.wav", "up", "ann", None), ("up/b.wav", "up", "bob", None)]),
        ("words.csv", TEXT | {"columns": ColumnConfig(label="words")}, [("up/a.wav", "hello", None, None)]),
        ("composed.csv", {}, [(unicodedata.normalize("NFD", "été/Übung.wav"), "x", None, None)]),
        ("decomposed.csv", {}, [("été/Übung.wav", "x", None, None)]),
    ],
)  # fmt: skip
def test_tables_of_well_known_data_sets_are_read_as_they_are(
    tmp_path: Path,
    tone: Tone,
    table: str,
    options: dict[str, Any],
    expected: list[tuple[str, str | None, str | None, str | None]],
) -> None:
    recordings, text = SETS[table]
    write_files(tmp_path, dict.fromkeys(recordings, "") | {table: text}, tone)
    config = corpus_config(tmp_path, table=table, split=ALL_TRAIN, **options)
    if options == TEXT:  # columns that were chosen by their names are told
        notices = " ".join(find_recordings(config).notices)
        assert not [each for each in TOLD.get(table, ()) if each not in notices]
    manifest, rejected = build_manifest(config)
    assert [(clip.path, clip.label, clip.group, clip.fold) for clip in manifest.clips] == expected
    assert {clip.segment for clip in manifest.clips} == {None}
    assert not rejected


def test_a_table_means_the_recordings_of_its_own_folder(tmp_path: Path, tone: Tone) -> None:
    """Another folder around it may have more of its names."""
    sounds = ["siteB/0700.wav", "wav/0600.wav", "wav/0700.wav"]
    write_files(tmp_path, dict.fromkeys(sounds, "") | {"siteB/t.csv": "path\n0600.wav\n0700.wav\n"}, tone)
    config = corpus_config(tmp_path, table="siteB/t.csv", split=ALL_TRAIN, missing="list")
    manifest, rejected = build_manifest(config)
    assert manifest.root == tmp_path / "siteB"
    assert ([clip.path for clip in manifest.clips], [each.path for each in rejected]) == (["0700.wav"], ["0600.wav"])


def test_starts_in_longer_recordings_are_told_with_the_word_that_leaves_them_unread(tmp_path: Path, tone: Tone) -> None:
    seconds = {"a.wav": 30, "b.wav": 0.02, "c.wav": 0.03}
    table = "path,start_time\n" + "".join(f"{path},{start}\n" for path, start in seconds.items())
    write_files(tmp_path, dict.fromkeys(seconds, "") | {"t.csv": table}, tone)
    config = corpus_config(tmp_path, table="t.csv", split=ALL_TRAIN)
    manifest, rejected = build_manifest(config)
    assert ([clip.path for clip in manifest.clips], len(rejected)) == (["b.wav", "c.wav"], 1)
    (told,) = outside_notices(manifest.clips, rejected)
    assert "`columns.start`=none" in told
    whole, rejected = build_manifest(replace(config, columns=ColumnConfig(start="none")))
    assert ([clip.segment for clip in whole.clips], rejected) == ([None] * 3, ())
    assert not outside_notices(whole.clips, rejected)
    (tmp_path / "t.csv").write_text(table.replace("b.wav,0.02", "b.wav,60"))
    aside = list[Rejected]()
    with pytest.raises(InputError, match=r"t\.csv:2: 30 s in a\.wav.*2 of 3 parts.*columns\.start`?=none"):
        build_manifest(config, rejected=aside)
    assert [each.path for each in aside] == ["a.wav#t=30,30", "b.wav#t=60,60"]


LASTING = {"a.wav": 9.0, "b.wav": 9.0, "long.wav": 40.0, "longer.wav": 90.0}
SPANS = {"a.wav": [(0.5, 1.0), (7.0, 7.5)], "b.wav": [(3.0, 3.5), (8.0, 8.5)], "long.wav": [(0.01, 0.03)]}


def write_spans(folder: Path, step: float, spans: dict[str, list[tuple[float, float]]], header: str) -> None:
    """Write recordings and a table of parts of them, in steps of so many seconds."""
    rows = [
        f"{path},{round(begin / step)},{round(end / step)},x" for path, each in spans.items() for begin, end in each
    ]
    (folder / "t.csv").write_text("\n".join([header, *rows]))
    for number, (path, seconds) in enumerate(LASTING.items()):
        noise = 0.1 * np.random.default_rng(number).standard_normal(round(4000 * seconds))
        soundfile.write(folder / path, noise, 4000)


@pytest.mark.parametrize(
    ("step", "unit"),
    [(0.001, "milliseconds"), (1 / 4000, "samples"), (0.01, "frames of 10 ms"), (0.02, "frames of 20 ms")],
)
def test_whole_numbers_that_are_no_seconds_are_refused_with_their_unit(tmp_path: Path, step: float, unit: str) -> None:
    """Also those that would lie inside, as of a long recording."""
    spans = {path: each for path, each in SPANS.items() if step < 0.002 or path != "long.wav"}
    write_spans(tmp_path, step, spans, "path,start,end,label")
    config = corpus_config(tmp_path, table="t.csv", split=ALL_TRAIN)
    with pytest.raises(InputError, match=rf"behind the ends .*all lie inside as .*{unit}.*columns\.start=none"):
        build_manifest(config)
    for path in spans:  # annotations beside recordings, in commands
        rows = [line.split(",", 1)[1] for line in (tmp_path / "t.csv").read_text().split("\n") if path in line]
        (tmp_path / path).with_suffix(".csv").write_text("\n".join(["start,end,label", *rows]))
    (tmp_path / "t.csv").unlink()
    for read in (lambda: build_manifest(corpus_config(tmp_path)), lambda: recordings_at(tmp_path, AnnotationOptions())):
        with pytest.raises(InputError, match=rf"behind the ends .*all lie inside as .*{unit}.*annotations=none"):
            read()


def test_milliseconds_of_long_recordings_are_refused_where_a_few_short_ones_show_them(tmp_path: Path) -> None:
    spans = {"long.wav": [(at / 1000, (at + 2) / 1000) for at in range(1, 21, 3)], "a.wav": [(7.0, 7.5)]}
    write_spans(tmp_path, 0.001, spans, "path,start,end,label")
    config = corpus_config(tmp_path, table="t.csv", split=ALL_TRAIN)
    with pytest.raises(InputError, match=r"1 of 8 parts .*milliseconds"):
        build_manifest(config)
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace("start,end", "start_ms,end_ms"))
    clips = build_manifest(replace(config, inspection=InspectionConfig(min_seconds=0.001)))[0].clips
    assert [clip.seconds for clip in clips if clip.path == "a.wav"] == [0.5]


def test_whole_seconds_inside_of_recordings_are_right(tmp_path: Path) -> None:
    """A wrong row among them is set aside alone, also one in a short recording."""
    spans = {
        "longer.wav": [(at, at + 2.0) for at in range(0, 88, 4)],
        "long.wav": [(30.0, 35.0)],
        "a.wav": [(20.0, 21.0)],
    }
    write_spans(tmp_path, 1.0, spans, "path,start,end,label")
    manifest, rejected = build_manifest(corpus_config(tmp_path, table="t.csv", split=ALL_TRAIN))
    assert (len(manifest.clips), [each.path for each in rejected]) == (23, ["a.wav#t=20,21"])
    (told,) = outside_notices(manifest.clips, rejected)
    assert "1 part of 24" in told
    write_manifest(manifest, tmp_path / "manifest.tsv")  # of a run: samples
    again, rejected = build_manifest(corpus_config(tmp_path, table="manifest.tsv", split=ALL_TRAIN))
    assert ([clip.name for clip in again.clips], rejected) == ([clip.name for clip in manifest.clips], ())
    names = ["path", "start", "num_samples", "sample_rate", "label"]  # as somebody may keep of it
    pandas.read_csv(tmp_path / "manifest.tsv", sep="\t")[names].to_csv(tmp_path / "t.csv", index=False)
    again, rejected = build_manifest(corpus_config(tmp_path, table="t.csv", split=ALL_TRAIN))
    assert ([clip.name for clip in again.clips], rejected) == ([clip.name for clip in manifest.clips], ())


def test_a_folder_with_a_mark_is_one_class_in_both_forms(tmp_path: Path, tone: Tone) -> None:
    for form in ("NFC", "NFD"):
        tone(f"{form}/{unicodedata.normalize(form, 'café')}/{form}.wav")
    config = corpus_config(tmp_path, label_names={unicodedata.normalize("NFD", "café"): "x"})
    assert {row.label for row in find_recordings(config)} == {"x"}
    groups = corpus_config(tmp_path, pattern="**/{group}/*", labels="none")
    assert {row.group for row in find_recordings(groups)} == {"café"}


def test_missing_files_may_be_set_aside(tmp_path: Path, tone: Tone) -> None:
    write_files(tmp_path, {"0.wav": "", **TWO_MISSING}, tone)
    manifest, rejected = train_all(tmp_path, table="t.csv", missing="list")
    assert [clip.path for clip in manifest.clips] == ["0.wav"]
    assert [each.path for each in rejected] == ["1.wav", "2.wav"]
    assert all("t.csv:" in each.reason for each in rejected)


def test_a_source_is_an_option() -> None:
    assert {*SOURCES} == {*NAMED_BY} <= {each.name for each in fields(CorpusConfig)}
