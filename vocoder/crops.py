"""Training batches: crops of whole codes and their samples.

::

    codes     [  c0  ][  c1  ][  c2  ][  c3  ][  c4  ]      a clip, its tail padded to a whole code
                      |<------ crop_codes ---->|
    samples           [context][ counted       ]      [      counted only where the sound is
    previous         [ one sample earlier      ]

Inside a clip the first ``context_codes`` of a crop are inputs but not counted in the loss: there the model has too
little history. A crop at the start of its clip has its full history, silence, as in generation. At the end of a crop
inside a clip, codes whose conditions would look ahead beyond the crop are not counted either.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, cross_entropy, pad

from tokenizer.codes import CodeDecoder
from vocoder.frames import (
    CodePart,
    HarmonicVoice,
    code_frames,
    code_part_of,
    frames_of,
    frequencies,
    lags,
    pitch_frames,
    voice_bands,
    voice_inputs,
)
from vocoder.vocoder_options import LEVELS, PITCH_INPUTS, VOICE_INPUTS, WaveNetConfig
from vocoder.wavenet import UNKNOWN_GROUP, mu_law_encode, silence
from wordless.base.devices import Batch
from wordless.base.messages import InputError
from wordless.base.options import BatchSize, option

NOT_COUNTED = -100  # target of a sample that the loss ignores
# With pasts at the right level alone, sound that became quiet by chance stayed quiet: 3.8 % of the loud frames dropped
# out, now 1.0 %. Larger shares and narrower ranges lost: docs/log.md, "A voice of its own".
FADED_CROPS = 0.4  # share of the crops whose past has wrong levels
FADES = -48.0, 6.0  # lowest and highest error of a level, dB
FADE_SECONDS = 0.03  # between two errors, on average
WHISPER_SECONDS = 0.004  # between windows of twice the length, less than most periods: noise of them has none
PIECE = 1 << 20  # samples of long clips that are read together


@dataclass(frozen=True, kw_only=True)
class CropsConfig(BatchSize):
    """Options of cutting clips into training crops."""

    batch_size: int = 8
    crop_codes: int = option(25, "length of a crop in codes", least=1)
    context_codes: int = 2  # codes at the beginning of a crop that are context only and do not count in the loss
    group_dropout: float = 0.1  # share of crops without a group, from which WaveNet learns an average voice
    pitch_dropout: float = 0.1  # share of crops whose pitch is unknown, so that codes without a pitch have a voice, too
    input_noise: float = option(
        0.0,
        "largest standard deviation of the noise added to the input samples, in mu-law levels; each crop draws its own",
        least=0,
    )
    # Whether a network that reads the pitch hears noise in the voice of its input samples, and wrong levels in some, so
    # that it learns to keep a voice and a level that its own samples have lost.
    hoarse: bool = True
    seed: int = 0  # seed of the crops

    @property
    def undisturbed(self) -> "CropsConfig":
        """The same options without dropout and noise, for validation."""
        return replace(self, group_dropout=0.0, pitch_dropout=0.0, input_noise=0.0, hoarse=False)

    def look_ahead(self, model: WaveNetConfig) -> int:
        """Count the codes at the end of a crop that the loss ignores; refuse crops in which it would ignore all."""
        codes = -(-model.look_ahead_frames // model.patch_frames)
        idle = self.context_codes + codes
        rule = f"{idle} codes at its ends (context, look-ahead) do not count: choose {idle + 1} or more"
        self.refuse_if(self.crop_codes <= idle, "crop_codes", rule)
        return codes


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleClips:
    """Sound of clips in one array, maybe a `numpy.memmap`; clip ``i`` is ``samples[offsets[i]:offsets[i + 1]]``."""

    samples: npt.NDArray[np.int16]  # (samples,)
    offsets: npt.NDArray[np.int64]  # (clips + 1,)

    @property
    def sounds(self) -> Iterator[npt.NDArray[np.int16]]:
        """The samples of each clip ``(samples,)``."""
        for start, stop in pairwise(self.offsets):
            yield self.samples[start:stop]

    def levels(self, clip: int, start: int, stop: int, *, levels: int = LEVELS) -> Tensor:
        """Return mu-law levels of samples of a clip; ``start`` may lie before the clip, where there is silence."""
        begin, end = (int(offset) for offset in self.offsets[clip : clip + 2])
        first, last = max(begin + start, begin), min(begin + stop, end)
        sound = torch.from_numpy(self.samples[first:last].astype(np.float32) / 32_768)
        return pad(mu_law_encode(sound, levels=levels), (max(-start, 0), 0), value=silence(levels=levels))

    def pieces(self) -> Iterator[Tensor]:
        """Yield the levels of all clips piece by piece; each piece begins with the level before its first sample."""
        for clip, length in enumerate(np.diff(self.offsets)):
            for start in range(0, int(length), PIECE):
                yield self.levels(clip, start - 1, start + PIECE)


@dataclass(frozen=True, kw_only=True, eq=False)
class VocoderClips:
    """Sound and codes of clips."""

    sound: SampleClips
    codes: npt.NDArray[np.int32]  # (time, streams), one clip after the other, maybe a `numpy.memmap`
    meanings: CodeDecoder
    code_offsets: npt.NDArray[np.int64]  # (clips + 1,)
    groups: npt.NDArray[np.int64]  # (clips,), indices into WaveNetConfig.groups; -1: unknown


@dataclass(frozen=True, kw_only=True, eq=False)
class VocoderBatch(Batch):
    """Crops, padded to the length of the longest."""

    previous: Tensor  # (batch, time) int64; levels delayed by one sample
    targets: Tensor  # (batch, time) int64; levels; NOT_COUNTED where the loss ignores them
    spectrogram: Tensor  # (batch, frames, inputs) float32, conditions of the codes; zeros beyond a clip's end
    groups: Tensor  # (batch,) int64
    phase: Tensor | None  # (batch, time, 5) float32, of the voice: see vocoder.frames; None: no pitch is read
    counted: int  # number of targets that the loss counts; known on the host, which saves a query to the GPU
    by_crop: bool = False  # whether each crop weighs the same in the loss; False: each counted target


@dataclass(frozen=True, kw_only=True, eq=False)
class _Crop:
    codes: npt.NDArray[np.int32]  # (time, streams)
    part: CodePart  # that decodes them
    sound: npt.NDArray[np.int16]  # (samples,)
    levels: Tensor  # (1 + samples,) int64, the first of the sample before
    uncounted: tuple[int, int]  # samples at the beginning and at the end that the loss ignores
    group: int
    pitched: bool  # whether the pitch is known
    jitter: Tensor | None  # (samples,) int64, added to the input levels
    whisper: Tensor | None  # (samples,) float64: noise like the sound, which takes the place of a share of its voice
    hoarseness: float  # that share
    gains: Tensor | None  # (samples,) float64, of the input samples


class Crops:
    """Batches of random crops; the chance of a clip is proportional to its length.

    The same step always has the same crops, so the first few steps are a fixed validation set.

    With ``turns``, the index of each clip's group, crops are drawn from the groups in turn, in a random order of the
    groups, and each crop weighs the same: the mean loss over crops is the mean over groups of each group's mean. So no
    group decides a validation because its recordings are longer or more.
    """

    def __init__(
        self,
        clips: VocoderClips,
        model: WaveNetConfig,
        config: CropsConfig,
        *,
        turns: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.clips = clips
        self.model = model
        self.spectral = replace(model, pitch=False)  # the conditions before the pitch
        self.config = config
        self.look_ahead = config.look_ahead(model)
        self.code_counts = np.diff(clips.code_offsets)
        self.by_crop = turns is not None
        self.code_ends = [np.cumsum(self.code_counts)]  # of the clips that take the same turn
        if turns is not None:
            order = np.random.default_rng(config.seed).permutation(np.unique(turns))
            self.code_ends = [np.cumsum(np.where(turns == group, self.code_counts, 0)) for group in order]
        if not self.code_counts.sum():
            raise InputError("there are no clips to train the vocoder on; widen the training split")
        self._table = self._all_codes()
        self._bands = bands_of(clips.meanings) if model.pitch else None

    def batch(self, step: int, part: int = 0, parts: int = 1) -> VocoderBatch:
        """Return share ``part`` of ``parts`` of the batch of ``step``; ``parts`` must divide the batch size."""
        examples = share_of(self.config.batch_size, part, parts, option="vocoder.crops.batch_size")
        return self._collate([self._draw(step, example) for example in examples])

    def _draw(self, step: int, example: int) -> _Crop:
        rng = np.random.default_rng([self.config.seed, step, example])
        ends = self.code_ends[(step * self.config.batch_size + example) % len(self.code_ends)]
        clip = int(np.searchsorted(ends, rng.integers(ends[-1]), side="right"))
        count = int(self.code_counts[clip])
        start = int(rng.integers(max(count - self.config.crop_codes, 0) + 1))
        stop = min(start + self.config.crop_codes, count)
        group = UNKNOWN_GROUP if rng.random() < self.config.group_dropout else int(self.clips.groups[clip])
        pitched = bool(self.model.pitch) and rng.random() >= self.config.pitch_dropout
        jitter = self._jitter(rng, stop - start) if self.config.input_noise else None
        step_samples, first_code = self.model.samples_per_code, int(self.clips.code_offsets[clip])
        first, last, sound = start * step_samples, stop * step_samples, self.clips.sound
        begin, end = (int(offset) for offset in sound.offsets[clip : clip + 2])
        own, whisper, hoarseness, gains = sound.samples[begin + first : min(begin + last, end)], None, 0.0, None
        if pitched and self.config.hoarse:
            hoarseness = rng.random()
            whisper = whispered(_full_scale(own), rng, sample_rate=self.model.sample_rate)
            if rng.random() < FADED_CROPS:
                gains = fades(len(own), rng, sample_rate=self.model.sample_rate)
        return _Crop(
            codes=self.clips.codes[first_code + start : first_code + stop],
            part=code_part_of(self.clips.codes[first_code : first_code + count], start, stop, self.clips.meanings),
            sound=own,
            levels=sound.levels(clip, first - 1, last, levels=self.model.levels),
            uncounted=(
                0 if start == 0 else self.config.context_codes * step_samples,
                0 if stop == count else self.look_ahead * step_samples,
            ),
            group=group,
            pitched=pitched,
            jitter=jitter,
            whisper=whisper,
            hoarseness=hoarseness,
            gains=gains,
        )

    def _jitter(self, rng: np.random.Generator, codes: int) -> Tensor:
        """Draw noise for the input samples of ``codes`` codes, in whole levels ``(samples,)``.

        As in FFTNet (Jin et al. 2018, "FFTNet: A Real-Time Speaker-Dependent Neural Vocoder"): in generation the
        network's inputs are its own samples, with errors; noise in training teaches it to rely more on the conditions.
        Its standard deviation is the crop's own, because nobody knows how large the errors are: none in a quarter of
        the crops, else from a 32nd of the largest up to it, evenly on a logarithmic scale.
        """
        deviation = self.config.input_noise * 32 ** -rng.random() if rng.random() < 0.75 else 0.0
        jitter = deviation * rng.standard_normal(codes * self.model.samples_per_code)
        return torch.from_numpy(np.rint(jitter).astype(np.int64))

    def _collate(self, crops: list[_Crop]) -> VocoderBatch:
        codes = max(len(crop.codes) for crop in crops)
        spectrogram, phase = self._spectrogram(crops, codes), None
        amplitudes: list[Tensor | None] = [None] * len(crops)
        if self.model.pitch:
            pitch = [self._pitch(crop, codes) for crop in crops]
            hop, rate = self.model.hop_length, self.model.sample_rate
            voices = [frequencies(pad(own, (0, 0, 1, 1)), hop_length=hop, sample_rate=rate) for own in pitch]
            phases = (
                self._phase(crop, own, *voice) for crop, own, voice in zip(crops, spectrogram, voices, strict=True)
            )
            amplitudes = [amplitude for _, amplitude in voices]
            phase, spectrogram = torch.stack([*phases]), torch.cat([spectrogram, torch.stack(pitch)], dim=2)
        sounds = [self._levels(crop, codes, own) for crop, own in zip(crops, amplitudes, strict=True)]
        targets = torch.stack([targets for _, targets in sounds])
        return VocoderBatch(
            previous=torch.stack([previous for previous, _ in sounds]),
            targets=targets,
            spectrogram=spectrogram,
            phase=phase,
            groups=torch.tensor([crop.group for crop in crops]),
            counted=int((targets != NOT_COUNTED).sum()),
            by_crop=self.by_crop,
        )

    def _levels(self, crop: _Crop, codes: int, voiced: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return previous levels and targets, ``(codes * samples_per_code,)`` each; ``voiced`` as of `frequencies`."""
        levels, length = self.model.levels, len(crop.sound)
        previous, targets, (before, after) = crop.levels[:-1], crop.levels[1:].clone(), crop.uncounted
        if crop.hoarseness or crop.gains is not None:
            heard = _full_scale(crop.sound)
            if crop.whisper is not None and voiced is not None:
                share = crop.hoarseness * voiced[:length]
                heard = (1 - share**2).sqrt() * heard + share * crop.whisper
            if crop.gains is not None:
                heard = heard * crop.gains
            previous = torch.cat([previous[:1], mu_law_encode(heard[: length - 1], levels=levels)])
        if crop.jitter is not None:
            previous = (previous + crop.jitter[:length]).clamp(0, levels - 1)
        targets[:before] = targets[length - after :] = NOT_COUNTED
        missing = (0, codes * self.model.samples_per_code - length)
        return pad(previous, missing, value=silence(levels=levels)), pad(targets, missing, value=NOT_COUNTED)

    def _pitch(self, crop: _Crop, codes: int) -> Tensor:
        """Return the pitch of the frames of ``codes`` codes ``(frames, 3)``, zeros where it is unknown."""
        pitch = torch.zeros(codes * self.model.patch_frames, PITCH_INPUTS, dtype=torch.float32)
        if crop.pitched:
            own = pitch_frames(torch.from_numpy(crop.codes)[None], self.clips.meanings)[0]
            pitch[: len(own)] = own
        return pitch

    def _phase(self, crop: _Crop, frames: Tensor, turns: Tensor, amplitude: Tensor) -> Tensor:
        """Measure what `WaveNet.forward` reads of the recording's voice ``(time, 5)``."""
        hop, rate = self.model.hop_length, self.model.sample_rate
        if self._bands is None or not amplitude.any():
            return torch.zeros(len(turns), 3 + VOICE_INPUTS, dtype=torch.float32)
        voice = HarmonicVoice(frames, self._bands, turns, sample_rate=rate)
        sound = pad(_full_scale(crop.sound), (0, len(turns) - len(crop.sound)))
        phase, side = voice.fitted(sound, turns, amplitude, sample_rate=rate)
        return voice_inputs(phase, side * amplitude, lags(turns, hop_length=hop), voice)

    def _all_codes(self) -> Tensor | None:
        """Decode all codes of the codebook ``(codes, patch_frames, inputs)``; None if codes beside them change them."""
        book = self.clips.meanings.format
        if book.spectral_streams > 1 or book.level is not None or self.clips.meanings.reach:
            return None
        with torch.no_grad():
            frames = code_frames(torch.arange(book.codebook_size).view(1, -1, 1), self.clips.meanings, self.spectral)
        return frames.view(book.codebook_size, self.model.patch_frames, -1)

    def _spectrogram(self, crops: list[_Crop], codes: int) -> Tensor:
        """Return the conditions ``(batch, codes * patch_frames, inputs)``, zeros beyond a clip's end."""
        patch, inputs = self.model.patch_frames, self.model.n_mels
        frames = torch.zeros(len(crops), codes * patch, inputs, dtype=torch.float32)
        for own, crop, known in zip(frames, crops, self._decoded(crops, codes), strict=True):
            count = len(crop.codes) * patch
            own[:count] = known[:count]
        return frames

    def _decoded(self, crops: list[_Crop], codes: int) -> Sequence[Tensor]:
        """Decode the codes of crops, each to ``(codes * patch_frames, inputs)`` or fewer frames."""
        meanings, spectral = self.clips.meanings, self.spectral
        if meanings.reach:
            firsts = [crop.part.skipped * self.model.patch_frames for crop in crops]
            parts = (frames_of(crop.part, meanings, spectral) for crop in crops)
            return [part[first:] for part, first in zip(parts, firsts, strict=True)]
        values = torch.zeros(len(crops), codes, self.clips.codes.shape[1], dtype=torch.int64)
        for own, crop in zip(values, crops, strict=True):
            own[: len(crop.codes)] = torch.from_numpy(crop.codes)
        if self._table is not None:
            return [*self._table[values[..., 0]].flatten(1, 2)]  # (N, T, P, I) -> (N, T * P, I)
        with torch.no_grad():
            return [*code_frames(values, meanings, spectral)]


def whispered(sound: Tensor, rng: np.random.Generator, *, sample_rate: int) -> Tensor:
    """Make noise ``(samples,)`` that has the short spectra of a sound ``(samples,)``, but no period of its own."""
    hop = round(WHISPER_SECONDS * sample_rate)
    window = torch.hann_window(2 * hop, dtype=torch.float64)
    whole = pad(sound, (0, -len(sound) % hop))  # the last samples lie in whole windows
    spectrum = torch.stft(whole, 2 * hop, hop, window=window, pad_mode="constant", return_complex=True)
    angles = torch.from_numpy(rng.uniform(-math.pi, math.pi, spectrum.T.shape)).T
    noise = torch.istft(torch.polar(spectrum.abs(), angles), 2 * hop, hop, window=window, length=len(whole))[
        : len(sound)
    ]
    near = [avg_pool1d(each.square()[None], 2 * hop + 1, 1, hop)[0] + 1e-9 for each in (sound, noise)]
    return noise * (near[0] / near[1]).sqrt()


def fades(count: int, rng: np.random.Generator, *, sample_rate: int) -> Tensor:
    """Draw gains ``(count,)`` of a sound at wrong levels.

    ::

        error, dB    0 ---.           .--- 0        at random times, in half of them 0, else any of `FADES`;
                           \\__ -30 _/               on lines in between

    If the past always has the right level in training, a network goes on as quietly as its sound has become by chance.
    After pasts at wrong levels it returns to the level of the codes.
    """
    knots = max(round(count / sample_rate / FADE_SECONDS / 2 ** rng.uniform(-1, 1)), 2)
    errors = np.where(rng.random(knots) < 0.5, 0.0, rng.uniform(*FADES, knots))
    decibels = np.interp(np.arange(count), np.sort(rng.uniform(0, count, knots)), errors)
    return torch.from_numpy(10 ** (decibels / 20))


def _full_scale(sound: npt.NDArray[np.int16]) -> Tensor:
    return torch.from_numpy(sound.astype(np.float64) / 32_768)


def bands_of(meanings: CodeDecoder) -> Tensor:
    """Return the `voice_bands` of a tokenizer's normalised log-mel."""
    zero = torch.zeros(meanings.front_end.n_mels, dtype=torch.float32)
    mean = meanings.denormalise(zero)
    return voice_bands(meanings.front_end, mean, meanings.denormalise(zero + 1) - mean)


def share_of(batch_size: int, part: int, parts: int, *, option: str) -> range:
    """Return the examples of share ``part`` of ``parts`` of a batch; refuse shares that are not equal."""
    if batch_size % parts:
        problem = f"{option} is {batch_size}; processes times accumulation steps are {parts}"
        raise InputError(f"{problem}, which must divide it")
    share = batch_size // parts
    return range(part * share, (part + 1) * share)


def loss(model: nn.Module, batch: VocoderBatch) -> tuple[Tensor, int]:
    """Sum the nats of counted samples, or ``by_crop`` each crop's mean; also return the number of summands."""
    logits = model(batch.previous, batch.spectrogram, batch.groups, batch.phase)  # (N, K, T)
    rows = logits.transpose(1, 2).flatten(0, 1).float()  # (N, K, T) -> (N * T, K): contiguous, as the network made it
    targets = batch.targets.flatten()
    if batch.by_crop:
        each = cross_entropy(rows, targets, ignore_index=NOT_COUNTED, reduction="none").view_as(batch.targets)
        return (each.sum(dim=1) / (batch.targets != NOT_COUNTED).sum(dim=1)).sum(), len(each)  # (N, T) -> (N,)
    total = cross_entropy(rows, targets, ignore_index=NOT_COUNTED, reduction="sum")
    return total, batch.counted
