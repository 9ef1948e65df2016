"""Inspection of every file: its length, the hashes of its bytes and samples, and whether it is usable.

A file is decoded once, and its measurements are cached by path and `file_stamp`. Whether a recording is usable
is decided anew each time, so that other thresholds need no second decoding.
"""

import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wordless.audio import levels
from wordless.audio.audio_options import Channel
from wordless.audio.decoding import Recording, RecordingError, file_key
from wordless.audio.reading import ChannelPowers, cancelled, chosen_channel, mono_blocks, upsampling_fault
from wordless.audio.recordings.manifest import UNWRITABLE, Clip, Rejected, printable, writable
from wordless.audio.waveform import Part, equal_blocks, unusable_peak
from wordless.base.files import NO_PERMISSION, file_hash, stamp_text
from wordless.base.messages import InputError
from wordless.base.options import Options, option
from wordless.base.pools import LOCAL, THIS_PROCESS, EngineConfig, in_order, open_pool

_BLOCKS_AT_ONCE = 16  # of a tenth of a second


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of decoding one file."""

    size: int  # bytes
    sha256: str  # of the file's bytes
    samples_sha256: str  # of the channel that is read, and its rate: equal for the same sound in another format
    num_samples: int  # decoded
    sample_rate: int  # Hz
    channel: int | None = None  # that was measured; None: the mean of all, or the only one
    louder: int | None = None  # a channel that is far louder, see `wordless.audio.reading.ChannelPowers`
    channels: int = 1  # of the file
    peak: float  # largest absolute sample of the channel; meaningless if not finite
    swing: float  # largest distance of a sample from the constant offset of the channel
    finite: bool
    notices: tuple[str, ...] = ()  # what the user should know of the file
    edges: levels.Edges  # of the channel
    levels: str  # of the channel over time, as `wordless.audio.levels.as_text` writes them
    stamp: str = ""  # `stamp_text` of the file that was decoded; the cache has it in its keys

    def part(self, trim_db: float | None) -> Part:
        """Return the part without ends more than ``trim_db`` below the loudest 20 ms; None trims nothing."""
        start, size = 0, self.num_samples
        if trim_db is not None:
            loud = levels.loud_part(self.edges, trim_db, size, self.sample_rate)
            start, size = loud.start, loud.num_samples
        return Part(start=start, num_samples=size, channel=self.channel, stamp=self.stamp, sha256=self.sha256)


def measure_recording(root: Path, path: str, channel: Channel = "mean") -> Measurement | Rejected:
    """Decode one file to its end, and hash it; what cannot be decoded is set aside. An hour of sound needs 3 MB."""
    if not writable(path):
        return Rejected(path=path, reason=UNWRITABLE)
    num_samples, peak, finite, of_channels = 0, 0.0, True, ChannelPowers()
    stamp = stamp_text(root / path)
    try:
        sha256, size = file_hash(root / path), (root / path).stat().st_size
        number = chosen_channel(root / path, channel)
        with Recording(root / path) as recording:
            heard = hashlib.sha256(f"{recording.samplerate} Hz".encode())
            step, meter = levels.level_samples(recording.samplerate), levels.Meter(recording.samplerate)
            blocks = mono_blocks(recording, number, powers=of_channels)
            for block in equal_blocks(blocks, _BLOCKS_AT_ONCE * step):
                heard.update(np.add(block, np.float32(0)))  # -0 becomes 0: only files of floats can hold it
                largest = float(np.abs(block).max())
                finite = finite and bool(np.isfinite(largest))
                num_samples, peak = num_samples + len(block), max(peak, largest if finite else 0.0)
                meter.add(block)
            sample_rate, channels = recording.samplerate, recording.channels
            number = None if recording.channels == 1 else number
        swings = meter.swings
        swing = float(swings.max(initial=0))
    except OSError as error:
        return Rejected(path=path, reason=f"cannot be read: {error.strerror}", kind="cannot be read")
    except RecordingError as error:
        return Rejected(path=path, reason=printable(error.reason), kind=error.kind)
    if stamp_text(root / path) != stamp:  # the hash may be that of other bytes than were decoded
        return Rejected(path=path, reason=WRITTEN, kind=WRITTEN)
    return Measurement(
        size=size,
        sha256=sha256,
        samples_sha256=heard.hexdigest(),
        num_samples=num_samples,
        sample_rate=sample_rate,
        channel=number,
        louder=of_channels.louder,
        channels=channels,
        notices=of_channels.notices,
        peak=peak,
        finite=finite,
        swing=swing,
        edges=levels.find_edges(meter.powers),
        levels=levels.as_text(levels.to_levels(swings)),
        stamp=stamp,
    )


WRITTEN = "changed while it was read: another program is writing it"


def _remembered(*, edges: list[tuple[int, int]], notices: list[str], **fields: Any) -> Measurement:
    """Return a measurement from the lists of the cache."""
    return Measurement(edges=tuple([(first, last) for first, last in edges]), notices=tuple(notices), **fields)


def _remember(cache: Path, key: str, found: Measurement) -> None:
    """Append a measurement, in one write, as two runs may append at once; a killed process loses its last line."""
    values = {name: value for name, value in asdict(found).items() if name != "stamp"}
    content = json.dumps([key, values]).encode()
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with open(cache, "ab", buffering=0, opener=_at_once) as lines:  # a line break first, after a killed process
            lines.write(b"\n%b %b\n" % (_hash(content), content))
    except OSError as error:
        if error.errno not in NO_PERMISSION:  # as of a read-only store: the file is measured again next time
            raise


def _at_once(path: str, flags: int) -> int:
    """Open a file, and do not wait for a reader if it is a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def _hash(content: bytes) -> bytes:
    """Hash a line of the cache: a flipped bit in a length would change the results of a run."""
    return hashlib.sha256(content).hexdigest()[:16].encode()


_Progress = Callable[[int, int], None]  # files done, files in all


@dataclass(frozen=True, kw_only=True)
class InspectionConfig(Options):
    """Requirements of a usable recording."""

    min_seconds: float = option(0.05, "shorter recordings are left out", least=0)
    silence_peak: float = 1e-4  # recordings that never exceed this share of full scale are left out
    trim_db: float | None = option(
        None,
        "such as 40: removes ends that are 40 dB softer than the loudest 20 ms of a recording; null: off",
        least=levels.MIN_TRIM_DB,
        most=levels.MAX_TRIM_DB,
        unit="dB",
    )


Inspected = tuple[dict[str, Measurement], tuple[Rejected, ...]]  # the usable recordings, and reasons against the others
Inspector = Callable[[Path, Sequence[str], InspectionConfig], Inspected]


def inspect(
    root: Path,
    paths: Sequence[str],
    config: InspectionConfig,
    *,
    workers: int = 1,
    engine: EngineConfig = LOCAL,
    cache: Path | None = None,
    progress: _Progress | None = None,
    channel: Channel = "mean",
    sample_rate: int | None = None,
) -> Inspected:
    """Inspect ``paths`` below ``root``; both results are sorted by path.

    ``cache`` is a JSONL file of measurements, so that unchanged files are not decoded again. ``progress`` is called
    with the numbers of files done and in all. ``sample_rate`` in Hz is that of the front end, which much lower rates do
    not reach. Local workers are threads, because decoding, hashing and summing all release Python's lock.
    """
    root, paths = root.resolve(), sorted(paths)
    fit: dict[str, Measurement] = {}
    rejected: list[Rejected] = []
    lines = cache.read_bytes().split(b"\n") if cache is not None and cache.is_file() else []
    pairs = (line.partition(b" ") for line in lines)  # lines that are torn, changed or foreign are left out
    earlier: dict[str, Any] = dict(json.loads(content) for hashed, _, content in pairs if _hash(content) == hashed)
    stamps = [stamp_text(root / path) for path in paths]
    keys = [file_key(root / path, channel, stamp=stamp) for path, stamp in zip(paths, stamps, strict=True)]
    missing = [path for path, key in zip(paths, keys, strict=True) if key not in earlier]
    shared = [root, *(root / path for path in missing[:1])]
    with open_pool(engine, workers, shared=shared, threads=True) if missing else nullcontext(THIS_PROCESS) as pool:
        made = in_order(partial(measure_recording, root, channel=channel), missing, pool)
        for done, (path, key, stamp) in enumerate(zip(paths, keys, stamps, strict=True), start=1):
            known = earlier.get(key)
            found = _remembered(**known, stamp=stamp) if known else next(made)
            if not known and stamp_text(root / path) != stamp:  # it was replaced before it was measured
                found = measure_recording(root, path, channel)
                stamp = found.stamp if isinstance(found, Measurement) else ""
                key = file_key(root / path, channel, stamp=stamp)
            if isinstance(found, Rejected):  # not kept in the cache, because the disk may have been at fault
                rejected.append(found)
            else:
                if cache is not None and key and key not in earlier:  # files out of reach have no key
                    _remember(cache, key, found)
                if fault := _fault(found, config, sample_rate):
                    rejected.append(Rejected(path=path, reason=fault[0], kind=fault[1]))
                else:
                    fit[path] = found if found.stamp == stamp else replace(found, stamp=stamp)  # as seen from here
            if progress:
                progress(done, len(paths))
    return fit, tuple(rejected)


def _fault(found: Measurement, config: InspectionConfig, sample_rate: int | None) -> tuple[str, str] | None:
    """Return why a recording is not usable, and what such reasons have in common."""
    if sample_rate is not None and (reason := upsampling_fault(found.sample_rate, sample_rate)):
        return reason, "rate too low"
    if not found.num_samples:
        return "empty", "empty"
    if reason := unusable_peak(found.peak if found.finite else math.inf):
        return reason, "too loud"
    used = found.part(config.trim_db).num_samples
    if used < config.min_seconds * found.sample_rate:
        trimmed = " without its silent ends" if used < found.num_samples else ""
        lasts = f"{used / found.sample_rate:.3f} s{trimmed}, less than {config.min_seconds:g} s"
        return f"too short: {lasts}", "too short"
    if found.swing <= config.silence_peak:
        why = f"no sample exceeds {config.silence_peak:g} of full scale"
        return f"silent: {why if found.louder is None else cancelled(found.channel, found.louder)}", "silent"
    return None


def frequent_reasons(rejected: Sequence[Rejected], *, most: int = 3) -> str:
    """Count the most frequent kinds of reasons, for messages; equal reasons of a kind are written whole."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for each in rejected:
        kinds[each.kind or each.reason].append(each.reason)
    frequent = sorted(kinds.items(), key=lambda item: len(item[1]), reverse=True)[:most]
    return "; ".join(f"{len(all_)} {all_[0] if len({*all_}) == 1 else kind}" for kind, all_ in frequent)


def require_finite_samples(values: npt.NDArray[np.generic], clip: Clip, what: str) -> None:
    """Refuse values computed from a clip that are NaN or infinite, or did not fit into the type of their array."""
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        problem = f"{clip.name}: its {what} hold values that are not finite, and nothing can be trained on them"
        raise InputError(f"{problem}; leave the recording out, or check the options of audio")
