"""Codebooks of patches that arrive in blocks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tokenizer.autoencoder import Autoencoder
from tokenizer.codebook import fit_residual_codebooks
from tokenizer.config import TokenizerConfig
from tokenizer.fitting import fit_codebooks, write_bottlenecks
from tokenizer.options import AutoencoderConfig, PatchConfig
from wordless.audio.options import SpectrogramConfig

SIZES = AutoencoderConfig(hidden=8, bottleneck=4)
CONFIG = TokenizerConfig(
    audio=SpectrogramConfig(n_mels=6), patch=PatchConfig(frames=2), autoencoder=SIZES, codebook_size=8, levels=2
)


def test_blocks_on_disk_give_the_codebooks_of_all_patches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, patches = Autoencoder(SIZES, 12), torch.randn(900, 12)
    with torch.inference_mode():
        points = model.encoder(patches).numpy()
    before = points.copy()
    wanted, reports = fit_residual_codebooks(points, levels=2, size=8, iterations=5, seed=3)
    assert np.array_equal(points, before)  # only overwritten if that is asked for
    stored = write_bottlenecks(model, torch.split(patches, 400), tmp_path / "points", (900, 4))
    np.testing.assert_allclose(stored, before, atol=1e-6)
    tokenizer, found = fit_codebooks(
        CONFIG, model, stored, overwrite=True, mean=torch.zeros(6), std=torch.ones(6), iterations=5, seed=3
    )
    by_loudness = sorted(map(tuple, tokenizer.codebooks[0].tolist()))
    np.testing.assert_allclose(by_loudness, sorted(map(tuple, wanted[0].tolist())), atol=1e-5)
    np.testing.assert_allclose(tokenizer.codebooks[1].numpy(), wanted[1], atol=1e-5)
    assert [report["points"] for report in found] == [report["points"] for report in reports] == [900, 900]


def test_all_bottlenecks_have_their_place_on_disk_before_they_are_written(tmp_path: Path) -> None:
    """A write through a memory map to a full disk would kill the process."""
    model, path = Autoencoder(SIZES, 12), tmp_path / "points"

    def blocks() -> Iterator[torch.Tensor]:
        assert path.stat().st_blocks * 512 >= 9_000 * 4 * 4
        yield torch.randn(9_000, 12)

    assert write_bottlenecks(model, blocks(), path, (9_000, 4)).shape == (9_000, 4)
