"""Post-filter: sound gets the spectral envelope of its codes.

Sampled sound is noisier than a recording, and its formants are weaker. The codes give the target level of each mel band
in each frame, so each frame's spectrum is multiplied by the missing gain::

    samples      ...| hop t-1 | hop t   |                 frames as `wordless.audio.spectrogram` puts them
    window t        [------------------]                  present: log-mel of it
    gain         exp(strength / 2 * (target - present))   of each band, within bounds, spread over the Fourier bins
    correction   [------------------]                     windowed, added where the frame was

Voice, pitch and fine structure stay those of the network; Griffin-Lim has the same spectrogram and must make them up.
Windows overlap, so a frame gets its spectrum only in part; a second pass over the filtered sound corrects most of what
is left. The last samples also lie in windows that reach beyond the end; these windows use the gains of the last frame.

For voices `vocoder.pitch_comb` comes before the last pass, which then corrects the envelope alone, and no valleys
between harmonics.

A pass returns samples ``left_context`` later than it takes them, and the next one waits for whole frames of them. With
windows of 25 ms and hops of 10 ms, one pass delays a stream by 15 ms, two by 35 ms, and each more by 20 ms. The comb
adds no delay. For a second of sound at 16 kHz, a pass takes about 1 ms of one core, and the comb 10 to 30 ms.
"""

import math

import torch
from torch import Tensor

from vocoder.limiter import limited
from vocoder.pitch_comb import PitchComb, VoiceHead
from vocoder.short_time import LEAST_WEIGHT, hann, overlap_add, windows
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel, mel_filters
from wordless.base.errors import InputError
from wordless.base.threads import one_thread

ENVELOPE = 160.0  # Hz from the peak to the end of the triangle that smooths the gains of the last pass
BOUND = 20 * math.log(10) / 10  # limit of the difference of log powers: 20 dB, up or down


def in_force(strength: float, config: SpectrogramConfig) -> float:
    """Return the strength, or 0 if the codes of a front end do not determine the level of a band.

    With ``remove_mean`` the levels are relative to the recording's mean, and with ``dynamic_range`` only loud values
    are known.
    """
    return strength if config.keeps_levels else 0.0


class PostFilter:
    """The filter of one sound that arrives in pieces of whole frames; the pieces' sizes do not change the result.

    Args:
        config: the front end of the codes.
        strength: share of the difference that each pass corrects, 0 to 1, which `Vocoder` checks.
        passes: how often the sound is filtered, which `Vocoder` checks.
        prompt: samples at the beginning that are a recording. They and frames that overlap them are not filtered; the
            filter fades in within a window, so nothing clicks.
        voice: predicts voicing and pitch for the pitch comb; None: no comb.
    """

    def __init__(
        self,
        config: SpectrogramConfig,
        *,
        strength: float,
        passes: int,
        prompt: int = 0,
        voice: VoiceHead | None = None,
    ) -> None:
        self.hop_length, self.untouched = config.hop_length, prompt
        self.passes: list[_Pass | PitchComb] = [
            _Pass(config, strength=strength, prompt=prompt, smooth=voice is not None and number == passes - 1)
            for number in range(passes)
        ]
        if voice is not None:
            self.passes.insert(passes - 1, PitchComb(config, voice, prompt=prompt))
        self.expected = 0  # frames that are still to be filtered

    def hear(self, samples: Tensor, log_mel: Tensor) -> None:
        """Let the comb read what comes before the prompt, whole frames ``(samples,)`` and ``(frames, mels)``."""
        for each in self.passes:
            if isinstance(each, PitchComb):
                each.hear(samples, log_mel)

    def expect(self, log_mel: Tensor) -> None:
        """Add target frames ``(frames, mels)``, natural-log mel power as of `LogMel`."""
        self.expected += len(log_mel)
        for each in self.passes:
            each.expect(log_mel)

    @torch.inference_mode()
    def filter(self, samples: Tensor) -> Tensor:
        """Filter the next samples ``(frames * hop_length,)``; return the samples that no later frame changes.

        Raises:
            InputError: the samples are not whole frames, or their target frames are missing.
        """
        frames, rest = divmod(len(samples), self.hop_length)
        if rest or frames > self.expected:
            raise InputError(
                f"there are {len(samples)} samples to filter and {self.expected} frames of meaning; give whole "
                f"frames of {self.hop_length} samples, and what they mean before"
            )
        self.expected -= frames
        for each in self.passes:
            samples = each.filter(samples)
        return self._limited(samples)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """Return the samples that are left."""
        samples = torch.zeros(0)
        for each in self.passes:
            samples = torch.cat([each.filter(samples), each.finish()])
        return self._limited(samples)

    def _limited(self, samples: Tensor) -> Tensor:
        """Limit the peaks of samples after the prompt."""
        prompt = min(self.untouched, len(samples))
        self.untouched -= prompt
        return torch.cat([samples[:prompt], limited(samples[prompt:])])


class _Pass:
    """One pass of the filter, over samples that arrive in pieces of any sizes; see `PostFilter`."""

    def __init__(self, config: SpectrogramConfig, *, strength: float, prompt: int, smooth: bool) -> None:
        self.config, self.strength = config, strength
        self.log_mel = LogMel(config)
        self.window = hann(config)
        self.spread = _smoothed(_spread(config), config) if smooth else _spread(config)
        self.targets: list[Tensor] = []  # log-mel of future frames, in blocks
        self.waiting = torch.zeros(0)  # samples of a frame that is not whole yet
        # frames still to leave unfiltered
        self.untouched = -(-(prompt + config.left_context) // config.hop_length) if prompt else 0
        self.recent = torch.zeros(config.left_context)  # samples before the next frame that were not returned yet
        self.correction = torch.zeros(2, config.left_context)  # their correction by the frames so far, and its weight
        self.before = config.left_context  # how many of them lie before the sound's beginning
        self.gains = torch.ones(1, config.window_length // 2 + 1)  # of the last frame

    def expect(self, log_mel: Tensor) -> None:
        """Add target frames ``(frames, mels)``."""
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
        # frames whose windows reach back into these samples
        beyond = -(-self.config.left_context // self.config.hop_length)
        if not beyond:
            return self.recent
        left = self.config.left_context - self.before
        sound = torch.cat([self.recent, torch.zeros(beyond * self.config.hop_length)])
        return self._filtered(sound, self.gains.expand(beyond, -1))[:left]

    def _filtered(self, sound: Tensor, gains: Tensor) -> Tensor:
        """Filter ``(left_context + frames * hop_length,)``; return samples that are final, keep the others."""
        config = self.config
        with one_thread():
            missing = torch.fft.rfft(windows(sound, config) * self.window) * (gains - 1)
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
        missing = self.strength * (targets[:frames] - present).clamp(-BOUND, BOUND)
        missing[: self.untouched] = 0.0
        self.untouched = max(self.untouched - frames, 0)
        return torch.exp(missing @ self.spread / 2)


def _spread(config: SpectrogramConfig) -> Tensor:
    """Compute each Fourier bin's share of each band's value ``(mels, bins)``; bins outside all bands get nothing."""
    filters = mel_filters(config)  # (bins, mels)
    shares: Tensor = filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return shares.T


def _smoothed(spread: Tensor, config: SpectrogramConfig) -> Tensor:
    """Average the shares ``(mels, bins)`` of neighbouring bins, weighted by a triangle over the frequency."""
    places = torch.arange(spread.shape[1]) * config.sample_rate / config.window_length  # Hz
    weights = (1 - (places[:, None] - places).abs() / ENVELOPE).clamp(min=0.0)
    smoothed: Tensor = spread @ (weights / weights.sum(dim=0))
    return smoothed
