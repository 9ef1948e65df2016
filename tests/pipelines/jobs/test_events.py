"""Windows of a stream, events of neighbours, and how right they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.jobs.events import ScoredWindows, event_windows, figures_of_events, match
from wordless.audio.recordings.annotation_formats import Event


@given(st.integers(1, 500), st.integers(1, 120), st.integers(1, 120), st.integers(1, 9))
def test_windows_cover_the_stream_and_the_last_one_ends_with_it(length: int, size: int, hop: int, blocks: int) -> None:
    hop, sound = min(hop, size), np.arange(length, dtype=np.float32)
    found = [*event_windows(np.array_split(sound, blocks), size, hop)]
    for start, samples in found:
        np.testing.assert_array_equal(samples, sound[start : start + size])
        assert len(samples) == min(size, length)
    starts = [start for start, _ in found]
    regular = [*range(0, max(length - size, 0) + 1, hop)]
    assert starts == [*regular, *([length - size] if regular[-1] + size < length else [])]


def windowed(scores: list[list[float]], *, path: str = "a", hop: float = 1.0, window: float = 2.0) -> ScoredWindows:
    starts, values = hop * np.arange(len(scores), dtype=np.float64), np.array(scores, np.float32)
    return ScoredWindows(path=path, starts=starts, window=window, seconds=float(starts[-1] + window), scores=values)


def spans(events: list[Event]) -> list[tuple[float, float, str, float]]:
    return [(each.start, each.end, each.label, round(each.score, 6)) for each in events]


def test_neighbours_with_a_label_are_one_event() -> None:
    """Five windows of 2 s, a second apart: their middles are at 1, 2, 3, 4 and 5 s."""
    own = windowed([[0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.1, 0.9], [0.95, 0.05]])
    assert spans(own.events(("x", "y"), 0.7, exclusive=True)) == [
        (0.0, 2.5, "x", 0.9),
        (3.5, 4.5, "y", 0.9),
        (4.5, 6.0, "x", 0.95),
    ]
    both = windowed([[0.9, 0.8], [0.2, 0.8]])
    assert spans(both.events(("x", "y"), 0.7, exclusive=False)) == [(0.0, 1.5, "x", 0.9), (0.0, 3.0, "y", 0.8)]
    assert spans(both.events(("x", "y"), 0.7, exclusive=True)) == [(0.0, 1.5, "x", 0.9), (1.5, 3.0, "y", 0.8)]


def event(start: float, end: float, label: str = "x", score: float = 1.0, path: str = "a") -> Event:
    return Event(path=path, start=start, end=end, label=label, score=score)


TIMES = st.integers(0, 30).map(lambda number: number / 4)  # so that ends meet
EVENTS = st.lists(
    st.builds(
        lambda start, length, label, score, path: event(start, start + length, label, score / 3, path),
        *(TIMES, TIMES, st.sampled_from("xy"), st.integers(0, 3), st.sampled_from("ab")),
    ),
    max_size=12,
)


@given(EVENTS, EVENTS, st.sampled_from([0.0, 0.25, 0.5]))
def test_events_match_as_if_each_pair_was_tried(found: list[Event], truth: list[Event], tolerance: float) -> None:
    """The surest event takes first, of the parts that are left the one that it overlaps most."""
    left, wanted = {*range(len(truth))}, dict[int, int]()
    for number, own in sorted(enumerate(found), key=lambda pair: -pair[1].score):
        near = dict[int, float]()
        for place in sorted(left):
            part = truth[place]
            same = (own.path, own.label) == (part.path, part.label)
            if same and own.start < part.end + tolerance and own.end > part.start - tolerance:
                near[place] = min(own.end, part.end) - max(own.start, part.start)
        if near:
            wanted[number] = max(near, key=lambda place: near[place])
            left.remove(wanted[number])
    assert match(found, truth, tolerance) == wanted


def test_an_event_is_right_once_within_the_tolerance_in_its_recording() -> None:
    truth = [event(1, 2), event(5, 6), event(5, 6, "y"), event(1, 2, path="b")]
    found = [event(2.1, 3), event(1.5, 2.5, score=0.5), event(5.9, 9), event(5.5, 5.6, "z"), event(7, 8, path="b")]
    assert match(found, truth, 0.2) == {0: 0, 2: 1}
    assert match(found, truth, 0.0) == {1: 0, 2: 1}
    assert match([event(0, 1), event(2, 3)], [event(1, 2)], 0.0) == {}  # they only meet


def test_a_detector_is_judged_by_class() -> None:
    """Of class x, one of two parts is found surely, the other with a false event; y is found nowhere."""
    scores = [[0.9, 0.0], [0.0, 0.0], [0.6, 0.0], [0.0, 0.0], [0.6, 0.0], [0.0, 0.0]]
    own = windowed(scores, window=1.0)
    truth = [event(0, 1), event(2, 3), event(5, 6, "y")]
    x, y, both = figures_of_events([own], truth, ("x", "y"), 0.5, exclusive=True, tolerance=0.0)
    assert (x.annotated, x.found, x.right) == (2, 3, 2)
    assert [x.precision, x.recall] == pytest.approx([2 / 3, 1])
    assert x.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert (both.annotated, both.found, both.right) == (3, 3, 2)
    assert both.average_precision == pytest.approx((x.average_precision or 0) / 2)
    assert (y.annotated, y.precision, y.recall, y.average_precision) == (1, None, 0, 0)
