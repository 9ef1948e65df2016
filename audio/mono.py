"""Conversion of samples from callers of the Python API (arrays, lists, tensors of several types) to mono float32.

=====================================  ==============================================================================
input                                  meaning
=====================================  ==============================================================================
floating point                         samples in [-1, 1]; beyond 100 they are refused
int16, int32                           full scale is the largest number of the type, as in audio files
one dimension                          mono
two dimensions, one of 1 to 8          that dimension is the channels; they are averaged
=====================================  ==============================================================================

All other inputs are ambiguous, and refused.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from audio.decoding import MIN_RATE, whole_rate
from audio.waveform import FloatArray, Waveform
from foundation.errors import InputError
from foundation.ranges import require

Samples = npt.NDArray[np.generic] | torch.Tensor | Sequence[float] | Sequence[Sequence[float]]
MAX_CHANNELS = 8
LARGEST = 100.0  # of full scale; larger floating-point samples are integers that nobody scaled
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}


def as_waveform(sound: Waveform | Samples, sample_rate: int | None, *, name: str = "samples") -> Waveform:
    """Return a waveform as it is, and samples with their rate in Hz as a waveform.

    Raises:
        InputError: samples without a rate, a waveform with another rate than its own, a rate that `whole_rate` refuses,
            or samples that `mono` refuses.
    """
    if isinstance(sound, Waveform):
        if sample_rate is not None and sample_rate != sound.sample_rate:
            rule = "a Waveform has its own rate: leave sample_rate out, or give the samples alone (waveform.samples)"
            raise InputError(f"sample_rate is {sample_rate} Hz, and the waveform's is {sound.sample_rate} Hz; {rule}")
        return sound
    if sample_rate is None:
        problem = "sample_rate is missing; samples alone do not say how fast they were taken"
        raise InputError(f"{problem}: give it in Hz")
    return Waveform(samples=mono(sound, name=name), sample_rate=whole_rate(sample_rate, least=MIN_RATE))


def mono(samples: object, *, name: str = "samples") -> FloatArray:
    """Convert ``(samples,)``, ``(samples, channels)`` or ``(channels, samples)`` to mono float32 ``(samples,)``.

    Raises:
        InputError: the samples are not numbers, not finite, of a type whose full scale is unknown, of another shape, or
            so large that they cannot be sound in [-1, 1].
    """
    array = _array(samples, name)
    if array.ndim == 2:
        wide = np.float64 if array.dtype == np.float64 else np.float32
        array = array.mean(axis=_channels(array.shape, name), dtype=wide)
    elif array.ndim != 1:
        raise InputError(f"{name} have {array.ndim} dimensions; give one recording (samples,) at a time")
    with np.errstate(over="ignore"):
        converted: FloatArray = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(converted).all():
        raise InputError(f"{name} hold numbers that are not finite in float32; sound lies in [-1, 1]")
    peak = float(np.abs(converted).max(initial=0))
    remedy = "sound lies in [-1, 1]: divide 16-bit numbers by 32768"
    require(peak <= LARGEST, f"the largest of {name}", f"{peak:.3g}", remedy)
    return converted


def _array(samples: object, name: str) -> npt.NDArray[np.floating]:
    """Convert to floating-point numbers in [-1, 1] of any shape."""
    if isinstance(samples, torch.Tensor):
        there = samples.detach().cpu()
        samples = (there.float() if there.dtype == torch.bfloat16 else there).numpy()
    try:
        array = np.asarray(samples)
    except ValueError as error:  # lists of unequal lengths
        raise InputError(f"{name} are not an array ({error}); give numbers (samples,)") from error
    if np.issubdtype(array.dtype, np.floating):
        return array
    if array.dtype in FULL_SCALE:
        return array.astype(np.float64) / FULL_SCALE[array.dtype]
    if not array.size and array.dtype != object:
        return array.astype(np.float32)
    problem = f"{name} are {array.dtype}, whose full scale is not known"
    raise InputError(f"{problem}; give floating point in [-1, 1], int16 or int32")


def _channels(shape: tuple[int, ...], name: str) -> int:
    """Return which of two axes is the channels."""
    axes = [axis for axis in (0, 1) if shape[axis] == 1] or [axis for axis in (0, 1) if 1 < shape[axis] <= MAX_CHANNELS]
    if len(axes) == 1 or shape == (1, 1):
        return axes[0]
    problem = f"{name} have the shape {shape}, in which channels cannot be told from samples"
    raise InputError(f"{problem}; give one channel, or their mean: samples.mean(axis)")
