"""The methods by which codes become sound: everything that commands, stages, figures and pages know about each of them.

To add a kind, add it to `SYNTHESIS_METHODS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from tokenizer.codes import CodeDecoder, Codes
from vocoder.unlearned import griffin_lim, harmonics


class Stream(Protocol):
    """A function that makes the sound of codes without learning."""

    def __call__(self, codes: Codes, tokenizer: CodeDecoder, *, seed: int) -> Iterator[Tensor]:
        """Yield the samples ``(time,)`` float32 in [-1, 1] piece by piece, ``codes.num_samples`` in all."""


@dataclass(frozen=True, kw_only=True)
class SynthesisMethod:
    """One way to turn codes into sound."""

    key: str  # names it in results.json, in names of WAV files and in synthesis=...
    title: str  # names it in charts and tables
    explanation: str  # a sentence of the report: how codes become this sound
    caveat: str = ""  # sentences of the report: how to read figures of this sound
    marker: str  # of matplotlib
    stream: Stream | None  # makes the sound; None: a run trains a vocoder
    comb: bool = False  # whether its sound may pass the filter and the pitch comb, which plays the codes' pitch
    version: int = 1  # part of the keys of stored sound: raise it when the same codes sound otherwise

    @property
    def learned(self) -> bool:
        """Whether the kind needs the vocoder that a run has trained."""
        return self.stream is None

    @property
    def heading(self) -> str:
        """The title at the beginning of a line."""
        return self.title[0].upper() + self.title[1:]


GRIFFIN_LIM = SynthesisMethod(
    key="griffin_lim",
    title="Griffin-Lim",
    explanation="Griffin-Lim estimates a sound with the spectrum of the codes.",
    marker="o",
    stream=griffin_lim,
)
HARMONICS = SynthesisMethod(
    key="harmonics",
    title="harmonics + comb",
    explanation="Harmonics + comb is the sum of the harmonics that the codes mean, which WaveNet reads, and of noise "
    "without a voice and above 3.5 kHz; it passes the same filter and comb.",
    caveat="What harmonics + comb reaches, WaveNet's input, the filter and the comb reach without a network: the "
    "difference between the two is the network's part.",
    marker="^",
    stream=harmonics,
    comb=True,
)
WAVENET = SynthesisMethod(
    key="wavenet",
    title="WaveNet",
    explanation="WaveNet generates the samples.",
    marker="D",
    stream=None,
    comb=True,
)

# in the order in which figures list them
SYNTHESIS_METHODS = (GRIFFIN_LIM, HARMONICS, WAVENET)
BY_KEY = {kind.key: kind for kind in SYNTHESIS_METHODS}
SIGNAL_PROCESSING = tuple(kind for kind in SYNTHESIS_METHODS if not kind.learned)
CHOICES = tuple(kind.key for kind in reversed(SYNTHESIS_METHODS))  # of synthesis=..., the best sound first
ORIGINAL = "original"  # the recording, beside which all kinds are judged
# The same kinds from the recorded log-mel: what the synthesis alone loses. The others also lose what the codes lose.
FROM_RECORDED = {
    kind.key: replace(kind, key=f"{kind.key}_recorded", title=f"{kind.title}, recorded log-mel")
    for kind in (HARMONICS, WAVENET)
}
WAVENET_RECORDED = FROM_RECORDED[WAVENET.key].key
COMPARED_SYNTHESIS = (*(kind.key for kind in FROM_RECORDED.values()), *BY_KEY, ORIGINAL)  # in the order of tables
