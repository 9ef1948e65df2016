"""WaveNet as a synthesis: a trained vocoder with its tokenizer and sampling options."""

from collections.abc import Iterator, Sequence

from audio.spectrogram import SpectrogramConfig
from audio.waveform import Waveform
from tokenizer.codes import CodeMeanings, Codes, join_codes
from vocoder.continuing import Prompt, after
from vocoder.generation import Progress
from vocoder.postfilter import in_force
from vocoder.runaway import RunawayGuard
from vocoder.sampling import Sampling
from vocoder.vocoder import Vocoder


class Trained:
    """A trained vocoder that turns codes into sound; it implements `vocoder.synthesis.Synthesis`.

    Raises:
        InputError: the vocoder belongs to another tokenizer, or was trained without the group of the sampling.
    """

    def __init__(self, vocoder: Vocoder, tokenizer: CodeMeanings, sampling: Sampling) -> None:
        vocoder.require_tokenizer(tokenizer)
        vocoder.group_index(sampling.group)
        self.vocoder, self.tokenizer, self.sampling = vocoder, tokenizer, sampling

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of its training."""
        return self.vocoder.model.config.groups

    @property
    def guard(self) -> RunawayGuard | None:
        """Guard that draws runaway blocks again, and counts them."""
        return self.vocoder.guard

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group clips as its engine generates them."""
        return self.vocoder.side_by_side(lengths)

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """Decode each clip to sound; after a prompt, the network's past is the prompt's own samples."""
        heard = [prompt.end(self._heard_steps()) if prompt else None for prompt in prompts or [None] * len(codes)]
        whole = self.vocoder.decode_batch(
            [join_codes(prompt.codes, new) if prompt else new for prompt, new in zip(heard, codes, strict=True)],
            self.tokenizer,
            prompts=[prompt.waveform if prompt else None for prompt in heard],
            groups=[self._voice(group) for group in groups],
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            seed=self.sampling.seed,
            progress=progress,
        )
        return [
            after(sound, len(prompt.waveform.samples) if prompt else 0)
            for sound, prompt in zip(whole, heard, strict=True)
        ]

    def stream(self, codes: Codes, group: str | None) -> Iterator[Waveform]:
        """Decode one clip, piece by piece."""
        return self.vocoder.stream(
            [codes],
            self.tokenizer,
            group=self._voice(group),
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            seed=self.sampling.seed,
        )

    def notices(self) -> Iterator[str]:
        """Give notices about a replaced engine, and about a post-filter that stays off."""
        if notice := self.vocoder.chosen.notice:
            yield notice
        if self.vocoder.postfilter and not in_force(self.vocoder.postfilter, self.tokenizer.front_end):
            yield _unfiltered(self.tokenizer.front_end)

    def _voice(self, own: str | None) -> str | None:
        return self.sampling.group or (own if own in self.groups else None)

    def _heard_steps(self) -> int:
        """Return the time steps at the end of a prompt that influence the new sound, by samples or by frames."""
        config = self.vocoder.model.config
        return -(-config.receptive_field // config.samples_per_code) - (
            -config.look_ahead_frames // config.patch_frames
        )


def _unfiltered(audio: SpectrogramConfig) -> str:
    """Say why the requested post-filter stays off."""
    reasons = {
        f"audio.remove_mean={audio.remove_mean} takes each mel band's mean off": audio.remove_mean != "none",
        f"audio.dynamic_range={audio.dynamic_range} hides what is soft": audio.dynamic_range is not None,
    }
    because = " and ".join(reason for reason, given in reasons.items() if given)
    return (
        f"the post-filter stays off: {because} before the codes, which then do not say how loud a band is to be; "
        "WaveNet's sound stays as it is"
    )
