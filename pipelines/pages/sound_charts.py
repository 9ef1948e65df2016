"""Spectrograms of what is heard: a clip, its codes as sound in both ways, and how the language model goes on from it.

Fine enough for the harmonics of a voice, which the tokenizer's mel bands blur. All have the same axis of time and the
same colours, from the loudest point of the original down.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
import soundfile
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.mlab import specgram

from pipelines.pages.charts import Drawing, figure_chart

WINDOW_SECONDS = 0.032
MAX_COLUMNS = 220  # of a picture; more would neither be seen at this width nor fit the page's size
SHOWN_SECONDS = 3.0
RANGE_DB = 70.0  # below the loudest point
SHADES = 48  # of the colour map: as many as are told apart, and small files


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """A sound to draw."""

    title: str
    path: Path
    joint: float | None = None  # seconds at which the language model takes over


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spectrogram:
    title: str
    joint: float | None
    seconds: float  # that are shown
    rate: int
    levels: npt.NDArray[np.float64]  # (frequencies, times), dB of power


def heard_spectrograms(number: int, sounds: Sequence[Pictured], *, name: str) -> Markup:
    """Spectrograms of the sounds of clip ``number``; the loudest point of the first, the original, is the brightest."""
    longest = min(max(soundfile.info(sound.path).duration for sound in sounds), SHOWN_SECONDS)
    drawn = [_spectrogram(sound, longest) for sound in sounds]
    loudest = float(drawn[0].levels.max(initial=-RANGE_DB))
    colours = Normalize(loudest - RANGE_DB, loudest)

    def draw(figure: Figure) -> None:
        places: list[Axes] = list(np.atleast_1d(figure.subplots(len(drawn), 1, sharex=True)))
        for place, one in zip(places, drawn, strict=True):
            _draw(place, one, colours)
            place.set_xlim(0, longest)
            place.tick_params(axis="x", bottom=place is places[-1])
        places[-1].set_xlabel("seconds")

    description = f"Spectrograms of {name}: {', '.join(one.title.lower() for one in drawn)}"
    return figure_chart(Drawing(name=f"heard-{number}", description=description, height=40 + 85 * len(drawn)), draw)


def _draw(place: Axes, one: _Spectrogram, colours: Normalize) -> None:
    shades = matplotlib.colormaps["magma"].resampled(SHADES)
    extent = (0, one.seconds, 0, one.rate / 2000)
    place.imshow(one.levels, shades, colours, aspect="auto", interpolation="none", origin="lower", extent=extent)
    if one.joint is not None:
        place.axvline(one.joint, color="white", linewidth=1, linestyle=(0, (3, 3)))
    place.set_title(one.title)
    place.set_ylabel("kHz")
    place.spines[:].set_visible(False)


def _spectrogram(sound: Pictured, longest: float) -> _Spectrogram:
    """As many columns for a second as fit the picture."""
    samples, rate = soundfile.read(sound.path, dtype="float32")
    window = 2 * round(rate * WINDOW_SECONDS / 2)
    hop = max(round(longest * rate / MAX_COLUMNS), 1)
    shown = samples[: round(longest * rate)]
    padded = np.pad(shown, (window // 2, window // 2 + max(window - len(shown), 0)))
    power, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
    return _Spectrogram(
        title=sound.title,
        joint=sound.joint,
        seconds=len(shown) / rate,
        rate=rate,
        levels=10 * np.log10(np.asarray(power, np.float64) + 1e-14),
    )
