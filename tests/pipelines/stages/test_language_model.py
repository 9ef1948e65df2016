"""What the log says of a GPT's batches."""

from dataclasses import replace

import numpy as np
import pytest

from lm.gpt import GPTConfig
from lm.tokens import BatchConfig
from pipelines.stages.language_model import batches_notices
from pipelines.stages.stage_options import LanguageModelSettings


@pytest.mark.parametrize(
    ("size", "lengths", "hours", "model_dim", "told"),
    [
        (32, [100, 255], 1.0, 192, []),
        (8, [100, 255], 1.0, 192, ["lm.batches.batch_size=32 is 8 here"]),
        (
            8,
            [100, 256, 1850],
            5.0,
            192,
            ["=32 is 8 here", "2 of 3 training clips are longer than the context"],
        ),
        (32, [1850], 20.0, 192, ["1 of 1 training clip is longer", "lm=medium"]),
        (32, [100], 20.0, 512, []),
    ],
)
def test_what_a_user_may_not_expect_is_said(
    size: int, lengths: list[int], hours: float, model_dim: int, told: list[str]
) -> None:
    gpt = GPTConfig(context=256, model_dim=model_dim, heads=4)
    settings = replace(LanguageModelSettings(), gpt=gpt)
    found = [*batches_notices(settings, BatchConfig(batch_size=size), np.array(lengths), 255, hours=hours)]
    assert len(found) == len(told)
    assert all(words in line for words, line in zip(told, found, strict=True))
