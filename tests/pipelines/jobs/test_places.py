"""Places of a recording that are like a query, beside all paths one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.plugins.find import places
from pipelines.plugins.find.places import find_matches, time_warp, unit_frames
from tests.reference import cheapest_paths
from wordless.base.arrays import FloatArray


def noise(frames: int, seed: int) -> FloatArray:
    return unit_frames(np.random.default_rng(seed).standard_normal((frames, 6)).astype(np.float32))


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000))
def test_costs_are_those_of_the_cheapest_paths(query: int, frames: int, seed: int) -> None:
    one, other = noise(query, seed), noise(frames, seed + 1)
    costs, starts = time_warp(one, other)
    for cost, start, wanted in zip(costs, starts, cheapest_paths(one, other), strict=True):
        assert np.isfinite(cost) == (wanted is not None)
        if wanted is not None:
            assert cost == pytest.approx(wanted[0], abs=1e-5)
            assert start == wanted[1]  # random distances: no two paths have equal costs


def test_a_query_is_found_where_it_is_at_other_speeds() -> None:
    query = noise(12, 0)
    slow, fast = np.repeat(query, 2, axis=0), query[::2]
    recording = np.concatenate([noise(30, 1), slow, noise(20, 2), query, noise(25, 3), fast, noise(10, 4)])
    [found], length = find_matches([query], [recording], most=3)
    assert length == len(recording)
    same, slower = sorted(found[:2], key=lambda each: -each.start)
    assert (same.start, same.stop) == (74, 86)
    assert 30 <= slower.start <= 31  # of two equal frames, the path may leave one out at each end
    assert 53 <= slower.stop <= 54
    assert [each.cost for each in found[:2]] == pytest.approx([0, 0], abs=1e-5)
    assert 109 <= found[2].start <= 112
    assert 116 <= found[2].stop <= 119


def test_places_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, recording = [noise(5, 0), noise(9, 1)], noise(200, 2)
    whole = find_matches(queries, [recording], most=50)
    monkeypatch.setattr(places, "SEARCHED_AT_ONCE", 7)
    parts = find_matches(queries, np.split(recording, [1, 90, 91]), most=50)
    assert [[(each.start, each.stop) for each in of] for of in parts[0]] == [
        [(each.start, each.stop) for each in of] for of in whole[0]
    ]


def test_places_of_a_query_share_at_most_half_and_lie_within_the_recording() -> None:
    [found], _ = find_matches([noise(6, 0)], [noise(300, 1)], most=1000)
    costs = [each.cost for each in found]
    assert costs == sorted(costs)
    for number, one in enumerate(found):
        for other in found[:number]:
            shared = min(one.stop, other.stop) - max(one.start, other.start)
            assert 2 * shared <= min(one.stop - one.start, other.stop - other.start)
    found, length = find_matches([noise(9, 0), noise(4, 1)], [noise(8, 2)], most=5)
    assert length == 8
    assert not found[0]
    assert found[1]
