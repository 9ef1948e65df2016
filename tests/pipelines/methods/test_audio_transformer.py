"""The Audio Transformer as a method: what it cannot read, and its pictures."""

from pathlib import Path

import numpy as np

from pipelines.methods.front_end_pictures import sorted_spectra
from pipelines.methods.networks import AUDIO_TRANSFORMER
from pipelines.settings.run import run_settings
from tests.pipelines.tiny_chain import composed


def test_the_shortest_recording_is_that_of_the_options_unless_a_method_needs_more(tmp_path: Path) -> None:
    one = ("compare.methods=[audio_transformer]", "stages=[probe]", "audio_transformer=tiny")
    plain = run_settings(composed(tmp_path, *one))
    assert plain.corpus.inspection.min_seconds == 0.05
    assert AUDIO_TRANSFORMER.shortest(plain) == 0.025
    long = run_settings(composed(tmp_path, *one, "audio_transformer.model.patch_ms=80"))
    assert long.corpus.inspection.min_seconds == 0.08


RATE, SAMPLES = 8000, 200
TIME = np.arange(SAMPLES) / RATE


def sine(hertz: float) -> np.ndarray:
    wave: np.ndarray = np.hanning(SAMPLES) * np.sin(2 * np.pi * hertz * TIME)
    return wave


def test_filters_are_sorted_by_the_frequency_of_their_largest_energy() -> None:
    centres, decibels = sorted_spectra(np.stack([sine(2000), sine(400), sine(3200)]), RATE)
    assert centres.tolist() == [400, 2000, 3200]
    assert decibels.max(1).tolist() == [0, 0, 0]
    assert decibels[0].argmax() * 40 == 400
    assert np.isfinite(sorted_spectra(np.zeros((2, SAMPLES)), RATE)[1]).all()
