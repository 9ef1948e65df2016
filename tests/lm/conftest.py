"""Untrained models of a tiny codebook."""

from dataclasses import replace

import pytest

from lm.model import LanguageModel
from tests.lm.tiny import TINY, codes_format


@pytest.fixture(
    scope="session",
    params=[(1, "flattening"), (3, "flattening"), (3, "parallel")],
    ids=lambda param: f"{param[0]}_{param[1]}",
)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    streams, interleaving = request.param
    return LanguageModel.create(replace(TINY, interleaving=interleaving), codes_format(streams), seed=0)
