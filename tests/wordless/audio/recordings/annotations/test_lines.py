"""Lines of annotations: any text gives annotations, faults with their lines, or one refusal."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.recordings.annotations import lines
from wordless.audio.recordings.annotations.annotation import Tier
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
            assert each.fault or {"start", "end"} <= each.fields.keys()
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
