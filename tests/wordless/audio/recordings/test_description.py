"""Descriptions: fields as text become values, or are refused with the name of their source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.recordings.description import FIELDS, Description, describe
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
