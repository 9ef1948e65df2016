"""Clips that a small encoder can tell apart: a ridge that rises, falls or stays, at some height, of some length."""

import numpy as np

from lm.bodies.clips import StoredClips

MELS = 16


def ridges(clips: int, *, seed: int = 0) -> tuple[StoredClips, list[str]]:
    """Noisy ridges and what each does."""
    rng = np.random.default_rng(seed)
    names = [("rises", "falls", "stays")[clip % 3] for clip in range(clips)]
    spectrograms = [_ridge(name, rng) for name in names]
    offsets = np.cumsum([0] + [len(each) for each in spectrograms])
    return StoredClips.of(np.concatenate(spectrograms).astype(np.float16), offsets), names


def _ridge(name: str, rng: np.random.Generator) -> np.ndarray:
    length = int(rng.integers(15, 30))
    slope = {"rises": 6.0, "falls": -6.0, "stays": 0.0}[name]
    centre = 8 + rng.uniform(-1, 1) + slope * (np.arange(length) / length - 0.5)
    ridge = 3 * np.exp(-0.5 * (np.arange(MELS) - centre[:, None]) ** 2) - 1
    return ridge + 0.3 * rng.standard_normal((length, MELS))
