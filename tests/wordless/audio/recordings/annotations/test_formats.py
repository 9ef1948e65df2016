"""Files of annotations: any text gives annotations, faults with their lines, or one refusal."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.recordings.annotations.annotated_files import PARTS, Part, textgrid_text
from wordless.audio.recordings import annotation_formats as lines
from wordless.audio.recordings.annotation_formats import Tier, elan, one_line, textgrid
from wordless.audio.recordings.folders import read_annotation_text
from wordless.base.errors import InputError

NUMBERS = st.one_of(
    st.floats(0, 1e6).map(repr), st.integers(0, 10**12).map(str), st.sampled_from(["nan", "1,5", "1e9"])
)
CELLS = st.one_of(NUMBERS, st.text(st.characters(exclude_characters="\r\n\t"), max_size=6))
LINES = st.lists(st.lists(CELLS, max_size=12), max_size=8)
HEADER = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\tCall"
READERS: dict[str, Callable[[str, str], list[Tier]]] = {
    "raven": lambda text, shown: lines.raven(f"{HEADER}\n{text}", shown, None, None),
    "audacity": lines.audacity,
    "lab": lines.lab,
    "rttm": lambda text, shown: lines.rttm(text.replace("\n", "\nSPEAKER "), shown),
    "ctm": lines.ctm,
}


@pytest.mark.parametrize("reader", READERS)
@given(rows=LINES)
def test_any_text_is_read_or_refused(reader: str, rows: Sequence[Sequence[str]]) -> None:
    for separator in ("\t", " "):
        text = "\n".join(separator.join(row) for row in rows)
        try:
            tiers = READERS[reader](text, "a")
        except InputError:
            continue
        for each in (each for tier in tiers for each in tier.annotations):
            assert each.where.startswith("a:")
            assert each.fault or "start" in each.fields
        lines.is_label_track(text)
        lines.is_lab(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5\t1.5\tx\n", True),
        ("0,5\t1,5\tx\n\\\t100,0\t200,0\n", True),  # a country with a decimal comma
        ("start\tend\tlabel\n0.5\t1.5\tx\n1\t2\ty\n", True),  # the header is one bad line
        ("0.5\t1.5\tx\nhello\n", False),
        ("0.5\t1.5\n", False),
        ("a.wav\t0.5\t1.5\n", False),
        ("0.01\t120.5\t0.5\n0.02\t121.5\t0.7\n", False),  # pitch and strength
        ("", False),
    ],
)
def test_label_tracks_are_told_from_other_texts(text: str, expected: bool) -> None:
    assert lines.is_label_track(text) is expected


def test_frequency_bounds_belong_to_the_label_before_them() -> None:
    (tier,) = lines.audacity("0,5\t1,5\twren song\n\\\t500,0\t-1,0\n2\t3\t\n", "a")
    assert [each.fields for each in tier.annotations] == [
        {"start": "0.5", "end": "1.5", "label": "wren song", "low_hz": "500.0"},
        {"start": "2", "end": "3", "label": ""},
    ]


def test_measurements_of_raven_are_no_labels() -> None:
    measured = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tDelta Time (s)\tAvg Power Density (dB FS/Hz)"
    (tier,) = lines.raven(
        f"{measured}\tPeak Freq (Hz)\tBW 90% (Hz)\tAgg Entropy (bits)\n1\tx\t1\t2\t3\n", "a", None, None
    )
    assert [each.fields["label"] for each in tier.annotations] == [""]
    two = lines.raven(f"{measured}\tSex\tAge\n1\tx\t1\t2\t3\t1\t-50\tf\told\n", "a", None, None)
    assert [tier.name for tier in two] == ["Sex", "Age"]
    (chosen,) = lines.raven(f"{measured}\tSex\tAge\n1\tx\t1\t2\t3\t1\t-50\tf\told\n", "a", "age", None)
    assert [each.fields["label"] for each in chosen.annotations] == ["old"]


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
