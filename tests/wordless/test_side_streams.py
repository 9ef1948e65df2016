"""No public method reads a side stream as codes: its numbers lie in the codebook, and nothing would tell."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import wordless
from lm.gpt import GPT
from lm.model import LanguageModel
from tests.lm.tiny import TINY
from tests.tokenizer.conftest import RATE, fitted, like, sound
from tokenizer.code_decoder import SIDE_INPUTS
from tokenizer.codes import Codes, PitchFormat
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import PatchConfig
from wordless.base.messages import InputError

NAMES = ("codes", "values", "tokens")  # of parameters that hold numbers of codes
READ_BOTH = (
    "Tokenizer.spectrogram",
    "Tokenizer.decoder_inputs",  # but for the columns of the pitch
    *("Tokenizer.at_levels", "LanguageModel.forward", "LanguageModel.loss"),
)


def taking_numbers() -> set[str]:
    """Public methods with a parameter of bare numbers of codes: those of all public classes, and of the GPT."""
    public = [each for name in wordless.__all__ if inspect.isclass(each := getattr(wordless, name))]
    found = set()
    for cls in (*public, GPT):
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            if name.startswith("_") or cls is Codes or method.__module__.startswith("torch."):
                continue
            for parameter in inspect.signature(method).parameters.values():
                bare = any(kind in str(parameter.annotation) for kind in ("Tensor", "ndarray"))
                if parameter.name in NAMES and bare:
                    found.add(f"{cls.__name__}.{name}")
    return found


@pytest.fixture(scope="module")
def pitched() -> Tokenizer:
    """A tokenizer whose pitch has as many levels as the codebook has codes."""
    plain = fitted(PatchConfig(frames=2), 32)
    return like(plain, replace(plain.config, pitch=PitchFormat(levels=32, lowest=100.0, highest=400.0)))


def calls(tokenizer: Tokenizer, model: LanguageModel, frames: Tensor) -> Mapping[str, Callable[[Tensor], Any]]:
    gpt = model.gpt
    return {
        "Tokenizer.spectrogram": tokenizer.spectrogram,
        "Tokenizer.decode_codes": tokenizer.decode_codes,
        "Tokenizer.decoder_inputs": lambda values: tokenizer.decoder_inputs(values)[..., : -SIDE_INPUTS + 1],
        "Tokenizer.at_levels": lambda values: tokenizer.at_levels(frames, values),
        "LanguageModel.forward": model,
        "LanguageModel.loss": model.loss,
        "LanguageModel.tokens": lambda values: model.tokens(values[0].numpy().astype(np.int32)),
        "GPT.forward": lambda values: gpt(values.flatten(1)),
        "GPT.decoded": lambda values: gpt.decoded(values.flatten(1)),
        "GPT.embed": lambda values: gpt.embed(values.flatten(1)),
        "GPT.require_tokens": lambda values: gpt.require_tokens(values.flatten(1)),
        "GPT.states": lambda values: gpt.states(values.flatten(1)),
    }


@torch.no_grad()
def test_every_public_method_refuses_a_side_stream_or_knows_it(pitched: Tokenizer) -> None:
    codes = pitched.encode(sound(0.4), RATE)
    model = LanguageModel.create(TINY, codes.format, seed=0)
    both, alone = (torch.tensor(each.values, dtype=torch.int64)[None] for each in (codes, codes.spectral))
    assert (both.shape[2], alone.shape[2]) == (2, 1)
    known = calls(pitched, model, pitched.decode_codes(alone))
    assert {*known} == taking_numbers()
    for name, call in known.items():
        if name in READ_BOTH:
            assert torch.equal(call(both), call(alone)), name
        else:
            with pytest.raises(InputError):
                call(both)
