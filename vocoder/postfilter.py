"""Post-filter: sound takes on the spectral envelope that its codes mean.

What a network samples is noisier than a recording, and its formants are weaker. How loud each mel band is meant to be
in each frame is known from the codes, so each frame's spectrum is multiplied by what is missing::

    samples      ...| hop t-1 | hop t   |              frames as `audio.spectrogram` puts them
    window t        [------------------]               heard: log-mel of it
    gain         exp(strength / 2 * (meant - heard))   of each band, within bounds, spread over the Fourier bins
    correction   [------------------]                  windowed, added where the frame was

Voice, pitch and fine structure stay the network's own; Griffin-Lim knows the same spectrogram, and has to make them up.
Samples leave ``left_context`` later than they came. The last ones lie under windows that reach beyond the end, too:
there the gains of the last frame hold.
"""

import math
from collections import deque

import torch
from torch import Tensor

from audio.spectrogram import LogMel, SpectrogramConfig, mel_filters
from foundation.errors import InputError
from foundation.threads import one_thread
from vocoder.sampling import require_strength
from vocoder.short_time import LEAST_WEIGHT, hann, overlap_add, windows

BOUND = 20 * math.log(10) / 10  # of the difference of log powers: 20 dB, up or down


def in_force(strength: float, config: SpectrogramConfig) -> float:
    """The strength, or 0 where codes of a front end do not say how loud a band is meant to be.

    With ``remove_mean`` they say so relative to the recording's mean, and with ``dynamic_range`` only of what is loud.
    """
    return strength if config.remove_mean == "none" and config.dynamic_range is None else 0.0


class PostFilter:
    """The filter of one sound, which comes in pieces of whole frames; however it is cut, the same frames are filtered.

    Args:
        config: the front end whose frames the codes stand for.
        strength: share of the difference that is made up for.
        prompt: samples at the beginning that are a recording: they stay as they are, and so do frames that overlap
            them: the filter fades in within a window, and nothing clicks.

    Raises:
        InputError: ``strength`` is not within 0 and 1.
    """

    def __init__(self, config: SpectrogramConfig, *, strength: float, prompt: int = 0) -> None:
        require_strength(strength)
        self.config, self.strength = config, strength
        self.log_mel = LogMel(config)
        self.window = hann(config)
        self.spread = _spread(config)
        self.meant: deque[Tensor] = deque()  # log-mel of frames to come, block by block
        self.expected = 0  # frames of it
        self.untouched = -(-(prompt + config.left_context) // config.hop_length) if prompt else 0  # frames to come
        self.heard = torch.zeros(config.left_context)  # samples before the next frame, not yet let go
        self.correction = torch.zeros(2, config.left_context)  # of them by the frames so far, and its weight
        self.before = config.left_context  # samples of these that lie before the sound's beginning
        self.gains = torch.ones(1, config.window_length // 2 + 1)  # of the last frame so far

    def expect(self, log_mel: Tensor) -> None:
        """What frames to come mean ``(frames, mels)``, natural-log mel power as `LogMel` gives it."""
        self.meant.append(log_mel.float().cpu())
        self.expected += len(log_mel)

    @torch.inference_mode()
    def filter(self, samples: Tensor) -> Tensor:
        """The next samples ``(frames * hop_length,)``, whose meaning is known -> those that no later frame changes.

        Raises:
            InputError: they are not whole frames, or it was not said what these mean.
        """
        config = self.config
        frames, rest = divmod(len(samples), config.hop_length)
        if rest or frames > self.expected:
            raise InputError(
                f"there are {len(samples)} samples to filter and {self.expected} frames of meaning; give whole "
                f"frames of {config.hop_length} samples, and what they mean before"
            )
        if not frames:
            return samples
        sound = torch.cat([self.heard, samples])
        with one_thread():
            gains = self._gains(sound, frames)
        self.gains = gains[-1:]
        return self._filtered(sound, gains)

    @torch.inference_mode()
    def finish(self) -> Tensor:
        """What is left: the last ``left_context`` samples."""
        beyond = -(-self.config.left_context // self.config.hop_length)  # frames whose windows reach back into them
        if not beyond:
            return self.heard
        left = self.config.left_context - self.before
        sound = torch.cat([self.heard, torch.zeros(beyond * self.config.hop_length)])
        return self._filtered(sound, self.gains.expand(beyond, -1))[:left]

    def _filtered(self, sound: Tensor, gains: Tensor) -> Tensor:
        """``(left_context + frames * hop_length,)`` -> those that no later frame changes; the others are kept."""
        config = self.config
        with one_thread():
            missing = torch.fft.rfft(windows(sound, config) * self.window) * (gains - 1)
            added = torch.fft.irfft(missing, n=config.window_length) * self.window  # (frames, window_length)
            weight = self.window.square().expand_as(added)
            total = torch.stack([overlap_add(added, config), overlap_add(weight, config)])
        total[:, : config.left_context] += self.correction
        kept = len(sound) - config.left_context
        self.heard, self.correction = sound[kept:], total[:, kept:]
        return self._let_go(sound[:kept], total[:, :kept])

    def _gains(self, sound: Tensor, frames: int) -> Tensor:
        """``(frames, bins)``, of the spectra's magnitudes."""
        heard = self.log_mel.frames(sound.unsqueeze(0))[0]
        missing = self.strength * (self._meaning(frames) - heard).clamp(-BOUND, BOUND)
        missing[: self.untouched] = 0.0
        self.untouched = max(self.untouched - frames, 0)
        return torch.exp(missing @ self.spread / 2)

    def _meaning(self, frames: int) -> Tensor:
        """Of the next frames ``(frames, mels)``."""
        self.expected -= frames
        taken = []
        while frames:
            block = self.meant.popleft()
            if len(block) > frames:
                self.meant.appendleft(block[frames:])
            taken.append(block[:frames])
            frames -= len(taken[-1])
        return torch.cat(taken)

    def _let_go(self, sound: Tensor, total: Tensor) -> Tensor:
        added, weight = total
        done: Tensor = (sound + added / weight.clamp(min=LEAST_WEIGHT)).clamp(-1.0, 1.0)
        silent = min(self.before, len(done))
        self.before -= silent
        return done[silent:]


def _spread(config: SpectrogramConfig) -> Tensor:
    """How much of each band's value each Fourier bin takes ``(mels, bins)``: bins of no band take nothing."""
    filters = mel_filters(config)  # (bins, mels)
    shares: Tensor = filters / filters.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return shares.T
