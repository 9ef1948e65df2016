"""Descriptions by fields and by patterns of file names: values, or a refusal with the name of its source."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import template_expression
from wordless.audio.recordings.description import FIELDS, Description, Template, describe
from wordless.base.errors import InputError

TEXTS = st.text() | st.sampled_from(["0", "7", " 12 ", "9" * 5000, "train", "DEV", "-1", "1e3", "\u0663", "nan"])


def test_fields_become_values() -> None:
    fields = {"label": " up ", "group": "", "index": "007", "fold": "2", "split": "Dev"}
    assert describe(fields, "t:1") == Description(label="up", index=7, fold="2", split="validation")


@pytest.mark.parametrize("index", ["9" * 5000, "-1", "1.0", "\u00b2", str(2**63)])
def test_an_index_is_a_whole_number_of_63_bits(index: str) -> None:
    with pytest.raises(InputError, match=r"t:1: index\b.*'.{1,40}\D.*whole number"):
        describe({"index": index}, "t:1")
    assert describe({"index": str(2**63 - 1)}, "t:1").index == 2**63 - 1


@given(fields=st.dictionaries(st.sampled_from([*FIELDS, "start", "end", "other"]), TEXTS))
def test_whatever_fields_hold_they_are_described_or_refused_with_their_source(fields: dict[str, str]) -> None:
    told = ""
    try:
        describe(fields, "table.tsv:3")
    except InputError as error:
        told = str(error)
    assert not told or told.startswith("table.tsv:3: ")


WORD = st.text(st.characters(exclude_categories=["C"], exclude_characters="/_"), min_size=1)


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{label}_{group}_{index}.wav", "7_george_12.wav", {"label": "7", "group": "george", "index": "12"}),
        ("{label}_{group}_{index}", "deep/er/7_george_12.flac", {"label": "7", "group": "george", "index": "12"}),
        ("{label}_{group}_{index}", "7_van_gogh_12.wav", {"label": "7", "group": "van_gogh", "index": "12"}),
        ("{fold}-{group}-*.ogg", "001 - Dog bark/1-100032-A.ogg", {"fold": "1", "group": "100032"}),
        ("{label}/{group}_nohash_{index}", "up/0a7c_nohash_3.wav", {"label": "up", "group": "0a7c", "index": "3"}),
        ("*/{group}/**", "train-clean/84/121123/84-121123-0000.flac", {"group": "84"}),
        ("{label} (take {index}).wav", "über (take 3).wav", {"label": "über", "index": "3"}),
        ("{group}", "a.b.wav", {"group": "a.b"}),
        ("{label}_{index}.wav", "seven_x.wav", None),
        ("{label}/{index}.wav", "a/b/3.wav", None),
        ("a.c.wav", "abc.wav", None),
    ],
)
def test_fields_of_a_path(pattern: str, path: str, fields: dict[str, str] | None) -> None:
    assert Template(pattern).match(path) == fields


@given(WORD, WORD, st.integers(0, 10**6))
def test_fields_come_back_as_they_were_put_in(label: str, group: str, index: int) -> None:
    found = Template("{label}_{group}_{index}.wav").match(f"{label}_{group}_{index}.wav")
    assert found == {"label": label, "group": group, "index": str(index)}


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        Template(text).match("folder/name.wav")


@pytest.mark.parametrize("pattern", ["", "{speaker}", "{label}{label}", "{label", "label}", "{}", "{la{bel}}"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"^pattern is"):
        Template(pattern)


TOKENS = st.sampled_from(["{label}", "{group}", "{index}", "{fold}", "*", "**", "_", "/", "a", "1", ".", "-a", "wav"])


@given(
    tokens=st.lists(TOKENS, min_size=1, max_size=8),
    path=st.text("a1_/.-", max_size=14) | st.lists(st.sampled_from(["a", "1", "_", "/", ".wav", "11"])).map("".join),
)
@settings(max_examples=200)
def test_a_pattern_fits_as_the_regular_expression_does(tokens: list[str], path: str) -> None:
    pattern = "".join(tokens)
    try:
        template = Template(pattern)
    except InputError:
        return
    found = template_expression(pattern).fullmatch(path if "/" in pattern else path.rpartition("/")[2])
    assert template.match(path) == (found.groupdict() if found else None)


def test_no_name_takes_long_to_compare() -> None:
    started = time.monotonic()
    for pattern, path in (
        ("{label}_{group}_{fold}_{split}_{index}.wav", "_" * 250 + ".wav"),
        ("**_**_**_**_{label}_{index}", "_" * 4_000),
        ("*a*a*a*a*a*a*a*b", "a" * 250),
        ("**{index}**{label}**/*x", "1/" * 1_000),
    ):
        assert Template(pattern).match(path) is None
    assert time.monotonic() - started < 5
    assert Template("{label}_{group}_{index}").match("_" * 250 + "7") is not None


def test_a_pattern_of_too_many_parts_is_refused() -> None:
    with pytest.raises(InputError, match=r"^pattern is .*\b100\b"):
        Template("*a" * 101)
