import numpy as np
import pytest

from vocoder.judging import has_pesq, pesq, stoi
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

RATE = 8000


def speech(seconds: float = 1.5) -> np.ndarray:
    """Syllables of a buzz: something that is loud and soft in turn, in many bands."""
    times = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * n * 120 * times) / n for n in range(1, 30))
    return 0.1 * buzz * (0.1 + np.sin(2 * np.pi * 3 * times) ** 2)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, count)


def sound(samples: np.ndarray, rate: int = RATE) -> Waveform:
    return Waveform(samples=samples.astype(np.float32), sample_rate=rate)


def test_a_copy_is_understood_and_noise_is_not() -> None:
    clear = speech()
    assert stoi(sound(clear), sound(clear)) == pytest.approx(1)
    little, much = (stoi(sound(clear), sound(clear + share * noise(len(clear)))) for share in (0.2, 2))
    assert little is not None
    assert much is not None
    assert 0.5 < little < 1
    assert much < little - 0.1


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(8000), speech(0.2), speech(0.01)])
def test_of_too_little_speech_there_is_no_figure(samples: np.ndarray) -> None:
    assert stoi(sound(samples), sound(samples)) is None
    if has_pesq():
        assert pesq(sound(samples), sound(samples)) is None


def test_sounds_of_other_rates_are_refused() -> None:
    with pytest.raises(InputError, match=r"\b8000\b.*\b16000 Hz"):
        stoi(sound(speech()), sound(speech(), 16_000))


@pytest.mark.skipif(not has_pesq(), reason="pesq needs a compiler and is an extra")
@pytest.mark.parametrize("rate", [8000, 11_025, 16_000])
def test_pesq_of_a_copy_is_the_best(rate: int) -> None:
    clear = speech(2)
    best = pesq(sound(clear, rate), sound(clear, rate))
    worse = pesq(sound(clear, rate), sound(clear + noise(len(clear)), rate))
    assert best is not None
    assert worse is not None
    assert best > 4.4
    assert 1 <= worse < best - 0.5


@pytest.mark.skipif(has_pesq(), reason="pesq is installed")
def test_without_pesq_the_message_says_how_to_get_it() -> None:
    with pytest.raises(InputError, match=r"wordless\[pesq\]"):
        pesq(sound(speech()), sound(speech()))
