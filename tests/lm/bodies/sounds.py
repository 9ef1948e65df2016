"""Sounds and small speech models for the tests of bodies, and which of their weights learn."""

import numpy as np

from lm.bodies.clips import StoredClips
from lm.bodies.options import ClipBatchConfig, MaskConfig, TargetConfig, Wav2vec2Config

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


RATE = 4000
SMALL = Wav2vec2Config(
    channels=16,
    kernels=(10, 8, 4),
    strides=(5, 4, 4),
    width=16,
    layers=2,
    heads=2,
    ffn_dim=32,
    positions=8,
    codes=8,
    code_dim=8,
    dropout=0.0,
)
TARGETS = TargetConfig(masking=MaskConfig(share=0.5, length=3), negatives=5)
BATCHES = ClipBatchConfig(batch_size=6, max_frames=2000, pool_batches=2)


def tones(clips: int, *, seed: int = 0) -> tuple[StoredClips, list[str]]:
    """Low and high tones in noise, of 0.2 to 0.5 seconds at `RATE`, and what each is."""
    rng = np.random.default_rng(seed)
    names = [("high", "low")[clip % 2] for clip in range(clips)]
    sounds = [_tone(name, rng) for name in names]
    offsets = np.cumsum([0, *map(len, sounds)])
    return StoredClips.of(np.concatenate(sounds), offsets), names


def _tone(name: str, rng: np.random.Generator) -> np.ndarray:
    time = np.arange(int(rng.integers(800, 2000))) / RATE
    pitch = {"low": 150, "high": 1200}[name] * rng.uniform(0.95, 1.05)
    sound = 0.3 * np.sin(2 * np.pi * (pitch * time + rng.random())) + 0.02 * rng.standard_normal(len(time))
    return (32767 * np.clip(sound, -1, 1)).astype(np.int16)
