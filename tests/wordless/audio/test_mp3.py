"""Sound through an MP3 file."""

import numpy as np
import pytest

from wordless.audio.responses import through_mp3


@pytest.mark.parametrize("rate", [4000, 8000, 10_001, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("samples", [1, 50, 20_000])
def test_an_mp3_file_has_the_sound_at_the_same_times(rate: int, samples: int) -> None:
    bins = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    bins[round(len(bins) * min(1, 3000 / rate)) :] = 0  # what a low bit rate keeps
    sound = (0.1 * np.fft.irfft(bins, samples)).astype(np.float32)
    found = np.concatenate([*through_mp3(np.array_split(sound, 3), rate)])
    assert found.dtype == np.float32
    assert len(found) == samples
    np.testing.assert_array_equal(found, np.concatenate([*through_mp3([sound], rate)]))
    if samples > 50:
        late = np.fft.irfft(np.fft.rfft(found) * np.conj(np.fft.rfft(sound)))
        assert late.argmax() == 0
        assert np.corrcoef(found, sound)[0, 1] > 0.95
        assert not np.array_equal(found, sound)
