"""Upsamplers, and ancestral sampling from coarse to fine codes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lm.batches import UNCOUNTED, CodeSequences, TrainingBatches
from lm.language_tests import score
from lm.model import LanguageModel
from lm.options import BatchConfig, CodeSampling
from lm.pooled_states import layer_features
from tests.lm.tiny import TINY, random_codes, random_rates
from tokenizer.codes import Codes, join_codes, join_rates
from wordless.base.errors import InputError


@pytest.fixture
def model(rate_model: LanguageModel) -> LanguageModel:
    return rate_model


def _codes(model: LanguageModel, steps: int, seed: int = 0, num_samples: int | None = None) -> Codes:
    return random_rates(model.format, steps, seed=seed, num_samples=num_samples)


def _changed(codes: Codes, rate: int, step: int) -> Codes:
    """The same codes, but for the code of a rate at a time step of its own."""
    parts = list(codes.by_rate)
    values = parts[rate - 1].values.copy()
    values[step, -1] = (values[step, -1] + 1) % 7
    parts[rate - 1] = replace(parts[rate - 1], values=values)
    return join_rates(parts)


@torch.no_grad()
def test_an_upsampler_hears_the_covering_code_and_the_next_but_no_later_one(model: LanguageModel) -> None:
    """The code of rate 1 at its time step 3 covers the fine codes 12 to 15, and is read from 8 on."""
    finest, codes = model.rates[-1], _codes(model, 6)
    plain, changed = (finest.log_probabilities(each) for each in (codes, _changed(codes, 1, 3)))
    np.testing.assert_array_equal(plain[:8], changed[:8])
    assert (plain[8:16] != changed[8:16]).any(axis=1).all()
    plain, changed = (finest.log_probabilities(each) for each in (codes, _changed(codes, 3, 5)))
    np.testing.assert_array_equal(plain[:5], changed[:5])
    assert (plain[6:] != changed[6:]).any()


def test_training_rows_read_the_coarse_codes_of_their_crop(model: LanguageModel) -> None:
    finest = model.rates[-1]
    streams = finest.predicted.streams
    clips = [finest.reading(_codes(model, steps, seed=steps)) for steps in (3, 5, 9)]
    config = BatchConfig(batch_size=8, random_inputs=0.5, pool_batches=1)
    sequences = CodeSequences(views=[[reading.steps] for reading in clips])
    batches = TrainingBatches(sequences, finest.gpt.vocabulary, config, capacity=6)
    for step in range(3):
        batch = batches.batch(step, 0, 1)
        for targets, conditions in zip(batch.targets.numpy(), batch.conditions.numpy(), strict=True):
            found = targets[targets != UNCOUNTED].reshape(-1, streams)
            (reading, start) = next(
                (reading, start)
                for reading in clips
                for start in range(len(reading.values) - len(found) + 1)
                if np.array_equal(reading.values[start : start + len(found)], found)
            )
            wanted = reading.conditions[start : start + len(found)]
            np.testing.assert_array_equal(conditions[: found.size : streams], wanted)
            np.testing.assert_array_equal(conditions[streams - 1 : found.size : streams], wanted)


def test_validation_counts_each_code_as_its_log_probability(model: LanguageModel) -> None:
    finest = model.rates[-1]
    clips = [_codes(model, steps, seed=steps, num_samples=steps * 1280 - 400) for steps in (2, 9, 4)]
    found = np.concatenate([finest.log_probabilities(codes).reshape(-1) for codes in clips])
    assert finest.nats_per_code(clips, batch_size=2) == pytest.approx(-float(found.mean()), rel=1e-5)
    assert len(found) == sum(codes.finest.values.size for codes in clips)


def test_states_cover_the_codes_of_the_finest_rate(model: LanguageModel) -> None:
    finest = model.rates[-1]
    clips = [_codes(model, steps, seed=steps, num_samples=steps * 1280 - 400) for steps in (2, 9)]
    features = layer_features(finest, clips)
    for row, codes in enumerate(clips):
        states = finest.hidden_states(codes)
        assert states.shape[1] == codes.finest.values.size
        np.testing.assert_allclose(features["layer_2:mean"][row], states[2].mean(0).numpy(), atol=1e-5)


def test_rate_1_is_continued_by_its_gpt_alone(model: LanguageModel) -> None:
    prompts = [_codes(model, 3), None, _codes(model, 8, seed=1)]
    sampling = CodeSampling(top_k=5)
    found = model.generate_batch(prompts, seconds=1, sampling=sampling, seed=4)
    coarse = [None if each is None else each.by_rate[0] for each in prompts]
    alone = model.rates[0].generate_batch(coarse, seconds=1, sampling=sampling, seed=4)
    for whole, own in zip(found, alone, strict=True):
        np.testing.assert_array_equal(whole.by_rate[0].values, own.values)


def test_upsamplers_read_no_end_of_a_continuation(model: LanguageModel) -> None:
    """A longer continuation begins with the shorter one."""
    prompts, sampling = [_codes(model, 2)], CodeSampling()
    short, long = (model.generate_batch(prompts, seconds=s, sampling=sampling, seed=1)[0] for s in (0.25, 0.5))
    for one, other in zip(short.by_rate, long.by_rate, strict=True):
        np.testing.assert_array_equal(one.values, other.values[: len(one.values)])


@torch.no_grad()
def test_greedy_codes_are_the_most_probable_given_coarser_ones(model: LanguageModel) -> None:
    """Beyond the context of 24 positions; the last codes were generated before codes that are not there any more."""
    prompt = _codes(model, 2)
    whole = join_codes(prompt, model.generate(prompt, seconds=0.65, temperature=0))
    parts = whole.by_rate
    for number, rate in enumerate(model.rates, 1):
        codes = join_rates(parts[:number])
        best, prompted = rate.log_probabilities(codes), len(prompt.by_rate[number - 1].values)
        covered = model.format.samples_per_code // rate.predicted.samples_per_code
        for step in range(prompted, len(parts[number - 1].values) - 3 * covered, 3):
            for _ in range(6):
                codes = _changed(codes, number, step)
                assert rate.log_probabilities(codes)[step, -1] <= best[step, -1] + 1e-5
            codes = _changed(codes, number, step)


def test_upsamplers_alone_and_models_of_other_runs_are_refused(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all rates"):
        model.rates[1].generate(seconds=1)
    first, second, third = model.rates
    other = LanguageModel.create(TINY, replace(first.format, codebook="other"), seed=0)
    for models in ((other, second, third), (first, third)):
        with pytest.raises(InputError, match="one run"):
            LanguageModel.of_rates(models)
    with pytest.raises(InputError, match="codebook"):
        model.generate(random_codes(3, streams=model.format.streams), seconds=1)


def test_a_score_counts_the_codes_of_all_rates(model: LanguageModel) -> None:
    codes = _codes(model, 3, num_samples=3 * 1280 - 400)
    found = score(model, codes)
    assert found.codes == sum(part.values.size for part in codes.by_rate) < codes.values.size
    parts = codes.by_rate
    by_rate = [each.log_probabilities(join_rates(parts[:n])).sum() for n, each in enumerate(model.rates, 1)]
    assert found.log_probability == pytest.approx(float(sum(by_rate)), rel=1e-5)


def test_a_finest_time_step_has_its_share_of_coarser_codes(model: LanguageModel) -> None:
    prompt, more = _codes(model, 2), _codes(model, 3, seed=1, num_samples=3 * 1280 - 700)
    whole = join_codes(prompt, more)
    found = model.log_probabilities_after(prompt, more)
    assert len(found) == len(more.finest.values)
    before = model.log_probabilities_after(None, whole)[: len(prompt.finest.values)]
    total = sum(float(each.sum()) for each in model.log_probabilities_of_rates(whole))
    assert float(found.sum() + before.sum()) == pytest.approx(total, rel=1e-5)
