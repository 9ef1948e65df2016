"""Figures of sounds over clips: means or medians, and differences of two synthesis methods, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from lm.probing.intervals import (
    Hits,
    Measured,
    confidence_interval,
    counted_clips,
    draws_of_means,
    share_interval,
)
from lm.probing.probe_options import ProbeConfig
from pipelines.results.run_record import GROSS_ERROR_CENTS, MEASURES, SOUND, Row
from vocoder.kinds import BY_KEY, ORIGINAL, SIGNAL_PROCESSING, WAVENET, WAVENET_RECORDED

Record = Mapping[str, Any]
_CHOSEN = "prompt_seconds"  # by the options, so it needs no interval
RIGHT, GROSS_ERROR = _SHARES = "label_accuracy", "gross_pitch_errors"  # of a clip 1 or 0


def clip_figures(
    rows: Sequence[Record], config: ProbeConfig, row: Row, *, with_recordings: Iterable[str] = ()
) -> list[Row]:
    """List means or medians over the clips, and differences of two synthesis methods on the same clips.

    Figures ``with_recordings``, which recordings have, too, are also compared with those of the recordings.
    """
    table: dict[str, dict[str, list[float | None]]] = {}  # kind of sound -> figure -> a value for each clip
    for number, each in enumerate(rows):
        for kind, figures in each["sounds"].items():
            own = table.setdefault(kind, {})
            for name, value in _with_losses(figures).items():
                own.setdefault(name, [None] * len(rows))[number] = value
    named = [(replace(row, name=name, of=kind), values) for kind, own in table.items() for name, values in own.items()]
    found = means_of_clips(named, config)
    compared = [*(each.name for each in SOUND if each.paired), *with_recordings]
    pairs = [(name, WAVENET.key, rival.key, False) for name in compared for rival in SIGNAL_PROCESSING]
    # What the codes lose, on the clips whose recorded log-mel was made sound, too.
    pairs += [(name, WAVENET.key, WAVENET_RECORDED, False) for name in compared]
    pairs.append(("stoi", WAVENET.key, WAVENET_RECORDED, True))
    pairs.append((RIGHT, WAVENET.key, ORIGINAL, True))  # how much of it WaveNet's sound keeps
    for kind in BY_KEY:
        pairs += [("rms", kind, ORIGINAL, False), ("periodicity", kind, ORIGINAL, True)]
        pairs += [(name, kind, ORIGINAL, False) for name in with_recordings]
    for name, one, other, ratio in pairs:
        if name in (first := table.get(one, {})) and name in (second := table.get(other, {})):
            both = zip(first[name], second[name], strict=True)
            known = np.array([pair for pair in both if None not in pair], np.float64).reshape(-1, 2)
            found += _on_same_clips(known, config, replace(row, name=name, of=one, against=other), ratio=ratio)
    return found


def _with_losses(figures: Record) -> Record:
    """Return the figures of a clip; its pitch error has the name of its median, and says whether it is a gross one.

    One clip whose pitch is an octave off counts as much in a mean as forty that are 30 cents off.
    """
    if (error := figures.get("pitch_error")) is None:
        return figures
    others = {name: value for name, value in figures.items() if name != "pitch_error"}
    return {**others, "median_pitch_error": error, GROSS_ERROR: float(error > GROSS_ERROR_CENTS)}


def _on_same_clips(known: npt.NDArray[np.float64], config: ProbeConfig, row: Row, *, ratio: bool) -> list[Row]:
    """Compare a figure of two synthesis methods on the clips ``(clips, 2)`` whose sounds both have it."""
    if len(known) < 2 or (ratio and not known[:, 1].any()):
        return []
    measured = Measured(folds=[Hits(hits=known.T)], resamples=config.resamples, seed=config.seed)
    different = replace(row, name=f"{row.name}_difference", over="clips")
    if ratio:
        least = 0.0 if known[:, 1].all() else 1 / (2 * len(known))  # a resample may have nothing but zeros
        low, high = confidence_interval(
            measured.draws[:, 0] / np.maximum(measured.draws[:, 1], least), config.confidence
        )
        value = float(known[:, 0].mean() / known[:, 1].mean())
        return [replace(row, name=f"{row.name}_ratio", value=value, low=low, high=high, over="clips")]
    if MEASURES[row.name].median:
        value, low, high = median(known[:, 0] - known[:, 1], config.confidence)
    else:
        gap = measured.difference(0, 1, confidence=config.confidence)
        value, low, high = gap.value, gap.low, gap.high
    count = replace(row, name=f"{row.name}_difference_clips", value=len(known))
    return [replace(different, value=value, low=low, high=high), count]


def means_of_clips(figures: Sequence[tuple[Row, Sequence[float | None]]], config: ProbeConfig) -> list[Row]:
    """Return the mean or the median of each figure over the clips that have it, with its interval, and their number.

    A figure is a row to be filled in, and a value for each clip.
    """
    known = [np.array([value for value in values if value is not None], np.float64) for _, values in figures]
    drawn = [place for place, (row, _) in enumerate(figures) if len(known[place]) and _is_mean(row.name)]
    means = draws_of_means([known[place] for place in drawn], resamples=config.resamples, seed=config.seed)
    draws, found = dict(zip(drawn, means, strict=True)), list[Row]()
    for place, (row, _) in enumerate(figures):
        values, measure = known[place], MEASURES.get(row.name)
        if len(values):
            value = float(values.mean())
            if row.name == _CHOSEN:
                found.append(replace(row, value=value))
                continue
            if place in draws:
                low, high = confidence_interval(draws[place], config.confidence)
            elif row.name in _SHARES:  # where all clips are right, others need not be
                low, high = share_interval(*counted_clips([Hits(hits=values[None])], 0), confidence=config.confidence)
            else:
                value, low, high = median(values, config.confidence)
            found.append(replace(row, value=value, low=low, high=high, over="clips"))
        if measure is not None and measure.clips:
            found.append(replace(row, name=f"{row.name}_clips", value=len(values)))
    return found


def _is_mean(name: str) -> bool:
    """Whether a figure is a mean of what was measured, and neither a median nor a share of clips."""
    return name not in (_CHOSEN, *_SHARES) and not (name in MEASURES and MEASURES[name].median)


def median(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float, float]:
    """Compute the median of values of clips, and the interval between two of them that the binomial law gives.

    The number of values below the true median has a binomial law, whatever law the values have (Conover, "Practical
    Nonparametric Statistics", 1999, section 3.2). Up to five values are themselves inside their interval of 95 %.
    """
    ordered = np.sort(values)
    below = bdtr(np.arange(len(ordered) + 1), len(ordered), 0.5)  # chance of so many values below the median, or fewer
    place = max(int(np.searchsorted(below, (1 - confidence) / 2)), 1)
    return float(np.median(ordered)), float(ordered[place - 1]), float(ordered[-place])
