from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import pitch_combed
from tests.vocoder.sounds import SAMPLES_PER_CODE, SPECTROGRAM, random_table, tiny_config
from tokenizer.codes import Codes, PitchFormat
from vocoder.filters import PitchComb, VoiceHead, fit_head
from vocoder.judging import periodicity
from vocoder.sampling import Sampling
from vocoder.vocoder import Vocoder
from vocoder.wavenet.network import create_wavenet
from wordless.audio.options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform

HOP, RATE, MELS = SPECTROGRAM.hop_length, SPECTROGRAM.sample_rate, SPECTROGRAM.n_mels


def says(voicing: float, hertz: float) -> VoiceHead:
    """A head that predicts the same for every frame."""
    nothing = (0.0,) * (2 * MELS)
    return VoiceHead(voicing=(voicing, *nothing), octaves=(float(np.log2(hertz)), *nothing))


def drawn_head(seed: int) -> VoiceHead:
    draw = np.random.default_rng(seed)
    voicing, octaves = 0.02 * draw.standard_normal((2, 2 * MELS))
    return VoiceHead(voicing=(0.6, *map(float, voicing)), octaves=(7.0, *map(float, octaves)))


def buzz(hertz: float, frames: int = 60) -> np.ndarray:
    """A tone with overtones, as a voice has."""
    times = np.arange(frames * HOP) / RATE
    return sum(0.15 / n * np.sin(2 * np.pi * n * hertz * times + n) for n in range(1, 9)).astype(np.float32)


def noise(frames: int = 60, seed: int = 0, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, frames * HOP).astype(np.float32)


def meaning(frames: int, seed: int = 0) -> Tensor:
    return -4 + 3 * torch.randn(frames, MELS, generator=torch.Generator().manual_seed(seed))


def combed(
    samples: np.ndarray, head: VoiceHead, *, meant: Tensor | None = None, prompt: int = 0, together: int = 10**9
) -> np.ndarray:
    comb = PitchComb(SPECTROGRAM, head, prompt=prompt)
    comb.expect(meaning(len(samples) // HOP) if meant is None else meant)
    pieces = torch.split(torch.from_numpy(samples), together)
    return torch.cat([*(comb.filter(piece) for piece in pieces), comb.finish()]).numpy()


def share_of_voice(samples: np.ndarray) -> float:
    sound = Waveform(samples=samples, sample_rate=RATE)
    found = periodicity(sound, sound)
    assert found is not None
    return found


@pytest.mark.parametrize("prompt", [0, 100])
def test_equals_the_reference(prompt: int) -> None:
    meant, head = meaning(8), drawn_head(0)
    samples = noise(8) + np.concatenate([buzz(150, 4), buzz(260, 4)])
    found = combed(samples, head, meant=meant, prompt=prompt)
    wanted = pitch_combed(samples, meant.numpy(), head, SPECTROGRAM, prompt=prompt)
    assert np.abs(wanted - samples).max() > 0.05
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_pitch_of_codes_equals_the_reference() -> None:
    samples, meant = noise(8) + buzz(150, 8), meaning(8)
    coded = np.log2([np.nan, 140, 140, 145, 200, 200, np.nan, 200])
    comb = PitchComb(SPECTROGRAM, None)
    comb.expect(meant, coded)
    wanted = pitch_combed(samples, meant.numpy(), drawn_head(0), SPECTROGRAM, coded=coded.tolist())
    np.testing.assert_allclose(comb.filter(torch.from_numpy(samples)).numpy(), wanted, atol=1e-5)


def test_a_vocoder_without_a_head_has_the_pitch_of_its_codes() -> None:
    table = random_table()
    table.format = replace(table.format, streams=2, pitch=PitchFormat(levels=5, lowest=100.0, highest=200.0))
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    values = np.array([[number % 12, 3 * (number % 40 > 9)] for number in range(70)], np.int32)
    codes = Codes(values=values, num_samples=70 * SAMPLES_PER_CODE - 37, format=table.format)
    sound = vocoder.decode(codes, table, seed=3)
    blocks = [codes.crop(start, start + 9) for start in range(0, 70, 9)]
    pieces = [piece.samples for piece in vocoder.stream(blocks, table, Sampling(seed=3))]
    assert np.array_equal(np.concatenate(pieces), sound.samples)
    shifted = vocoder.decode_batch([codes], table, Sampling(seed=3, shift=-7.0))[0]
    assert not np.allclose(shifted.samples, sound.samples, atol=0.01)
    vocoder.pitch_comb = False
    assert not np.allclose(vocoder.decode(codes, table, seed=3).samples, sound.samples, atol=0.01)


@settings(deadline=None, max_examples=8)
@given(frames=st.integers(1, 20), together=st.integers(1, 700), prompt=st.integers(0, 900), seed=st.integers(0, 99))
def test_pieces_give_the_whole(frames: int, together: int, prompt: int, seed: int) -> None:
    samples, meant, head = noise(frames, seed), meaning(frames, seed), drawn_head(seed)
    whole = combed(samples, head, meant=meant, prompt=prompt)
    assert len(whole) == len(samples)
    assert np.array_equal(whole[:prompt], samples[:prompt])
    assert np.array_equal(combed(samples, head, meant=meant, prompt=prompt, together=together), whole)


def test_what_has_no_voice_stays_as_it_is() -> None:
    samples = noise()
    assert np.array_equal(combed(samples, says(0.25, 120)), samples)


@pytest.mark.parametrize("level", [0.0, 1e-30, 1.0])
def test_silence_and_full_scale_are_no_danger(level: float) -> None:
    samples = np.clip(noise(level=level), -1, 1)
    voice = combed(samples, says(5.0, 1e4))
    assert np.abs(voice).max() <= np.abs(samples).max()


def clips(count: int) -> list[tuple[np.ndarray, Tensor]]:
    """Voices of several pitches, each with noise in the middle, and their log-mel."""
    made = []
    for number in range(count):
        hertz = 90 + 150 * number / count
        samples = np.concatenate([buzz(hertz, 40), noise(40, number), buzz(hertz, 40)])
        made.append((samples, LogMel(SPECTROGRAM)(torch.from_numpy(samples).unsqueeze(0))[0]))
    return made


def test_learns_voicing_and_pitch_from_recordings() -> None:
    head = fit_head(clips(24), SPECTROGRAM)
    assert head is not None
    hoarse = fit_head([], SPECTROGRAM)
    assert hoarse is None
    (_, meant), *_ = clips(1)
    kept = combed(noise(120), head, meant=meant)
    assert share_of_voice(kept[: 40 * HOP]) > 0.6
    unchanged = np.isclose(kept, noise(120)).reshape(3, -1).mean(axis=1)
    assert unchanged[1] > 0.8 > 0.2 > unchanged[0]


def test_recordings_without_a_voice_teach_none() -> None:
    silent = np.zeros(60 * HOP, np.float32)
    sounds = [noise(60, seed) for seed in range(30)] + [silent]
    assert fit_head(((each, meaning(60)) for each in sounds), SPECTROGRAM) is None
    low = SpectrogramConfig(sample_rate=2000, window_length=50, hop_length=20, n_mels=10)
    assert fit_head(((each, meaning(60)[:, :10]) for each in sounds), low) is None


def test_streams_batches_and_saved_vocoders_have_it(tmp_path: Path) -> None:
    table = random_table()
    vocoder = Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1", voice=says(1.0, 120))
    codes = table.codes([number % 12 for number in range(70)], 70 * SAMPLES_PER_CODE - 37)
    sound = vocoder.decode(codes, table, seed=3)
    blocks = [codes.crop(start, start + 9) for start in range(0, 70, 9)]
    pieces = [piece.samples for piece in vocoder.stream(blocks, table, Sampling(seed=3))]
    assert np.array_equal(np.concatenate(pieces), sound.samples)
    (other, again) = vocoder.decode_batch([table.codes([1, 2]), codes], table, Sampling(seed=3))
    assert len(other.samples) == 2 * SAMPLES_PER_CODE
    assert np.array_equal(again.samples, sound.samples)
    vocoder.save_pretrained(tmp_path)
    loaded = Vocoder.from_pretrained(tmp_path)
    assert loaded.voice == vocoder.voice
    assert np.array_equal(loaded.decode(codes, table, seed=3).samples, sound.samples)
    vocoder.voice = None
    plain = vocoder.decode(codes, table, seed=3)
    assert not np.allclose(plain.samples, sound.samples, atol=0.01)
    without = Vocoder.from_pretrained(tmp_path, pitch_comb=False)
    assert np.array_equal(without.decode(codes, table, seed=3).samples, plain.samples)
    vocoder.postfilter = 0
    vocoder.voice = says(1.0, 120)
    raw = vocoder.decode(codes, table, seed=3)
    vocoder.voice = None
    assert np.array_equal(vocoder.decode(codes, table, seed=3).samples, raw.samples)  # no filter, no comb
