"""From folders and tables to manifests, on tiny recordings."""

import errno
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.wordless.audio.conftest import ALL_TRAIN, Tone, corpus_config, train_all
from wordless.audio.recordings.checks import CONFLICTING
from wordless.audio.recordings.corpus import build_manifest, clips_at, find_recordings
from wordless.audio.recordings.corpus_config import ColumnConfig, CorpusConfig
from wordless.audio.recordings.inspection import InspectionConfig
from wordless.audio.recordings.manifest import Clips, Rejected
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


def recordings_at(folder: Path) -> Clips:
    return clips_at(str(folder), ColumnConfig())


def test_sounds_that_wordless_wrote_are_no_recordings(tmp_path: Path, tone: Tone) -> None:
    own = {"a/1.wav": "", "a/2.wav": "", "b/entry.json": '{"stage": "left"}', "b/3.wav": "", "b/log.txt": ""}
    write_files(tmp_path, {**own, **OURS}, tone)
    (tmp_path / "runs/latest").symlink_to("2026")
    for found in (find_recordings(corpus_config(tmp_path)), recordings_at(tmp_path)):
        assert [clip.path for clip in found] == ["a/1.wav", "a/2.wav", "b/3.wav"]
        assert re.search(rf"4 folders that Wordless wrote\b.*\b{STORE}\b.*{re.escape(MARK)}", found.unread)
    assert [clip.path for clip in recordings_at(tmp_path / "decoded")] == ["more/a.wav"]
    assert [clip.path for clip in recordings_at(tmp_path / RUN)] == ["listening/a.wav"]
    (alone := tmp_path / "alone").mkdir()
    for name in ("runs", "decoded"):
        (tmp_path / name).rename(alone / name)
    with pytest.raises(InputError, match=r"no recordings.*2 folders that Wordless wrote"):
        recordings_at(alone)


FOLDERS = ("dog/1.wav", "dog/2.FLAC", "cat (big)/ä 1.ogg", "loose.mp3", ".hidden/3.wav", "dog/._1.wav")
NAMES = {"pattern": "{label}_{group}.wav"}


@pytest.mark.parametrize(
    ("files", "options", "expected"),
    [
        (FOLDERS, {}, {"cat (big)/ä 1.ogg": "cat (big)", "dog/1.wav": "dog", "dog/2.FLAC": "dog", "loose.mp3": None}),
        (["up/a.wav"], {"label_type": "text", "pattern": "{label}/*"}, {"up/a.wav": "up"}),
        (["dog/1.wav"], {"pattern": "**"}, {"dog/1.wav": None}),
        (["dog/1.wav"], {"pattern": "{label}.wav"}, {"dog/1.wav": "1"}),
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


REFUSED = [
    ({f"{'ab'[n % 2]}_{n}.wav": "no sound" for n in range(21)}, {"pattern": "{group}_{index}"},
     "^validation.* 2 groups"),
    ({"a_ann.wav": "no sound", "a_bob.wav": "no sound"}, NAMES | {"split": SplitConfig(by="group", test=("cy",))},
     "group 'cy'.*'ann', 'bob'"),
    *(
        ({"a.wav": ""}, {"split": SplitConfig(by=by)}, rf"^split\.by is {by}\b")  # type: ignore[arg-type]  # a split's name
        for by in ("table", "fold", "group")
    ),
    ({"inf_a.wav": ""}, NAMES | {"label_type": "number"}, r"label_type is number\b.*inf_a\.wav.*\binf\b"),
    ({"a/up.wav": ""}, {"columns": ColumnConfig(group="speaker")}, r"^columns\.group is speaker"),
    ({"a/up.wav": ""}, {"label_names": {"left": "right"}}, "^`?label_names"),
    ({"a.wav": "", "t.csv": "path\na.wav\n"}, {"table": "t.csv", "pattern": "{label}/*"}, r"^pattern is"),
    ({}, {"segment_seconds": 10.0, "segment_overlap_seconds": 9.5}, r"^segment_overlap_seconds\b.*9\.5\b.*\b9\b"),
    ({"up/a.wav": ""}, {"label_type": "text"}, "label_type is text"),
    ({}, {"segment_overlap_seconds": 1.0}, r"^segment_overlap_seconds\b.*seconds"),
    ({}, {"segment_silence_dbfs": -50.0}, r"^segment_silence_dbfs\b.*seconds"),
    ({"song.txt": "x"}, {}, r"1 file \(\.txt.*\.wav, \.flac"),
    ({"x/yes-0.wav": ""}, {"pattern": "{label}_{index}.wav"}, r"\b1 file .*'x/yes-0\.wav'"),
    ({"a.wav": "no sound", "b.wav": "no sound", "short.wav": ""}, {"inspection": InspectionConfig(min_seconds=1)},
     r"\b3 recordings .*\(2 .*decoded.*; 1 .*short"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "options", "message"), REFUSED)
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


def test_an_absolute_path_in_a_table_fits_any_root(tmp_path: Path, tone: Tone, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = tone("data/deep/a.wav")
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path)
    for root in ("data", f"../{tmp_path.name}/data", "link", str(tmp_path / "data"), str(tmp_path / "link")):
        for path in (recording, Path("deep/a.wav"), (tmp_path / root / "deep/a.wav")):
            Path("table.tsv").write_text(f"path\n{path}\n")
            found = find_recordings(CorpusConfig(root=root, table="table.tsv"))
            assert [clip.path for clip in found] == ["deep/a.wav"], (root, path)


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
        told = list[Rejected]()
        config = corpus_config(tmp_path, root="data", split=ALL_TRAIN, most_rejected=0.9, **table)
        manifest, rejected = build_manifest(config, rejected=told)
        assert [clip.path for clip in manifest.clips] == names
        assert [each.path for each in rejected if len(each.path) < 99] == [
            each for each in unfit if table or each != "folder.wav"
        ]
        assert sum("long" in each.reason for each in rejected) == (not table)
        assert "a link to nowhere.wav" in next(each.reason for each in rejected if each.path == "broken.wav")
        assert sorted(told, key=lambda each: each.path) == list(rejected)


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
    manifest, rejected = train_all(tmp_path, table="table.jsonl", most_rejected=0.9)
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
    by_name = SplitConfig(by="fold", test=("test",), validation=("validation",))
    for pattern, split in (("{split}/{label}/*", SplitConfig()), ("{fold}/{label}/*", by_name)):
        _, rejected = build_manifest(corpus_config(tmp_path, split=split, pattern=pattern))
        (copy,) = rejected
        assert (copy.kind, "here train, there test" in copy.reason) == (CONFLICTING, True), copy.reason


def test_a_folder_with_a_mark_is_one_class_in_both_forms(tmp_path: Path, tone: Tone) -> None:
    for form in ("NFC", "NFD"):
        tone(f"{form}/{unicodedata.normalize(form, 'café')}/{form}.wav")
    names = {unicodedata.normalize("NFD", "café"): "x"}
    config = corpus_config(tmp_path, pattern="{group}/{label}/*", label_names=names)
    assert {row.label for row in find_recordings(config)} == {"x"}
