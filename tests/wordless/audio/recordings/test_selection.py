"""Selection: nested parts by hours, without copies; and a few of many."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.recordings.reference import first_hours_by_loop
from wordless.audio.recordings.manifest import Clip, Manifest
from wordless.audio.recordings.selection import choose_evenly, choose_randomly, first_hours, without_copies
from wordless.base.errors import InputError

RATE = 1000  # samples per second, so that lengths in milliseconds are exact


def clip(name: str, milliseconds: int) -> Clip:
    return Clip(path=name, num_samples=milliseconds, sample_rate=RATE, size=1, sha256=name * 2)


def manifest(**lengths: int) -> Manifest:
    return Manifest(root=Path(), clips=tuple(clip(name, length) for name, length in lengths.items()))


def names(manifests: tuple[Manifest, ...]) -> list[list[str]]:
    return [[clip.name for clip in each.clips] for each in manifests]


lengths = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 5000), min_size=1, max_size=12)


@given(lengths, lengths, st.floats(0.001, 1), st.floats(0.001, 1))
def test_a_part_is_that_of_a_loop_and_contains_every_smaller_part(
    one: dict[str, int], two: dict[str, int], share: float, smaller: float
) -> None:
    sources = (manifest(**one), manifest(**two))
    whole = sum(each.seconds for each in sources) / 3600
    found = []
    for hours in (whole * share * smaller, whole * share):
        wanted = first_hours_by_loop([one, two], 3_600_000 * hours)
        if any(wanted):
            found.append(names(first_hours(sources, hours)))
            assert found[-1] == wanted
        else:
            with pytest.raises(InputError, match="first clip"):
                first_hours(sources, hours)
    if len(found) == 2:
        assert all(set(few) <= set(many) for few, many in zip(*found, strict=True))


def test_all_hours_are_all_clips() -> None:
    source = manifest(a=1_800_000, b=1_800_000)
    assert first_hours([source], 1) == (source,)
    with pytest.raises(InputError, match=r"^hours is 1\.5\b.*\b1 hours"):
        first_hours([source], 1.5)
    with pytest.raises(InputError, match=r"^hours is 1\.8\b.*\b1\.7999 hours"):
        first_hours([manifest(a=6_479_900)], 1.8)


def test_known_files_are_left_out() -> None:
    assert names((without_copies(manifest(a=1, b=2, c=3), {"bb", "zz"}),)) == [["a", "c"]]


MANY = st.lists(st.integers(), max_size=40, unique=True)


@given(items=MANY, count=st.integers(1, 50), seed=st.integers(0, 3))
def test_as_many_as_asked_for_in_their_order(items: list[int], count: int, seed: int) -> None:
    for chosen in (choose_evenly(items, count), choose_randomly(items, count, seed=seed)):
        assert len(chosen) == min(count, len(items))
        assert [item for item in items if item in chosen] == chosen


def test_a_regular_corpus_gives_several_groups() -> None:
    clips = [(word, voice) for word in range(10) for voice in range(6)]
    assert len({voice for _, voice in choose_evenly(clips, 5)}) == 1  # the step is two words long
    assert len({voice for _, voice in choose_randomly(clips, 5, seed=0)}) > 2
    assert choose_randomly(clips, 5, seed=0) == choose_randomly(clips, 5, seed=0) != choose_randomly(clips, 5, seed=1)
