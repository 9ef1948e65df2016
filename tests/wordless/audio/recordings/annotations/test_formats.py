"""Files of annotations: any text gives annotations, faults with their lines, or one refusal."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, Part, textgrid_text
from wordless.audio.recordings.annotations import Annotation, Kind, columns, elan, fits, one_line, textgrid
from wordless.audio.recordings.folders import read_annotation_text
from wordless.base.errors import InputError

NUMBERS = st.one_of(
    st.floats(0, 1e6).map(repr), st.integers(0, 10**12).map(str), st.sampled_from(["nan", "1,5", "1e9"])
)
CELLS = st.one_of(NUMBERS, st.text(st.characters(exclude_characters="\r\n\t"), max_size=6))
LINES = st.lists(st.lists(CELLS, max_size=12), max_size=8)
HEADER = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\tCall"
HEADERS = {"raven": "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\tCall\n"}


@pytest.mark.parametrize("kind", ["raven", "csv", "audacity", "lab", "rttm", "ctm"])
@given(rows=LINES)
def test_any_text_is_read_or_refused(kind: Kind, rows: Sequence[Sequence[str]]) -> None:
    for separator in ("\t", " ", ",", ";"):
        text = HEADERS.get(kind, "") + "\n".join(separator.join(row) for row in rows)
        try:
            parts = columns(text.replace("\n", "\nSPEAKER ") if kind == "rttm" else text, "a", kind)
        except InputError:
            continue
        for each in parts:
            assert each.where.startswith("a:")
            assert each.fault or "start" in each.fields
        fits(text, kind, wanted=False)


def labelled(part: Annotation) -> tuple[str, str]:
    return part.tier, part.fields["label"]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=12).filter(one_line)
MARKS = st.lists(st.integers(1, 19_999), unique=True, max_size=12).map(sorted)


@given(marks=MARKS, texts=st.lists(TEXTS, min_size=7, max_size=7), name=TEXTS, short=st.booleans())
def test_the_tiers_that_praat_writes_are_read(marks: list[int], texts: list[str], name: str, short: bool) -> None:
    times = [mark / 1000 for mark in marks]
    parts: list[Part] = [(a, b, text) for a, b, text in zip(times[::2], times[1::2], texts, strict=False)]
    found = textgrid(textgrid_text({name: parts, "other": []}, short=short), "a.TextGrid")
    assert [(float(each.fields["start"]), float(each.fields["end"]), *labelled(each)) for each in found] == [
        (start, end, one_line(name), one_line(text)) for start, end, text in parts
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
def test_other_texts_are_refused(text: str) -> None:
    for written in (text, f'"ooTextFile" "TextGrid" {text}', textgrid_text({"a": PARTS})[: len(text) * 3] + text):
        try:
            textgrid(written, "a")
        except InputError:
            continue


@given(text=st.text(max_size=200))
def test_other_documents_are_refused(text: str) -> None:
    for written in (text, f"<ANNOTATION_DOCUMENT>{text}</ANNOTATION_DOCUMENT>"):
        try:
            elan(written, "a")
        except InputError:
            continue


def test_references_in_a_circle_have_no_time() -> None:
    circle = "".join(
        f"<ANNOTATION><REF_ANNOTATION ANNOTATION_ID='{a}' ANNOTATION_REF='{b}'><ANNOTATION_VALUE>x</ANNOTATION_VALUE>"
        "</REF_ANNOTATION></ANNOTATION>"
        for a, b in ("ab", "ba")
    )
    found = elan(f"<ANNOTATION_DOCUMENT><TIER TIER_ID='t'>{circle}</TIER></ANNOTATION_DOCUMENT>", "a")
    assert [each.fields["start"] for each in found] == ["", ""]
