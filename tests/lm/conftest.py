"""Untrained models of a tiny codebook."""

import pytest

from lm.model import LanguageModel
from tests.lm.tiny import TINY, codes_format


@pytest.fixture(scope="session", params=[1, 3], ids=["one_stream", "three_streams"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return LanguageModel.create(TINY, codes_format(request.param), seed=0)
