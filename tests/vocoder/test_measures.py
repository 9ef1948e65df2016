"""Levels, distances, intelligibility, periodicity and pitch of sounds."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import periodicity_by_lag
from tests.vocoder.sounds import SPECTROGRAM, buzz, noise, random_table
from vocoder.measures import (
    code_agreement,
    dropouts,
    has_pesq,
    has_pitch,
    log_mel_distance,
    median_pitch,
    mel_cepstral_distortion,
    periodicity,
    pesq,
    pitch,
    pitch_distances,
    pitch_error,
    sound_levels,
    stoi,
    voicing_error,
)
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import Waveform
from wordless.base.messages import InputError

RATE = 8000
NOISE = noise(4000)


def sound(samples: object, rate: int = RATE) -> Waveform:
    return Waveform(samples=np.asarray(samples, dtype=np.float32), sample_rate=rate)


@pytest.mark.parametrize(
    ("samples", "wanted"),
    [
        ([0.5, -0.5] * 500, {"peak": 0.5, "rms": 20 * np.log10(0.5), "dc": 0, "clipping": 0, "silence": 0}),
        ([1.0] * 100 + [-1.0] * 100 + [1e-4] * 600, {"clipping": 0.25, "silence": 0.75, "dc": 7.5e-5}),
        *(([0.0] * count, {"peak": 0, "rms": -120, "silence": 1}) for count in (0, 1, 500)),
    ],
)
def test_levels_of_square_waves_clipping_and_silence(samples: list[float], wanted: dict[str, float]) -> None:
    levels = sound_levels(sound(samples))
    for name, value in wanted.items():
        assert levels[name] == pytest.approx(value, abs=1e-5), name


@given(st.floats(0.1, 1))
def test_distance_of_a_gain_is_the_gain(gain: float) -> None:
    distance = log_mel_distance(sound(NOISE), sound(NOISE * gain), SPECTROGRAM)
    assert distance == pytest.approx(-20 * np.log10(gain), abs=0.1)
    assert log_mel_distance(sound(NOISE), sound(NOISE[:3000]), SPECTROGRAM) == 0  # of the length of the shorter


def test_code_agreement_is_a_share_of_codes_of_one_codebook() -> None:
    table, other = random_table(), random_table(codebook="book-2")
    assert code_agreement(table.codes([1, 2, 3, 4]), table.codes([1, 0, 3])) == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="book-2"):
        code_agreement(table.codes([1]), other.codes([1]))


def filtered(samples: np.ndarray) -> np.ndarray:
    """Brighter: each sample less most of the one before."""
    return samples - 0.7 * np.append(0, samples[:-1])


def loud_log_mel(samples: np.ndarray) -> np.ndarray:
    frames = LogMel(SPECTROGRAM)(torch.from_numpy(np.float32(samples)).unsqueeze(0))[0]
    return 10 / np.log(10) * frames.numpy()


def test_distortion_of_all_cepstra_is_what_is_left_of_the_difference_without_its_mean() -> None:
    difference = loud_log_mel(NOISE) - loud_log_mel(filtered(NOISE))
    every = SPECTROGRAM.n_mels - 1
    distortion = mel_cepstral_distortion(sound(NOISE), sound(filtered(NOISE)), SPECTROGRAM, cepstra=every)
    assert distortion == pytest.approx(float(difference.std(axis=1).mean()), rel=1e-4)
    fewer = mel_cepstral_distortion(sound(NOISE), sound(filtered(NOISE)), SPECTROGRAM)
    assert 0.5 * distortion < fewer < distortion


def speech(seconds: float = 1.5) -> np.ndarray:
    """Syllables of a buzz: something that is loud and soft in turn, in many bands."""
    times = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * n * 120 * times) / n for n in range(1, 30))
    return 0.1 * buzz * (0.1 + np.sin(2 * np.pi * 3 * times) ** 2)


def test_a_copy_is_understood_and_noise_is_not() -> None:
    clear = speech()
    assert stoi(sound(clear), sound(clear)) == pytest.approx(1)
    little, much = (stoi(sound(clear), sound(clear + share * noise(len(clear)))) for share in (0.2, 2))
    assert 0.5 < little < 1
    assert much < little - 0.1


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(8000), speech(0.2), speech(0.01)])
def test_of_too_little_speech_there_is_no_figure(samples: np.ndarray) -> None:
    assert stoi(sound(samples), sound(samples)) is None
    if has_pesq():
        assert pesq(sound(samples), sound(samples)) is None


@pytest.mark.skipif(not has_pesq(), reason="pesq needs a compiler and is an extra")
@pytest.mark.parametrize("rate", [8000, 11_025, 16_000])
def test_pesq_of_a_copy_is_the_best(rate: int) -> None:
    clear = speech(2)
    best = pesq(sound(clear, rate), sound(clear, rate))
    worse = pesq(sound(clear, rate), sound(clear + noise(len(clear)), rate))
    assert best > 4.4
    assert 1 <= worse < best - 0.5


@settings(deadline=None, max_examples=20)
@given(rate=st.sampled_from([4000, 8000, 11025]), seconds=st.floats(0.0, 0.25), seed=st.integers(0, 99))
def test_periodicity_equals_the_reference(rate: int, seconds: float, seed: int) -> None:
    count = round(rate * seconds)
    draw = np.random.default_rng(seed)
    original = buzz(draw.uniform(60, 300), count, rate) * np.geomspace(1, draw.choice([1.0, 1e-4]), count)
    other = (noise(count, seed) + original) * (np.arange(count) < draw.integers(1, 2000))  # silent at the end
    wanted = periodicity_by_lag(other.astype(np.float32), original.astype(np.float32), rate)
    assert periodicity(sound(other, rate), sound(original, rate)) == (wanted and pytest.approx(wanted, abs=1e-6))


@given(st.integers(0, 40), st.floats(0.0, 1.0))
def test_dropouts_are_the_loud_frames_that_are_12_db_too_quiet(quiet: int, gain: float) -> None:
    frames = np.repeat([1.0, 1e-3], 20)[:, None] * noise(40 * 80).reshape(40, 80)  # the second half is -60 dB
    heard = frames * np.where(np.arange(40) < quiet, gain, 1)[:, None]
    wanted = min(quiet, 20) / 20 if gain < 10 ** (-12 / 20) else 0
    assert dropouts(sound(frames.ravel()), sound(heard.ravel())) == pytest.approx(wanted)
    assert dropouts(sound(np.zeros(800)), sound(noise(800))) is dropouts(sound([]), sound([])) is None


def test_long_sounds_are_measured_in_blocks() -> None:
    whole = sound(buzz(120, 8000 * 12))
    part = sound(whole.samples[:8000])
    assert periodicity(whole, whole) == pytest.approx(periodicity(part, part))


@pytest.mark.parametrize(("count", "rate"), [(0, 8000), (200, 8000), (4000, 1000)])
def test_a_voice_that_is_too_short_or_of_a_low_rate_has_no_periodicity(count: int, rate: int) -> None:
    voice = sound(buzz(120, count, rate), rate)
    assert periodicity(voice, voice) is None
    assert periodicity(voice, sound(np.zeros(count), rate)) is None


@pytest.mark.parametrize("frequency", [110.0, 220.0, 440.0])
def test_pitch_of_a_tone(frequency: float) -> None:
    found = pitch(sound(buzz(frequency, 3200)))
    inner = found[4:-4]
    assert len(found) == 41
    assert np.isfinite(inner).all()
    assert np.abs(1200 * np.log2(inner / frequency)).max() < 15


def test_noise_and_silence_have_no_pitch() -> None:
    assert np.isnan(pitch(sound(noise(3200)))).mean() > 0.8
    assert len(pitch(sound(np.zeros(3200)))) == len(pitch(sound(noise(3200))))
    for count in (0, 3200):
        assert np.isnan(pitch(sound(np.zeros(count)))).all()
    assert median_pitch(sound(np.zeros(3200))) is None
    low, octave = (median_pitch(sound([*0.1 * noise(3200), *buzz(each, 3200)])) for each in (110, 220))
    assert octave - low == pytest.approx(12, abs=0.2)


def test_errors_of_pitch_are_cents_and_none_where_none_has_any() -> None:
    low, high = pitch(sound(buzz(200, 3200))), pitch(sound(buzz(200 * 2 ** (1 / 12), 3200)))
    assert pitch_error(low, high) == pytest.approx(100, abs=12)
    assert pitch_error(low, low) == 0
    assert voicing_error(low, low) == 0
    nothing = np.full(5, np.nan)
    assert pitch_error(nothing, np.full(5, 100.0)) is None
    assert voicing_error(nothing, np.full(5, 100.0)) == 1


@pytest.mark.parametrize("missing", ["librosa", "numba", "librosa.core.pitch"])
def test_without_its_libraries_there_is_no_pitch(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_pitch()
    monkeypatch.setitem(sys.modules, missing, None)
    # A library that is there and cannot be imported is refused when pitch is measured.
    assert has_pitch() == ("." in missing)
    monkeypatch.setitem(sys.modules, "librosa.core.pitch", None)
    with pytest.raises(InputError, match="pip install librosa numba"):
        pitch(sound(buzz(200, 3200)))


def test_a_continuation_is_compared_with_its_prompt_and_with_the_others() -> None:
    prompts = [40.0, 52.0, None, 44.0]
    assert pitch_distances(41.0, prompts, 0) == {"pitch_from_prompt": 1, "pitch_from_others": 7, "pitch_kept": 6}
    assert pitch_distances(41.0, prompts, 1)["pitch_kept"] == 2 - 11
    # Nothing is voiced, there is no prompt, or there are no others.
    for found, others, own in ((None, prompts, 0), (41.0, prompts, 2), (41.0, prompts, None), (41.0, [40.0, None], 0)):
        assert pitch_distances(found, others, own) == {}
