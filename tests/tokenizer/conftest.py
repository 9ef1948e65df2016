"""Small tokenizers, fitted for real on a chirp and noise, and on the states of a speech model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.wordless.audio.speech_models.checkpoints import save_checkpoint
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from tokenizer.autoencoder_training import PatchBatches, normalised_patches, reconstruction_loss
from tokenizer.codes import PitchFormat
from tokenizer.frame_sample import draw_sample
from tokenizer.kmeans import by_loudness, fit_codebook
from tokenizer.rates_tokenizer import RatesTokenizer
from tokenizer.speech_layer import ChosenLayer, SpeechTokenizer
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from tokenizer.tokenizer_config import PatchConfig, TokenizerConfig
from wordless.audio.audio_options import Levelling, SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.base.arrays import FloatArray

RATE = 8_000
PITCH = PitchFormat(levels=8, lowest=100.0, highest=200.0)


def sound(seconds: float, seed: int = 0) -> FloatArray:
    """A rising tone in noise ``(samples,)``."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) + noise).astype(np.float32)


def fitted(patch: PatchConfig, codebook_size: int, *, levelling: Levelling | None = None) -> Tokenizer:
    audio = SpectrogramConfig(sample_rate=RATE, window_length=200, hop_length=80, n_mels=24, levelling=levelling)
    sizes = AutoencoderConfig(hidden=32, bottleneck=8)
    config = TokenizerConfig(audio=audio, patch=patch, autoencoder=sizes, codebook_size=codebook_size)
    spectrogram = LogMel(audio)(torch.from_numpy(sound(6.0))[None])[0]
    sample = draw_sample([(spectrogram, None)], frames=patch.frames, n_mels=24, capacity=2000, seed=0)
    patches = normalised_patches(sample.columns, sample.mean, sample.std, height=config.height)
    torch.manual_seed(0)
    autoencoder = Autoencoder(config.autoencoder, patches.shape[1])
    batches = PatchBatches(patches=patches, batch_size=64, seed=0)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=1e-2)
    for step in range(60):
        summed, count = reconstruction_loss(autoencoder, batches.batch(step, 0, 1))
        (summed / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    points = autoencoder.encoder(patches).detach().numpy()
    centroids, _ = fit_codebook(points, size=codebook_size, iterations=10, seed=0)
    parts = config, sample.mean, sample.std, autoencoder, torch.from_numpy(centroids)
    if levelling is None:
        return Tokenizer(*parts)
    recorded = LogMel(audio.absolute)(torch.from_numpy(0.05 * sound(6.0))[None])[0]
    return Tokenizer(*parts, absolute=torch.stack([recorded.mean(0), recorded.std(0)]))


def like(tokenizer: Tokenizer, config: TokenizerConfig, *, gain: float = 0.0) -> Tokenizer:
    """A tokenizer of the same weights and codebook."""
    parts = tokenizer.mean, tokenizer.std, tokenizer.autoencoder, tokenizer.centroids
    return Tokenizer(config, *parts, absolute=tokenizer.absolute, gain=gain)


def change_config(folder: Path, **values: object) -> None:
    """Change values in the config of a saved model."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


LONG = sound(PATCHES_PER_BLOCK * 2.5 * 160 / RATE)  # two blocks and a half


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """One stream, two frames per patch."""
    return fitted(PatchConfig(frames=2), 32)


@pytest.fixture(scope="session")
def rate_tokenizer() -> RatesTokenizer:
    """Codes of 8, 4 and 2 frames."""
    return RatesTokenizer([fitted(PatchConfig(frames=frames), 16) for frames in (8, 4, 2)])


@pytest.fixture(scope="session")
def banded() -> Tokenizer:
    """Three streams that share autoencoder and codebook."""
    return fitted(PatchConfig(frames=4, mels=8), 16)


@pytest.fixture(scope="session")
def pitched_codes(tokenizer: Tokenizer) -> Tokenizer:
    """One stream, and that of the pitch."""
    return like(tokenizer, replace(tokenizer.config, pitch=PITCH))


@pytest.fixture(scope="session")
def levelled_codes() -> Tokenizer:
    """Two streams, and those of level and pitch."""
    found = fitted(PatchConfig(frames=2, mels=12), 32, levelling=Levelling(frames=2))
    return like(found, replace(found.config, pitch=PITCH))


@pytest.fixture(scope="session", params=["tokenizer", "banded", "rate_tokenizer", "pitched_codes", "levelled_codes"])
def any_tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    found: Tokenizer = request.getfixturevalue(request.param)
    return found


SPEECH_RATE, WIDTH, CODES = 16_000, 32, 12
SPEECH_AUDIO = SpectrogramConfig(sample_rate=SPEECH_RATE, window_length=100, hop_length=40, n_mels=16)


def speech_tokenizer(folder: Path, kind: str = "hubert", *, layer: int = 2) -> SpeechTokenizer:
    """Codes of a checkpoint that is written into ``folder``, fitted on the states of a sound; the decoder is random."""
    save_checkpoint(folder, kind)
    chosen = ChosenLayer(folder=folder, layer=layer, width=WIDTH, option="wav2vec2.weights")
    config = TokenizerConfig(
        audio=SPEECH_AUDIO,
        patch=PatchConfig(frames=2),
        autoencoder=AutoencoderConfig(hidden=8, bottleneck=WIDTH),
        codebook_size=CODES,
        speech_layer=chosen.config,
    )
    opened = chosen.open()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = config.create_autoencoder()
    states = opened.states(speech()).numpy()
    centroids, _ = fit_codebook(states, size=CODES, iterations=5, seed=0)
    mean, std = torch.full((16,), -6.0), torch.full((16,), 3.0)
    return SpeechTokenizer(config, mean, std, decoder, by_loudness(decoder, centroids), layer=opened)


def speech(seconds: float = 1.0) -> FloatArray:
    """A tone and noise, not a whole number of codes long."""
    return sound(2 * seconds, seed=1)[: round(SPEECH_RATE * seconds) - 17]
