"""Patches hold every value of the spectrogram once, in the stated order."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.autoencoder import from_patches, to_patches
from tokenizer.options import PatchConfig
from wordless.base.errors import InputError


@given(steps=st.integers(0, 4), frames=st.integers(1, 4), streams=st.integers(1, 3), height=st.integers(1, 4))
def test_round_trip(steps: int, frames: int, streams: int, height: int) -> None:
    spectrogram = torch.arange(2.0 * steps * frames * streams * height).reshape(2, steps * frames, streams * height)
    patches = to_patches(spectrogram, frames=frames, height=height)
    assert patches.shape == (2, steps, streams, frames * height)
    assert torch.equal(from_patches(patches, frames=frames, height=height), spectrogram)


def test_a_patch_is_frames_of_one_band() -> None:
    spectrogram = torch.arange(12.0).reshape(1, 3, 4)  # frame f, mel m: 4 f + m
    patches = to_patches(spectrogram, frames=2, height=2)
    assert patches.tolist() == [[[[0, 1, 4, 5], [2, 3, 6, 7]]]]  # the third frame fills no patch


def test_bands_must_divide_the_mels() -> None:
    with pytest.raises(InputError, match=r"\bmels\b.*\b3\b.*\b8\b"):
        PatchConfig(mels=3).height(8)
    assert PatchConfig().height(8) == 8
