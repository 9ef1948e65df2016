"""User options of the front end; `AudioSettings.spectrogram` converts them to samples."""

import warnings
from dataclasses import dataclass, fields, replace

from wordless.audio.channels import Channel
from wordless.audio.mean_removal import MeanRemoval
from wordless.audio.spectrogram import MAX_WINDOW, SpectrogramConfig, mel_filters, require_rate
from wordless.base.errors import InputError
from wordless.base.ranges import require

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
