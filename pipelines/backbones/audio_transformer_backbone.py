"""The Audio Transformer of waveforms: options, methods of the comparison, network, and pictures of its filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
from safetensors.numpy import load_file

from lm.backbones.audio_transformer import AudioTransformerBackbone, AudioTransformerConfig, Variant
from lm.backbones.backbone import Backbone, BackboneSource
from lm.backbones.clips import WaveformAugmentationConfig, augment_waveforms
from lm.finetuned import FineTunedModel
from lm.finetuning import HeadConfig
from pipelines.backbones.network_options import (
    RANDOM,
    SIZES,
    HeadTraining,
    NetworkSettings,
    WaveformFinetuneSettings,
    WaveformTraining,
)
from pipelines.backbones.networks import VALIDATION_SECONDS, LabelTraining, Network, layer_reader, whatever_the_inputs
from pipelines.methods.method import CURVES, Line, Method, PictureRecord, untrained
from pipelines.stages.features import ClipReading
from pipelines.store.store import CachedArtifact
from wordless.base.arrays import DoubleArray, Floats, IndexArray
from wordless.base.files import file_hash
from wordless.base.messages import InputError
from wordless.base.options import option
from wordless.base.saved_models import WEIGHTS
from wordless.training import FitConfig, LargeFitConfig

_NAME, _TITLE = "audio_transformer", "Audio Transformer"
_LEARNED = Method(name=_NAME, kind="supervised", title=_TITLE, untrained=f"random_{_NAME}", training=_NAME,
                 learns_labels=True, sound="samples", line=Line(marker="<"), places=CURVES)  # fmt: skip
# They differ in what happens between layers and have the same parameters, so a comparison can name several.
_VARIANTS: dict[str, Variant] = {f"{_NAME}_{variant}": variant for variant in get_args(Variant)}
_LINES = {
    "wavelet": Line(marker="<", filled=False, dashes="-"),
    "pooling": Line(marker=">", filled=False, dashes="--"),
    "plain": Line(marker="h", filled=False, dashes=":"),
}


@dataclass(frozen=True, kw_only=True)
class AudioTransformerFinetuneSettings(WaveformFinetuneSettings):
    """The Audio Transformer, which reads patches of samples."""

    name = _NAME

    model: AudioTransformerConfig = option(AudioTransformerConfig(), SIZES)
    fit: LargeFitConfig = LargeFitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def open(self, run: Mapping[str, Path]) -> BackboneSource:
        """Describe the model of a run, of the folder of a model that was trained on labels, or of the options."""

        folder = None if self.weights == RANDOM else run.get(_NAME, Path(self.weights).expanduser())
        backbone: Backbone = AudioTransformerBackbone(audio_transformer=self.model, sample_rate=self.sample_rate)
        if folder is not None:
            backbone = FineTunedModel.from_pretrained(folder).backbone
            if not isinstance(backbone, AudioTransformerBackbone):
                raise InputError(
                    f"backbone.weights={folder} holds a {backbone.title}; name the folder audio_transformer of a run"
                )
        return BackboneSource(
            backbone=backbone,
            weights=folder,
            fingerprint="" if folder is None else file_hash(folder / WEIGHTS)[:16],
            change=partial(augment_waveforms, config=self.augmentation),
            learned_labels=folder is not None,
        )


@dataclass(frozen=True, kw_only=True)
class AudioTransformerSettings(WaveformTraining, HeadTraining, NetworkSettings):
    inputs = "waveforms"
    methods = (
        _LEARNED,
        *(
            replace(_LEARNED, name=f"{_NAME}_{variant}", title=f"{_TITLE}, {variant}", line=line)
            for variant, line in _LINES.items()
        ),
        untrained(_NAME, _TITLE, marker="8", sound="samples"),
    )
    parts = (_NAME,)

    model: AudioTransformerConfig = option(AudioTransformerConfig(), "the network")
    head: HeadConfig = HeadConfig(pooling="mean", dropout=0.1)
    augmentation: WaveformAugmentationConfig = WaveformAugmentationConfig()  # random changes of the clips
    fit: FitConfig = FitConfig(steps=600, final_lr_ratio=0.02, weight_decay=0.05, validate_every=50)

    def least_seconds(self, method: Method, sample_rate: int) -> float:
        return self.model.patch_ms / 1000

    def pictures(self, folder: Path, sample_rate: int, *, title: str) -> list[PictureRecord]:
        return front_end_pictures(folder, sample_rate, title=title)

    def network(self, reading: ClipReading, method: Method, sample: CachedArtifact | None) -> Network:
        """Describe the Audio Transformer of waveforms (Verma, Berger, 2021): see `lm.backbones.audio_transformer`."""

        rate, seed = reading.audio.sample_rate, self.fit.seed
        model = replace(self.model, variant=_VARIANTS.get(method.name, self.model.variant))
        backbone = AudioTransformerBackbone(audio_transformer=model, sample_rate=rate)
        change = partial(augment_waveforms, config=self.augmentation)
        random = BackboneSource(backbone=backbone, weights=None, fingerprint="", change=change)
        return Network(
            name=_NAME,
            reader=layer_reader(reading, backbone, seed=seed),
            decides={"model": model, "sample_rate": rate, "weights": f"random {seed}"},
            learns=[model, self.augmentation, rate],
            source=partial(whatever_the_inputs, random),
            training=LabelTraining(
                option="audio_transformer.fit",
                batches=self.batches.at_rate(rate),
                fit=self.fit,
                at_most=VALIDATION_SECONDS * rate,
            ),
            head=self.head,
        )


# Pictures of the filters that the front end has learned: spectra by centre frequency, and a gallery. A filter is a row
# of the first layer's weights: a patch is multiplied with it. Verma and Berger (arXiv:2105.00335) sort the filters by
# centre frequency. A Fourier basis then lies on a straight line, and mel bands on a curve that is steep at its end. The
# centre frequencies of noise, and so those of an untrained front end, lie on the straight line as well.
_COLUMNS, _ROWS = 128, 80  # of the image at most: more would make results.json large
DEEPEST = -25.0  # dB: the darkest colour
_SHOWN = 9  # windowed sines, and as many bursts, in the gallery


def sorted_filters(filters: Floats) -> tuple[DoubleArray, DoubleArray]:
    """Sort filters ``(filters, samples)`` by the frequency of their largest energy.

    The result is the filters and their energies ``(filters, frequencies)`` from 0 to half the sample rate.
    """
    energies = np.abs(np.fft.rfft(filters.astype(np.float64), axis=1)) ** 2
    order = np.argsort(energies.argmax(1), kind="stable")
    return filters.astype(np.float64)[order], energies[order]


def decibels_of(energies: DoubleArray) -> DoubleArray:
    """Return energies ``(filters, frequencies)`` in dB relative to the maximum of each filter."""
    largest = np.maximum(energies.max(1, keepdims=True), 1e-30)
    levels: DoubleArray = 10 * np.log10(np.maximum(energies / largest, 1e-12))
    return levels


def band_shares(energies: DoubleArray) -> DoubleArray:
    """Return the share of each filter's energy within one frequency of its maximum: 1 for a windowed sine."""
    peaks = energies.argmax(1)[:, None] + np.arange(3)
    return _shares(np.take_along_axis(np.pad(energies, ((0, 0), (1, 1))), peaks, axis=1).sum(1), energies)


def passages(filters: DoubleArray) -> tuple[DoubleArray, IndexArray]:
    """Return the largest share of each filter's energy within an eighth of its samples, and its first sample."""
    energy, width = filters**2, max(filters.shape[1] // 8, 1)
    sums = np.pad(energy.cumsum(1), ((0, 0), (1, 0)))
    inside = sums[:, width:] - sums[:, :-width]
    return _shares(inside.max(1), energy), inside.argmax(1)


def _shares(parts: DoubleArray, energy: DoubleArray) -> DoubleArray:
    whole = energy.sum(1)
    shares: DoubleArray = np.divide(parts, whole, out=np.zeros_like(whole), where=whole > 0)
    return shares


def front_end_pictures(folder: Path, sample_rate: int, *, title: str) -> list[PictureRecord]:
    """Draw the front end ``(filters, samples)`` of the trained Audio Transformer in ``folder``."""
    filters, energies = sorted_filters(load_file(folder / WEIGHTS)["backbone.front_end.0.weight"])
    centres = energies.argmax(1) * sample_rate / filters.shape[1]  # in Hz
    parts = filters, energies, centres, sample_rate, title
    return [_spectra(*parts), _gallery(*parts)]


def _median_shares(filters: DoubleArray, energies: DoubleArray) -> tuple[float, float]:
    return float(np.median(band_shares(energies))), float(np.median(passages(filters)[0]))


def _spectra(
    filters: DoubleArray, energies: DoubleArray, centres: DoubleArray, sample_rate: int, title: str
) -> PictureRecord:
    band, passage = _median_shares(filters, energies)
    noise = np.random.default_rng(0).uniform(-1, 1, filters.shape)  # as an untrained front end
    noise_band, noise_passage = _median_shares(*sorted_filters(noise))
    highest, (count, samples) = sample_rate / 2, filters.shape
    straight: DoubleArray = np.linspace(0, highest, count)
    mels = 2595 * np.log10(1 + highest / 700)  # equally far apart on the mel scale (O'Shaughnessy, 1987)
    mel: DoubleArray = 700 * (10 ** (np.linspace(0, mels, count) / 2595) - 1)
    lines = {"centre frequencies": centres, "mel scale": mel, "Fourier basis": straight}
    from_mel, from_straight = (float(np.sqrt(np.mean((centres - curve) ** 2))) / 1000 for curve in (mel, straight))
    shared = f"Each column is the mean of about {count / _COLUMNS:.0f} neighbours. " if count > _COLUMNS else ""
    columns = _means(decibels_of(energies))
    known, wanted = np.linspace(0, 1, columns.shape[1]), (np.arange(_ROWS) + 0.5) / _ROWS
    image = np.stack([np.interp(wanted, known, column) for column in columns]).clip(DEEPEST)
    return {
        "title": f"Front end of the {title}",
        "caption": (
            f"Spectra of {count:,} learned filters, sorted by centre frequency; colours span {-DEEPEST:.0f} dB. "
            f"{shared}The centre frequencies lie {from_mel:.2f} kHz from the mel scale and {from_straight:.2f} kHz "
            f"from a Fourier basis (root mean square); half of them are below {centres[count // 2] / 1000:.2f} "
            f"kHz. The median filter has {band:.0%} of its energy within {3 * sample_rate / samples:.0f} Hz "
            f"and {passage:.0%} within an eighth of the patch; a filter of noise has {noise_band:.0%} and "
            f"{noise_passage:.0%}. The centre frequencies of noise would lie on the line of the Fourier basis."
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


def _gallery(
    filters: DoubleArray, energies: DoubleArray, centres: DoubleArray, sample_rate: int, title: str
) -> PictureRecord:
    milliseconds, bands, (shares, starts) = 1000 / sample_rate, band_shares(energies), passages(filters)
    parts = np.array_split(np.arange(len(filters)), min(_SHOWN, len(filters)))
    sines = [int(part[bands[part].argmax()]) for part in parts]
    bursts = np.argsort(-shares, kind="stable")[:_SHOWN].tolist()
    named = [(place, f"{centres[place]:,.0f} Hz") for place in sines]
    named += [(place, f"burst at {starts[place] * milliseconds:.0f} ms") for place in bursts]
    drawn = filters / np.maximum(abs(filters).max(1, keepdims=True), 1e-30)
    return {
        "title": f"Filters of the {title}",
        "caption": (
            f"Filters of {filters.shape[1] * milliseconds:g} ms. The first {_SHOWN} are those that are most like a "
            "windowed sine, each in a different range of centre frequencies. The others have their energy in the "
            "shortest passage, as the detector of an onset has."
        ),
        "panels": [
            {"name": name, "values": [round(each, 3) for each in drawn[place].tolist()]} for place, name in named
        ],
    }


def _means(values: DoubleArray) -> DoubleArray:
    return np.stack([part.mean(0) for part in np.array_split(values, min(_COLUMNS, len(values)))])
