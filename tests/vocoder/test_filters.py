"""The post-filter, the pitch comb and short-time spectra, against their references."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import pitch_combed, postfiltered
from tests.vocoder.sounds import SPECTROGRAM, buzz, noise, random_table, tiny_config, voice_head
from vocoder.filters import PitchComb, PostFilter, VoiceHead, analyse, filter_windows, fit_head, overlap_add, synthesise
from vocoder.measures import FULL_SCALE, periodicity
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import SoundOptions
from vocoder.wavenet import create_wavenet
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform

HOP = SPECTROGRAM.hop_length


def filtered(samples: Tensor, meant: Tensor, config: SpectrogramConfig, *, frames: int = 64, **options: Any) -> Tensor:
    own = PostFilter(config, **{"strength": 1.0, "passes": 1, **options})
    own.expect(meant)
    pieces = torch.split(samples, frames * config.hop_length)
    return torch.cat([*(own.filter(piece) for piece in pieces), own.finish()])


def drawn(frames: int, config: SpectrogramConfig, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Noise, and what it might have been meant to be."""
    generator = torch.Generator().manual_seed(seed)
    samples = 0.2 * torch.randn(frames * config.hop_length, generator=generator)
    return samples, -4 + 3 * torch.randn(frames, config.n_mels, generator=generator)


FRONT_ENDS = (
    SPECTROGRAM,
    replace(SPECTROGRAM, f_min=300.0, f_max=2500.0),  # bins of no band below and above
    replace(SPECTROGRAM, n_mels=64),  # bands between two bins
    replace(SPECTROGRAM, hop_length=200),  # windows that do not overlap
    replace(SPECTROGRAM, window_length=500),  # windows over many frames
    replace(SPECTROGRAM, window_length=82, hop_length=33),
)


@settings(deadline=None, max_examples=50)
@given(
    config=st.sampled_from(FRONT_ENDS),
    total=st.integers(1, 12),
    together=st.integers(1, 12),
    strength=st.sampled_from([0.4, 1.0]),
    passes=st.integers(1, 3),
    prompt=st.sampled_from([0, 80, 333, 9999]),
    own_voice=st.booleans(),
    seed=st.integers(0, 99),
)
def test_pieces_of_any_length_equal_the_reference(
    config: SpectrogramConfig, total: int, together: int, seed: int, **own: Any
) -> None:
    samples, meant = drawn(total, config, seed=seed)
    found = filtered(samples, meant, config, frames=together, **own)
    np.testing.assert_allclose(found, postfiltered(samples.numpy(), meant.numpy(), config, **own), atol=5e-5)
    assert torch.equal(found[: own["prompt"]], samples[: own["prompt"]])


def test_what_is_made_louder_does_not_clip() -> None:
    samples, _ = drawn(12, SPECTROGRAM)
    meant = LogMel(SPECTROGRAM)(samples.unsqueeze(0))[0] + math.log(30)
    sound = filtered(samples, meant, SPECTROGRAM)
    assert float(samples.abs().max()) < 1
    assert 0.95 < float(sound.abs().max()) < FULL_SCALE
    kept = filtered(torch.ones(12 * HOP), meant, SPECTROGRAM, prompt=500)[:500]
    assert torch.equal(kept, torch.ones(500))  # a recording may


def test_a_vocoder_filters_what_it_says_and_not_what_it_heard() -> None:
    table, model = random_table(), create_wavenet(tiny_config(), seed=0)
    codes = table.codes([code % 12 for code in range(40)])
    plain, own = (Vocoder(model, "tok-1", options=SoundOptions(postfilter=share)) for share in (0, 0.7))
    raw = plain.decode(codes, table, seed=5)
    meant = table.denormalise(table.spectrogram(torch.from_numpy(codes.values).long()[None])[0])
    wanted = postfiltered(raw.samples, meant.numpy(), SPECTROGRAM, strength=0.7, passes=2)
    np.testing.assert_allclose(own.decode(codes, table, seed=5).samples, wanted, atol=2e-5)
    heard = Waveform(samples=raw.samples[:1001], sample_rate=8000)
    more = own.continue_from(heard, codes, table, seed=5)
    wanted = postfiltered(raw.samples, meant.numpy(), SPECTROGRAM, strength=0.7, passes=2, prompt=1001)
    np.testing.assert_allclose(more.samples, wanted[1001:], atol=2e-5)


def test_the_filter_makes_sound_as_loud_as_the_gain_of_the_codes_says() -> None:
    table, own = random_table(), Vocoder(create_wavenet(tiny_config(), seed=0), "tok-1")
    codes = table.codes([code % 12 for code in range(40)])
    powers = []
    for gain in (0.0, 3.0):
        table.gain = gain
        powers.append(float(np.mean(own.decode(codes, table, seed=5).samples ** 2)))
    assert 10 * math.log10(powers[1] / powers[0]) == pytest.approx(3, abs=0.5)


HIGH, NOISE = math.log2(120), noise(60 * HOP)


def meaning(frames: int) -> Tensor:
    return drawn(frames, SPECTROGRAM)[1]


def combed(
    samples: np.ndarray,
    head: VoiceHead | None,
    meant: Tensor,
    *,
    octaves: np.ndarray | None = None,
    prompt: int = 0,
    together: int = 10**9,
) -> np.ndarray:
    comb = PitchComb(SPECTROGRAM, head, prompt=prompt)
    comb.expect(meant, octaves)
    pieces = torch.split(torch.from_numpy(samples), together)
    return torch.cat([*(comb.filter(piece) for piece in pieces), comb.finish()]).numpy()


@pytest.mark.parametrize("together", [HOP - 7, 10**9])
@pytest.mark.parametrize("prompt", [0, 100])
@pytest.mark.parametrize("coded", [None, [math.nan, 140, 140, 145, 200, 200, math.nan, 200]])
def test_the_comb_equals_the_reference(prompt: int, coded: list[float] | None, together: int) -> None:
    """With the pitch that a head predicts, or with that of the codes in Hz."""
    meant, head = meaning(8), voice_head(7.0, voicing=0.6, seed=0)
    samples = noise(8 * HOP) + np.concatenate([buzz(150, 4 * HOP), buzz(260, 4 * HOP)])
    octaves = None if coded is None else np.log2(coded)
    known = None if octaves is None else octaves.tolist()
    wanted = pitch_combed(samples, meant.numpy(), head, SPECTROGRAM, prompt=prompt, coded=known)
    assert np.abs(wanted - samples).max() > 0.05
    own = None if coded else head
    found = combed(samples, own, meant, octaves=octaves, prompt=prompt, together=together)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_what_has_no_voice_stays_as_it_is_and_teaches_none() -> None:
    assert np.array_equal(combed(NOISE, voice_head(HIGH, voicing=0.25), meaning(60)), NOISE)
    sounds = [noise(60 * HOP, seed) for seed in range(30)] + [np.zeros(60 * HOP, np.float32)]
    low = SpectrogramConfig(sample_rate=2000, window_length=50, hop_length=20, n_mels=10)
    for config in (SPECTROGRAM, low):
        assert fit_head(((each, meaning(60)[:, : config.n_mels]) for each in sounds), config) is None
    assert fit_head([], SPECTROGRAM) is None
    strong = voice_head(math.log2(1e4), voicing=5.0)
    for level in (0.0, 1e-30, 1.0):  # silence and full scale are no danger
        samples = np.clip(noise(60 * HOP, level=level), -1, 1)
        assert np.abs(combed(samples, strong, meaning(60))).max() <= np.abs(samples).max()


def test_learns_voicing_and_pitch_from_recordings() -> None:
    """Voices of several pitches, each with noise in the middle, and their log-mel."""
    clips = list[tuple[np.ndarray, Tensor]]()
    for number in range(24):
        voice = buzz(90 + 150 * number / 24, 40 * HOP)
        samples = np.concatenate([voice, noise(40 * HOP, number), voice])
        clips.append((samples, LogMel(SPECTROGRAM)(torch.from_numpy(samples).unsqueeze(0))[0]))
    head = fit_head(clips, SPECTROGRAM)
    assert head is not None
    kept = combed(noise(120 * HOP), head, clips[0][1])
    sound = Waveform(samples=kept[: 40 * HOP], sample_rate=SPECTROGRAM.sample_rate)
    assert (periodicity(sound, sound) or 0) > 0.6
    unchanged = np.isclose(kept, noise(120 * HOP)).reshape(3, -1).mean(axis=1)
    assert unchanged[1] > 0.8 > 0.2 > unchanged[0]


@pytest.mark.parametrize("window", [160, 200, 250])
def test_what_was_analysed_comes_back_but_for_the_fading_end(window: int) -> None:
    config = replace(SPECTROGRAM, window_length=window)
    samples = torch.randn(30 * config.hop_length, generator=torch.Generator().manual_seed(0))
    again = synthesise(analyse(samples, config), config)
    assert len(again) == len(samples)
    kept = len(samples) - config.left_context
    torch.testing.assert_close(again[:kept], samples[:kept], rtol=0, atol=1e-5)


def test_frames_stand_where_the_front_end_puts_them_and_overlapping_pieces_are_added() -> None:
    """Frame t ends with sample (t + 1) * hop_length, and nothing before the beginning sounds."""
    sound = torch.arange(SPECTROGRAM.left_context + 3 * SPECTROGRAM.hop_length).float()
    cut = filter_windows(sound, SPECTROGRAM)
    starts = SPECTROGRAM.hop_length * np.arange(3)
    assert cut[:, 0].tolist() == starts.tolist()
    assert cut[:, -1].tolist() == (starts + SPECTROGRAM.window_length - 1).tolist()
    config = replace(SPECTROGRAM, window_length=3, hop_length=2, n_mels=1)
    total = overlap_add(torch.tensor([[1.0, 2, 3], [10, 20, 30]]), config)
    assert total.tolist() == [1, 2, 13, 20, 30]
