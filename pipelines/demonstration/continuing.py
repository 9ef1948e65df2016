"""A continuation of a sound, as it is made."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lm.generation import Sampling
from pipelines.decoding.options import sample_name
from pipelines.demonstration.analysis import Analysis
from pipelines.demonstration.models import DemoModels
from vocoder.continuing import Coder, Prompt
from vocoder.kinds import Kind
from wordless.audio.waveform import FloatArray, Waveform
from wordless.base.errors import InputError
from wordless.base.ranges import require
from wordless.base.seeds import require_seed

MOST_SECONDS = 30.0  # of new sound
QUIET_DB = 30.0  # a block this far below the prompt's loudest block counts as silence
BLOCK_SECONDS = 0.02
MOSTLY = 0.8  # share of blocks


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for."""

    after: float  # seconds of the sound that are the prompt, in whole codes
    seconds: float  # of new sound
    temperature: float  # of the language model
    seed: int
    kind: Kind  # of the sound
    group: str | None = None  # voice; None: the average

    def __post_init__(self) -> None:
        rule = f"ask for more than 0 and at most {MOST_SECONDS:g} s"
        require(0 < self.seconds <= MOST_SECONDS, "seconds", self.seconds, rule)
        _ = self.sampling
        require_seed(self.seed, "seed")

    @property
    def sampling(self) -> Sampling:
        """Sampling options of the language model."""
        return Sampling(temperature=self.temperature, top_k=50)  # as `wordless generate`


def prompt_of(analysis: Analysis, after: float, coder: Coder) -> Prompt:
    """Return the beginning of a sound, in whole codes, at least one, encoded as if nothing followed it."""
    form = analysis.codes.format
    steps = min(round(after * form.codes_per_second), analysis.whole_steps)
    if steps < 1:
        raise InputError(f"The prompt is shorter than one code, {1 / form.codes_per_second:.3f} s; continue later.")
    return Prompt.alone(analysis.waveform, coder, 0, steps)


def continue_sound(models: DemoModels, prompt: Prompt, request: Request) -> Iterator[Waveform]:
    """Give the sound after a prompt, piece by piece, as soon as the models have made a piece.

    Together the pieces are the sound of ``wordless generate`` with the same prompt and options. Codes at several rates
    are generated before the first piece, because finer codes follow from all coarser ones.
    """
    model = models.language_model
    assert model is not None, "a run without a language model offers no continuation"
    length, sampling, seed = request.seconds, request.sampling, request.seed
    codes = model.stream(prompt.codes, seconds=length, sampling=sampling, seed=seed)
    synthesis = models.synthesis(request.kind, group=request.group, seed=seed)
    finest = (each.finest for each in codes)
    return synthesis.continued(prompt.finest, finest, None, name=sample_name(0))


def mostly_silent(prompt: Waveform, more: Waveform) -> bool:
    """Return whether most of a continuation is far softer than the loudest part of its prompt."""
    loudest = _levels(prompt).max(initial=-np.inf)
    levels = _levels(more)
    return bool(len(levels)) and float((levels < loudest - QUIET_DB).mean()) > MOSTLY


def _levels(sound: Waveform) -> FloatArray:
    """Compute the level of each block in dB."""
    size = max(round(BLOCK_SECONDS * sound.sample_rate), 1)
    blocks = sound.samples[: len(sound.samples) // size * size].reshape(-1, size)
    levels: FloatArray = 10 * np.log10((blocks**2).mean(axis=1) + 1e-12)
    return levels
