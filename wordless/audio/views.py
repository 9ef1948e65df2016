"""Views: a clip and a change of its sound.

A view is the clip at another speed, with other formants, noise, another begin, or another dynamic range. The lists of
views of an option are made here and by `tokenizer.augmentations`:

- ``tokenizer.views``: one view of each training clip, which the autoencoder reads in the place of the clip.
- ``lm.views``: copies of training clips, on whose codes the GPT is trained, too.
- ``views`` of SimCLR, the supervised network and ``denoising``: copies of training clips, whose log-mel these read.
- ``compare.test_time_augmentation``: fixed versions of every clip, over which each method averages its features
  (test-time augmentation). A slightly different voice gets other codes; the average depends less on the voice.
- ``compare.noise``: test clips with noise at ratios (``compare.noise_snr``), which only the probes classify.

`View` gives the samples, and `wordless.audio.spectrogram.view_log_mel` the log-mel.

The spectrum of a noise is a curve of gains at `OCTAVES`, of which a filter of minimum phase is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from wordless.audio.reading import read_blocks, resample_blocks, resampled_length
from wordless.audio.recordings.manifest import Clip, Clips
from wordless.audio.waveform import equal_blocks, join_blocks, skip_samples
from wordless.base.arrays import DoubleArray, FloatArray
from wordless.base.files import list_hash
from wordless.base.seeds import named_seed

OCTAVES = 62.5 * 2.0 ** np.arange(9)  # Hz, up to 16 kHz; a curve is constant beyond
MIDDLE = 4  # of them: 1 kHz
_BINS = 1024  # samples of the Fourier transform in which a curve becomes a response of half as many
STEEPEST = 6.0  # dB per octave of noise: -3 is pink, -6 is brown
ROUGHEST = 20.0  # dB, of either sign, at each octave of shaped noise


class Filter:
    """A filter of the blocks ``(samples,)`` of one sound, given in order."""

    def __init__(self, response: FloatArray) -> None:
        self._response, self._rest = response, np.zeros(len(response) - 1, np.float32)

    def __call__(self, block: FloatArray) -> FloatArray:
        """Convolve the next block; what lies beyond its end is added to the next one."""

        length = len(block) + len(self._rest)
        size = next_fast_len(length, real=True)
        both: FloatArray = irfft(rfft(block, size) * rfft(self._response, size), size)[:length]
        both[: len(self._rest)] += self._rest
        self._rest = both[len(block) :]
        return both[: len(block)]


def sloped(decibels: float) -> DoubleArray:
    """Return a curve of so many dB per octave, which leaves 1 kHz as it is."""
    return np.asarray(decibels * (np.arange(len(OCTAVES)) - MIDDLE), np.float64)


def draw_spectrum(rng: np.random.Generator) -> DoubleArray:
    """Draw the curve of a noise: white, sloped, or of any shape."""
    match rng.integers(3):
        case 0:
            return np.zeros(len(OCTAVES))
        case 1:
            return sloped(rng.uniform(-STEEPEST, STEEPEST))
        case _:
            return rng.uniform(-ROUGHEST, ROUGHEST, len(OCTAVES))


def response_of(curve: DoubleArray, sample_rate: int) -> FloatArray:
    """Return the response of minimum phase of a curve in dB (Oppenheim and Schafer: by its folded cepstrum)."""

    hertz = np.fft.rfftfreq(_BINS, 1 / sample_rate)
    decibels = np.interp(np.log2(np.maximum(hertz, OCTAVES[0])), np.log2(OCTAVES), curve)
    cepstrum = irfft(decibels * np.log(10) / 20, _BINS)
    cepstrum[1 : _BINS // 2] *= 2
    cepstrum[_BINS // 2 + 1 :] = 0
    return np.asarray(irfft(np.exp(rfft(cepstrum, _BINS)), _BINS)[: _BINS // 2], np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of sound; by default there is none.

    Log-mel is changed by `dynamic_range`, `offset_frames`, `speed` and `formants`, and samples by the others.

    A tape that runs slower or faster (`rate`) changes pitch, formants and tempo together (Ko et al., "Audio
    augmentation for speech recognition", 2015).
    """

    noise_snr: float | None = None  # dB, mean power of the clip over that of the noise that is added; None: no noise
    rate: float = 1.0  # samples per sample of the recording; above 1 the sound is slower and lower
    skipped: float = 0.0  # seconds left out at the beginning
    dynamic_range: float | None = None  # dB; None: the front end's own
    offset_frames: int = 0  # frames left out before the first patch
    speed: float = 1.0  # above 1 is faster
    formants: float = 1.0  # above 1 is lower: band m takes its value from m * formants
    patch_frames: int = 1  # of a warped view, frames that fill no whole patch of so many frames are dropped
    # Clips whose sum is the noise, and the sample with which each begins; none: the noise is no babble.
    voices: tuple[tuple[Clip, int], ...] = field(default=(), repr=False)
    # A recording that is the noise, and the sample with which it begins; its path is absolute.
    recorded: tuple[Clip, int] | None = field(default=None, repr=False)
    # Of the noise, whose spectrum is drawn, too; None: the noise is white, and follows from the clip.
    seed: int | None = None

    @property
    def is_played(self) -> bool:
        """Whether the clip is played at another rate, or from a later begin."""
        return self.rate != 1 or self.skipped > 0

    @property
    def is_warped(self) -> bool:
        """Whether the log-mel of the clip is warped, or its range is another one."""
        return not self.is_played and (self.speed, self.formants, self.dynamic_range) != (1, 1, None)

    @property
    def of_log_mel(self) -> bool:
        """Whether codes of the view are made from log-mel, without a stream of pitch; else from samples."""
        return self.is_played or self.is_warped


AS_RECORDED = Change()


@dataclass(frozen=True, slots=True)
class View:
    """A clip and a change of its sound."""

    clip: Clip
    change: Change = AS_RECORDED

    @property
    def key(self) -> list[str | int]:
        """The sound of the view, in whichever split its clip stands."""
        own = self.change
        change = [] if own == AS_RECORDED else [repr(own)]
        voices = [each for voice, first in own.voices for each in (*voice.sound, first)]
        # The sound of a noise, not the place of its file.
        recorded = [] if own.recorded is None else ["recorded", *own.recorded[0].sound[1:], own.recorded[1]]
        return [*self.clip.sound, *change, *voices, *recorded]

    def num_samples(self, sample_rate: int) -> int:
        """Count the samples at ``sample_rate``: at least one is left of a clip."""
        return self._read(sample_rate) - self._skipped(sample_rate)

    def blocks(self, root: Path, sample_rate: int) -> Iterator[FloatArray]:
        """Read the clip below ``root`` as `wordless.audio.reading.read_blocks` does, and change it."""
        clip, change, rate = self.clip, self.change, round(sample_rate * self.change.rate)
        if change.noise_snr is None:
            blocks = read_blocks(root / clip.path, rate, part=clip.part)
        else:
            blocks = resample_blocks(self._noisy(root, change.noise_snr), clip.sample_rate, rate)
        return skip_samples(blocks, self._skipped(sample_rate))

    def samples(self, root: Path, sample_rate: int) -> FloatArray:
        """Read the whole view ``(num_samples,)``."""
        return join_blocks(self.blocks(root, sample_rate))

    def _read(self, sample_rate: int) -> int:
        return resampled_length(self.clip.num_samples, self.clip.sample_rate, round(sample_rate * self.change.rate))

    def _skipped(self, sample_rate: int) -> int:
        return min(round(self.change.skipped * sample_rate), max(self._read(sample_rate) - 1, 0))

    def _noisy(self, root: Path, snr: float) -> Iterator[FloatArray]:
        """Add noise, the same at all ratios but for its level; a long clip is decoded once more for its power."""
        voices = [_read_voice(root, voice, self.clip.sample_rate, first=first) for voice, first in self.change.voices]
        if self.change.recorded is not None:
            recording, first = self.change.recorded
            voices.append(_read_voice(root, recording, self.clip.sample_rate, first=first, dense=True))
        sums = np.zeros(4)  # of ones, samples, their squares, and squares of the noise
        held = [*self._with_noise(root, voices)] if self.clip.num_samples <= HELD else None
        for block, noise in held or self._with_noise(root, voices):
            squares = [np.square(each, dtype=float).sum() for each in (block, noise)]
            sums += (len(block), block.sum(dtype=float), *squares)
        _, mean, square, power = sums / max(sums[0], 1)
        # white noise has the same power in clips of all lengths
        power = power if voices or self.change.seed is not None else 1.0
        level = np.float32(np.sqrt(max(square - mean**2, 0.0) / max(power, TINY) * 10 ** (-snr / 10)))
        for block, noise in held or self._with_noise(root, voices):
            yield block + level * noise

    def _with_noise(self, root: Path, voices: Sequence[FloatArray]) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Read the clip with the sum of voices, or noise if there are none: of a seed's spectrum, or white."""
        clip, change, place = self.clip, self.change, 0
        blocks = read_blocks(root / clip.path, clip.sample_rate, part=clip.part)
        if change.seed is None:
            generator, colour = np.random.default_rng([clip.start, clip.num_samples]), None
        else:
            generator = np.random.default_rng([change.seed, _NOISE])
            response = response_of(draw_spectrum(generator), clip.sample_rate)
            blocks, colour = equal_blocks(blocks, FILTERED), Filter(response)
            colour(generator.standard_normal(len(response), np.float32))  # the noise has begun before the clip
        for block in blocks:
            if voices:
                times = np.arange(place, place + len(block))
                yield block, np.sum([voice.take(times, mode="wrap") for voice in voices], axis=0)
            else:
                white = generator.standard_normal(len(block), np.float32)
                yield block, white if colour is None else colour(white)
            place += len(block)


def _read_voice(root: Path, clip: Clip, sample_rate: int, *, first: int, dense: bool = False) -> FloatArray:
    """Read the first minute of a clip, at unit power, from the sample ``first`` of the clip round to it again.

    ``dense`` leaves silence out: otherwise clips that are shorter than a pause of a noise would hear none.
    """
    part = replace(clip.part, num_samples=_voice_samples(clip))
    samples = join_blocks(read_blocks(root / clip.path, sample_rate, part=part))
    if dense:
        blocks = [*equal_blocks([samples], max(round(SILENCE_SECONDS * sample_rate), 1))]
        levels = [float(np.square(block, dtype=float).mean()) for block in blocks]
        samples = np.concatenate(
            [b for b, level in zip(blocks, levels, strict=True) if level >= _SILENCE * max(levels)]
        )
    samples = np.roll(samples, -round(first * sample_rate / clip.sample_rate))
    unit: FloatArray = (samples - samples.mean()) / max(np.float32(samples.std()), TINY)
    return unit


def _voice_samples(clip: Clip) -> int:
    return min(clip.num_samples, _VOICE_SECONDS * clip.sample_rate)


TINY = np.finfo(np.float32).tiny
FILTERED = 1 << 15  # samples that are filtered at a time: constant, because rounding depends on their number
HELD = 1 << 20  # samples of a clip that stay in memory with their noise
_NOISE, _RECORDED = 0, 2  # second words of the seeds: the purpose of a generator
NoiseWord = Literal["white", "babble"]  # babble: the sum of training clips
_SILENCE, SILENCE_SECONDS = 1e-6, 0.05  # of a recorded noise: power of its loudest block, and length of a block
BABBLE_VOICES = 6  # at once in babble
_VOICE_SECONDS = 60  # of each voice and of a recorded noise, which are repeated
SPREAD = 0.25  # test-time augmentations are up to this ratio slower or faster, with formants and pitch
LATEST_BEGIN = 0.02  # seconds: begins of test-time augmentations are spread from 0 to here
RANGES = (0.75, 1.25)  # of the front end's own dynamic range: 30 to 50 dB for one of 40


def fixed_augmentations(count: int, dynamic_range: float | None) -> tuple[Change, ...]:
    """List the first ``count`` versions of a clip for a front end of ``dynamic_range`` dB; the first is the clip.

    The second begins a few milliseconds later, and all others are slower or faster, too. Rates lie between
    ``1 / (1 + SPREAD)`` and ``1 + SPREAD``, evenly on a log scale. All three amounts follow a Halton sequence (Halton,
    1960), which covers them evenly with 4, 8 or 16 of them. They are rounded, because they are part of keys, and
    processors differ in the last digit.
    """
    if count == 1:
        return (AS_RECORDED,)

    from scipy.stats.qmc import Halton

    points = Halton(3, scramble=False).random(count)[1:]  # the first point is a corner
    low, high = RANGES
    others = []
    for rate, skipped, share in points:
        ratio = round(float(low + (high - low) * share), 6)
        others.append(
            Change(
                rate=round(float(np.exp((2 * rate - 1) * np.log1p(SPREAD))), 6),
                skipped=round(float(skipped * LATEST_BEGIN), 6),
                dynamic_range=None if dynamic_range is None else dynamic_range * ratio,
            )
        )
    return (AS_RECORDED, *others)


class Noise(NamedTuple):
    """What is done to all test clips; `LEARNED` to all training clips."""

    kind: str  # a `NoiseWord`, or the name of a folder of recordings
    snr: float  # dB


# Noisy copies of training clips, which probes learn from: each has noise of a spectrum and a ratio of its own, as
# clips have that an autoencoder hears. No test clip has such noise.
# Probes of copies lose 0.8 and 8.4 points at 20 and 10 dB of white noise instead of 9.4 and 46.7: docs/log.md, "Codes
# that noise changes less".
LEARNED_SNR = (0.0, 40.0)  # dB, lowest and highest ratio of the copies
LEARNED = Noise("<learned>", LEARNED_SNR[0])  # which no folder of recordings is called
LEARNED_SEED = 3  # second word of the seeds of these ratios


def compared_clips(manifest: Clips, noises: Sequence[Noise] = ()) -> list[tuple[Clip, Noise | None]]:
    """Return all clips, then the test clips with each noise, or the training clips with the noise to learn from."""
    noisy = [(clip, noise) for noise in noises for clip in manifest.of("train" if noise == LEARNED else "test")]
    return [*zip(manifest.clips, repeat(None)), *noisy]


def compared_views(
    manifest: Clips,
    changes: Sequence[Change] = (AS_RECORDED,),
    noises: Sequence[Noise] = (),
    recordings: Mapping[str, Sequence[Clip]] = MappingProxyType({}),
) -> list[View]:
    """Return the views of `compared_clips`, each in all ``changes``; ``recordings`` are those of each folder."""
    train = manifest.of("train")

    @cache
    def drawn(clip: Clip, kind: str) -> dict[str, Any]:
        match kind:
            case LEARNED.kind:
                seed = named_seed(clip.name)
                ratio = np.random.default_rng([seed, LEARNED_SEED]).uniform(*LEARNED_SNR)
                return {"noise_snr": round(float(ratio), 3), "seed": seed}
            case "white":
                return {}
            case "babble":
                return {"voices": _draw_voices(clip, train)}
        return {"recorded": _draw_recorded(clip, recordings[kind])}

    return [
        View(clip, change if noise is None else replace(change, **{"noise_snr": noise.snr, **drawn(clip, noise.kind)}))
        for clip, noise in compared_clips(manifest, noises)
        for change in changes
    ]


def _draw_voices(clip: Clip, train: Sequence[Clip]) -> tuple[tuple[Clip, int], ...]:
    """Draw the clips whose sum is the babble of a test clip, in an order that follows from names alone."""
    rng = np.random.default_rng(named_seed(clip.name))
    drawn = [train[place] for place in rng.choice(len(train), BABBLE_VOICES, replace=len(train) < BABBLE_VOICES)]
    return tuple((voice, int(rng.integers(_voice_samples(voice)))) for voice in drawn)


def _draw_recorded(clip: Clip, recordings: Sequence[Clip]) -> tuple[Clip, int]:
    """Draw the recording that is the noise of a test clip, at most a minute of it, and where that begins."""
    rng = np.random.default_rng([named_seed(clip.name), _RECORDED])
    whole = recordings[int(rng.integers(len(recordings)))]
    size = _voice_samples(whole)
    part = replace(whole, start=int(rng.integers(whole.num_samples - size + 1)), num_samples=size)
    return part, int(rng.integers(size))


@dataclass(frozen=True, kw_only=True)
class Views:
    """Views of the clips below one folder."""

    root: Path
    views: Sequence[View]

    def __len__(self) -> int:
        return len(self.views)

    @cached_property
    def key(self) -> str:
        """The sound of the views; where their folder lies does not count."""
        return list_hash(view.key for view in self.views)
