"""Default sounds and a default tokenizer for measurements."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tokenizer.autoencoder import Autoencoder
from tokenizer.config import TokenizerConfig
from tokenizer.options import AutoencoderConfig, PatchConfig
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.waveform import FloatArray

CODEBOOK_SIZE = 256
SYLLABLES_PER_SECOND = 4


def random_tokenizer() -> Tokenizer:
    """Create a tokenizer of the default size with random weights, which do not change its speed."""
    audio, patch, sizes = SpectrogramConfig(), PatchConfig(), AutoencoderConfig()
    config = TokenizerConfig(audio=audio, patch=patch, autoencoder=sizes, codebook_size=CODEBOOK_SIZE)
    torch.manual_seed(0)
    return Tokenizer(
        config,
        torch.full((audio.n_mels,), -6.0),
        torch.full((audio.n_mels,), 3.0),
        Autoencoder(sizes, patch.frames * config.height),
        torch.randn(CODEBOOK_SIZE, sizes.bottleneck),
    )


def write_noise(path: Path, *, seconds: float, sample_rate: int, format: Literal["WAV", "OGG"]) -> None:
    """Write a mono recording of speech-like noise, in constant memory."""
    import soundfile  # networks alone need no libsndfile

    with soundfile.SoundFile(path, "w", samplerate=sample_rate, channels=1, format=format) as file:
        for block in _noise(round(seconds * sample_rate), sample_rate):
            file.write(block)


def _noise(num_samples: int, sample_rate: int) -> Iterator[FloatArray]:
    """Give one second of noise repeatedly; it falls by 6 dB per octave and swells like syllables."""
    time = np.arange(sample_rate) / sample_rate
    white = np.random.default_rng(0).standard_normal(sample_rate)
    falling = np.fft.irfft(np.fft.rfft(white) / np.maximum(np.fft.rfftfreq(sample_rate, 1 / sample_rate), 100.0))
    swelling = falling * np.sin(np.pi * SYLLABLES_PER_SECOND * time) ** 2
    second: FloatArray = (0.5 * swelling / np.abs(swelling).max()).astype(np.float32)
    for start in range(0, num_samples, sample_rate):
        yield second[: num_samples - start]
