"""Background: parts of annotated recordings where nobody marked anything, as a class beside the events.

A detector of events gives each window one of its labels, so it needs one for windows without an event. Nobody
annotates silence by hand; the gaps between annotations are known::

    recording    |----------------------------------------------------------|
    marked             [ wren ]        [robin]    [ ? ]         [ wren ]
    gaps         [----]        [------]       [--]     [-------]        [----]
    background    [    ]               (1)         (2)  [     ] [    ] ...

A part is drawn for each labelled one, as long as it, in a gap of the same recording. What does not fit there is drawn
in other annotated recordings. Gaps lie outside all that is marked: parts with and without a label, those of other
tiers, and those that were set aside. A recording with a mark whose place is not known has no gaps.
"""

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from pandas import concat

from wordless.audio.recordings.description import with_measured_times
from wordless.audio.recordings.inspection import Measurement
from wordless.audio.recordings.manifest import Clips, clip_name
from wordless.base.messages import counted
from wordless.base.seeds import sound_seed

Span = tuple[int, int]  # first sample, and the one after the last
USE = "background, as nothing is annotated there"  # in the account
_INHERITED = ("group", "fold", "split", "index")  # columns in which a part is like the event that it stands beside


def gaps(length: int, marked: Iterable[Span]) -> list[Span]:
    """Return the spans of ``length`` samples that lie outside all ``marked`` ones, in order of time."""
    found, free_from = list[Span](), 0
    for begin, end in sorted(marked):
        if begin > free_from:
            found.append((free_from, min(begin, length)))
        free_from = max(free_from, end)
    found.append((free_from, length))
    return [(begin, end) for begin, end in found if begin < end]


@dataclass(kw_only=True)
class Room:
    """The gaps of a recording, which are filled part by part.

    Parts get their gaps first and their places last, so that none is in the way of another while there is room.
    """

    gaps: Sequence[Span]
    rng: np.random.Generator
    free: list[int] = field(init=False)  # samples of each gap that no part has
    sizes: list[list[tuple[int, int]]] = field(init=False)  # samples of the parts of each gap, and their numbers

    def __post_init__(self) -> None:
        self.free = [end - begin for begin, end in self.gaps]
        self.sizes = [[] for _ in self.gaps]

    @property
    def largest(self) -> int:
        """The samples of the largest part that still fits."""
        return max(self.free, default=0)

    def take(self, size: int, number: int) -> None:
        """Give a part that fits a gap; each place where it may begin is as probable."""
        ways = np.maximum(np.array(self.free) - size + 1, 0)
        chosen = int(self.rng.choice(len(ways), p=ways / ways.sum()))
        self.free[chosen] -= size
        self.sizes[chosen].append((size, number))

    def places(self) -> Iterator[tuple[int, Span]]:
        """Draw the order and the places of the parts of each gap; give the number of each part with its span."""
        for (begin, _), free, parts in zip(self.gaps, self.free, self.sizes, strict=True):
            at, order = begin, self.rng.permutation(len(parts))
            before = np.diff(np.sort(self.rng.integers(0, free, len(parts), endpoint=True)), prepend=0)
            for pause, chosen in zip(before.tolist(), order.tolist(), strict=True):
                size, number = parts[chosen]
                yield number, (at + pause, at + pause + size)
                at += pause + size


@dataclass(frozen=True, slots=True)
class _Event:
    """A labelled part."""

    row: int  # of the usable candidates
    path: str
    size: int  # samples
    seconds: float


def with_background(
    usable: Clips, found: Clips, fit: Mapping[str, Measurement], *, label: str, seed: int, min_seconds: float
) -> Clips:
    """Add parts with a ``label`` of their own to candidates: as many seconds as the labelled parts have.

    Args:
        usable: the candidates that clips are made of; none is a copy of another.
        found: all candidates, with the marks of their source: no part of any of them is background.
        fit: the measurements of the recordings.
        seed: decides the places.
        min_seconds: shorter events become no clips, and have no background.
    """
    events = [*_events(usable, fit, min_seconds)]
    rooms = _rooms({each.path for each in events}, found, fit, seed)
    first = {each.path: each.row for each in reversed(events)}
    longest_first = sorted(enumerate(events), key=lambda each: -each[1].seconds)
    frame, rows = usable.frame, dict[int, tuple[str, int]]()  # number of a part -> recording, row that it stands beside
    for number, event in longest_first:
        if (own := rooms.get(event.path)) is not None and own.largest >= event.size:
            own.take(event.size, number)
            rows[number] = event.path, event.row
    group = frame.group.tolist()
    for number, event in longest_first:
        if number in rows:
            continue
        sizes = {path: max(round(event.seconds * fit[path].sample_rate), 1) for path in rooms}
        others = [path for path, room in rooms.items() if room.largest >= sizes[path]]
        if others:
            path = max(others, key=lambda each: (group[first[each]] == group[event.row], sum(rooms[each].free)))
            rooms[path].take(sizes[path], number)
            rows[number] = path, first[path]
    spans = {number: span for room in rooms.values() for number, span in room.places()}
    if not spans:
        return usable
    columns = defaultdict[str, list[object]](list)
    drawn, seconds = dict[str, str](), 0.0
    for number in sorted(rows):
        (path, row), (start, end) = rows[number], spans[number]
        rate, where = fit[path].sample_rate, f"background {number + 1}"
        begins, ends = start / rate, end / rate
        for name, value in {"path": path, "begin": begins, "end": ends, "label": label, "where": where}.items():
            columns[name].append(value)
        for name in _INHERITED:
            columns[name].append(frame[name].iat[row])
        drawn[where] = clip_name(path, (begins, ends))
        seconds += ends - begins
    wanted = sum(each.seconds for each in events)
    told = f"{counted(len(drawn), 'part')} without annotations ({seconds:.1f} s) are drawn as {label}"
    if len(drawn) < len(events):
        told += f", of {wanted:.1f} s of events: there is no more room between annotations"
    both = concat([frame, Clips.from_columns(usable.root, columns).frame], ignore_index=True)
    by_path = both.sort_values("path", kind="stable", ignore_index=True)
    reading = replace(usable.reading, drawn=drawn)
    return replace(usable, frame=by_path, notices=(*usable.notices, told), reading=reading)


def _events(usable: Clips, fit: Mapping[str, Measurement], min_seconds: float) -> Iterator[_Event]:
    """Give the labelled parts that lie in their recordings and are long enough for a clip."""
    lengths = {path: (each.num_samples, each.sample_rate) for path, each in fit.items()}
    numbered = usable.with_columns(where=[*range(len(usable.frame))])  # `with_measured_times` leaves rows out
    frame = with_measured_times(numbered, lengths).frame
    parts = frame[frame.begin.notna() & frame.label.notna()]
    for row, path, samples in zip(parts["where"], parts.path, parts.num_samples, strict=True):
        length, rate = lengths[path]
        size = min(int(samples), length)  # a part from begin to end is not measured
        if size and size >= min_seconds * rate:
            yield _Event(row, path, size, size / rate)


def _rooms(paths: Iterable[str], found: Clips, fit: Mapping[str, Measurement], seed: int) -> dict[str, Room]:
    """Find the gaps of recordings; what is marked in a copy of a recording is marked in it, too."""
    of_sound = defaultdict[str, list[str]](list)
    for path, each in fit.items():
        of_sound[each.samples_sha256].append(path)
    marks, rooms = _marks(found), dict[str, Room]()
    for path in sorted(paths):
        length, rate = fit[path].num_samples, fit[path].sample_rate
        own = [mark for copy in of_sound[fit[path].samples_sha256] for mark in marks.get(copy, ())]
        spans = [] if None in own else [_in_samples(mark, length, rate) for mark in own if mark is not None]
        free = gaps(length, spans) if spans else []
        rooms[path] = Room(gaps=free, rng=np.random.default_rng(sound_seed(seed, f"background of {path}")))
    return rooms


def _in_samples(mark: tuple[float, float | None], length: int, rate: int) -> Span:
    """Return the samples that a mark touches, also in part."""
    begin, end = mark
    return math.floor(begin * rate), length if end is None else math.ceil(end * rate)


def _marks(found: Clips) -> dict[str, list[tuple[float, float | None] | None]]:
    """Return all that is marked in each recording, in seconds; no end is that of the recording; None: nobody knows."""
    marks = defaultdict[str, list[tuple[float, float | None] | None]](list)
    names = defaultdict[str, list[str]](list)
    for path in dict.fromkeys(found.frame.path):
        names[os.path.normpath(found.root.absolute() / path)].append(path)
    for path, begin, end in zip(found.frame.path, found.frame.begin, found.frame.end, strict=True):
        marks[path].append((begin or 0.0, end))  # a candidate without a begin is the whole recording
    for each in found.reading.marks:
        for path in names.get(each.path, ()):
            marks[path].append(None if each.begin is None else (each.begin, each.end))
    return marks
