"""A few of many: spread over all, or drawn by seed."""

from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.recordings.selection import choose_evenly, choose_randomly

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
