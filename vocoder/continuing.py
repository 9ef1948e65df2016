"""Sound that continues a recording: the vocoder reads the end of the recording and generates the sound after it.

::

    recording      [.....................][ end ]
    codes                                 [ end ][ codes of the language model ]
    vocoder                               hears  | says
    result         [.....................][ end ][ new sound                         ]
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from tokenizer.codes import Codes, CodesFormat
from wordless.audio.levels import Excerpt, block_energies, half_energy
from wordless.audio.waveform import Waveform, skip_samples


class Coder(Protocol):
    """A tokenizer, of one rate or of several."""

    @property
    def format(self) -> CodesFormat:
        """The format of its codes."""

    def encode(self, waveform: Waveform, /) -> Codes:
        """Encode a waveform at the codes' rate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """A recording, and the codes that stand for it."""

    waveform: Waveform  # at the codes' rate, codes.num_samples long
    codes: Codes

    def crop(self, start: int, stop: int) -> "Prompt":
        """Return time steps ``[start, stop)``."""
        codes, first = self.codes.crop(start, stop), start * self.codes.format.samples_per_code
        samples = self.waveform.samples[first : first + codes.num_samples]
        return Prompt(waveform=replace(self.waveform, samples=samples), codes=codes)

    @classmethod
    def alone(cls, waveform: Waveform, coder: Coder, start: int, stop: int) -> "Prompt":
        """Return time steps ``[start, stop)`` encoded alone: other codes may know the sound that a model invents."""
        step = coder.format.samples_per_code
        prompt = replace(waveform, samples=waveform.samples[start * step : stop * step])
        return cls(waveform=prompt, codes=coder.encode(prompt))

    @classmethod
    def of_excerpt(cls, excerpt: Excerpt, coder: Coder, *, least_seconds: float = 0.0) -> "Prompt":
        """Return half of an excerpt, in whole codes, at least one, as the prompt of the language model.

        For a whole clip this is the first half. The first half of an excerpt from a longer clip may be silent, so there
        the prompt ends where half of the excerpt's energy has passed. A prompt shorter than ``least_seconds`` grows to
        this length, but to three quarters of the excerpt at most.
        """
        step, rate = coder.format.samples_per_code, excerpt.waveform.sample_rate
        steps = len(excerpt.waveform.samples) // step
        length = max(steps // 2, min(math.ceil(least_seconds * rate / step), steps * 3 // 4), 1)
        start = 0
        if not excerpt.whole:
            samples = excerpt.waveform.samples
            _, energies = block_energies([samples - samples.mean()], step)  # a constant offset is no sound
            start = min(max(half_energy(energies) + 1 - length, 0), max(steps - length, 0))
        return cls.alone(excerpt.waveform, coder, start, start + length)


def joined_sound(prompt: Waveform, more: Waveform) -> Waveform:
    return replace(more, samples=np.concatenate([prompt.samples, more.samples]))


def after(pieces: Iterable[Waveform], prompt: Waveform) -> Iterator[Waveform]:
    """Give a sound that arrives in pieces without its beginning, which is as long as a prompt."""
    for samples in skip_samples((piece.samples for piece in pieces), len(prompt.samples)):
        yield replace(prompt, samples=samples)
