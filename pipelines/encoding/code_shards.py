"""Encoding of recordings into shards, each written atomically, so that a killed command resumes after the last one."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audio.decoding import RecordingError
from audio.reading import read_blocks
from audio.recordings.manifest import Rejected, read_rejected, writable, write_rejected
from audio.recordings.recording_paths import Recordings
from foundation.devices import cores
from foundation.errors import InputError
from foundation.progress import Terminal
from foundation.workers import encoding_pool, in_order
from pipelines.encoding.options import EncodeConfig
from tokenizer.codes import CodesFormat
from tokenizer.encoder import Encoder
from tokenizer.parquet import CodedClip, read_codes, read_num_samples, shard_path, write_shard

BYTES_FOR_WORKERS = 100e6  # 16-bit sound that one process encodes while a worker starts


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Totals of the shards."""

    shards: int
    clips: int
    seconds: float  # of sound
    rejected: tuple[Rejected, ...]


def encode_shards(settings: EncodeConfig, recordings: Recordings, encoder: Encoder, terminal: Terminal) -> Encoded:
    """Write the shards that are missing; the shard of a recording depends only on its place in the list."""
    started, total = time.monotonic(), len(recordings.paths)
    starts = range(0, total, settings.clips_per_shard)
    fitting = settings.workers or (cores() if recordings.size > BYTES_FOR_WORKERS else 1)
    with encoding_pool(min(fitting, total)) as pool, terminal.working("encoding", total, "recordings") as progress:
        for number, start in enumerate(starts):
            shard = shard_path(settings.shards, number)
            paths = recordings.paths[start : start + settings.clips_per_shard]
            if shard.exists():
                progress.advance_to(start + len(paths))
                continue
            results = []
            for done, result in enumerate(in_order(partial(encode_recording, encoder), paths, pool), start + 1):
                results.append(result)
                progress.advance_to(done)
            _write(shard, results, encoder.format)
        encoded = _summary(settings.shards, len(starts), encoder.format.sample_rate)
        progress.note(f"{encoded.seconds / max(time.monotonic() - started, 1e-9):.3g} times real time")
    return encoded


def encode_recording(encoder: Encoder, path: str) -> CodedClip | Rejected:
    """Encode one recording, or return the reason why it cannot be encoded."""
    if not writable(path):
        return Rejected(path=path, reason="its name holds a tab, a line break or bytes that are not UTF-8; rename it")
    rate = encoder.tokenizer.config.audio.sample_rate
    try:
        codes = encoder.tokenizer.encode_blocks(read_blocks(encoder.root / path, rate), rate)
    except RecordingError as error:
        return Rejected(path=path, reason=error.reason)
    except InputError as error:
        return Rejected(path=path, reason=str(error))
    if not codes.num_samples:
        return Rejected(path=path, reason="empty")
    return CodedClip(path=path, codes=codes)


def clear_away(folder: Path) -> None:
    """Remove the files that only a resumed command needs."""
    for path in folder.glob("codes-*.rejected.tsv*"):  # a killed command may leave one that was not yet renamed
        path.unlink(missing_ok=True)


def shard_clips(folder: Path, shards: int) -> Iterator[CodedClip]:
    """Give all clips of the first ``shards`` shards, in order."""
    for number in range(shards):
        yield from read_codes(shard_path(folder, number))[1]


def _write(shard: Path, results: Sequence[CodedClip | Rejected], codes_format: CodesFormat) -> None:
    """Write the rejections before the shard, so that an existing shard always has them."""
    rejected = [result for result in results if isinstance(result, Rejected)]
    _rejected_path(shard).unlink(missing_ok=True)
    if rejected:
        write_rejected(rejected, _rejected_path(shard))
    write_shard(shard, [result for result in results if isinstance(result, CodedClip)], codes_format)


def _rejected_path(shard: Path) -> Path:
    return shard.with_suffix(".rejected.tsv")


def _summary(folder: Path, shards: int, sample_rate: int) -> Encoded:
    lists = [_rejected_path(shard_path(folder, number)) for number in range(shards)]
    rejected = tuple(each for path in lists if path.exists() for each in read_rejected(path))
    lengths = [read_num_samples(shard_path(folder, number)) for number in range(shards)]
    clips, samples = sum(map(len, lengths)), sum(int(each.sum()) for each in lengths)
    return Encoded(shards=shards, clips=clips, seconds=samples / sample_rate, rejected=rejected)
