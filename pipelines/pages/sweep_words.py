"""The sentences of a sweep's page: which run is best, how the others differ, and what the intervals leave open."""

import math
from collections.abc import Sequence

from pipelines.pages.phrasing import full_name, number, percent, points
from pipelines.pages.sweep_points import RECOGNISED, FigureName, Point, Runs
from vocoder.kinds.wavenet import WAVENET

SHOWN = 0.0005  # a smaller difference would be written as 0.0 points
MAX_OTHERS = 3  # runs that are compared with the best where values have no order
ERROR: FigureName = ("tokenizer", "quantised_mse", None)
STABILITY: FigureName = ("tokenizer", "stability", "noise")


def verdict(runs: Runs) -> str:
    """Write the sentences above the charts."""
    if not runs.points:
        return "No job of this sweep has finished."
    if runs.best is None:
        recognised = [point for point in runs.points if point.figure(*RECOGNISED)]
        return _recognition(runs, recognised) if len(recognised) > 1 else _ends(runs)
    line, best = runs.best_line, runs.best
    value = f"{percent(best.value(*runs.probe))} test {full_name(runs.metric)}"
    sentences = [f"Best on {'validation' if runs.by_validation else 'test'}: {runs.name(best.job)}, with {value}."]
    if runs.apart:
        names = "; ".join(runs.name(point.job) for point in runs.apart)
        sentences.append(f"Left out, because other clips choose their probes (probe.choose_by): {names}.")
    if runs.is_ordered and len(line) > 1 and not runs.best_is_inside:
        end = "largest" if best is line[-1] else "smallest"
        sentences.append(f"It is the {end} value that finished; values beyond it may be better.")
    ends = (line[0], line[-1])
    others = [point for point in runs.rivals if point in ends or not runs.is_ordered][:MAX_OTHERS]
    if others:
        sentences.append(f"Compared with it: {'; '.join(_difference(runs, other, best) for other in others)}.")
    return " ".join(sentences)


def doubt(runs: Runs) -> str:
    """Write which runs of the best run's line may be as good; "" if none may."""
    return _reaching(runs, runs.rivals, runs.best, runs.probe) if runs.best else ""


def _reaching(runs: Runs, others: Sequence[Point], best: Point, figure: FigureName) -> str:
    value, rivals = best.value(*figure), [point for point in others if point is not best]
    close = [runs.name(point.job) for point in rivals if point.estimate(*figure)[2] >= value]
    return f"The intervals of these runs reach the best value, too: {'; '.join(close)}." if close else ""


def _difference(runs: Runs, other: Point, best: Point) -> str:
    """Write how far another run is from the best one, in its probe and in the stability of its codes."""
    gain = other.value(*runs.probe) - best.value(*runs.probe)
    stability = other.value(*STABILITY) - best.value(*STABILITY)
    if not math.isfinite(gain):
        return f"{runs.name(other.job)} has no probe"
    written = f"{runs.name(other.job)}: {points(gain)} points"
    if not abs(stability) >= SHOWN:  # nor where it is unknown
        return written
    return f"{written}, {points(stability)} points of codes that stay the same under noise"


def _recognition(runs: Runs, recognised: Sequence[Point]) -> str:
    """Write in which run the classifier recognises the most and the fewest clips, and which runs may be as good."""
    ranked = sorted(recognised, key=lambda point: point.value(*RECOGNISED))
    most, least = (f"{runs.name(point.job)} ({percent(point.value(*RECOGNISED))})" for point in (ranked[-1], ranked[0]))
    close = _reaching(runs, ranked, ranked[-1], RECOGNISED)
    ends = f"{WAVENET.title}'s sound of test clips is recognised most often with {most}, least often with {least}."
    return f"{ends} {close}".strip()


def _ends(runs: Runs) -> str:
    """Write what codes lose and how stable they are at both ends of the longest line."""
    line = max(runs.lines.values(), key=len)
    first, last = runs.name(line[0].job), runs.name(line[-1].job)
    if len(line) == 1:
        return f"Only {first} has finished: there is nothing to compare."
    errors, shares = ([point.value(*figure) for point in (line[0], line[-1])] for figure in (ERROR, STABILITY))
    error = f"{full_name('quantised_mse')} {number(errors[0])} to {number(errors[1])}"
    share = f"codes that stay the same under noise {percent(shares[0])} to {percent(shares[1])}"
    changes = [text for text, ends in ((error, errors), (share, shares)) if all(map(math.isfinite, ends))]
    if not changes:
        return "The runs of this sweep have no figures to compare."
    return f"From {first} to {last}: {'; '.join(changes)}."
