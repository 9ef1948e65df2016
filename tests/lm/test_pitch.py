"""A GPT of codes with a stream of pitch, which has fewer codes than the others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lm.generation import Sampling
from lm.model import LanguageModel
from lm.options import GPTConfig
from lm.tokens import Vocabulary
from tests.lm.tiny import TINY, codes_format
from tokenizer.codes import Codes, PitchFormat

FORMAT = replace(codes_format(streams=3), pitch=PitchFormat(levels=3, lowest=80.0, highest=160.0))


def model(interleaving: str) -> LanguageModel:
    config: GPTConfig = replace(TINY, interleaving=interleaving)  # type: ignore[arg-type]  # one of its choices
    return LanguageModel.create(config, FORMAT, seed=0)


def prompt(steps: int) -> Codes:
    values = np.random.default_rng(0).integers(3, size=(steps, 3), dtype=np.int32)
    return Codes(values=values, num_samples=steps * FORMAT.samples_per_code, format=FORMAT)


@pytest.mark.parametrize("interleaving", ["flattening", "parallel"])
def test_only_pitches_that_exist_are_generated(interleaving: str) -> None:
    own, seconds = model(interleaving), 60 * FORMAT.samples_per_code / FORMAT.sample_rate
    for sampling in (Sampling(), Sampling(max_repeats=1), Sampling(top_k=2, temperature=2.0)):
        (made,) = own.generate_batch([prompt(4)], seconds=seconds, sampling=sampling)
        assert made.values[:, -1].max() < 3  # `Codes` refuses others, too
    assert {*made.values[:, -1].tolist()} == {0, 1, 2}
    assert made.values[:, 0].max() >= 3


@pytest.mark.parametrize("interleaving", ["flattening", "parallel"])
def test_probabilities_are_those_of_the_pitches(interleaving: str) -> None:
    own = model(interleaving)
    logits = own.gpt(own.tokens(prompt(5).values)[None])[0, : 5 * 3].reshape(5, 3, -1)
    assert torch.isfinite(logits[:, :2]).all()
    assert torch.isfinite(logits[:, 2, :3]).all()
    assert torch.isneginf(logits[:, 2, 3:]).all()
    assert np.isfinite(own.log_probabilities(prompt(5))).all()


def test_random_inputs_are_codes_of_their_stream() -> None:
    drawn = Vocabulary.of(FORMAT).random_codes(np.random.default_rng(0), (200, 3))
    assert drawn[:, :2].max() == FORMAT.codebook_size - 1
    assert {*drawn[:, 2].tolist()} == {0, 1, 2}
