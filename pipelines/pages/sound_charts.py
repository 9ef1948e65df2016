"""Spectrograms of a report: sounds, and what the tokenizer keeps of them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from markupsafe import Markup
from matplotlib.mlab import specgram

from pipelines.pages.charts import Picture, draw_pictures, spectrogram_chart
from pipelines.pages.report_sounds import Sound
from pipelines.pages.svg import png
from pipelines.results.run_record import Pictures

WINDOW_SECONDS = 0.032  # resolves the harmonics of a voice, which mel bands blur
MAX_COLUMNS = 220  # of a spectrogram; more would not be seen at this width and would make the page larger
MAX_SECONDS = 3.0  # that are drawn
RANGE_DB = 70.0  # below the loudest point
CODES = "codes, from the quietest (dark) to the loudest (bright)"
RECONSTRUCTED = {
    "original": "original",
    "autoencoder": "before quantisation",
    "codebook": "through the codebook",
    "codes": CODES,
}
MAX_FRAMES = 400  # of a reconstruction
RECONSTRUCTION_HEIGHT = 330  # CSS pixels


def sound_spectrograms(
    number: int,
    sounds: Mapping[Path, Sound],
    *,
    name: str,
    chart: str = "sounds",
    most: float = MAX_SECONDS,
    below_first: Picture | None = None,
) -> Markup:
    """Draw the sounds of clip ``number``, ``most`` seconds of them.

    The loudest point of the first sound, the original, is the brightest. ``below_first`` is a picture below it, such as
    its `code_strip`.
    """
    longest = min(max(soundfile.info(path).duration for path in sounds), most)
    pictures: list[Picture] = []
    for path, sound in sounds.items():
        levels, seconds, rate = _spectrogram(path, longest)
        loudest = pictures[0].limits[1] if pictures else float(levels.max(initial=-RANGE_DB))
        limits, prompt = (loudest - RANGE_DB, loudest), sound.figures.get("prompt_seconds")  # the GPT goes on
        picture = Picture(title=sound.title, values=levels, seconds=seconds, limits=limits, marked=prompt)
        pictures.append(replace(picture, kilohertz=rate / 2000))
    height = 40 + 85 * len(pictures)
    if below_first:
        pictures.insert(1, below_first.beginning(longest))
        height += round(30 + 85 * below_first.height)
    return spectrogram_chart(pictures, name=f"{chart}-{number}", title=f"Spectrograms of {name}", height=height)


def code_strip(codes: npt.NDArray[np.generic], path: Path, largest: int) -> Picture:
    """Return codes ``(time, streams)`` as a strip of colours, as long as the sound that they were encoded from."""
    picture = Picture(title=CODES, values=codes, seconds=soundfile.info(path).duration, limits=(0, largest))
    return replace(picture, colours="cividis", height=0.1 + 0.1 * codes.shape[1])


def _spectrogram(path: Path, longest: float) -> tuple[np.ndarray, float, int]:
    """Compute levels ``(time, frequencies)`` in dB of power, the seconds that they span, and the sample rate."""
    samples, rate = soundfile.read(path, dtype="float32")
    window = 2 * round(rate * WINDOW_SECONDS / 2)
    hop = max(round(longest * rate / MAX_COLUMNS), 1)
    shown = samples[: round(longest * rate)]
    padded = np.pad(shown, (window // 2, window // 2 + max(window - len(shown), 0)))
    power, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
    return 10 * np.log10(np.asarray(power, np.float64).T + 1e-14), len(shown) / rate, rate


def reconstruction(number: int, pictures: Pictures, *, seconds: float, largest: int, name: str) -> Markup:
    """Draw what `reconstruction_pictures` gives as an element of a page."""
    images = reconstruction_pictures(number, pictures, seconds=seconds, largest=largest)
    title = f"Log-mel spectrograms and codes of {name}"
    return spectrogram_chart(images, name=f"reconstruction-{number}", title=title, height=RECONSTRUCTION_HEIGHT)


def reconstruction_png(number: int, pictures: Pictures, *, seconds: float, largest: int) -> bytes:
    """Draw what `reconstruction_pictures` gives as the content of a PNG file."""
    images = reconstruction_pictures(number, pictures, seconds=seconds, largest=largest)
    return png(partial(draw_pictures, images), height=RECONSTRUCTION_HEIGHT)


def reconstruction_pictures(number: int, pictures: Pictures, *, seconds: float, largest: int) -> list[Picture]:
    """Return spectrograms of clip ``number`` before and after the tokenizer, and its codes, on one axis of time::

        frames  |   |   |   |   |   |   |   |   |
        codes   |   0   |   1   |   2   |   3   |     2 frames per code

    The clip spans ``seconds``; at most about `MAX_FRAMES` are drawn. The last code may reach beyond the clip's end.
    """
    rows = _beginnings({kind: pictures[f"{number}:{kind}"] for kind in RECONSTRUCTED})
    shown = seconds * len(rows["codes"]) / max(len(pictures[f"{number}:codes"]), 1)
    low, high = (float(value) for value in np.quantile(rows["original"], [0.01, 0.99]))
    images = [
        Picture(title=title, values=rows[kind], seconds=shown, limits=(low, high), height=4.0)
        for kind, title in RECONSTRUCTED.items()
    ]
    strip, colours = (0, largest), "cividis"
    images[-1] = replace(images[-1], limits=strip, colours=colours, height=0.5 + 0.5 * rows["codes"].shape[1])
    return images


def _beginnings(rows: Pictures) -> Pictures:
    """Cut codes and frames to as many whole codes as are drawn."""
    frames_per_code = max(len(rows["original"]) // max(len(rows["codes"]), 1), 1)
    codes = max(MAX_FRAMES // frames_per_code, 1)
    return {kind: values[: codes if kind == "codes" else codes * frames_per_code] for kind, values in rows.items()}
