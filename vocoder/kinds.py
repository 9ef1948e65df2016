"""The kinds of sound that codes become: everything that commands, stages, figures and pages know about each of them.

To add a kind, add it to `KINDS`. This module imports PyTorch within functions only: commands check their options and
pages are drawn without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from tokenizer.codes import CodeMeanings, Codes


class Stream(Protocol):
    """A function that makes the sound of codes without learning."""

    def __call__(self, codes: Codes, tokenizer: CodeMeanings, *, seed: int) -> Iterator[Tensor]:
        """Yield the samples ``(time,)`` float32 in [-1, 1] piece by piece, ``codes.num_samples`` in all."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to turn codes into sound."""

    key: str  # names it in results.json, in names of WAV files and in synthesis=...
    title: str  # names it in charts and tables
    explanation: str  # a sentence of the report: how codes become this sound
    caveat: str = ""  # sentences of the report: how to read figures of this sound
    marker: str  # of matplotlib
    import_stream: Callable[[], Stream] | None  # gives the function that makes it; None: a run trains a vocoder
    comb: bool = False  # whether its sound may pass the filter and the pitch comb, which plays the codes' pitch
    played_first: bool = False  # whether a report embeds its sound before that of other kinds, while it has room
    version: int = 1  # part of the keys of stored sound: raise it when the same codes sound otherwise

    @property
    def learned(self) -> bool:
        """Whether the kind needs the vocoder that a run has trained."""
        return self.import_stream is None

    @property
    def heading(self) -> str:
        """The title at the beginning of a line."""
        return self.title[0].upper() + self.title[1:]


def _noise_vocoder() -> Stream:
    from vocoder.synthesis import noise_vocoder

    return noise_vocoder


def _griffin_lim() -> Stream:
    from vocoder.synthesis import griffin_lim

    return griffin_lim


def _harmonics() -> Stream:
    from vocoder.synthesis import harmonics

    return harmonics


NOISE_VOCODER = Kind(
    key="noise_vocoder",
    title="noise vocoder",
    explanation="The noise vocoder gives noise the spectrum of the codes.",
    caveat="Noise has no voice. Where noise is recognised as often, label accuracy measures the codes; "
    "pitch and voicing measure the voice.",
    marker="x",
    import_stream=_noise_vocoder,
)
GRIFFIN_LIM = Kind(
    key="griffin_lim",
    title="Griffin-Lim",
    explanation="Griffin-Lim estimates a sound with the spectrum of the codes.",
    marker="o",
    import_stream=_griffin_lim,
    played_first=True,
    version=2,
)
NOISE_COMB = replace(
    NOISE_VOCODER,
    key="noise_comb",
    title="noise + comb",
    explanation="Noise + comb is noise through the post-filter and a pitch comb, with the same pitch.",
    caveat="What noise + comb reaches, the filter and the comb reach without a network.",
    marker="+",
    comb=True,
    version=2,
)
GRIFFIN_LIM_COMB = replace(
    GRIFFIN_LIM,
    key="griffin_lim_comb",
    title="Griffin-Lim + comb",
    explanation="Griffin-Lim + comb passes the same filter and comb.",
    marker="s",
    comb=True,
    played_first=False,
)
HARMONICS = Kind(
    key="harmonics",
    title="harmonics + comb",
    explanation="Harmonics + comb is the sum of the harmonics that the codes mean, which WaveNet reads, and of noise "
    "without a voice and above 3.5 kHz; it passes the same filter and comb.",
    caveat="What harmonics + comb reaches, WaveNet's input, the filter and the comb reach without a network.",
    marker="^",
    import_stream=_harmonics,
    comb=True,
)
WAVENET = Kind(
    key="wavenet",
    title="WaveNet",
    explanation="WaveNet generates the samples.",
    marker="D",
    import_stream=None,
    comb=True,
    played_first=True,
    version=4,
)

# in the order in which figures list them
KINDS = (NOISE_VOCODER, GRIFFIN_LIM, NOISE_COMB, GRIFFIN_LIM_COMB, HARMONICS, WAVENET)
BY_KEY = {kind.key: kind for kind in KINDS}
UNLEARNED = tuple(kind for kind in KINDS if not kind.learned)
CHOICES = tuple(kind.key for kind in reversed(KINDS))  # of synthesis=..., the best sound first
ORIGINAL = "original"  # the recording, beside which all kinds are judged
JUDGED_KINDS = (ORIGINAL, *BY_KEY)
