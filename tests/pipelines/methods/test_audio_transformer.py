"""The Audio Transformer as a method: what it cannot read, and its pictures."""

from pathlib import Path

import numpy as np

from pipelines.methods.front_end_pictures import band_shares, decibels_of, passages, sorted_filters
from pipelines.settings.run_rules import run_settings
from tests.pipelines.tiny_chain import composed


def test_the_shortest_recording_is_that_of_the_options_unless_a_method_needs_more(tmp_path: Path) -> None:
    def shortest(method: str, *words: str) -> float:
        named = (f"compare.methods=[{method}]", "stages=[probe]", f"{method}=tiny", *words)
        return run_settings(composed(tmp_path, *named)).corpus.inspection.min_seconds

    assert shortest("audio_transformer") == 0.05
    assert shortest("audio_transformer", "corpus.inspection.min_seconds=0.01") == 0.025  # a patch
    assert shortest("wav2vec2", "corpus.inspection.min_seconds=0.01", "audio.sample_rate=4000") == 105 / 4000


RATE, SAMPLES = 8000, 200
TIME = np.arange(SAMPLES) / RATE


def sine(hertz: float) -> np.ndarray:
    wave: np.ndarray = np.hanning(SAMPLES) * np.sin(2 * np.pi * hertz * TIME)
    return wave


def test_filters_are_sorted_by_the_frequency_of_their_largest_energy() -> None:
    filters, energies = sorted_filters(np.stack([sine(2000), sine(400), sine(3200)]))
    assert (energies.argmax(1) * RATE / SAMPLES).tolist() == [400, 2000, 3200]
    assert np.array_equal(filters[1], sine(2000))
    assert decibels_of(energies).max(1).tolist() == [0, 0, 0]
    assert np.isfinite(decibels_of(np.zeros((2, 101)))).all()
    assert band_shares(np.zeros((2, 101))).tolist() == passages(np.zeros((2, SAMPLES)))[0].tolist() == [0, 0]


def test_a_windowed_sine_has_a_narrow_band_and_a_burst_a_short_passage() -> None:
    burst = np.zeros(SAMPLES)
    burst[60:70] = [1, -1] * 5
    noise = np.random.default_rng(0).normal(size=SAMPLES)
    of_sine, of_noise = (float(band_shares(sorted_filters(each[None])[1])[0]) for each in (sine(400), noise))
    assert of_sine > 0.99 > 0.3 > of_noise
    shares, starts = passages(np.stack([sine(400), burst, noise]))
    assert shares.argmax() == 1
    assert abs(shares[1] - 1) < 1e-6
    assert shares[2] < 0.3
    assert 45 <= starts[1] <= 60  # the passage of 25 samples holds the whole burst
