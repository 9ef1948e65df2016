"""Log-mel and bottlenecks of one recording, pooled over time while it is read: memory does not grow with its length."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audio.reading import read_blocks
from audio.spectrogram import log_mel_stream
from audio.waveform import FloatArray
from lm.pooling import POOLINGS, RunningPool
from pipelines.encoding import Encoder
from tokenizer.tokenizer import Tokenizer

PATCHES_AT_ONCE = 500


def audio_features(encoder: Encoder, job: tuple[str, int]) -> dict[str, FloatArray]:
    """Each pooling of the normalised log-mel and of the bottlenecks of a recording of so many samples."""
    path, num_samples = job
    tokenizer = encoder.tokenizer
    steps = tokenizer.format.steps(num_samples)
    lengths = {"log_mel": steps * tokenizer.patch_frames, "bottleneck": steps}
    pools = {
        f"{name}:{pooling}": RunningPool(length, pooling) for name, length in lengths.items() for pooling in POOLINGS
    }
    for spectrogram, bottlenecks in _heard(tokenizer, encoder.root / path, num_samples):
        for name, pool in pools.items():
            pool.add((spectrogram if name.startswith("log_mel") else bottlenecks).cpu().numpy())
    return {name: pool.pooled for name, pool in pools.items()}


@torch.inference_mode()
def _heard(tokenizer: Tokenizer, path: Path, num_samples: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised log-mel ``(time, mels)`` and bottlenecks ``(steps, streams * bottleneck)``, piece by piece."""
    step = tokenizer.config.samples_per_code
    padding = np.zeros(-num_samples % step, np.float32)  # the same frames as the codes have
    blocks = chain(read_blocks(path, tokenizer.config.audio.sample_rate), [padding])
    for piece in log_mel_stream(tokenizer.log_mel, blocks, frames=PATCHES_AT_ONCE * tokenizer.patch_frames):
        spectrogram = tokenizer.normalise(piece.to(tokenizer.mean.device))
        yield spectrogram, tokenizer.bottlenecks(spectrogram[None])[0].flatten(1)
