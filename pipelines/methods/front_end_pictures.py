"""Pictures of a learned front end of waveforms: the spectra of its filters by centre frequency, and a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.methods.picture import LineRecord, PictureRecord

if TYPE_CHECKING:
    from lm.baselines.front_end_filters import FilterBank, FloatArray

COLUMNS, ROWS = 128, 80  # of the image at most: more would make results.json large
DEEPEST = -25.0  # dB: the darkest colour
SINES, ONSETS = 9, 9  # in the gallery


def front_end_pictures(folder: Path, tensor: str, sample_rate: int, *, title: str) -> list[PictureRecord]:
    """Draw the front end whose weights ``(filters, samples)`` are a tensor of the model in ``folder``."""
    from safetensors.numpy import load_file

    from lm.baselines.front_end_filters import FilterBank
    from wordless.base.saved_models import WEIGHTS

    bank = FilterBank.of(load_file(folder / WEIGHTS)[tensor], sample_rate)
    return [_spectra(bank, title), _gallery(bank, title)]


def _spectra(bank: FilterBank, title: str) -> PictureRecord:
    from lm.baselines.front_end_filters import fourier_centres, mel_centres

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
    import numpy as np

    from lm.baselines.front_end_filters import untrained_filters

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
    import numpy as np

    return np.stack([part.mean(0) for part in np.array_split(values, min(count, len(values)))])


def _at_equal_heights(columns: FloatArray) -> FloatArray:
    """Interpolate columns ``(columns, frequencies)`` at the middles of `ROWS` equal ranges of frequency."""
    import numpy as np

    known = np.linspace(0, 1, columns.shape[1])
    wanted = (np.arange(ROWS) + 0.5) / ROWS
    return np.stack([np.interp(wanted, known, column) for column in columns])


def _rounded(values: FloatArray) -> list[float]:
    return [round(value, 3) for value in values.tolist()]
