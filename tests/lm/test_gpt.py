"""The transformer: what it may see, and its cache."""

import dataclasses

import pytest
import torch

from audio.errors import InputError
from lm.gpt import CachedGPT, GPTConfig, create_gpt
from lm.model import LanguageModel
from lm.vocabulary import Vocabulary
from tests.lm.tiny import TINY, random_codes


def _inputs(model: LanguageModel, *, steps: int = 7, seed: int = 0) -> torch.Tensor:
    return model.tokens(random_codes(steps, streams=model.format.streams, seed=seed).values)


@torch.no_grad()
def test_reading_from_the_cache_equals_reading_everything(model: LanguageModel) -> None:
    tokens = torch.stack([_inputs(model, seed=seed) for seed in range(3)])
    parallel = model.gpt(tokens)
    cached = CachedGPT(model.gpt)
    first = cached.read(tokens[:, :4])
    stepwise = [first, *(cached.read(tokens[:, position : position + 1]) for position in range(4, tokens.shape[1]))]
    torch.testing.assert_close(torch.stack(stepwise, dim=1), parallel[:, 3:], rtol=0, atol=1e-5)


@torch.no_grad()
def test_nothing_after_a_position_changes_it(model: LanguageModel) -> None:
    tokens, others = _inputs(model)[None], _inputs(model, seed=1)[None]
    mixed = torch.cat([tokens[:, :4], others[:, 4:]], dim=1)
    torch.testing.assert_close(model.gpt(mixed)[:, :4], model.gpt(tokens)[:, :4], rtol=0, atol=1e-6)


@torch.no_grad()
def test_logits_are_those_of_the_stream_whose_turn_it_is(model: LanguageModel) -> None:
    tokens = _inputs(model)[None]
    whole, codes = model.gpt.token_logits(tokens), model.gpt(tokens)
    for position in range(tokens.shape[1]):
        size = model.gpt.vocabulary.codebook_size
        first = position % model.gpt.vocabulary.streams * size
        torch.testing.assert_close(codes[0, position], whole[0, position, first : first + size])


@torch.no_grad()
def test_the_last_hidden_state_is_what_the_logits_are_made_of(model: LanguageModel) -> None:
    tokens = _inputs(model)[None]
    states = model.gpt.hidden_states(tokens)
    assert states.shape == (1 + TINY.layers, 1, tokens.shape[1], TINY.model_dim)
    transformer = model.gpt.transformer
    logits = transformer.final_proj(transformer.decoder.layer_norm(states[-1]))  # type: ignore[misc]  # optional in the type
    torch.testing.assert_close(logits, model.gpt.token_logits(tokens))


def test_weights_follow_from_the_seed_and_leave_the_random_state_alone() -> None:
    vocabulary = Vocabulary(codebook_size=7, streams=1)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (create_gpt(TINY, vocabulary, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "value"), [("heads", 3), ("layers", 0), ("dropout", 1.0), ("context", 2), ("init_std", 0.0)]
)
def test_sizes_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"lm.gpt.{name}"):
        GPTConfig(**{**dataclasses.asdict(TINY), name: value})


def test_a_context_shorter_than_two_time_steps_is_refused() -> None:
    with pytest.raises(InputError, match="choose at least 33"):
        create_gpt(TINY, Vocabulary(codebook_size=7, streams=16), seed=0)
