"""A tiny codebook, recordings of it, and a model of a size that a test can afford."""

import numpy as np

from lm.gpt import GPTConfig
from tokenizer.codes import Codes, CodesFormat

TINY = GPTConfig(model_dim=16, layers=2, heads=2, ffn_dim=32, context=25, dropout=0.0, init_std=0.3)


def codes_format(streams: int = 1, codebook: str = "c1") -> CodesFormat:
    """Seven codes, 20 ms each."""
    return CodesFormat(
        codebook_size=7, streams=streams, samples_per_code=320, sample_rate=16_000, tokenizer="t1", codebook=codebook
    )


def random_codes(steps: int, *, streams: int = 1, seed: int = 0, codebook: str = "c1") -> Codes:
    """A recording that nothing can predict."""
    values = np.random.default_rng(seed).integers(7, size=(steps, streams), dtype=np.int32)
    return Codes(values=values, num_samples=steps * 320, format=codes_format(streams, codebook))
