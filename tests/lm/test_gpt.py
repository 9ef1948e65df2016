"""The transformer: what it may see, its cache, draws of the next code, and pooled hidden states of clips."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lm.gpt import CachedGPT, CodeSampling, create_gpt, draw_codes, probabilities
from lm.model import LanguageModel, layer_features
from lm.probing.vectors import ALL_POOLINGS, POOLINGS, Pooling, VectorConfig, pool
from lm.tokens import Vocabulary
from tests.lm.tiny import TINY, codes_format, random_codes
from tests.reference import filtered_probabilities
from wordless.base.arrays import FloatArray
from wordless.base.causal_transformer import create_causal_transformer, full_rows
from wordless.base.messages import InputError
from wordless.base.options import CausalSizes


def _inputs(model: LanguageModel, *, steps: int = 7) -> torch.Tensor:
    return model.tokens(random_codes(steps, streams=model.format.streams).values)


@torch.no_grad()
def test_reading_from_the_cache_equals_reading_everything(model: LanguageModel) -> None:
    clips = [random_codes(7, streams=model.format.streams, seed=seed).values for seed in range(3)]
    parallel = model.gpt(torch.stack([model.tokens(each) for each in clips]))
    cached, codes = CachedGPT(model.gpt), torch.stack([torch.from_numpy(each).flatten() for each in clips])
    first = 3 * model.format.streams
    stepwise = [cached.logits(codes, position) for position in range(first, codes.shape[1] + 1)]
    torch.testing.assert_close(torch.stack(stepwise, dim=1).float(), parallel[:, first:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_logits_are_made_of_the_last_hidden_state_for_the_stream_whose_turn_it_is(model: LanguageModel) -> None:
    gpt, tokens, streams = model.gpt, _inputs(model)[None], model.format.streams
    states = gpt.states(tokens, of=("embeddings", "residual"))
    assert [*states] == [f"layer_{number}" for number in range(1 + TINY.layers)]
    last = states[f"layer_{TINY.layers}"]
    assert last.shape == (1, 1 + (tokens.shape[1] - 1) // (streams if gpt.by_step else 1), TINY.model_dim)
    logits = gpt.transformer.final_proj(gpt.transformer.decoder.layer_norm(last))  # type: ignore[misc]  # optional in the type
    by_stream = logits[..., : gpt.vocabulary.codes].unflatten(2, (streams, -1))
    positions = range(7 * streams)
    expected = torch.stack([by_stream[:, p // streams if gpt.by_step else p, p % streams] for p in positions], 1)
    torch.testing.assert_close(expected, gpt(tokens[:, :-1]))


@torch.no_grad()
def test_in_parallel_the_codes_of_a_time_step_are_summed_and_do_not_see_each_other() -> None:
    model = LanguageModel.create(replace(TINY, interleaving="parallel"), codes_format(3), seed=0)
    gpt, codes = model.gpt, random_codes(4, streams=3)
    tokens = _inputs(model, steps=4)[None]
    embeddings = gpt.transformer.decoder_frontend.embed.weight  # type: ignore[union-attr]
    by_hand = [sum(embeddings[7 * stream + int(code)] for stream, code in enumerate(step)) for step in codes.values]
    states = gpt.states(tokens, of=("embeddings",))["layer_0"][0]
    assert len(states) == 1 + len(by_hand)
    for state, expected in zip(states, [embeddings[gpt.vocabulary.bos], *by_hand], strict=True):
        torch.testing.assert_close(state, expected)
    other = tokens.clone()
    other[0, 4:6] = torch.tensor([6, 13]) - tokens[0, 4:6] % 7  # other codes in streams 0 and 1 of the second time step
    torch.testing.assert_close(gpt(other)[:, :6], gpt(tokens)[:, :6], rtol=0, atol=1e-6)
    assert not torch.allclose(gpt(other)[:, 6:], gpt(tokens)[:, 6:], atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_the_transformer_is_fairseq2s_llama(tied: bool) -> None:
    from fairseq2.models.llama import LLaMAConfig, create_llama_model

    sizes = CausalSizes(layers=2, heads=2, model_dim=16, ffn_dim=24, dropout=0.1)
    theirs_of = LLaMAConfig(
        **{"model_dim": 16, "max_seq_len": 20, "vocab_size": 11, "pad_idx": 10, "tied_embeddings": tied},
        **{"num_layers": 2, "num_attn_heads": 2, "num_key_value_heads": 2, "ffn_inner_dim": 24, "dropout_p": 0.1},
        **{"ffn_inner_dim_scale": 1.0, "ffn_inner_dim_multiple_of": 1, "shard_embed_dim": False},
        **{"rope_theta": sizes.rope_theta, "init_std": sizes.init_std, "init_std_scale": "none"},
    )
    torch.manual_seed(0)
    ours = create_causal_transformer(sizes, positions=20, tokens=11, pad=10, tied=tied)
    torch.manual_seed(0)
    theirs = create_llama_model(theirs_of)
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    assert all(torch.equal(weights, theirs.state_dict()[name]) for name, weights in ours.state_dict().items())
    layout = full_rows(tokens := torch.randint(10, (2, 20)))
    for training in (True, False):
        torch.manual_seed(0)  # dropout
        found = ours.train(training)(tokens, layout)
        torch.manual_seed(0)
        assert torch.equal(found, theirs.train(training)(tokens, layout))


def test_heads_and_contexts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"\bheads\b"):
        replace(TINY, heads=3)
    with pytest.raises(InputError, match=r"^context\b.*\b33\b"):
        create_gpt(TINY, Vocabulary(per_stream=7, streams=16), seed=0)


@given(
    logits=arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 8)), elements=st.integers(-8, 8)),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.integers(0, 9),
)
def test_filters_agree_with_the_slow_ones(logits: np.ndarray, temperature: float, top_k: int) -> None:
    expected = [filtered_probabilities(row, temperature, top_k) for row in logits]
    found = probabilities(torch.from_numpy(logits), CodeSampling(temperature=temperature, top_k=top_k))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_codes_are_drawn_as_often_as_they_are_probable() -> None:
    chances = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]], dtype=torch.float64).expand(4000, -1)
    drawn = draw_codes(chances, (torch.arange(4000) + 0.5) / 4000)
    assert drawn.bincount(minlength=5).tolist() == [0, 1000, 0, 3000, 0]


@given(uniform=st.floats(0, 1, exclude_max=True), chances=arrays(np.float64, (1, 6), elements=st.floats(0, 1)))
def test_a_code_of_probability_zero_is_never_drawn(uniform: float, chances: np.ndarray) -> None:
    chances[0, 2] += 0.5
    chances /= chances.sum()
    assert chances[0, draw_codes(torch.from_numpy(chances), torch.tensor([uniform], dtype=torch.float64))[0]] > 0


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


def test_recordings_without_codes_are_refused(model: LanguageModel) -> None:
    empty, one = (random_codes(each, streams=model.format.streams) for each in (0, 5))
    for clips in ([empty], [empty, one]):
        with pytest.raises(InputError, match="0 time steps"):
            layer_features(model, clips)


def test_layers_offer_the_states_that_are_asked_for(model: LanguageModel) -> None:
    clips = [random_codes(6, streams=model.format.streams)]
    both = layer_features(model, clips, of=("residual", "inner"))
    names = [f"layer_{n}" for n in (1, 2)] + ["all_layers"] + [f"inner_{n}" for n in (1, 2)] + ["all_inner"]
    assert {*both} == {f"{name}:{pooling}" for name in names for pooling in POOLINGS}
    inner = layer_features(model, clips, of=("inner",))
    assert {*inner} == {key for key in both if "inner" in key}
    assert all(np.array_equal(inner[key], both[key]) for key in inner)
    assert both["all_inner:thirds"].shape == (1, 3 * TINY.layers * TINY.ffn_dim)


def test_states_read_the_past_alone(model: LanguageModel) -> None:
    codes, of, known = random_codes(8, streams=model.format.streams, seed=1), ("embeddings", "residual", "inner"), 5
    other = replace(codes, values=np.concatenate([codes.values[:known], (codes.values[known:] + 1) % 7]))
    ((_, one),), ((_, changed),) = (model.states([each], of=of) for each in (codes, other))
    first = 1 + known * model.positions_per_step  # after begin of sequence
    for layer, (states, _) in one.items():
        difference = (states - changed[layer][0]).abs().amax((0, 2))
        assert difference[:first].max() < 1e-5 < difference[first:].min(), layer
