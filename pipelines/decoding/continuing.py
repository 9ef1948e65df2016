"""Sound that goes on from a recording: the vocoder hears the end of it, and what it then says is joined to it.

::

    recording      [.....................][ end ]
    codes                                 [ end ][ what the language model says next ]
    vocoder                               hears  | says
    result         [.....................][ end ][ new sound                         ]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes, join_codes
from vocoder.generation import Progress
from vocoder.vocoder import Vocoder


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """A recording, and the codes that stand for it."""

    waveform: Waveform  # at the codes' rate, codes.num_samples long
    codes: Codes

    @classmethod
    def beginning(cls, waveform: Waveform, codes: Codes, steps: int) -> "Prompt":
        """The first time steps of a recording and of its codes."""
        return cls.within(waveform, codes, 0, steps)

    @classmethod
    def within(cls, waveform: Waveform, codes: Codes, start: int, stop: int) -> "Prompt":
        """Time steps ``[start, stop)`` of a recording and of its codes."""
        prompt, first = codes.crop(start, stop), start * codes.format.samples_per_code
        samples = waveform.samples[first : first + prompt.num_samples]
        return cls(waveform=Waveform(samples=samples, sample_rate=waveform.sample_rate), codes=prompt)

    def end(self, steps: int) -> "Prompt":
        """Its last time steps, or all of fewer."""
        start = max(len(self.codes.values) - steps, 0)
        samples = self.waveform.samples[start * self.codes.format.samples_per_code :]
        return Prompt(
            waveform=Waveform(samples=samples, sample_rate=self.waveform.sample_rate),
            codes=self.codes.crop(start, len(self.codes.values)),
        )


def continued(
    vocoder: Vocoder,
    tokenizer: CodeMeanings,
    prompts: Sequence[Prompt | None],
    more: Sequence[Codes],
    *,
    groups: Sequence[str | None],
    temperature: float,
    seed: int,
    progress: Progress | None = None,
) -> list[Waveform]:
    """The new sound of each continuation, its prompt left out; of one without a prompt, a sound from its beginning.

    Raises:
        InputError: codes, tokenizer and vocoder do not belong together.
    """
    ends = [prompt.end(_heard_steps(vocoder)) if prompt else None for prompt in prompts]
    whole = vocoder.decode_batch(
        [join_codes(end.codes, new) if end else new for end, new in zip(ends, more, strict=True)],
        tokenizer,
        prompts=[end.waveform if end else None for end in ends],
        groups=groups,
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    return [after(sound, len(end.waveform.samples) if end else 0) for sound, end in zip(whole, ends, strict=True)]


def joined_sound(prompt: Waveform, more: Waveform) -> Waveform:
    """A recording and what follows it, as one sound."""
    return Waveform(samples=np.concatenate([prompt.samples, more.samples]), sample_rate=more.sample_rate)


def _heard_steps(vocoder: Vocoder) -> int:
    """Time steps beyond which nothing reaches the new sound, neither samples nor frames."""
    config = vocoder.model.config
    return -(-config.receptive_field // config.samples_per_code) - (-config.look_ahead_frames // config.patch_frames)


def after(sound: Waveform, start: int) -> Waveform:
    """A sound without its first samples."""
    return Waveform(samples=sound.samples[start:], sample_rate=sound.sample_rate)
