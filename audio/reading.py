"""Reading recordings as a stream: any format of libsndfile, any rate, any channels -> mono float32 at the wanted rate.

Memory grows neither with a recording's length nor with what its header declares, and the samples do not depend on how
the stream was cut::

    file --libsndfile--> blocks --mean of channels--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soxr

from audio.blocks import equal_blocks, first_samples
from audio.cursor import cursor_before
from audio.decoding import RecordingError, mono_blocks, open_recording
from audio.trimming import Part
from audio.waveform import FloatArray, Waveform
from foundation.errors import InputError

LOUDEST = 1e4  # of full scale; beyond it a sample is no sound, and squared it may exceed what float32 holds

# Samples handed to the resampler at a time: always the same, so that results cannot depend on the caller's blocks.
_RESAMPLER_BLOCK = 1 << 15


def resampled_length(num_samples: int, from_rate: int, to_rate: int) -> int:
    """Samples after resampling: ceil(num_samples * to_rate / from_rate), the fewest that cover the whole recording."""
    return -(-num_samples * to_rate // from_rate)


def read(path: Path, sample_rate: int) -> Waveform:
    """A whole recording, mono, at ``sample_rate`` Hz: the blocks of `read_blocks`, joined."""
    return Waveform(samples=_joined(read_blocks(path, sample_rate)), sample_rate=sample_rate)


def read_blocks(
    path: Path, sample_rate: int, *, block_seconds: float = 2.0, part: Part | None = None
) -> Iterator[FloatArray]:
    """Mono blocks ``(samples,)`` float32 at ``sample_rate`` Hz, in constant memory; ``block_seconds`` bounds it.

    The block size changes no sample. Of a ``part`` the samples are those of a file that holds nothing else. In formats
    in which a seek is exact the part alone is decoded. In others (MP3, Vorbis, Opus...) what lies before the part is
    decoded and dropped; the file then stays open behind the part, so that the parts of a file, read in order of time,
    cost one pass of decoding.

    Raises:
        InputError: on the first block, when the file cannot be opened; later, when it proves damaged, or holds a sample
            that no front end can hear (`inaudible`).
    """
    if part is not None:
        with cursor_before(path, part.start) as cursor:
            blocks = cursor.blocks(part, max(round(block_seconds * cursor.sample_rate), 1))
            yield from resample_blocks(_audible(blocks, path), cursor.sample_rate, sample_rate)
        return
    with open_recording(path) as recording:
        blocks = mono_blocks(recording, max(round(block_seconds * recording.samplerate), 1))
        yield from resample_blocks(_audible(blocks, path), recording.samplerate, sample_rate)


def read_beginning(path: Path, sample_rate: int, seconds: float, *, part: Part | None = None) -> Waveform:
    """The first ``seconds`` of a recording or part, or all of a shorter one: no more than that is kept."""
    wanted = round(seconds * sample_rate)
    blocks = first_samples(read_blocks(path, sample_rate, part=part), wanted)
    return Waveform(samples=_joined(blocks), sample_rate=sample_rate)


def inaudible(peak: float) -> str | None:
    """Why a recording with this largest absolute sample cannot be heard by any front end; None where it can.

    Up to `LOUDEST` the log-mel spectrogram of every front end is finite.
    """
    if not np.isfinite(peak):
        return "holds values that are not finite"
    return f"holds a sample of {peak:.3g} times full scale, more than {LOUDEST:g}" if peak > LOUDEST else None


def _audible(blocks: Iterable[FloatArray], path: Path) -> Iterator[FloatArray]:
    for block in blocks:
        if len(block) and (reason := inaudible(float(np.abs(block).max()))):
            raise RecordingError(f"{path} {reason}; replace it, or leave it out", reason)
        yield block


def resample_blocks(blocks: Iterable[FloatArray], from_rate: int, to_rate: int) -> Iterator[FloatArray]:
    """A mono stream cut anyhow, at another rate; `resampled_length` samples in all, however it was cut.

    soxr rounds the length its own way: its last sample is dropped, or a zero appended.
    """
    if min(from_rate, to_rate) <= 0:
        raise InputError(f"sample_rate is {min(from_rate, to_rate)}; it must be a positive number of Hz")
    if from_rate == to_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
    received = sent = 0
    for block in equal_blocks(blocks, _RESAMPLER_BLOCK):
        received += len(block)
        resampled: FloatArray = resampler.resample_chunk(block)
        sent += len(resampled)
        if len(resampled):
            yield resampled
    tail: FloatArray = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    missing = resampled_length(received, from_rate, to_rate) - sent
    if missing:
        yield np.pad(tail[:missing], (0, max(missing - len(tail), 0)))


def _joined(blocks: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *blocks])
