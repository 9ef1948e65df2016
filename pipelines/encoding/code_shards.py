"""Encoding of recordings into shards, each written atomically, so that a killed command resumes after the last one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audio.decoding import RecordingError
from audio.reading import read_blocks
from audio.recordings.manifest import Rejected, read_rejected, writable, write_rejected
from audio.recordings.recording_paths import Recordings
from foundation.errors import InputError
from foundation.workers import in_order
from tokenizer.encoder import Encoder
from tokenizer.parquet import CodedClip, read_codes, read_num_samples, shard_path, write_shard

Advance = Callable[[int], None]  # recordings done


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Totals of the shards."""

    shards: int
    clips: int
    seconds: float  # of sound
    rejected: tuple[Rejected, ...]


def encode_shards(
    folder: Path,
    recordings: Recordings,
    encoder: Encoder,
    *,
    clips_per_shard: int,
    pool: Executor | None,
    advance: Advance,
) -> Encoded:
    """Write the shards that ``folder`` lacks; the shard of a recording depends only on its place in the list."""
    starts = range(0, len(recordings.paths), clips_per_shard)
    for number, start in enumerate(starts):
        shard = shard_path(folder, number)
        paths = recordings.paths[start : start + clips_per_shard]
        if shard.exists():
            advance(start + len(paths))
        else:
            results = in_order(partial(encode_recording, encoder), paths, pool)
            clips, rejected = _sorted_out(results, advance, start)
            _write_rejected(rejected, _rejected_path(shard))
            write_shard(shard, clips, encoder.format)
    return _summary(folder, len(starts), encoder.format.sample_rate)


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


def _sorted_out(
    results: Iterator[CodedClip | Rejected], advance: Advance, done: int
) -> tuple[list[CodedClip], list[Rejected]]:
    clips: list[CodedClip] = []
    rejected: list[Rejected] = []
    for number, result in enumerate(results, done + 1):
        match result:
            case CodedClip():
                clips.append(result)
            case Rejected():
                rejected.append(result)
        advance(number)
    return clips, rejected


def _rejected_path(shard: Path) -> Path:
    return shard.with_suffix(".rejected.tsv")


def _write_rejected(rejected: Sequence[Rejected], path: Path) -> None:
    """Write the rejections before the shard, so that an existing shard always has them."""
    path.unlink(missing_ok=True)
    if rejected:
        write_rejected(rejected, path)


def _summary(folder: Path, shards: int, sample_rate: int) -> Encoded:
    lists = [_rejected_path(shard_path(folder, number)) for number in range(shards)]
    rejected = tuple(each for path in lists if path.exists() for each in read_rejected(path))
    lengths = [read_num_samples(shard_path(folder, number)) for number in range(shards)]
    clips, samples = sum(map(len, lengths)), sum(int(each.sum()) for each in lengths)
    return Encoded(shards=shards, clips=clips, seconds=samples / sample_rate, rejected=rejected)
