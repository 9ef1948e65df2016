"""Filters of sampled sound: the post-filter, the pitch comb within it, and a limiter of peaks.

Sampled sound is noisier than a recording, and its formants are weaker. The codes give the target level of each mel band
in each frame, so the post-filter multiplies each frame's spectrum by the missing gain::

    samples      ...| hop t-1 | hop t   |                 frames as `wordless.audio.spectrogram` puts them
    window t        [------------------]                  present: log-mel of it
    gain         exp(strength / 2 * (target - present))   of each band, within bounds, spread over the Fourier bins
    correction   [------------------]                     windowed, added where the frame was

Voice, pitch and fine structure stay those of the network; Griffin-Lim has the same spectrogram and must make them up.
Windows overlap, so a frame gets its spectrum only in part; a second pass over the filtered sound corrects most of what
is left. The last samples also lie in windows that reach beyond the end; these windows use the gains of the last frame.

A `PitchComb` comes before the last pass, which then corrects the envelope alone, and no valleys between harmonics.
Without the comb, a network that reads the pitch has a voice of its own, which more than one pass harms.

A pass returns samples ``left_context`` later than it takes them, and the next one waits for whole frames of them. With
windows of 25 ms and hops of 10 ms, one pass delays a stream by 15 ms, two by 35 ms, and each more by 20 ms. The comb
adds no delay. For a second of sound at 16 kHz, a pass takes about 1 ms of one core, and the comb 10 to 30 ms.

Short-time spectra have the frames of `wordless.audio.spectrogram`: not centred, so nothing is shifted in time::

    left_context zeros | signal
    [------ window 0 -----]
               [------ window 1 -----]
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from tokenizer.codes import CodeDecoder
from vocoder.frames import band_centres
from vocoder.vocoder_options import SoundOptions
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.pitch_contour import HIGHEST, LOWEST, peak_offset, resolves_pitch
from wordless.audio.spectrogram import LogMel
from wordless.base.arrays import DoubleArray, FloatArray
from wordless.base.devices import exact
from wordless.base.threads import one_thread

LEAST_WEIGHT = 0.1  # limit for the last samples, which only the fading end of one window covers


def hann(config: SpectrogramConfig) -> Tensor:
    """Return the window ``(window_length,)``."""
    return torch.hann_window(config.window_length, dtype=torch.float32)


def filter_windows(sound: Tensor, config: SpectrogramConfig) -> Tensor:
    """Cut ``(left_context + frames * hop_length,)`` into ``(frames, window_length)``, without the Hann factors."""
    return sound.unfold(0, config.window_length, config.hop_length)


def overlapping(config: SpectrogramConfig) -> int:
    """Return how many frames on each side of a frame have windows that overlap its own."""
    return -(-config.window_length // config.hop_length) - 1


def overlap_add(pieces: Tensor, config: SpectrogramConfig) -> Tensor:
    """Add frames ``(frames, window_length)`` up to ``(left_context + frames * hop_length,)``."""
    length = config.left_context + len(pieces) * config.hop_length
    columns = pieces.T.unsqueeze(0)
    total: Tensor = fold(columns, (1, length), kernel_size=(1, config.window_length), stride=(1, config.hop_length))
    return total.flatten()


def analyse(samples: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute spectra: ``(frames * hop_length,)`` -> ``(frames, bins)``."""
    spectrum: Tensor = torch.fft.rfft(filter_windows(pad(samples, (config.left_context, 0)), config) * hann(config))
    return spectrum


def synthesise(spectrum: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute ``(frames * hop_length,)``, the signal with the closest frames ``(frames, bins)`` (overlap-add)."""
    window = hann(config)
    pieces = torch.fft.irfft(spectrum, n=config.window_length) * window
    weight = overlap_add((window**2).expand_as(pieces), config)
    return (overlap_add(pieces, config) / weight.clamp(min=LEAST_WEIGHT))[config.left_context :]


ENVELOPE = 160.0  # Hz from the peak to the end of the triangle that smooths the gains of the last pass
BOUND = 20 * math.log(10) / 10  # limit of the difference of log powers: 20 dB, up or down
# The same, upwards, of the bands below a frequency in Hz, for a network with a voice of its own: with more gain its
# sound is hoarser, with less it drops out. Chosen on validation clips: docs/log.md, "A voice of its own".
LIFT, LIFT_BELOW = 9 * math.log(10) / 10, 2_700.0
KNEE = 0.9  # of full scale
_CEILING = 1 - 2**-14  # in 16 bits below full scale, so no sample counts as clipped

# of the pitch comb
_WINDOW_SECONDS = 0.04  # of the autocorrelation
STRONGEST = 0.93  # g of a frame that is surely voiced; at 1 the sound would repeat its past for ever
FILTER_UNVOICED, VOICED = 0.3, 0.5  # predicted voicing below which there is no comb, and above which it is strongest
_OCTAVE_JUMP = 6.0  # correlation that a change of the period by an octave costs
OCTAVE_OFF = 1.0  # correlation that an octave between period and predicted pitch costs
CODED_OFF = 40.0  # the same of a pitch that the codes have: it was measured, a predicted one may be an octave off
_LONGER = 0.05  # correlation that each octave of a longer period costs: twice the period correlates as well
_MEMORY = 0.98  # decay of the running mean, per frame
PERIODIC = 0.6  # least correlation of a voiced frame of a recording
_LOUD = 1e-4  # least power of a voiced frame, relative to the recording's loudest: -40 dB
_SILENT = 1e-10  # least power of a window that can correlate
_PENALTY = 300.0  # of the linear predictions' weights, on standardised inputs
_LEAST_FRAMES = 1_000  # voiced frames that a prediction needs
# Frames before a sound's own that matter: older ones weigh 4e-5 in the running mean, and the best paths have met.
REMEMBERED = 500


def limited(samples: Tensor) -> Tensor:
    """Bend magnitudes above the knee, sample by sample; the results are below full scale.

    ::

        out   0.9999 |             ......------
              KNEE   |         ..-'
                     |      .'          below the knee nothing changes
                     +----------------------- in
    """
    above, room = samples.abs() - KNEE, _CEILING - KNEE
    bent = samples.sign() * (KNEE + room * torch.tanh(above / room))  # tanh has slope 1 at 0: the knee has no corner
    return torch.where(above > 0, bent, samples)


@dataclass(frozen=True, kw_only=True)
class VoiceHead:
    """Linear predictions from a frame's log-mel and its running mean ``(2 * mels,)``; a constant comes first."""

    voicing: tuple[float, ...]  # about 1 in voiced frames, 0 in others
    octaves: tuple[float, ...]  # binary logarithm of the pitch in Hz


class PitchComb:
    """Pitch comb: sampled sound gets the periodicity of a voice. Pieces of any size do not change the result.

    A small network that reads no pitch draws the harmonics of a vowel much too noisily: it is hoarse, or whispers.
    Where the codes say that there is a voice, each sample is therefore mixed with the output one period earlier, as by
    a long-term post-filter (Chen and Gersho 1995, "Adaptive postfiltering for quality enhancement of coded speech")::

        y[n] = (1 - g) x[n] + g y[n - T]        g = STRONGEST * voicing; T: the period in samples

    The period is found in the sound itself: a path of lags with a high autocorrelation that changes slowly and stays
    near the pitch that the codes suggest. A voice of the network's own keeps its pitch; noise gets the pitch of the
    codes. Voicing and pitch are those of the codes' own stream of pitch, which the path follows closely. Without such
    a stream they are predicted linearly from a frame's log-mel and its running mean over the past, which tells high
    voices from low ones. A prompt is not changed, and its pitch is continued.

    A sample depends only on what came before it: there is no delay. Valleys between harmonics lose power, so a
    post-filter of the envelope follows.

    `vocoder.measures.periodicity` judges this sound. It shares no code with the comb, although both search the same
    pitches by a normalised correlation: a judge that changed together with the comb would not notice the comb's faults.

    The ``head`` predicts voicing and pitch from the codes; None: they have a stream of pitch. ``prompt`` is the number
    of samples at the beginning that are a recording, which is not filtered.
    """

    def __init__(self, config: SpectrogramConfig, head: VoiceHead | None, *, prompt: int = 0) -> None:
        self.hop = config.hop_length
        self.tracker = _Tracker(config)
        self.weights = None if head is None else np.array([head.voicing, head.octaves]).T  # (1 + 2 * mels, 2)
        self.mean = _RunningMean()
        # of future frames: voicing, octaves, and the correlation that an octave between these and a period costs
        self.targets: list[tuple[float, float, float]] = []
        self.untouched = -(-prompt // self.hop)  # frames still to leave unfiltered
        self.waiting = np.zeros(0)  # samples that are no whole frame yet
        self.past = np.zeros(self.tracker.longest + 2)  # samples that were returned
        self.lag, self.strength = float(self.tracker.longest), 0.0  # of the last sample

    def expect(self, log_mel: Tensor, pitch: DoubleArray | None = None) -> None:
        """Add frames ``(frames, mels)`` of `LogMel`, and log2 Hz ``(frames,)``, nan without voice; None: predicted."""
        if pitch is not None:
            self.targets += [(0.0, 0.0, 0.0) if np.isnan(each) else (1.0, each, CODED_OFF) for each in pitch.tolist()]
            return
        assert self.weights is not None, "codes without a stream of pitch need a head"
        for frame in log_mel.double().cpu().numpy():  # one by one: products of other shapes round differently
            inputs = np.concatenate([[1.0], frame, self.mean.add(frame)])
            voicing, octaves = inputs @ self.weights
            self.targets.append((voicing, octaves, OCTAVE_OFF))

    def hear(self, samples: Tensor, log_mel: Tensor, pitch: DoubleArray | None = None) -> None:
        """Go on from a recording that comes before the sound: whole frames ``(samples,)``; others as of `expect`."""
        self.untouched += len(log_mel)
        self.expect(log_mel, pitch)
        self.filter(samples)

    def filter(self, samples: Tensor) -> Tensor:
        """Filter the next samples ``(samples,)``; return those of all frames that are whole."""
        waiting = np.concatenate([self.waiting, samples.double().numpy()])
        whole = len(waiting) // self.hop
        frames, self.waiting = waiting[: whole * self.hop].reshape(whole, self.hop), waiting[whole * self.hop :]
        made = [self._frame(frame, *target) for frame, target in zip(frames, self.targets, strict=False)]
        self.targets = self.targets[whole:]
        return torch.from_numpy(np.concatenate([np.zeros(0), *made])).float()

    def finish(self) -> Tensor:
        """Return the samples after the last whole frame."""
        return torch.from_numpy(self.waiting).float()

    def _frame(self, samples: DoubleArray, voicing: float, octaves: float, octave_off: float) -> DoubleArray:
        """Filter ``(hop_length,)``."""
        gate = min(max((voicing - FILTER_UNVOICED) / (VOICED - FILTER_UNVOICED), 0.0), 1.0)
        lag, _ = self.tracker.follow(samples, weight=gate, octaves=octaves, octave_off=octave_off)
        strength = 0.0 if self.untouched else STRONGEST * gate
        self.untouched = max(self.untouched - 1, 0)
        along = np.arange(1, self.hop + 1) / self.hop
        lags, strengths = self.lag + (lag - self.lag) * along, self.strength + (strength - self.strength) * along
        self.lag, self.strength = lag, strength
        before = len(self.past)
        sound = np.concatenate([self.past, samples])
        step = self.tracker.shortest - 1  # samples at a time, whose earlier periods are all known
        for start in range(0, self.hop if strengths.any() else 0, step):
            here = slice(start, min(start + step, self.hop))
            places = before + np.arange(here.start, here.stop) - lags[here]
            first = np.floor(places).astype(np.int64)
            share = places - first
            earlier = (1 - share) * sound[first] + share * sound[first + 1]
            new = slice(before + here.start, before + here.stop)
            sound[new] += strengths[here] * (earlier - sound[new])
        self.past = sound[-before:]
        return sound[before:]


class _RunningMean:
    """Mean over the past of frames ``(mels,)``, in which older frames count less."""

    def __init__(self) -> None:
        self.total: DoubleArray | float = 0.0
        self.count = 0.0

    def add(self, frame: DoubleArray) -> DoubleArray:
        self.total, self.count = _MEMORY * self.total + frame, _MEMORY * self.count + 1
        return self.total / self.count


class _Tracker:
    """The best path of periods so far, frame by frame (Viterbi, without looking ahead)."""

    def __init__(self, config: SpectrogramConfig) -> None:
        rate = config.sample_rate
        self.rate = rate
        self.shortest, self.longest = round(rate / HIGHEST), round(rate / LOWEST)
        self.lags = np.arange(self.shortest, self.longest + 1)
        self.octaves = np.log2(rate / self.lags)  # of the pitch, binary logarithm of Hz
        self.costs = _OCTAVE_JUMP * self.octaves
        self.window = max(round(rate * _WINDOW_SECONDS), config.hop_length)
        self.points = 1 << (self.window + self.longest - 1).bit_length()  # no lag wraps around
        self.recent = np.zeros(self.window + self.longest)
        self.score = np.zeros(len(self.lags))

    def follow(
        self, samples: DoubleArray, *, weight: float, octaves: float | None, octave_off: float = OCTAVE_OFF
    ) -> tuple[float, float]:
        """Return the period at the end of the next samples ``(hop_length,)``, and the correlation there.

        ``weight`` is that of this frame, 0 to 1. ``octaves`` is the expected pitch, binary logarithm of Hz; None:
        unknown. An octave between period and expected pitch costs the correlation ``octave_off``.
        """
        self.recent = np.concatenate([self.recent, samples])[-len(self.recent) :]
        found = self._correlations()
        value = found - _LONGER * (self.octaves[0] - self.octaves)
        if octaves is not None:
            value = value - octave_off * np.abs(self.octaves - octaves)
        # The best way to each lag costs the distance of the two pitches: a running maximum from either side.
        shorter = np.maximum.accumulate(self.score - self.costs) + self.costs
        longer = np.maximum.accumulate((self.score + self.costs)[::-1])[::-1] - self.costs
        self.score = np.maximum(shorter, longer) + weight * value
        self.score -= self.score.max()  # only differences matter, and sums would grow without end
        best = int(self.score.argmax())
        return self.lags[best] + peak_offset(found, best), float(found[best])

    def _correlations(self) -> DoubleArray:
        """Correlate the last window with the windows before it ``(lags,)``."""
        new = self.recent[self.longest :]
        spectrum = np.fft.rfft(self.recent, self.points) * np.fft.rfft(new, self.points).conj()
        products = np.fft.irfft(spectrum, self.points)[self.longest - self.lags]
        energies = np.cumsum(np.pad(np.square(self.recent), (1, 0)))
        starts = self.longest - self.lags
        scale = np.sqrt((energies[starts + self.window] - energies[starts]).clip(0.0) * np.square(new).sum())
        silent = scale < _SILENT * self.window
        return np.where(silent, 0.0, products / np.where(silent, 1.0, scale))


def fit_head(clips: Iterable[tuple[FloatArray, Tensor]], config: SpectrogramConfig) -> VoiceHead | None:
    """Fit the predictions to samples and the log-mel ``(frames, mels)`` of their codes; None of too little voice."""
    if not resolves_pitch(config.sample_rate):
        return None
    inputs, voiced, octaves = list[DoubleArray](), list[DoubleArray](), list[DoubleArray]()
    for samples, log_mel in clips:
        frames = log_mel.double().cpu().numpy()
        mean, tracker = _RunningMean(), _Tracker(config)
        padded = np.pad(samples.astype(np.float64), (0, config.hop_length))  # the last frame may be in part beyond
        whole = padded[: min(len(frames), len(padded) // config.hop_length) * config.hop_length]
        pieces = whole.reshape(-1, config.hop_length)
        if not len(pieces):
            continue
        tracked = np.array([tracker.follow(piece, weight=1.0, octaves=None) for piece in pieces])
        power = np.square(pieces).mean(axis=1)
        voiced.append((tracked[:, 1] >= PERIODIC) & (power >= _LOUD * power.max()) & (power > _SILENT))
        octaves.append(np.log2(config.sample_rate / tracked[:, 0]))
        inputs.append(np.array([np.concatenate([frame, mean.add(frame)]) for frame in frames[: len(pieces)]]))
    if sum(int(known.sum()) for known in voiced) < _LEAST_FRAMES:
        return None
    each, known = np.concatenate(inputs), np.concatenate(voiced)
    return VoiceHead(
        voicing=_ridge(each, known.astype(np.float64)), octaves=_ridge(each[known], np.concatenate(octaves)[known])
    )


def _ridge(inputs: DoubleArray, wanted: DoubleArray) -> tuple[float, ...]:
    """Fit constant and weights ``(1 + inputs,)``; the penalty does not depend on the scales of the inputs."""
    from sklearn.linear_model import Ridge  # slow to import, and a fitted head does without

    std = inputs.std(axis=0).clip(1e-3)
    ridge = Ridge(alpha=_PENALTY).fit(inputs / std, wanted)
    return tuple(float(f"{value:.6g}") for value in (ridge.intercept_, *ridge.coef_ / std))


class PostFilter:
    """The filter of one sound that arrives in pieces of whole frames; the pieces' sizes do not change the result.

    Args:
        config: the front end of the codes.
        strength: share of the difference that each pass corrects, 0 to 1.
        passes: how often the sound is filtered.
        prompt: samples at the beginning that are a recording. They and frames that overlap them are not filtered; the
            filter fades in within a window, so nothing clicks.
        voice: predicts voicing and pitch for the pitch comb; None: the codes have a stream of pitch, or no comb.
        comb: whether there is a comb.
        own_voice: whether the sound has harmonics of its own and no comb follows: a pass then raises bands below
            2.7 kHz by 9 dB at most.
        harmonic: whether the last pass corrects the envelope alone, as it does after a comb.
    """

    def __init__(
        self,
        config: SpectrogramConfig,
        *,
        strength: float,
        passes: int,
        prompt: int = 0,
        voice: VoiceHead | None = None,
        comb: bool = False,
        own_voice: bool = False,
        harmonic: bool = False,
    ) -> None:
        self.untouched = prompt
        self.comb = PitchComb(config, voice, prompt=prompt) if comb else None
        smooth, lift = comb or harmonic, LIFT if own_voice else BOUND
        self.passes: list[_Pass | PitchComb] = [
            _Pass(config, strength=strength, prompt=prompt, smooth=smooth and number == passes - 1, lift=lift)
            for number in range(passes)
        ]
        if self.comb is not None:
            self.passes.insert(passes - 1, self.comb)

    def expect(self, log_mel: Tensor, pitch: DoubleArray | None = None) -> None:
        """Add the target frames of the next samples, as of `PitchComb.expect`."""
        for each in self.passes:
            each.expect(log_mel, pitch)

    @torch.inference_mode()
    @exact
    def filter(self, samples: Tensor) -> Tensor:
        """Filter the next whole frames ``(frames * hop_length,)``; return the samples that no later frame changes."""
        for each in self.passes:
            samples = each.filter(samples)
        return self._limited(samples)

    @torch.inference_mode()
    @exact
    def finish(self) -> Tensor:
        """Return the samples that are left."""
        samples = torch.zeros(0, dtype=torch.float32)
        for each in self.passes:
            samples = torch.cat([each.filter(samples), each.finish()])
        return self._limited(samples)

    def _limited(self, samples: Tensor) -> Tensor:
        prompt = min(self.untouched, len(samples))
        self.untouched -= prompt
        return torch.cat([samples[:prompt], limited(samples[prompt:])])


def create_filter(
    tokenizer: CodeDecoder,
    options: SoundOptions,
    voice: VoiceHead | None,
    *,
    prompt: int = 0,
    reads_pitch: bool = False,
) -> PostFilter | None:
    """Return the filter of one sound of codes; None: none is wanted, or codes do not say how loud a band is to be.

    The sound of codes with a pitch has harmonics, between which the last pass fills no valleys. The comb plays the
    pitch of the codes, or that which ``voice`` predicts; without either there is none. A network that ``reads_pitch``
    has a voice of its own where no comb follows.
    """
    audio, strength = tokenizer.front_end, options.postfilter
    if not strength or not audio.keeps_levels:
        return None
    pitched = tokenizer.format.pitch is not None
    comb = options.pitch_comb and (pitched or voice is not None)
    own_voice = pitched and reads_pitch and not comb
    return PostFilter(
        audio,
        strength=strength,
        passes=options.passes(own_voice=own_voice),
        prompt=prompt,
        voice=voice,
        comb=comb,
        own_voice=own_voice,
        harmonic=pitched,
    )


class _Pass:
    """One pass of the filter, over samples that arrive in pieces of any sizes; see `PostFilter`."""

    def __init__(self, config: SpectrogramConfig, *, strength: float, prompt: int, smooth: bool, lift: float) -> None:
        self.config, self.strength = config, strength
        self.log_mel = LogMel(config)
        self.window = hann(config)
        self.spread = _spread(config, smooth=smooth)
        low = band_centres(config) < LIFT_BELOW
        self.highest = torch.where(low, lift, BOUND).float()  # limits of the gains (mels,)
        self.targets: list[Tensor] = []  # log-mel of future frames, in blocks
        self.waiting = torch.zeros(0, dtype=torch.float32)  # samples of a frame that is not whole yet
        # frames still to leave unfiltered
        self.untouched = -(-(prompt + config.left_context) // config.hop_length) if prompt else 0
        # samples that were not returned yet, before the next frame; their correction by the frames so far; its weight
        self.recent = torch.zeros(config.left_context, dtype=torch.float32)
        self.correction = torch.zeros(2, config.left_context, dtype=torch.float32)
        self.before = config.left_context  # how many of them lie before the sound's beginning
        self.gains = torch.ones(1, config.window_length // 2 + 1, dtype=torch.float32)  # of the last frame

    def expect(self, log_mel: Tensor, _pitch: DoubleArray | None) -> None:
        self.targets.append(log_mel.float().cpu())

    def filter(self, samples: Tensor) -> Tensor:
        """Filter the whole frames among the samples ``(time,)`` so far; return those that no later frame changes."""
        hop = self.config.hop_length
        samples = torch.cat([self.waiting, samples])
        frames = len(samples) // hop
        samples, self.waiting = samples[: frames * hop], samples[frames * hop :]
        if not frames:
            return samples
        sound = torch.cat([self.recent, samples])
        with one_thread():
            gains = self._gains(sound, frames)
        self.gains = gains[-1:]
        return self._filtered(sound, gains)

    def finish(self) -> Tensor:
        """Return the last ``left_context`` samples."""
        beyond = -(-self.config.left_context // self.config.hop_length)  # frames whose windows reach back into these
        if not beyond:
            return self.recent
        left = self.config.left_context - self.before
        sound = torch.cat([self.recent, torch.zeros(beyond * self.config.hop_length, dtype=torch.float32)])
        return self._filtered(sound, self.gains.expand(beyond, -1))[:left]

    def _filtered(self, sound: Tensor, gains: Tensor) -> Tensor:
        """Filter ``(left_context + frames * hop_length,)``; return samples that are final, keep the others."""
        config = self.config
        with one_thread():
            # gains - 1: the correction alone, so where nothing is missing the samples stay as they are, bit by bit
            missing = torch.fft.rfft(filter_windows(sound, config) * self.window) * (gains - 1)
            added = torch.fft.irfft(missing, n=config.window_length) * self.window  # (frames, window_length)
            squares = self.window.square().expand_as(added)
            total = torch.stack([overlap_add(added, config), overlap_add(squares, config)])
        total[:, : config.left_context] += self.correction
        kept = len(sound) - config.left_context
        self.recent, self.correction = sound[kept:], total[:, kept:]
        correction, weight = total[:, :kept]
        done: Tensor = sound[:kept] + correction / weight.clamp(min=LEAST_WEIGHT)
        silent = min(self.before, len(done))
        self.before -= silent
        return done[silent:]

    def _gains(self, sound: Tensor, frames: int) -> Tensor:
        """Compute gains ``(frames, bins)`` of the spectra's magnitudes."""
        targets = torch.cat(self.targets) if len(self.targets) > 1 else self.targets[0]
        self.targets = [targets[frames:]]
        present = self.log_mel.frames(sound.unsqueeze(0))[0]
        missing = self.strength * (targets[:frames] - present).clamp(min=-BOUND).minimum(self.highest)
        missing[: self.untouched] = 0.0
        self.untouched = max(self.untouched - frames, 0)
        return torch.exp(missing @ self.spread / 2)  # half: log-mel is of powers, and gains are of magnitudes


def _spread(config: SpectrogramConfig, *, smooth: bool) -> Tensor:
    """Compute each Fourier bin's share of each band's value ``(mels, bins)``; bins outside all bands get nothing.

    With ``smooth`` the shares of neighbouring bins are averaged, weighted by a triangle over the frequency.
    """
    filters = config.mel_filters()  # (bins, mels)
    # The shares of a bin sum to 1, so that equal gains of all bands are this gain of the bin.
    shares: Tensor = (filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-6)).T
    if not smooth:
        return shares
    places = (torch.arange(shares.shape[1]) * config.sample_rate).float() / config.window_length  # Hz
    # 320 Hz wide, more than harmonics of most voices are apart: narrower gains would fill the valleys between them.
    weights = (1 - (places[:, None] - places).abs() / ENVELOPE).clamp(min=0.0)
    return shares @ (weights / weights.sum(dim=0))
