"""The score of a recording: against a sum over codes by a loop, and the rates of each other."""

import math

import pytest
import torch

from lm.judging.scores import score
from lm.model import LanguageModel
from tests.lm.tiny import random_codes
from wordless.base.errors import InputError


def one_at_a_time(model: LanguageModel, values: list[list[int]]) -> float:
    """The log-probability of all codes, each predicted by a forward pass of its own over all codes before it."""
    vocabulary, tokens, total = model.gpt.vocabulary, [model.gpt.vocabulary.bos], 0.0
    for step in values:
        before = list(tokens)
        for stream, code in enumerate(step):
            read = before if model.gpt.by_step else tokens  # parallel streams are predicted together
            padded = [*read, *[vocabulary.pad] * stream] if model.gpt.by_step else read
            with torch.no_grad():
                logits = model.gpt(torch.tensor([padded]))[0, -1]
            total += float(logits.double().log_softmax(-1)[code])
            tokens.append(vocabulary.codebook_size * stream + code)
    return total


def test_a_score_is_the_sum_of_what_each_code_costs(model: LanguageModel) -> None:
    streams = model.format.streams
    codes = random_codes(6, streams=streams)
    found = score(model, codes)
    assert found.log_probability == pytest.approx(one_at_a_time(model, codes.values.tolist()), rel=1e-4)
    assert (found.codes, found.seconds) == (6 * streams, pytest.approx(0.12))
    assert found.nats_per_code == pytest.approx(-found.log_probability / (6 * streams))
    assert found.log_probability_per_second == pytest.approx(found.log_probability / 0.12)
    assert found.perplexity == pytest.approx(math.exp(found.nats_per_code))
    assert found.bits_per_second == pytest.approx(-found.log_probability / math.log(2) / found.seconds)


def test_a_recording_without_a_code_has_no_score(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="empty"):
        score(model, random_codes(0, streams=model.format.streams))


def test_codes_of_another_codebook_are_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="codebook"):
        score(model, random_codes(4, streams=model.format.streams, codebook="c2"))
