"""Pooled hidden states of clips."""

import numpy as np
import pytest

from foundation.errors import InputError
from lm.embeddings import embed, embed_attentively, layer_features, states_over_time
from lm.model import LanguageModel
from lm.pooling import ALL_POOLINGS, POOLINGS, FloatArray, Pooling, pool
from tests.lm.tiny import TINY, random_codes


@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_batched_embeddings_are_the_pools_of_each_clips_states(model: LanguageModel, batch_tokens: int) -> None:
    streams = model.format.streams
    clips = [random_codes(steps, streams=streams, seed=steps) for steps in (5, 60, 1, 24, 9)]
    embedded = embed(model, clips, poolings=ALL_POOLINGS, batch_tokens=batch_tokens)
    for index, codes in enumerate(clips):
        states = model.hidden_states(codes).numpy()  # (layers, time * streams, model_dim)
        for pooling in ALL_POOLINGS:
            expected = [_pooled(layer, streams, pooling) for layer in states]
            np.testing.assert_allclose(embedded[pooling][:, index], expected, atol=1e-5)


def _pooled(states: FloatArray, streams: int, pooling: Pooling) -> FloatArray:
    """Means are over time steps of all streams together, the largest magnitude is over all positions."""
    means = pool(states.reshape(-1, streams, states.shape[1]).mean(1), pooling)
    if "max" in pooling:
        means[-states.shape[1] :] = np.abs(states).max(0)
    return means


def test_batched_inner_activations_are_the_pools_of_each_clips_own(model: LanguageModel) -> None:
    streams = model.format.streams
    clips = [random_codes(steps, streams=streams, seed=steps) for steps in (5, 1, 8)]  # each within one window
    embedded = embed(model, clips, poolings=ALL_POOLINGS, inner=True)
    for index, codes in enumerate(clips):
        inner = model.gpt.inner_activations(model.tokens(codes.values)[None])[:, 0, 1:]  # (layers, codes, ffn_dim)
        for pooling in ALL_POOLINGS:
            expected = [_pooled(layer, streams, pooling) for layer in inner.numpy()]
            np.testing.assert_allclose(embedded[pooling][:, index], expected, atol=1e-5)


def test_one_pooling_alone_is_that_of_all_together(model: LanguageModel) -> None:
    clips = [random_codes(steps, streams=model.format.streams, seed=steps) for steps in (5, 9)]
    together = embed(model, clips, poolings=ALL_POOLINGS)
    for pooling in ALL_POOLINGS:
        np.testing.assert_allclose(embed(model, clips, poolings=[pooling])[pooling], together[pooling], atol=1e-6)


def test_layers_offer_the_states_that_are_asked_for(model: LanguageModel) -> None:
    clips = [random_codes(6, streams=model.format.streams)]
    both = layer_features(model, clips, of=("residual", "inner"))
    names = [f"layer_{n}" for n in (1, 2)] + ["all_layers"] + [f"inner_{n}" for n in (1, 2)] + ["all_inner"]
    assert {*both} == {f"{name}:{pooling}" for name in names for pooling in POOLINGS}
    inner = layer_features(model, clips, of=("inner",))
    assert {*inner} == {key for key in both if "inner" in key}
    assert all(np.array_equal(inner[key], both[key]) for key in inner)
    assert both["all_inner:thirds"].shape == (1, 3 * TINY.layers * TINY.ffn_dim)


def test_shapes_are_layers_clips_features(model: LanguageModel) -> None:
    embedded = embed(model, [random_codes(9, streams=model.format.streams)], poolings=("thirds",))
    assert list(embedded) == ["thirds"]
    assert embedded["thirds"].shape == (1 + TINY.layers, 1, 3 * TINY.model_dim)


@pytest.mark.parametrize("steps", [0, 1, 8, 60])
def test_states_over_time_are_those_of_the_wanted_layers(model: LanguageModel, steps: int) -> None:
    streams = model.format.streams
    codes = random_codes(steps, streams=streams, seed=1)
    found = states_over_time(model, codes, (2, 0)).numpy()
    assert found.shape == (steps, 2 * TINY.model_dim)
    if steps:
        layers = model.hidden_states(codes).unflatten(1, (-1, streams)).mean(2).numpy()  # (layers, time, model_dim)
        np.testing.assert_allclose(found, np.concatenate([layers[2], layers[0]], axis=1), atol=1e-6)


def test_codes_of_another_codebook_are_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="codebook c2"):
        embed(model, [random_codes(4, streams=model.format.streams, codebook="c2")])


def test_attentive_means_weigh_codes_by_the_models_surprise(model: LanguageModel) -> None:
    streams = model.format.streams
    clips = [random_codes(steps, streams=streams, seed=steps) for steps in (5, 60, 1)]
    surprises = [-model.log_probabilities(codes) for codes in clips]
    embedded = embed_attentively(model, clips, surprises)
    for index, (codes, surprise) in enumerate(zip(clips, surprises, strict=True)):
        states = model.hidden_states(codes).numpy()  # (layers, time * streams, model_dim)
        weights = surprise.reshape(-1) / surprise.sum()
        np.testing.assert_allclose(embedded[:, index], np.einsum("t,ltd->ld", weights, states), atol=1e-5)
