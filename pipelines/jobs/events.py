"""Events in long recordings: windows of sound, neighbours with one label merged, and how right the events are.

::

    sound     |------------------------------------------------------|
    windows   [0       ]   [2       ]        one every hop, the last one ends with the recording
                [1       ]        ...
    cells     |--0---|-1-|-2-|--...          each window speaks for the time around its middle
    events           [=======]               neighbouring cells with a label
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.commandline.annotation_files import Event
from wordless.audio.waveform import equal_blocks
from wordless.base.array_types import BoolArray, DoubleArray, FloatArray

ALL = "all classes"
THRESHOLDS = 40  # at which average precision looks for events


def windows(blocks: Iterable[FloatArray], size: int, hop: int) -> Iterator[tuple[int, FloatArray]]:
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


def cells(starts: DoubleArray, window: float, seconds: float) -> DoubleArray:
    """Return the borders ``(windows + 1,)`` in seconds of the time for which each window speaks."""
    middles = starts + window / 2
    return np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [seconds]])


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredWindows:
    """The scores of a recording over time."""

    path: str  # as the user can open it
    edges: DoubleArray  # (windows + 1,) seconds
    scores: FloatArray  # (windows, classes)

    def events(self, classes: Sequence[str], threshold: float, *, exclusive: bool) -> list[Event]:
        """Merge neighbouring windows whose score of a class reaches the threshold; the score is the highest.

        Of ``exclusive`` classes a window has the one with the highest score alone.
        """
        passing: BoolArray = self.scores >= threshold
        if exclusive:
            passing &= np.arange(len(classes)) == self.scores.argmax(1)[:, None]
        found = list[Event]()
        for number in np.flatnonzero(passing.any(0)).tolist():
            borders = np.flatnonzero(np.diff(np.pad(passing[:, number].astype(np.int8), 1)))
            for first, end in borders.reshape(-1, 2).tolist():
                span = {"start": round(float(self.edges[first]), 6), "end": round(float(self.edges[end]), 6)}
                score = float(self.scores[first:end, number].max())
                found.append(Event(path=self.path, label=classes[number], score=score, **span))
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


def match(found: Sequence[Event], truth: Sequence[Event], tolerance: float) -> dict[int, int]:
    """Return the place in ``truth`` of each found event that is right.

    An event is right if it overlaps an annotated part of its label that is ``tolerance`` seconds longer at each side.
    A part has one event: that of the highest score.
    """
    open_parts = dict[tuple[str, str], list[int]]()
    for place, each in enumerate(truth):
        open_parts.setdefault((each.path, each.label), []).append(place)
    right = dict[int, int]()
    for number in sorted(range(len(found)), key=lambda each: -found[each].score):
        event = found[number]
        parts = open_parts.get((event.path, event.label), [])
        near = [
            (min(event.end, truth[p].end) - max(event.start, truth[p].start), -p)
            for p in parts
            if event.start < truth[p].end + tolerance and event.end > truth[p].start - tolerance
        ]
        if near:
            right[number] = -max(near)[1]
            parts.remove(right[number])
    return right


def judge(
    recordings: Sequence[ScoredWindows],
    truth: Sequence[Event],
    classes: Sequence[str],
    threshold: float,
    *,
    exclusive: bool,
    tolerance: float,
) -> list[ClassFigures]:
    """Judge the events of each annotated class as those of a detector.

    Average precision is the area below the precision that each recall has at best, over `THRESHOLDS` thresholds, at
    each of which events are merged anew. The last figures are those of all classes, with the mean of these areas.
    """
    levels = [*np.linspace(0, 1, THRESHOLDS, endpoint=False)[1:].tolist(), threshold]
    counts = {level: _counts(recordings, truth, classes, level, exclusive, tolerance) for level in levels}
    annotated = {label: sum(each.label == label for each in truth) for label in classes}
    figures = list[ClassFigures]()
    for label in classes:
        found, right = counts[threshold][label]
        points = [each[label] for each in counts.values() if each[label][0]]
        area = _area(points, annotated[label]) if annotated[label] else None
        if annotated[label] or found:
            about = {"annotated": annotated[label], "found": found, "right": right}
            figures.append(ClassFigures(label=label, average_precision=area, **about))
    sums = {name: sum(getattr(each, name) for each in figures) for name in ("annotated", "found", "right")}
    areas = [each.average_precision for each in figures if each.average_precision is not None]
    return [*figures, ClassFigures(label=ALL, average_precision=sum(areas) / max(len(areas), 1), **sums)]


def _counts(
    recordings: Sequence[ScoredWindows],
    truth: Sequence[Event],
    classes: Sequence[str],
    threshold: float,
    exclusive: bool,
    tolerance: float,
) -> Mapping[str, tuple[int, int]]:
    """Count the events of each class that are found, and those that are right."""
    found = [event for each in recordings for event in each.events(classes, threshold, exclusive=exclusive)]
    right = match(found, truth, tolerance)
    counts = dict.fromkeys(classes, (0, 0))
    for number, event in enumerate(found):
        all_, good = counts[event.label]
        counts[event.label] = all_ + 1, good + (number in right)
    return counts


def _area(points: Sequence[tuple[int, int]], annotated: int) -> float:
    """Return the area below the best precision of each recall, of points (found, right)."""
    curve = sorted(((right / annotated, right / found) for found, right in points), reverse=True)
    area, best, at = 0.0, 0.0, None
    for recall, precision in curve:
        if at is not None:
            area += (at - recall) * best
        best, at = max(best, precision), recall
    return area + (at or 0.0) * best
