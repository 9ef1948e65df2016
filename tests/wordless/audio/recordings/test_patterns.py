"""Patterns of names: one reading, in time that grows with their length."""

import contextlib
import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wordless.audio.recordings.patterns import read_names, roles_of, roles_read
from wordless.base.messages import InputError


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        roles_read(text, ["folder/name.wav"])


@pytest.mark.parametrize(
    ("pattern", "message"),
    [*((each, "") for each in ("", "{speaker}", "{label}{label}", "{label", "label}", "{}", "{la{bel}}")),
     ("*a" * 101, r".*\b100\b"), ("{speaker}/*", r".*\{group\}")],
)  # fmt: skip
def test_malformed_patterns_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^pattern is{message}"):
        roles_of(pattern)


TOKENS = st.sampled_from(["{label}", "{group}", "{index}", "{fold}", "*", "**", "_", "/", "a", "1", "-a"])
PATHS = st.text("a1_/-", max_size=9) | st.lists(st.sampled_from(["a", "1", "_", "/", "11"]), max_size=8).map("".join)


def readings(tokens: list[str], path: str) -> set[tuple[str, ...]]:
    """All readings of a path up to the last role, by trying every length of every part."""
    last = max((n for n, token in enumerate(tokens) if token[0] == "{"), default=-1)
    kinds = {"*": "[^/]*", "**": "(?s:.*)", "{index}": "[0-9]+"}
    found = set()
    for cuts in itertools.combinations_with_replacement(range(len(path) + 1), len(tokens) - 1):
        parts = [path[a:b] for a, b in itertools.pairwise((0, *cuts, len(path)))]
        fits = zip(tokens, parts, strict=True)
        if all(re.fullmatch(kinds.get(t) or ("[^/]+" if t[0] == "{" else re.escape(t)), part) for t, part in fits):
            gaps = (part for t, part in zip(tokens[: last + 1], parts, strict=False) if t[0] in "*{")
            found.add(tuple(gaps))
    return found


@given(tokens=st.lists(TOKENS, min_size=1, max_size=5), path=PATHS)
@settings(max_examples=200, deadline=None)
def test_a_name_has_no_reading_one_or_several(tokens: list[str], path: str) -> None:
    pattern = "".join(tokens)
    tokens = re.findall(r"\{[^{}]*\}|\*\*|\*|[^*{}]+", pattern)
    try:
        (found,) = read_names(pattern, [path])
    except InputError:
        return
    known = readings(tokens, path if "/" in pattern else path.rpartition("/")[2])
    assert (found is None) == (not known)
    assert found is None or (found[0] == found[1]) == (len(known) == 1)


def test_no_name_takes_long_to_compare() -> None:
    started = time.monotonic()
    for pattern, path in (
        ("{label}_{group}_{fold}_{split}_{index}.wav", "_" * 250 + ".wav"),
        ("**_**_**_**_{label}_{index}", "_" * 4_000),
        ("*a*a*a*a*a*a*a*b", "a" * 250),
        ("**{index}**{label}**/*x", "1/" * 1_000),
    ):
        assert roles_read(pattern, [path]) == [None]
    assert time.monotonic() - started < 5


def test_the_suffix_counts_only_where_the_pattern_has_a_dot() -> None:
    assert roles_read("{label}_{group}", ["a/x_y.v2.wav", "x_y"]) == [
        {"label": "x", "group": "y.v2"},
        {"label": "x", "group": "y"},
    ]
    assert roles_read("{label}_{group}.wav", ["a/x_y.wav", "x_y.flac"]) == [{"label": "x", "group": "y"}, None]
