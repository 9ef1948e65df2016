"""The figures of a run's sounds, with intervals over clips: judged clips, or else those to listen to.

Sounds of the language model have separate figures: ``continuation`` and ``unconditional``, with ``@0.7`` if there are
several temperatures.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from lm.lm_options import ProbeConfig
from lm.probing.intervals import Hits, Measured, interval
from pipelines.results.rows import LOST_CENTS, MEASURES, SOUND, Row
from pipelines.stages.listening import CLIPS, GUARD, JUDGED, JUDGES, LISTENING, RECOGNISED
from pipelines.store.store import Entry
from vocoder.kinds import BY_KEY, ORIGINAL, UNLEARNED, WAVENET
from wordless.audio.recordings.manifest import Clips

Record = Mapping[str, Any]
MAX_LOST = 3  # clips that the report plays
RIGHT, LOST = "label_accuracy", "lost_pitch"  # of a clip 1 or 0


def sound_figures(
    entries: Mapping[str, Entry], manifest: Clips, config: ProbeConfig, *, protocol: str
) -> Iterator[Row]:
    """Collect all figures of a run's sounds; ``manifest`` has the present labels, which need no new sounds."""
    listening, decoded = entries["listening"], entries.get("decoded")
    row = Row(stage="vocoder", name="", value=np.nan, artifact="", protocol=protocol, split="test")
    if (recognised := entries.get("recognised")) is not None:
        right = [
            {"sounds": {kind: {RIGHT: float(name == label)} for kind, name in answers.items()}}
            for label, answers in read_labelled_rows(recognised, manifest)
        ]
        yield from clip_figures(right, config, replace(row, artifact=recognised.key))
    if decoded is not None and (decoded.folder / GUARD).exists():
        counts = decoded.read_json(GUARD)  # blocks that were drawn again, and those that stayed runaway
        for name, count in (("runaway_blocks", counts["found"]), ("runaway_blocks_left", counts["left"])):
            yield replace(row, name=name, of=WAVENET.key, value=count, artifact=decoded.key)
    judged, file = (entries["judged"], JUDGED) if "judged" in entries else (listening, LISTENING)
    yield from clip_figures(judged.read_rows(file, "clips"), config, replace(row, artifact=judged.key))
    yield from _of_language(listening, config, replace(row, artifact=listening.key))


def clip_figures(
    rows: Sequence[Record], config: ProbeConfig, row: Row, *, with_recordings: Iterable[str] = ()
) -> Iterator[Row]:
    """Give means or medians over the clips, and differences of two kinds of sound on the same clips.

    Figures ``with_recordings``, which recordings have, too, are also compared with those of the recordings.
    """
    sounds = [{kind: _with_losses(figures) for kind, figures in each["sounds"].items()} for each in rows]
    for kind in dict.fromkeys(kind for kinds in sounds for kind in kinds):
        figures = [kinds[kind] for kinds in sounds if kind in kinds]
        for name in dict.fromkeys(name for each in figures for name in each):
            values, own = [each.get(name) for each in figures], replace(row, name=name, of=kind)
            yield from _mean_of_clips(values, config, own)
    compared = [*(each.name for each in SOUND if each.paired), *with_recordings]
    pairs = [(name, WAVENET.key, rival.key, False) for name in compared for rival in UNLEARNED]
    pairs.append((RIGHT, WAVENET.key, ORIGINAL, True))  # how much of it WaveNet's sound keeps
    for kind in BY_KEY:
        pairs += [("rms", kind, ORIGINAL, False), ("periodicity", kind, ORIGINAL, True)]
        pairs += [(name, kind, ORIGINAL, False) for name in with_recordings]
    for name, one, other, ratio in pairs:
        both = [[kinds.get(kind, {}).get(name) for kind in (one, other)] for kinds in sounds]
        known = np.array([pair for pair in both if None not in pair], np.float64).reshape(-1, 2)
        yield from _on_same_clips(known, config, replace(row, name=name, of=one, against=other), ratio=ratio)


def _with_losses(figures: Record) -> Record:
    """Return the figures of a clip; its pitch error has the name of its median, and says whether the pitch is lost.

    One clip whose pitch is an octave off counts as much in a mean as forty that are 30 cents off.
    """
    if (error := figures.get("pitch_error")) is None:
        return figures
    others = {name: value for name, value in figures.items() if name != "pitch_error"}
    return {**others, "median_pitch_error": error, LOST: float(error > LOST_CENTS)}


def listening_record(entries: Mapping[str, Entry], listening: Entry, manifest: Clips) -> dict[str, object]:
    """Describe the clips to listen to, with the manifest's labels, and the language model's sounds."""
    known = {clip.name: {"label": clip.label, "group": clip.group} for clip in manifest.clips}
    record: dict[str, object] = {
        "clips": [{**row, **known[row["path"]]} for row in listening.read_rows(LISTENING, "clips")],
        "said": listening.read_rows(LISTENING, "said"),
        "diversity": listening.read_rows(LISTENING, "diversity"),
        **{name: listening.read_json(LISTENING)[name] for name in ("postfilter", "pitch_comb")},
    }
    if (recognised := entries.get("recognised")) is not None:
        record["recognised"] = recognised.read_rows(RECOGNISED, "said")
        record["judge_name"] = name = recognised.read_json(RECOGNISED)["judge"]
        record["judge"] = JUDGES[name]
        record["warning"] = weak_judge(recognised, manifest)
    if "judged" in entries:
        record["judged_clips"] = len(entries["judged"].read_rows(JUDGED, "clips"))
        record["excerpts"] = entries["decoded"].read_rows(CLIPS, "clips")
        record["lost"] = [{**row, **known[row["path"]]} for row in lost_clips(entries["judged"])]
    return record


def lost_clips(judged: Entry) -> list[dict[str, Any]]:
    """List at most `MAX_LOST` clips whose pitch WaveNet's sound misses, the worst first, with their numbers."""
    lost = list[dict[str, Any]]()
    for number, row in enumerate(judged.read_rows(JUDGED, "clips")):
        figures = row["sounds"].get(WAVENET.key, {})
        if (error := figures.get("pitch_error")) is not None and error > LOST_CENTS:
            shown = {name: figures[name] for name in ("pitch_error", "voicing_error") if name in figures}
            lost.append({"number": number, "path": row["path"], "sounds": {ORIGINAL: {}, WAVENET.key: shown}})
    return sorted(lost, key=lambda row: -row["sounds"][WAVENET.key]["pitch_error"])[:MAX_LOST]


def _on_same_clips(known: npt.NDArray[np.float64], config: ProbeConfig, row: Row, *, ratio: bool) -> Iterator[Row]:
    """Compare a figure of two kinds of sound on the clips ``(clips, 2)`` whose sounds both have it."""
    if len(known) < 2 or (ratio and not known[:, 1].any()):
        return
    measured = Measured(folds=[Hits(hits=known.T)], resamples=config.resamples, seed=config.seed)
    different = replace(row, name=f"{row.name}_difference", over="clips")
    if ratio:
        least = 0.0 if known[:, 1].all() else 1 / (2 * len(known))  # a resample may have nothing but zeros
        low, high = interval(measured.draws[:, 0] / np.maximum(measured.draws[:, 1], least), config.confidence)
        value = float(known[:, 0].mean() / known[:, 1].mean())
        yield replace(row, name=f"{row.name}_ratio", value=value, low=low, high=high, over="clips")
        return
    if MEASURES[row.name].median:
        value, low, high = median(known[:, 0] - known[:, 1], config.confidence)
    else:
        gap = measured.difference(0, 1, confidence=config.confidence)
        value, low, high = gap.value, gap.low, gap.high
    yield replace(different, value=value, low=low, high=high)
    yield replace(row, name=f"{row.name}_difference_clips", value=len(known))


def _mean_of_clips(values: Sequence[float | None], config: ProbeConfig, row: Row) -> Iterator[Row]:
    known, measure = np.array([value for value in values if value is not None], np.float64), MEASURES.get(row.name)
    if len(known):
        measured, value = (
            Measured(folds=[Hits(hits=known[None])], resamples=config.resamples, seed=config.seed),
            known.mean(),
        )
        if measure is not None and measure.median:
            value, low, high = median(known, config.confidence)
        elif row.name in (RIGHT, LOST):  # where all clips are right, others need not be
            found = measured.estimate(0, confidence=config.confidence)
            low, high = found.low, found.high
        else:
            low, high = interval(measured.draws[:, 0], config.confidence)
        yield replace(row, value=float(value), low=low, high=high, over="clips")
    if measure is not None and measure.clips:
        yield replace(row, name=f"{row.name}_clips", value=len(known))


def median(values: npt.NDArray[np.float64], confidence: float) -> tuple[float, float, float]:
    """Compute the median of values of clips, and the interval between two of them that the binomial law gives.

    The number of values below the true median has a binomial law, whatever law the values have (Conover, "Practical
    Nonparametric Statistics", 1999, section 3.2). Up to five values are themselves inside their interval of 95 %.
    """
    ordered = np.sort(values)
    below = bdtr(np.arange(len(ordered) + 1), len(ordered), 0.5)  # chance of so many values below the median, or fewer
    place = max(int(np.searchsorted(below, (1 - confidence) / 2)), 1)
    return float(np.median(ordered)), float(ordered[place - 1]), float(ordered[-place])


def _of_language(entry: Entry, config: ProbeConfig, row: Row) -> Iterator[Row]:
    said: dict[str, list[Record]] = {}
    for each in entry.read_rows(LISTENING, "said"):
        said.setdefault(f"{each['kind']}@{each['temperature']:g}", []).append(each)
    for of, rows in said.items():
        for name in dict.fromkeys(name for each in rows for name in each["figures"]):
            values, own = _clip_means(rows, name), replace(row, name=name, of=of)
            if name == "prompt_seconds":  # chosen, not measured
                yield replace(own, value=float(np.mean(values)))
            else:
                yield from _mean_of_clips(values, config, own)
    record = entry.read_json(LISTENING)
    varied = [(f"{each['of']}@{each['temperature']:g}", each) for each in entry.read_rows(LISTENING, "diversity")]
    for of, each in (*varied, (ORIGINAL, record.get("originals", {}))):
        for name, value in each.items():
            if name not in ("of", "temperature", "sounds") and value is not None:
                yield replace(row, name=name, of=of, value=value)


def _clip_means(rows: Sequence[Record], name: str) -> list[float]:
    """Average a figure over the continuations of each clip; unprompted sounds stay separate."""
    values: dict[object, list[float]] = {}
    for number, row in enumerate(rows):
        if (value := row["figures"].get(name)) is not None:
            begun = ("sound", number) if row["clip"] is None else ("clip", row["clip"])
            values.setdefault(begun, []).append(value)
    return [float(np.mean(each)) for each in values.values()]


GOOD_ENOUGH = 0.95  # share of the recordings above which mistakes come from the sound rather than the classifier


def weak_judge(recognised: Entry, manifest: Clips) -> dict[str, object] | None:
    """Describe a classifier that recognises few recordings, or no more than one answer for all; else None."""
    known, judge = read_labelled_rows(recognised, manifest), recognised.read_json(RECOGNISED)["judge"]
    right = sum(label == answers[ORIGINAL] for label, answers in known)
    answer, always = Counter(label for label, _ in known).most_common(1)[0] if known else ("", -1)
    if right >= GOOD_ENOUGH * len(known) and right > always:
        return None
    about = {"judge": JUDGES[judge], "judge_name": judge, "clips": len(known)}
    return {**about, "right": right, "answer": answer, "always": always}


def read_labelled_rows(recognised: Entry, manifest: Clips) -> list[tuple[str, Mapping[str, str]]]:
    """List the label of each judged clip, and the classifier's answer to each kind of its sound."""
    labels = {clip.name: clip.label for clip in manifest.clips}
    rows = recognised.read_rows(RECOGNISED, "clips")
    return [(label, row["heard"]) for row in rows if (label := labels.get(row["path"])) is not None]
