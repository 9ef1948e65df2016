"""Options of the log-mel front end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import Literal, get_args

import torch
from torch import Tensor

from wordless.audio.waveform import MAX_RATE
from wordless.base.messages import InputError
from wordless.base.options import Options, option

MeanRemoval = Literal["none", "clip", "running"]
Channel = int | Literal["mean", "loudest"]  # a number counts from 0

CHANNEL = (
    "mean, loudest, 0, 1, ...: the mean of a recording's channels, the channel with the highest power, or a channel by "
    "its number"
)
MAX_WINDOW = 65_536  # samples
MAX_MELS = 1024  # their weights with the longest window take 128 MiB
_LEAST_RATE = 2  # Hz; torchaudio's mel filters end at a whole number of Hz, half the sample rate
SMALLEST_FLOOR = 1e-30  # smaller values may be 0 in float32, and the logarithm of digital silence would not be finite


def require_choice(channel: Channel, option: str) -> None:
    """Refuse a number below 0, and words of a saved model that this version does not know."""
    known = channel in get_args(get_args(Channel)[1]) if isinstance(channel, str) else channel >= 0
    if not known:
        raise InputError(f"{option} is {channel}", remedy="choose mean, loudest, or the number of a channel, from 0 on")


@dataclass(frozen=True, kw_only=True)
class FrontEndOptions(Options):
    """Options of the log-mel front end, but for its window and hop."""

    sample_rate: int = option(
        16_000, "Hz; recordings of other rates are resampled", least=_LEAST_RATE, most=MAX_RATE, unit="Hz"
    )
    n_mels: int = option(80, "mel bands", least=1, most=MAX_MELS)
    f_min: float = option(0.0, "Hz; lower edge of the lowest band", least=0)
    f_max: float | None = option(None, "Hz; upper edge of the highest band; null: half the sample rate", above=0)
    # 80 dB below a full-scale tone in a window of 400 samples; at 0 the logarithm of digital silence is not finite
    floor: float = option(
        1e-4,
        "constant added to the mel power; a lower floor keeps more of the noise between sounds",
        least=SMALLEST_FLOOR,
    )
    # Not the default, although it keeps 80 instead of 35 % of the codes in soft noise: the vocoder needs the level of a
    # sound, and a stream need not wait for its end. docs/log.md, "Codes that stay the same".
    dynamic_range: float | None = option(
        None,
        "such as 40: puts each recording's floor 40 dB below its loud values; needs the whole recording",
        above=0,
        unit="dB",
    )
    channel: Channel = option("mean", CHANNEL)
    remove_mean: MeanRemoval = option(
        "none", "subtracts each mel band's mean over the whole clip, or over the frames so far"
    )


@dataclass(frozen=True, kw_only=True)
class Levelling(Options):
    """How the level of a recording is followed, in steps of time; see `wordless.audio.spectrogram.follow_level`."""

    frames: int  # of a step
    reference: float = -15.0  # dB full scale, to which each step is brought
    decay: float = 12.0  # dB per second, by which the level falls after the loudest step so far
    lowest: float = -70.0  # dB full scale; softer sounds are brought up as if they had this level, and stay silence


@dataclass(frozen=True, kw_only=True)
class SpectrogramConfig(FrontEndOptions):
    """Options of the log-mel spectrogram of a mono signal."""

    window_length: int = option(
        400, "samples of the window, and of the Fourier transform", least=1, most=MAX_WINDOW, unit="samples"
    )
    hop_length: int = option(160, "samples from one frame to the next", least=1)
    levelling: Levelling | None = None  # of log-mel that codes stand for, which have a stream of level

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.channel, "channel")
        if self.hop_length > self.window_length:
            rule = f"choose at most the window, {self.window_length} samples, so that every sample is used"
            raise InputError(option="hop_length", value=self.hop_length, rule=rule)
        nyquist = self.sample_rate / 2
        if not self.f_min < self.highest <= nyquist:
            rule = f"choose f_min < f_max <= {nyquist:g} Hz, half of the sample rate; f_max is {self.highest:g}"
            raise InputError(option="f_min", value=self.f_min, rule=rule)
        if self.n_mels > (most := self.window_length // 2):
            longer = -(-2000 * self.n_mels // self.sample_rate)  # ms, for as many bins as bands
            rule = f"a window of {self.window_length} samples has {most} frequency bins"
            remedy = f"choose at most {most}, or `window_ms`={longer}"
            raise InputError(option="n_mels", value=self.n_mels, rule=rule, remedy=remedy)

    @property
    def highest(self) -> float:
        """Upper edge of the highest mel band in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def keeps_levels(self) -> bool:
        """Whether log-mel says how loud a band is, and not only how loud beside the rest of its recording."""
        return self.remove_mean == "none" and self.dynamic_range is None

    @property
    def absolute(self) -> "SpectrogramConfig":
        """The same front end without a levelling: its log-mel is as loud as the sound."""
        return replace(self, levelling=None)

    @property
    def full_scale(self) -> float:
        """Power of a full-scale tone, summed over the mel bands: 0 dB."""
        return self.window_length**2 * 3 / 32  # a quarter of the window's length and of its energy, 3/8 of the length

    @property
    def left_context(self) -> int:
        """Samples before its own hop that a frame uses: window_length - hop_length."""
        return self.window_length - self.hop_length

    def mel_filters(self) -> "Tensor":
        """Compute torchaudio's ``melscale_fbanks (bins, mels)``, whose type there follows PyTorch's default type."""

        bins = torch.linspace(0, self.sample_rate // 2, self.window_length // 2 + 1, dtype=torch.float32)  # Hz
        low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (self.f_min, self.highest))
        mels = torch.linspace(low, high, self.n_mels + 2, dtype=torch.float32)
        edges = 700 * (10 ** (mels / 2595) - 1)  # of the bands, Hz
        widths, slopes = edges.diff(), edges - bins[:, None]  # (bins, mels + 2)
        return torch.minimum(-slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]).clamp(min=0)


DEFAULT_WINDOW_MS = 25.0
DEFAULT_HOP_MS = 10.0
LONGEST_MS = 10_000.0


@dataclass(frozen=True, kw_only=True)
class AudioSettings(FrontEndOptions):
    """Options of the front end: window and hop in milliseconds, or else in samples."""

    window_ms: float | None = option(
        DEFAULT_WINDOW_MS,
        "length of the analysis window in milliseconds, rounded to whole samples",
        above=0,
        most=LONGEST_MS,
        unit="ms",
    )
    hop_ms: float | None = option(
        DEFAULT_HOP_MS,
        "milliseconds from one frame to the next, rounded to whole samples",
        above=0,
        most=LONGEST_MS,
        unit="ms",
    )
    window_length: int | None = option(None, "length of the window in samples, instead of window_ms")
    hop_length: int | None = option(None, "hop in samples, instead of hop_ms")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, default in (("window", DEFAULT_WINDOW_MS), ("hop", DEFAULT_HOP_MS)):
            ms, samples = getattr(self, f"{name}_ms"), getattr(self, f"{name}_length")
            rule = f"{name}_length is {samples}, and only one may be given: set one of them to null"
            # a value in samples replaces the default
            self.refuse_if(samples is not None and ms not in (None, default), f"{name}_ms", rule)
            rule = f"{name}_length is null, too: give one of them, such as {name}_ms={default:g}"
            self.refuse_if(samples is None and ms is None, f"{name}_ms", rule)

    def spectrogram(self) -> SpectrogramConfig:
        """Return the front end, with window and hop rounded to whole samples."""
        names = {field.name for field in fields(self)} & {field.name for field in fields(SpectrogramConfig)}
        options = {name: getattr(self, name) for name in names}
        for name in ("window", "hop"):
            if options[f"{name}_length"] is None:
                options[f"{name}_length"] = round(self.sample_rate * getattr(self, f"{name}_ms") / 1000)
        config = SpectrogramConfig(**options)
        if empty := empty_bands(config):
            fewer = (n for n in range(config.n_mels, 0, -1) if not empty_bands(replace(config, n_mels=n)))
            longer = (config.window_length * quarters // 4 for quarters in range(5, 17))
            windows = (n for n in longer if n <= MAX_WINDOW and not empty_bands(replace(config, window_length=n)))
            remedies = [f"n_mels={n}" for n in islice(fewer, 1)]
            remedies += [f"window_ms={1000 * n / self.sample_rate:g}" for n in islice(windows, 1)]
            window = f"{config.window_length} samples ({1000 * config.window_length / self.sample_rate:.4g} ms)"
            apart = f"{self.sample_rate / config.window_length:.4g} Hz"
            rule = f"{empty} of the bands hold no frequency: a window of {window} has one for each {apart}"
            remedy = " or ".join(remedies) or "choose other bands"
            raise InputError(option="n_mels", value=config.n_mels, rule=rule, remedy=remedy)
        return config


def empty_bands(config: SpectrogramConfig) -> int:
    """Count the mel bands that are always silent because they contain no frequency of the Fourier transform."""
    return int((config.mel_filters().amax(0) == 0).sum())


@dataclass(frozen=True, kw_only=True)
class Convolutions:
    """Kernel sizes and strides of convolutions without padding, the first one first."""

    kernels: Sequence[int]
    strides: Sequence[int]

    def __post_init__(self) -> None:
        kernels, strides = list(self.kernels), list(self.strides)
        if not kernels or len(kernels) != len(strides) or min(*kernels, *strides) < 1:
            rule = f"give as many as kernels, {kernels}, at least one, each 1 or more"
            raise InputError(option="strides", value=strides, rule=rule)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.strides)

    @property
    def receptive_field(self) -> int:
        """Samples that a frame depends on."""
        field = step = 1
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            field += (kernel - 1) * step
            step *= stride
        return field

    def frames(self, num_samples: int) -> int:
        """Count the frames of a sound; one that is shorter than the receptive field is filled up with silence."""
        return max(num_samples - self.receptive_field, 0) // self.stride + 1

    def frames_of(self, lengths: "Tensor") -> "Tensor":
        """Count the frames of several sounds of ``lengths (batch,)`` samples."""
        return (lengths - self.receptive_field).clamp(min=0) // self.stride + 1

    def samples(self, frames: int) -> int:
        """Count the samples that a number of frames depend on."""
        return (frames - 1) * self.stride + self.receptive_field
