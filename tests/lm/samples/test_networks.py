"""What holds for WaveNet and for both transformers."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lm.samples.networks import ContextNetwork, create_sample_model
from lm.samples.options import ContextConfig
from tests.lm.samples.reference import linear_multiply_adds
from tests.lm.samples.tiny import CONFIGS, CONTEXT, CONTEXTUAL, TRANSFORMER, WAVENET, lively, random_levels
from vocoder.wavenet.mu_law import companded_scale
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


@NAMES
def test_its_sizes_are_those_that_it_states(name: str) -> None:
    config = CONFIGS[name]
    model = create_sample_model(config, seed=0)
    assert sum(weights.numel() for weights in model.parameters()) == config.parameters


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


def test_both_transformers_begin_with_the_same_weights() -> None:
    plain, contextual = (create_sample_model(config, seed=3) for config in (TRANSFORMER, CONTEXTUAL))
    same = contextual.state_dict()
    assert all(torch.equal(weights, same[name]) for name, weights in plain.state_dict().items())


def test_refuses_heads_that_do_not_divide_the_states() -> None:
    with pytest.raises(InputError, match=r"model_dim\b.*\b6\b.*\b4\b.*heads\b"):
        replace(TRANSFORMER, model_dim=6)


def test_a_model_refuses_a_context_that_leaves_no_room() -> None:
    with pytest.raises(InputError, match=r"^context_ms\b"):
        create_sample_model(replace(TRANSFORMER, context_ms=3.0), seed=0)  # a sample for each layer
    with pytest.raises(InputError, match=r"context_ms\b.*\b2000\b.*\b16384\b"):
        create_sample_model(replace(TRANSFORMER, sample_rate=16_000, context_ms=2000.0), seed=0)


def test_refuses_other_sizes() -> None:
    with pytest.raises(InputError, match=r"^layers\b.*\b5\b.*cycles\b.*\b2\b"):
        replace(WAVENET, layers=5)
    with pytest.raises(InputError, match=r"^strides\b"):
        ContextConfig(strides=())
    with pytest.raises(InputError, match=r"^layers\b.*\b15\b.*samples"):
        ContextConfig(layers=15)
