"""Levels: what is kept of a recording's loudness says which of its parts are silent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.levels import as_text, block_peaks, join_levels, level_samples, loudest, of_text
from wordless.audio.waveform import Part

RATE = 1_000


@given(
    st.lists(st.sampled_from([0.0, 1e-5, 1e-4, 0.003, 0.1, 1.0]), min_size=1, max_size=40),
    st.integers(0, 3_999),
    st.integers(1, 2_000),
)
def test_the_level_of_a_part_is_its_peak_or_that_of_its_surroundings(
    peaks: list[float], start: int, count: int
) -> None:
    samples = np.repeat(np.array(peaks, np.float32), 100)
    part = Part(start=min(start, len(samples) - 1), num_samples=count)
    levels = of_text(as_text(join_levels([block_peaks(samples, RATE)])))
    assert len(levels) == -(-len(samples) // level_samples(RATE))
    found = loudest(levels, part, RATE)
    inside = samples[part.start : part.start + count].max()
    around = samples[part.start // 100 * 100 : -(-(part.start + count) // 100) * 100].max()
    assert inside * 0.999 <= found <= around * 10 ** (0.5 / 20) * 1.001


def test_silence_is_silent_and_what_is_above_full_scale_is_full() -> None:
    levels = join_levels(
        [block_peaks(np.zeros(100, np.float32), RATE), block_peaks(np.full(100, -3, np.float32), RATE)]
    )
    assert loudest(levels, Part(start=0, num_samples=100), RATE) == 0
    assert loudest(levels, Part(start=99, num_samples=2), RATE) == 1
    assert len(join_levels([])) == 0


def test_text_that_holds_no_levels_is_refused() -> None:
    with pytest.raises(ValueError, match="base64"):
        of_text("%%%")
