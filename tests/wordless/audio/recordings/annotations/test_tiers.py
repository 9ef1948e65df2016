"""TextGrids and ELAN documents: any writing of the same tiers gives the same parts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, Part, textgrid_text
from wordless.audio.recordings.annotations.annotation import one_line
from wordless.audio.recordings.annotations.tiers import elan, textgrid
from wordless.audio.recordings.text_files import read_annotation_text
from wordless.base.errors import InputError

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=12).filter(one_line)
MARKS = st.lists(st.integers(1, 19_999), unique=True, max_size=12).map(sorted)


@given(marks=MARKS, texts=st.lists(TEXTS, min_size=7, max_size=7), name=TEXTS, short=st.booleans())
def test_the_tiers_that_praat_writes_are_read(marks: list[int], texts: list[str], name: str, short: bool) -> None:
    times = [mark / 1000 for mark in marks]
    parts: list[Part] = [(a, b, text) for a, b, text in zip(times[::2], times[1::2], texts, strict=False)]
    tiers = textgrid(textgrid_text({name: parts, "other": []}, short=short), "a.TextGrid")
    assert [tier.name for tier in tiers] == [one_line(name), "other"]
    found = [each.fields for each in tiers[0].annotations]
    assert [(float(each["start"]), float(each["end"]), each["label"]) for each in found] == [
        (start, end, one_line(text)) for start, end, text in parts
    ]
    assert (tiers[1].gaps, len(tiers[1].annotations)) == (1, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_texts_of_all_encodings_and_line_ends_are_read(tmp_path: Path, encoding: str, ends: str) -> None:
    text = textgrid_text({"vögel": [(0.5, 1.5, "grünfink")]}).replace("\n", ends)
    (tmp_path / "a.TextGrid").write_bytes(text.encode(encoding))
    (tier,) = textgrid(read_annotation_text(tmp_path / "a.TextGrid"), "a.TextGrid")
    assert (tier.name, [each.fields["label"] for each in tier.annotations]) == ("vögel", ["grünfink"])


def test_points_have_no_length_and_lines_are_counted() -> None:
    head = '"ooTextFile"\n"TextGrid"\n0 2 <exists> 2\n! a remark\n'
    tiers = textgrid(head + '"TextTier" "clicks" 0 2 1\n0.5 "click"\n"IntervalTier" "a" 0 2 1\n0\n2\n"x"\n', "a")
    assert [(tier.name, len(tier.annotations), tier.points) for tier in tiers] == [("clicks", 0, 1), ("a", 1, 0)]
    assert tiers[1].annotations[0].where == "a:8"
    with pytest.raises(InputError, match=r"a:5"):
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


@given(content=st.binary(max_size=200))
def test_other_documents_are_refused(content: bytes) -> None:
    for written in (content, b"<ANNOTATION_DOCUMENT>" + content + b"</ANNOTATION_DOCUMENT>"):
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
    (tier,) = elan(f"<ANNOTATION_DOCUMENT><TIER TIER_ID='t'>{circle}</TIER></ANNOTATION_DOCUMENT>".encode(), "a")
    assert all(each.fault for each in tier.annotations)
    assert len(tier.annotations) == 2
