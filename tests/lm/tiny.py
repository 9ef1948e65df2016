"""A tiny codebook, recordings of it, and a model of a size that a test can afford."""

from dataclasses import replace

import numpy as np

from lm.gpt import GPTConfig
from tokenizer.codes import Codes, CodesFormat, join_rates

TINY = GPTConfig(model_dim=16, layers=2, heads=2, ffn_dim=32, context=25, dropout=0.0, init_std=0.3)


def codes_format(streams: int = 1, codebook: str = "c1") -> CodesFormat:
    """Seven codes, 20 ms each."""
    return CodesFormat(
        codebook_size=7, streams=streams, samples_per_code=320, sample_rate=16_000, tokenizer="t1", codebook=codebook
    )


def rates_format(*shares: int, streams: int = 1) -> CodesFormat:
    """Codes of so many times 20 ms, coarse to fine."""
    formats = [
        replace(codes_format(streams, f"c{share}"), samples_per_code=320 * share, tokenizer=f"t{share}")
        for share in shares
    ]
    return CodesFormat.of_rates(formats)


def random_codes(steps: int, *, streams: int = 1, seed: int = 0, codebook: str = "c1") -> Codes:
    values = np.random.default_rng(seed).integers(7, size=(steps, streams), dtype=np.int32)
    return Codes(values=values, num_samples=steps * 320, format=codes_format(streams, codebook))


def random_rates(whole: CodesFormat, steps: int, *, seed: int = 0, num_samples: int | None = None) -> Codes:
    """The same at several rates, of so many time steps of the coarsest; it may end within the last one."""
    rng, samples = np.random.default_rng(seed), num_samples or steps * whole.samples_per_code
    parts = [
        Codes(
            values=rng.integers(7, size=(own.steps(samples), own.streams), dtype=np.int32),
            num_samples=samples,
            format=own,
        )
        for own in whole.formats
    ]
    return join_rates(parts)
