"""Codes of windows around patches: against a slow oracle, and what they stand for."""

from itertools import pairwise

import numpy as np
import pytest

from lm.bodies.clips import StoredClips
from lm.bodies.sound_gpt import BANDS, BINS, fit_window_codebook, window_vectors, with_window_codes

PATCH, MELS = 2, 40


def slow_vectors(log_mel: np.ndarray, frames: int) -> np.ndarray:
    """Average each window frame by frame."""
    bands = log_mel.reshape(len(log_mel), BANDS, -1).mean(2)
    rows = []
    for patch in range(-(-len(log_mel) // PATCH)):
        first = patch * PATCH + PATCH // 2 - frames // 2
        window = [
            bands[t] if 0 <= t < len(bands) else np.full(BANDS, bands.min()) for t in range(first, first + frames)
        ]
        bins = min(BINS, frames)
        borders = [number * frames // bins for number in range(bins + 1)]
        rows.append(np.concatenate([np.mean(window[a:b], 0) for a, b in pairwise(borders)]))
    return np.stack(rows)


@pytest.mark.parametrize("frames", [3, 8, 21, 64])
@pytest.mark.parametrize("length", [1, 2, 31])
def test_windows_equal_the_slow_oracle(frames: int, length: int) -> None:
    log_mel = np.random.default_rng(0).standard_normal((length, MELS)).astype(np.float32)
    found = window_vectors(log_mel, frames=frames, patch_frames=PATCH)
    np.testing.assert_allclose(found, slow_vectors(log_mel, frames), atol=1e-5)


def test_a_window_code_tells_what_surrounds_a_patch() -> None:
    """Clips of two kinds have equal patches at their middle, and other surroundings: the windows' codes differ."""
    rng = np.random.default_rng(0)

    def clip(kind: int) -> np.ndarray:
        frames = rng.standard_normal((40, MELS)) * 0.05
        frames[:12] += 3.0 * kind
        return frames.astype(np.float16)

    kinds = [number % 2 for number in range(30)]
    log_mel = StoredClips.together([clip(kind) for kind in kinds])
    codes = StoredClips.together([np.zeros((20, 3), np.int32)] * 30)
    codebook = fit_window_codebook(log_mel, frames=32, patch_frames=PATCH, size=16, seed=0)
    together = with_window_codes(log_mel, codes, [codebook])
    assert together.width == 4
    assert (together.sources[0][:, :3] == 0).all()
    middles = [{int(together.clip(row)[10, 3]) for row in range(30) if kinds[row] == kind} for kind in (0, 1)]
    assert not middles[0] & middles[1]
    again = fit_window_codebook(log_mel, frames=32, patch_frames=PATCH, size=16, seed=0)
    assert np.array_equal(again.centroids, codebook.centroids)
