"""Decoding codes to sound, by a trained vocoder and without learning."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import BLOCK, CodeDecoder, Codes, join_codes
from vocoder.engines import Engine, streams_side_by_side
from vocoder.filters import REMEMBERED, PostFilter, VoiceHead, create_filter
from vocoder.frames import pitch_of
from vocoder.generation import RunawayGuard, SampleProgress
from vocoder.kinds import HARMONICS, SynthesisMethod
from vocoder.unlearned import frame_blocks, harmonics
from vocoder.vocoder import SAMPLING, SEMITONES_PER_OCTAVE, DecodingInput, Prompt, Sound, Vocoder, after
from vocoder.vocoder_options import Sampling
from wordless.audio.waveform import Waveform, join_blocks
from wordless.base.messages import written
from wordless.base.seeds import sound_seed


class SignalProcessingBaseline:
    """A signal-processing baseline, which makes sound as a `Vocoder` does, but for groups and recorded beginnings.

    Some kinds pass the filters of the sampling, and a comb whose pitch is that of the codes, or is predicted by
    ``voice``, as does a WaveNet that reads no pitch.
    """

    def __init__(self, kind: SynthesisMethod, *, voice: VoiceHead | None = None) -> None:
        assert kind.stream is not None, "a learned kind needs a vocoder"
        self.kind, self.make, self.voice = kind, kind.stream, voice

    def decode_batch(
        self,
        clips: Sequence[DecodingInput],
        tokenizer: CodeDecoder,
        sampling: Sampling = SAMPLING,
        *,
        progress: SampleProgress | None = None,
    ) -> list[Waveform]:
        """Decode each clip with its seed."""
        made, total = list[Waveform](), sum(clip.codes.num_samples for clip in clips)
        for clip in clips:
            pieces = self.stream([clip.codes], tokenizer, replace(sampling, seed=clip.seed))
            samples = join_blocks(piece.samples for piece in pieces)
            made.append(Waveform(samples=samples, sample_rate=clip.codes.format.sample_rate))
            if progress is not None:
                progress(sum(len(sound.samples) for sound in made), total)
        return made

    def stream(
        self,
        blocks: Iterable[Codes],
        tokenizer: CodeDecoder,
        sampling: Sampling = SAMPLING,
        *,
        prompt: Sound | None = None,
        before: Prompt | None = None,
    ) -> Iterator[Waveform]:
        """Wait for the last block, because these functions take the codes of a whole sound, and then give the sound."""
        codes = join_codes(*blocks)
        shift = sampling.shift / SEMITONES_PER_OCTAVE
        make = partial(harmonics, shift=shift) if self.kind is HARMONICS else self.make
        pieces = make(codes, tokenizer, seed=sampling.seed)
        own = create_filter(tokenizer, sampling, self.voice) if self.kind.comb else None
        if own is not None:
            pieces = _filtered(pieces, codes, tokenizer, own, shift=shift)
        for piece in pieces:
            yield Waveform(samples=piece.numpy(), sample_rate=codes.format.sample_rate)


def _filtered(
    pieces: Iterator[Tensor], codes: Codes, tokenizer: CodeDecoder, own: PostFilter, *, shift: float
) -> Iterator[Tensor]:
    """Filter pieces ``(time,)`` of `BLOCK_FRAMES` each, up to the end of the codes' sound; ``shift`` is in octaves."""
    hop, pitch, left = tokenizer.front_end.hop_length, pitch_of(codes.values, tokenizer), codes.num_samples
    for block, piece in zip(frame_blocks(codes, tokenizer), pieces, strict=True):
        whole = pad(piece, (0, -len(piece) % hop))
        frames = len(whole) // hop
        here = None if pitch is None else pitch[block.start : block.start + frames] + shift
        own.expect(block.log_mel[:frames], here)
        ready = own.filter(whole)[:left]
        left -= len(ready)
        yield ready
    yield own.finish()[:left]


class Synthesis:
    """What makes sound of a tokenizer's codes: a vocoder, or a kind without learning, and the sampling options.

    Of codes at several rates, the finest become sound.

    A tokenizer or group that a vocoder was not trained with is refused.
    """

    def __init__(self, maker: Vocoder | SignalProcessingBaseline, tokenizer: CodeDecoder, sampling: Sampling) -> None:
        self.maker, self.tokenizer, self.sampling = maker, tokenizer, sampling
        self.vocoder = maker if isinstance(maker, Vocoder) else None
        self.groups: tuple[str, ...] = ()  # whose voices it can use
        self.guard: RunawayGuard | None = None
        if self.vocoder is not None:
            self.vocoder.require_tokenizer(tokenizer)
            self.vocoder.group_index(sampling.group)
            self.groups, self.guard = self.vocoder.model.config.groups, self.vocoder.guard

    @property
    def engine(self) -> Engine | None:
        """Name of the code that generates WaveNet's samples; None without a WaveNet."""
        return None if self.vocoder is None else self.vocoder.chosen.engine

    @property
    def comb(self) -> bool:
        """Whether the sound passes a pitch comb."""
        if isinstance(self.maker, Vocoder):
            return self.maker.combed(self.tokenizer)
        own = create_filter(self.tokenizer, self.sampling, self.maker.voice) if self.maker.kind.comb else None
        return own is not None and own.comb is not None

    @property
    def plays_pitch(self) -> bool:
        """Whether network, harmonics or comb play the pitch of the codes."""
        own = self.maker.model.config.pitch if isinstance(self.maker, Vocoder) else self.maker.kind is HARMONICS
        return bool(own) or self.comb

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group clips of these lengths, in codes, that are best made together; the shortest first."""
        if (engine := self.engine) is not None:
            return streams_side_by_side(lengths, engine)
        return [[clip] for clip in sorted(range(len(lengths)), key=lambda clip: lengths[clip])]

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        names: Sequence[str],
        prompts: Sequence[Prompt | None] | None = None,
        progress: SampleProgress | None = None,
    ) -> list[Waveform]:
        """Decode each clip to sound; on the CPU the sound does not depend on the other clips.

        Args:
            codes: of each clip; after a prompt, the new codes alone.
            groups: each clip's own group; a group that is unknown sounds like the average.
            names: of the sounds; the random numbers of a sound follow from its name and the seed of the sampling.
            prompts: what each clip continues, which the sound leaves out: it is the network's past; None: nothing.
            progress: called with the steps done and the steps in all.

        Raises:
            InputError: codes and tokenizer do not belong together.
        """
        clips, starts = list[DecodingInput](), list[int]()
        finest, begun = (each.finest for each in codes), prompts or [None] * len(codes)
        for own, group, name, prompt in zip(finest, groups, names, begun, strict=True):
            clip = DecodingInput(codes=own, group=self._voice(group), seed=sound_seed(self.sampling.seed, name))
            if prompt is not None:
                past, before = self._past(prompt)
                clip = replace(clip, codes=join_codes(past.codes, own), prompt=past.waveform, before=before)
            clips.append(clip)
            starts.append(clip.codes.num_samples - own.num_samples)
        whole = self.maker.decode_batch(clips, self.tokenizer, self.sampling, progress=progress)
        return [replace(sound, samples=sound.samples[start:]) for sound, start in zip(whole, starts, strict=True)]

    def stream(self, codes: Codes, group: str | None, *, name: str) -> Iterator[Waveform]:
        """Decode one clip as `sounds` does, piece by piece, in constant memory."""
        return self.maker.stream([codes.finest], self.tokenizer, self._sampling(group, name))

    def continued(self, prompt: Prompt, blocks: Iterable[Codes], group: str | None, *, name: str) -> Iterator[Waveform]:
        """Decode blocks of whole codes that follow a prompt as they arrive: give the sound after the prompt."""
        past, before = self._past(prompt)
        codes, sampling = chain([past.codes], (each.finest for each in blocks)), self._sampling(group, name)
        sound = self.maker.stream(codes, self.tokenizer, sampling, prompt=past.waveform, before=before)
        yield from after(sound, past.waveform)

    def notices(self) -> Iterator[str]:
        """Give notices about a replaced engine, a post-filter that stays off, and a level that the codes lack."""
        audio = self.tokenizer.front_end
        if isinstance(self.maker, SignalProcessingBaseline):
            if audio.remove_mean != "none":
                taken = f"audio.remove_mean={audio.remove_mean} took each mel band's mean off before the codes"
                title = self.maker.kind.title
                yield f"{taken}, and nothing puts it back: {title} has another loudness and colour than the recording"
            return
        if notice := self.maker.chosen.notice:
            yield notice
        if self.maker.options.postfilter and not audio.keeps_levels:
            yield (
                f"the post-filter stays off: with audio.remove_mean={audio.remove_mean} and audio.dynamic_range="
                f"{written(audio.dynamic_range)} the codes do not say how loud a band is to be"
            )

    def _sampling(self, group: str | None, name: str) -> Sampling:
        return replace(self.sampling, group=self._voice(group), seed=sound_seed(self.sampling.seed, name))

    def _voice(self, own: str | None) -> str | None:
        return self.sampling.group or (own if own in self.groups else None)

    def _past(self, prompt: Prompt) -> tuple[Prompt, Prompt | None]:
        """Return the end of a prompt that influences the new sound, and what the pitch comb alone reads before it."""
        prompt = replace(prompt, codes=prompt.codes.finest)
        if self.vocoder is None:
            return prompt, None
        config = self.vocoder.model.config
        look_ahead = -(-config.look_ahead_frames // config.patch_frames) + self.tokenizer.reach
        steps = -(-config.receptive_field // config.samples_per_code) + look_ahead  # by samples or by frames
        stop, whole = len(prompt.codes), BLOCK if self.tokenizer.reach else 1  # blocks stay those of the whole sound
        start = max(stop - steps, 0) // whole * whole
        first = max(start - -(-REMEMBERED // config.patch_frames), 0) // whole * whole
        return prompt.crop(start, stop), prompt.crop(first, start, reach=self.tokenizer.reach)


def create_synthesis(
    kind: SynthesisMethod,
    tokenizer: CodeDecoder,
    sampling: Sampling,
    *,
    folder: Path | None = None,
    device: str = "cpu",
) -> Synthesis:
    """Create the synthesis of a tokenizer's codes by one method.

    Learned kinds read the trained vocoder in ``folder``, on its ``device``; a comb reads its prediction of the pitch,
    where the codes have none.

    Raises:
        InputError: the folder holds no vocoder, or one that does not belong to the tokenizer or to the group.
    """
    predicted = kind.comb and folder is not None and tokenizer.format.pitch is None
    vocoder = load_vocoder(folder, sampling, device=device) if folder and (kind.learned or predicted) else None
    if not kind.learned:
        return Synthesis(
            SignalProcessingBaseline(kind, voice=None if vocoder is None else vocoder.voice), tokenizer, sampling
        )
    assert vocoder is not None, "learned kinds are created from a folder"
    return Synthesis(vocoder, tokenizer, sampling)


def load_vocoder(folder: Path, sampling: Sampling, *, device: str) -> Vocoder:
    return Vocoder.from_pretrained(folder, device=device, **sampling.chosen)


@contextmanager
def speaking(syntheses: Sequence[Synthesis], say: Callable[[str], None]) -> Iterator[None]:
    """Print notices before decoding, and afterwards the number of blocks that were drawn again."""
    for synthesis in syntheses:
        for notice in synthesis.notices():
            say(notice)
    yield
    for synthesis in syntheses:
        if synthesis.guard is not None and (found := synthesis.guard.notice()):
            say(found)
