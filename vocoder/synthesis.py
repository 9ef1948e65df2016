"""Decoding codes to sound, by a trained vocoder and without learning.

Griffin-Lim and the noise vocoder, the baselines beside the WaveNet, learn nothing. Long sounds are made in blocks of
frames, in constant memory. Each block has the neighbouring frames that its samples depend on, so the samples are those
of the whole spectrogram::

    frames   [ .......... block .......... ][ .......... block .......... ][ .. block .. ]
    block 2                      [ context ][ start                  stop ][ context ]
                                 ^ first                                            ^ last
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from tokenizer.codes import CodeMeanings, Codes, join_codes, require_same_codebook
from vocoder.continuing import Prompt, after
from vocoder.engines.choice import side_by_side
from vocoder.filters import (
    REMEMBERED,
    PostFilter,
    VoiceHead,
    analyse,
    create_filter,
    hann,
    limited,
    overlapping,
    synthesise,
)
from vocoder.frames import log_mel_of, pitch_of
from vocoder.generation import Progress, RunawayGuard
from vocoder.kinds import Kind
from vocoder.options import Sampling
from vocoder.vocoder import SEMITONES_PER_OCTAVE, DecodingInput, Vocoder
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import mel_filters
from wordless.audio.waveform import Waveform, join_blocks
from wordless.base.errors import written
from wordless.base.seeds import sound_seed

BLOCK_FRAMES = 2048  # 20 s at hops of 10 ms; shorter sounds are one block
DRAWN_TOGETHER = 16  # PyTorch draws normal values in groups of 16; parts of a draw must be cut there
MEL_STEPS = 50  # 200 changed the distance on real digits by 0.004 dB, 20 by 0.03
MOMENTUM = 0.99  # of Griffin-Lim
ITERATIONS = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameBlock:
    """The frames ``[start, stop)`` of a sound, and the frames ``[first, last)`` that determine their samples."""

    first: int
    start: int
    last: int
    log_mel: Tensor  # of the frames [first, last), with the make-up gain, unnormalised (last - first, mels)
    inner: slice  # of the samples of all frames: those of [start, stop), up to the sound's end


def frame_blocks(codes: Codes, tokenizer: CodeMeanings, *, before: int = 0, after: int = 0) -> Iterator[FrameBlock]:
    """Give blocks that cover all frames once, with up to ``before`` and ``after`` frames of context."""
    require_same_codebook(tokenizer.format, codes.format, owner="the tokenizer")
    patch, hop = tokenizer.patch_frames, tokenizer.front_end.hop_length
    frames = len(codes.values) * patch
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        first, last = max(start - before, 0), min(stop + after, frames)
        begin = first // patch  # the first code
        log_mel = log_mel_of(codes.values[begin : -(-last // patch)], tokenizer).float().cpu()
        end = max(min(stop * hop, codes.num_samples), start * hop)
        yield FrameBlock(
            first=first,
            start=start,
            last=last,
            log_mel=log_mel[first - begin * patch : last - begin * patch],
            inner=slice((start - first) * hop, end - first * hop),
        )


class FrameNumbers:
    """Random numbers for all frames, drawn block after block: their values are those of one draw of the whole."""

    def __init__(self, draw: Callable[..., Tensor], frames: int, per_frame: int, *, seed: int) -> None:
        self.draw, self.generator = draw, torch.Generator().manual_seed(seed)
        self.per_frame, self.left = per_frame, frames * per_frame  # left: numbers to be drawn
        self.recent, self.first = torch.zeros(0, dtype=torch.float32), 0  # numbers of the frames from `first` on

    def of(self, block: FrameBlock) -> Tensor:
        """Return the numbers ``(frames, per_frame)`` of a block and its context; blocks come in their order."""
        needed = (block.last - block.first) * self.per_frame
        kept = self.recent[(block.first - self.first) * self.per_frame :]
        count = -(-max(needed - len(kept), 0) // DRAWN_TOGETHER) * DRAWN_TOGETHER
        count = self.left if self.left - count < DRAWN_TOGETHER else count
        self.left -= count
        drawn = self.draw(count, generator=self.generator, dtype=torch.float32)
        self.recent, self.first = torch.cat([kept, drawn]), block.first
        return self.recent[:needed].view(-1, self.per_frame)


def linear_power(log_mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Estimate power spectra ``(frames, bins)`` of log-mel by multiplicative updates (NNLS; Lee and Seung 2001)."""
    filters = mel_filters(config)
    mel = (log_mel.exp() - config.floor).clamp(min=config.floor * 1e-3)
    wanted = mel @ filters.T
    power: Tensor = wanted / filters.sum(dim=1).clamp(min=1e-3)
    gram = filters @ filters.T
    for _ in range(MEL_STEPS):
        power = power * wanted / (power @ gram).clamp(min=1e-12)
    return power


def griffin_lim(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to sound ``(time,)``, ``codes.num_samples`` long, block by block, by Griffin-Lim.

    Griffin and Lim 1984, with the momentum of Perraudin, Balazs and Sondergaard 2013 ("A fast Griffin-Lim algorithm").
    An iteration changes a frame only through frames whose windows overlap its own. So the samples of a frame depend on
    `ITERATIONS` times as many frames on each side.
    """
    config, frames = tokenizer.front_end, len(codes.values) * tokenizer.patch_frames
    cycles = FrameNumbers(torch.rand, frames, config.window_length // 2 + 1, seed=seed)  # initial phases
    reach = overlapping(config)
    for block in frame_blocks(codes, tokenizer, before=ITERATIONS * reach, after=(ITERATIONS + 1) * reach):
        yield limited(_griffin_lim_block(block.log_mel, cycles.of(block), config)[block.inner])


@torch.inference_mode()
def _griffin_lim_block(log_mel: Tensor, cycles: Tensor, config: SpectrogramConfig) -> Tensor:
    """``(frames, mels)`` -> ``(frames * hop_length,)``: alternate these magnitudes and real spectra."""
    magnitude = linear_power(log_mel, config).sqrt()
    spectrum = magnitude * torch.exp(2j * math.pi * cycles)
    before = torch.zeros_like(spectrum)
    for _ in range(ITERATIONS):
        consistent = analyse(synthesise(spectrum, config), config)
        ahead = consistent + MOMENTUM * (consistent - before)
        spectrum = magnitude * ahead / ahead.abs().clamp(min=1e-12)
        before = consistent
    return synthesise(spectrum, config)


def noise_vocoder(codes: Codes, tokenizer: CodeMeanings, *, seed: int = 0) -> Iterator[Tensor]:
    """Decode codes to noise ``(time,)`` with their spectrum, a whisper, ``codes.num_samples`` long, block by block.

    Noise-vocoded speech is understood well (Shannon et al. 1995, "Speech Recognition with Primarily Temporal Cues",
    Science 270). So recognition of a vocoder's sound says little about its voice unless it exceeds that of noise.
    """
    config, frames = tokenizer.front_end, len(codes.values) * tokenizer.patch_frames
    noise = FrameNumbers(torch.randn, frames, config.hop_length, seed=seed)
    own = hann(config).square().sum()  # mean power of the noise's spectrum
    reach = overlapping(config)
    # The first windows of a block reach back to the noise before it, and its last samples lie in the windows after it.
    for block in frame_blocks(codes, tokenizer, before=reach, after=reach):
        with torch.inference_mode():
            spectrum = analyse(noise.of(block).flatten(), config)
            samples = synthesise(spectrum * (linear_power(block.log_mel, config) / own).sqrt(), config)
        yield limited(samples[block.inner])


NAMED = 5  # groups that a notice names


class Trained:
    """WaveNet, with its tokenizer and its sampling options.

    A tokenizer or group that the vocoder was not trained with is refused.
    """

    def __init__(self, vocoder: Vocoder, tokenizer: CodeMeanings, sampling: Sampling) -> None:
        vocoder.require_tokenizer(tokenizer)
        vocoder.group_index(sampling.group)
        self.vocoder, self.tokenizer, self.sampling = vocoder, tokenizer, sampling
        self.groups, self.guard = vocoder.model.config.groups, vocoder.guard

    @property
    def engine(self) -> str:
        """Name of the code that generates the samples."""
        return self.vocoder.chosen.engine

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group clips of these lengths, in codes, that are best made together; the shortest first."""
        return side_by_side(lengths, self.vocoder.chosen.engine)

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        names: Sequence[str],
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
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
        for own, group, name, prompt in zip(codes, groups, names, prompts or [None] * len(codes), strict=True):
            clip = DecodingInput(codes=own, group=self._voice(group), seed=sound_seed(self.sampling.seed, name))
            if prompt is not None:
                past, before = prompt.end(self._past_steps()), self._before(prompt)
                joined = join_codes(past.codes, own)
                clip = replace(clip, codes=joined, prompt=past.waveform, before=before)
            clips.append(clip)
            starts.append(clip.codes.num_samples - own.num_samples)
        whole = self.vocoder.decode_batch(clips, self.tokenizer, self.sampling, progress=progress)
        return [replace(sound, samples=sound.samples[start:]) for sound, start in zip(whole, starts, strict=True)]

    def stream(self, codes: Codes, group: str | None, *, name: str) -> Iterator[Waveform]:
        """Decode one clip as `sounds` does, piece by piece, in constant memory."""
        return self.vocoder.stream([codes], self.tokenizer, self._sampling(group, name))

    def continued(self, prompt: Prompt, blocks: Iterable[Codes], group: str | None, *, name: str) -> Iterator[Waveform]:
        """Decode blocks of whole codes that follow a prompt as they arrive: give the sound after the prompt."""
        past, sampling = prompt.end(self._past_steps()), self._sampling(group, name)
        codes, before = chain([past.codes], blocks), self._before(prompt)
        sound = self.vocoder.stream(codes, self.tokenizer, sampling, prompt=past.waveform, before=before)
        yield from after(sound, past.waveform)

    def notices(self) -> Iterator[str]:
        """Give notices about a replaced or measured engine, and about a post-filter that stays off."""
        if notice := self.vocoder.chosen.notice:
            yield notice
        audio = self.tokenizer.front_end
        if self.vocoder.options.postfilter and not audio.keeps_levels:
            yield (
                f"the post-filter stays off: with audio.remove_mean={audio.remove_mean} and audio.dynamic_range="
                f"{written(audio.dynamic_range)} the codes do not say how loud a band is to be"
            )

    def _sampling(self, group: str | None, name: str) -> Sampling:
        return replace(self.sampling, group=self._voice(group), seed=sound_seed(self.sampling.seed, name))

    def _voice(self, own: str | None) -> str | None:
        return self.sampling.group or (own if own in self.groups else None)

    def _before(self, prompt: Prompt) -> Prompt:
        """Return what the pitch comb reads of a prompt before the end that the network reads."""
        return prompt.without_end(self._past_steps()).end(-(-REMEMBERED // self.vocoder.model.config.patch_frames))

    def _past_steps(self) -> int:
        """Return the time steps at the end of a prompt that influence the new sound, by samples or by frames."""
        config = self.vocoder.model.config
        look_ahead = -(-config.look_ahead_frames // config.patch_frames)
        return -(-config.receptive_field // config.samples_per_code) + look_ahead


class Unlearned:
    """A kind of sound without learning, with its tokenizer and its sampling options. For its methods see `Trained`.

    Some kinds pass the filters and the comb of ``sampling``, whose pitch is that of the codes, or is predicted by
    ``voice``. So the same stands behind them as behind a WaveNet.
    """

    groups: tuple[str, ...] = ()  # whose voices it can use
    guard: RunawayGuard | None = None  # blocks are never drawn again
    engine: str | None = None  # there is no WaveNet

    def __init__(
        self, kind: Kind, tokenizer: CodeMeanings, sampling: Sampling, *, voice: VoiceHead | None = None
    ) -> None:
        assert kind.import_stream is not None, "a learned kind is a Trained"
        self.kind, self.make, self.tokenizer, self.sampling = kind, kind.import_stream(), tokenizer, sampling
        self.voice = voice

    def side_by_side(self, lengths: Sequence[int]) -> list[list[int]]:
        return [[clip] for clip in sorted(range(len(lengths)), key=lambda clip: lengths[clip])]

    def sounds(
        self,
        codes: Sequence[Codes],
        groups: Sequence[str | None],
        *,
        names: Sequence[str],
        prompts: Sequence[Prompt | None] | None = None,
        progress: Progress | None = None,
    ) -> list[Waveform]:
        """Decode each clip; a prompt is decoded with its clip, and cut off."""
        made, total = list[Waveform](), sum(clip.num_samples for clip in codes)
        for clip, name, prompt in zip(codes, names, prompts or [None] * len(codes), strict=True):
            pieces = self.continued(prompt, [clip], name=name) if prompt else self.stream(clip, name=name)
            samples = join_blocks(piece.samples for piece in pieces)
            made.append(Waveform(samples=samples, sample_rate=clip.format.sample_rate))
            if progress is not None:
                progress(sum(len(sound.samples) for sound in made), total)
        return made

    def stream(self, codes: Codes, group: str | None = None, *, name: str) -> Iterator[Waveform]:
        pieces = self.make(codes, self.tokenizer, seed=sound_seed(self.sampling.seed, name))
        own = create_filter(self.tokenizer, self.sampling, self.voice) if self.kind.comb else None
        for piece in pieces if own is None else self._filtered(pieces, codes, own):
            yield Waveform(samples=piece.numpy(), sample_rate=codes.format.sample_rate)

    def _filtered(self, pieces: Iterator[Tensor], codes: Codes, own: PostFilter) -> Iterator[Tensor]:
        """Filter pieces ``(time,)`` of `BLOCK_FRAMES` each, up to the end of the codes' sound."""
        hop, pitch = self.tokenizer.front_end.hop_length, pitch_of(codes.values, self.tokenizer)
        left, shift = codes.num_samples, self.sampling.shift / SEMITONES_PER_OCTAVE
        for block, piece in zip(frame_blocks(codes, self.tokenizer), pieces, strict=True):
            whole = pad(piece, (0, -len(piece) % hop))
            frames = len(whole) // hop
            here = None if pitch is None else pitch[block.start : block.start + frames] + shift
            own.expect(block.log_mel[:frames], here)
            ready = own.filter(whole)[:left]
            left -= len(ready)
            yield ready
        yield own.finish()[:left]

    def continued(
        self, prompt: Prompt, blocks: Iterable[Codes], group: str | None = None, *, name: str
    ) -> Iterator[Waveform]:
        """Wait for the last block, because these functions take the codes of a whole sound, and then give the sound."""
        yield from after(self.stream(join_codes(prompt.codes, *blocks), name=name), prompt.waveform)

    def notices(self) -> Iterator[str]:
        """Give a notice if the codes have no mean: the sound then lacks its level."""
        if (removal := self.tokenizer.front_end.remove_mean) != "none":
            yield (
                f"audio.remove_mean={removal} took each mel band's mean off before the codes, and nothing puts it "
                f"back: sound by {self.kind.title} has another loudness and colour than the recording"
            )


Synthesis = Trained | Unlearned


def create_synthesis(
    kind: Kind, tokenizer: CodeMeanings, sampling: Sampling, *, folder: Path | None = None, device: str = "cpu"
) -> Synthesis:
    """Create the synthesis that makes one kind of sound of a tokenizer's codes.

    Learned kinds read the trained vocoder in ``folder``, on its ``device``; a comb reads its prediction of the pitch,
    where the codes have none.

    Raises:
        InputError: the folder holds no vocoder, or one that does not belong to the tokenizer or to the group.
    """
    if kind.import_stream is not None:
        predicted = kind.comb and folder is not None and tokenizer.format.pitch is None
        voice = load_vocoder(folder, sampling, device=device).voice if predicted and folder is not None else None
        return Unlearned(kind, tokenizer, sampling, voice=voice)
    assert folder is not None, "learned kinds are created from a folder"
    return Trained(load_vocoder(folder, sampling, device=device), tokenizer, sampling)


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


def unknown_groups(synthesis: Synthesis, groups: Iterable[str | None]) -> str | None:
    """Write a notice about groups that the vocoder was not trained on; None if there are none."""
    known, wanted = synthesis.groups, set(groups)
    average = "the average of the vocoder's voices speaks"
    if known and wanted == {None}:
        return f"the codes name no group: {average}; group=... chooses one of {_some(known)}"
    strange = sorted(group for group in wanted if group is not None and group not in known)
    return f"the vocoder was not trained on {_some(strange)}: {average} instead" if known and strange else None


def _some(groups: Sequence[str]) -> str:
    more = f" and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
    return ", ".join(groups[:NAMED]) + more
