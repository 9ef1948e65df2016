"""Sounds for the tests of backbones, and the sizes of small networks of samples."""

import numpy as np

from lm.backbones.audio_transformer import AudioTransformerConfig
from lm.backbones.clips import ClipBatchConfig, StoredClips
from lm.backbones.wav2vec2 import MaskConfig, TargetConfig, Wav2vec2Config

MELS = 16


def ridges(clips: int) -> StoredClips:
    """Noisy ridges that rise, fall or stay."""
    rng, spectrograms = np.random.default_rng(0), []
    for clip in range(clips):
        length, slope = int(rng.integers(15, 30)), (6.0, -6.0, 0.0)[clip % 3]
        centre = 8 + rng.uniform(-1, 1) + slope * (np.arange(length) / length - 0.5)
        ridge = 3 * np.exp(-0.5 * (np.arange(MELS) - centre[:, None]) ** 2) - 1
        spectrograms.append((ridge + 0.3 * rng.standard_normal((length, MELS))).astype(np.float16))
    return StoredClips.together(spectrograms)


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
# of three layers, of which pooling halves the rate twice
AUDIO_TRANSFORMER = AudioTransformerConfig(
    front_end=24, width=16, layers=3, heads=2, ffn_dim=32, pool_every=1, wavelet_levels=3, patches=8
)
TARGETS = TargetConfig(masking=MaskConfig(share=0.5, length=3), negatives=5)
BATCHES = ClipBatchConfig(batch_size=6, max_frames=2000, pool_batches=2)


def tones(clips: int) -> StoredClips:
    """Low and high tones in noise, of 0.2 to 0.5 seconds at `RATE`."""
    rng, sounds = np.random.default_rng(0), []
    for clip in range(clips):
        time = np.arange(int(rng.integers(800, 2000))) / RATE
        pitch = (1200, 150)[clip % 2] * rng.uniform(0.95, 1.05)
        sound = 0.3 * np.sin(2 * np.pi * (pitch * time + rng.random())) + 0.02 * rng.standard_normal(len(time))
        sounds.append((32767 * np.clip(sound, -1, 1)).astype(np.int16))
    return StoredClips.together(sounds)
