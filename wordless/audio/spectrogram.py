"""Log-mel front end with exact frame arithmetic and no look-ahead.

Frame ``t`` ends where hop ``t`` ends, so it uses no sample from ``(t + 1) * hop_length`` on::

    left pad  samples
    |<----->|<- hop ->|         |         |
    [------ window 0 -]         |         |       frame 0
              [------ window 1 -]         |       frame 1
                        [------ window 2 -]       frame 2
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from wordless.audio.blocks import equal_blocks
from wordless.audio.channels import Channel, require_choice
from wordless.audio.mean_removal import MeanRemoval, limit_range, subtract_mean
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError
from wordless.base.ranges import require

MAX_WINDOW = 65_536  # samples
MAX_MELS = 1024  # their weights with the longest window take 128 MiB
MIN_RATE, MAX_RATE = 2, 1_000_000  # Hz; torchaudio's mel filters end at a whole number of Hz, half the sample rate
SMALLEST_FLOOR = 1e-30  # smaller values may be 0 in float32, and the logarithm of digital silence would not be finite


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig:
    """Options of the log-mel spectrogram of a mono signal."""

    sample_rate: int = 16_000  # Hz; recordings of another rate are resampled
    window_length: int = 400  # samples; also the length of the Fourier transform
    hop_length: int = 160  # samples between frames
    n_mels: int = 80
    f_min: float = 0.0  # Hz
    f_max: float | None = None  # Hz; None is half the sample rate
    floor: float = 1e-4  # added to the mel power before the logarithm: 80 dB below a full-scale tone in a window of 400
    # dB; floor relative to a recording's own loud values, for which the whole recording is needed
    dynamic_range: float | None = None
    remove_mean: MeanRemoval = "none"  # over time, per mel band; removes the channel; "clip" needs whole recordings
    channel: Channel = "mean"  # of a recording that is read; "loudest" decodes a recording twice

    def __post_init__(self) -> None:
        require_rate(self.sample_rate)
        given = f"{self.hop_length} and audio.window_length {self.window_length} samples"
        rule = "choose 0 < hop_length <= window_length, so that every sample is used (audio.hop_ms and audio.window_ms)"
        require(0 < self.hop_length <= self.window_length, "audio.hop_length", given, rule)
        length, rule = self.window_length, f"choose at most {MAX_WINDOW}"
        require(length <= MAX_WINDOW, "audio.window_length", f"{length} samples", rule)
        nyquist = self.sample_rate / 2
        if not 0 <= self.f_min < self.highest <= nyquist:
            raise InputError(
                f"audio.f_min is {self.f_min} and audio.f_max {self.highest} Hz; choose 0 <= f_min < f_max <= "
                f"{nyquist:g}, half of audio.sample_rate={self.sample_rate}"
            )
        most = min(self.window_length // 2, MAX_MELS)
        bins = f"the window of {self.window_length} samples has frequency bins"
        longer = -(-2000 * min(self.n_mels, MAX_MELS) // self.sample_rate)  # ms, for as many bins as bands
        rule = f"choose 1 to {most}: no more than {bins}, and no more than {MAX_MELS}"
        rule += f"; or a longer window, such as audio.window_ms={longer}" if most < self.n_mels <= MAX_MELS else ""
        require(0 < self.n_mels <= most, "audio.n_mels", self.n_mels, rule)
        rule = "choose a positive one, such as 40, or null for none"
        usable = self.dynamic_range is None or self.dynamic_range > 0
        require(usable, "audio.dynamic_range", f"{self.dynamic_range} dB", rule)
        rule = "choose none, clip or running"
        require(self.remove_mean in get_args(MeanRemoval), "audio.remove_mean", repr(self.remove_mean), rule)
        require_choice(self.channel, "audio.channel")
        rule = f"the logarithm needs a positive floor of at least {SMALLEST_FLOOR:g}, such as 1e-4"
        require(SMALLEST_FLOOR <= self.floor < np.inf, "audio.floor", self.floor, rule)

    @property
    def highest(self) -> float:
        """Upper edge of the highest mel band in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def keeps_levels(self) -> bool:
        """Whether log-mel says how loud a band is, and not only how loud beside the rest of its recording."""
        return self.remove_mean == "none" and self.dynamic_range is None

    @property
    def left_context(self) -> int:
        """Samples before its own hop that a frame uses: window_length - hop_length."""
        return self.window_length - self.hop_length


class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrogram (HTK mel scale, Hann window), not normalised."""

    def __init__(self, config: SpectrogramConfig) -> None:
        super().__init__()
        self.config = config
        self.transform = torchaudio.transforms.MelSpectrogram(
            sample_rate=config.sample_rate,
            n_fft=config.window_length,
            hop_length=config.hop_length,
            f_min=config.f_min,
            f_max=config.highest,
            n_mels=config.n_mels,
            center=False,
            power=2.0,
        )

    def frames(self, samples: Tensor) -> Tensor:
        """Compute the frames of samples that begin with ``left_context`` samples of history; no mean is removed.

        ``(batch, left_context + time * hop_length)`` -> ``(batch, time, mels)``, on the device of the samples.
        """
        power: Tensor = self.transform(samples.to(next(self.buffers()).device))
        return torch.log(power + self.config.floor).transpose(1, 2).to(samples.device)  # (N, M, T) -> (N, T, M)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute all whole frames from the start: ``(batch, samples)`` -> ``(batch, samples // hop_length, mels)``."""
        frames = self.frames(nn.functional.pad(samples, (self.config.left_context, 0)))
        return torch.stack([next(iter(self.relative([recording]))) for recording in frames])

    def relative(self, pieces: Iterable[Tensor], *, dynamic_range: float | None = None) -> Iterator[Tensor]:
        """Normalise the pieces ``(time, mels)`` of one recording, from its start, by its own loudness and mean.

        ``dynamic_range`` in dB overrides the front end's own.
        """
        decibels = self.config.dynamic_range if dynamic_range is None else dynamic_range
        return subtract_mean(limit_range(pieces, decibels), self.config.remove_mean)


def mel_power(log_mel: Tensor, config: SpectrogramConfig) -> Tensor:
    """Compute the power of unnormalised log-mel, without the floor; of the same shape."""
    return (log_mel.exp() - config.floor).clamp(min=0)


def mel_filters(config: SpectrogramConfig) -> Tensor:
    """Compute the weight of each frequency of the Fourier transform in each mel band, ``(bins, mels)``."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        config.window_length // 2 + 1, config.f_min, config.highest, config.n_mels, config.sample_rate
    )
    return filters


def log_mel_stream(
    log_mel: LogMel, blocks: Iterable[FloatArray], *, frames: int = 1000, dynamic_range: float | None = None
) -> Iterator[Tensor]:
    """Compute log-mel ``(time, mels)`` of blocks at the front end's rate, ``frames`` at a time; whole hops only.

    The blocks are one recording from its start. Its range is bounded and its mean removed as the front end says;
    ``dynamic_range`` in dB overrides the front end's own.
    """
    return log_mel.relative(frames_stream(log_mel, blocks, frames=frames), dynamic_range=dynamic_range)


def frames_stream(log_mel: LogMel, blocks: Iterable[FloatArray], *, frames: int) -> Iterator[Tensor]:
    """Compute the frames ``(time, mels)`` of `log_mel_stream` before their range is bounded and their mean removed."""
    config = log_mel.config
    history = np.zeros(config.left_context, dtype=np.float32)
    for block in equal_blocks(blocks, frames * config.hop_length):
        whole = block[: len(block) // config.hop_length * config.hop_length]
        if len(whole):
            samples = np.concatenate([history, whole])
            history = samples[len(whole) :]
            yield log_mel.frames(torch.from_numpy(samples)[None])[0]


def require_rate(sample_rate: int) -> None:
    """Refuse a sample rate that no front end can have."""
    rule = f"it must be {MIN_RATE} to {MAX_RATE} Hz"
    require(MIN_RATE <= sample_rate <= MAX_RATE, "audio.sample_rate", sample_rate, rule)


def require_ranges(ranges: tuple[float, float] | None, option: str) -> None:
    """Refuse an invalid interval of dynamic ranges."""
    if ranges is not None and not (len(ranges) == 2 and 0 < ranges[0] <= ranges[1]):
        raise InputError(f"{option} is {list(ranges)} dB; give the narrowest and the widest, such as [22, 50], or null")
