"""Residual levels: what they mean, what they gain, and that folders of before there were any stay what they are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import decode_whole
from tests.tokenizer.conftest import RATE, sound
from tokenizer.config import TokenizerConfig
from tokenizer.health import measure_fidelity
from tokenizer.options import AutoencoderConfig, PatchConfig
from tokenizer.sources import Autoencoder
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.options import SpectrogramConfig
from wordless.base.errors import InputError

LONG = sound(PATCHES_PER_BLOCK * 2.5 * 160 / RATE)  # two blocks and a half
LAYERED = ["layered", "banded_layered"]


def counted(*shape: int) -> Tensor:
    return (torch.arange(int(np.prod(shape))) % 7 - 3).reshape(shape) / 8


# One level


def test_fingerprints_are_those_of_codes_that_were_written_before() -> None:
    """Codes name their codebook, so a fingerprint that changes makes all codes those of another codebook."""
    config = TokenizerConfig(
        audio=SpectrogramConfig(sample_rate=4000, window_length=100, hop_length=40, n_mels=8, floor=1e-4),
        patch=PatchConfig(frames=2),
        autoencoder=AutoencoderConfig(hidden=4, bottleneck=2),
        codebook_size=4,
    )
    autoencoder = Autoencoder(config.autoencoder, 16)
    autoencoder.load_state_dict({name: counted(*value.shape) for name, value in autoencoder.state_dict().items()})
    tokenizer = Tokenizer(config, counted(8), torch.ones(8), autoencoder, counted(4, 2))
    assert (tokenizer.format.tokenizer, tokenizer.format.codebook) == ("83428d0073a701d6", "e9a6c24a608b88cd")
    assert tokenizer.config.levels == tokenizer.format.streams == 1


def test_a_single_level_is_the_codebook_as_it_was(tokenizer: Tokenizer) -> None:
    parts = (tokenizer.config, tokenizer.mean, tokenizer.std, tokenizer.autoencoder)
    assert Tokenizer(*parts, tokenizer.codebooks).format == Tokenizer(*parts, tokenizer.centroids).format
    assert tokenizer.centroids.shape == (32, 8)


# Several


@pytest.mark.parametrize("name", LAYERED)
def test_spectrograms_are_those_of_the_definition(name: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    values = tokenizer.encode(LONG, RATE).values
    meant = tokenizer.spectrogram(torch.from_numpy(values)[None])[0].numpy()
    assert np.allclose(meant, decode_whole(tokenizer, values), atol=1e-5)
    assert tokenizer.spectrogram(torch.from_numpy(values[:0])[None]).shape == (1, 0, 24)


def test_one_level_by_way_of_its_sum_is_the_table(banded: Tokenizer) -> None:
    values = torch.from_numpy(banded.encode(LONG, RATE).values)[None]
    assert torch.allclose(banded.decode_bottlenecks(banded.quantised(values)), banded.spectrogram(values), atol=1e-5)


def test_streams_are_band_after_band_and_coarse_to_fine(banded_layered: Tokenizer) -> None:
    assert banded_layered.format.streams == 6
    plain = torch.zeros(1, 1, 6, dtype=torch.int64)
    for stream in range(6):
        changed = plain.clone()
        changed[..., stream] = 5
        difference = banded_layered.spectrogram(changed) - banded_layered.spectrogram(plain)
        assert [bool(band.any()) for band in difference[0].split(8, dim=1)] == [
            band == stream // 2 for band in range(3)
        ]
    coarse, fine = banded_layered.codebooks.square().sum(-1).mean(-1)
    assert coarse > fine


@pytest.mark.parametrize("name", ["tokenizer", *LAYERED])
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, len(LONG)), max_size=8))
def test_a_stream_gives_the_codes_of_the_whole(name: str, request: pytest.FixtureRequest, cuts: list[int]) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    streamed = tokenizer.encode_blocks(np.split(LONG, sorted(cuts)), RATE)
    assert np.array_equal(streamed.values, tokenizer.encode(LONG, RATE).values)
    assert streamed.num_samples == len(LONG)


@pytest.mark.parametrize("name", ["tokenizer", *LAYERED])
def test_saved_and_loaded(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    tokenizer.save_pretrained(tmp_path)
    loaded = Tokenizer.from_pretrained(tmp_path, device="cpu")
    assert loaded.config == tokenizer.config
    assert loaded.format == tokenizer.format
    assert np.array_equal(loaded.encode(LONG, RATE).values, tokenizer.encode(LONG, RATE).values)
    card = (tmp_path / "README.md").read_text()
    assert tokenizer.format.codebook in card
    assert ("residual level" in card) == (name != "tokenizer")


@pytest.mark.parametrize("levels", [None, 1, 3, 0, "two", [2]])
def test_other_levels_than_those_of_the_weights_are_refused(layered: Tokenizer, tmp_path: Path, levels: object) -> None:
    layered.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"levels": levels}))
    with pytest.raises(InputError, match=r"together|damaged"):
        Tokenizer.from_pretrained(tmp_path)


def test_front_end_and_autoencoder_are_the_same_with_any_levels(layered: Tokenizer) -> None:
    """So that one vocoder serves them all."""
    config = TokenizerConfig(
        audio=layered.config.audio, patch=layered.config.patch, autoencoder=layered.config.autoencoder, codebook_size=16
    )
    coarse = Tokenizer(config, layered.mean, layered.std, layered.autoencoder, layered.codebooks[0])
    assert coarse.format.tokenizer == layered.format.tokenizer
    assert coarse.format.codebook != layered.format.codebook
    assert layered.format.bits_per_second == 2 * coarse.format.bits_per_second
    assert np.array_equal(coarse.encode(LONG, RATE).values[:, 0], layered.encode(LONG, RATE).values[:, 0])


# What they gain


def test_levels_keep_more_of_the_sound(layered: Tokenizer) -> None:
    config = TokenizerConfig(
        audio=layered.config.audio, patch=layered.config.patch, autoencoder=layered.config.autoencoder, codebook_size=16
    )
    coarse = Tokenizer(config, layered.mean, layered.std, layered.autoencoder, layered.codebooks[0])
    one, two = (measure_fidelity(each, [sound(2.0, seed=3)]) for each in (coarse, layered))
    assert one["reconstruction_mse"] == two["reconstruction_mse"] < two["quantised_mse"] < one["quantised_mse"]
