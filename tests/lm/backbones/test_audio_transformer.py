"""The Audio Transformer against PyTorch's own encoder, its rates against loops and PyWavelets, and as a backbone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lm.backbones.audio_transformer import (
    VARIANTS,
    AudioTransformer,
    AudioTransformerBackbone,
    AudioTransformerConfig,
    Variant,
    decompose,
    pool_pairs,
    sinusoids,
)
from tests.lm.backbones.sounds import AUDIO_TRANSFORMER, RATE
from wordless.base.messages import InputError


def states_of(lengths: list[int], dim: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random states, also beyond the ends of the clips."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(lengths), max(lengths), dim, generator=generator), torch.tensor(lengths)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(0, 100))
def test_pooling_halves_the_rate(lengths: list[int], seed: int) -> None:
    states, ends = states_of(lengths, 3, seed=seed)
    pooled, halves = pool_pairs(states, ends)
    assert halves.tolist() == [-(-length // 2) for length in lengths]
    assert pooled.shape[1] == -(-max(lengths) // 2)
    for row, length in enumerate(lengths):
        wanted = torch.stack([pair.mean(0) for pair in states[row, :length].split(2)])
        torch.testing.assert_close(pooled[row, : len(wanted)], wanted)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_decomposition_is_a_haar_transform_without_its_details(levels: int) -> None:
    """PyWavelets: transform, set the details of the finer levels to zero, transform back."""
    states, ends = states_of([2**levels], 2 * levels)
    found = decompose(states, ends, levels=levels)[0].numpy()
    np.testing.assert_array_equal(found[:, :levels], states[0, :, :levels])
    for level in range(1, levels + 1):
        parts = pywt.wavedec(states[0, :, levels + level - 1].numpy(), "haar", level=level)
        wanted = pywt.waverec([parts[0], *(np.zeros_like(part) for part in parts[1:])], "haar")
        np.testing.assert_allclose(found[:, levels + level - 1], wanted, atol=1e-5)


PATCH = 100  # samples


def backbone_of(variant: Variant, **changes: Any) -> AudioTransformerBackbone:
    config = replace(AUDIO_TRANSFORMER, variant=variant, **changes)
    return AudioTransformerBackbone(audio_transformer=config, sample_rate=RATE)


def encoder_of(variant: Variant) -> AudioTransformer:
    return backbone_of(variant).create(seed=0).eval()


def noise(samples: int) -> tuple[Tensor, Tensor]:
    return torch.randn(1, samples, generator=torch.Generator().manual_seed(0)), torch.tensor([samples])


@torch.no_grad()
def test_plain_layers_are_pytorchs_own_encoder() -> None:
    encoder, (samples, length) = encoder_of("plain"), noise(850)
    whole = nn.functional.pad((samples - samples.mean()) / samples.std(correction=0), (0, 50)).reshape(1, 9, PATCH)
    wide = torch.relu(whole @ encoder.front_end[0].weight.T + encoder.front_end[0].bias)
    narrow = encoder.front_end[2](wide)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    stack = nn.TransformerEncoder(layer, 3, norm=encoder.norm, enable_nested_tensor=False).eval()
    stack.layers = encoder.layers
    wanted = stack(nn.functional.layer_norm(narrow, (16,)) + sinusoids(9, 16))
    found, steps = encoder(samples, length)
    assert steps.tolist() == [9]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert encoder(torch.zeros(1, 800), torch.tensor([800]))[0].isfinite().all()


@torch.no_grad()
def test_the_variants_have_the_same_parameters_and_their_own_rates() -> None:
    networks = {variant: encoder_of(variant) for variant in VARIANTS}
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in networks.values()]
    assert shapes[1:] == shapes[:1] * 2
    rates = {"plain": (PATCH,) * 3, "pooling": (PATCH, 2 * PATCH, 4 * PATCH), "wavelet": (PATCH,) * 3}
    assert {variant: network.hops for variant, network in networks.items()} == rates
    assert backbone_of("pooling", pool_every=2).audio_transformer.reductions == (1, 1, 2)
    assert {variant: RATE / backbone_of(variant).reading.states_per_second for variant in VARIANTS} == {
        variant: hops[-1] for variant, hops in rates.items()
    }
    first, _ = networks["pooling"].states(*noise(800))["layer_1"]  # averaged to the rate of the last layer
    averaged = networks["pooling"].layer_states(*noise(800))[0, 0]
    torch.testing.assert_close(averaged, first[0].reshape(2, 4, -1).mean(1))


@torch.no_grad()
def test_between_layers_some_dimensions_of_a_wavelet_have_one_value_for_a_clip() -> None:
    encoder, heard = encoder_of("wavelet"), list[Tensor]()
    encoder.layers[1].register_forward_pre_hook(lambda layer, given: heard.append(given[0][0]))
    encoder(*noise(800))
    (states,) = heard
    spread = states.std(0)
    assert (spread[:8] > 1e-3).all()
    assert (spread[-2:] < 1e-6).all()  # the last of three parts of eight dimensions
    torch.testing.assert_close(states[0::2, 8:11], states[1::2, 8:11])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"width": 60}, r"width\b.*\b60\b.*\b16\b.*heads"),
        ({"width": 16, "wavelet_levels": 9}, r"wavelet_levels\b.*\b9\b.*\b8\b"),
        ({"variant": "pooling", "patches": 402}, r"patches\b.*\b402\b.*\b4\b"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        AudioTransformerConfig(**values)  # type: ignore[arg-type]  # what a user may give
