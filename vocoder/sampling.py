"""Sampling options of a vocoder: one value from a command's options down to the engine.

This module does not import PyTorch: commands check their options before that import, which takes seconds.
"""

import math
from dataclasses import dataclass
from typing import Literal

from wordless.base.ranges import require
from wordless.base.seeds import require_seed

TEMPERATURE = 1.0  # with post-filter and pitch comb best on validation clips; colder sampling hums: docs/results.md
PASSES = 2  # of the post-filter: a WaveNet of minutes is recognised as often as its codes only from the second pass on
MOST_PASSES = 8

EngineChoice = Literal["auto", "torch", "numba", "numba_bf16", "cuda_graph"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Sampling options of a vocoder. Griffin-Lim and other kinds without learning use only the seed."""

    temperature: float = TEMPERATURE  # divides the logits; 1: as learned; 0 always takes the most probable level
    top_p: float = 1.0  # draws among the most probable levels that together reach this probability
    seed: int = 0  # of the random numbers; a `Synthesis` derives one for each sound from it and the sound's name
    postfilter: float = 1.0  # strength of WaveNet's post-filter
    postfilter_passes: int = PASSES
    engine: EngineChoice = "auto"  # what computes WaveNet's samples
    group: str | None = None  # voice of all clips; None: each clip's own where it is known, else the average

    def __post_init__(self) -> None:
        rule = "choose 0 (the most probable) or more, 1 as learned"
        require(0 <= self.temperature < math.inf, "temperature", self.temperature, rule)
        require(0 < self.top_p <= 1, "top_p", self.top_p, "choose a probability above 0, 1 for all levels")
        require_strength(self.postfilter)
        require_passes(self.postfilter_passes)
        require_seed(self.seed, "seed")


def require_strength(strength: float, *, option: str = "postfilter") -> None:
    """Refuse what is no share of the difference."""
    require(0 <= strength <= 1, option, strength, "choose 0 (WaveNet's own sound) to 1 (all that is missing)")


def require_passes(passes: int, *, option: str = "postfilter_passes") -> None:
    """Refuse a number of passes that the post-filter does not make."""
    rule = f"choose 1 to {MOST_PASSES} passes; a strength of 0 turns the post-filter off"
    require(passes in range(1, MOST_PASSES + 1), option, passes, rule)
