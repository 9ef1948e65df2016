"""Pictures of the filters that a front end of waveforms has learned: spectra by centre frequency, and a gallery.

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

from pipelines.methods.method import LineRecord, PictureRecord
from wordless.base.saved_models import WEIGHTS

FloatArray = npt.NDArray[np.float64]
SIDE_BINS = 1  # on either side of the maximum of a spectrum, whose energy counts as that of a windowed sine
PASSAGES = 8  # of a patch; an onset has most of its energy in one that is an eighth of the patch long


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

    @property
    def band_shares(self) -> FloatArray:
        """The share of each filter's energy near the maximum of its spectrum ``(filters,)``: 1 for a windowed sine."""
        padded = np.pad(self.spectra, ((0, 0), (SIDE_BINS, SIDE_BINS)))
        peaks = self.spectra.argmax(1)[:, None] + np.arange(2 * SIDE_BINS + 1)
        return _shares(np.take_along_axis(padded, peaks, axis=1).sum(1), self.spectra)

    @property
    def passages(self) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """The largest share of each filter's energy within an eighth of the patch, and its first sample."""
        energy, width = self.filters**2, max(self.filters.shape[1] // PASSAGES, 1)
        sums = np.pad(energy.cumsum(1), ((0, 0), (1, 0)))
        inside = sums[:, width:] - sums[:, :-width]
        return _shares(inside.max(1), energy), inside.argmax(1)

    def sines(self, count: int) -> list[int]:
        """Choose from each of ``count`` equal parts of the sorted filters the one most like a windowed sine."""
        shares = self.band_shares
        parts = np.array_split(np.arange(len(shares)), min(count, len(shares)))
        return [int(part[shares[part].argmax()]) for part in parts]

    def onsets(self, count: int) -> list[int]:
        """Choose the filters with the shortest passages of energy, the shortest first."""
        return [int(place) for place in np.argsort(-self.passages[0], kind="stable")[:count]]

    def distance(self, curve: FloatArray) -> float:
        """Compute the root mean square distance of the centre frequencies from a curve ``(filters,)``, in Hz."""
        return float(np.sqrt(np.mean((self.centres - curve) ** 2)))


def fourier_centres(count: int, sample_rate: int) -> FloatArray:
    """Compute the centre frequencies of a Fourier basis of ``count`` filters, in Hz: a straight line."""
    return np.linspace(0, sample_rate / 2, count)


def mel_centres(count: int, sample_rate: int) -> FloatArray:
    """Compute ``count`` frequencies that are equally far apart on the mel scale (O'Shaughnessy, 1987), in Hz."""
    highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
    centres: FloatArray = 700 * (10 ** (np.linspace(0, highest, count) / 2595) - 1)
    return centres


def untrained_filters(count: int, samples: int, sample_rate: int) -> FilterBank:
    """Create filters of noise ``(count, samples)``, such as a front end begins with."""
    return FilterBank.of(np.random.default_rng(0).uniform(-1, 1, (count, samples)), sample_rate)


def _shares(parts: FloatArray, energy: FloatArray) -> FloatArray:
    """Divide parts of the energy by the whole energy of each filter; a filter of zeros has a share of 0."""
    whole = energy.sum(1)
    shares: FloatArray = np.divide(parts, whole, out=np.zeros_like(whole), where=whole > 0)
    return shares


COLUMNS, ROWS = 128, 80  # of the image at most: more would make results.json large
DEEPEST = -25.0  # dB: the darkest colour
SINES, ONSETS = 9, 9  # in the gallery


def front_end_pictures(folder: Path, tensor: str, sample_rate: int, *, title: str) -> list[PictureRecord]:
    """Draw the front end whose weights ``(filters, samples)`` are a tensor of the model in ``folder``."""
    bank = FilterBank.of(load_file(folder / WEIGHTS)[tensor], sample_rate)
    return [_spectra(bank, title), _gallery(bank, title)]


def _spectra(bank: FilterBank, title: str) -> PictureRecord:
    count, rate = len(bank.filters), bank.sample_rate
    straight, mel = fourier_centres(count, rate), mel_centres(count, rate)
    lines = [("centre frequencies", bank.centres), ("mel scale", mel), ("Fourier basis", straight)]
    columns = f"Each column is the mean of about {count / COLUMNS:.0f} neighbours. " if count > COLUMNS else ""
    image = _at_equal_heights(_means(bank.decibels, COLUMNS))
    return {
        "title": f"Front end of the {title}",
        "caption": (
            f"Spectra of {count:,} learned filters, sorted by centre frequency; colours span {-DEEPEST:.0f} dB. "
            f"{columns}"
            f"The centre frequencies lie {bank.distance(mel) / 1000:.2f} kHz from the mel scale and "
            f"{bank.distance(straight) / 1000:.2f} kHz from a Fourier basis (root mean square); half of them are below "
            f"{sorted(bank.centres)[count // 2] / 1000:.2f} kHz. {_concentration(bank)} The centre frequencies of "
            "noise would lie on the line of the Fourier basis."
        ),
        "image": {
            "columns": [[round(255 * (1 - max(level, DEEPEST) / DEEPEST)) for level in row] for row in image.tolist()],
            "across": "filters, the lowest first",
            "width": count,
            "up": "kHz",
            "height": rate / 2000,
            "lines": [{"name": name, "values": _rounded(_means(values, COLUMNS) / 1000)} for name, values in lines],
        },
    }


def _concentration(bank: FilterBank) -> str:
    """Write how narrow the filters' bands and passages are, beside filters of noise."""
    count, samples = bank.filters.shape
    noise = untrained_filters(count, samples, bank.sample_rate)
    shares = [float(np.median(values)) for each in (bank, noise) for values in (each.band_shares, each.passages[0])]
    width = 3 * bank.sample_rate / samples
    return (
        f"The median filter has {shares[0]:.0%} of its energy within {width:.0f} Hz and {shares[1]:.0%} within an "
        f"eighth of the patch; a filter of noise has {shares[2]:.0%} and {shares[3]:.0%}."
    )


def _gallery(bank: FilterBank, title: str) -> PictureRecord:
    milliseconds = 1000 / bank.sample_rate
    centres, (_, starts) = bank.centres, bank.passages
    names = [(place, f"{centres[place]:,.0f} Hz") for place in bank.sines(SINES)]
    names += [(place, f"burst at {starts[place] * milliseconds:.0f} ms") for place in bank.onsets(ONSETS)]
    length = bank.filters.shape[1] * milliseconds
    return {
        "title": f"Filters of the {title}",
        "caption": (
            f"Filters of {length:g} ms. The first {SINES} are those that are most like a windowed sine, each in a "
            f"different range of centre frequencies. The others have their energy in the shortest passage, as the "
            "detector of an onset has."
        ),
        "panels": [_panel(name, bank.filters[place]) for place, name in names],
    }


def _panel(name: str, samples: FloatArray) -> LineRecord:
    return {"name": name, "values": _rounded(samples / max(abs(samples).max(), 1e-30))}


def _means(values: FloatArray, count: int) -> FloatArray:
    """Average the rows of at most ``count`` equal parts."""
    return np.stack([part.mean(0) for part in np.array_split(values, min(count, len(values)))])


def _at_equal_heights(columns: FloatArray) -> FloatArray:
    """Interpolate columns ``(columns, frequencies)`` at the middles of `ROWS` equal ranges of frequency."""
    known = np.linspace(0, 1, columns.shape[1])
    wanted = (np.arange(ROWS) + 0.5) / ROWS
    return np.stack([np.interp(wanted, known, column) for column in columns])


def _rounded(values: FloatArray) -> list[float]:
    return [round(value, 3) for value in values.tolist()]
