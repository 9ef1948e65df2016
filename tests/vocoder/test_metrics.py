import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.vocoder.sounds import SPECTROGRAM, random_table
from vocoder.judging import code_agreement, log_mel_distance, mel_cepstral_distortion, sound_levels
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


def waveform(samples: object) -> Waveform:
    return Waveform(samples=np.asarray(samples, dtype=np.float32), sample_rate=8000)


def noise(count: int = 4000) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, count)


def test_levels_of_a_square_wave() -> None:
    levels = sound_levels(waveform([0.5, -0.5] * 500))
    assert levels.peak == 0.5
    assert levels.rms == pytest.approx(-6.02, abs=0.01)
    assert (levels.dc, levels.clipping, levels.silence) == (0, 0, 0)


def test_counts_clipped_samples_and_silent_frames() -> None:
    levels = sound_levels(waveform([1.0] * 100 + [-1.0] * 100 + [1e-4] * 600))
    assert levels.clipping == 0.25
    assert levels.silence == 0.75
    assert levels.dc == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_digital_silence(count: int) -> None:
    levels = sound_levels(waveform(np.zeros(count)))
    assert (levels.peak, levels.rms, levels.silence) == (0, -120, 1)


@given(st.floats(0.1, 1))
def test_distance_of_a_gain_is_the_gain(gain: float) -> None:
    distance = log_mel_distance(waveform(noise()), waveform(noise() * gain), SPECTROGRAM)
    assert distance == pytest.approx(-20 * np.log10(gain), abs=0.1)


def test_distance_compares_the_length_of_the_shorter() -> None:
    assert log_mel_distance(waveform(noise()), waveform(noise()[:3000]), SPECTROGRAM) == 0


def test_distance_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(InputError, match=r"sample_rate\b.*\b16000\b"):
        log_mel_distance(
            Waveform(samples=waveform(noise()).samples, sample_rate=16_000), waveform(noise()), SPECTROGRAM
        )
    for compare in (log_mel_distance, mel_cepstral_distortion):
        with pytest.raises(InputError, match="79 samples"):
            compare(waveform(noise(79)), waveform(noise()), SPECTROGRAM)


def filtered(samples: np.ndarray) -> np.ndarray:
    """Brighter: each sample less most of the one before."""
    return samples - 0.7 * np.append(0, samples[:-1])


def loud_log_mel(samples: np.ndarray) -> np.ndarray:
    frames = LogMel(SPECTROGRAM)(torch.from_numpy(np.float32(samples)).unsqueeze(0))[0]
    return 10 / np.log(10) * frames.numpy()


def test_distortion_of_all_cepstra_is_what_is_left_of_the_difference_without_its_mean() -> None:
    difference = loud_log_mel(noise()) - loud_log_mel(filtered(noise()))
    every = SPECTROGRAM.n_mels - 1
    distortion = mel_cepstral_distortion(waveform(noise()), waveform(filtered(noise())), SPECTROGRAM, cepstra=every)
    assert distortion == pytest.approx(float(difference.std(axis=1).mean()), rel=1e-4)
    fewer = mel_cepstral_distortion(waveform(noise()), waveform(filtered(noise())), SPECTROGRAM)
    assert 0.5 * distortion < fewer < distortion


def test_code_agreement() -> None:
    table = random_table()
    assert code_agreement(table.codes([1, 2, 3, 4]), table.codes([1, 0, 3])) == pytest.approx(2 / 3)


def test_code_agreement_refuses_what_cannot_be_compared() -> None:
    table = random_table()
    with pytest.raises(InputError, match="book-2"):
        code_agreement(table.codes([1]), random_table(codebook="book-2").codes([1]))
    with pytest.raises(InputError, match="no codes"):
        code_agreement(table.codes([]), table.codes([1]))
