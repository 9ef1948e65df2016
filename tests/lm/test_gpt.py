"""The transformer: what it may see, its cache, and draws of the next code."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lm.gpt import CachedGPT, create_gpt, draw, probabilities
from lm.model import LanguageModel
from lm.options import CodeSampling
from lm.tokens import Vocabulary
from tests import reference
from tests.lm.tiny import TINY, codes_format, random_codes
from wordless.base.errors import InputError


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


def test_weights_follow_from_the_seed_and_leave_the_random_state_alone() -> None:
    vocabulary, drawn = Vocabulary(per_stream=7, streams=1), torch.random.get_rng_state()
    one, same, other = (create_gpt(TINY, vocabulary, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not all(torch.equal(value, other[name]) for name, value in one.items())


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
    expected = [reference.filtered_probabilities(row, temperature, top_k) for row in logits]
    found = probabilities(torch.from_numpy(logits), CodeSampling(temperature=temperature, top_k=top_k))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_codes_are_drawn_as_often_as_they_are_probable() -> None:
    chances = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]], dtype=torch.float64).expand(4000, -1)
    drawn = draw(chances, (torch.arange(4000) + 0.5) / 4000)
    assert drawn.bincount(minlength=5).tolist() == [0, 1000, 0, 3000, 0]


@given(uniform=st.floats(0, 1, exclude_max=True), chances=arrays(np.float64, (1, 6), elements=st.floats(0, 1)))
def test_a_code_of_probability_zero_is_never_drawn(uniform: float, chances: np.ndarray) -> None:
    chances[0, 2] += 0.5
    chances /= chances.sum()
    assert chances[0, draw(torch.from_numpy(chances), torch.tensor([uniform], dtype=torch.float64))[0]] > 0
