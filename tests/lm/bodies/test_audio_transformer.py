"""The Audio Transformer against PyTorch's own encoder, its rates against loops and PyWavelets, and as a body."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pywt
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lm.bodies.audio_transformer import (
    VARIANTS,
    AudioTransformer,
    AudioTransformerBody,
    decompose,
    pool_pairs,
    sinusoids,
)
from lm.bodies.body import freeze, read_states
from lm.bodies.options import AudioTransformerConfig, Variant
from lm.finetuned import FineTunedModel, create_network
from lm.finetuning import AudioTransformerOptions, ClassificationOptions
from tests.lm.bodies.sounds import require_frozen_before
from tests.lm.reference import decomposed_by_loops, window_means_by_loops
from tests.pipelines.tiny import sweep
from wordless.base.errors import InputError


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
        wanted = window_means_by_loops(states[row, :length].tolist(), 2)
        np.testing.assert_allclose(pooled[row, : len(wanted)], wanted, atol=1e-5)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=3), st.integers(1, 5), st.integers(0, 100))
def test_the_decomposition_is_that_of_a_loop(lengths: list[int], levels: int, seed: int) -> None:
    states, ends = states_of(lengths, 12, seed=seed)
    found = decompose(states, ends, levels=levels)
    for row, length in enumerate(lengths):
        wanted = decomposed_by_loops(states[row, :length].tolist(), levels)
        np.testing.assert_allclose(found[row, :length], wanted, atol=1e-5)
        assert not found[row, length:].any()


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


def test_gradients_reach_every_step_of_a_clip_and_no_other() -> None:
    states, ends = states_of([5, 3], 8)
    states.requires_grad_()
    decompose(states, ends, levels=3).sum().backward()
    assert states.grad is not None
    assert (states.grad[0] != 0).all()
    assert (states.grad[1, :3] != 0).all()
    assert not states.grad[1, 3:].any()


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
    body = AudioTransformerBody(audio_transformer=replace(TINY, variant=variant), sample_rate=RATE)
    return body.create(seed=seed).eval()


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


def test_the_variants_have_the_same_parameters_which_follow_from_the_seed() -> None:
    weights = {variant: encoder_of(variant).state_dict() for variant in VARIANTS}
    assert weights["plain"].keys() == weights["pooling"].keys() == weights["wavelet"].keys()
    assert len({sum(value.numel() for value in each.values()) for each in weights.values()}) == 1
    assert encoder_of("plain").hops == encoder_of("wavelet").hops == (PATCH,) * 3
    assert encoder_of("pooling").hops == (PATCH, 2 * PATCH, 4 * PATCH)
    assert replace(TINY, variant="pooling", pool_every=2).reductions == (1, 1, 2)
    first, again, other = (encoder_of("plain", seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


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


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"width": 60}, r"width\b.*\b60\b.*\b16\b.*heads"),
        ({"wavelet_levels": 17}, r"wavelet_levels\b.*\b17\b.*\b16\b"),
        ({"width": 16, "wavelet_levels": 9}, r"wavelet_levels\b.*\b9\b.*\b8\b"),
        ({"variant": "pooling", "patches": 402}, r"patches\b.*\b402\b.*\b4\b"),
    ],
)
def test_sizes_that_cannot_be_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        AudioTransformerConfig(**values)  # type: ignore[arg-type]  # what a user may give


BODY_RATE, BODY_PATCH = 8000, 200


def sizes(variant: Variant) -> AudioTransformerConfig:
    """Three layers, of which pooling halves the rate twice."""
    return AudioTransformerConfig(
        variant=variant,
        front_end=24,
        width=16,
        heads=2,
        layers=3,
        ffn_dim=32,
        pool_every=1,
        wavelet_levels=3,
        patches=8,
    )


def body_of(variant: Variant) -> AudioTransformerBody:
    return AudioTransformerBody(audio_transformer=sizes(variant), sample_rate=BODY_RATE)


def read(*seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs of sweeps, as they are stored and read, and their lengths."""
    front_end = body_of("plain").front_end(Path(), device="cpu")
    clips = [torch.from_numpy(front_end([sweep(each, BODY_RATE)]).astype(np.float32)) / 32768 for each in seconds]
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips])


@pytest.mark.parametrize(("variant", "patches"), [("plain", 1), ("pooling", 4), ("wavelet", 1)])
def test_every_variant_has_states_over_time(variant: Variant, patches: int) -> None:
    body = body_of(variant)
    network = body.create(seed=0).eval()
    inputs, lengths = read(0.2, 0.11)  # 8 patches, and 5 with a part of a patch
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        layers = network.layer_states(inputs, lengths)
        alone, _ = network(inputs[1:, :880], lengths[1:])
    assert counts.tolist() == [-(-8 // patches), -(-5 // patches)]
    assert body.reading.states_per_second == 40 / patches
    assert states.shape == (2, counts[0], body.reading.dim)
    assert layers.shape == (3, *states.shape)
    torch.testing.assert_close(layers[-1], states)
    torch.testing.assert_close(states[1, : counts[1]], alone[0], atol=1e-5, rtol=1e-4)


def test_layers_are_averaged_to_the_rate_of_the_last_one() -> None:
    network = body_of("pooling").create(seed=0).eval()
    inputs, lengths = read(0.2)
    layers = network.layer_states(inputs, lengths)
    with torch.no_grad():
        first, _ = network.blocks(inputs, lengths)[0]
    torch.testing.assert_close(layers[0, 0], first[0].reshape(2, 4, -1).mean(1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_long_recordings_are_read_in_windows(variant: Variant) -> None:
    body = body_of(variant)
    network = body.create(seed=0).eval()
    inputs, lengths = read(0.5)
    with torch.no_grad():
        states, counts = read_states(network, body.reading, inputs, lengths)
        first = network(inputs[:, : 8 * BODY_PATCH], torch.tensor([8 * BODY_PATCH]))[0]
        second = network(inputs[:, 4 * BODY_PATCH : 12 * BODY_PATCH], torch.tensor([8 * BODY_PATCH]))[0]
    window = body.reading.window
    assert states.shape[1] == counts[0] > window
    torch.testing.assert_close(states[0, :window], first[0])
    torch.testing.assert_close(states[0, window : window + window // 2], second[0, window // 2 :])


def test_the_front_end_is_frozen_before_layers() -> None:
    network = body_of("wavelet").create(seed=0)
    assert len(network.stack) == 4
    freeze(network, "inputs")
    free = {name.split(".")[0] for name, weight in network.named_parameters() if weight.requires_grad}
    assert free == {"layers", "norm"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_that_feeds_a_frozen_layer_is_frozen(variant: Variant) -> None:
    body = body_of(variant)
    require_frozen_before(2, body, body.create(seed=0), *read(0.2))


def test_the_weights_of_a_run_are_loaded_with_their_sizes(tmp_path: Path) -> None:
    body, task = body_of("pooling"), ClassificationOptions().task(["a", "b"], [])
    model = create_network(body, body.create(seed=5), task, seed=5)
    FineTunedModel(model, body, "classification", task).write(tmp_path)
    for source in (
        AudioTransformerOptions(weights="run").open({"audio_transformer": tmp_path}),
        AudioTransformerOptions(weights=str(tmp_path)).open({}),
    ):
        assert source.body == body
        loaded = source.create(seed=0).state_dict()
        assert all(torch.equal(value, loaded[name]) for name, value in model.body.state_dict().items())
        assert source.fingerprint
        assert not source.untrained.fingerprint


def test_what_cannot_be_a_body_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json\b"):
        AudioTransformerOptions(weights=str(tmp_path)).open({})
    with pytest.raises(InputError, match=r"\bsample_rate\b.*-1\b"):
        AudioTransformerOptions(sample_rate=-1)
