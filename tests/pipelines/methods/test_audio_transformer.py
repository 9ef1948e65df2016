"""The Audio Transformer as a method: what it cannot read, and its pictures."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.methods.front_end_pictures import FilterBank
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


def burst(start: int) -> np.ndarray:
    wave = np.zeros(SAMPLES)
    wave[start : start + 10] = [1, -1] * 5
    return wave


def test_filters_are_sorted_by_the_frequency_of_their_largest_energy() -> None:
    bank = FilterBank.of(np.stack([sine(2000), sine(400), sine(3200)]), RATE)
    assert bank.centres.tolist() == [400, 2000, 3200]
    np.testing.assert_allclose(bank.filters[0], sine(400))
    assert bank.decibels.max(1).tolist() == [0, 0, 0]
    assert bank.decibels[0].argmax() * 40 == 400
    bank = FilterBank.of(np.zeros((2, SAMPLES)), RATE)
    assert bank.band_shares.tolist() == bank.passages[0].tolist() == [0, 0]
    assert np.isfinite(bank.decibels).all()


def test_a_windowed_sine_has_a_narrow_band_and_a_burst_a_short_passage() -> None:
    bank = FilterBank.of(np.stack([sine(400), burst(60), np.random.default_rng(0).normal(size=SAMPLES)]), RATE)
    names = [["sine", "burst", "noise"][{400.0: 0, 4000.0: 1}.get(centre, 2)] for centre in bank.centres.tolist()]
    bands = dict(zip(names, bank.band_shares.tolist(), strict=True))
    passages = dict(zip(names, bank.passages[0].tolist(), strict=True))
    assert bands["sine"] > 0.99 > 0.3 > bands["noise"]
    assert passages["burst"] == pytest.approx(1)
    assert passages["noise"] < 0.3
    (place,) = bank.onsets(1)
    assert names[place] == "burst"
    assert 45 <= bank.passages[1][place] <= 60  # the passage of 25 samples holds the whole burst
