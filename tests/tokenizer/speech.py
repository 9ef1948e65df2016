"""A small tokenizer whose codes are clusters of a layer of a speech model."""

from pathlib import Path

import torch

from tests.tokenizer.conftest import sound
from tests.wordless.audio.speech_models.checkpoints import save_checkpoint, split_weights
from tokenizer.config import TokenizerConfig
from tokenizer.fitting import fit_codebooks
from tokenizer.options import AutoencoderConfig, PatchConfig
from tokenizer.sources import ChosenLayer
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.audio.waveform import FloatArray

RATE, WIDTH, CODES = 16_000, 32, 12
AUDIO = SpectrogramConfig(sample_rate=RATE, window_length=100, hop_length=40, n_mels=16)


def speech_tokenizer(
    folder: Path, kind: str = "hubert", *, layer: int = 2, levels: int = 1, shards: int = 1
) -> Tokenizer:
    """Codes of a checkpoint that is written into ``folder``, fitted on the states of a sound; the decoder is random."""
    save_checkpoint(folder, kind)
    if shards > 1:
        split_weights(folder, shards)
    chosen = ChosenLayer(folder=folder, layer=layer, width=WIDTH, option="wav2vec2.weights")
    config = TokenizerConfig(
        audio=AUDIO,
        patch=PatchConfig(frames=2),
        autoencoder=AutoencoderConfig(hidden=8, bottleneck=WIDTH),
        codebook_size=CODES,
        levels=levels,
        speech_layer=chosen.config,
    )
    opened = chosen.open()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = config.create_autoencoder()
    tokenizer, _ = fit_codebooks(
        config,
        decoder,
        opened.states(speech()).numpy(),
        mean=torch.full((16,), -6.0),
        std=torch.full((16,), 3.0),
        iterations=5,
        seed=0,
        speech_layer=opened,
    )
    return tokenizer


def speech(seconds: float = 1.0) -> FloatArray:
    """A tone and noise, not a whole number of codes long."""
    samples = sound(2 * seconds, seed=1)[: round(RATE * seconds) - 17]
    return samples
