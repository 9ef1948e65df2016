"""Log-mel front end with exact frame arithmetic and no look-ahead.

Frame ``t`` ends where hop ``t`` ends, so it uses no sample from ``(t + 1) * hop_length`` on::

    left pad  samples
    |<----->|<- hop ->|         |         |
    [------ window 0 -]         |         |       frame 0
              [------ window 1 -]         |       frame 1
                        [------ window 2 -]       frame 2

A recording's log-mel can be normalised: removal of its mean per mel band, and a floor relative to its loud values. In
log-mel the channel, and much of the speaker, are a constant; so is the recording level.

"Cepstral mean subtraction" in the log-mel domain (Atal, 1974; Furui, 1981). The mean of the whole clip needs the whole
clip before its first frame. The running mean of all frames so far needs no later frame.

`AudioSettings` are the user's options, in milliseconds. `warp` reads a spectrogram at another speed and with other
formants, as of another speaker.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from wordless.audio.decoding import Channel, require_choice
from wordless.audio.waveform import FloatArray, equal_blocks
from wordless.base.errors import InputError
from wordless.base.ranges import require

MeanRemoval = Literal["none", "clip", "running"]
LOUD = 0.99  # share of a recording's values below its loud values


def limit_range(pieces: Iterable[Tensor], decibels: float | None) -> Iterator[Tensor]:
    """Raise the log-mel pieces ``(time, mels)`` of a recording to a floor ``decibels`` below its loud values.

    The floor hides the noise of a soft recording as it hides that of a loud one. Loud values are known only at the end,
    so the recording's spectrogram is held in memory. None leaves the pieces unchanged.
    """
    if decibels is None:
        yield from pieces
        return
    held = list(pieces)
    if not any(piece.numel() for piece in held):
        yield from held
        return
    values = torch.cat([piece.flatten() for piece in held])
    loud = values.kthvalue(max(round(LOUD * len(values)), 1)).values
    floor = loud - decibels * math.log(10) / 10
    yield from (torch.logaddexp(piece, floor) for piece in held)


def subtract_mean(pieces: Iterable[Tensor], how: MeanRemoval) -> Iterator[Tensor]:
    """Subtract the mean per mel band from the pieces ``(time, mels)`` of one recording, given in order.

    "clip" holds the whole spectrogram in memory, the other two hold one piece. The mean is over all given frames,
    including the silence that pads a last hop or patch.
    """
    match how:
        case "none":
            yield from pieces
        case "clip":
            held = list(pieces)
            if held:
                mean = torch.cat(held).mean(0)
                yield from (piece - mean for piece in held)
        case "running":
            yield from _subtract_running_mean(pieces)


def _subtract_running_mean(pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Subtract from frame t the mean of frames 0 to t."""
    seen, total = 0, torch.zeros(())
    for piece in pieces:
        sums = piece.double().cumsum(0) + total  # (time, mels); fp64, so that rounding does not favour the last hour
        counts = torch.arange(seen + 1, seen + 1 + len(piece), device=piece.device, dtype=torch.float64)
        if len(piece):
            seen, total = seen + len(piece), sums[-1]
        yield piece - (sums / counts[:, None]).float()


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


DEFAULT_WINDOW_MS = 25.0
DEFAULT_HOP_MS = 10.0
LONGEST_MS = 10_000.0


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """Options of the front end: window and hop in milliseconds, or else in samples.

    Fields of the same name mean the same as those of `SpectrogramConfig`.
    """

    sample_rate: int
    window_ms: float | None = DEFAULT_WINDOW_MS
    hop_ms: float | None = DEFAULT_HOP_MS
    window_length: int | None = None  # samples; replaces window_ms
    hop_length: int | None = None  # samples; replaces hop_ms
    n_mels: int
    f_min: float
    f_max: float | None
    floor: float
    dynamic_range: float | None
    remove_mean: MeanRemoval
    channel: Channel

    def __post_init__(self) -> None:
        require_rate(self.sample_rate)
        _require_one_length("window_ms", self.window_ms, DEFAULT_WINDOW_MS, "window_length", self.window_length)
        _require_one_length("hop_ms", self.hop_ms, DEFAULT_HOP_MS, "hop_length", self.hop_length)

    def spectrogram(self) -> SpectrogramConfig:
        """Return the front end, with window and hop rounded to whole samples."""
        options = {field.name: getattr(self, field.name) for field in fields(SpectrogramConfig)}
        options["window_length"] = self._samples(self.window_ms, self.window_length)
        options["hop_length"] = self._samples(self.hop_ms, self.hop_length)
        config = SpectrogramConfig(**options)
        _require_full_bands(config)
        return config

    def _samples(self, milliseconds: float | None, samples: int | None) -> int:
        return samples if samples is not None else round(self.sample_rate * (milliseconds or 0.0) / 1000)


def _require_one_length(name: str, milliseconds: float | None, default: float, other: str, samples: int | None) -> None:
    """Refuse a length that is given in both units, or in none. A value in samples replaces the default."""
    if samples is not None:
        if milliseconds not in (None, default):
            problem = f"audio.{name} is {milliseconds:g} and audio.{other} is {samples}, but only one may be given"
            raise InputError(f"{problem}: leave the other out, or set audio.{name}=null or audio.{other}=null")
        return
    if milliseconds is None:
        both = f"audio.{name} and audio.{other} are both null"
        raise InputError(f"{both}; give one of them, such as audio.{name}={default:g}")
    rule = f"choose more than 0 and at most {LONGEST_MS:g} milliseconds"
    require(0 < milliseconds <= LONGEST_MS, f"audio.{name}", f"{milliseconds:g}", rule)


def empty_bands(config: SpectrogramConfig) -> int:
    """Count the mel bands that are always silent because they contain no frequency of the Fourier transform."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchaudio warns about such bands
        return int((mel_filters(config).amax(0) == 0).sum())


def _require_full_bands(config: SpectrogramConfig) -> None:
    empty = empty_bands(config)
    if not empty:
        return
    less = [config.n_mels * percent // 100 for percent in range(95, 0, -5)]
    fewer = next((n for n in less if n and not empty_bands(replace(config, n_mels=n))), None)
    longer = [round(config.window_length * factor) for factor in (1.25, 1.5, 2, 3, 4)]
    window = next((n for n in longer if n <= MAX_WINDOW and not empty_bands(replace(config, window_length=n))), None)
    remedies = [
        *([f"fewer bands (audio.n_mels={fewer})"] if fewer else []),
        *([f"a longer window (audio.window_ms={1000 * window / config.sample_rate:g})"] if window else []),
    ]
    bands = f"{empty} bands are" if empty > 1 else "1 band is"
    raise InputError(
        f"audio.n_mels is {config.n_mels}, and {bands} empty: a window of {config.window_length} samples "
        f"({1000 * config.window_length / config.sample_rate:.4g} ms) gives one frequency per "
        f"{config.sample_rate / config.window_length:.4g} Hz, and each band needs one: choose "
        f"{' or '.join(remedies) or 'other bands'}"
    )


def warp(
    spectrograms: Tensor, lengths: Tensor, *, speeds: Tensor, formants: Tensor, starts: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Resample spectrograms at other points of time and mel, linearly between frames and between bands.

    ::

        frame t of the result is read at start + (t + 0.5) * speed - 0.5        clamped to the passage's frames
        band  m                  is read at        (m + 0.5) * formant - 0.5    clamped to the lowest and highest band

    A speed or formant of 1 changes no byte.

    Args:
        spectrograms: ``(batch, time, mels)``.
        lengths: ``(batch,)`` int64, frames of each passage, 1 or more.
        speeds: ``(batch,)``, above 1 for faster, which makes the result shorter.
        formants: ``(batch,)``, above 1 for a lower voice.
        starts: ``(batch,)`` int64, first frame of each passage; by default the first of all.

    Returns:
        ``(batch, longest new length, mels)``, zeros beyond the new lengths; and the new lengths, ``max(round(length /
        speed), 1)``.
    """
    starts = torch.zeros_like(lengths) if starts is None else starts
    warped = torch.round(lengths / speeds.double()).long().clamp(min=1)
    steps = torch.arange(int(warped.max()))
    at = (steps + 0.5) * speeds.double()[:, None] - 0.5  # float64, to distinguish the frames of an hour exactly
    lower, share = _between(at, lengths[:, None])
    upper = torch.minimum(lower + 1, lengths[:, None] - 1)
    rows = torch.arange(len(spectrograms))[:, None]
    first, second = (spectrograms[rows, starts[:, None] + index] for index in (lower, upper))
    read = torch.lerp(first, second, share.to(spectrograms.dtype)[..., None])
    if bool((formants != 1).any()):
        read = read @ _band_weights(formants, spectrograms.shape[2]).to(spectrograms.dtype)
    return read.masked_fill((steps >= warped[:, None])[..., None], 0.0), warped


def _band_weights(formants: Tensor, mels: int) -> Tensor:
    """Compute the weight of each band in each band of the result ``(batch, mels, mels)``."""
    at = (torch.arange(mels) + 0.5) * formants.double()[:, None] - 0.5
    lower, share = _between(at, torch.tensor(mels))
    weights = torch.zeros(len(formants), mels, mels, dtype=torch.float64)
    weights.scatter_add_(1, lower[:, None], 1 - share[:, None])
    return weights.scatter_add_(1, (lower + 1).clamp(max=mels - 1)[:, None], share[:, None])


def _between(at: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index below a position, clamped to the valid indices, and the position's distance from the index."""
    clamped = torch.minimum(at.clamp(min=0), (count - 1).double())
    lower = clamped.floor()
    return lower.long(), clamped - lower
