"""Annotations beside recordings become labelled clips; what is not usable is listed, and contradictions are refused."""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.conftest import ALL_TRAIN, corpus_config, train_all
from tests.wordless.audio.recordings.annotations import annotated_files
from tests.wordless.audio.recordings.annotations.annotated_files import KINDS, PARTS, textgrid_text, write_recording
from wordless.audio.recordings.accounting import take_account
from wordless.audio.recordings.annotation_formats import Annotation, elan, textgrid
from wordless.audio.recordings.annotation_kinds import ANNOTATION_KINDS as READERS
from wordless.audio.recordings.annotations import recordings_at
from wordless.audio.recordings.corpus import build_manifest, find_recordings
from wordless.audio.recordings.corpus_config import AnnotationOptions
from wordless.audio.recordings.description import ColumnConfig
from wordless.audio.recordings.folders import read_annotation_text
from wordless.audio.recordings.letters import unwrapped
from wordless.audio.recordings.manifest import Clip, Rejected
from wordless.audio.recordings.splits import SplitConfig
from wordless.base.messages import InputError

EXPECTED = [(f"field.wav#t={start:g},{end:g}", label) for start, end, label in PARTS]
SPAN_NAMES = [name for name, _ in EXPECTED]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_recording(tmp_path / "field.wav")
    return tmp_path


def corpus(folder: Path, **options: Any) -> tuple[Sequence[Clip], Sequence[Rejected]]:
    manifest, rejected = train_all(folder, **options)
    return manifest.clips, rejected


def notices(folder: Path, **options: Any) -> Sequence[str]:
    config = corpus_config(folder, split=ALL_TRAIN, **options)
    found = find_recordings(config)
    account = build_manifest(config, found=found)[0].account
    return (*found.notices, *account.lines("account.tsv")) if account else found.notices


def names_at(place: Path, **options: Any) -> list[str]:
    """What a command would read at a place by its options of annotations."""
    return [clip.name for clip in recordings_at(place, AnnotationOptions(**options))]


def named(clips: Sequence[Clip]) -> list[tuple[str, str | None]]:
    return [(clip.name, clip.label) for clip in clips]


def reasons(rejected: Sequence[Rejected]) -> str:
    return "\n".join(f"{each.path}: {each.reason}" for each in rejected)


def test_files_of_annotations_that_are_named_after_splits_divide_the_parts(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "dev", "test")):
        write_recording(tmp_path / f"rec_{split}.wav", seed=seed)
        lines = [f"SPEAKER rec_{split} 1 {start} {end - start} <NA> <NA> ann <NA> <NA>" for start, end, _ in PARTS]
        (tmp_path / f"{split}.rttm").write_text("\n".join(lines))
    clips, _ = corpus(tmp_path, split=SplitConfig(shared_groups=True))
    found = {(clip.path, clip.split) for clip in clips}
    assert found == {("rec_train.wav", "train"), ("rec_dev.wav", "validation"), ("rec_test.wav", "test")}


def test_each_kind_is_chosen_by_its_name_and_two_without_a_choice_are_refused(folder: Path) -> None:
    for kind in ("raven", "audacity", "textgrid"):
        write_files(folder, KINDS[kind])
    with pytest.raises(InputError, match=r"3 kinds: .* `?annotations`?=") as error:
        corpus(folder)
    for name in (*KINDS["raven"], *KINDS["audacity"], *KINDS["textgrid"]):
        assert name in str(error.value)
    for kind in ("raven", "audacity", "textgrid"):
        assert named(corpus(folder, annotations=kind)[0]) == EXPECTED


@pytest.mark.parametrize("kind", ["raven", "textgrid", "rttm", "ctm"])
def test_a_kind_that_is_chosen_is_read_from_texts_of_the_names_of_recordings(folder: Path, kind: Any) -> None:
    (text,) = KINDS[kind].values()
    write_files(folder, {"field.txt": text, "README.txt": "no annotations"})
    clips, rejected = corpus(folder, annotations=kind)
    assert (named(clips), rejected) == (EXPECTED, ())
    assert names_at(folder / "field.wav", annotations=kind) == SPAN_NAMES


@pytest.mark.parametrize("name", ["kaldi/wav.scp", "cuts.jsonl.gz", "field_cuts.jsonl", "a_supervisions.jsonl"])
def test_data_of_speech_toolkits_are_named_and_refused_where_they_are_all(folder: Path, name: str) -> None:
    write_files(folder, {name: "rec field.wav\n"})
    assert any(name in line and "table=" in line.replace("`", "") for line in notices(folder))
    assert named(corpus(folder)[0]) == [("field.wav", None)]
    (folder / "field.wav").unlink()
    for where in ({}, {"table": name}):
        with pytest.raises(InputError, match="TSV"):
            corpus(folder, **where)
    with pytest.raises(InputError, match="TSV"):
        names_at(folder)


TEXTGRID = textgrid_text({"birds": PARTS})
SPANS = [(f"{start}", f"{end}", label) for start, end, label in PARTS]
CLOCK = [(f"00:00:{start:06.3f}", f"0:{end:.1f}", label) for start, end, label in PARTS]
OTHERS = {  # what people call annotations: a name, and the text of a file
    "spaces": ("field.txt", "".join(f"{a} {b}  {label}\n" for a, b, label in SPANS)),
    "clock": ("field.txt", "".join(f"{a}\t{b}\t{label}\n" for a, b, label in CLOCK)),
    "clock and spaces": ("field.lab", "".join(f"{a} {b} {label}\n" for a, b, label in CLOCK)),
    "no header": ("field.csv", "".join(f"{a},{b},{label}\n" for a, b, label in SPANS)),
    "header": ("field.csv", "onset,offset,event_label\n" + "".join(f'{a}, {b}, "{label}"\n' for a, b, label in SPANS)),
    "commas": ("field.csv", "Start;Stop;x\n" + "".join(f"{a};{b};{c}\n".replace(".", ",") for a, b, c in SPANS)),
    "header of a track": ("field.txt", "start\tend\tlabel\n" + "".join("\t".join(each) + "\n" for each in SPANS)),
    "milliseconds": (
        "field.tsv",
        "t_start_ms\tDuration (ms)\tcall\tdB\n"
        + "".join(f"{1000 * a:.0f}\t{1000 * (b - a):.0f}\t{label}\t-20\n" for a, b, label in PARTS),
    ),
    "a begin and a delta": (
        "field.selections.txt",
        "Selection\tBegin Time (s)\tDelta Time (s)\tSpecies\n"
        + "".join(f"{n}\t{a}\t{b - a:.3f}\t{label}\n" for n, (a, b, label) in enumerate(PARTS)),
    ),
    "a length": ("field.csv", "onset,len,event\n" + "".join(f"{a},{b - a:.3f},{label}\n" for a, b, label in PARTS)),
    "BirdNET": (
        "field.BirdNET.results.csv",
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
        + "".join(f"{a},{b},Avis,{label},0.9,C:/x/field.wav\n" for a, b, label in SPANS),
    ),
    "two tiers of one name": (
        "field.TextGrid",
        textgrid_text({"birds": PARTS[:3], "other": PARTS[3:]}).replace('"other"', '"birds"'),
    ),
}

EVERY = KINDS | {name: {file: text} for name, (file, text) in OTHERS.items()}


@pytest.mark.parametrize("kind", EVERY)
def test_files_of_each_kind_give_labelled_parts_for_a_corpus_and_for_encoding(folder: Path, kind: str) -> None:
    write_files(folder, EVERY[kind])
    clips, rejected = corpus(folder)
    assert named(clips) == EXPECTED
    assert {clip.group for clip in clips} == {"field"}
    assert [clip.part.span(annotated_files.RATE) for clip in clips] == [(start, end) for start, end, _ in PARTS]
    assert not rejected
    place = recordings_at(folder, AnnotationOptions())
    assert [(each.name, each.label, each.group) for each in place.clips] == [(*each, "field") for each in EXPECTED]
    assert names_at(folder / "field.wav") == SPAN_NAMES
    for without in (folder, folder / "field.wav"):
        assert names_at(without, annotations="none") == ["field.wav"]
        assert [each.name for each in recordings_at(without)] == ["field.wav"]
    table = next(iter(EVERY[kind]))
    if kind != "BirdNET":  # a table that names its recordings
        assert named(corpus(folder, table=table)[0]) == EXPECTED
    if kind in KINDS:
        assert names_at(folder / table) == SPAN_NAMES


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("field.txt", "0.0\t1.0\n"), ("field.txt", "a.wav\t0.5\t1.5\n"),
        ("field.txt", "one two three\n1 2 buckle my shoe\n"), ("field.txt", "1 2 3 4 5\n"),
        ("field.csv", "0.01,120.5,0.5\n0.02,121.5,0.7\n"), ("field.csv", "start,end,F0,loudness\n0.0,0.5,120.5,0.5\n"),
        ("field.phn", "0 3050 h#\n"),
        ("field.lab", "0 46797 h#\n"),  # samples of TIMIT
        ("field.jsonl", '{"a": 1}\n'),
    ],
)  # fmt: skip
def test_a_file_with_the_name_of_a_recording_that_is_not_read_is_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    write_recording(folder / "marsh.wav", seed=1)
    (folder / "marsh.csv").write_text("path,label\nmarsh.wav,x\n")
    assert any(name in line and "`annotations`" in line and "`table`" in line for line in notices(folder))
    assert named(corpus(folder)[0]) == [("field.wav", None), ("marsh.wav", None)]
    if not name.endswith(".csv"):
        (folder / "marsh.csv").write_text("path,label\nmarsh.wav,x\nfield.wav,y\n")
        assert any(name in line for line in notices(folder, table="marsh.csv"))


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT><HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">@MEDIUM@</HEADER><TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="0"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="1000"/></TIME_ORDER>
<TIER TIER_ID="words" PARTICIPANT="Bob"/><TIER TIER_ID="calls" PARENT_REF="words"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>hi</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>
"""


def medium(name: str, origin: str) -> str:
    return f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/x/{name}" TIME_ORIGIN="{origin}" MIME_TYPE="audio/x-wav"/>'


RAVEN = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin Path\tFile Offset (s)\tCommon Name\tSpecies Code\tConfidence\n"
ROWS = "0.5\t1.7\ta\n3\t2\tlate\n4\t4\tpoint\nnan\t5\tx\n6\tinf\tx\n19\t25\tlong\n30\t31\tfar\n7\t8\tb\n-1\t2\tearly\n"
MEASURED = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tDelta Time (s)\tAvg Power Density (dB FS/Hz)"
OTHER: dict[str, str | bytes] = {"0.wav": "", "0.txt": "1\t2\tx\n"}  # a recording whose annotations are usable
GRID: dict[str, str | bytes] = {"0.wav": "", "0.TextGrid": textgrid_text({"birds": [(1.0, 2.0, "x")]})}
X = {"0.wav#t=1,2": "x"}  # its clip
TRACK: dict[str, str | bytes] = {"field.txt": "1\t2\tx\n"}
FROGS = textgrid_text({"frogs": PARTS[:1]})
WEATHER = textgrid_text({"birds": PARTS, "weather": [(0.0, 3.0, "rain")]})
ROW = "1\tx\t1\t2\t3"
UTF_16 = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>'.encode("utf-16")
BROKEN: list[tuple[str, str | bytes, str]] = [  # ending, content, and a word of the reason
    ("TextGrid", TEXTGRID[:300], "cut|end"),
    ("TextGrid", b"ooBinaryFile\x08TextGrid\0\0\0", "binary"),
    ("TextGrid", textgrid_text({"birds": []}).replace("size = 1", "size = 1e300"), ""),
    ("eaf", '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>', "DOCTYPE"),
    ("eaf", UTF_16, "DOCTYPE"), ("eaf", "<html></html>", ""), ("eaf", b"\x00\x01", ""), ("eaf", b"", ""),
    ("eaf", ELAN.replace("@MEDIUM@", medium("a.wav", "soon")), "soon"),
    ("eaf", ELAN.replace("milliseconds", "PAL-frames"), "PAL"),
]  # fmt: skip


DOCUMENT = ELAN.replace("@MEDIUM@", "").replace("hi<", "x<").replace('"1000"', '"2000"').replace('"0"', '"1000"')
OF_KIND: dict[str, dict[str, str | bytes]] = {"TextGrid": GRID, "eaf": {"0.wav": "", "0.eaf": DOCUMENT}}


@dataclass(frozen=True)
class Case:
    """Files beside field.wav, labels of the clips that they give, options, and a word of each reason."""

    files: Mapping[str, str | bytes]
    clips: Mapping[str, str | None]  # by name; a span alone is one of field.wav
    options: Mapping[str, Any]
    told: Sequence[str]  # of what is set aside


def case(files: Mapping[str, str | bytes], clips: Mapping[str, str | None], *told: str, **options: Any) -> Case:
    spans = {f"field.wav#t={name}" if name.replace(".", "").replace(",", "").isdigit() else name: label
             for name, label in clips.items()}  # fmt: skip
    return Case(files, spans, options, told)


CASES = {
    "bad rows": case({"field.txt": f"{ROWS}13\t14\tro\0bin\n"}, {"0.5,1.7": "a", "7,8": "b"},
                     *(f"field.txt:{number}" for number in (2, 3, 4, 5, 6, 7, 9, 10))),
    "bounds, in a country with decimal commas; a line that is none": case(
        {"field.txt": "0,5\t1,5\twren song\n\\\t500,0\t-1,0\n2\t3\ty\nhello\n"},
        {"0.5,1.5": "wren song", "2,3": "y"}, "field.txt:4"),
    "measurements alone": case({"field.txt": f"{MEASURED}\tPeak Freq (Hz)\tBW 90% (Hz)\n{ROW}"}, {"2,3": None}),
    "a column of labels in another case": case({"field.txt": f"{MEASURED}\tSex\tAge\n{ROW}\t1\t-50\tf\told\n"},
                                               {"2,3": "old"}, columns=ColumnConfig(label="age", group="sex")),
    "the usual column": case({"field.txt": f"{MEASURED}\tAge\tSpecies\n{ROW}\t1\t-50\told\twren\n"}, {"2,3": "wren"}),
    "a column by the tier": case({"field.txt": f"{MEASURED}\tSpecies\tAge\n{ROW}\t1\t-50\twren\told\n"},
                                 {"2,3": "old"}, tier="Age"),
    "samples": case({"0.wav": "", "0.csv": "start,end,label\n1,2,x\n",
                     "field.csv": "start_sample,end_sample,label\n4000,8000,x\n"}, X, "counts samples"),
    "a column twice": case(OTHER | {"field.txt": f"{MEASURED}\tSex\tsex\n{ROW}\t1\t-50\tf\told\n"}, X, "twice"),
    "equal spans": case({"field.txt": "0.5\t1.5\twren\n0.5\t1.5\trobin\n0.5\t1.5\twren\n1\t2\trobin\n"},
                        {"0.5,1.5": "wren", "1,2": "robin"}, "field.txt:2"),  # overlaps are kept
    "a table of several files": case(
        {"0.wav": "", "day.selections.txt": f"{RAVEN}1\t1\t2\tC:\\x\\0.wav\t1.0\tWren\n2\t7\t8.5\tfield.wav\t2.0\tTit\n"
                                 "3\t9\t9.5\tno.wav\t2\tT\n"},
        {"0.wav#t=1,2": "Wren", "2,3.5": "Tit"}, r"no\.wav: .*day\.selections\.txt:4"),
    "a table of a recording that has another name now": case(
        {"field.selections.txt": f"{RAVEN}1\t1\t2\tits name before.wav\t\twren\n"}, {"1,2": "wren"}),
    "a wanted kind": case({"field.txt": "0.5\t1.5\n2\t3\t0.75\nhello\n", "README.txt": "No track\n"},
                          {"0.5,1.5": None, "2,3": "0.75"}, "field.txt:3", annotations="audacity"),
    **{f"a tier by {next(iter(options))}": case({"field.TextGrid": WEATHER}, {"0,3": "rain"}, **options)
       for options in ({"tier": "weather"}, {"columns": ColumnConfig(label="weather")})},
    "a file without the tier": case({"0.wav": "", "0.TextGrid": FROGS, "field.TextGrid": TEXTGRID}, dict(EXPECTED),
                                    "frogs", tier="birds"),
    "annotations without parts": case(
        {"0.wav": "", "0.selections.txt": f"{RAVEN}1\t1\t2\t\t\tx\n", "field.Table.1.selections.txt": MEASURED,
         "nothing.selections.txt": RAVEN}, X, "field.wav", "nothing"),
    "a tier without parts": case(GRID | {"field.TextGrid": textgrid_text({"birds": []})}, X, "field.wav"),
    "annotations in another folder": case({"wav/a/1.wav": "", "grids/a/1.TextGrid": FROGS},
                                          {"wav/a/1.wav#t=0.5,1.7": "robin"}, "no annotations beside"),
    "other texts beside recordings": case(
        {"dog/a.wav": "", "dog/a.txt": "the dog said 1\t2 times\n", "dog/a.lab": "THE DOG SAID\n", "dog/README.txt": "",
         "dog/f0.txt": "0.01\t120.5\t0.9\n0.02\t121.5\t0.8\n", "dog/notes.tsv": "path\tstart\tlabel\na.wav\t1\tx\n",
         "dog/list.jsonl": '{"audio_filepath": "a.wav", "label": "x"}\n', "dog/pitch.txt": "0.5\t120.5\n0.6\t121.5\n"},
        {"dog/a.wav": "dog", "field.wav": None}),
    **{f"ELAN {number}": case({"field.eaf": ELAN.replace("@MEDIUM@", media)}, {"2,3": "hi"})
       for number, media in enumerate([medium("field.wav", "2000"), medium("video.mp4", "2000"),
                                       medium("field.mp4", "0") + medium("field.wav", "2000"),
                                       medium("video.mp4", "0") + medium("field.mp4", "2000")])},
    "an ELAN document of another name": case({"annotated by me.eaf": ELAN.replace("@MEDIUM@", medium("field.wav", ""))},
                                             {"0,1": "hi"}),
    **{f"{number}: {kind} that is broken": case(OF_KIND[kind] | {f"field.{kind}": content}, X, f"field.wav: .*{told}")
       for number, (kind, content, told) in enumerate(BROKEN)},
}  # fmt: skip
FACTS: dict[str, list[tuple[str, str | None, float | None, float | None]]] = {  # group, channel, lowest and highest Hz
    "bounds, in a country with decimal commas; a line that is none": [
        *(("field", None, 500, None), ("field", None, None, None))
    ],
    "a column of labels in another case": [("f", "1", None, None)],
    "an ELAN document of another name": [("Bob", None, None, None)],
}


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write texts, and recordings in place of the contents of .wav files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".wav"):
            write_recording(folder / name, seed=1)
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", CASES)
def test_files_are_read_or_set_aside_with_the_reason(folder: Path, name: str) -> None:
    wanted = CASES[name]
    write_files(folder, wanted.files)
    found, rejected = corpus(folder, **wanted.options)
    assert named(found) == [*wanted.clips.items()]
    assert len(rejected) == len(wanted.told)
    assert [word for word in wanted.told if not re.search(word, reasons(rejected))] == []
    facts = [(clip.group, clip.annotated_channel, clip.low_hz, clip.high_hz) for clip in found]
    assert facts == FACTS.get(name, facts)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("begin", [2.5, -1.25, 3600.0])
def test_a_textgrid_cut_out_of_a_longer_one_counts_from_its_begin(folder: Path, begin: float, short: bool) -> None:
    (folder / "field.TextGrid").write_text(textgrid_text({"birds": PARTS}, begin=begin, short=short))
    assert named(corpus(folder)[0]) == EXPECTED
    assert any("field.TextGrid" in line for line in notices(folder))


def test_a_textgrid_of_another_length_than_the_sound_is_told_or_set_aside(folder: Path) -> None:
    """Times from 0 s on are used as they are; the begin of other times is not known unless they end with the sound."""
    write_recording(folder / "marsh.wav", seed=1, seconds=20)
    (folder / "marsh.TextGrid").write_text(textgrid_text({"birds": PARTS[:2]}, seconds=20))
    (folder / "field.TextGrid").write_text(textgrid_text({"birds": PARTS}, seconds=25))
    told = [line for line in notices(folder) if "length" in line]
    assert ["field.TextGrid: its times are 0 to 25 s" in line for line in told] == [True]
    (folder / "field.TextGrid").write_text(textgrid_text({"birds": PARTS}, seconds=25, begin=2.5))
    clips, rejected = corpus(folder)
    assert {clip.path for clip in clips} == {"marsh.wav"}
    assert re.search(r"field\.TextGrid: its times are 2\.5 to 27\.5 s, .* 20\.000 s", reasons(rejected))
    late = textgrid_text({"birds": [(17.9, 18.5, "wren")]}, seconds=20).replace("xmin = 0.0", "xmin = 1")
    (folder / "field.TextGrid").write_text(late)
    assert "field.wav#t=17.9,18.5" in dict(named(corpus(folder)[0]))


def test_parts_that_all_lie_behind_the_end_are_told_with_the_reason_of_each(folder: Path) -> None:
    (folder / "field.txt").write_text("30\t31\twren\n40\t41\twren\n")
    aside = list[Rejected]()
    with pytest.raises(InputError) as error:
        build_manifest(corpus_config(folder, split=ALL_TRAIN), rejected=aside)
    assert "table" not in str(error.value)
    assert [each.path for each in aside] == ["field.wav#t=30,31", "field.wav#t=40,41"]


def test_columns_of_labels_that_nothing_reads_are_named(folder: Path) -> None:
    (folder / "field.csv").write_text("start,stop,label,sex\n1,2,wren,f\n")
    assert any("sex" in line and "`tier`" in line for line in notices(folder))
    assert [clip.label for clip in corpus(folder, tier="sex")[0]] == ["f"]


def test_missing_values_of_tables_are_no_labels(folder: Path) -> None:
    (folder / "field.csv").write_text("start,end,label,snr,site\n1,2,wren,3.5,a\n2,3,NA,NA,NA\n3,4,<NA>,2.0,b\n")
    columns = ColumnConfig(group="site")
    clips, _ = corpus(folder, columns=columns)
    assert [(clip.label, clip.group) for clip in clips] == [("wren", "a"), (None, "field"), (None, "b")]
    told = ("2 labels", "NA", "`columns.missing`=none")
    assert any(all(each in line for each in told) for line in notices(folder, columns=columns))
    kept, _ = corpus(folder, columns=ColumnConfig(missing="none"), tier="label")
    assert [clip.label for clip in kept] == ["wren", "NA", "<NA>"]


def test_a_label_comes_from_the_annotation_and_not_from_the_folder(tmp_path: Path) -> None:
    write_recording(tmp_path / "monday/field.wav")
    (tmp_path / "monday/field.txt").write_text("0.5\t1.5\twren\n2\t3\t\n")
    assert named(corpus(tmp_path)[0]) == [("monday/field.wav#t=0.5,1.5", "wren"), ("monday/field.wav#t=2,3", None)]
    assert {clip.group for clip in corpus(tmp_path)[0]} == {"monday/field"}
    assert {clip.label for clip in corpus(tmp_path, labels="none")[0]} == {None}
    pattern = "{group}/*.wav"
    assert {clip.group for clip in corpus(tmp_path, pattern=pattern)[0]} == {"monday"}


def test_recordings_without_annotations_are_listed(folder: Path) -> None:
    write_recording(folder / "marsh.wav", seed=1)
    (folder / "pond.wma").write_bytes(b"no sound that is read")
    annotated_files.raven(folder, "field", PARTS)
    clips, rejected = corpus(folder)
    assert {clip.path for clip in clips} == {"field.wav"}
    assert [each.path for each in rejected] == ["marsh.wav", "pond.wma"]
    assert "`annotations`=none" in rejected[0].reason
    assert names_at(folder)[-2:] == ["marsh.wav", "pond.wma"]
    assert [clip.name for clip in corpus(folder, annotations="none")[0]] == ["field.wav", "marsh.wav"]


@pytest.mark.parametrize("names", [("day.txt", "dusk.txt"), ("day.csv",), ("day.TextGrid", "dusk.TextGrid")])
def test_annotations_of_which_none_has_a_recording_are_counted_and_named(folder: Path, names: Sequence[str]) -> None:
    texts = {".txt": annotated_files.raven_text(PARTS), ".csv": "start,end,label\n1,2,x\n", ".TextGrid": TEXTGRID}
    write_files(folder, {name: texts[Path(name).suffix] for name in names} | {"README.txt": "by night"})
    for found in (find_recordings(corpus_config(folder)), recordings_at(folder, AnnotationOptions())):
        assert [clip.name for clip in found.clips] == ["field.wav"]
        unused = {each.name: each for each in take_account(found, found, found.rejected).unused}
        assert {*unused} == {*names, "README.txt"}
        assert {unused[name].option for name in names} == {"`table`=FILE reads one"}
    alone = recordings_at(folder / "field.wav", AnnotationOptions())
    assert not take_account(alone, alone, alone.rejected).unused


def test_a_recording_whose_annotations_all_lie_behind_its_end_is_not_read_as_a_whole(folder: Path) -> None:
    write_recording(folder / "marsh.wav", seed=1, seconds=1)
    (folder / "marsh.txt").write_text("5\t6\twren\n7\t8\twren\n")
    for place in (folder, folder / "marsh.wav"):
        with pytest.raises(InputError, match=r"marsh\.txt:1: .*2 of 2 parts .*annotations=none"):
            recordings_at(place, AnnotationOptions())
    (folder / "field.txt").write_text("1\t2\twren\n" * 3 + "2\t3\trobin\n3\t4\twren\n")
    place = recordings_at(folder, AnnotationOptions())
    assert [each.path for each in place.clips] == ["field.wav"] * 3
    assert [each.path for each in place.rejected] == ["marsh.wav#t=5,6", "marsh.wav#t=7,8"]
    assert "marsh.txt:2" in place.rejected[1].reason


def test_pipes_and_folders_named_as_annotations_are_left_alone(folder: Path) -> None:
    os.mkfifo(folder / "field.TextGrid")
    (folder / "field.eaf").mkdir()
    os.mkfifo(folder / "field.jsonl")
    (folder / "field.txt").symlink_to(folder / "missing.txt")
    assert named(corpus(folder)[0]) == [("field.wav", None)]


TWO_TIERS: dict[str, str | bytes] = {"field.TextGrid": textgrid_text({"birds": PARTS, "calls": PARTS[:2]})}
KINDS_OF_COLUMNS: dict[str, str | bytes] = {"field.txt": f"{MEASURED}\tKind\tAge\n1\tx\t1\t2\t3\t1\t-50\twren\told\n"}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
PAGE = "<!DOCTYPE html>\n<html><body>404</body></html>\n"
# files beside field.wav, options, and what is told
REFUSED: list[tuple[dict[str, str | bytes], dict[str, Any], list[str]]] = [
    (TRACK, {"annotations": "raven"}, ["Begin Time"]),
    ({"field.lab": "1.5 2 x\n"}, {"annotations": "raven"}, ["annotations is raven"]),
    (TRACK, {"tier": "birds"}, ["tier is birds"]),
    (TRACK, {"columns": ColumnConfig(group="site")}, ["columns.group is site"]),
    *((TRACK, {"columns": ColumnConfig(label=each)}, ["columns.label is "]) for each in ("call", 3, ("a", "b"))),
    (TWO_TIERS, {}, ["tier=", "birds", "calls"]),
    (TWO_TIERS, {"tier": "frogs"}, ["tier is frogs", "birds"]),
    (TWO_TIERS, {"columns": ColumnConfig(label="Nope")}, ["columns.label is Nope", "birds"]),
    (TWO_TIERS, {"columns": ColumnConfig(label=3)}, ["columns.label is 3"]),
    (TWO_TIERS, {"columns": ColumnConfig(label=("birds", "calls"))}, ["columns.label is birds,calls"]),
    (TWO_TIERS, {"columns": ColumnConfig(label="birds"), "tier": "calls"}, ["columns.label is birds", "tier=calls"]),
    (KINDS_OF_COLUMNS, {"columns": ColumnConfig(label="Kind", fold="Age")}, ["columns.fold"]),
    (KINDS_OF_COLUMNS, {}, ["tier="]),
    ({"field.TextGrid": textgrid_text({"birds": []})}, {}, ["annotations=none"]),
    *(
        ({f"field.{suffix}": content}, {}, [told])
        for suffix in ("TextGrid", "eaf", "rttm")
        for content, told in ((POINTER, "LFS"), (PAGE, "page"))
    ),
]


@pytest.mark.parametrize(("files", "options", "told"), REFUSED)
def test_contradictions_are_refused(
    folder: Path, files: dict[str, str | bytes], options: dict[str, Any], told: list[str]
) -> None:
    write_files(folder, files)
    with pytest.raises(InputError) as error:
        corpus(folder, **options)
    assert [each for each in told if each not in str(error.value)] == []


NUMBERS = st.floats(0, 1e6).map(repr) | st.integers(0, 10**12).map(str) | st.sampled_from(["nan", "1,5", "1e9"])
CELLS = st.one_of(NUMBERS, st.text(st.characters(exclude_characters="\r\n\t"), max_size=6))
LINES = st.lists(st.lists(CELLS, max_size=12), max_size=8)
HEADERS = {"raven": "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\tCall\n"}


@pytest.mark.parametrize("kind", ["raven", "csv", "audacity", "lab", "rttm", "ctm"])
@given(rows=LINES)
def test_any_text_is_read_or_refused(kind: str, rows: Sequence[Sequence[str]]) -> None:
    for separator in ("\t", " ", ",", ";"):
        text = HEADERS.get(kind, "") + "\n".join(separator.join(row) for row in rows)
        try:
            parts = READERS[kind].read(text.replace("\n", "\nSPEAKER ") if kind == "rttm" else text, "a")
        except InputError:
            continue
        for each in parts:
            assert each.where.startswith("a:")
            assert each.fault or "start" in each.fields


def labelled(part: Annotation) -> tuple[str, str]:
    return part.tier, part.fields["label"]


LETTERS = st.characters(codec="utf-8", exclude_characters="\r")
TEXTS = st.text(LETTERS, min_size=1, max_size=12).filter(unwrapped)
MARKS = st.lists(st.integers(1, 19_999), unique=True, max_size=12).map(sorted)


@given(marks=MARKS, texts=st.lists(TEXTS, min_size=7, max_size=7), name=TEXTS, short=st.booleans())
def test_the_tiers_that_praat_writes_are_read(marks: list[int], texts: list[str], name: str, short: bool) -> None:
    times = [mark / 1000 for mark in marks]
    parts: list[annotated_files.Part] = [
        (a, b, text) for a, b, text in zip(times[::2], times[1::2], texts, strict=False)
    ]
    found = textgrid(textgrid_text({name: parts, "other": []}, short=short), "a.TextGrid")
    assert [(float(each.fields["start"]), float(each.fields["end"]), *labelled(each)) for each in found] == [
        (start, end, unwrapped(name), unwrapped(text)) for start, end, text in parts
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_texts_of_all_encodings_and_line_ends_are_read(tmp_path: Path, encoding: str, ends: str) -> None:
    text = textgrid_text({"vögel": [(0.5, 1.5, "grünfink")]}).replace("\n", ends)
    (tmp_path / "a.TextGrid").write_bytes(text.encode(encoding))
    (only,) = textgrid(read_annotation_text(tmp_path / "a.TextGrid"), "a.TextGrid")
    assert labelled(only) == ("vögel", "grünfink")


def test_points_have_no_length_and_lines_are_counted() -> None:
    head = '"ooTextFile"\n"TextGrid"\n0 2 <exists> 2\n! a remark\n'
    point, part = textgrid(head + '"TextTier" "clicks" 0 2 1\n0.5 "click"\n"IntervalTier" "a" 0 2 1\n0\n2\n"x"\n', "a")
    assert (point.where, bool(point.fault)) == ("a:6", True)
    assert (part.where, part.fault, labelled(part)) == ("a:8", None, ("a", "x"))
    with pytest.raises(InputError, match=r"a:6"):
        textgrid(head + '"IntervalTier" "a" 0 2 1\n', "a")
    with pytest.raises(InputError, match=r"a:6"):
        textgrid(head + '"IntervalTier" "a" 0 2 1\n0 "x" 2\n', "a")


@given(text=st.text(max_size=200))
def test_other_texts_and_documents_are_refused(text: str) -> None:
    cut = textgrid_text({"a": PARTS})[: len(text) * 3]
    for written in (text, f'"ooTextFile" "TextGrid" {text}', cut + text):
        with contextlib.suppress(InputError):
            textgrid(written, "a")
    for written in (text, f"<ANNOTATION_DOCUMENT>{text}</ANNOTATION_DOCUMENT>"):
        with contextlib.suppress(InputError):
            elan(written, "a")


def test_references_in_a_circle_have_no_time() -> None:
    circle = "".join(
        f"<ANNOTATION><REF_ANNOTATION ANNOTATION_ID='{a}' ANNOTATION_REF='{b}'><ANNOTATION_VALUE>x</ANNOTATION_VALUE>"
        "</REF_ANNOTATION></ANNOTATION>"
        for a, b in ("ab", "ba")
    )
    found = elan(f"<ANNOTATION_DOCUMENT><TIER TIER_ID='t'>{circle}</TIER></ANNOTATION_DOCUMENT>", "a")
    assert [each.fields["start"] for each in found] == ["", ""]


def rttm_of(*recordings: str) -> str:
    return "".join(f"SPEAKER {each} 1 1 1 <NA> <NA> owl <NA> <NA>\n" for each in recordings)


FAR = "C:\\data\\{}\\0600.wav"
ONE = [(1.0, 2.0, "owl")]
STRAYS: dict[str, dict[str, str]] = {  # annotations of two sites; siteB/0600.wav was not copied
    "raven": {f"site{site}/0600.Table.1.selections.txt": annotated_files.raven_text(ONE) for site in "AB"},
    "raven of one table": {
        "all.selections.txt": RAVEN + "".join(
            f"{n}\t1\t2\t{FAR.format(f'site{site}')}\t1\tOwl\n" for n, site in enumerate("AB")
        )
    },
    "textgrid": {f"site{site}/0600.TextGrid": textgrid_text({"birds": ONE}) for site in "AB"},
    "elan": {
        f"site{site}/0600.eaf": ELAN.replace("@MEDIUM@", medium(f"site{site}/0600.wav", "1000")) for site in "AB"
    },
    "audacity": {f"site{site}/0600.txt": "1\t2\towl\n" for site in "AB"},
    "lab": {f"site{site}/labels/0600.lab": "1.0 2.0 owl\n" for site in "AB"},
    "csv": {f"labels/site{site}/0600.csv": "start,end,label\n1,2,owl\n" for site in "AB"},
    "BirdNET": {
        f"site{site}/0600.BirdNET.results.csv": f"Start (s),End (s),Common name,File\n1,2,owl,E:/site{site}/0600.wav\n"
        for site in "AB"
    },
    "rttm": {f"site{site}/site.rttm": rttm_of("0600") for site in "AB"},
    "ctm": {f"ctm/site{site}/0600.ctm": "0600 1 1 1 owl\n" for site in "AB"},
}  # fmt: skip


@pytest.mark.parametrize("kind", STRAYS)
def test_annotations_of_a_missing_recording_are_never_those_of_another_folder(tmp_path: Path, kind: str) -> None:
    for seed, path in enumerate(("siteA/0600.wav", "siteB/0700.wav")):
        write_recording(tmp_path / path, seed=seed)
    write_files(tmp_path, STRAYS[kind])
    tables = [name for name in STRAYS[kind] if name.startswith("all")]
    for clips, rejected in (corpus(tmp_path), *(corpus(tmp_path, table=each) for each in tables)):
        assert [clip.name for clip in clips] == ["siteA/0600.wav#t=1,2"]
        assert any("siteA/0600.wav is of another folder" in each.reason for each in rejected), reasons(rejected)
    assert names_at(tmp_path) == ["siteA/0600.wav#t=1,2", "siteB/0700.wav"]
    assert names_at(tmp_path / "siteB/0700.wav") == ["0700.wav"]
    for path in ("siteA/0600.wav", "siteB/0700.wav"):  # alone, and with all that is below its folder
        assert {*names_at(tmp_path / path)} <= {"0600.wav", "0600.wav#t=1,2", "0700.wav"}


def test_annotations_in_another_folder_than_their_recordings_are_read_and_told(tmp_path: Path) -> None:
    for seed, name in enumerate(("day", "night")):
        write_recording(tmp_path / f"audio/{name}.wav", seed=seed)
        write_files(tmp_path, {f"labels/{name}.txt": "1\t2\towl\n"})
    assert [clip.name for clip in corpus(tmp_path)[0]] == ["audio/day.wav#t=1,2", "audio/night.wav#t=1,2"]
    assert any("labels/day.txt of audio/day.wav" in line for line in notices(tmp_path))
