"""Pooled hidden states of clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from lm.model import LanguageModel
from lm.options import POOLINGS, Pooling, States, VectorConfig
from lm.pooled_states import layer_features, states_over_time
from lm.probing.vectors import ALL_POOLINGS, pool
from tests.lm import reference
from tests.lm.tiny import TINY, random_codes, random_rates, rates_format
from tokenizer.codes import SoftCodes, spacings_of
from wordless.base.array_types import FloatArray
from wordless.base.errors import InputError

EVERY = VectorConfig(poolings=ALL_POOLINGS)


@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_batched_embeddings_are_the_pools_of_each_clips_states(model: LanguageModel, batch_tokens: int) -> None:
    streams = model.format.streams
    clips = [random_codes(steps, streams=streams, seed=steps) for steps in (5, 60, 1, 24, 9)]
    found = layer_features(model, clips, vectors=EVERY, batch_tokens=batch_tokens)
    for index, codes in enumerate(clips):
        for layer, states in enumerate(model.hidden_states(codes).numpy()):  # (time * streams, model_dim)
            for pooling in ALL_POOLINGS if layer else ():
                expected = _pooled(states, streams, pooling)
                np.testing.assert_allclose(found[f"layer_{layer}:{pooling}"][index], expected, atol=1e-5)


def _pooled(states: FloatArray, streams: int, pooling: Pooling) -> FloatArray:
    """Means are over time steps of all streams together, the largest magnitude is over all positions."""
    means = pool(states.reshape(-1, streams, states.shape[1]).mean(1), pooling)
    if "max" in pooling:
        means[-states.shape[1] :] = np.abs(states).max(0)
    return means


def test_recordings_without_codes_and_soft_codes_of_an_upsampler_are_refused(model: LanguageModel) -> None:
    empty, one = (random_codes(each, streams=model.format.streams) for each in (0, 5))
    for clips in ([empty], [empty, one]):
        with pytest.raises(InputError, match="0 time steps"):
            layer_features(model, clips)
    upsampler = LanguageModel.create(TINY, rates_format(2, 1), seed=0)
    with pytest.raises(InputError, match="assignments=hard"):
        layer_features(upsampler, [replace(_soft(5, 1), codes=random_rates(rates_format(2, 1), 3))])


def test_layers_offer_the_states_that_are_asked_for(model: LanguageModel) -> None:
    clips = [random_codes(6, streams=model.format.streams)]
    both = layer_features(model, clips, of=("residual", "inner"))
    names = [f"layer_{n}" for n in (1, 2)] + ["all_layers"] + [f"inner_{n}" for n in (1, 2)] + ["all_inner"]
    assert {*both} == {f"{name}:{pooling}" for name in names for pooling in POOLINGS}
    inner = layer_features(model, clips, of=("inner",))
    assert {*inner} == {key for key in both if "inner" in key}
    assert all(np.array_equal(inner[key], both[key]) for key in inner)
    assert both["all_inner:thirds"].shape == (1, 3 * TINY.layers * TINY.ffn_dim)


@pytest.mark.parametrize("steps", [0, 1, 8, 60])
def test_states_over_time_are_those_of_the_wanted_layers(model: LanguageModel, steps: int) -> None:
    streams = model.format.streams
    codes = random_codes(steps, streams=streams, seed=1)
    found = states_over_time(model, codes, (2, 0)).numpy()
    assert found.shape == (steps, 2 * TINY.model_dim)
    if steps:
        layers = model.hidden_states(codes).unflatten(1, (-1, streams)).mean(2).numpy()  # (layers, time, model_dim)
        np.testing.assert_allclose(found, np.concatenate([layers[2], layers[0]], axis=1), atol=1e-6)


def test_states_read_the_past_alone(model: LanguageModel) -> None:
    codes, of, known = random_codes(8, streams=model.format.streams, seed=1), ("embeddings", "residual", "inner"), 5
    other = replace(codes, values=np.concatenate([codes.values[:known], (codes.values[known:] + 1) % 7]))
    ((_, one),), ((_, changed),) = (model.states([each], of=of) for each in (codes, other))
    first = 1 + known * model.positions_per_step  # after begin of sequence
    for layer, (states, _) in one.items():
        difference = (states - changed[layer][0]).abs().amax((0, 2))
        assert difference[:first].max() < 1e-5 < difference[first:].min(), layer


class _OneHot(SoftCodes):
    """Sound that is at no distance from its codes."""

    def shares(self, start: int, stop: int) -> torch.Tensor:
        return one_hot(torch.from_numpy(self.codes.values[start:stop].astype(np.int64)), 7).float()


def _soft(steps: int, streams: int, kind: type[SoftCodes] = SoftCodes) -> SoftCodes:
    rng = torch.Generator().manual_seed(steps)
    codes = random_codes(steps, streams=streams, seed=steps)
    bottlenecks, codebooks = torch.randn(steps, streams, 4, generator=rng), torch.randn(1, 7, 4, generator=rng)
    return kind(codes=codes, bottlenecks=bottlenecks, codebooks=codebooks, spacings=spacings_of(codebooks))


def test_soft_codes_of_one_share_each_are_read_as_hard_codes(model: LanguageModel) -> None:
    soft = [_soft(steps, model.format.streams, _OneHot) for steps in (5, 60, 1, 24)]  # also of several windows
    both: tuple[States, ...] = ("residual", "inner")
    hard = layer_features(model, [each.codes for each in soft], of=both, vectors=EVERY)
    found = layer_features(model, soft, of=both, vectors=EVERY, batch_tokens=70)
    for key, vectors in hard.items():
        np.testing.assert_allclose(found[key], vectors, atol=1e-5)


def test_soft_codes_are_read_as_means_of_embeddings(model: LanguageModel) -> None:
    """The oracle sums the embeddings code by code, and applies the formulas of the layers."""
    gpt, streams, steps = model.gpt, model.format.streams, 8
    soft = _soft(steps, streams)
    shares, table = soft.shares(0, steps), gpt.transformer.decoder_frontend.embed.weight  # type: ignore[union-attr]
    rows = [table[gpt.vocabulary.bos]]
    for step in range(steps):
        each = [sum(shares[step, s, k] * table[7 * s + k] for k in range(7)) for s in range(streams)]
        rows += [sum(each)] if gpt.by_step else each
    inner = torch.stack(reference.inner_activations(gpt, torch.stack(rows)))[:, 1:].numpy()
    found = layer_features(model, [soft], of=("inner",), vectors=VectorConfig(poolings=("thirds_max",)))
    for layer in range(TINY.layers):
        expected = _pooled(inner[layer], 1 if gpt.by_step else streams, "thirds_max")
        np.testing.assert_allclose(found[f"inner_{layer + 1}:thirds_max"][0], expected, atol=1e-4)
