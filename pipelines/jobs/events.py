"""Events in long recordings: windows of sound, neighbours with one label merged, and how right the events are.

::

    sound     |------------------------------------------------------|
    windows   [0       ]   [2       ]        one every hop, the last one ends with the recording
                [1       ]        ...
    cells     |--0---|-1-|-2-|--...          each window speaks for the time around its middle
    events           [=======]               neighbouring cells with a label
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import attrgetter

import numpy as np

from wordless.audio.recordings.annotation_formats import Event
from wordless.audio.waveform import equal_blocks
from wordless.base.arrays import BoolArray, DoubleArray, FloatArray

_ALL = "all classes"
THRESHOLDS = 40  # at which average precision looks for events


def event_windows(blocks: Iterable[FloatArray], size: int, hop: int) -> Iterator[tuple[int, FloatArray]]:
    """Give the first sample and the samples of each window; a recording shorter than a window is one window."""
    held, begin, after, last = np.zeros(0, np.float32), 0, 0, -1  # samples from `begin` on; the next window, the last
    for block in equal_blocks(blocks, max(size, 1 << 15)):
        held = np.concatenate([held, block])
        while after + size <= begin + len(held):
            yield after, held[after - begin : after - begin + size]
            last, after = after, after + hop
        held, begin = held[max(last - begin, 0) :], max(last, begin)
    end = begin + len(held)
    if last < 0 and len(held):
        yield 0, held
    elif last + size < end:
        yield end - size, held[end - size - begin :]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredWindows:
    """The scores of a recording over time, and what the user should know of it."""

    path: str  # as the user can open it
    starts: DoubleArray  # (windows,) seconds
    window: float  # seconds
    seconds: float  # of the recording
    scores: FloatArray  # (windows, classes)
    notices: tuple[str, ...] = ()

    @property
    def edges(self) -> DoubleArray:
        """The borders ``(windows + 1,)`` in seconds of the time for which each window speaks."""
        middles = self.starts + self.window / 2
        return np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [self.seconds]])

    def events(self, classes: Sequence[str], threshold: float, *, exclusive: bool) -> list[Event]:
        """Merge neighbouring windows whose score of a class reaches the threshold; the score is the highest.

        Of ``exclusive`` classes a window has the one with the highest score alone.
        """
        passing: BoolArray = self.scores >= threshold
        if exclusive:
            passing &= np.arange(len(classes)) == self.scores.argmax(1)[:, None]
        found, edges = list[Event](), self.edges
        for number in np.flatnonzero(passing.any(0)).tolist():
            borders = np.flatnonzero(np.diff(np.pad(passing[:, number].astype(np.int8), 1)))
            for first, end in borders.reshape(-1, 2).tolist():
                start, stop = round(float(edges[first]), 6), round(float(edges[end]), 6)
                score = float(self.scores[first:end, number].max())
                found.append(Event(path=self.path, start=start, end=stop, label=classes[number], score=score))
        return sorted(found, key=lambda each: (each.start, each.label))


@dataclass(frozen=True, kw_only=True)
class ClassFigures:
    """How right the events of a class are; None: there are none to divide by."""

    label: str
    annotated: int
    found: int
    right: int
    average_precision: float | None

    @property
    def precision(self) -> float | None:
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        return self.right / self.annotated if self.annotated else None


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Finds the events of a key that overlap a time, by two binary searches."""

    events: Sequence[Event]
    key: Callable[[Event], Hashable]

    @cached_property
    def _sorted(self) -> Mapping[Hashable, tuple[list[int], list[float], list[float]]]:
        """Places by their start, the starts, and the latest end so far."""
        places = dict[Hashable, list[int]]()
        for place in sorted(range(len(self.events)), key=lambda place: self.events[place].start):
            places.setdefault(self.key(self.events[place]), []).append(place)
        return {
            key: (own, [self.events[p].start for p in own], [*accumulate((self.events[p].end for p in own), max)])
            for key, own in places.items()
        }

    def of(self, event: Event, tolerance: float = 0.0) -> list[int]:
        """Return the places of the events with the key of ``event`` that overlap it, if it is longer at each side."""
        own, starts, latest = self._sorted.get(self.key(event), ([], [], []))
        start, end = event.start - tolerance, event.end + tolerance
        near = own[bisect_right(latest, start) : bisect_left(starts, end)]
        return [place for place in near if self.events[place].end > start]


def match(found: Sequence[Event], truth: Sequence[Event], tolerance: float) -> dict[int, int]:
    """Return the place in ``truth`` of each found event that is right.

    An event is right if it overlaps an annotated part of its label that is ``tolerance`` seconds longer at each side.
    A part has one event: that of the highest score. Of several parts an event takes the one that it overlaps most.
    """
    parts, right, taken = Overlaps(truth, attrgetter("path", "label")), dict[int, int](), set[int]()
    for number in sorted(range(len(found)), key=lambda each: -found[each].score):
        event = found[number]
        near = [
            (min(event.end, truth[place].end) - max(event.start, truth[place].start), -place)
            for place in parts.of(event, tolerance)
            if place not in taken
        ]
        if near:
            taken.add(place := -max(near)[1])
            right[number] = place
    return right


def figures_of_events(
    recordings: Sequence[ScoredWindows],
    truth: Sequence[Event],
    classes: Sequence[str],
    threshold: float,
    *,
    exclusive: bool,
    tolerance: float,
) -> list[ClassFigures]:
    """Return figures of the events of each annotated class, as those of a detector.

    Average precision is the area below the precision that each recall has at best, over `THRESHOLDS` thresholds, at
    each of which events are merged anew. The last figures are those of all classes, with the mean of these areas.
    """
    levels = [*np.linspace(0, 1, THRESHOLDS, endpoint=False)[1:].tolist(), threshold]
    annotated, counts = Counter(each.label for each in truth), dict[float, tuple[Counter[str], Counter[str]]]()
    for level in levels:
        several = (each.events(classes, level, exclusive=exclusive) for each in recordings)
        found = [event for events in several for event in events]
        right = Counter(found[number].label for number in match(found, truth, tolerance))
        counts[level] = Counter(each.label for each in found), right
    figures, (all_found, all_right) = list[ClassFigures](), counts[threshold]
    for label in (label for label in classes if annotated[label] or all_found[label]):
        points = [(found[label], right[label]) for found, right in counts.values() if found[label]]
        area = _area(points, annotated[label]) if annotated[label] else None
        about = {"annotated": annotated[label], "found": all_found[label], "right": all_right[label]}
        figures.append(ClassFigures(label=label, average_precision=area, **about))
    sums = {name: sum(getattr(each, name) for each in figures) for name in ("annotated", "found", "right")}
    areas = [each.average_precision for each in figures if each.average_precision is not None]
    return [*figures, ClassFigures(label=_ALL, average_precision=sum(areas) / max(len(areas), 1), **sums)]


def _area(points: Sequence[tuple[int, int]], annotated: int) -> float:
    """Return the area below the best precision of each recall, of points (found, right)."""
    curve = sorted(((right / annotated, right / found) for found, right in points), reverse=True)
    area, best, at = 0.0, 0.0, None
    for recall, precision in curve:
        if at is not None:
            area += (at - recall) * best
        best, at = max(best, precision), recall
    return area + (at or 0.0) * best
