"""Features pooled while a recording is read, against those of the whole."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lm.options import POOLINGS
from lm.probing.vectors import pool
from pipelines.stages.features import audio_features
from tests.pipelines.tiny import AUDIO, save_tokenizer, sweep, tiny_tokenizer
from tokenizer.encoder import Encoder
from tokenizer.signals import PATCHES_AT_ONCE
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import MeanRemoval
from wordless.audio.reading import read
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import LogMel
from wordless.base.files import file_hash


def whole_clip(path: Path) -> Clip:
    """A recording at the rate of the front end, all of it."""
    samples, size = len(read(path, AUDIO.sample_rate).samples), path.stat().st_size
    return Clip(path=path.name, num_samples=samples, sample_rate=AUDIO.sample_rate, size=size, sha256=file_hash(path))


@pytest.mark.parametrize("mels", [None, 8])
@pytest.mark.parametrize("seconds", [0.01, 0.333, 2.5 * PATCHES_AT_ONCE * 2 * 40 / 4000])
def test_pooling_in_pieces_is_pooling_the_whole(seconds: float, mels: int | None, tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path, seed=0, mels=mels)
    soundfile.write(tmp_path / "a.wav", sweep(seconds, AUDIO.sample_rate), AUDIO.sample_rate)
    samples = read(tmp_path / "a.wav", AUDIO.sample_rate).samples
    found = audio_features(Encoder(folder=tmp_path / "tokenizer", root=tmp_path), whole_clip(tmp_path / "a.wav"))
    padded = np.pad(samples, (0, -len(samples) % tokenizer.config.samples_per_code))
    with torch.inference_mode():
        spectrogram = tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(padded)[None]))
        bottlenecks = tokenizer.bottlenecks(spectrogram)[0].flatten(1)
    for pooling in POOLINGS:
        np.testing.assert_allclose(found[f"log_mel:{pooling}"], pool(spectrogram[0].numpy(), pooling), atol=1e-4)
        np.testing.assert_allclose(found[f"bottleneck:{pooling}"], pool(bottlenecks.numpy(), pooling), atol=1e-4)


@pytest.mark.parametrize("how", ["clip", "running"])
@pytest.mark.parametrize("seconds", [0.333, 2.5 * PATCHES_AT_ONCE * 2 * 40 / 4000])
def test_where_a_mean_is_removed_log_mel_is_pooled_with_and_without_it(
    how: MeanRemoval, seconds: float, tmp_path: Path
) -> None:
    plain = tiny_tokenizer(0)
    config = replace(plain.config, audio=replace(AUDIO, remove_mean=how))
    Tokenizer(config, plain.mean, plain.std, plain.autoencoder, plain.centroids).save_pretrained(tmp_path / "tokenizer")
    soundfile.write(tmp_path / "a.wav", sweep(seconds, AUDIO.sample_rate), AUDIO.sample_rate)
    samples = read(tmp_path / "a.wav", AUDIO.sample_rate).samples
    found = audio_features(Encoder(folder=tmp_path / "tokenizer", root=tmp_path), whole_clip(tmp_path / "a.wav"))
    padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % config.samples_per_code)))[None]
    with torch.inference_mode():
        recorded, removed = (LogMel(each)(padded)[0] for each in (AUDIO, config.audio))
        heard = plain.normalise(removed)
        bottlenecks = plain.bottlenecks(heard[None])[0].flatten(1)
    above_floor = recorded.numpy() - math.log(AUDIO.floor)
    wanted = {
        **{f"log_mel/as_heard:{pooling}": pool(heard.numpy(), pooling) for pooling in POOLINGS},
        **{f"log_mel/as_recorded:{pooling}": pool(above_floor, pooling) for pooling in POOLINGS},
        **{f"bottleneck:{pooling}": pool(bottlenecks.numpy(), pooling) for pooling in POOLINGS},
    }
    if how == "clip":
        constant = wanted.pop("log_mel/as_heard:mean")
        np.testing.assert_allclose(constant, -(plain.mean / plain.std).numpy(), atol=1e-4)
    assert set(found) == set(wanted)
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, atol=1e-4)
