"""A language model: windows of long recordings, scores, continuations, and pitch among its codes."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.model import LanguageModel
from lm.options import CodeSampling, Interleaving
from lm.tokens import Vocabulary, window_start, windows
from tests.lm.tiny import TINY, codes_format, random_codes, random_rates
from tokenizer.codes import Codes, PitchFormat
from wordless.base.errors import InputError


@given(steps=st.integers(0, 300), capacity=st.integers(2, 40))
def test_each_step_is_counted_once_from_the_past_that_generation_sees(steps: int, capacity: int) -> None:
    """This past is at least half a window, as soon as there is one."""
    counted = []
    for window in windows(steps, capacity):
        assert window.stop - window.start <= capacity
        for step in range(window.counted, window.stop):
            assert window_start(step, capacity) == window.start
            assert min(step, capacity // 2) <= step - window.start < capacity
            counted.append(step)
    assert counted == list(range(steps))


def _prompt(model: LanguageModel, steps: int, seed: int = 0) -> Codes:
    return random_codes(steps, streams=model.format.streams, seed=seed)


def test_a_saved_model_is_the_same_model_and_the_same_bytes(any_model: LanguageModel, tmp_path: Path) -> None:
    for name in ("a", "b"):
        any_model.save_pretrained(tmp_path / name)
    loaded, codes = LanguageModel.from_pretrained(tmp_path / "a"), random_rates(any_model.format, 9)
    assert (loaded.format, len(loaded.rates)) == (any_model.format, len(any_model.rates))
    for one, other in zip(*(each.log_probabilities_of_rates(codes) for each in (loaded, any_model)), strict=True):
        np.testing.assert_array_equal(one, other)
    for path in (path for path in (tmp_path / "a").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    if len(loaded.rates) > 1:
        assert LanguageModel.from_pretrained(tmp_path / "a/rate_1").format == any_model.rates[0].format


def test_a_continuation_has_the_length_asked_for_and_follows_from_the_seed(any_model: LanguageModel) -> None:
    more = any_model.generate(random_rates(any_model.format, 5), seconds=0.25, seed=3)
    assert (more.num_samples, more.format) == (4000, any_model.format)
    assert [len(part.values) for part in more.by_rate] == [4, 7, 13][-len(more.by_rate) :]  # codes of 80, 40 and 20 ms
    assert more.values.min() >= 0
    assert more.values.max() < more.format.codebook_size
    first, same, other = (any_model.generate(seconds=0.5, seed=seed).values for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(("steps", "seconds"), [(0, 0.25), (7, 1.0)])
def test_a_stream_is_the_generated_continuation_step_by_step(model: LanguageModel, steps: int, seconds: float) -> None:
    prompt, sampling = _prompt(model, steps) if steps else None, CodeSampling(top_k=5)
    (whole,) = model.generate_batch([prompt], seconds=seconds, sampling=sampling, seed=4)
    streamed = [*model.stream(prompt, seconds=seconds, sampling=sampling, seed=4)]
    np.testing.assert_array_equal(np.concatenate([step.values for step in streamed]), whole.values)
    assert sum(step.num_samples for step in streamed) == whole.num_samples


def test_a_continuation_does_not_depend_on_its_companions(any_model: LanguageModel) -> None:
    long, *others = (random_rates(any_model.format, steps, seed=steps) for steps in (40, 3, 11))
    prompts = [others[0], None, long, others[1]]
    together = any_model.generate_batch(prompts, seconds=0.3, sampling=CodeSampling(top_k=5), seed=4)
    for count in range(1, len(prompts)):
        fewer = any_model.generate_batch(prompts[:count], seconds=0.3, sampling=CodeSampling(top_k=5), seed=4)
        np.testing.assert_array_equal(fewer[-1].values, together[count - 1].values)


@torch.no_grad()
def test_greedy_continuation_takes_what_the_whole_model_finds_most_probable(model: LanguageModel) -> None:
    prompt = _prompt(model, 4)
    more = model.generate(prompt, seconds=1, temperature=0)  # far beyond the context of 24 codes
    whole = np.concatenate([prompt.values, more.values])
    scored = Codes(values=whole, num_samples=len(whole) * 320, format=model.format)
    best = model.log_probabilities(scored)
    for step in range(4, len(whole), 5):
        for code in range(model.format.codebook_size):
            changed = whole.copy()
            changed[step, 0] = code
            rival = model.log_probabilities(Codes(values=changed, num_samples=scored.num_samples, format=model.format))
            assert rival[step, 0] <= best[step, 0] + 1e-5


def test_a_prompt_is_read_to_its_last_whole_step(any_model: LanguageModel) -> None:
    cut = random_rates(any_model.format, 6, num_samples=int(5.7 * any_model.format.samples_per_code))
    continued = any_model.generate(cut, seconds=0.3, seed=1).values
    np.testing.assert_array_equal(continued, any_model.generate(cut.crop(0, 5), seconds=0.3, seed=1).values)


def test_a_model_that_sees_a_short_past_is_asked_for_each_step_after_it(model: LanguageModel) -> None:
    codes = random_codes(23, streams=model.format.streams, seed=1)
    np.testing.assert_allclose(model.log_probabilities(codes, past=64), model.log_probabilities(codes), atol=1e-5)
    found = model.log_probabilities(codes, past=6)
    for step in range(23):
        seen = codes.values[window_start(step, 6) : step + 1]
        samples = len(seen) * codes.format.samples_per_code
        last = model.log_probabilities(Codes(values=seen, num_samples=samples, format=codes.format))[-1]
        np.testing.assert_allclose(found[step], last, atol=1e-5)


def test_perplexity_is_that_of_the_log_probabilities(model: LanguageModel) -> None:
    clips = [_prompt(model, steps, seed=steps) for steps in (3, 50, 10, 1)]
    every = np.concatenate([model.log_probabilities(codes).reshape(-1) for codes in clips])
    assert model.perplexity(clips, batch_size=3) == pytest.approx(math.exp(-every.mean()), rel=1e-5)


def test_hidden_states_cover_every_code_once(model: LanguageModel) -> None:
    codes = _prompt(model, 40)
    states = model.hidden_states(codes)
    assert states.shape == (1 + TINY.layers, 40 * model.format.streams, TINY.model_dim)
    first = codes.crop(0, model.gpt.capacity)
    torch.testing.assert_close(states[:, : first.values.size], model.hidden_states(first), rtol=0, atol=1e-5)


def test_other_codes_bare_numbers_and_layers_that_are_not_there_are_refused(model: LanguageModel) -> None:
    own, foreign = _prompt(model, 3), random_codes(4, streams=model.format.streams, codebook="c2")
    for ask, told in (
        (lambda: model.generate(foreign, seconds=1), r"\bc1\b.*\bc2\b"),
        (lambda: model.perplexity([foreign]), r"\bc1\b.*\bc2\b"),
        (lambda: model.log_probabilities_of_rates(foreign), r"\bc1\b.*\bc2\b"),
        (lambda: model.generate(own.values, seconds=1), r"codes\b.*ndarray\b.*Codes\b"),  # type: ignore[arg-type]
        (lambda: model.hidden_states(own.values), r"codes\b.*ndarray\b.*Codes\b"),  # type: ignore[arg-type]
        (lambda: model.hidden_states(own, layers=[TINY.layers + 1]), r"layers\b.*\b3\b.*\b0\b"),
        (lambda: model.hidden_states(own, layers=[-1]), r"layers\b.*-1\b.*\b0\b"),
        (lambda: model.perplexity(own), r"clips.*list"),  # type: ignore[arg-type]  # one clip is no list of clips
        (lambda: model.perplexity([]), r"clips.*list"),
    ):
        with pytest.raises(InputError, match=told):
            ask()


FORMAT = replace(codes_format(streams=3), pitch=PitchFormat(levels=3, lowest=80.0, highest=160.0))


@pytest.mark.parametrize("interleaving", ["flattening", "parallel"])
def test_only_pitches_that_exist_are_probable_and_generated(interleaving: Interleaving) -> None:
    own = LanguageModel.create(replace(TINY, interleaving=interleaving), FORMAT, seed=0, pitch="among")
    values = np.random.default_rng(0).integers(3, size=(5, 3), dtype=np.int32)
    prompt, seconds = Codes(values=values, num_samples=5 * 320, format=FORMAT), 60 * 320 / FORMAT.sample_rate
    for sampling in (CodeSampling(), CodeSampling(top_k=2, temperature=2.0)):
        (made,) = own.generate_batch([prompt], seconds=seconds, sampling=sampling)
    assert {*made.values[:, -1].tolist()} == {0, 1, 2}  # `Codes` refuses others
    assert made.values[:, 0].max() >= 3
    logits = own.gpt(own.tokens(values)[None])[0, : 5 * 3].reshape(5, 3, -1)
    assert torch.isfinite(logits[:, :2]).all()
    assert torch.isfinite(logits[:, 2, :3]).all()
    assert torch.isneginf(logits[:, 2, 3:]).all()
    assert np.isfinite(own.log_probabilities(prompt)).all()
    drawn = Vocabulary.of(FORMAT).random_codes(np.random.default_rng(0), (200, 3))  # of random inputs
    assert drawn[:, :2].max() == FORMAT.codebook_size - 1
    assert {*drawn[:, 2].tolist()} == {0, 1, 2}
