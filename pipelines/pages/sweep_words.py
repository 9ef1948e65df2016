"""The sentences of a sweep's page: whether a run is shown to be best, which one validation chooses, and by what."""

import math
from collections.abc import Iterator, Sequence

from pipelines.pages.phrasing import counted, full_name, number, percent, points
from pipelines.pages.run_words import gap_remedy, validation_and_test
from pipelines.pages.sweep_points import RECOGNISED, FigureName, Point, RunPair, Runs
from vocoder.kinds import WAVENET
from wordless.base.text import plural

SHOWN = 0.0005  # a smaller difference would be written as 0.0 points
MAX_OTHERS = 3  # runs that are compared with the chosen one where values have no order, or that a sentence names
MAX_PAIRS = 4  # that a sentence names
ERROR: FigureName = ("tokenizer", "quantised_mse", None)
STABILITY: FigureName = ("tokenizer", "stability", "noise")


def verdict(runs: Runs) -> list[str]:
    """Write the sentences above the charts, the headline first."""
    if not runs.points:
        return ["No job of this sweep has finished."]
    if runs.best is None:
        recognised = [point for point in runs.points if point.figures.find(*RECOGNISED)]
        return [_recognition(runs, recognised) if len(recognised) > 1 else _ends(runs)]
    line, best = runs.best_line, runs.best
    sentences = [*_standing(runs), *_unpaired(runs), _chosen(runs, best)]
    if runs.apart:
        names = "; ".join(runs.name(point.job) for point in runs.apart)
        sentences.append(f"Left out, because other clips choose their probes (probe.choose_by): {names}.")
    if runs.is_ordered and len(line) > 1 and best in (line[0], line[-1]):
        end = "largest" if best is line[-1] else "smallest"
        sentences.append(f"It is the {end} value that finished; values beyond it may be better.")
    ends = (line[0], line[-1])
    others = [point for point in runs.rivals if point in ends or not runs.is_ordered][:MAX_OTHERS]
    if others:
        sentences.append(f"Compared with it: {'; '.join(_difference(runs, other, best) for other in others)}.")
    return sentences


def _standing(runs: Runs) -> Iterator[str]:
    """Write whether a run is shown to be best on test, and which pairs of runs differ."""
    judge = f"{full_name(runs.metric)} of {full_name(runs.judged)} on test"
    if not runs.pairs:
        if len(runs.points) > 1:
            yield f"No value is shown to be best by {judge}: no pair of runs can be compared."
        return
    apart = [pair for pair in runs.pairs if pair.differs]
    if runs.winner is not None:
        yield f"{runs.name(runs.winner.job)} is shown to be best by {judge}."
    else:
        yield f"No value of {' and '.join(runs.options) or 'the sweep'} is shown to be best by {judge}."
    if not apart:
        yield f"None of {counted(len(runs.pairs), 'pair')} of runs differs by more than chance on the same test clips."
        return
    more = f"; {len(apart) - MAX_PAIRS} more in the table of pairs" if len(apart) > MAX_PAIRS else ""
    yield (
        f"{len(apart)} of {counted(len(runs.pairs), 'pair')} of runs {plural(len(apart), 'differs', 'differ')} by more "
        f"than chance on the same test clips: {'; '.join(pair_words(runs, pair) for pair in apart[:MAX_PAIRS])}{more}."
    )


def _unpaired(runs: Runs) -> Iterator[str]:
    """Write which runs no pair has, and why."""
    for cause, left in runs.unpaired.items():
        yield f"In no pair, because {cause}: {'; '.join(runs.name(point.job) for point in left)}."
    if len(runs.probed) == 1 < len(runs.points):
        yield f"Only {runs.name(runs.probed[0].job)} has a probe."


def pair_words(runs: Runs, pair: RunPair) -> str:
    """Write by how many points one run is better than another, with the interval that holds for all pairs."""
    one, other = (runs.short_name(point.job) for point in (pair.one, pair.other))
    low, high = points(pair.difference.low), points(pair.difference.high)
    return f"{one} is better than {other} by {points(pair.difference.value)} points ({low} to {high})"


def _chosen(runs: Runs, best: Point) -> str:
    """Write which run validation chooses, by which figure, and what it reaches on test."""
    if not runs.by_validation:
        return f"Highest on test, which should not choose: {runs.name(best.job)}, {percent(best.value(*runs.probe))}."
    chosen = f"Validation chooses {runs.name(best.job)}"
    if best.comparison and runs.judged in best.comparison.validated:
        return f"{chosen}: {validation_and_test(runs.judged, best.comparison)}."
    return f"{chosen}: validation {percent(runs.validation(best))}, test {percent(best.value(*runs.probe))}."


def sweep_gap(runs: Runs) -> str | None:
    """Warn of runs whose validation and test differ by more than chance; None without any."""
    judged = [(point, each) for point in runs.points if (each := point.comparison) and runs.judged in each.tested]
    apart = [(point, each) for point, each in judged if (gap := each.gaps.get(runs.judged)) and gap.excludes_zero]
    if not apart:
        return None
    shown = [
        f"{runs.short_name(point.job)}: {validation_and_test(runs.judged, comparison)}"
        for point, comparison in apart[:MAX_OTHERS]
    ]
    more = f"; and {len(apart) - MAX_OTHERS} more" if len(apart) > MAX_OTHERS else ""
    return (
        f"In {len(apart)} of {counted(len(judged), 'run')} validation and test of {full_name(runs.judged)} differ by "
        f"more than chance, so what validation chooses need not be good on test: {'; '.join(shown)}{more}."
        f"{gap_remedy(apart[0][1])}"
    )


def _reaching(runs: Runs, others: Sequence[Point], best: Point, figure: FigureName) -> str:
    value, rivals = best.value(*figure), [point for point in others if point is not best]
    close = [runs.name(point.job) for point in rivals if (point.row(*figure).high or -math.inf) >= value]
    return f"The intervals of these runs reach the best value, too: {'; '.join(close)}." if close else ""


def _difference(runs: Runs, other: Point, best: Point) -> str:
    """Write how far another run is from the chosen one, in its probe and in the stability of its codes."""
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
