"""Untrained models of a tiny codebook, of one rate and of three."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from lm.gpt import Interleaving
from lm.model import LanguageModel
from lm.rates import RatesModel, Upsampler
from tests.lm.tiny import TINY, codes_format, rates_format
from tokenizer.codes import CodesFormat

Layout = tuple[int, Interleaving, bool]  # streams, how a GPT reads them, and whether there are three rates
ONE_RATE: list[Layout] = [(1, "flattening", False), (3, "flattening", False), (3, "parallel", False)]
RATES: list[Layout] = [(1, "flattening", True), (2, "flattening", True), (2, "parallel", True)]


@cache
def made(streams: int, interleaving: Interleaving, rates: bool) -> LanguageModel:
    config = replace(TINY, interleaving=interleaving)
    if not rates:
        return LanguageModel.create(config, codes_format(streams), seed=0)
    formats = rates_format(4, 2, 1, streams=streams).formats  # 80, 40 and 20 ms
    models = [LanguageModel.create(config, CodesFormat.of_rates(formats[:n]), seed=n) for n in (1, 2, 3)]
    for each in models[1:]:
        assert isinstance(each, Upsampler)
        torch.nn.init.normal_(each.gpt.embed_conditions.embed.weight, generator=torch.Generator().manual_seed(0))
    return RatesModel(models)


@pytest.fixture(scope="session", params=ONE_RATE, ids=str)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return made(*request.param)


@pytest.fixture(scope="session", params=RATES, ids=str)
def rate_model(request: pytest.FixtureRequest) -> RatesModel:
    model = made(*request.param)
    assert isinstance(model, RatesModel)
    return model


@pytest.fixture(scope="session", params=[*ONE_RATE, *RATES], ids=str)
def any_model(request: pytest.FixtureRequest) -> LanguageModel:
    return made(*request.param)
