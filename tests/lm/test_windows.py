"""Windows of recordings longer than the context."""

from hypothesis import given
from hypothesis import strategies as st

from lm.windows import window_start, windows


@given(steps=st.integers(0, 300), capacity=st.integers(2, 40))
def test_each_step_is_counted_once_from_the_past_that_generation_sees(steps: int, capacity: int) -> None:
    counted = []
    for window in windows(steps, capacity):
        assert window.stop - window.start <= capacity
        for step in range(window.counted, window.stop):
            assert window_start(step, capacity) == window.start
            counted.append(step)
    assert counted == list(range(steps))


@given(step=st.integers(0, 10_000), capacity=st.integers(2, 40))
def test_at_least_half_a_window_is_seen_once_there_is_one(step: int, capacity: int) -> None:
    seen = step - window_start(step, capacity)
    assert min(step, capacity // 2) <= seen < capacity
