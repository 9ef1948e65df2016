"""Vocoders that learn nothing as a synthesis: a function from codes to samples, with its tokenizer and seed."""

from collections.abc import Iterator, Sequence

import numpy as np

from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes, join_codes
from vocoder.continuing import Prompt, after
from vocoder.generation import Progress
from vocoder.kinds.kind import Stream
from vocoder.runaway import RunawayGuard
from vocoder.sampling import Sampling


class Unlearned:
    """A function that makes sound of codes without learning; it implements `vocoder.synthesis.Synthesis`."""

    groups: tuple[str, ...] = ()
    guard: RunawayGuard | None = None

    def __init__(self, make: Stream, tokenizer: CodeMeanings, sampling: Sampling, *, name: str) -> None:
        self.make, self.tokenizer, self.seed, self.name = make, tokenizer, sampling.seed, name

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group each clip alone, the shortest first."""
        return [[clip] for clip in sorted(range(len(lengths)), key=lambda clip: lengths[clip])]

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """Decode each clip; a prompt is decoded with its clip, and cut off."""
        made, total = list[Waveform](), sum(clip.num_samples for clip in codes)
        for clip, prompt in zip(codes, prompts or [None] * len(codes), strict=True):
            begun = prompt.codes.num_samples if prompt else 0
            pieces = [piece.samples for piece in self.stream(join_codes(prompt.codes, clip) if prompt else clip)]
            samples = np.concatenate([np.zeros(0, np.float32), *pieces])
            made.append(after(Waveform(samples=samples, sample_rate=clip.format.sample_rate), begun))
            if progress is not None:
                progress(sum(len(sound.samples) for sound in made), total)
        return made

    def stream(self, codes: Codes, group: str | None = None) -> Iterator[Waveform]:
        """Decode one clip, piece by piece."""
        for piece in self.make(codes, self.tokenizer, seed=self.seed):
            yield Waveform(samples=piece.numpy(), sample_rate=codes.format.sample_rate)

    def notices(self) -> Iterator[str]:
        """Give a notice if the codes have no mean: the sound then lacks its level."""
        if (removal := self.tokenizer.front_end.remove_mean) != "none":
            yield (
                f"audio.remove_mean={removal} took each mel band's mean off before the codes, and nothing puts it "
                f"back: sound by {self.name} has another loudness and colour than the recording"
            )
