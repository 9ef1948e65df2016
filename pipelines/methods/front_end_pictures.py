"""A picture of the filters that a front end of waveforms has learned: spectra, sorted by centre frequency.

A filter is a row of the first layer's weights: a patch is multiplied with it. Verma and Berger (arXiv:2105.00335) sort
the filters by centre frequency. A Fourier basis then lies on a straight line, and mel bands on a curve that is steep at
its end. The centre frequencies of noise, and so those of an untrained front end, lie on the straight line as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from pipelines.methods.method import PictureRecord
from wordless.base.saved_models import WEIGHTS

FloatArray = npt.NDArray[np.float64]
COLUMNS, ROWS = 128, 80  # of the image at most: more would make results.json large
DEEPEST = -25.0  # dB: the darkest colour


@dataclass(frozen=True, kw_only=True, eq=False)
class FilterBank:
    """Filters sorted by centre frequency."""

    filters: FloatArray  # (filters, samples)
    sample_rate: int

    @classmethod
    def of(cls, filters: npt.NDArray[np.floating], sample_rate: int) -> FilterBank:
        """Sort filters ``(filters, samples)``; those of one centre frequency keep their order."""
        unsorted = cls(filters=filters.astype(np.float64), sample_rate=sample_rate)
        return cls(filters=unsorted.filters[np.argsort(unsorted.centres, kind="stable")], sample_rate=sample_rate)

    @cached_property
    def spectra(self) -> FloatArray:
        """Energy of each filter at each frequency ``(filters, frequencies)``, from 0 to half the sample rate."""
        energies: FloatArray = np.abs(np.fft.rfft(self.filters, axis=1)) ** 2
        return energies

    @property
    def centres(self) -> FloatArray:
        """The frequency of the largest energy of each filter, in Hz ``(filters,)``."""
        centres: FloatArray = self.spectra.argmax(1) * self.sample_rate / self.filters.shape[1]
        return centres

    @property
    def decibels(self) -> FloatArray:
        """Spectra in dB relative to the maximum of each filter."""
        largest = self.spectra.max(1, keepdims=True)
        levels: FloatArray = 10 * np.log10(np.maximum(self.spectra / np.maximum(largest, 1e-30), 1e-12))
        return levels


def front_end_pictures(folder: Path, tensor: str, sample_rate: int, *, title: str) -> list[PictureRecord]:
    """Draw the front end whose weights ``(filters, samples)`` are a tensor of the model in ``folder``."""
    bank = FilterBank.of(load_file(folder / WEIGHTS)[tensor], sample_rate)
    count, centres, highest = len(bank.filters), bank.centres, sample_rate / 2
    straight: FloatArray = np.linspace(0, highest, count)
    mels = 2595 * np.log10(1 + highest / 700)  # equally far apart on the mel scale (O'Shaughnessy, 1987)
    mel: FloatArray = 700 * (10 ** (np.linspace(0, mels, count) / 2595) - 1)
    lines = {"centre frequencies": centres, "mel scale": mel, "Fourier basis": straight}
    from_mel, from_straight = (float(np.sqrt(np.mean((centres - curve) ** 2))) / 1000 for curve in (mel, straight))
    shared = f"Each column is the mean of about {count / COLUMNS:.0f} neighbours. " if count > COLUMNS else ""
    columns = _means(bank.decibels, COLUMNS)
    known, wanted = np.linspace(0, 1, columns.shape[1]), (np.arange(ROWS) + 0.5) / ROWS
    image = np.stack([np.interp(wanted, known, column) for column in columns]).clip(DEEPEST)
    return [
        {
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
                    {"name": name, "values": [round(value / 1000, 3) for value in _means(values, COLUMNS).tolist()]}
                    for name, values in lines.items()
                ],
            },
        }
    ]


def _means(values: FloatArray, count: int) -> FloatArray:
    """Average the rows of at most ``count`` equal parts."""
    return np.stack([part.mean(0) for part in np.array_split(values, min(count, len(values)))])
