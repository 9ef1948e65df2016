from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.reference import griffin_lim_of_the_whole
from tests.vocoder.sounds import (
    MEAN,
    SAMPLES_PER_CODE,
    SCALE,
    SPECTROGRAM,
    Table,
    random_table,
    recordings,
)
from tokenizer.codes import Codes
from vocoder import unlearned
from vocoder.judging import log_mel_distance
from vocoder.unlearned import BLOCK_FRAMES, CodeFrames, griffin_lim
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

BOUND = 1e-5  # of full scale, a third of a step of 16 bits; 0 on the machines that were tried
FINE = SpectrogramConfig(sample_rate=8000, window_length=200, hop_length=80, n_mels=64)


def resynthesised(samples: np.ndarray, config: SpectrogramConfig) -> Waveform:
    padded = np.pad(samples, (0, -len(samples) % config.hop_length))
    log_mel = LogMel(config)(torch.from_numpy(padded).unsqueeze(0))[0]
    codes, table = codes_of_frames(log_mel, config, num_samples=len(samples))
    return decode(codes, table)


def codes_of_frames(log_mel: torch.Tensor, config: SpectrogramConfig, *, num_samples: int) -> tuple[Codes, Table]:
    """Codes of one frame each, and a table that says what they mean: frames ``(frames, mels)``."""
    table = Table(((log_mel - MEAN) / SCALE).unsqueeze(1))
    table.front_end, table.format = config, replace(table.format, samples_per_code=config.hop_length)
    return table.codes(list(range(len(log_mel))), num_samples), table


def decode(codes: Codes, table: Table, *, seed: int = 0) -> Waveform:
    pieces = [np.zeros(0, np.float32), *(piece.numpy() for piece in griffin_lim(codes, table, seed=seed))]
    return Waveform(samples=np.concatenate(pieces), sample_rate=codes.format.sample_rate)


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


@pytest.mark.parametrize("window", [80, 160, 200, 410])
@pytest.mark.parametrize("iterations", [1, 5])
def test_blocks_are_those_of_the_whole(window: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(FINE, window_length=window, n_mels=20)
    monkeypatch.setattr(unlearned, "ITERATIONS", iterations)
    frames = 2 * torch.randn(157, 20, generator=torch.Generator().manual_seed(0)) - 4
    codes, table = codes_of_frames(frames, config, num_samples=157 * config.hop_length - 13)
    whole = griffin_lim_of_the_whole(CodeFrames(codes, table)[:], config, iterations=iterations, seed=3)
    for block in (1, 50, 156, 157):
        monkeypatch.setattr(unlearned, "BLOCK_FRAMES", block)
        sound = decode(codes, table, seed=3).samples
        assert len(sound) == len(whole) - 13
        assert np.abs(sound - whole[:-13]).max() <= BOUND


def test_a_sound_of_one_block_is_that_of_the_whole_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlearned, "ITERATIONS", 2)
    frames = 2 * torch.randn(BLOCK_FRAMES, 64, generator=torch.Generator().manual_seed(0)) - 4
    codes, table = codes_of_frames(frames, FINE, num_samples=BLOCK_FRAMES * FINE.hop_length)
    whole = griffin_lim_of_the_whole(CodeFrames(codes, table)[:], FINE, iterations=2, seed=0)
    assert np.array_equal(decode(codes, table).samples, whole)


def test_codes_are_looked_up_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_table()
    codes = table.codes([number % 12 for number in range(101)], 101 * SAMPLES_PER_CODE - 30)
    whole = decode(codes, table, seed=1).samples
    monkeypatch.setattr(unlearned, "BLOCK_FRAMES", 33)  # cuts codes, of two frames each, in the middle
    pieces = [piece.numpy() for piece in griffin_lim(codes, table, seed=1)]
    assert max(map(len, pieces)) == 33 * SPECTROGRAM.hop_length
    assert np.abs(np.concatenate(pieces) - whole).max() <= BOUND


def test_refuses_more_samples_than_frames_cover() -> None:
    with pytest.raises(InputError, match=r"num_samples\b.*\b801\b"):
        codes_of_frames(torch.zeros(10, 64), FINE, num_samples=801)
