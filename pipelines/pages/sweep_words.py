"""A sweep in words: which value is best, what the others lose by it, and what its error bars leave open."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.pages.phrasing import number, percent
from pipelines.pages.sweep_points import CODEBOOK_SIZE, GPT, RECOGNISED, Estimate, Point, magnitude

SHOWN = 0.0005  # a smaller difference would be written as 0.0 points
MAX_OTHERS = 3  # values that are compared with the best where they have no order


@dataclass(frozen=True, kw_only=True)
class Naming:
    """How points are called: by the options that were swept."""

    options: tuple[str, ...]

    def of(self, point: Point) -> str:
        """All swept values of a point."""
        rest = ", ".join(f"{name}={point.job.overrides.get(name, '')}" for name in self.options[1:])
        return f"{self.first(point)} with {rest}" if rest else self.first(point)

    def values(self, point: Point) -> str:
        """All swept values of a point, as briefly as they can be told apart."""
        return ", ".join(point.job.overrides.get(name, "") for name in self.options) or f"job {point.job.number}"

    def first(self, point: Point) -> str:
        """The first swept value: "256 codes"."""
        if not self.options:
            return f"job {point.job.number}"
        value = point.job.overrides.get(self.options[0], "")
        sizes = self.options[0] == CODEBOOK_SIZE and value.isdecimal()
        return f"{number(float(value))} codes" if sizes else f"{self.options[0]}={value}"

    def plural(self, point: Point) -> bool:
        """Whether a verb after the name needs its plural."""
        return self.first(point).endswith(" codes")


def verdict(lines: dict[str, list[Point]], naming: Naming, metric: str, found: tuple[Point, bool] | None) -> str:
    """The sentence that stands above the picture."""
    points = [point for line in lines.values() for point in line]
    if not points:
        return "No job of this sweep has finished."
    if found is None:
        heard = [(point, each) for point in points if (each := point.estimate(*RECOGNISED))]
        return _by_recognition(heard, naming) if len(heard) > 1 else _without_probes(lines, naming)
    chosen, told = found
    line = next(line for line in lines.values() if chosen in line)
    others = _others(line, chosen, naming)
    judged = f"best on validation ({percent(chosen.value('probe', metric, GPT))} on test)"
    judged = judged if told else f"best on test ({percent(chosen.value('probe', metric, GPT))})"
    verb = "are" if naming.plural(chosen) else "is"
    clauses = [f"{naming.of(chosen)}{_place(line, chosen, naming)} {verb} {judged}"]
    clauses += [_compared(other, chosen, naming, metric) for other in others]
    return f"{'; '.join(clauses)}."


def doubt(lines: dict[str, list[Point]], naming: Naming, metric: str, found: tuple[Point, bool] | None) -> str:
    """Which other points reach, with their intervals, what the best one reaches; "" if none does."""
    if found is None:
        return ""
    best = found[0].value("probe", metric, GPT)
    line = next(line for line in lines.values() if found[0] in line)
    highs = ((point, point.estimate("probe", metric, GPT)) for point in line if point is not found[0])
    close = [naming.first(point).removesuffix(" codes") for point, each in highs if each and each.high >= best]
    if not close:
        return ""
    listed = f"{', '.join(close[:-1])} and {close[-1]}" if len(close) > 1 else close[0]
    reach = "reach" if len(close) > 1 else "reaches"
    return f"Not all of it is certain: within the interval, {listed} {reach} the same value."


def interior(lines: dict[str, list[Point]], chosen: Point, naming: Naming) -> bool:
    """Whether the best stands between others that are smaller and larger."""
    line = next(line for line in lines.values() if chosen in line)
    return _numeric(line, naming) and chosen is not line[0] and chosen is not line[-1]


def _place(line: Sequence[Point], chosen: Point, naming: Naming) -> str:
    """That the best stands at an end of what has finished, if it does: beyond, there may be better still."""
    if not _numeric(line, naming) or len(line) < 2:
        return ""
    codes = naming.plural(chosen)
    if chosen is line[-1]:
        return ", the most of those that finished," if codes else ", the largest of those that finished,"
    if chosen is line[0]:
        return ", the fewest of those that finished," if codes else ", the smallest of those that finished,"
    return ""


def _others(line: Sequence[Point], chosen: Point, naming: Naming) -> list[Point]:
    """Whom to compare the best with: both ends of an order, or the others."""
    ends = [line[0], line[-1]] if _numeric(line, naming) else list(line)
    return [point for index, point in enumerate(ends) if point is not chosen and point not in ends[:index]][:MAX_OTHERS]


def _numeric(line: Sequence[Point], naming: Naming) -> bool:
    values = [point.job.overrides.get(naming.options[0], "") for point in line] if naming.options else []
    return bool(values) and all(math.isfinite(magnitude(value)) for value in values)


def _compared(other: Point, chosen: Point, naming: Naming, metric: str) -> str:
    """What another point loses or gains against the best one, in accuracy and in steadiness."""
    plural = naming.plural(other)
    name = naming.first(other).removesuffix(" codes")
    gain = other.value("probe", metric, GPT) - chosen.value("probe", metric, GPT)
    steady = other.value("tokenizer", "stability", "noise") - chosen.value("tokenizer", "stability", "noise")
    if not math.isfinite(gain):
        return f"{name} {'have' if plural else 'has'} no probe"
    verb = ("lose" if gain <= 0 else "gain") + ("" if plural else "s")
    told = f"{name} {verb} {in_points(gain)}"
    if not abs(steady) >= SHOWN:  # nor where it is not known
        return told
    joined = "and" if (steady > 0) == (gain > 0) else "but"
    how = "more" if steady > 0 else "less"
    return f"{told} {joined} {'are' if plural else 'is'} {in_points(steady)} {how} steady under noise"


def in_points(difference: float) -> str:
    """The size of a difference of two ratios, in percentage points."""
    size = f"{100 * abs(difference):.1f}"
    return f"{size} point{'' if size == '1.0' else 's'}"


def _by_recognition(heard: Sequence[tuple[Point, Estimate]], naming: Naming) -> str:
    """Whose sound is recognised most often and least often, and how many others reach the most with their intervals."""
    ranked = sorted(heard, key=lambda each: each[1].value)
    (_, lowest), (_, highest) = ranked[0], ranked[-1]
    if lowest.value == highest.value:
        return f"WaveNet's sound of test clips is recognised as often in each run: {percent(highest.value)}."
    others = [each for _, each in ranked[:-1] if each.high >= highest.value]
    ends = [f"{naming.of(point)} ({percent(each.value)})" for point, each in (ranked[-1], ranked[0])]
    told = f"WaveNet's sound of test clips is recognised most often with {ends[0]}, least often with {ends[1]}."
    if not others:
        return told
    runs = f"{len(others)} {'other runs reach' if others[1:] else 'other run reaches'}"
    return f"{told} Within the interval, {runs} what the first does."


def _without_probes(lines: dict[str, list[Point]], naming: Naming) -> str:
    """What is lost and what is steady from one end to the other."""
    line = max(lines.values(), key=len)
    first, last = line[0], line[-1]
    if first is last:
        return f"Only {naming.of(first)} can be shown: there is nothing to compare."
    told = []
    for what, name, of, written in (
        ("the squared error through the codebook", "quantised_mse", None, number),
        ("the share of codes that stay the same under noise", "stability", "noise", percent),
    ):
        ends = first.value("tokenizer", name, of), last.value("tokenizer", name, of)
        if all(map(math.isfinite, ends)):
            told.append(f"{what} goes from {written(ends[0])} to {written(ends[1])}")
    if not told:
        return "The jobs of this sweep have no figures to compare."
    return f"From {naming.of(first)} to {naming.of(last)}, {' and '.join(told)}."
