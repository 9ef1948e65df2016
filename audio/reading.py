"""Reading recordings as a stream: any format of libsndfile, any rate, any channels -> mono float32 at the wanted rate.

Memory does not grow with a recording's length, and the samples do not depend on how the stream was cut::

    file --libsndfile--> blocks --mean of channels--> blocks of any size --equal_blocks--> fixed size --soxr--> blocks
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from audio.blocks import equal_blocks, first_samples, skip_samples
from audio.errors import InputError
from audio.trimming import Part
from audio.waveform import FloatArray, Waveform

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

    The block size changes no sample. Of a ``part`` the samples are those of a file that holds nothing else: what lies
    before it is decoded and dropped, since no seek is exact in every format, and what lies behind it is not decoded.

    Raises:
        InputError: on the first block, when the file cannot be opened; later, when it proves damaged.
    """
    with open_recording(path) as recording:
        blocks = mono_blocks(recording, max(round(block_seconds * recording.samplerate), 1))
        if part is not None:
            blocks = first_samples(skip_samples(blocks, part.start), part.num_samples)
        yield from resample_blocks(blocks, recording.samplerate, sample_rate)


def read_beginning(path: Path, sample_rate: int, seconds: float, *, part: Part | None = None) -> Waveform:
    """The first ``seconds`` of a recording or part, or all of a shorter one: no more than that is kept."""
    wanted = round(seconds * sample_rate)
    blocks = first_samples(read_blocks(path, sample_rate, part=part), wanted)
    return Waveform(samples=_joined(blocks), sample_rate=sample_rate)


@contextmanager
def open_recording(path: Path) -> Iterator[soundfile.SoundFile]:
    """A recording opened with libsndfile; what goes wrong inside, decoding included, names the file.

    Raises:
        InputError: the file is missing, unreadable, of an unknown format or damaged.
    """
    try:
        with path.open("rb") as file:  # for a missing file libsndfile says "System error", as without permission
            if not file.read(1):
                raise InputError(f"{path} is empty; record it again, or leave it out")
        with _Forward(path) as recording:
            yield recording
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}; check path and permissions") from error
    except UnicodeError as error:
        raise InputError(f"{path!s:.200} has a name that is not valid UTF-8; rename it") from error
    except soundfile.LibsndfileError as error:
        problem = str(error.error_string).strip().rstrip(".")
        raise InputError(f"{path} cannot be decoded ({problem}); replace it or convert it to WAV or FLAC") from error


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile ships no type information
    """A file read from start to end only.

    soundfile seeks after each block it reads from a file that can seek. In MP3 and Opus libsndfile's seek is inexact,
    and the blocks then differ from the whole (by half of full scale in MP3); here no seek is asked for.
    """

    def seekable(self) -> bool:
        return False


def mono_blocks(recording: soundfile.SoundFile, block_samples: int) -> Iterator[FloatArray]:
    """Blocks of at most ``block_samples`` at the recording's own rate: the mean of its channels."""
    while len(block := recording.read(block_samples, dtype="float32", always_2d=True)):
        yield _mixed(block)


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


def _mixed(block: npt.NDArray[np.float32]) -> FloatArray:
    """Mean of the channels: ``(samples, channels)`` -> ``(samples,)``."""
    total: FloatArray = block[:, 0]
    for channel in range(1, block.shape[1]):  # column by column: numpy's mean over a short last axis is slow
        total = total + block[:, channel]
    return total / np.float32(block.shape[1]) if block.shape[1] > 1 else total


def _joined(blocks: Iterable[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0, np.float32), *blocks])
