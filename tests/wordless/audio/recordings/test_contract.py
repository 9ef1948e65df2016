"""The contract of docs/tutorials/your_folder.md: only what is named is read, and what was read is shown.

Each test has the sentence that it asserts.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile

from tests.wordless.audio.conftest import Tone
from wordless.audio.recordings.corpus import build_manifest, clips_at, find_recordings
from wordless.audio.recordings.corpus_config import ColumnConfig, CorpusConfig, Making
from wordless.audio.recordings.manifest import Clips, Rejected, write_clips_table
from wordless.audio.recordings.splits import UNDIVIDED, SplitConfig
from wordless.audio.recordings.summary import corpus_summary
from wordless.base.messages import InputError
from wordless.base.progress import Terminal

Read = Callable[..., tuple[Clips, tuple[Rejected, ...]]]


def read(folder: Path, **options: Any) -> tuple[Clips, tuple[Rejected, ...]]:
    """The clips of a folder, or of a ``table`` in it, that all train unless a ``split`` is given."""
    if "table" in options:
        options["table"] = str(folder / options["table"])
    else:
        options["root"] = str(folder)
    return build_manifest(CorpusConfig(**{"split": UNDIVIDED, **options}))


def column(clips: Clips, name: str) -> dict[str, Any]:
    return {clip.name: getattr(clip, name) for clip in clips}


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, **options)
    return str(caught.value)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


# A folder


def test_the_label_is_the_first_folder_below_the_root(tone: Tone, tmp_path: Path) -> None:
    """Deeper folders do not change it; files in the root have none."""
    for name in ("cat/a.wav", "cat/2023/may/b.flac", "dog/c.ogg", "d.wav"):
        tone(name)
    clips, _ = read(tmp_path)
    found = {"cat/2023/may/b.flac": "cat", "cat/a.wav": "cat", "d.wav": None, "dog/c.ogg": "dog"}
    assert column(clips, "label") == found
    assert [clip.path for clip in clips] == [*found]  # in order of paths


def test_nothing_but_sound_is_opened_and_what_was_not_read_is_one_line(tone: Tone, tmp_path: Path) -> None:
    tone("a/x.wav")
    for name in ("testing_list.txt", "speakers.csv", "a/notes.txt", "a/.hidden.wav"):
        (tmp_path / name).write_text("a/x.wav\n")
        (tmp_path / name).chmod(0)
    clips, rejected = read(tmp_path)
    assert not rejected
    assert clips.unread == "4 files (.csv, .txt, .wav; the first is speakers.csv)"
    assert "not read: 4 files (.csv, .txt, .wav; the first is speakers.csv)" in corpus_summary(clips)


def test_a_file_that_no_library_opens_is_listed_with_its_reason(tone: Tone, tmp_path: Path) -> None:
    tone("a/x.wav")
    write(tmp_path, "a/broken.wav", "no sound at all")
    write(tmp_path, "a/empty.mp3", "")
    clips, rejected = read(tmp_path)
    assert len(clips.frame) == 1
    reasons = {each.path: each.reason for each in rejected}
    assert reasons["a/empty.mp3"] == "empty"
    assert reasons["a/broken.wav"].startswith("cannot be decoded: ")


def test_a_pattern_names_other_roles(tone: Tone, tmp_path: Path) -> None:
    """Without {label} there are no labels."""
    for person in ("anna", "bob"):
        for word in ("yes", "no"):
            tone(f"{person}/{word}/0.wav")
    clips, _ = read(tmp_path, pattern="{group}/{label}/*")
    assert column(clips, "group") == {name: name.split("/")[0] for name in clips.names}
    assert column(clips, "label") == {name: name.split("/")[1] for name in clips.names}
    clips, _ = read(tmp_path, pattern="{group}/**")
    assert {clip.label for clip in clips} == {None}


def test_a_name_that_fits_in_two_ways_is_refused(tone: Tone, tmp_path: Path) -> None:
    tone("wren_anna_00.wav")
    pattern = "{label}_{group}_{index}.wav"
    clips, _ = read(tmp_path, pattern=pattern)
    assert [(clip.label, clip.group, clip.index) for clip in clips] == [("wren", "anna", 0)]
    tone("great_tit_anna_01.wav")
    message = refusal(tmp_path, pattern=pattern)
    for part in ("great_tit_anna_01.wav", "label great; group tit_anna", "label great_tit; group anna"):
        assert part in message


def test_a_name_that_does_not_fit_is_listed(tone: Tone, tmp_path: Path) -> None:
    tone("a/x.wav")
    tone("y.wav")
    clips, rejected = read(tmp_path, pattern="{label}/*")
    assert clips.names == ["a/x.wav"]
    assert [(each.path, each.reason) for each in rejected] == [("y.wav", "does not fit the pattern {label}/*")]


@pytest.mark.parametrize("name", ["train", "validation", "valid", "val", "dev", "test", "Test"])
def test_first_folders_named_after_splits_are_refused_with_the_pattern(name: str, tone: Tone, tmp_path: Path) -> None:
    tone(f"{name}/dog/a.wav")
    tone("other/dog/b.wav")
    assert 'corpus.pattern="{split}/{label}/*"' in refusal(tmp_path).replace("pattern=", "corpus.pattern=")


def test_a_pattern_reads_splits_and_lists_other_names_of_splits(tone: Tone, tmp_path: Path) -> None:
    for split in ("train", "dev", "test", "extra"):
        tone(f"{split}/dog/a.wav")
    clips, rejected = read(tmp_path, pattern="{split}/{label}/*", split=CorpusConfig(root="x").split)
    found = {"dev/dog/a.wav": "validation", "test/dog/a.wav": "test", "train/dog/a.wav": "train"}
    assert column(clips, "split") == found
    assert [each.path for each in rejected] == ["extra/dog/a.wav"]


# A table


def table(folder: Path, tone: Tone, name: str = "t.csv", rows: str = "a.wav,dog\nb.wav,cat\n") -> None:
    for each in ("a.wav", "b.wav"):
        tone(each, seconds=2)
    write(folder, name, f"path,label\n{rows}")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_columns_of_the_usual_names_are_read(kind: str, tone: Tone, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        tone(f"sounds/{name}", seconds=2, channels=2)
    frame = pandas.DataFrame(
        {
            "path": ["sounds/a.wav", "sounds/a.wav", "sounds/b.wav", "sounds/c.wav"],
            "label": ["007", "NA", "cat", ""],
            "group": ["p1", "p1", "", "p2"],
            "split": ["train", "train", "validation", "test"],
            "start": [0.5, 1.0, None, None],
            "end": [1.0, 1.5, None, None],
            "channel": ["1", "", "", ""],
            "colour": ["red"] * 4,
        }
    )
    match kind:
        case "jsonl":
            frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
        case "parquet":
            frame.to_parquet(tmp_path / "t.parquet")
        case _:
            frame.to_csv(tmp_path / f"t.{kind}", sep="," if kind == "csv" else "\t", index=False)
    clips, rejected = read(tmp_path, table=f"t.{kind}", split=CorpusConfig(root="x").split)
    assert not rejected
    first = "sounds/a.wav#t=0.5,1&channel=1"
    names = [first, "sounds/a.wav#t=1,1.5", "sounds/b.wav", "sounds/c.wav"]
    assert column(clips, "label") == dict(zip(names, ["007", "NA", "cat", None], strict=True))
    assert column(clips, "group") == dict(zip(names, ["p1", "p1", None, "p2"], strict=True))
    assert column(clips, "split") == dict(zip(names, ["train", "train", "validation", "test"], strict=True))
    assert column(clips, "channel") == dict(zip(names, [1, None, None, None], strict=True))
    assert clips.unread == "columns colour"


def test_columns_that_are_named_must_be_there(tone: Tone, tmp_path: Path) -> None:
    table(tmp_path, tone)
    message = refusal(tmp_path, table="t.csv", columns=ColumnConfig(label="lable"))
    assert "columns.label is lable" in message
    assert "path, label" in message
    clips, _ = read(tmp_path, table="t.csv", columns=ColumnConfig(label=None, group="label"))
    assert column(clips, "group") == {"a.wav": "dog", "b.wav": "cat"}
    assert {clip.label for clip in clips} == {None}


def test_cells_are_text_as_they_are_but_for_spaces_and_forms_of_letters(tone: Tone, tmp_path: Path) -> None:
    table(tmp_path, tone, rows="a.wav, 1.0 \nb.wav,nai\u0308ve\u00a0\n")
    clips, _ = read(tmp_path, table="t.csv")
    assert column(clips, "label") == {"a.wav": "1.0", "b.wav": "na\u00efve"}


@pytest.mark.parametrize(
    ("start", "end"), [("1,200", "1,300"), ("0:01", "0:02"), ("1e0", "2"), ("-1", "1"), ("inf", "2"), ("1", "2s")]
)
def test_a_time_that_is_no_plain_number_is_refused_with_its_line(
    start: str, end: str, tone: Tone, tmp_path: Path
) -> None:
    tone("a.wav", seconds=2)
    write(tmp_path, "t.csv", f'path,start,end\na.wav,0.5,1\na.wav,"{start}","{end}"\n')
    assert f"{tmp_path}/t.csv:3: " in refusal(tmp_path, table="t.csv")


FAULTS = [
    ("c.wav,,,train", "is not there"),
    ("a.wav,1,9,train", "behind the end"),
    ("a.wav,7,9,train", "behind the end"),
    ("a.wav,1,0.5,train", "ends at 0.5 s, and begins at 1 s"),
    ("a.wav,1,,train", "has no end"),
    ("a.wav,0.25,0.5,held-out", "'held-out', which is none of train"),
]


@pytest.mark.parametrize(("row", "reason"), FAULTS)
def test_rows_with_faults_are_listed_and_stop_the_run_if_they_are_many(
    row: str, reason: str, tone: Tone, tmp_path: Path
) -> None:
    tone("a.wav", seconds=2)
    rows = [f"a.wav,{k / 40},{k / 40 + 0.2},train" for k in range(24)]
    write(tmp_path, "t.csv", "\n".join(["path,start,end,split", *rows, row]) + "\n")
    clips, rejected = read(tmp_path, table="t.csv")
    assert len(clips.frame) == 24
    assert [each.where for each in rejected] == [f"{tmp_path}/t.csv:26"]
    assert reason in rejected[0].reason
    write(tmp_path, "t.csv", "\n".join(["path,start,end,split", *rows[:10], row]) + "\n")
    message = refusal(tmp_path, table="t.csv")
    for part in (f"{tmp_path}/t.csv:12", reason, "1 of 11 rows", "most_rejected"):
        assert part in message
    assert len(read(tmp_path, table="t.csv", most_rejected=0.5)[0].frame) == 10


def test_a_part_has_one_row(tone: Tone, tmp_path: Path) -> None:
    table(tmp_path, tone, rows="a.wav,up\nb.wav,down\na.wav,loud\n")
    message = refusal(tmp_path, table="t.csv")
    for part in ("t.csv:4: a.wav is listed twice", "t.csv:2", "probe.label_separator"):
        assert part in message


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"path,label\na.wav\n", ":2: "),
        (b"path,label\na.wav,x,y\n", ":2: "),
        (b'path,label\na.wav,"x\n', ":2: "),
        (b'path,label\na.wav,"x" y\n', ":2: "),
        (b"path,label\na.wav,caf\xe9\n", "columns.encoding"),
        (b"path,path\na.wav,b.wav\n", "two columns are called path"),
        (b"", "is empty"),
        (b"file,label\na.wav,x\n", "columns.path is path"),
        (b"path,start\na.wav,1\n", "columns.start"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_place(
    content: bytes, line: str, tone: Tone, tmp_path: Path
) -> None:
    tone("a.wav")
    (tmp_path / "t.csv").write_bytes(content)
    message = refusal(tmp_path, table="t.csv").replace("`", "")
    assert f"{tmp_path}/t.csv" in message
    assert line in message


def test_groups_of_values_are_refused(tone: Tone, tmp_path: Path) -> None:
    tone("a.wav")
    write(tmp_path, "t.jsonl", json.dumps({"path": "a.wav", "label": {"id": 1, "name": "dog"}}) + "\n")
    assert "t.jsonl:1: label is a group of values" in refusal(tmp_path, table="t.jsonl")
    assert read(tmp_path, table="t.jsonl", columns=ColumnConfig(label=None))[0].names == ["a.wav"]


def test_several_tables_without_a_column_of_paths_belong_to_the_recordings_beside_them(
    tone: Tone, tmp_path: Path
) -> None:
    for name in ("s1", "s1.b"):
        tone(f"{name}.wav", seconds=2)
        write(
            tmp_path, f"{name}.Table.1.selections.txt", f'Begin Time (s)\tEnd Time (s)\tSpecies\n0.5\t1\tthe "{name}"\n'
        )
    options: dict[str, Any] = {"path": None, "start": "Begin Time (s)", "end": "End Time (s)", "label": "Species"}
    columns = ColumnConfig(group="recording", quotes=False, **options)
    clips, _ = read(tmp_path, table="*.selections.txt", columns=columns)
    assert column(clips, "label") == {"s1.b.wav#t=0.5,1": 'the "s1.b"', "s1.wav#t=0.5,1": 'the "s1"'}
    assert column(clips, "group") == {"s1.b.wav#t=0.5,1": "s1.b.wav", "s1.wav#t=0.5,1": "s1.wav"}
    write(tmp_path, "s3.Table.1.selections.txt", "Begin Time (s)\tEnd Time (s)\tSpecies\n0.5\t1\towl\n")
    assert "s3.Table.1.selections.txt:2: s3#t=0.5,1 is not there" in refusal(
        tmp_path, table="*.selections.txt", columns=columns
    )


def test_a_table_of_a_run_is_read_again(tone: Tone, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        tone(f"sounds/{name}", seconds=2)
    write(tmp_path, "sounds/t.csv", "path,label,start,end\na.wav,x,0.1,0.7\na.wav,y,0.7,1.9\nb.wav,x,,\n")
    clips, _ = read(tmp_path / "sounds", table="t.csv")
    write_clips_table(clips, tmp_path / "clips.tsv")
    again, _ = build_manifest(
        CorpusConfig(table=str(tmp_path / "clips.tsv"), root=str(tmp_path / "sounds"), split=UNDIVIDED)
    )
    assert again.clips == clips.clips


# A data set


def data_set(folder: Path, splits: dict[str, int]) -> Path:
    datasets = pytest.importorskip("datasets")
    made = {}
    for split, count in splits.items():
        rows = []
        for k in range(count):
            file = folder / f"{split}{k}.flac"
            time = np.arange(800) / 8000
            soundfile.write(file, 0.3 * np.sin(2 * np.pi * (300 + 10 * k + len(split)) * time), 8000)
            rows.append({"audio": {"bytes": file.read_bytes(), "path": file.name}, "label": k % 2, "who": f"p{k}"})
            file.unlink()
        features = datasets.Features(
            {
                "audio": datasets.Audio(),
                "label": datasets.ClassLabel(names=["up", "down"]),
                "who": datasets.Value("string"),
            }
        )
        made[split] = datasets.Dataset.from_list(rows).cast(features)
    datasets.DatasetDict(made).save_to_disk(str(folder / "saved"))
    for split, data in made.items():
        (folder / "parquet" / split).mkdir(parents=True)
        data.to_parquet(str(folder / "parquet" / split / "0000.parquet"))
    return folder


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_a_data_set_is_read_by_its_package_with_its_own_splits(kind: str, tmp_path: Path) -> None:
    place = data_set(tmp_path, {"train": 6, "test": 2}) / kind
    making = Making(folder=lambda: tmp_path / "store", terminal=Terminal())
    config = CorpusConfig(dataset=str(place), columns=ColumnConfig(group="who"))
    for _ in range(2):  # written, and found again
        found = find_recordings(config, making)
        assert found.split_by == "table"
        assert [clip.split for clip in found] == ["test"] * 2 + ["train"] * 6
        assert [clip.label for clip in found] == ["up", "down"] * 4
        assert {clip.group for clip in found} == {f"p{k}" for k in range(6)}
    assert (found.root / found.frame.path[0]).suffix == ".flac"


def test_splits_of_other_names_are_folds_or_refused(tmp_path: Path) -> None:
    place = data_set(tmp_path, {"train_100": 6, "test_clean": 2}) / "saved"
    making = Making(folder=lambda: tmp_path / "store", terminal=Terminal())
    with pytest.raises(InputError, match=r"split\.by"):
        find_recordings(CorpusConfig(dataset=str(place)), making)
    split = (
        CorpusConfig(root="x", split={"by": "fold"}).split if False else SplitConfig(by="fold", test=("test_clean",))
    )
    found = find_recordings(CorpusConfig(dataset=str(place), split=split), making)
    assert {clip.fold for clip in found} == {"train_100", "test_clean"}


# Commands, and the summary


def test_commands_read_a_recording_a_folder_or_a_table(tone: Tone, tmp_path: Path) -> None:
    table(tmp_path, tone)
    usual = ColumnConfig()
    assert clips_at(str(tmp_path / "a.wav"), usual).names == ["a.wav"]
    assert clips_at(str(tmp_path), usual).names == ["a.wav", "b.wav"]
    assert [clip.label for clip in clips_at(str(tmp_path / "t.csv"), usual)] == ["dog", "cat"]
    with pytest.raises(InputError, match="does not exist"):
        clips_at(str(tmp_path / "c.wav"), usual)


def test_the_summary_shows_what_was_read(tone: Tone, tmp_path: Path) -> None:
    rows = ["path,label,group,split,note"]
    for k in range(24):
        name = f"{k:02}.wav"
        tone(name, seconds=0.5, sample_rate=16_000 if k else 48_000)
        rows.append(f"{name},c{k % 12},{'S' if k % 2 else 's'}{k // 8},{'test' if k >= 16 else 'train'},x")
    write(tmp_path, "t.csv", "\n".join([*rows, "gone.wav,c0,s0,test,x"]) + "\n")
    clips, rejected = read(
        tmp_path, table="t.csv", split=CorpusConfig(root="x", split=UNDIVIDED).split, most_rejected=0.1
    )
    lines = corpus_summary(clips, rejected=rejected, listed="rejected.tsv", highest=8000)
    assert lines[0] == "24 clips, 0.2 minutes, 23 at 16,000 Hz, 1 at 48,000 Hz"
    assert lines[1].startswith("12 labels: c0 2, c1 2, c10 2, ")
    assert lines[1].endswith(" and 2 more, the smallest 2")
    assert lines[2].startswith("6 groups: S0 4, S1 4, S2 4, s0 4, s1 4, s2 4")
    assert "splits: train 24 clips of 6 groups" in lines
    assert "not read: columns note" in lines
    assert next(line for line in lines if line.startswith("set aside: ")).endswith("see rejected.tsv")
    assert [line for line in lines if "have sound above 8,000 Hz" in line]
