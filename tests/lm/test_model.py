"""A language model: windows, scores, continuations, upsamplers, and pitch beside its codes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.gpt import CodeSampling, GPTConfig
from lm.language_tests import score
from lm.model import LanguageModel, layer_features
from lm.pitch import PitchHead, WithStreams, fit_pitch, pitch_errors
from lm.rates import RatesModel
from lm.tokens import UNCOUNTED, BatchConfig, CodeSequences, TrainingBatches, window_start, windows
from tests.lm.tiny import TINY, codes_format, random_codes, random_rates
from tests.threads import require_alike
from tokenizer.codes import Codes, LevelFormat, PitchFormat, join_codes, join_rates
from wordless.base.messages import InputError


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
    assert loaded.format == any_model.format
    for one, other in zip(*(each.log_probabilities_after(None, codes) for each in (loaded, any_model)), strict=True):
        np.testing.assert_array_equal(one, other)
    for path in (path for path in (tmp_path / "a").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    if isinstance(any_model, RatesModel):
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


def test_clips_are_scored_together_as_one_by_one(model: LanguageModel) -> None:
    clips = [_prompt(model, steps, seed=steps) for steps in (3, 50, 10, 1, 11, 40)]
    found = model.log_probabilities_batch(clips, batch_tokens=60)
    for codes, each in zip(clips, found, strict=True):
        np.testing.assert_allclose(each, model.log_probabilities(codes), atol=1e-5)


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


def test_four_threads_with_one_model_get_the_states_of_one(any_model: LanguageModel) -> None:
    clips = [random_rates(any_model.format, steps, seed=steps) for steps in (10, 3, 30)]

    def answer(number: int) -> list[bytes]:
        both = layer_features(any_model, [clips[number]], of=("residual", "inner")).values()
        return [any_model.hidden_states(clips[number]).numpy().tobytes(), *(each.tobytes() for each in both)]

    require_alike(answer, len(clips))


def test_other_codes_bare_numbers_and_layers_that_are_not_there_are_refused(model: LanguageModel) -> None:
    own, foreign = _prompt(model, 3), random_codes(4, streams=model.format.streams, codebook="c2")
    for ask, told in (
        (lambda: model.generate(foreign, seconds=1), r"\bc1\b.*\bc2\b"),
        (lambda: model.perplexity([foreign]), r"\bc1\b.*\bc2\b"),
        (lambda: model.log_probabilities(foreign), r"\bc1\b.*\bc2\b"),
        (lambda: model.generate(own.values, seconds=1), r"codes\b.*ndarray\b.*Codes\b"),  # type: ignore[arg-type]
        (lambda: model.hidden_states(own.values), r"codes\b.*ndarray\b.*Codes\b"),  # type: ignore[arg-type]
        (lambda: model.hidden_states(own, layers=[TINY.layers + 1]), r"layers\b.*\b3\b.*\b0\b"),
        (lambda: model.hidden_states(own, layers=[-1]), r"layers\b.*-1\b.*\b0\b"),
        (lambda: model.perplexity(own), r"clips.*list"),  # type: ignore[arg-type]  # one clip is no list of clips
        (lambda: model.perplexity([]), r"clips.*list"),
    ):
        with pytest.raises(InputError, match=told):
            ask()


def _codes(rate_model: RatesModel, steps: int, seed: int = 0, num_samples: int | None = None) -> Codes:
    return random_rates(rate_model.format, steps, seed=seed, num_samples=num_samples)


def _changed(codes: Codes, rate: int, step: int) -> Codes:
    """The same codes, but for the code of a rate at a time step of its own."""
    parts = list(codes.by_rate)
    values = parts[rate - 1].values.copy()
    values[step, -1] = (values[step, -1] + 1) % 7
    parts[rate - 1] = replace(parts[rate - 1], values=values)
    return join_rates(parts)


@torch.no_grad()
def test_an_upsampler_hears_the_covering_code_and_the_next_but_no_later_one(rate_model: RatesModel) -> None:
    """The code of rate 1 at its time step 3 covers the fine codes 12 to 15, and is read from 8 on."""
    finest, codes = rate_model.rates[-1], _codes(rate_model, 6)
    plain, changed = (finest.log_probabilities(each) for each in (codes, _changed(codes, 1, 3)))
    np.testing.assert_array_equal(plain[:8], changed[:8])
    assert (plain[8:16] != changed[8:16]).any(axis=1).all()
    plain, changed = (finest.log_probabilities(each) for each in (codes, _changed(codes, 3, 5)))
    np.testing.assert_array_equal(plain[:5], changed[:5])
    assert (plain[6:] != changed[6:]).any()


def test_training_rows_read_the_coarse_codes_of_their_crop(rate_model: RatesModel) -> None:
    finest = rate_model.rates[-1]
    streams = finest.predicted.streams
    clips = [finest.rows(_codes(rate_model, steps, seed=steps)) for steps in (3, 5, 9)]
    config = BatchConfig(batch_size=8, random_inputs=0.5, pool_batches=1)
    sequences = CodeSequences(views=[[rows] for rows in clips])
    batches = TrainingBatches(sequences, finest.gpt.vocabulary, config, capacity=6)
    for step in range(3):
        batch = batches.batch(step, 0, 1)
        for targets, conditions in zip(batch.targets.numpy(), batch.inputs.numpy()[..., 1:], strict=True):
            found = targets[targets != UNCOUNTED].reshape(-1, streams)
            (rows, start) = next(
                (rows, start)
                for rows in clips
                for start in range(len(rows) - len(found) + 1)
                if np.array_equal(rows[start : start + len(found), :streams], found)
            )
            wanted = rows[start : start + len(found), streams:]
            np.testing.assert_array_equal(conditions[: found.size : streams], wanted)
            np.testing.assert_array_equal(conditions[streams - 1 : found.size : streams], wanted)


def test_validation_counts_each_code_as_its_log_probability(rate_model: RatesModel) -> None:
    finest = rate_model.rates[-1]
    clips = [_codes(rate_model, steps, seed=steps, num_samples=steps * 1280 - 400) for steps in (2, 9, 4)]
    found = np.concatenate([finest.log_probabilities(codes).reshape(-1) for codes in clips])
    assert finest.nats_per_code(clips, batch_size=2) == pytest.approx(-float(found.mean()), rel=1e-5)
    assert len(found) == sum(codes.finest.values.size for codes in clips)


def test_states_cover_the_codes_of_the_finest_rate(rate_model: RatesModel) -> None:
    finest = rate_model.rates[-1]
    clips = [_codes(rate_model, steps, seed=steps, num_samples=steps * 1280 - 400) for steps in (2, 9)]
    features = layer_features(finest, clips)
    for row, codes in enumerate(clips):
        states = finest.hidden_states(codes)
        assert states.shape[1] == codes.finest.values.size
        np.testing.assert_allclose(features["layer_2:mean"][row], states[2].mean(0).numpy(), atol=1e-5)


def test_rate_1_is_continued_by_its_gpt_alone(rate_model: RatesModel) -> None:
    prompts = [_codes(rate_model, 3), None, _codes(rate_model, 8, seed=1)]
    sampling = CodeSampling(top_k=5)
    found = rate_model.generate_batch(prompts, seconds=1, sampling=sampling, seed=4)
    coarse = [None if each is None else each.by_rate[0] for each in prompts]
    alone = rate_model.rates[0].generate_batch(coarse, seconds=1, sampling=sampling, seed=4)
    for whole, own in zip(found, alone, strict=True):
        np.testing.assert_array_equal(whole.by_rate[0].values, own.values)


def test_upsamplers_read_no_end_of_a_continuation(rate_model: RatesModel) -> None:
    """A longer continuation begins with the shorter one."""
    prompts, sampling = [_codes(rate_model, 2)], CodeSampling()
    short, long = (rate_model.generate_batch(prompts, seconds=s, sampling=sampling, seed=1)[0] for s in (0.25, 0.5))
    for one, other in zip(short.by_rate, long.by_rate, strict=True):
        np.testing.assert_array_equal(one.values, other.values[: len(one.values)])


@torch.no_grad()
def test_greedy_codes_are_the_most_probable_given_coarser_ones(rate_model: RatesModel) -> None:
    """Beyond the context of 24 positions; the last codes were generated before codes that are not there any more."""
    prompt = _codes(rate_model, 2)
    whole = join_codes(prompt, rate_model.generate(prompt, seconds=0.65, temperature=0))
    parts = whole.by_rate
    for number, rate in enumerate(rate_model.rates, 1):
        codes = join_rates(parts[:number])
        best, prompted = rate.log_probabilities(codes), len(prompt.by_rate[number - 1].values)
        covered = rate_model.format.samples_per_code // rate.predicted.samples_per_code
        for step in range(prompted, len(parts[number - 1].values) - 3 * covered, 3):
            for _ in range(6):
                codes = _changed(codes, number, step)
                assert rate.log_probabilities(codes)[step, -1] <= best[step, -1] + 1e-5
            codes = _changed(codes, number, step)


def test_upsamplers_alone_and_models_of_other_runs_are_refused(rate_model: RatesModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all rates"):
        rate_model.rates[1].generate(seconds=1)
    first, second, third = rate_model.rates
    other = LanguageModel.create(TINY, replace(first.format, codebook="other"), seed=0)
    for models in ((other, second, third), (first, third)):
        with pytest.raises(InputError, match="one run"):
            RatesModel(models)
    with pytest.raises(InputError, match="codebook"):
        rate_model.generate(random_codes(3, streams=rate_model.format.streams), seconds=1)


def test_log_probabilities_are_of_the_codes_of_all_rates(rate_model: RatesModel) -> None:
    codes = _codes(rate_model, 3, num_samples=3 * 1280 - 400)
    found, parts = rate_model.log_probabilities_of_rates(codes), codes.by_rate
    for number, (model, own) in enumerate(zip(rate_model.rates, found, strict=True), 1):
        np.testing.assert_array_equal(own, model.log_probabilities(join_rates(parts[:number])))
        assert own.shape == parts[number - 1].values.shape


def test_a_finest_time_step_has_its_share_of_coarser_codes(rate_model: RatesModel) -> None:
    prompt, more = _codes(rate_model, 2), _codes(rate_model, 3, seed=1, num_samples=3 * 1280 - 700)
    whole = join_codes(prompt, more)
    found = rate_model.log_probabilities_after(prompt, more)
    assert len(found) == len(more.finest.values)
    before = rate_model.log_probabilities_after(None, whole)[: len(prompt.finest.values)]
    total = sum(float(each.sum()) for each in rate_model.log_probabilities_of_rates(whole))
    assert float(found.sum() + before.sum()) == pytest.approx(total, rel=1e-5)


PITCH = PitchFormat(levels=64, lowest=80.0, highest=320.0)  # 2 octaves in 62 steps
SECONDS = 40 * 320 / 16_000


def pitched(plain: Codes, pitch: np.ndarray) -> Codes:
    codes_format = replace(plain.format, streams=plain.format.streams + 1, pitch=PITCH)
    return plain.with_side_streams(codes_format, {PITCH: pitch})


def recordings(streams: int, count: int = 40, steps: int = 60) -> list[Codes]:
    """Voices of different heights; codes 0 to 2 have none, and each higher code is a little higher."""
    found = []
    for number in range(count):
        rng = np.random.default_rng(number)
        values = rng.integers(7, size=(steps, streams), dtype=np.int32)
        height = rng.integers(8, 48)
        pitch = np.where(values[:, -1] > 2, height + values[:, -1], 0)
        plain = Codes(values=values, num_samples=steps * 320, format=codes_format(streams))
        found.append(pitched(plain, pitch))
    return found


@pytest.fixture(scope="module", params=[(1, "flattening"), (2, "flattening"), (2, "parallel")])
def both(request: pytest.FixtureRequest) -> tuple[LanguageModel, WithStreams]:
    """A model of codes alone, and one with pitch beside them, fitted to recordings."""
    streams, interleaving = request.param
    config: GPTConfig = replace(TINY, interleaving=interleaving)
    [clip, *_] = recordings(streams, count=1)
    alone, beside = (LanguageModel.create(config, each, seed=0) for each in (clip.format.spectral, clip.format))
    assert isinstance(beside, WithStreams)
    beside.fit_pitch(recordings(streams))
    return alone, beside


def test_the_gpt_is_that_of_the_codes_alone(both: tuple[LanguageModel, WithStreams]) -> None:
    alone, beside = both
    clips = recordings(alone.format.streams, count=3)
    plain = [clip.spectral for clip in clips]
    for name, weight in alone.gpt.state_dict().items():
        np.testing.assert_array_equal(weight, beside.gpt.state_dict()[name])
    assert beside.nats_per_code(clips) == alone.nats_per_code(plain)
    assert score(beside, clips[0]) == score(alone, plain[0])
    np.testing.assert_array_equal(beside.hidden_states(clips[0]), alone.hidden_states(plain[0]))
    one = alone.generate_batch(plain, seconds=SECONDS, sampling=CodeSampling(top_k=3), seed=4)
    other = beside.generate_batch(clips, seconds=SECONDS, sampling=CodeSampling(top_k=3), seed=4)
    for own, more in zip(one, other, strict=True):
        np.testing.assert_array_equal(own.values, more.spectral.values)
        assert more.format == beside.format


def test_codes_with_and_without_pitch_are_read_alike(both: tuple[LanguageModel, WithStreams]) -> None:
    _, beside = both
    [clip] = recordings(beside.predicted.streams, count=1)
    np.testing.assert_array_equal(beside.log_probabilities(clip), beside.log_probabilities(clip.spectral))
    other = replace(clip.spectral.format, codebook="c2")
    with pytest.raises(InputError, match="c2"):
        beside.log_probabilities(replace(clip.spectral, format=other))


def test_a_continuation_keeps_the_height_and_the_voicing_of_its_prompt(
    both: tuple[LanguageModel, WithStreams],
) -> None:
    _, beside = both
    unheard = recordings(beside.predicted.streams, count=46)[40:]
    errors = pitch_errors(beside, unheard)
    assert errors["predicted_voicing_error"] < 0.35  # three of seven codes have no voice
    assert 0 < errors["predicted_pitch_error"] < 100  # cents; heights differ by 450 (standard deviation)


def test_four_threads_continue_the_pitch_as_one(both: tuple[LanguageModel, WithStreams]) -> None:
    _, beside = both
    clips = recordings(beside.predicted.streams, count=3)

    def answer(number: int) -> bytes:
        return beside.generate(clips[number], seconds=0.2, seed=7).values.tobytes()

    require_alike(answer, len(clips))


def test_a_stream_has_the_pitch_of_the_whole(both: tuple[LanguageModel, WithStreams]) -> None:
    _, beside = both
    [clip] = recordings(beside.predicted.streams, count=1)
    for prompt in (None, clip.crop(0, 7)):
        [whole] = beside.generate_batch([prompt], seconds=SECONDS, sampling=CodeSampling(), seed=2)
        parts = [*beside.stream(prompt, seconds=SECONDS, sampling=CodeSampling(), seed=2)]
        assert [len(part) for part in parts] == [1] * len(whole)
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)


def test_a_continuation_is_as_loud_as_the_end_of_its_prompt(both: tuple[LanguageModel, WithStreams]) -> None:
    """Alone and beside the pitch; without a prompt it is at the level that codes stand for."""
    for model in both:
        level = LevelFormat(levels=70, lowest=-60.0, reference=-15.0)
        form = replace(model.format, streams=model.format.streams + 1, level=level)
        louder = WithStreams(model.gpt, form, model.pitch if isinstance(model, WithStreams) else None)
        [clip] = recordings(model.predicted.streams, count=1)
        prompt = clip.spectral.with_side_streams(louder.format, {level: np.arange(len(clip)) % 40})
        for heard, wanted in ((prompt, (len(clip) - 1) % 40), (prompt.crop(0, 7), 6), (None, 45), (clip.spectral, 45)):
            [more] = louder.generate_batch([heard], seconds=SECONDS, sampling=CodeSampling(), seed=2)
            assert {*more.side_stream(level).tolist()} == {wanted}
            [plain] = model.generate_batch([heard and heard.spectral], seconds=SECONDS, sampling=CodeSampling(), seed=2)
            np.testing.assert_array_equal(more.spectral.values, plain.spectral.values)
            parts = [*louder.stream(heard, seconds=SECONDS, sampling=CodeSampling(), seed=2)]
            np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), more.values)


def test_pitch_follows_from_the_seed_and_has_noise_only_with_a_temperature(
    both: tuple[LanguageModel, WithStreams],
) -> None:
    assert both[1].pitch is not None
    noisy, states, past = replace(both[1].pitch, spread=0.2), np.zeros((50, TINY.model_dim)), np.full(9, 30, np.int32)
    first, again, other, flat, same = (
        noisy.predict(states, past, PITCH, np.random.default_rng(seed), temperature=temperature)
        for seed, temperature in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.0), (1, 0.0))
    )
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(flat, same)
    assert not flat.any() or (first != other).any()


def test_a_saved_head_is_the_same_head(both: tuple[LanguageModel, WithStreams], tmp_path: Path) -> None:
    _, beside = both
    beside.save_pretrained(tmp_path)
    loaded = LanguageModel.from_pretrained(tmp_path)
    assert isinstance(loaded, WithStreams)
    assert loaded.pitch == beside.pitch
    assert loaded.format == beside.format
    [prompt] = recordings(beside.predicted.streams, count=1)
    one, other = (each.generate(prompt, seconds=SECONDS, seed=1) for each in (beside, loaded))
    np.testing.assert_array_equal(one.values, other.values)


def test_a_saved_model_of_pitched_codes_without_its_head_is_refused(tmp_path: Path) -> None:
    codes = pitched(random_codes(4, streams=1), np.zeros(4, np.int32)).format
    LanguageModel.create(TINY, codes, seed=0).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["pitch"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="pitch is missing"):
        LanguageModel.from_pretrained(tmp_path)


def test_recordings_without_a_voice_give_a_silent_head() -> None:
    head = fit_pitch([(np.ones((5, 3)), np.zeros(5, np.int32))], PITCH, 3)
    assert head == PitchHead.silent(3)
    found = head.predict(np.ones((4, 3)), np.zeros(0, np.int32), PITCH, np.random.default_rng(0), temperature=1.0)
    assert not found.any()
