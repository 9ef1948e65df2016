"""The Audio Transformer against PyTorch's own encoder, its rates, and its saved form."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lm.baselines.audio_transformer import (
    VARIANTS,
    AudioTransformer,
    AudioTransformerConfig,
    SavedAudioTransformer,
    Variant,
    create_audio_transformer,
    create_classifier,
    load_classifier,
    save_classifier,
    sinusoids,
)
from lm.baselines.supervised import HeadConfig
from lm.pooling import Means
from wordless.base.errors import InputError

TINY = AudioTransformerConfig(
    front_end=24, width=16, layers=3, heads=2, ffn_dim=32, pool_every=1, wavelet_levels=3, patches=8
)
RATE = 4000
PATCH = 100  # samples
LENGTHS = torch.tensor([830, 40, 400, 701])


def noise(lengths: Tensor = LENGTHS, seed: int = 0) -> Tensor:
    """Noise, also beyond the ends of the clips."""
    return torch.randn(len(lengths), int(lengths.max()), generator=torch.Generator().manual_seed(seed))


def encoder_of(variant: Variant, seed: int = 0) -> AudioTransformer:
    return create_audio_transformer(replace(TINY, variant=variant), RATE, seed=seed).eval()


@torch.no_grad()
def test_plain_layers_are_pytorchs_own_encoder() -> None:
    encoder, samples = encoder_of("plain"), noise(torch.tensor([850]))
    whole = nn.functional.pad((samples - samples.mean()) / samples.std(correction=0), (0, 50)).reshape(1, 9, PATCH)
    wide = torch.relu(whole @ encoder.front_end[0].weight.T + encoder.front_end[0].bias)
    narrow = encoder.front_end[2](wide)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
    stack = nn.TransformerEncoder(layer, 3, norm=encoder.norm, enable_nested_tensor=False).eval()
    stack.layers = encoder.layers
    wanted = stack(nn.functional.layer_norm(narrow, (16,)) + sinusoids(9, 16))
    found, steps = encoder(samples, torch.tensor([850]))
    assert steps.tolist() == [9]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_and_company_change_nothing(variant: Variant) -> None:
    encoder, samples = encoder_of(variant), noise()
    together = encoder.blocks(samples, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = encoder.blocks(samples[row : row + 1, :length], LENGTHS[row : row + 1])
        for (states, ends), (wanted, (steps,)), hop in zip(together, alone, encoder.hops, strict=True):
            assert ends[row] == steps == -(-length // hop)
            torch.testing.assert_close(states[row, :steps], wanted[0], rtol=1e-4, atol=1e-5)
            assert not states[row, steps:].any()


def test_the_variants_have_the_same_parameters_and_other_rates() -> None:
    weights = {variant: encoder_of(variant).state_dict() for variant in VARIANTS}
    assert weights["plain"].keys() == weights["pooling"].keys() == weights["wavelet"].keys()
    assert {sum(value.numel() for value in each.values()) for each in weights.values()} == {TINY.parameters(RATE)}
    assert encoder_of("plain").hops == encoder_of("wavelet").hops == (PATCH,) * 3
    assert encoder_of("pooling").hops == (PATCH, 2 * PATCH, 4 * PATCH)
    assert replace(TINY, variant="pooling", pool_every=2).reductions == (1, 1, 2)
    assert AudioTransformerConfig().parameters(16_000) == 1_252_544


@torch.no_grad()
def test_between_layers_some_dimensions_of_a_wavelet_have_one_value_for_a_clip() -> None:
    encoder, length = encoder_of("wavelet"), torch.tensor([800])
    heard: list[Tensor] = []
    encoder.layers[1].register_forward_pre_hook(lambda layer, given: heard.append(given[0][0]))
    encoder(noise(length), length)
    (states,) = heard
    spread = states.std(0)
    assert (spread[:8] > 1e-3).all()
    assert (spread[-2:] < 1e-6).all()  # the last of three parts of eight dimensions
    torch.testing.assert_close(states[0::2, 8:11], states[1::2, 8:11])


@torch.no_grad()
def test_it_hears_the_order_of_patches_and_neither_level_nor_offset() -> None:
    encoder, samples, length = encoder_of("wavelet"), noise(torch.tensor([800])), torch.tensor([800])
    states = encoder(samples, length)[0]
    torch.testing.assert_close(encoder(0.01 * samples + 0.1, length)[0], states, rtol=1e-3, atol=1e-3)
    backwards = samples.reshape(1, 8, PATCH).flip(1).reshape(1, -1)
    assert (encoder(backwards, length)[0].mean(1) - states.mean(1)).abs().max() > 1e-3
    assert encoder(torch.zeros(1, 800), length)[0].isfinite().all()


def test_weights_follow_from_the_seed() -> None:
    first, again, other = (encoder_of("plain", seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"width": 60}, r"model\.width\b.*\b60\b.*\b16\b.*model\.heads"),
        ({"layers": 0}, r"model\.layers\b.*\b0\b.*\b1\b"),
        ({"patch_ms": 0.0}, r"model\.patch_ms\b.*\b0\.0\b"),
        ({"wavelet_levels": 17}, r"model\.wavelet_levels\b.*\b17\b.*\b16\b"),
        ({"width": 16, "wavelet_levels": 9}, r"model\.wavelet_levels\b.*\b9\b.*\b8\b"),
        ({"variant": "pooling", "patches": 402}, r"model\.patches\b.*\b402\b.*\b4\b"),
        ({"dropout": 1.0}, r"model\.dropout\b.*\b1\.0\b"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        AudioTransformerConfig(**values)  # type: ignore[arg-type]  # what a user may give


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["mean", "thirds"])
def test_a_saved_classifier_scores_as_before(pooling: Means, tmp_path: Path) -> None:
    saved = SavedAudioTransformer(
        audio_transformer=TINY,
        sample_rate=RATE,
        head=HeadConfig(pooling=pooling),
        classes=("a", "b", "c"),
        multi_label=True,
    )
    model = create_classifier(saved, seed=0).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == saved.parameters
    save_classifier(model, saved, tmp_path)
    assert torch.equal(load_classifier(tmp_path)(noise(), LENGTHS), model(noise(), LENGTHS))
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"1234")
    with pytest.raises(InputError, match=r"damaged Audio Transformer"):
        load_classifier(tmp_path)
