"""Sampling options of a vocoder: one value from a command's options down to the engine.

This module does not import PyTorch: commands check their options before that import, which takes seconds.
"""

from dataclasses import dataclass, fields
from typing import Literal

from wordless.base.options import Options, option
from wordless.base.seeds import MAX_SEED

TEMPERATURE = 1.0  # with post-filter and pitch comb best on validation clips; colder sampling hums: docs/results.md
PASSES = 2  # of the post-filter: a WaveNet of minutes is recognised as often as its codes only from the second pass on
MOST_PASSES = 8

VOCODER_TEMPERATURE = "temperature of WaveNet; 0: always the most probable sample; 1: the network's own probabilities"
VOCODER_TOP_P = "WaveNet draws among the most probable samples that together reach this probability"

EngineChoice = Literal["auto", "torch", "numba", "numba_bf16", "cuda_graph", "triton", "triton_fp16"]


@dataclass(frozen=True, kw_only=True)
class SoundOptions(Options):
    """Engine and filter of WaveNet's sound, wherever options of sound are given."""

    postfilter: float = option(
        1.0,
        "strength of the filter that gives WaveNet's sound the spectrum of its codes; 0: none",
        least=0,
        most=1,
    )
    postfilter_passes: int = option(
        PASSES,
        "number of times that this filter is applied: a second pass helps a WaveNet of minutes; each pass delays a "
        "stream by 15 to 20 ms",
        least=1,
        most=MOST_PASSES,
    )
    pitch_comb: bool = option(True, "gives WaveNet the periodicity of a voice; false after an hour of training")
    engine: EngineChoice = option("auto", "the code that generates WaveNet's samples; auto: the fastest")

    def sampled(
        self, *, temperature: float, top_p: float = 1.0, seed: int = 0, group: str | None = None, shift: float = 0.0
    ) -> "Sampling":
        """Return the sampling options of a vocoder with this engine and filter."""
        own = {field.name: getattr(self, field.name) for field in fields(SoundOptions)}
        return Sampling(temperature=temperature, top_p=top_p, seed=seed, group=group, shift=shift, **own)


@dataclass(frozen=True, kw_only=True)
class Sampling(SoundOptions):
    """Sampling options of a vocoder. Griffin-Lim and other kinds without learning use only the seed."""

    temperature: float = option(TEMPERATURE, VOCODER_TEMPERATURE, least=0)
    top_p: float = option(1.0, VOCODER_TOP_P, above=0, most=1)
    seed: int = option(0, "the seed of each sound follows from it and the sound's name", least=0, most=MAX_SEED)
    group: str | None = None  # voice of all clips; None: each clip's own where it is known, else the average
    shift: float = 0.0  # semitones by which the pitch comb plays the codes' stream of pitch higher
