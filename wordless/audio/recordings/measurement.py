"""Measurement of a recording by decoding it once: length, hashes, peak, and loudness over time."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from wordless.audio.blocks import equal_blocks
from wordless.audio.channels import Channel, ChannelPowers
from wordless.audio.decoding import BLOCK_VALUES, RecordingError, mono_blocks, open_recording
from wordless.audio.ffmpeg import decoder_version
from wordless.audio.reading import chosen_channel
from wordless.audio.recordings.levels import as_text, block_peaks, join_levels, level_samples
from wordless.audio.recordings.manifest import printable, writable
from wordless.audio.trimming import NO_EDGES, Edges, Part, block_powers, find_edges
from wordless.base.files import NO_PERMISSION, file_hash

# Version of a measurement's meaning; the cache ignores other versions. 2: declared lengths of MP3 are ignored. 3: also
# those of MP3 in WAV files, and numbers that stand for an unknown length in FLAC and AIFF. 4: samples are hashed.
# 5: all of the sound is read where streams are joined or a header declares too little. 6: with the channel. 7: joined
# files of more kinds, FLAC that declares too little, and lengths that AVI and Flash video declare.
_VERSION = 7


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of decoding one file."""

    size: int  # bytes
    sha256: str  # of the file's bytes
    samples_sha256: (
        str  # of the channel that is read and its rate: equal for the same sound in another format, or with other tags
    )
    num_samples: int  # decoded
    declared_samples: int | None  # by the file's header; None if it does not say
    sample_rate: int  # Hz
    channel: int | None = None  # that was measured; None: the mean of all, or the only one
    louder: int | None = None  # a channel that is far louder, see `wordless.audio.channels.ChannelPowers`
    peak: float  # largest absolute sample of the channel; meaningless if not finite
    finite: bool
    edges: Edges  # of the channel
    levels: str  # of the channel over time, as `wordless.audio.recordings.levels.as_text` writes them
    problem: str | None = None  # the reason if the file could not be decoded

    def part(self, trim_db: float | None) -> Part:
        """Return the part without ends more than ``trim_db`` below the loudest 20 ms; None trims nothing."""
        if trim_db is None:
            return Part(start=0, num_samples=self.num_samples, channel=self.channel)
        return replace(self.edges.part(trim_db, self.num_samples, self.sample_rate), channel=self.channel)


_NOTHING = Measurement(
    size=0,
    sha256="",
    samples_sha256="",
    num_samples=0,
    declared_samples=0,
    sample_rate=1,
    peak=0,
    finite=True,
    edges=NO_EDGES,
    levels="",
)  # known of a file that cannot be decoded


def measure(root: Path, path: str, channel: Channel = "mean") -> Measurement:
    """Decode one file to its end, and hash it. An hour of sound needs 1.4 MB, for its power in each 20 ms.

    The loudest channel is found by decoding the file before.
    """
    if not writable(path):
        return replace(_NOTHING, problem="its name holds a tab, a line break or bytes that are not UTF-8; rename it")
    try:
        sha256 = file_hash(root / path)
        size = (root / path).stat().st_size
    except OSError as error:
        return replace(_NOTHING, problem=f"cannot be read: {error.strerror}")
    num_samples, peak, finite, powers = 0, 0.0, True, [np.empty(0)]
    peaks, of_channels = [], ChannelPowers()
    try:
        number = chosen_channel(root / path, channel)
        with open_recording(root / path) as recording:
            heard = hashlib.sha256(f"{recording.samplerate} Hz".encode())
            step = level_samples(recording.samplerate)
            at_once = max(BLOCK_VALUES // (recording.channels * step), 1) * step  # whole blocks of 100 ms
            number = None if recording.channels == 1 else number
            blocks = mono_blocks(recording, at_once, channel=number, powers=of_channels)
            for block in equal_blocks(blocks, at_once):
                heard.update(np.add(block, np.float32(0)))  # -0 becomes 0: only files of floats can hold it
                largest = float(np.abs(block).max())
                finite = finite and bool(np.isfinite(largest))
                num_samples, peak = num_samples + len(block), max(peak, largest if finite else 0.0)
                powers.append(block_powers(block, recording.samplerate))
                peaks.append(block_peaks(block, recording.samplerate))
            declared, sample_rate = recording.declared, recording.samplerate
    except RecordingError as error:
        return replace(_NOTHING, problem=printable(error.reason), size=size, sha256=sha256)
    return Measurement(
        size=size,
        sha256=sha256,
        samples_sha256=heard.hexdigest(),
        num_samples=num_samples,
        declared_samples=declared,
        sample_rate=sample_rate,
        channel=number,
        louder=of_channels.louder,
        peak=peak,
        finite=finite,
        edges=find_edges(np.concatenate(powers)),
        levels=as_text(join_levels(peaks)),
    )


class MeasurementCache:
    """Measurements in an append-only JSONL file; a killed process loses at most its last line, which is then ignored.

    Two runs may append at once: each line is one write to a file opened for appending.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Measurement] = {}
        if path is not None and path.is_file():
            self._known = dict(entry for line in path.read_bytes().split(b"\n") if (entry := _entry(line)))

    def get(self, key: str) -> Measurement | None:
        """Return the measurement of the file with this `file_key`, if an earlier process made it."""
        return self._known.get(key) if key else None

    def add(self, key: str, found: Measurement) -> Measurement:
        """Append a measurement, and return it.

        Failures are not cached, because the disk or libsndfile may have been at fault. Neither is a file without a key:
        it was out of reach, and all such files would share one line.
        """
        if key and not found.problem:
            content = asdict(found)
            self._append(json.dumps({"key": key, "found": content, "hash": _hash(key, content)}))
        return found

    def _append(self, line: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644)
        except OSError as error:
            if error.errno in NO_PERMISSION:  # a read-only store: the file is measured again next time
                return
            raise
        try:
            # the first line break ends a line that a killed process left incomplete
            os.write(file, f"\n{line}\n".encode())
        finally:
            os.close(file)


def file_key(path: Path, channel: Channel = "mean") -> str:
    """Return a key of a file's place, size, time of change, channel and decoder; empty if there is no such file."""
    import soundfile  # as in `wordless.audio.decoding`

    try:
        status = path.stat()
    except (OSError, ValueError):  # there is no such file, or its name is invalid
        return ""
    decoder = f"{soundfile.__libsndfile_version__} {decoder_version()}"
    return json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns, channel, decoder, _VERSION])


def _entry(line: bytes) -> tuple[str, Measurement] | None:
    """Parse one line of the cache; None for a blank, torn, changed or foreign line, or one without a hash."""
    try:
        value = json.loads(line)
        key, found = str(value["key"]), value["found"]
        if value["hash"] != _hash(key, found):
            return None
        return key, Measurement(**{**found, "edges": Edges.of(**found["edges"])})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _hash(key: str, found: Mapping[str, object]) -> str:
    """Hash a line of the cache: a flipped bit in a length would change the results of a run."""
    return hashlib.sha256(json.dumps([key, found], sort_keys=True).encode()).hexdigest()[:16]
