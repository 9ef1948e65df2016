"""Scores of recordings, pairs and perplexities, and n-grams, against loops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lm.language_tests import (
    Bigram,
    Unigram,
    auto_bleu,
    distinct_ngrams,
    fit_bigram,
    perplexities,
    plausibility,
    score,
    unigram_perplexity,
)
from lm.model import LanguageModel
from tests.lm.reference import bigram_log_probability
from tests.lm.tiny import codes_format, random_codes
from tokenizer.codes import Codes
from wordless.base.messages import InputError


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
            tokens.append(vocabulary.per_stream * stream + code)
    return total


def test_a_score_is_the_sum_of_what_each_code_costs(model: LanguageModel) -> None:
    streams = model.format.streams
    with pytest.raises(InputError, match="empty"):
        score(model, random_codes(0, streams=streams))
    codes = random_codes(6, streams=streams)
    found, total = score(model, codes), one_at_a_time(model, codes.values.tolist())
    assert (found.codes, found.seconds) == (6 * streams, pytest.approx(0.12))
    assert found.log_probability == pytest.approx(total, rel=1e-4)
    assert found.nats_per_code == pytest.approx(-total / (6 * streams), rel=1e-4)
    assert found.log_probability_per_second == pytest.approx(total / 0.12, rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(-total / (6 * streams)), rel=1e-3)
    assert found.bits_per_second == pytest.approx(-total / math.log(2) / 0.12, rel=1e-4)


def codes(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)[:, None]


def test_repeats_in_one_sequence_or_in_two_are_counted() -> None:
    assert distinct_ngrams([codes(1, 2, 1, 2)], 1) == 0.5
    assert distinct_ngrams([codes(1, 2, 1, 2)], 2) == pytest.approx(2 / 3)
    assert distinct_ngrams([codes(1, 2, 3), codes(1, 2, 3)], 3) == 0.5
    assert distinct_ngrams([codes(1, 2), codes(2, 1)], 2) == 1  # none reaches from one sequence into the next
    assert distinct_ngrams([np.array([[1, 2], [1, 3]], np.int32)], 1) == 1  # a step is all its streams
    # 1 2 1 2 3: four of five codes and two of four pairs occur once more; 4 5: nothing does
    twice, never = codes(1, 2, 1, 2, 3), codes(4, 5)
    assert auto_bleu([twice]) == pytest.approx(math.sqrt(4 / 5 * 2 / 4))
    assert auto_bleu([twice, never]) == pytest.approx(math.sqrt(4 / 10 * 2 / 8))
    assert auto_bleu([never, never]) == 0  # repeats in other sequences do not count
    assert distinct_ngrams([codes(1)], 2) is auto_bleu([codes(1)]) is auto_bleu([]) is None


def test_another_model_judges_a_continuation_after_its_prompt() -> None:
    train = [random_codes(40, seed=seed) for seed in range(3)]
    other, whole = fit_bigram(train, train[:1]), random_codes(12, seed=9)
    expected = math.exp(-float(other.log_probabilities(whole)[5:].mean()))
    found = plausibility([whole.crop(0, 5)], [whole.crop(5, 12)], other=other)
    assert found["other_perplexity"] == pytest.approx(expected)
    assert plausibility([None], [whole], other=None)["other_perplexity"] is None


@pytest.mark.parametrize("streams", [1, 3])
def test_models_give_what_counting_gives(streams: int) -> None:
    train = [random_codes(steps, streams=streams, seed=steps) for steps in (9, 1, 30, 0)]
    codes = random_codes(12, streams=streams, seed=5)
    unigram, bigram = Unigram(train), Bigram(train, strength=2.5)
    assert unigram.log_probabilities(codes).shape == bigram.log_probabilities(codes).shape == (12, streams)
    counted = bigram_log_probability(train, codes, 1e15)
    assert unigram.log_probabilities(codes).sum() == pytest.approx(counted)
    assert unigram_perplexity(train, [codes]) == pytest.approx(math.exp(-counted / codes.values.size))
    assert bigram.log_probabilities(codes).sum() == pytest.approx(bigram_log_probability(train, codes, 2.5))


def test_figures_of_a_model_are_of_validation_beside_frequencies_in_train(model: LanguageModel) -> None:
    train, held_out = ([random_codes(steps, streams=model.format.streams, seed=steps)] for steps in (40, 7))
    found = perplexities(model, train, held_out)
    assert found["unigram_perplexity"] == unigram_perplexity(train, held_out) != unigram_perplexity(held_out, train)
    assert math.log(found["perplexity"]) == pytest.approx(-float(model.log_probabilities(held_out[0]).mean()), rel=1e-5)


def test_the_prior_is_chosen_on_validation() -> None:
    cycle = np.arange(70, dtype=np.int32)[:, None] % 7
    ordered = Codes(values=cycle, num_samples=70 * 320, format=codes_format())
    assert fit_bigram([ordered], [ordered]).strength == 1
    assert fit_bigram([ordered], [random_codes(70)]).strength == 1000


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: unigram_perplexity([random_codes(3)], []), r"\b1 train\b.*\b0 validation\b"),
        (lambda: Unigram([random_codes(3)]).log_probabilities(random_codes(3, codebook="c2")), "codebook"),
        (lambda: Bigram([random_codes(3), random_codes(3, codebook="c2")]), "codebook"),
    ],
)
def test_nothing_to_count_and_codes_of_two_codebooks_are_refused(ask: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ask()
