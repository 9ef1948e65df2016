"""The stream of pitch: a code for the pitch of each patch, from the recording's samples.

::

    hops     [  h0  ][  h1  ][  h2  ][  h3  ]     of the front end; the pitch of each, or no voice
    codes    [      c0      ][      c1      ]     no voice if fewer than half of the hops have one, else their mean

Speech resynthesis from units with a stream of log-F0 is that of Polyak et al. 2021 (arXiv:2104.00355), language models
of both that of Kharitonov et al. 2022 (arXiv:2109.03264).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tokenizer.codes import Codes, IntArray, PitchFormat
from wordless.audio.options import SpectrogramConfig
from wordless.audio.pitch import PitchTracker
from wordless.audio.waveform import FloatArray


def pitch_of_patches(octaves: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.float64]:
    """Average the pitch of hops ``(patches * frames,)`` over each patch; nan: no voice in more than half of it."""
    hops = octaves.reshape(-1, frames)
    voiced = ~np.isnan(hops)
    counts = voiced.sum(axis=1)
    means = np.where(voiced, hops, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(2 * counts >= frames, np.where(counts, means, np.nan), np.nan)


def flattened(codes: Codes) -> Codes:
    """Give all voiced codes one pitch, the median of them."""
    pitch = codes.values[:, -1]
    voiced = pitch > 0
    return _with_pitch(codes, np.full(voiced.sum(), np.median(pitch[voiced]))) if voiced.any() else codes


def transplanted(codes: Codes, melody: Codes) -> Codes:
    """Give voiced codes the pitch of another recording, stretched to their length; what has no voice keeps none.

    Between the voiced codes of the other recording the pitch is interpolated; one without a voice changes nothing.
    """
    pitch, given = codes.values[:, -1], melody.values[:, -1]
    known = np.flatnonzero(given > 0)
    if not len(known):
        return codes
    places = (np.flatnonzero(pitch > 0) + 0.5) * len(given) / len(pitch) - 0.5
    return _with_pitch(codes, np.interp(places, known, given[known]))


def _with_pitch(codes: Codes, pitches: npt.NDArray[np.float64]) -> Codes:
    """Replace the codes of pitch of all voiced time steps ``(voiced,)``; codes are equal steps, so they are rounded."""
    values = codes.values.copy()
    values[values[:, -1] > 0, -1] = np.rint(pitches)
    return replace(codes, values=values)


class PitchReader:
    """The codes of a recording's pitch, while its samples pass by in pieces of any sizes."""

    def __init__(self, format: PitchFormat, audio: SpectrogramConfig, patch_frames: int) -> None:
        self.format, self.frames = format, patch_frames
        self.tracker = PitchTracker(audio.sample_rate, audio.hop_length)
        self.octaves = np.zeros(0)  # of hops whose codes were not taken

    def passing(self, blocks: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Give the blocks ``(samples,)`` as they are, and read them."""
        for block in blocks:
            self.octaves = np.concatenate([self.octaves, self.tracker.add(block)])
            yield block

    @property
    def known(self) -> int:
        """Number of codes that can be taken."""
        return len(self.octaves) // self.frames

    def finish(self) -> None:
        """Read the end of the recording; the patch that it lies in has no voice after it."""
        rest = self.tracker.finish()
        silence = np.full(-(len(self.octaves) + len(rest)) % self.frames, np.nan)
        self.octaves = np.concatenate([self.octaves, rest, silence])

    def take(self, steps: int) -> IntArray:
        """Return the next codes ``(steps,)``."""
        taken, self.octaves = self.octaves[: steps * self.frames], self.octaves[steps * self.frames :]
        return self.format.quantise(pitch_of_patches(taken, self.frames))
