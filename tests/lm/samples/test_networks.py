"""What holds for WaveNet and for both transformers."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import soundfile  # noqa: F401  loads libsndfile, which fairseq2 would otherwise look for in the system
import torch
from fairseq2.models.transformer import AttentionBiasCache, CausalAttentionBias
from fairseq2.models.transformer.sdpa.torch import TorchSDPA
from fairseq2.nn import BatchLayout
from torch import Tensor, nn

from lm.samples import local_attention
from lm.samples.local_attention import LocalAttention
from lm.samples.model import ContextNetwork, create_sample_model
from lm.samples.options import ContextConfig
from tests.lm.samples.tiny import (
    CONFIGS,
    CONTEXT,
    CONTEXTUAL,
    TRANSFORMER,
    WAVENET,
    linear_multiply_adds,
    lively,
    random_levels,
)
from vocoder.wavenet import companded_scale
from wordless.base.errors import InputError

NAMES = pytest.mark.parametrize("name", CONFIGS)


@NAMES
def test_sees_its_history_and_nothing_else(name: str) -> None:
    config, last = CONFIGS[name], 20
    model = lively(config)
    previous = random_levels(1, config.history + last)
    with torch.inference_mode():
        whole = model(previous, last)
        longer = model(torch.cat([random_levels(1, CONTEXT.frame_length), previous], dim=1), last)
        torch.testing.assert_close(longer, whole)  # what lies before is not read
        seen = []
        for place in range(previous.shape[1]):
            changed = previous.clone()
            changed[:, place] = (previous[:, place] + 128) % 256
            moved = (model(changed, last) != whole).any(dim=2)[0]
            assert not moved[: max(place - config.history, 0)].any()  # causal
            seen.append(bool(moved.any()))
    past = config.history - (config.receptive_field - 1)  # of the context alone: see the next test
    assert all(seen[past:])


def test_a_context_vector_depends_on_its_past_and_on_no_sample_of_its_frame() -> None:
    model = create_sample_model(CONTEXTUAL, seed=0).eval()
    assert model.context is not None
    levels = random_levels(1, CONTEXT.past + 2 * CONTEXT.frame_length)
    with torch.inference_mode():
        vectors = model.context_vectors(levels, levels.shape[1])
        for place in range(levels.shape[1]):
            changed = levels.clone()
            changed[:, place] = (levels[:, place] + 128) % 256
            moved = (model.context_vectors(changed, levels.shape[1]) != vectors).any(dim=2)[0]
            own = place // CONTEXT.frame_length * CONTEXT.frame_length
            after = own + CONTEXT.frame_length
            expected = torch.arange(len(moved))
            assert torch.equal(moved, (expected >= after) & (expected < after + CONTEXT.past))


def test_frames_are_those_of_convolutions() -> None:
    network = ContextNetwork(ContextConfig(), model_dim=16).eval()
    levels = random_levels(2, 20 * network.config.frame_length)
    with torch.inference_mode():
        frames = companded_scale(levels).unsqueeze(1)
        for convolution in network.framing:
            frames = torch.relu(nn.Conv1d.forward(convolution, frames))
        for layer, convolution in enumerate(network.dilated):
            frames = frames + torch.relu(convolution(nn.functional.pad(frames, (1 << layer, 0))))
        torch.testing.assert_close(network(levels), network.output(frames.transpose(1, 2)))


def test_a_context_in_bfloat16_is_that_in_full_precision() -> None:
    network = ContextNetwork(ContextConfig(), model_dim=16).eval()  # 24 channels: wrong by half on CPUs with AMX
    levels = random_levels(2, 200 * network.config.frame_length)
    with torch.inference_mode():
        whole = network(levels)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(levels).float()
    assert (rounded - whole).norm() < 0.02 * whole.norm()


def test_multiply_adds_count_each_weight_and_each_key_once() -> None:
    conditions = WAVENET.layers * WAVENET.gate_channels  # constants that are added
    assert WAVENET.multiply_adds == linear_multiply_adds(create_sample_model(WAVENET, seed=0)) - conditions
    model = create_sample_model(TRANSFORMER, seed=0)
    matrices = (
        sum(weights.numel() for weights in model.parameters() if weights.dim() == 2) - model.embedding.weight.numel()
    )
    keys = TRANSFORMER.layers * 2 * TRANSFORMER.window * TRANSFORMER.model_dim
    assert TRANSFORMER.multiply_adds == matrices + keys
    frames = 2 * 1 * 4 / 2 + 2 * 4 * 4 / 4 + (2 * 2 * 4 * 4 + 4 * 8) / 4
    assert CONTEXTUAL.multiply_adds == TRANSFORMER.multiply_adds + frames


@NAMES
def test_every_parameter_learns(name: str) -> None:
    config = CONFIGS[name]
    model = lively(config).train()
    model(random_levels(2, config.history + 9), 9).square().mean().backward()
    idle = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert idle == []  # data parallel training waits for all of them


@NAMES
def test_seed_decides_the_weights_and_all_levels_begin_about_equally_probable(name: str) -> None:
    config, drawn = CONFIGS[name], torch.random.get_rng_state()
    models = [create_sample_model(config, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.random.get_rng_state(), drawn)
    first, again, other = (nn.utils.parameters_to_vector(model.parameters()) for model in models)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with torch.inference_mode():
        assert float(models[0](random_levels(1, config.history + 9), 9).softmax(2).max()) < 2 / 256
    if name == "contextual":  # it begins with the weights of the transformer without a context
        plain, same = create_sample_model(TRANSFORMER, seed=0).state_dict(), models[0].state_dict()
        assert all(torch.equal(weights, same[key]) for key, weights in plain.items())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: replace(TRANSFORMER, model_dim=6), r"model_dim\b.*\b6\b.*\b4\b.*heads\b"),
        (lambda: create_sample_model(replace(TRANSFORMER, context_ms=3.0), seed=0), r"^context_ms\b"),
        (
            lambda: create_sample_model(replace(TRANSFORMER, sample_rate=16_000, context_ms=2000.0), seed=0),
            r"context_ms\b.*\b2000\b.*\b16384\b",
        ),
        (lambda: replace(WAVENET, layers=5), r"^layers\b.*\b5\b.*cycles\b.*\b2\b"),
        (lambda: ContextConfig(strides=()), r"^strides\b"),
        (lambda: ContextConfig(layers=15), r"^layers\b.*\b15\b.*samples"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def sequences(time: int, heads: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    q, k, v = (torch.randn(2, time, heads, 8, generator=generator).requires_grad_() for _ in range(3))
    return q, k, v


def attend(attention: LocalAttention | TorchSDPA, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    attended, weights = attention(q, BatchLayout.of(q), k, BatchLayout.of(k), v, AttentionBiasCache())
    assert weights is None
    return attended


@pytest.mark.parametrize("window", [1, 5, 8])
@pytest.mark.parametrize("time", [2, 7, 8, 9, 40])
def test_values_and_gradients_of_windows_are_those_of_fairseq2(window: int, time: int) -> None:
    q, k, v = sequences(time)
    plain, fused = (attend(LocalAttention(window, fused=fused), q, k, v) for fused in (False, True))
    slow = attend(TorchSDPA(CausalAttentionBias(attn_window_len=window)), q, k, v)
    wanted = torch.autograd.grad(slow.square().sum(), [q, k, v])
    for each in (plain, fused):
        torch.testing.assert_close(each, slow)
        torch.testing.assert_close(torch.autograd.grad(each.square().sum(), [q, k, v]), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_in_parts_have_the_bits_of_all_blocks_at_once(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """With the window and the width of heads of next_sample at 16 kHz."""
    found = []
    for blocks in (100, 4, 1):
        monkeypatch.setattr(local_attention, "CACHED_SCORES", blocks * 2 * 100 * 500)  # 2 matrices a block
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(1, 1023, 2, 32, generator=generator).to(dtype).requires_grad_() for _ in range(3))
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            attended = attend(LocalAttention(400), q, k, v)
        found.append([attended, *torch.autograd.grad(attended.float().square().sum(), [q, k, v])])
    for parts in found[1:]:
        assert all(torch.equal(one, whole) for one, whole in zip(parts, found[0], strict=True))


def test_one_query_attends_to_all_keys_that_it_is_given() -> None:
    q, k, v = sequences(5)
    whole = attend(LocalAttention(5), q, k, v)[:, -1:]
    torch.testing.assert_close(attend(LocalAttention(5), q[:, -1:], k, v), whole)
