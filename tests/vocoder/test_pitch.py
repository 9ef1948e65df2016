import sys

import numpy as np
import pytest

from vocoder.judging import has_pitch, median_pitch, pitch, pitch_distances, pitch_error, voicing_error
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

RATE = 8000


def tone(frequency: float, seconds: float = 0.4) -> np.ndarray:
    """A tone with overtones, as a voice has."""
    times = np.arange(round(seconds * RATE)) / RATE
    return sum(0.3 / n * np.sin(2 * np.pi * n * frequency * times) for n in (1, 2, 3))


def sound(samples: np.ndarray) -> Waveform:
    return Waveform(samples=samples.astype(np.float32), sample_rate=RATE)


@pytest.mark.parametrize("frequency", [110.0, 220.0, 440.0])
def test_pitch_of_a_tone(frequency: float) -> None:
    found = pitch(sound(tone(frequency)))
    inner = found[4:-4]
    assert len(found) == 41
    assert np.isfinite(inner).all()
    assert np.abs(1200 * np.log2(inner / frequency)).max() < 15


def test_noise_and_silence_have_none() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3200)
    assert np.isnan(pitch(sound(noise))).mean() > 0.8
    assert np.isnan(pitch(sound(np.zeros(3200)))).all()
    assert len(pitch(sound(np.zeros(3200)))) == len(pitch(sound(noise)))
    assert np.isnan(pitch(sound(np.zeros(0)))).all()


def test_errors_of_a_tone_a_semitone_higher() -> None:
    low, high = pitch(sound(tone(200))), pitch(sound(tone(200 * 2 ** (1 / 12))))
    assert pitch_error(low, high) == pytest.approx(100, abs=12)
    assert pitch_error(low, low) == 0
    assert voicing_error(low, low) == 0


def test_errors_of_a_sound_that_loses_its_voice() -> None:
    whole = tone(200, 0.8)
    halved = whole.copy()
    halved[len(whole) // 2 :] = np.random.default_rng(0).normal(0, 0.1, len(whole) // 2)
    voiced, partly = pitch(sound(whole)), pitch(sound(halved))
    assert voicing_error(voiced, partly) == pytest.approx(0.5, abs=0.1)
    error = pitch_error(voiced, partly)
    assert error is not None
    assert error < 30


@pytest.mark.parametrize("missing", ["librosa", "librosa.core.pitch"])
def test_without_its_libraries_there_is_no_pitch(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_pitch()
    monkeypatch.setitem(sys.modules, missing, None)
    assert not has_pitch()
    with pytest.raises(InputError, match="pip install librosa numba"):
        pitch(sound(tone(200)))


def test_no_error_of_pitch_where_none_has_any() -> None:
    nothing = np.full(5, np.nan)
    assert pitch_error(nothing, np.full(5, 100.0)) is None
    assert voicing_error(nothing, np.full(5, 100.0)) == 1


def test_the_median_pitch_leaves_out_what_has_none() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 3200)
    low, octave = (median_pitch(sound(np.concatenate([noise, tone(each)]))) for each in (110, 220))
    assert low is not None
    assert octave is not None
    assert octave - low == pytest.approx(12, abs=0.2)
    assert median_pitch(sound(np.zeros(3200))) is None


def test_a_continuation_is_compared_with_its_prompt_and_with_the_others() -> None:
    prompts = [40.0, 52.0, None, 44.0]
    assert pitch_distances(41.0, prompts, 0) == {"pitch_from_prompt": 1, "pitch_from_others": 7, "pitch_kept": 6}
    assert pitch_distances(41.0, prompts, 1)["pitch_kept"] == 2 - 11
    for found, own in ((None, 0), (41.0, 2), (41.0, None)):  # nothing is voiced, or there is no prompt
        assert pitch_distances(found, prompts, own) == {}
    assert pitch_distances(41.0, [40.0, None], 0) == {}
