"""Conversion of samples from callers of the Python API (arrays, lists, tensors of several types) to mono float32.

=====================================  ==============================================================================
input                                  meaning
=====================================  ==============================================================================
floating point                         samples in [-1, 1]; beyond `waveform.LOUDEST` they are refused, as in files
int16, int32                           full scale is the largest number of the type, as in audio files
one dimension                          mono
(samples, 1), (1, samples)             mono
(samples, 2) to (samples, 8)           channels last, as soundfile reads a file
(2, samples)                           stereo, channels first, as torchaudio reads a file
{"array": ..., "sampling_rate": ...}   samples with their rate, as datasets of Hugging Face hold them
(samples, rate)                        samples with their rate, as torchaudio returns them
=====================================  ==============================================================================

Channels are averaged, unless the model reads a single one. All other inputs are ambiguous, and refused:
``(3, samples)`` and more rows are a batch for one library and channels for another. Several recordings go to
``encode_batch``; several channels can be given last (``samples.T``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wordless.audio.audio_options import Channel
from wordless.audio.reading import whole_rate
from wordless.audio.waveform import Waveform, unusable_peak
from wordless.base.arrays import FloatArray, Floats
from wordless.base.messages import InputError

_Array = npt.NDArray[np.generic] | torch.Tensor
Samples = _Array | Sequence[float] | Sequence[Sequence[float]] | Mapping[str, Any] | tuple[_Array, int]
MAX_CHANNELS, STEREO = 8, 2
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def as_waveform(
    sound: Waveform | Samples, sample_rate: int | None, *, channel: Channel = "mean", name: str = "samples"
) -> Waveform:
    """Return a waveform as it is, and samples with their rate in Hz as one; refuse rates that lack or contradict."""
    if isinstance(sound, Waveform):
        if sample_rate is not None and sample_rate != sound.sample_rate:
            rule = "a Waveform has its own rate: leave sample_rate out, or give the samples alone (waveform.samples)"
            raise InputError(f"sample_rate is {sample_rate} Hz, and the waveform's is {sound.sample_rate} Hz; {rule}")
        _require_usable(sound.samples, name)
        return sound
    given: object = sound
    match given:
        case {"array": samples, "sampling_rate": rate} | (np.ndarray() | torch.Tensor() as samples, int(rate)):
            if sample_rate not in (None, rate):
                raise InputError(f"sample_rate is {sample_rate} Hz, and {name} have {rate} Hz; leave one out")
            return as_waveform(samples, rate, channel=channel, name=name)
        case str() | Path():
            raise InputError(f"{name} are the path {str(given)!r}; read it: wordless.read(path)")
    if sample_rate is None:
        raise InputError("sample_rate is missing; samples alone do not say how fast they were taken: give it in Hz")
    rate = whole_rate(sample_rate)
    return Waveform(samples=mono(sound, channel=channel, name=name), sample_rate=rate)


def each_recording(recordings: object) -> Iterator[tuple[Any, str]]:
    """Give each recording of a batch with its name for messages; a single recording is refused."""
    if isinstance(recordings, Waveform) or not isinstance(recordings, Iterable) or isinstance(recordings, str | bytes):
        problem = f"recordings are of type {type(recordings).__name__}"
        raise InputError(problem, remedy="give a list of recordings, or one recording to encode(...)")
    for number, recording in enumerate(recordings):
        if isinstance(recording, Real) or getattr(recording, "ndim", None) == 0:
            problem = "recordings are the samples of one recording"
            raise InputError(problem, remedy="give it to encode(...), or a list of several")
        yield recording, f"recordings[{number}]"


def mono(samples: object, *, channel: Channel = "mean", name: str = "samples") -> FloatArray:
    """Convert samples to mono float32 ``(samples,)``; the table above lists the shapes.

    Samples of a single channel are returned whatever ``channel`` is. Samples that are not numbers, not finite, of
    unknown full scale, of another shape, without the channel, or too large for sound in [-1, 1] are refused.
    """
    array = by_channel(samples, name)
    if array.ndim == 2:
        count = array.shape[1]
        if channel == "mean" or count == 1:
            array = array.mean(axis=1, dtype=np.float64 if array.dtype == np.float64 else np.float32)
        else:
            number = int(np.argmax(np.var(array, axis=0, dtype=np.float64))) if channel == "loudest" else channel
            if number >= count:
                problem = f"{name} have {count} channels, which count from 0"
                raise InputError(f"{problem}, and the channel {number} of the model is another; give that one")
            array = array[:, number]
    with np.errstate(over="ignore"):
        converted: FloatArray = np.ascontiguousarray(array, dtype=np.float32)
    _require_usable(converted, name)
    return converted


def by_channel(samples: object, name: str) -> Floats:
    """Convert samples to floating point ``(samples,)`` or ``(samples, channels)``; the table above lists the shapes."""
    if isinstance(samples, torch.Tensor):
        there = samples.detach().cpu()
        samples = (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    try:
        array: Floats = np.asarray(samples)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"{name} are not an array ({error}); give numbers (samples,)") from error
    if (kind := array.dtype.newbyteorder("=")) in FULL_SCALE:  # in either order of bytes
        array = array.astype(np.float64) / FULL_SCALE[kind]
    elif not np.issubdtype(array.dtype, np.floating):
        if array.size or array.dtype == object:
            known = "give floating point in [-1, 1], int16 or int32"
            raise InputError(f"{name} are {array.dtype}, of unknown full scale; {known}")
        array = array.astype(np.float32)
    if array.ndim == 1:
        return array
    rows, columns = array.shape if array.ndim == 2 else (0, 0)
    if rows == 1 or (rows == STEREO and columns > MAX_CHANNELS):
        return np.moveaxis(array, 0, 1)
    if columns == 1 or 0 < columns <= MAX_CHANNELS < rows:
        return array
    rule = "give one recording, with channels last (samples.T), or several to encode_batch(...)"
    raise InputError(f"{name} have the shape {array.shape}, in which channels cannot be told from recordings; {rule}")


def _require_usable(samples: FloatArray, name: str) -> None:
    if reason := unusable_peak(float(np.abs(samples).max(initial=0))):
        raise InputError(f"{name}: {reason}; sound lies in [-1, 1]: divide 16-bit numbers by 32768")
