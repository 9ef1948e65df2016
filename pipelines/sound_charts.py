"""Spectrograms of what is heard: a clip, its codes as sound in both ways, and how the language model goes on from it.

Fine enough for the harmonics of a voice, which the tokenizer's mel bands blur. All have the same axis of time and the
same colours, from the loudest point of the original down.
"""

from collections.abc import Mapping
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

from pipelines.charts import Drawing, figure_chart

WINDOW_SECONDS = 0.032
MAX_COLUMNS = 220  # of a picture; more would neither be seen at this width nor fit the page's size
SHOWN_SECONDS = 3.0
RANGE_DB = 70.0  # below the loudest point
SHADES = 48  # of the colour map: as many as are told apart, and small files

Spectrogram = npt.NDArray[np.floating]


def heard_spectrograms(number: int, files: Mapping[str, Path], *, name: str) -> Markup:
    """Spectrograms of sounds by title; the first is the original, whose loudest point all are measured from."""
    sounds = {title: _read(path) for title, path in files.items()}
    rate = next(iter(sounds.values()))[1]
    longest = min(max(len(samples) / rate for samples, _ in sounds.values()), SHOWN_SECONDS)
    drawn = {title: _decibels(samples, rate, longest) for title, (samples, _) in sounds.items()}
    loudest = float(next(iter(drawn.values())).max())

    def draw(figure: Figure) -> None:
        places: list[Axes] = list(np.atleast_1d(figure.subplots(len(drawn), 1, sharex=True)))
        shades = matplotlib.colormaps["magma"].resampled(SHADES)
        for place, (title, levels) in zip(places, drawn.items(), strict=True):
            seconds = min(len(sounds[title][0]) / rate, longest)
            place.imshow(
                levels,
                shades,
                Normalize(loudest - RANGE_DB, loudest),
                aspect="auto",
                interpolation="none",
                origin="lower",
                extent=(0, seconds, 0, rate / 2000),
            )
            place.set_title(title)
            place.set_xlim(0, longest)
            place.set_ylabel("kHz")
            place.spines[:].set_visible(False)
            place.tick_params(axis="x", bottom=place is places[-1])
        places[-1].set_xlabel("seconds")

    description = f"Spectrograms of {name}: {', '.join(title.lower() for title in drawn)}"
    drawing = Drawing(name=f"heard-{number}", description=description, height=40 + 85 * len(drawn))
    return figure_chart(drawing, draw)


def _read(path: Path) -> tuple[Spectrogram, int]:
    samples, rate = soundfile.read(path, dtype="float32")
    return samples, int(rate)


def _decibels(samples: Spectrogram, rate: int, longest: float) -> Spectrogram:
    """``(frequencies, times)`` in dB of power; as many columns for a second as fit the picture."""
    window = 2 * round(rate * WINDOW_SECONDS / 2)
    hop = max(round(longest * rate / MAX_COLUMNS), 1)
    shown = samples[: round(longest * rate)]
    padded = np.pad(shown, (window // 2, window // 2 + max(window - len(shown), 0)))
    found, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
    power = np.asarray(found, np.float64)
    levels: Spectrogram = 10 * np.log10(power + 1e-14)
    return levels
