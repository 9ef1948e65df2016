"""The phase of a voice, and generation that follows it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import periods_back_by_samples, phase_by_samples
from tests.vocoder.sounds import PATCH_FRAMES, SAMPLES_PER_CODE, lively, random_table, tiny_config, with_pitch
from tokenizer.codes import CodeMeanings
from vocoder.crops import ClipCodes, Crops, SampleClips, VocoderClips
from vocoder.frames import (
    frequencies,
    harmonics,
    lags,
    periods_back,
    pitch_frames,
    pitch_inputs,
    recorded_phase,
    synthetic_phase,
)
from vocoder.generation import GenerationInput, generate
from vocoder.options import PITCH_INPUTS, TAPS, CropsConfig, Sampling, WaveNetConfig
from vocoder.wavenet import mu_law_decode, silence

RATE, HOP = 8000, 80
NO_VOICE = math.nan


def neighbours(octaves: list[float]) -> Tensor:
    """Inputs of frames between two frames of unknown pitch."""
    return torch.nn.functional.pad(pitch_inputs(torch.tensor(octaves, dtype=torch.float64)), (0, 0, 1, 1))


@pytest.mark.parametrize("octaves", [[7.0, 7.5, NO_VOICE, 6.5], [NO_VOICE] * 3, [8.0], [NO_VOICE, 7.2, 7.1, 7.0]])
def test_phase_is_the_sum_of_frequencies_between_the_centres_of_frames(octaves: list[float]) -> None:
    turns, amplitude = frequencies(neighbours(octaves), hop_length=HOP, sample_rate=RATE)
    made, end = synthetic_phase(turns, amplitude, start=0.25)
    wanted = phase_by_samples(octaves, hop_length=HOP, sample_rate=RATE, start=0.25)
    distance = (made[:, 0].double() - torch.tensor([phase for phase, _ in wanted])).abs()
    assert float(torch.minimum(distance, 1 - distance).max()) < 1e-5
    torch.testing.assert_close(made[:, 1], torch.tensor([float(each) for _, each in wanted]), atol=1e-6, rtol=0)
    assert end == pytest.approx(float(wanted[-1][0]), abs=1e-5)


def test_recorded_phase_is_that_of_the_fundamental_though_the_codes_pitch_is_a_little_off() -> None:
    """A voice of three harmonics, a quarter of a semitone above the pitch of its codes."""
    place = torch.arange(RATE, dtype=torch.float64) / RATE
    true = 0.3 + 150 * 2 ** (0.25 / 12) * place
    sound = sum(level * torch.cos(2 * math.pi * (k * true + k)) for k, level in ((2, 0.3), (3, 0.2)))
    sound = sound + 0.3 * torch.cos(2 * math.pi * true)
    turns, amplitude = frequencies(neighbours([math.log2(150)] * 100), hop_length=HOP, sample_rate=RATE)
    found = recorded_phase(sound, turns, amplitude, sample_rate=RATE)
    distance = (found[:, 0].double() - true).remainder(1.0)[400:-400]
    assert float(torch.minimum(distance, 1 - distance).max()) < 0.01
    torch.testing.assert_close(found[:, 1].double(), amplitude)


def test_without_a_voice_no_harmonic_is_read() -> None:
    phase = torch.stack([torch.rand(9), torch.zeros(9)], dim=1)
    assert not harmonics(phase).any()


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


def spoken_clips(count: int, seconds: float, meanings: CodeMeanings) -> VocoderClips:
    """Voices of 141 Hz whose codes have the pitch 5 of 9, but for the first fifth, which has no voice."""
    samples = round(seconds * RATE)
    codes = -(-samples // SAMPLES_PER_CODE)
    sound = (9_000 * np.cos(2 * np.pi * 141.4 * np.arange(samples) / RATE)).astype(np.int16)
    values = np.stack([np.arange(codes) % 12, np.where(np.arange(codes) < codes // 5, 0, 5)], axis=1).astype(np.int32)
    return VocoderClips(
        sound=SampleClips(samples=np.tile(sound, count), offsets=samples * np.arange(count + 1)),
        codes=(ClipCodes(values=np.tile(values, (count, 1)), meanings=meanings),),
        code_offsets=codes * np.arange(count + 1),
        groups=np.zeros(count, dtype=np.int64),
    )


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
    sound = mu_law_decode(prompt, levels=config.levels)
    known = recorded_phase(sound, turns[:count], amplitude[:count], sample_rate=rate)
    start = float(known[-1, 0]) if count else 0.0
    phase = torch.cat([known, synthetic_phase(turns[count:], amplitude[count:], start=start)[0]])
    heard = torch.cat([phase, lags(turns, hop_length=20)[:, None].float()], dim=1)
    previous = torch.cat([torch.tensor([silence()]), levels[:-1]]).long()
    with torch.inference_mode():
        logits = model(previous[None], frames[None], None, heard[None])[0, :, count:]
    chosen = logits.gather(0, levels.long()[None, count:])[0]
    torch.testing.assert_close(chosen, logits.max(0).values, atol=1e-3, rtol=0)
    assert len(levels[count:].unique()) > 5
