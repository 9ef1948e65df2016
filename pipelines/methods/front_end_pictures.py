"""A picture of the filters that a front end of waveforms has learned: spectra, sorted by centre frequency.

A filter is a row of the first layer's weights: a patch is multiplied with it. Verma and Berger (arXiv:2105.00335) sort
the filters by centre frequency. A Fourier basis then lies on a straight line, and mel bands on a curve that is steep at
its end. The centre frequencies of noise, and so those of an untrained front end, lie on the straight line as well.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from pipelines.methods.method import PictureRecord
from wordless.base.saved_models import WEIGHTS

FloatArray = npt.NDArray[np.float64]
COLUMNS, ROWS = 128, 80  # of the image at most: more would make results.json large
DEEPEST = -25.0  # dB: the darkest colour


def sorted_spectra(filters: npt.NDArray[np.floating], sample_rate: int) -> tuple[FloatArray, FloatArray]:
    """Sort filters ``(filters, samples)`` by the frequency of their largest energy.

    The result is these frequencies in Hz ``(filters,)``, and spectra ``(filters, frequencies)`` from 0 to half the
    sample rate, in dB relative to the maximum of each filter.
    """
    energies = np.abs(np.fft.rfft(filters.astype(np.float64), axis=1)) ** 2
    spectra = energies[np.argsort(energies.argmax(1), kind="stable")]
    largest = np.maximum(spectra.max(1, keepdims=True), 1e-30)
    centres: FloatArray = spectra.argmax(1) * sample_rate / filters.shape[1]
    return centres, 10 * np.log10(np.maximum(spectra / largest, 1e-12))


def front_end_picture(folder: Path, tensor: str, sample_rate: int, *, title: str) -> PictureRecord:
    """Draw the front end whose weights ``(filters, samples)`` are a tensor of the model in ``folder``."""
    centres, decibels = sorted_spectra(load_file(folder / WEIGHTS)[tensor], sample_rate)
    count, highest = len(centres), sample_rate / 2
    straight: FloatArray = np.linspace(0, highest, count)
    mels = 2595 * np.log10(1 + highest / 700)  # equally far apart on the mel scale (O'Shaughnessy, 1987)
    mel: FloatArray = 700 * (10 ** (np.linspace(0, mels, count) / 2595) - 1)
    lines = {"centre frequencies": centres, "mel scale": mel, "Fourier basis": straight}
    from_mel, from_straight = (float(np.sqrt(np.mean((centres - curve) ** 2))) / 1000 for curve in (mel, straight))
    shared = f"Each column is the mean of about {count / COLUMNS:.0f} neighbours. " if count > COLUMNS else ""
    columns = _means(decibels)
    known, wanted = np.linspace(0, 1, columns.shape[1]), (np.arange(ROWS) + 0.5) / ROWS
    image = np.stack([np.interp(wanted, known, column) for column in columns]).clip(DEEPEST)
    return {
        "title": f"Front end of the {title}",
        "caption": (
            f"Spectra of {count:,} learned filters, sorted by centre frequency; colours span {-DEEPEST:.0f} dB. "
            f"{shared}The centre frequencies lie {from_mel:.2f} kHz from the mel scale and {from_straight:.2f} kHz "
            f"from a Fourier basis (root mean square); half of them are below {centres[count // 2] / 1000:.2f} "
            "kHz. The centre frequencies of noise would lie on the line of the Fourier basis."
        ),
        "image": {
            "columns": [[round(255 * (1 - level / DEEPEST)) for level in row] for row in image.tolist()],
            "across": "filters, the lowest first",
            "width": count,
            "up": "kHz",
            "height": highest / 1000,
            "lines": [
                {"name": name, "values": [round(value / 1000, 3) for value in _means(values).tolist()]}
                for name, values in lines.items()
            ],
        },
    }


def _means(values: FloatArray) -> FloatArray:
    """Average the rows of at most `COLUMNS` equal parts."""
    return np.stack([part.mean(0) for part in np.array_split(values, min(COLUMNS, len(values)))])
