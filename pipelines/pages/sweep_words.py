"""The sentences of a sweep's page: which run is best, how the others differ, and what the intervals leave open."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.pages.phrasing import full_name, number, percent, points
from pipelines.pages.sweep_points import RECOGNISED, Point, magnitude
from pipelines.store.stored_features import GPT
from vocoder.kinds.wavenet import WAVENET

SHOWN = 0.0005  # a smaller difference would be written as 0.0 points
MAX_OTHERS = 3  # runs that are compared with the best where values have no order


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How runs are called: by the values of the swept options."""

    options: tuple[str, ...]

    def of(self, point: Point) -> str:
        """Name a run in a sentence: ``lm=tiny, seed=1``."""
        pairs = ", ".join(f"{name}={point.job.overrides.get(name, '')}" for name in self.options)
        return pairs or f"job {point.job.number}"

    def values(self, point: Point) -> str:
        """Name a run in a chart, by its values alone."""
        return ", ".join(point.job.overrides.get(name, "") for name in self.options) or f"job {point.job.number}"

    def ordered(self, line: Sequence[Point]) -> bool:
        """Whether the first option has numbers, whose order means something."""
        values = [point.job.overrides.get(name, "") for point in line for name in self.options[:1]]
        return bool(values) and all(math.isfinite(magnitude(value)) for value in values)


def verdict(lines: Mapping[str, Sequence[Point]], naming: Naming, metric: str, best: tuple[Point, bool] | None) -> str:
    """Write the sentences above the charts."""
    runs = [point for line in lines.values() for point in line]
    if not runs:
        return "No job of this sweep has finished."
    if best is None:
        recognised = sum(point.estimate(*RECOGNISED) is not None for point in runs)
        return _recognition(runs, naming) if recognised > 1 else _ends(max(lines.values(), key=len), naming)
    chosen, by_validation = best
    line = line_of(lines, chosen)
    value = f"{percent(chosen.value('probe', metric, GPT))} test {full_name(metric)}"
    sentences = [f"Best on {'validation' if by_validation else 'test'}: {naming.of(chosen)}, with {value}."]
    if naming.ordered(line) and len(line) > 1 and chosen in (line[0], line[-1]):
        end = "largest" if chosen is line[-1] else "smallest"
        sentences.append(f"It is the {end} value that finished; values beyond it may be better.")
    others = [line[0], line[-1]] if naming.ordered(line) else line
    others = [point for place, point in enumerate(others) if point is not chosen and point not in others[:place]]
    if others:
        differences = "; ".join(_difference(other, chosen, naming, metric) for other in others[:MAX_OTHERS])
        sentences.append(f"Compared with it: {differences}.")
    return " ".join(sentences)


def doubt(lines: Mapping[str, Sequence[Point]], naming: Naming, metric: str, best: tuple[Point, bool] | None) -> str:
    """Write which other runs may be as good as the best run; "" if none may."""
    if best is None:
        return ""
    highest = best[0].value("probe", metric, GPT)
    others = [
        (point, point.estimate("probe", metric, GPT)) for point in line_of(lines, best[0]) if point is not best[0]
    ]
    close = [naming.of(point) for point, estimate in others if estimate and estimate.high >= highest]
    return f"The intervals of these runs reach the best value, too: {'; '.join(close)}." if close else ""


def interior(lines: Mapping[str, Sequence[Point]], chosen: Point, naming: Naming) -> bool:
    """Whether the best run has finished runs with smaller and with larger values beside it."""
    line = line_of(lines, chosen)
    return naming.ordered(line) and chosen is not line[0] and chosen is not line[-1]


def line_of(lines: Mapping[str, Sequence[Point]], point: Point) -> Sequence[Point]:
    """Find the runs that share all options but the first with a run, that run included."""
    return next(line for line in lines.values() if point in line)


def _difference(other: Point, chosen: Point, naming: Naming, metric: str) -> str:
    """Write how far another run is from the best one, in its probe and in the stability of codes."""
    gain = other.value("probe", metric, GPT) - chosen.value("probe", metric, GPT)
    stability = other.value("tokenizer", "stability", "noise") - chosen.value("tokenizer", "stability", "noise")
    if not math.isfinite(gain):
        return f"{naming.of(other)} has no probe"
    written = f"{naming.of(other)} {points(gain)} points"
    if not abs(stability) >= SHOWN:  # nor where it is not known
        return written
    return f"{written}, {points(stability)} points of codes that stay the same under noise"


def _recognition(runs: Sequence[Point], naming: Naming) -> str:
    """Write in which run the classifier recognises the most and the fewest clips, and which runs may be as good."""
    estimates = [(point, estimate) for point in runs if (estimate := point.estimate(*RECOGNISED))]
    *others, (best, highest) = sorted(estimates, key=lambda each: each[1].value)
    worst, lowest = others[0]
    ends = (
        f"{naming.of(best)} ({percent(highest.value)}), least often with {naming.of(worst)} ({percent(lowest.value)})"
    )
    close = [naming.of(point) for point, estimate in others if estimate.high >= highest.value]
    listed = f" The intervals of these runs reach the best value, too: {'; '.join(close)}." if close else ""
    return f"{WAVENET.title}'s sound of test clips is recognised most often with {ends}.{listed}"


def _ends(line: Sequence[Point], naming: Naming) -> str:
    """Write what codes lose and how stable they are at both ends of a line of runs."""
    first, last = line[0], line[-1]
    if first is last:
        return f"Only {naming.of(first)} has finished: there is nothing to compare."
    figures = {
        full_name("quantised_mse"): (number, "quantised_mse", None),
        "codes that stay the same under noise": (percent, "stability", "noise"),
    }
    ends = {
        title: [written(point.value("tokenizer", name, of)) for point in (first, last)]
        for title, (written, name, of) in figures.items()
        if all(math.isfinite(point.value("tokenizer", name, of)) for point in (first, last))
    }
    if not ends:
        return "The runs of this sweep have no figures to compare."
    changes = "; ".join(f"{title} {start} to {end}" for title, (start, end) in ends.items())
    return f"From {naming.of(first)} to {naming.of(last)}: {changes}."
