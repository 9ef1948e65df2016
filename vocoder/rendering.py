"""The path of one sound from codes to samples.

::

    codes --_even_blocks--> frames --generation--> levels --mu-law--> samples --post-filter--> sound
                  └------------------- target log-mel --------------------^
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from tokenizer.codes import CodeMeanings, Codes, IntArray, require_sound
from vocoder.continuing import Prompt
from vocoder.filters import PostFilter, VoiceHead, in_force
from vocoder.frames import frames_of, log_mel_of, pitch_of
from vocoder.generation import CHUNK_FRAMES
from vocoder.options import WaveNetConfig
from vocoder.wavenet import mu_law
from wordless.audio.mono import Samples, as_waveform
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

CODES_TOGETHER = 32  # codes that are looked up in one call
SEMITONES_PER_OCTAVE = 12.0


class Rendering:
    """One sound; target frames go to its post-filter as the codes pass.

    Args:
        tokenizer: decodes the codes.
        config: of the network.
        postfilter: strength of the filter, if the tokenizer's front end keeps levels.
        passes: of the filter.
        voice: predicts the pitch of the filter's comb.
        comb: whether the filter has a comb, where the pitch is predicted or the codes have a stream of it.
        shift: semitones by which the codes' stream of pitch is played higher.
        prompt: recorded beginning of the sound.
        before: recording before the prompt, in whole codes, which only the filter's comb reads; None: there is none.
    """

    def __init__(
        self,
        tokenizer: CodeMeanings,
        config: WaveNetConfig,
        *,
        postfilter: float,
        passes: int,
        voice: VoiceHead | None,
        comb: bool,
        shift: float = 0.0,
        prompt: Waveform | Samples | None,
        before: Prompt | None = None,
    ) -> None:
        self.tokenizer, self.config, self.shift = tokenizer, config, shift / SEMITONES_PER_OCTAVE
        self.prompt = None if prompt is None else _levels(prompt_waveform(prompt, config.sample_rate), config)
        audio, begin = tokenizer.front_end, 0 if self.prompt is None else len(self.prompt)
        strength = in_force(postfilter, audio)
        self.filter = (
            PostFilter(
                audio,
                strength=strength,
                passes=passes,
                prompt=begin,
                voice=voice,
                comb=comb and (voice is not None or tokenizer.format.pitch is not None),
            )
            if strength
            else None
        )
        if self.filter is not None and before is not None:
            heard = mu_law.decode(_levels(before.waveform, config), levels=config.levels)
            values = before.codes.values
            self.filter.hear(heard, log_mel_of(values, tokenizer), pitch_of(values, tokenizer))
        self.num_samples = 0  # of all codes so far

    def frames(self, blocks: Iterable[Codes]) -> Iterator[Tensor]:
        """Give the network's conditions ``(frames, inputs)``, block by block."""
        for values in _even_blocks(self._counted(blocks)):
            if self.filter is not None:
                pitch = pitch_of(values, self.tokenizer)
                self.filter.expect(log_mel_of(values, self.tokenizer), None if pitch is None else pitch + self.shift)
            yield frames_of(values, self.tokenizer, self.config)

    def samples(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        """Give samples ``(time,)`` for levels in whole frames, as soon as the filter returns them.

        Frames of the last code may lie beyond the sound's end; their samples are cut off.
        """
        made = 0
        for samples in self._filtered(levels):
            yield samples[: max(self.num_samples - made, 0)]
            made += len(samples)

    def whole(self, levels: Tensor) -> Tensor:
        """Return all samples ``(time,)`` of all levels, computed in the same pieces as `samples` computes a stream."""
        chunk = CHUNK_FRAMES * self.config.hop_length
        return torch.cat([*self.samples(torch.split(levels, chunk))])

    def _counted(self, blocks: Iterable[Codes]) -> Iterator[Codes]:
        for block in blocks:
            if self.num_samples % block.format.samples_per_code:
                raise InputError(
                    f"a block of codes ends at sample {self.num_samples}, within a code of "
                    f"{block.format.samples_per_code}, and another follows; only the last block may"
                )
            self.num_samples += block.num_samples
            yield block

    def _filtered(self, levels: Iterable[Tensor]) -> Iterator[Tensor]:
        for each in levels:
            samples = mu_law.decode(each, levels=self.config.levels)
            yield samples if self.filter is None else self.filter.filter(samples)
        if self.filter is not None:
            yield self.filter.finish()


def prompt_waveform(prompt: Waveform | Samples, own_rate: int, sample_rate: int | None = None) -> Waveform:
    """Return a prompt as a waveform; samples without a ``sample_rate`` have the vocoder's own."""
    require_sound(prompt, "prompt")
    known = isinstance(prompt, Waveform) or sample_rate is not None
    return as_waveform(prompt, sample_rate if known else own_rate, name="prompt")


def _levels(prompt: Waveform, config: WaveNetConfig) -> Tensor:
    if prompt.sample_rate != config.sample_rate:
        raise InputError(
            f"the prompt is at {prompt.sample_rate} Hz, the vocoder at {config.sample_rate} Hz: read the prompt at "
            f"the latter rate, such as wordless.read(path, {config.sample_rate})"
        )
    return mu_law.encode(torch.from_numpy(prompt.samples), levels=config.levels)


def _even_blocks(blocks: Iterable[Codes]) -> Iterator[IntArray]:
    """Give values ``(time, streams)`` of codes, `CODES_TOGETHER` at a time counted from the first.

    Fixed sizes make the results independent of the blocks: matrix products of other shapes round differently.
    """
    waiting: list[IntArray] = []
    for block in blocks:
        values = np.concatenate([*waiting, block.values])
        whole = len(values) // CODES_TOGETHER * CODES_TOGETHER
        for start in range(0, whole, CODES_TOGETHER):
            yield values[start : start + CODES_TOGETHER]
        waiting = [values[whole:]]
    if waiting and len(waiting[0]):
        yield waiting[0]
