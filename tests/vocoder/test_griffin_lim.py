import numpy as np
import pytest
import torch

from audio.errors import InputError
from audio.spectrogram import LogMel, SpectrogramConfig
from audio.waveform import Waveform
from tests.vocoder.sounds import RECORDINGS, SPECTROGRAM, clips_of_own_meaning, random_table, recordings
from vocoder.griffin_lim import decode, griffin_lim
from vocoder.metrics import log_mel_distance

FINE = SpectrogramConfig(sample_rate=8000, window_length=200, hop_length=80, n_mels=64)


def resynthesised(samples: np.ndarray, config: SpectrogramConfig) -> Waveform:
    padded = np.pad(samples, (0, -len(samples) % config.hop_length))
    log_mel = LogMel(config)(torch.from_numpy(padded).unsqueeze(0))[0]
    return griffin_lim(log_mel, config, num_samples=len(samples))


def envelope(samples: np.ndarray) -> np.ndarray:
    power = np.convolve(samples**2, np.hanning(81), "same")
    return power - power.mean()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_speech_comes_back_in_place(index: int) -> None:
    samples = (recordings(3)[index] / 32768).astype(np.float32)
    sound = resynthesised(samples, FINE)
    assert len(sound.samples) == len(samples)
    assert log_mel_distance(Waveform(samples=samples, sample_rate=8000), sound, FINE) < 3  # dB
    correlation = np.correlate(envelope(samples), envelope(sound.samples), "full")
    assert abs(int(correlation.argmax()) - (len(samples) - 1)) <= 24  # samples: 3 ms


def test_tone_keeps_its_pitch_and_strength() -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)).astype(np.float32)
    sound = resynthesised(tone, FINE).samples[400:-400]
    assert abs(int(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax()) * 8000 / len(sound) - 440) < 10
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_burst_stands_where_it_stood() -> None:
    samples = np.zeros(4000, dtype=np.float32)
    samples[2000:2400] = np.random.default_rng(0).normal(0, 0.2, 400)
    power = resynthesised(samples, FINE).samples ** 2
    assert power[1920:2480].sum() > 0.95 * power.sum()


def test_decodes_codes_to_the_sample() -> None:
    (sound,) = recordings(1)
    clips, table = clips_of_own_meaning([sound])
    decoded = decode(table.codes(list(range(len(clips.codes))), len(sound)), table)
    original = Waveform(samples=(sound / 32768).astype(np.float32), sample_rate=8000)
    assert len(decoded.samples) == len(sound)
    # Where the digits are absent, a bare tone leaves most bands at the floor: harder; silence is 23 dB away, noise 44.
    assert log_mel_distance(original, decoded, SPECTROGRAM) < (3 if RECORDINGS.is_dir() else 4)


def test_same_seed_same_sound() -> None:
    frames = torch.randn(10, 64, generator=torch.Generator().manual_seed(0)) - 5
    first, again, other = (griffin_lim(frames, FINE, num_samples=800, seed=seed).samples for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_samples_no_sound() -> None:
    assert len(griffin_lim(torch.zeros(0, 64), FINE, num_samples=0).samples) == 0


def test_refuses_more_samples_than_frames_cover() -> None:
    with pytest.raises(InputError, match="num_samples is 801"):
        griffin_lim(torch.zeros(10, 64), FINE, num_samples=801)


def test_refuses_codes_of_another_codebook() -> None:
    with pytest.raises(InputError, match="book-2"):
        decode(random_table(codebook="book-2").codes([0]), random_table())
