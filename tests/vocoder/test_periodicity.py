import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import periodicity_by_lag
from vocoder.judging import periodicity
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError


def sound(samples: np.ndarray, sample_rate: int = 8000) -> Waveform:
    return Waveform(samples=samples.astype(np.float32), sample_rate=sample_rate)


def buzz(frequency: float, count: int = 4000, sample_rate: int = 8000) -> np.ndarray:
    """A tone with overtones, as a voice has."""
    times = np.arange(count) / sample_rate
    return sum(0.2 / n * np.sin(2 * np.pi * n * frequency * times) for n in (1, 2, 3, 4))


def noise(count: int = 4000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, count)


@pytest.mark.parametrize("frequency", [80.0, 130.0, 250.0])
def test_a_voice_has_it_and_noise_has_little(frequency: float) -> None:
    voice = sound(buzz(frequency))
    clean = periodicity(voice, voice)
    hoarse = periodicity(sound(buzz(frequency) + noise()), voice)
    whisper = periodicity(sound(noise()), voice)
    assert clean is not None
    assert hoarse is not None
    assert whisper is not None
    assert 1.0 >= clean > 0.97 > 0.9 > hoarse > whisper + 0.2
    assert whisper < 0.3


@settings(deadline=None, max_examples=20)
@given(rate=st.sampled_from([4000, 8000, 11025]), seconds=st.floats(0.0, 0.25), seed=st.integers(0, 99))
def test_equals_the_reference(rate: int, seconds: float, seed: int) -> None:
    count = round(rate * seconds)
    draw = np.random.default_rng(seed)
    original = buzz(draw.uniform(60, 300), count, rate) * np.geomspace(1, draw.choice([1.0, 1e-4]), count)
    other = (noise(count, seed) + original) * (np.arange(count) < draw.integers(1, 2000))  # silent at the end
    wanted = periodicity_by_lag(other.astype(np.float32), original.astype(np.float32), rate)
    assert periodicity(sound(other, rate), sound(original, rate)) == (wanted and pytest.approx(wanted, abs=1e-6))


def test_long_sounds_are_measured_in_blocks() -> None:
    whole = sound(buzz(120, 8000 * 12))
    part = sound(whole.samples[:8000])
    assert periodicity(whole, whole) == pytest.approx(periodicity(part, part))


def test_what_has_no_voice_to_compare_has_no_figure() -> None:
    silence, short = sound(np.zeros(4000)), sound(buzz(120, 200))
    assert periodicity(sound(buzz(120)), silence) is None
    assert periodicity(short, short) is None
    assert periodicity(sound(np.zeros(0)), sound(np.zeros(0))) is None
    low = sound(buzz(120, 4000, 1000), 1000)
    assert periodicity(low, low) is None
    assert periodicity(silence, sound(buzz(120))) == 0


def test_refuses_another_rate() -> None:
    with pytest.raises(InputError, match=r"\b8000\b.*\b16000\b"):
        periodicity(sound(buzz(120), 16000), sound(buzz(120)))
