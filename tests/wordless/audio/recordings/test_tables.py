"""Tables and patterns of file names: each format that is read, and errors that name their source."""

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.measured import succeeds_or_names
from tests.reference import template_expression
from wordless.audio.recordings.description import MISSING, ColumnConfig, LabelType, match_pattern, pattern_fields
from wordless.audio.recordings.manifest import Clip, Clips, write_manifest
from wordless.audio.recordings.tables import read_table
from wordless.base.messages import InputError


def candidate(**known: object) -> Clip:
    return Clip(path="", **{"split": "", **known})  # type: ignore[arg-type]  # a test's shorthand


def bare(row: Clip) -> Clip:
    return replace(row, path="")


def rows(folder: Path, name: str, text: str | bytes) -> tuple[Clip, ...]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path).clips


def test_cells_may_be_empty_quoted_or_divided_by_semicolons(tmp_path: Path) -> None:
    first, second = rows(tmp_path, "t.csv", 'path;start;end;label\r\n"a, b.wav";2,5;4,25;up, down\r\na.wav;3.5;;up\r\n')
    assert first.path == "a, b.wav"
    assert bare(first) == candidate(label="up, down", begin=2.5, end=4.25)
    assert bare(second) == candidate(label="up", begin=3.5)
    (first, second) = rows(tmp_path, "t.tsv", 'path\tlabel\n"a" b.wav\tso "far"\nc.wav\t"say ""no"", no"\n')
    assert (first.path, first.label) == ('"a" b.wav', 'so "far"')
    assert second.label == 'say "no", no'
    for name, text, label in (
        ("t.tsv", "path\tlabel\tindex\na.wav\t\t\n", None),
        ("t.csv", "path,label,group\na.wav,up\n", "up"),
        ("t.csv", 'path,label\na.wav, "say ""no"" , no"\n', 'say "no" , no'),
        ("t.csv", 'path,"label\n"\na.wav,"up\n"', "up"),  # a line break ends a quoted cell
    ):
        assert [bare(row) for row in rows(tmp_path, name, text)] == [candidate(label=label)]


@pytest.mark.parametrize(
    ("header", "cells", "options"),
    [
        ("start,duration", "1.0,0.5", {}),
        ("offset,duration", "1.0,0.5", {}),
        ("begin,duration", "1.0,0.5", {"start": "begin"}),
        ("start,stop", "1.0,1.5", {}), ("Start (s),End (s)", "1,1.5", {}),
        ("begin_time,end_time", "0:01,00:00:01.5", {}), ("onset,duration,offset", "1,.5,1.5", {}),
        ("startTime,length", '"1,0","0,5"', {}), ("start_ms,t_end", "1000,1.5", {}),
        ("tmin,tmax,from,to", "1.0,1.5,Ann,Bob", {}), ("start,end,duration", "1.0,1.5,9", {}),
        ("onset,offset", "1.0,1.5", {}), ("onset,length", "1.0,0.5", {"start": "onset", "duration": "length"}),
        ("start,end,num_samples,sample_rate", "1.0,1.5,64000,16000", {}),
        ("onset,finish,num_samples,sample_rate", "1.0,1.5,64000,16000", {"start": "onset", "end": "finish"}),
        ("segment,start,num_samples,sample_rate", "0,16000,8000,16000", {}),
        ("start,num_samples,sample_rate", "16000,8000,16000", {}),  # columns of a run's manifest, without the others
        ("start,num_frames,other,sr", "16000,8000,ann,16000", {}),
        ("Begin Time (s),Delta Time (s)", "1.0,0.5", {}), ("start,delta", "1.0,0.5", {}), ("onset,len", "1,0.5", {}),
        ("start,extent", "1.0,0.5", {}), ("start,dur_s", "1.0,0.5", {}), ("start_ms,dur_ms", "1000,500", {}),
        ("t_start,duration_sec", "1.0,0.5", {}), ("Begin Time (ms),End Time (ms)", "1000,1500", {}),
        ("start_us,end_us", "1000000,1500000", {}), ("start_min,length", "0.016666666666667,0.5", {}),
        ("onset_samples,end_samples,sample_rate", "16000,24000,16000", {}),
        ("start_sample,Delta Time (s),Length (frames),fs", "16000,0.5,33,16000", {}),
        ("Begin Time (s),Begin Sample (samples),End Time (s)", "1.0,16000,1.5", {}),
        ("segment,start,num_samples,sample_rate,from,to", "0,9,9,16000,1,1.5", {"start": "from", "end": "to"}),
    ],
)  # fmt: skip
def test_columns_of_time_name_a_part(tmp_path: Path, header: str, cells: str, options: dict[str, str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"path,{header},label\na.wav,{cells},up\n")
    (row,) = read_table(path, ColumnConfig(**options)).clips  # type: ignore[arg-type]  # of texts alone
    assert bare(row) == candidate(label="up", begin=1.0, end=1.5)


@pytest.mark.parametrize(
    ("header", "cells", "told"),
    [
        ("start_frame,end_frame", "10,20", "start_frame counts frames.*columns.start=none"),
        ("onset_samples,duration", "16000,0.5", "onset_samples counts samples.*sample_rate.*columns.start=none"),
        ("frame_offset,num_frames", "16000,8000", "frame_offset counts frames.*columns.start=none"),
        ("start_sample,stop_sample,sample_rate", "16000,24000,", "start_sample counts samples.*columns.start=none"),
        ("start,Length (frames)", "1.0,33", "counts frames.*columns.duration=none"),
        ("start,num_samples", "16000,8000", "seconds or samples.*columns.start=none"),
        ("start,num_samples,sample_rate", "1.5,64000,16000", "seconds or samples.*columns.start=none"),
        ("start,num_samples,sample_rate", "1,64000,16000", "seconds or samples.*columns.start=none"),
    ],
)  # fmt: skip
def test_times_whose_unit_is_not_known_are_refused(tmp_path: Path, header: str, cells: str, told: str) -> None:
    for name, text in (
        ("t.csv", f"path,{header},label\na.wav,{cells},up\n"),
        ("t.jsonl", json.dumps(dict(zip(f"path,{header}".split(","), f"a.wav,{cells}".split(","), strict=True)))),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=rf"{name}:1: .*{told}"):
            read_table(tmp_path / name)
        (row,) = read_table(tmp_path / name, ColumnConfig(start="none")).clips
        assert (row.begin, row.end) == (None, None)


def test_parts_that_end_with_their_recordings_are_told(tmp_path: Path) -> None:
    for header, cells, told in (("start,width", "1,2", True), ("start,end", "1,2", False), ("width", "2", False)):
        (tmp_path / "t.csv").write_text(f"path,{header}\na.wav,{cells}\n")
        notices = read_table(tmp_path / "t.csv").notices
        assert any("columns.duration" in each for each in notices) == told


def test_nan_of_json_is_a_missing_value(tmp_path: Path) -> None:
    values = [
        {"path": "a.wav", "label": float("nan"), "speaker": "ann", "start": float("nan"), "fold": 1.0},
        {"path": "b.wav", "label": "nan", "speaker": float("nan"), "start": 0.5, "fold": float("nan")},
    ]
    first, second = map(bare, rows(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, values))))
    assert first == candidate(group="ann", fold="1")
    assert second == candidate(label="nan", begin=0.5)


def test_a_manifest_of_whole_recordings_names_no_parts(tmp_path: Path) -> None:
    clip = Clip(path="a.wav", start=160, num_samples=8000, sample_rate=16000, size=9, sha256="0", samples_sha256="1")
    write_manifest(Clips.from_rows(tmp_path, (clip,)), tmp_path / "manifest.tsv")
    assert [row.begin for row in read_table(tmp_path / "manifest.tsv").clips] == [None]


def test_the_manifest_of_a_run_is_the_same_after_pandas_or_r_have_written_it(tmp_path: Path) -> None:
    known = {"sample_rate": 8000, "size": 9, "sha256": "0", "samples_sha256": "1"}
    clips = (
        Clip(path="a.wav", segment=0, start=4000, num_samples=3200, label="lo", group="7", index=3, **known),
        Clip(path="a.wav", segment=1, start=16000, num_samples=3200, label='"hi" word', fold="2", **known),
        Clip(path="b.wav", start=160, num_samples=32000, label="hi", **known),
    )  # type: ignore[arg-type]  # numbers and texts
    write_manifest(Clips.from_rows(tmp_path, clips), tmp_path / "manifest.tsv")
    frame = pandas.read_csv(tmp_path / "manifest.tsv", sep="\t")
    frame.to_csv(tmp_path / "pandas.csv", index=False)
    frame.to_csv(tmp_path / "r.tsv", sep="\t", index=False, na_rep="NA")
    whole = frame.astype({"start": float, **dict.fromkeys(("index", "group", "fold"), "Int64")})
    whole.to_csv(tmp_path / "comma.csv", sep=";", decimal=",", index=False)
    frame.iloc[::-1].to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    spans = [(0.5, 0.9), (2.0, 2.4), (None, None)]
    for name in ("manifest.tsv", "pandas.csv", "comma.csv", "r.tsv", "t.jsonl", "t.parquet"):
        found = read_table(tmp_path / name).clips[:: -1 if name == "t.parquet" else 1]
        assert [(row.begin, row.end) for row in found] == spans, name
        told = [(row.label, row.group, row.index, row.fold) for row in found]
        assert told == [("lo", "7", 3, None), ('"hi" word', None, None, "2"), ("hi", None, None, None)], name


def test_na_is_not_known_unless_it_is_quoted_or_the_user_says_so(tmp_path: Path) -> None:
    text = 'path,label,speaker,start,end\na.wav,"NA",NA,NA,nan\nb.wav,NA,"nan",0.5,1.5\nc.wav,<NA>,x,,NaN\n'
    for name, written in (("t.csv", text), ("t.tsv", text.replace(",", "\t")), ("s.csv", text.replace(",", ";"))):
        table_rows = rows(tmp_path, name, written)
        assert [bare(row) for row in table_rows] == [
            candidate(label="NA"), candidate(group="nan", begin=0.5, end=1.5), candidate(group="x")
        ], name  # fmt: skip
        notices = " ".join(read_table(tmp_path / name).notices)
        assert all(each in notices for each in ("2 of label", "1 of speaker", "`columns.missing`=none")), name
    for cell in MISSING:  # as R, pandas and spreadsheets write them
        (found,) = rows(tmp_path, "t.csv", f'path,label,speaker\na.wav,{cell},"{cell}"\n')
        assert (found.label, found.group) == (None, cell)
    assert {"None", "N/A", "null", "#N/A", "<NA>", "NaN"} <= {*MISSING}
    (tmp_path / "t.csv").write_text("path,label\na.wav,NA\nb.wav,nan\n")
    found = read_table(tmp_path / "t.csv", ColumnConfig(missing="none"))
    assert [row.label for row in found.clips] == ["NA", "nan"]
    assert not found.notices


def test_whole_numbers_of_a_column_with_gaps_are_whole(tmp_path: Path) -> None:
    clips = pandas.DataFrame({"path": ["a.wav", "b.wav", "c.wav"], "label": [1, 2, None], "speaker": [7, None, 8]})
    clips.assign(fold=["1.0", "1.5", ""]).to_csv(tmp_path / "t.csv", index=False)
    found = read_table(tmp_path / "t.csv")
    assert [(row.label, row.group, row.fold) for row in found.clips] == [
        ("1", "7", "1.0"), ("2", None, "1.5"), (None, "8", None)
    ]  # fmt: skip
    assert "label, speaker" in found.notices[-1]


def test_a_class_or_a_speaker_is_one_in_each_form_of_unicode(tmp_path: Path) -> None:
    found = rows(tmp_path, "t.csv", "path,label,speaker\na.wav,na\u00efve,Jos\u00e9\nb.wav,nai\u0308ve,Jose\u0301\n")
    assert {(row.label, row.group) for row in found} == {("na\u00efve", "Jos\u00e9")}


@pytest.mark.parametrize(
    ("header", "cells", "option", "known"),
    [
        ("start_time", "30", "start", {}), ("start_time,end_time", "30,40", "start", {}),
        ("start,duration", "30,10", "start", {}), ("index", "00-ab", "index", {}), ("split", "7", "split", {}),
        ("label", "x", "label", {}), ("client_id", "x", "group", {}), ("subset", "test", "split", {}),
        ("start,end", "1,30", "end", {"begin": 1.0}),
    ],
)  # fmt: skip
def test_a_well_known_column_may_be_left_unread(
    tmp_path: Path, header: str, cells: str, option: str, known: dict[str, float]
) -> None:
    (tmp_path / "t.csv").write_text(f"path,{header}\na.wav,{cells}\n")
    found = read_table(tmp_path / "t.csv", ColumnConfig(**{option: "none"}))  # type: ignore[arg-type]  # of texts alone
    assert [bare(row) for row in found.clips] == [candidate(**known)]
    assert not found.reading.files[0].columns[header.split(",")[0 if option != "end" else 1]].field
    word = f"columns.{option}`=none"
    try:
        told = " ".join(read_table(tmp_path / "t.csv").notices)
    except InputError as error:
        told = str(error).replace("=none", "`=none").replace("``", "`")
    assert word in told or header.split(",")[0] in ("label", "start", "subset")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "a.wav,ann,up\nb.wav,bob,down\n", "3 columns: path"),
        ("t.tsv", "ann\ta.wav\nbob\tb.wav\n", "2 columns: path"),
        ("t.csv", "a.wav,0.5,1.0\n", "3 columns: path"), ("t.txt", "a.wav\nb.wav\n", "1 columns: path"),
        ("t.tsv", "/data/audio\na.wav\t16000\nb/c.flac\t3200\n", "fairseq.*root=/data/audio"),
        ("t.tsv", "audio\na.wav\t16000\n", "fairseq.*root=audio"),
        ("t.csv", "a,up\nb,down\n", "header"),
    ],
)  # fmt: skip
def test_a_table_without_a_header_is_refused_with_a_remedy(tmp_path: Path, name: str, text: str, told: str) -> None:
    for columns in (ColumnConfig(), ColumnConfig(audio="1", label=2)):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=rf"{name}:1\b.*{told}"):
            read_table(tmp_path / name, columns)


def test_long_lines_and_many_columns_take_no_time(tmp_path: Path) -> None:
    started = time.monotonic()
    for text in ("x" * 500_000 + "\na.wav\n", "\t".join(map(str, range(100_000))) + "\na.wav\n"):
        with pytest.raises(InputError, match=r"columns\.audio"):
            rows(tmp_path, "t.tsv", text)
    wide = ",".join(f"c{number}" for number in range(100_000))
    assert len(rows(tmp_path, "t.csv", f"path,{wide}\na.wav\nb.wav,{wide}\n")) == 2
    assert time.monotonic() - started < 20


OURS = "path\tsegment\tstart\tnum_samples\tsample_rate"  # of a run's own manifest
OTHER_JSON: list[object] = [  # forms that pandas writes, but for lines
    {"path": {"7": "a.wav", "9": "b.wav"}, "label": {"7": "up", "9": None}},
    {"path": ["a.wav", "b.wav"], "label": ["up", None]},
    {"a.wav": {"label": "up"}, "b.wav": {"label": None}},
    [{"path": "a.wav"}, {"path": "b.wav"}],
]


@pytest.mark.parametrize(
    ("name", "text", "line", "told"),
    [
        ("t.csv", "thing,label\na.wav,up\n", 1, "columns.audio"),
        ("t.csv", "\npath,label\na.wav,up,down\n", 3, "2 fields"),
        ("t.csv", 'path\n"a.wav\n', 2, ""),
        ("t.csv", 'path,note\na.wav,"two\nb.wav,three\nc.wav,four', 2, ""),  # the note would swallow the other rows
        ("t.tsv", "path\tindex\na.wav\tthree\n", 2, "index is 'three'"),
        ("t.tsv", "path\tsplit\na.wav\ttest\nb.wav\ttset\n", 3, "split is 'tset'"),
        ("t.tsv", "path\tlabel\n\tup\n", 2, "path"),
        ("t.csv", 'path,label\na.wav,"two\nlines"\n', 3, r"label is 'two\\nlines'"),
        ("t.jsonl", '{"audio_filepath": "a"}\n{"audio_filepath": \n', 2, "JSON"),
        ("t.jsonl", '{"path": "a"}\n[1]\n', " row 2", "object"),
        ("t.jsonl", "[1]\n", " row 1", "object"),
        ("t.json", '{"path": "a"}\n{"path": "b", "index": -1}\n', " row 2", "index"),
        ("t.json", '[\n{"path": "a"},\n{"path" "b"}\n]', 3, "JSON"),
        ("t.jsonl", '{"label": "up"}\n', 1, "columns.audio"),
        ("t.csv", b"path\na.wav\n\xff.wav\n", 3, "UTF-8"),
        ("t.tsv", "path\tindex\na.wav\t" + "9" * 5000, 2, "'999"),
        ("t.tsv", f"path\tindex\na.wav\t{2**63}", 2, "'9223372036854775808'"),
        ("t.tsv", f"path\tindex\na.wav\t{2**63 - 1}\nb.wav\t1.0", 3, "index is '1.0'"),
        ("t.tsv", "path\tindex\na.wav\t\u00b2", 2, "index is"),
        ("t.csv", "path,label,path\na.wav,up,b.wav\n", 1, "path"),
        ("t.jsonl", "[" * 100_000, 1, "nested"),
        ("t.jsonl", '{"path": "a", "label": ' + '{"a": ' * 100_000 + "1", 1, "nested"),
        ("t.jsonl", '{"path": {"of": "a"}}\n{"path": "b"}', " row 1", "path"),
        ("t.json", '{"path": "a", "index": [0, "x"]}', " row 1", "index is '0;x'"),
        ("t.jsonl", '{"path": "a", "index": ' + "9" * 5000 + "}", 1, "JSON"),
        ("t.csv", "path,category,class\na.wav,dog,1\n", 1, "columns.label=category"),
        ("t.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", 1, "git lfs pull"),
        ("t.tsv", "\n <!DOCTYPE html>\n<html></html>", 1, "page"), ("t.csv", b"PK\x03\x04\x14\x00", 1, "Excel"),
        ("t.csv", "x" * 200_000 + "\na.wav", 1, "columns.audio"),
        ("t.csv", "path\0,label\na.wav,up", 1, "columns.audio"), ("t.csv", b"\x89PNG\r\n\x1a\n", 1, "UTF-8"),
        ("t.tsv", b"\x1f\x8b\x08\x00", 1, "unpack"), ("t.csv", b"\xff\xfep\x00a\x00\x00\xd8", 1, "UTF-16"),
        ("t.csv", "path,start,end\na.wav,3,2", 2, "end is"),
        ("t.csv", "path,start,end\na.wav,-1,2", 2, "start is '-1'"),
        ("t.csv", "path,start,end\na.wav,NAN,2", 2, "start is 'NAN'"),
        ("t.csv", "path,start,end\na.wav,0_1,2", 2, "start is '0_1'"),
        ("t.csv", "path,start,end\na.wav,0,1e999", 2, "end is '1e999'"),
        ("t.csv", "path,start,end\na.wav,ten,2", 2, "start is 'ten'"),
        *(("t.tsv", f"{OURS}\na.wav\t{cells}\n", 2, "start is .*columns.start.?=none")
          for cells in ("0\tx\t800\t8000", "0\t80\t\t8000", "0\t80\t800\t0")),
        *(("t.json", json.dumps(each, indent=1), " row 1", "orient='records', lines=True") for each in OTHER_JSON),
    ],
)  # fmt: skip
def test_problems_name_the_line(tmp_path: Path, name: str, text: str | bytes, line: int | str, told: str) -> None:
    with pytest.raises(InputError, match=rf"{name}:{line}: .*{told}"):
        rows(tmp_path, name, text)


UP = candidate(label="up", group="anna")
FULL = replace(UP, index=3, fold="1", split="validation")


@pytest.mark.parametrize(
    ("said", "name", "text"),
    [
        (FULL, "t.tsv", "path\tlabel\tgroup\tindex\tfold\tsplit\na b.wav\tup\tanna\t3\t1\tdev\n"),
        (FULL, "t.csv", 'Path,Label,Group,Index,Fold,Split,Other\r\n"a b.wav",up,anna,3,1,valid,"a, b"\r\n\r\n'),
        (FULL, "t.csv", b"\xef\xbb\xbfsplit,path,fold,index,group,label\nVAL,a b.wav,1,3,anna,up"),
        (FULL, "t.csv", b'\xef\xbb\xbfPath;Label;Group;Index;Fold;Split;Other\r\n"a b.wav";up;anna;3;1;dev;"a; b"\r\n'),
        (FULL, "t.csv", "path\tlabel\tgroup\tindex\tfold\tsplit\na b.wav\tup\tanna\t3\t1\tdev\n"),
        (FULL, "t.jsonl", '{"audio_filepath": "a b.wav", "duration": 1.5, "command": "up", "speaker": "anna", '
         '"index": 3, "fold": 1, "split": "validation", "text": null}\n\n'),
        (UP, "t.csv", 'path, label, group\na b.wav, "up", "anna"\n'),
        (UP, "t.csv", '"path" , "label" , "group"\n"a b.wav" , "up" , "anna" \n'),
        (UP, "t.csv", 'path; label; group\n"a b.wav"; "up"; anna \n'),
        (UP, "t.csv", 'path|label|group\na b.wav|up|anna\n'),
        (UP, "t.csv", 'path\t label\t group\na b.wav\t "up"\t "anna"\n'),
        (UP, "t.tsv", "path\tlabel\tgroup\na b.wav\t up \tanna\n"),
        (UP, "t.tsv", '"path"\t"label"\t"group"\n"a b.wav"\t"up"\t"anna"\n'),
        (UP, "t.txt", "\n\r\npath,label,group\na b.wav,up,anna\n"),
        (UP, "t.csv", "path,label,group\ra b.wav,up,anna\r"),
        (UP, "t.tsv", "path\tlabel\tgroup\ra b.wav\tup\tanna"),
        (UP, "t.txt", "path\tlabel\tgroup\r\na b.wav\tup\tanna\r\n".encode("utf-16")),
        (UP, "t.csv", "path,label,group\r\na b.wav,up,anna\r\n".encode("utf-16-le")),
        (UP, "t.csv", "path,label,group\r\na b.wav,up,anna\r\n".encode("utf-16-be")),
        (UP, "t.jsonl", '\ufeff{"path": "a b.wav", "label": "up", "group": "anna"}\r{"path": "b.wav"}\r'),
        (UP, "t.json", '{\n  "path": "a b.wav",\n  "label": "up",\n  "group": "anna"\n}\n{\n  "path": "b.wav"\n}\n'),
        (UP, "t.txt", 'path\tlabel\tgroup\n"a b.wav"\t"up"\tanna\n'),
    ],
)  # fmt: skip
def test_each_format_and_way_of_writing_says_the_same(tmp_path: Path, said: Clip, name: str, text: str | bytes) -> None:
    row, *others = rows(tmp_path, name, text)
    assert (row.path.strip(), bare(row)) == ("a b.wav", said)
    assert [each.path for each in others] in ([], ["b.wav"])


TABLE = "name\tSpecies\tsite\tbegin\tlength\tn\tpart\nb.wav\tcrow\tmarsh\t1.5\t2\t7\tdev\n"
NAMED = ColumnConfig(
    audio="name", label="species", group="site", start="begin", duration="length", index="n", split="part"
)


def test_columns_are_those_that_the_user_names_and_several_are_one_label(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,tempo,key\na.wav,fast,C\nb.wav,,D\n")
    table = read_table(tmp_path / "t.csv", ColumnConfig(label=("tempo", "key")))
    assert [row.label for row in table.clips] == ["fast;C", "D"]
    for text in (TABLE, TABLE.replace(".5", ",5").replace("\t", ";")):
        (tmp_path / "t.csv").write_text(text)
        (row,) = read_table(tmp_path / "t.csv", NAMED).clips
        known = candidate(label="crow", group="marsh", index=7, split="validation", begin=1.5, end=3.5)
        assert (row.path, bare(row)) == ("b.wav", known)


@pytest.mark.parametrize(("name", "text"), [("t.tsv", TABLE), ("t.json", '{"name": "b.wav", "Species": "crow"}')])
def test_a_named_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    for columns, told in (
        (ColumnConfig(audio="name", group="speaker"), "columns.group is speaker"),
        (ColumnConfig(audio="nome"), "columns.audio is nome"),
        (ColumnConfig(audio="name", label=("x", "y")), "columns.label is x"),
    ):
        with pytest.raises(InputError) as caught:
            read_table(tmp_path / name, columns)
        assert not [each for each in (told, f"{name}:1", "Species") if each not in str(caught.value)]


def test_parquet_lists_recordings_as_json_does(tmp_path: Path) -> None:
    values = {"path": ["a.wav", "b.wav"], "label": ["007", None], "index": [3, None], "start": [0.5, 1.0]}
    pq.write_table(pa.table(values), tmp_path / "t.parquet")
    first, second = read_table(tmp_path / "t.parquet").clips
    assert (first.path, first.where) == ("a.wav", f"{tmp_path / 't.parquet'}: row 1")
    assert bare(first) == candidate(label="007", index=3, begin=0.5)
    assert bare(second) == candidate(begin=1.0)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"^table is .*t\.parquet"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("text", "label_type", "label"),
    [
        ("path,text\na.wav,hello\n", "text", "hello"), ("path,text\na.wav,hello\n", "class", None),
        ("path,category\na.wav,dog\n", "class", "dog"), ("path,category\na.wav,dog\n", "text", None),
        ("path,category\na.wav,dog\n", "number", None), ("path,label\na.wav,3\n", "number", "3"),
        ("path,label\na.wav,hello\n", "text", "hello"), ("path,transcript,sentence\na.wav,one,two\n", "text", "two"),
    ],
)  # fmt: skip
def test_labels_of_known_names_fit_a_type(tmp_path: Path, text: str, label_type: LabelType, label: str | None) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv", label_type=label_type)
    (row,) = table.clips
    assert row.label == label
    said = any("well-known" in notice for notice in table.notices)
    assert said == (label is not None and ",label" not in text)


def test_what_is_no_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^table is .*none\.tsv"):
        read_table(tmp_path / "none.tsv")
    with pytest.raises(InputError, match=r"^table is /dev/zero\b.*device"):
        read_table(Path("/dev/zero"))
    with pytest.raises(InputError, match=r"null"):
        read_table(Path("null\0.tsv"))


CELLS = st.text(max_size=30) | st.sampled_from(["path", "index", "split", "label", "9" * 5000, "\0", "a.wav", "\ud800"])
LINES = st.lists(st.lists(CELLS, max_size=5).map("\t".join) | st.lists(CELLS, max_size=5).map(",".join), max_size=6)
OBJECTS = st.dictionaries(
    st.sampled_from(["path", "audio_filepath", "label", "index", "split", "start", "end", "offset", "duration", "x"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | CELLS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
        max_leaves=5,
    ),
)
HEADERS = st.sampled_from(["", "path\tlabel\tindex", "path,start,end,fold,split", OURS])
ROWS = LINES | st.lists(OBJECTS.map(json.dumps), max_size=4)
TABLES = st.binary(max_size=200) | st.builds(
    lambda header, lines: "\n".join([header, *lines]).encode("utf-8", "surrogatepass"), HEADERS, ROWS
)


@given(content=TABLES, suffix=st.sampled_from([".tsv", ".csv", ".jsonl", ".json", ".txt", ""]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_table_holds_is_read_or_refused_by_name(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(content)
    with succeeds_or_names(path, []):
        assert all(row.path and str(row.where).startswith(str(path)) for row in read_table(path).clips)


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        match_pattern(text, ["folder/name.wav"])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        *((each, "") for each in ("", "{speaker}", "{label}{label}", "{label", "label}", "{}", "{la{bel}}")),
        ("*a" * 101, r".*\b100\b"),  # too many parts
        ("{label}_{speaker}.wav", r".*\bdid you mean \{group\}\?"),
    ],
)
def test_malformed_patterns_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^pattern is{message}"):
        pattern_fields(pattern)


TOKENS = st.sampled_from(["{label}", "{group}", "{index}", "{fold}", "*", "**", "_", "/", "a", "1", ".", "-a", "wav"])


@given(
    tokens=st.lists(TOKENS, min_size=1, max_size=8),
    path=st.text("a1_/.-", max_size=14) | st.lists(st.sampled_from(["a", "1", "_", "/", ".wav", "11"])).map("".join),
)
@settings(max_examples=200)
def test_a_pattern_fits_as_the_regular_expression_does(tokens: list[str], path: str) -> None:
    pattern = "".join(tokens)
    try:
        (fields,) = match_pattern(pattern, [path])
    except InputError:
        return
    found = template_expression(pattern).fullmatch(path if "/" in pattern else path.rpartition("/")[2])
    assert fields == (found.groupdict() if found else None)


def test_no_name_takes_long_to_compare() -> None:
    started = time.monotonic()
    for pattern, path in (
        ("{label}_{group}_{fold}_{split}_{index}.wav", "_" * 250 + ".wav"),
        ("**_**_**_**_{label}_{index}", "_" * 4_000),
        ("*a*a*a*a*a*a*a*b", "a" * 250),
        ("**{index}**{label}**/*x", "1/" * 1_000),
    ):
        assert match_pattern(pattern, [path]) == [None]
    assert time.monotonic() - started < 5
    assert match_pattern("{label}_{group}_{index}", ["_" * 250 + "7"]) != [None]
