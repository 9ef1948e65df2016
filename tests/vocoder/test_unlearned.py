"""Griffin-Lim, noise with the spectrum of codes, and power spectra from log-mel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.reference import griffin_lim_of_the_whole, noise_vocoded_as_a_whole
from tests.tokenizer.conftest import fitted
from tests.vocoder.sounds import MEAN, PATCH_FRAMES, SCALE, SPECTROGRAM, Table, in_context, random_table, recordings
from tokenizer.codes import CodeDecoder, Codes
from tokenizer.tokenizer_config import PatchConfig
from vocoder import unlearned
from vocoder.frames import log_mel_of
from vocoder.kinds import Stream
from vocoder.measures import log_mel_distance
from vocoder.unlearned import griffin_lim, linear_power, noise
from wordless.audio.audio_options import Levelling, SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform

BOUND = 1e-5  # of full scale, a third of a step of 16 bits; 0 on the machines that were tried
FINE = SpectrogramConfig(sample_rate=8000, window_length=200, hop_length=80, n_mels=64)


def codes_of_frames(log_mel: torch.Tensor, config: SpectrogramConfig, *, num_samples: int) -> tuple[Codes, Table]:
    """Codes of one frame each, and a table that says what they mean: frames ``(frames, mels)``."""
    table = Table(((log_mel - MEAN) / SCALE).unsqueeze(1))
    table.front_end, table.format = config, replace(table.format, samples_per_code=config.hop_length)
    return table.codes(list(range(len(log_mel))), num_samples), table


def envelope(samples: np.ndarray) -> np.ndarray:
    power = np.convolve(samples**2, np.hanning(81), "same")
    return power - power.mean()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_speech_comes_back_in_place(index: int) -> None:
    samples = (recordings(3)[index] / 32768).astype(np.float32)
    log_mel = LogMel(FINE)(torch.from_numpy(np.pad(samples, (0, -len(samples) % FINE.hop_length)))[None])[0]
    sound = decode(*codes_of_frames(log_mel, FINE, num_samples=len(samples)))
    assert len(sound.samples) == len(samples)
    assert log_mel_distance(Waveform(samples=samples, sample_rate=8000), sound, FINE) < 3  # dB
    correlation = np.correlate(envelope(samples), envelope(sound.samples), "full")
    assert abs(int(correlation.argmax()) - (len(samples) - 1)) <= 24  # samples: 3 ms


@pytest.mark.parametrize(("window", "iterations"), [(80, 1), (160, 5), (200, 1), (410, 1)])
def test_blocks_are_those_of_the_whole(window: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(FINE, window_length=window, n_mels=20)
    monkeypatch.setattr(unlearned, "ITERATIONS", iterations)
    frames = 2 * torch.randn(157, 20, generator=torch.Generator().manual_seed(0)) - 4
    codes, table = codes_of_frames(frames, config, num_samples=157 * config.hop_length - 13)
    whole = griffin_lim_of_the_whole(log_mel_of(codes.values, table), config, iterations=iterations, seed=3)
    for block in (1, 50, 156, 157):
        monkeypatch.setattr(unlearned, "BLOCK_FRAMES", block)
        sound = decode(codes, table, seed=3).samples
        assert len(sound) == len(whole) - 13
        assert np.abs(sound - whole[:-13]).max() <= (0 if block == 157 else BOUND)  # one block is the whole to the bit


def test_softer_and_louder_codes_are_softer_and_louder_speech() -> None:
    tokenizer = fitted(PatchConfig(frames=2), 64, levelling=Levelling(frames=2))
    own, level = (recordings(1)[0] / 32768 / 4).astype(np.float32), dict[float, float]()
    for decibels in (0.0, -12.0, 5.3, 12.0):
        codes = tokenizer.encode(own * np.float32(10 ** (decibels / 20)), 8000)
        level[decibels] = 20 * np.log10(decode(codes, tokenizer).samples.std())
        assert level[decibels] - level[0.0] == pytest.approx(decibels, abs=1)


def decode(codes: Codes, table: CodeDecoder, *, vocoder: Stream = griffin_lim, seed: int = 0) -> Waveform:
    pieces = [np.zeros(0, np.float32), *(piece.numpy() for piece in vocoder(codes, table, seed=seed))]
    return Waveform(samples=np.concatenate(pieces), sample_rate=codes.format.sample_rate)


def test_noise_is_as_loud_as_it_is_meant_to_be() -> None:
    """Four seconds of white noise of 0.1, by what a front end hears of it on average."""
    white = 0.1 * torch.randn(32_000, generator=torch.Generator().manual_seed(1))
    level = (LogMel(SPECTROGRAM)(white[None])[0].exp().mean(dim=0).log() - MEAN) / SCALE  # (mels,)
    table = Table(level.expand(1, PATCH_FRAMES, -1))
    samples = decode(table.codes([0] * 200), table, vocoder=noise).samples
    assert 20 * np.log10(samples.std() / 0.1) == pytest.approx(0, abs=0.4)  # dB


@pytest.mark.parametrize("decoded", [random_table, lambda: in_context(random_table())])
@pytest.mark.parametrize("codes", [1, 33, 51, 101])
def test_blocks_of_noise_are_those_of_the_whole(
    codes: int, decoded: Callable[[], Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of frames whose samples are, and are not, a multiple of the 16 values that PyTorch draws at a time."""
    for hop in (SPECTROGRAM.hop_length, SPECTROGRAM.hop_length - 1):
        table = decoded()
        table.front_end = replace(SPECTROGRAM, hop_length=hop)
        table.format = replace(table.format, samples_per_code=PATCH_FRAMES * hop)
        clip = table.codes([number % 12 for number in range(codes)])
        meant = log_mel_of(clip.values, table)
        whole = noise_vocoded_as_a_whole(meant, table.front_end, seed=1)
        for block in (1, 33, 201):
            monkeypatch.setattr(unlearned, "BLOCK_FRAMES", block)
            sound = decode(clip, table, vocoder=noise, seed=1)
            assert np.abs(sound.samples - whole).max() <= BOUND


def test_the_filters_hear_nearly_what_was_asked_for_and_silence_is_silent() -> None:
    """Distances of log-mel, in natural logarithms of power, from what the filters make of some power."""
    filters, errors = SPECTROGRAM.mel_filters(), list[float]()
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        own = torch.rand(4, SPECTROGRAM.window_length // 2 + 1, generator=generator).pow(2)
        log_mel = (own @ filters + SPECTROGRAM.floor).log()
        power = linear_power(log_mel, SPECTROGRAM)
        assert power.shape == own.shape
        assert (power >= 0).all()
        errors.append(float(((power @ filters + SPECTROGRAM.floor).log() - log_mel).abs().mean()))
    assert max(errors) < 0.05  # 0.2 dB
    assert sum(errors) / len(errors) < 0.005
    silence = torch.full((3, SPECTROGRAM.n_mels), SPECTROGRAM.floor).log()
    assert linear_power(silence, SPECTROGRAM).max() < SPECTROGRAM.floor
