"""The phase of a voice, and generation that follows it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import harmonics_by_samples, periods_back_by_samples, phase_by_samples
from tests.vocoder.sounds import (
    PATCH_FRAMES,
    SAMPLES_PER_CODE,
    SPECTROGRAM,
    lively,
    random_table,
    tiny_config,
    vocoder_clips,
    with_pitch,
)
from tokenizer.codes import CodeDecoder
from vocoder.crops import FADES, Crops, CropsConfig, VocoderClips, fades, whispered
from vocoder.frames import (
    LOW_BAND,
    HarmonicVoice,
    frequencies,
    lags,
    periods_back,
    pitch_frames,
    pitch_inputs,
    synthetic_phase,
    voice_bands,
    voice_harmonics,
    voice_inputs,
)
from vocoder.generation import CHUNK_FRAMES, GenerationInput, generate
from vocoder.measures import periodicity
from vocoder.vocoder_options import PITCH_INPUTS, TAPS, Sampling, WaveNetConfig
from vocoder.wavenet import mu_law_decode, silence
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform

RATE, HOP = 8000, 80
NO_VOICE = math.nan


def neighbours(octaves: list[float]) -> Tensor:
    """Inputs of frames between two frames of unknown pitch."""
    return torch.nn.functional.pad(pitch_inputs(torch.tensor(octaves, dtype=torch.float64)), (0, 0, 1, 1))


@pytest.mark.parametrize("octaves", [[7.0, 7.5, NO_VOICE, 6.5], [NO_VOICE] * 3, [8.0], [NO_VOICE, 7.2, 7.1, 7.0]])
def test_phase_is_the_sum_of_frequencies_between_the_centres_of_frames(octaves: list[float]) -> None:
    turns, amplitude = frequencies(neighbours(octaves), hop_length=HOP, sample_rate=RATE)
    made, end = synthetic_phase(turns, start=0.25)
    wanted = phase_by_samples(octaves, hop_length=HOP, sample_rate=RATE, start=0.25)
    distance = (made - torch.tensor([phase for phase, _ in wanted])).remainder(1.0)
    assert float(torch.minimum(distance, 1 - distance).max()) < 1e-5
    torch.testing.assert_close(amplitude, torch.tensor([each for _, each in wanted], dtype=torch.float64))
    assert end == pytest.approx(float(wanted[-1][0]), abs=1e-5)


BANDS = voice_bands(SPECTROGRAM, torch.zeros(SPECTROGRAM.n_mels), torch.ones(SPECTROGRAM.n_mels))
RISING = torch.linspace(6.8, 7.4, 100).tolist()


def a_voice(octaves: list[float], mels: Tensor | None = None) -> tuple[HarmonicVoice, Tensor, Tensor, Tensor]:
    """Harmonics of random frames or of ``mels``, with their log-mel, turns and amplitude."""
    if mels is None:
        draw = torch.Generator().manual_seed(1)
        mels = -3 + torch.randn(len(octaves), SPECTROGRAM.n_mels, generator=draw).cumsum(1) / 3
    turns, amplitude = frequencies(neighbours(octaves), hop_length=HOP, sample_rate=RATE)
    return HarmonicVoice(mels, BANDS, turns, sample_rate=RATE), mels, turns, amplitude


def test_harmonics_are_those_of_loops_over_samples_and_numbers() -> None:
    voice, mels, turns, _ = a_voice([7.0, 7.6, NO_VOICE])
    phase, _ = synthetic_phase(turns, start=0.1)
    wanted = harmonics_by_samples(
        mels.double().numpy(),
        BANDS.double().numpy(),
        turns.numpy(),
        phase.tolist(),
        sample_rate=RATE,
        split=LOW_BAND,
    )
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(voice.sound(phase).numpy(), wanted, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("n_mels", [80, 160])
def test_narrow_bands_that_hold_no_frequency_of_the_transform_are_passed_over(n_mels: int) -> None:
    front_end = SpectrogramConfig(n_mels=n_mels)
    zero = torch.zeros(n_mels)
    turns, _ = frequencies(neighbours([7.0] * 3), hop_length=160, sample_rate=16_000)
    bands = voice_bands(front_end, zero, zero + 1)
    sound = HarmonicVoice(zero.expand(3, -1), bands, turns, sample_rate=16_000).sound(turns.cumsum(0))
    assert bool(sound.isfinite().all())
    assert bool((bands[0] == 0).any()) == (n_mels == 160)


def test_harmonics_have_the_log_mel_that_they_are_made_of() -> None:
    """Where a band holds some harmonics: those of a voice of 80 Hz, between 1 and 3 kHz, of a smooth envelope."""
    slope = torch.linspace(-4, -8, SPECTROGRAM.n_mels)
    voice, _, turns, _ = a_voice([math.log2(80)] * 60, slope.expand(60, -1))
    sound = voice.sound(synthetic_phase(turns, start=0.0)[0]).sum(dim=1)
    found = LogMel(replace(SPECTROGRAM, floor=1e-9))(sound.float()[None])[0, 10:-10].mean(dim=0)
    inside = (BANDS[0] > 1000) & (BANDS[0] < 3000)
    assert int(inside.sum()) > 3
    assert float((found - slope)[inside].abs().max()) < 0.5


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_phase_of_a_recording_is_found_though_the_codes_pitch_is_a_little_off(side: float) -> None:
    """A voice a quarter of a semitone above the pitch of its codes, in noise, and maybe upside down."""
    voice, _, turns, amplitude = a_voice(RISING)
    true = 0.3 + turns.cumsum(0) * 2 ** (0.25 / 12)
    sound = side * voice.sound(true).sum(dim=1)
    sound = sound + 0.3 * sound.std() * torch.randn(len(sound), generator=torch.Generator().manual_seed(0))
    found, turned = voice.fitted(sound, turns, amplitude, sample_rate=RATE)
    distance = (found - true).remainder(1.0)[400:-400]
    assert turned == side
    assert float(torch.minimum(distance, 1 - distance).max()) < 0.02


def test_without_a_voice_no_harmonic_is_read() -> None:
    phase = torch.stack([torch.rand(9), torch.zeros(9)], dim=1)
    assert not voice_harmonics(phase).any()


@given(st.lists(st.floats(-1, 1, width=32), min_size=60, max_size=60), st.lists(st.integers(0, 70), max_size=30))
def test_what_lies_some_periods_back(samples: list[float], lag: list[int]) -> None:
    lag = [each and max(each, TAPS // 2 + 1) for each in lag]
    made = periods_back(torch.tensor([samples]), torch.tensor([lag], dtype=torch.int64))[0]
    assert made.tolist() == periods_back_by_samples(samples, lag, TAPS)


@given(st.floats(60, 400), st.sampled_from([(8000, 80), (16_000, 160), (48_000, 480)]))
def test_a_lag_is_whole_periods_and_spans_a_frame(pitch: float, audio: tuple[int, int]) -> None:
    (rate, hop), turns = audio, torch.tensor([0.0, pitch / audio[0]], dtype=torch.float64)
    without, lag = lags(turns, hop_length=hop).tolist()
    assert without == 0
    assert hop + TAPS // 2 <= lag + 0.5 <= hop + TAPS // 2 + rate / pitch + 1
    assert abs(lag - round(lag * pitch / rate) * rate / pitch) <= 0.5


def spoken_clips(count: int, seconds: float, meanings: CodeDecoder) -> VocoderClips:
    """Voices of 141 Hz whose codes have the pitch 5 of 9, but for the first fifth, which has no voice."""
    samples = round(seconds * RATE)
    codes = -(-samples // SAMPLES_PER_CODE)
    sound = 9_000 * np.cos(2 * np.pi * 141.4 * np.arange(samples) / RATE)
    values = np.stack([np.arange(codes) % 12, np.where(np.arange(codes) < codes // 5, 0, 5)], axis=1)
    return vocoder_clips(np.tile(sound, count), np.tile(values, (count, 1)), meanings, [samples] * count)


def test_crops_have_the_pitch_of_their_codes_and_some_have_none() -> None:
    config, meanings = tiny_config(pitch=True), with_pitch(random_table())
    crops = Crops(spoken_clips(3, 1.0, meanings), config, CropsConfig(batch_size=40, crop_codes=10, pitch_dropout=0.5))
    batch = crops.batch(0)
    assert batch.spectrogram.shape == (40, 10 * PATCH_FRAMES, config.condition_inputs)
    known = batch.spectrogram[:, :, -PITCH_INPUTS:].any(dim=2).all(dim=1)
    assert 5 < int(known.sum()) < 35
    voiced = batch.spectrogram[:, :, -PITCH_INPUTS] > 0
    assert not voiced[~known].any()
    assert voiced[known].any()
    assert not batch.phase[~known, :, 1].any()
    height = batch.spectrogram[:, :, -1][voiced]
    torch.testing.assert_close(height, torch.full_like(height, math.log2(100) + 4 / 7 - 7))
    undisturbed = Crops(spoken_clips(3, 1.0, meanings), config, CropsConfig(batch_size=40, crop_codes=10).undisturbed)
    assert bool(undisturbed.batch(0).spectrogram[:, :, -PITCH_INPUTS:].any(dim=2).all())


def test_the_past_of_a_voice_is_made_hoarse_or_quiet_and_what_is_to_be_learned_is_not() -> None:
    config, meanings = tiny_config(pitch=True), with_pitch(random_table())
    own = CropsConfig(batch_size=80, crop_codes=10, pitch_dropout=0.0)
    clear, hoarse = (
        Crops(spoken_clips(3, 1.0, meanings), config, replace(own, hoarse=each)).batch(0) for each in (False, True)
    )
    for name in ("targets", "spectrogram", "phase"):
        assert torch.equal(getattr(clear, name), getattr(hoarse, name))
    assert clear.phase is not None
    other = clear.previous != hoarse.previous
    assert int(other.any(dim=1).sum()) > 70
    unvoiced = torch.nn.functional.pad(clear.phase[:, :-1, 1] == 0, (1, 0))
    pauses = unvoiced[:, 1:].any(dim=1)
    assert 0.2 < float((other & unvoiced)[pauses].any(dim=1).float().mean()) < 0.6  # crops at wrong levels


def test_wrong_levels_change_slowly_between_their_bounds() -> None:
    decibels = 20 * torch.stack([fades(RATE, np.random.default_rng(s), sample_rate=RATE) for s in range(9)]).log10()
    assert FADES[0] <= decibels.min() < 0.9 * FADES[0]
    assert 0.5 * FADES[1] < decibels.max() <= FADES[1]
    assert float(decibels.diff(dim=1).abs().median()) < 0.2
    assert len(fades(1, np.random.default_rng(0), sample_rate=RATE)) == 1


def test_a_whisper_has_the_spectra_of_a_voice_and_no_period() -> None:
    voice, _, turns, _ = a_voice([7.0] * 100)
    sound = voice.sound(synthetic_phase(turns, start=0.0)[0]).sum(dim=1)
    noise = whispered(sound, np.random.default_rng(0), sample_rate=RATE)
    log_mel = [LogMel(SPECTROGRAM)(each.float()[None])[0, 2:] for each in (sound, noise)]
    assert float((log_mel[0] - log_mel[1]).mean().abs()) < 1.0
    original, other = (Waveform(samples=each.float().numpy(), sample_rate=RATE) for each in (sound, noise))
    assert (periodicity(original, original) or 0) > 0.8
    assert (periodicity(other, original) or 1) < 0.6


def test_codes_without_a_pitch_have_an_unknown_one() -> None:
    assert not pitch_frames(torch.zeros(2, 3, 1, dtype=torch.int64), random_table()).any()


def spoken_frames(config: WaveNetConfig, count: int) -> Tensor:
    """Random conditions ``(count, inputs)`` of a voice that rises by an octave and pauses."""
    frames = torch.randn(count, config.condition_inputs, generator=torch.Generator().manual_seed(2))
    octaves = torch.linspace(7, 8, count, dtype=torch.float64)
    octaves[40:60] = NO_VOICE
    frames[:, -PITCH_INPUTS:] = pitch_inputs(octaves)
    return frames


@pytest.mark.parametrize("count", [0, 505])
@pytest.mark.parametrize("engine", ["torch", "numba"])
def test_levels_are_those_of_the_parallel_network(engine: str, count: int) -> None:
    """Within a prompt the phase is that of its samples, and the voice goes on from there."""
    config = tiny_config(pitch=True, hop_length=20)
    model, frames = lively(config), spoken_frames(config, 90)
    prompt = torch.randint(256, (count,), generator=torch.Generator().manual_seed(3))
    clip = GenerationInput(spectrogram=frames, prompt=prompt)
    (levels,) = generate(model, [clip], sampling=Sampling(temperature=0.0), engine=engine)
    assert torch.equal(levels[:count], prompt.int())
    padded, rate = torch.nn.functional.pad(frames[:, -PITCH_INPUTS:], (0, 0, 1, 1)), config.sample_rate
    turns, amplitude = frequencies(padded, hop_length=20, sample_rate=rate)
    sound, start, side, pieces = mu_law_decode(prompt, levels=config.levels), 0.0, 1.0, list[Tensor]()
    for first in range(0, 90, CHUNK_FRAMES):
        here = slice(first * 20, (first + CHUNK_FRAMES) * 20)
        mels = frames[first : first + CHUNK_FRAMES, : config.n_mels]
        voice = HarmonicVoice(mels, model.get_buffer("bands"), turns[here], sample_rate=rate)
        phase, heard = torch.zeros(0), sound[here]
        if float(amplitude[here][: len(heard)].sum()) >= 0.02 * rate:
            own = torch.nn.functional.pad(heard, (0, len(turns[here]) - len(heard)))
            phase, side = voice.fitted(own, turns[here], amplitude[here], sample_rate=rate)
            phase = phase[: len(heard)]
            start = float(phase[-1])
        more, start = synthetic_phase(turns[here][len(phase) :], start=start)
        turned = torch.cat([phase, more])
        pieces.append(voice_inputs(turned, side * amplitude[here], lags(turns[here], hop_length=20), voice))
    heard = torch.cat(pieces)
    previous = torch.cat([torch.tensor([silence()]), levels[:-1]]).long()
    with torch.inference_mode():
        logits = model(previous[None], frames[None], None, heard[None])[0, :, count:]
    chosen = logits.gather(0, levels.long()[None, count:])[0]
    torch.testing.assert_close(chosen, logits.max(0).values, atol=1e-3, rtol=0)
    assert len(levels[count:].unique()) > 5
