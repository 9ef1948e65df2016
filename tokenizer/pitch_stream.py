"""The stream of pitch: a code for the pitch of each patch, from the recording's samples::

    hops     [  h0  ][  h1  ][  h2  ][  h3  ]     of the front end; the pitch of each, or no voice
    codes    [      c0      ][      c1      ]     no voice if fewer than half of the hops have one, else their mean

Speech resynthesis from units with a stream of log-F0 is that of Polyak et al. 2021 (arXiv:2104.00355), language models
of both that of Kharitonov et al. 2022 (arXiv:2109.03264).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from tokenizer.codes import Codes, PitchFormat
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.pitch_contour import PitchTracker
from wordless.base.arrays import DoubleArray, FloatArray, IntArray


def pitch_of_patches(octaves: DoubleArray, frames: int) -> DoubleArray:
    """Average the pitch of hops ``(patches * frames,)`` over each patch; nan: no voice in more than half of it."""
    hops = octaves.reshape(-1, frames)
    voiced = ~np.isnan(hops)
    counts = voiced.sum(axis=1)
    means = np.where(voiced, hops, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(2 * counts >= frames, np.where(counts, means, np.nan), np.nan)


def flattened(codes: Codes) -> Codes:
    """Give all voiced codes one pitch, the median of them."""
    pitch = _pitch(codes)
    voiced = pitch > 0
    return _with_pitch(codes, np.full(voiced.sum(), np.median(pitch[voiced]))) if voiced.any() else codes


def transplanted(codes: Codes, melody: Codes) -> Codes:
    """Give voiced codes the pitch of another recording, interpolated and stretched to their length."""
    pitch, given = _pitch(codes), _pitch(melody)
    known = np.flatnonzero(given > 0)
    if not len(known):
        return codes
    places = (np.flatnonzero(pitch > 0) + 0.5) * len(given) / len(pitch) - 0.5
    return _with_pitch(codes, np.interp(places, known, given[known]))


def _with_pitch(codes: Codes, pitches: DoubleArray) -> Codes:
    """Replace the codes of pitch of all voiced time steps ``(voiced,)``; codes are equal steps, so they are rounded."""
    own = codes.format.pitch
    assert own is not None, "the codes have a pitch"
    changed = codes.beside(own).copy()
    changed[changed > 0] = np.rint(pitches)
    return codes.with_beside(codes.format, {own: changed})


def _pitch(codes: Codes) -> IntArray:
    return np.zeros(len(codes), np.int32) if codes.format.pitch is None else codes.beside(codes.format.pitch)


def pitch_codes(
    blocks: Iterable[FloatArray], format: PitchFormat, audio: SpectrogramConfig, patch_frames: int
) -> Iterator[IntArray]:
    """Give the codes of the pitch of blocks ``(samples,)`` of any sizes, as soon as they are known."""
    tracker, octaves = PitchTracker(audio.sample_rate, audio.hop_length), np.zeros(0)
    for block in blocks:
        octaves = np.append(octaves, tracker.add(block))
        known = len(octaves) // patch_frames * patch_frames
        yield format.quantise(pitch_of_patches(octaves[:known], patch_frames))
        octaves = octaves[known:]
    octaves = np.append(octaves, tracker.finish())
    silence = np.full(-len(octaves) % patch_frames, np.nan)
    yield format.quantise(pitch_of_patches(np.append(octaves, silence), patch_frames))
