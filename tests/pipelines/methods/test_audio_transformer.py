"""The Audio Transformer as a method: its variants, what it cannot read, its pictures, kills and several processes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipelines.methods.front_end_pictures import FilterBank, fourier_centres, mel_centres, untrained_filters
from tests.pipelines.conftest import FinishedRun
from tests.pipelines.tiny_chain import OWN, called_at_once

SMALL = (
    *("stages=[probe]", "audio_transformer=tiny", "audio_transformer.fit.steps=6"),
    *("audio_transformer.fit.validate_every=1", "audio_transformer.fit.warmup_steps=2"),
    *("audio_transformer.batches.batch_size=4", "compare.hearings=2"),
)
ONE = "compare.methods=[audio_transformer]"


@pytest.fixture(scope="module")
def store(finished_run: FinishedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the corpus and the tokenizer of a run, for these tests alone."""
    return Path(shutil.copytree(finished_run.store, tmp_path_factory.mktemp("waveforms") / "store"))


def test_recordings_that_are_shorter_than_a_patch_are_set_aside_and_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("low", "high"):
        (tmp_path / "words" / label).mkdir(parents=True)
        for number in range(8):
            samples = rng.normal(0, 0.1, 240 if number == 7 else 1600 + number)
            soundfile.write(tmp_path / f"words/{label}/{number}.wav", samples, 8000)
    words = (
        f"corpus.root={tmp_path / 'words'}",
        "corpus.split.validation_fraction=0.3",
        "corpus.split.test_fraction=0.3",
    )
    words = (*words, "corpus.inspection.min_seconds=0.01", "audio_transformer.model.patch_ms=40", ONE)
    done = called_at_once(tmp_path, *OWN, *SMALL, "stages=[probe]", f"store.root={tmp_path / 'store'}", *words)
    assert done.returncode == 0, done.stderr
    rejected = (tmp_path / "run/rejected.tsv").read_text()
    assert len(re.findall(r"short.*\b0\.030 s\b.*\b0\.04 s\b", rejected)) == 2
    assert sum(json.loads((tmp_path / "run/results.json").read_text())["corpus"]["clips"].values()) == 14


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


def test_curves_go_from_zero_to_half_the_rate_and_noise_lies_on_fouriers() -> None:
    straight, mel = fourier_centres(100, RATE), mel_centres(100, RATE)
    for curve in (straight, mel):
        assert (curve[0], curve[-1]) == pytest.approx((0, 4000))
        assert (np.diff(curve) > 0).all()
    assert (mel[1:-1] < straight[1:-1]).all()
    assert mel_centres(3, 2 * 1000)[1] == pytest.approx(390, abs=1)  # 500 mel
    bank = untrained_filters(2048, SAMPLES, RATE)
    straight, mel = (curve(2048, RATE) for curve in (fourier_centres, mel_centres))
    assert bank.distance(straight) < 100 < 500 < bank.distance(mel)
