"""Codes that a GPU draws by itself are those that the host draws."""

from typing import Any

import numpy as np
import pytest
import torch

from lm.generation import Sampling, _positions, continue_codes
from lm.model import LanguageModel

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
