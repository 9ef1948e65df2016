"""A tokenizer of the default size with random weights."""

import torch

from pipelines.stages.stage_options import TokenizerSettings
from tokenizer.tokenizer import Tokenizer
from wordless.audio.audio_options import SpectrogramConfig

TOKENIZER = TokenizerSettings().config(SpectrogramConfig())  # of the default size
CODEBOOK_SIZE = TOKENIZER.codebook_size


def random_tokenizer() -> Tokenizer:
    """Create a tokenizer of the default size with random weights, which do not change its speed."""
    mels = TOKENIZER.audio.n_mels
    torch.manual_seed(0)
    return Tokenizer(
        TOKENIZER,
        torch.full((mels,), -6.0),
        torch.full((mels,), 3.0),
        TOKENIZER.create_autoencoder(),
        torch.randn(CODEBOOK_SIZE, TOKENIZER.autoencoder.bottleneck),
    )
