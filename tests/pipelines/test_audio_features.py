"""Features pooled while a recording is read, against those of the whole."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audio.reading import read
from lm.pooling import POOLINGS, pool
from pipelines.audio_features import PATCHES_AT_ONCE, audio_features
from pipelines.encoding import Encoder
from tests.pipelines.tiny import AUDIO, save_tokenizer, sweep


@pytest.mark.parametrize("mels", [None, 8])
@pytest.mark.parametrize("seconds", [0.01, 0.333, 2.5 * PATCHES_AT_ONCE * 2 * 40 / 4000])
def test_pooling_in_pieces_is_pooling_the_whole(seconds: float, mels: int | None, tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path, seed=0, mels=mels)
    soundfile.write(tmp_path / "a.wav", sweep(seconds, AUDIO.sample_rate), AUDIO.sample_rate)
    samples = read(tmp_path / "a.wav", AUDIO.sample_rate).samples
    found = audio_features(Encoder(folder=tmp_path / "tokenizer", root=tmp_path), ("a.wav", len(samples)))
    padded = np.pad(samples, (0, -len(samples) % tokenizer.config.samples_per_code))
    with torch.inference_mode():
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))
        bottlenecks = tokenizer.bottlenecks(spectrogram)[0].flatten(1)
    for pooling in POOLINGS:
        np.testing.assert_allclose(found[f"log_mel:{pooling}"], pool(spectrogram[0].numpy(), pooling), atol=1e-4)
        np.testing.assert_allclose(found[f"bottleneck:{pooling}"], pool(bottlenecks.numpy(), pooling), atol=1e-4)
