"""Draws of the next code: on a GPU as on the host, filters of probabilities, and the guard against loops."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lm.generation import LONGEST_LOOP, LoopGuard, Sampling, _positions, continue_codes, draw, probabilities
from lm.model import LanguageModel
from tests import reference
from wordless.base.errors import InputError

STEPS = 30  # more than the context has


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_k": 3}, {"top_p": 0.6}, {"top_k": 99, "top_p": 0.9}]
)
def test_codes_drawn_on_the_device_are_those_of_the_host(model: LanguageModel, options: dict[str, Any]) -> None:
    gpt, random, sampling = model.gpt, np.random.default_rng(0), Sampling(**options)
    prompts = [random.integers(0, 7, (length, gpt.vocabulary.streams)).astype(np.int32) for length in (3, 0, 40)]
    with torch.no_grad():
        *_, last = _positions(gpt, prompts, STEPS, sampling, 5, on_device=True)
    made = continue_codes(gpt, prompts, steps=STEPS, sampling=sampling, seed=5)
    for row, prompt, own in zip(last.numpy(), prompts, made, strict=True):
        assert np.array_equal(row[: prompt.size], prompt.reshape(-1))
        assert np.array_equal(row[prompt.size : prompt.size + own.size], own.reshape(-1))
    assert len({own.tobytes() for own in made}) == len(made)


LOGITS = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 8)), elements=st.integers(-8, 8))


@given(
    logits=LOGITS,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.integers(0, 9),
    top_p=st.sampled_from([0.01, 0.3, 0.77, 0.99, 1.0]),
    seed=st.integers(0, 9),
)
def test_filters_agree_with_the_slow_ones(
    logits: np.ndarray, temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    refused = np.random.default_rng(seed).random(logits.shape) < 0.3
    expected = [
        reference.filtered_probabilities(*row, temperature, top_k, top_p) for row in zip(logits, refused, strict=True)
    ]
    np.testing.assert_allclose(probabilities(logits, sampling, refused), expected, atol=1e-12)


def test_the_defaults_leave_the_models_probabilities_alone() -> None:
    logits = np.log([[0.1, 0.2, 0.7]])
    np.testing.assert_allclose(probabilities(logits, Sampling()), [[0.1, 0.2, 0.7]])


def test_codes_are_drawn_as_often_as_they_are_probable() -> None:
    chances = np.tile([0.0, 0.25, 0.0, 0.75, 0.0], (4000, 1))
    drawn = draw(chances, (np.arange(4000) + 0.5) / 4000)
    assert np.bincount(drawn, minlength=5).tolist() == [0, 1000, 0, 3000, 0]


@given(uniform=st.floats(0, 1, exclude_max=True), chances=arrays(np.float64, (1, 6), elements=st.floats(0, 1)))
def test_a_code_of_probability_zero_is_never_drawn(uniform: float, chances: np.ndarray) -> None:
    chances[0, 2] += 0.5
    chances /= chances.sum()
    assert chances[0, draw(chances, np.array([uniform]))[0]] > 0


@settings(max_examples=50)
@given(streams=st.integers(1, 2), limit=st.integers(1, 3), codes=st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_the_guard_refuses_what_would_complete_one_copy_too_many(streams: int, limit: int, codes: list[int]) -> None:
    sequence = np.array([codes], np.int32)
    guard = LoopGuard(limit, batch=1, streams=streams)
    for position in range(len(codes)):
        refused = np.flatnonzero(guard.refused(sequence[:, :position], 3)[0]).tolist()
        wanted = [
            code
            for code in range(3)
            if reference.ends_in_a_loop([*codes[:position], code], limit, streams, LONGEST_LOOP)
        ]
        assert refused == wanted
        guard.count(sequence[:, : position + 1])


def test_no_limit_refuses_nothing() -> None:
    guard = LoopGuard(0, batch=2, streams=1)
    codes = np.zeros((2, 5), np.int32)
    guard.count(codes)
    assert not guard.refused(codes, 4).any()


@pytest.mark.parametrize(
    ("argument", "value"),
    [("temperature", -1.0), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0.0), ("max_repeats", -2)],
)
def test_values_out_of_range_are_refused(argument: str, value: float) -> None:
    with pytest.raises(InputError, match=argument):
        Sampling(**{argument: value})  # type: ignore[arg-type]  # the point of the test
