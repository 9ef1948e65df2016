"""Inspection of every file: its length, the hashes of its bytes and samples, and whether it is usable.

Measurements are cached by path, size and time of change. Whether a recording is usable is decided anew each time, so
that other thresholds need no second decoding.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wordless.audio.channels import Channel, cancelled
from wordless.audio.reading import upsampling_fault
from wordless.audio.recordings.manifest import Clip, Rejected
from wordless.audio.recordings.measurement import Measurement, MeasurementCache, file_key, measure
from wordless.audio.trimming import MAX_TRIM_DB, MIN_TRIM_DB
from wordless.audio.waveform import unusable_peak
from wordless.base.engine import LOCAL, EngineConfig
from wordless.base.errors import InputError
from wordless.base.pools import ThisProcess, in_order, open_threads
from wordless.base.ranges import require

CONFLICT = ", with another "  # in the reason against a duplicate
NOTHING_KNOWN: Mapping[str, Mapping[str, str]] = {}
Progress = Callable[[int, int], None]  # files done, files in all
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SILENCE_RULE = "choose 0 <= silence_peak < 1, or -1 to use silent recordings, too"
_TRIM_RULE = f"choose {MIN_TRIM_DB:g} to {MAX_TRIM_DB:g} dB, such as 40, or null to cut nothing off"


@dataclass(frozen=True, kw_only=True)
class InspectionConfig:
    """Requirements of a usable recording."""

    min_seconds: float = 0.05  # shorter recordings, without their trimmed ends, are set aside
    # of full scale; a recording that never exceeds it is silent (three steps of 16 bits); -1: none is
    silence_peak: float = 1e-4
    trim_db: float | None = None  # trim ends this many dB below a recording's loudest 20 ms; None: no trimming

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("min_seconds", 0 <= self.min_seconds < math.inf, "choose 0 seconds or more"),
            ("silence_peak", self.silence_peak == -1 or 0 <= self.silence_peak < 1, _SILENCE_RULE),
            ("trim_db", self.trim_db is None or MIN_TRIM_DB <= self.trim_db <= MAX_TRIM_DB, _TRIM_RULE),
        ):
            require(holds, f"corpus.inspection.{name}", getattr(self, name), rule)


def inspect(
    root: Path,
    paths: Sequence[str],
    config: InspectionConfig,
    *,
    workers: int = 1,
    engine: EngineConfig = LOCAL,
    cache: Path | None = None,
    progress: Progress | None = None,
    known: Mapping[str, Mapping[str, str]] = NOTHING_KNOWN,
    channel: Channel = "mean",
    sample_rate: int | None = None,
    duplicates: bool = False,
) -> tuple[dict[str, Measurement], tuple[Rejected, ...]]:
    """Inspect ``paths`` below ``root``: measurements of the usable ones, reasons against the others, both sorted.

    Of files with the same samples the first is usable, in whichever format it is; the others are duplicates, which are
    usable, too, only with ``duplicates``. ``known``
    has the label, group or split of some paths; where two such files have different ones, both are named.
    ``sample_rate`` in Hz is that of the front end, which much lower rates do not reach; None: it is not known.
    Local workers are threads, because decoding, hashing and summing all release Python's lock.
    """
    measured = dict(_measurements(root.resolve(), sorted(paths), channel, workers, engine, cache, progress))
    fit: dict[str, Measurement] = {}
    rejected: list[Rejected] = []
    first: dict[str, str] = {}  # hash of samples -> path of the first file that is usable so far
    for path, found in measured.items():
        if reason := _fault(found, config, sample_rate):
            rejected.append(Rejected(path=path, reason=reason))
        elif not duplicates and (original := first.setdefault(found.samples_sha256, path)) != path:
            same = "" if found.sha256 == measured[original].sha256 else " (the same samples in other bytes)"
            reason = f"duplicate of {original}{same}{conflicts(known.get(original, {}), known.get(path, {}))}"
            rejected.append(Rejected(path=path, reason=reason, kind="duplicate of another file", original=original))
        else:
            fit[path] = found
    return fit, tuple(rejected)


def conflicts(kept: Mapping[str, str], dropped: Mapping[str, str]) -> str:
    """Say in what the descriptions of two files of the same sound differ; the first counts."""
    differing = [name for name, value in kept.items() if dropped.get(name, value) != value]
    return "".join(f"{CONFLICT}{name}: here {dropped[name]}, there {kept[name]}" for name in differing)


def _fault(found: Measurement, config: InspectionConfig, sample_rate: int | None) -> str | None:
    if found.problem:
        return found.problem
    if sample_rate is not None and (reason := upsampling_fault(found.sample_rate, sample_rate)):
        return reason
    if not found.num_samples:
        return "empty"
    if found.declared_samples is not None and found.num_samples < found.declared_samples:
        return f"damaged: {found.num_samples} of its {found.declared_samples} samples can be decoded"
    if reason := unusable_peak(found.peak if found.finite else math.inf):
        return reason
    used = found.part(config.trim_db).num_samples
    if used < config.min_seconds * found.sample_rate:
        trimmed = " without its silent ends" if used < found.num_samples else ""
        return f"too short: {used / found.sample_rate:.3f} s{trimmed}, less than {config.min_seconds:g} s"
    if found.peak <= config.silence_peak:
        if found.louder is not None:
            return f"silent: {cancelled(found.channel, found.louder)}"
        return f"silent: no sample exceeds {config.silence_peak:g} of full scale"
    return None


def frequent_reasons(rejected: Sequence[Rejected], *, most: int = 3) -> str:
    """Count the most frequent reasons, for messages; those that differ in numbers alone are one.

    A reason is written whole if all of its kind are equal, else what stands before its colon.
    """
    reasons: dict[str, list[str]] = defaultdict(list)
    for each in rejected:
        reasons[_NUMBER.sub("#", each.kind or each.reason.partition(": ")[0])].append(each.kind or each.reason)
    frequent = sorted(reasons.values(), key=len, reverse=True)[:most]
    return "; ".join(f"{len(each)} {_summary(each)}" for each in frequent)


def _summary(reasons: Sequence[str]) -> str:
    """Return what reasons of one kind have in common; of those that differ in numbers, the first."""
    if len({*reasons}) == 1:
        return reasons[0]
    kinds = {reason.partition(": ")[0] for reason in reasons}
    first = reasons[0].partition(": ")[0]
    return first if len(kinds) == 1 else f"such as: {first}"


def require_finite(values: npt.NDArray[np.generic], clip: Clip, what: str) -> None:
    """Refuse values computed from a clip that are NaN or infinite, or did not fit into the type of their array."""
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        problem = f"{clip.name}: its {what} hold values that are not finite, and nothing can be trained on them"
        raise InputError(f"{problem}; leave the recording out, or check the options of audio")


def _measurements(
    root: Path,
    paths: Sequence[str],
    channel: Channel,
    workers: int,
    engine: EngineConfig,
    cache: Path | None,
    progress: Progress | None,
) -> Iterator[tuple[str, Measurement]]:
    """Give a measurement for each path, in order; those not in the cache are made, and appended to it one by one."""
    known = MeasurementCache(cache)
    keys = [file_key(root / path, channel) for path in paths]
    missing = [path for path, key in zip(paths, keys, strict=True) if known.get(key) is None]
    shared = [root, *(root / path for path in missing[:1])]
    with open_threads(engine, workers, shared=shared) if missing else nullcontext(ThisProcess()) as pool:
        measured = in_order(partial(measure, root, channel=channel), missing, pool)
        for done, (path, key) in enumerate(zip(paths, keys, strict=True), start=1):
            yield path, known.get(key) or known.add(key, next(measured))
            if progress:
                progress(done, len(paths))
