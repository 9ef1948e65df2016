"""Pitch beside the codes: the GPT is that of the codes alone, and a head predicts the pitch from its states."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lm.language_tests import pitch_errors, score
from lm.model import LanguageModel
from lm.options import CodeSampling, GPTConfig
from lm.pitch import PitchHead, fit_pitch
from tests.lm.tiny import TINY, codes_format
from tokenizer.codes import Codes, PitchFormat
from wordless.base.errors import InputError

PITCH = PitchFormat(levels=64, lowest=80.0, highest=320.0)  # 2 octaves in 62 steps
SECONDS = 40 * 320 / 16_000


def pitched(plain: Codes, pitch: np.ndarray) -> Codes:
    return plain.with_pitch(pitch, replace(plain.format, streams=plain.format.streams + 1, pitch=PITCH))


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
def both(request: pytest.FixtureRequest) -> tuple[LanguageModel, LanguageModel]:
    """A model of codes alone, and one with pitch beside them, fitted to recordings."""
    streams, interleaving = request.param
    config: GPTConfig = replace(TINY, interleaving=interleaving)
    [clip, *_] = recordings(streams, count=1)
    alone, beside = (LanguageModel.create(config, each, seed=0) for each in (clip.format.spectral, clip.format))
    beside.fit_pitch(recordings(streams))
    return alone, beside


def test_the_gpt_is_that_of_the_codes_alone(both: tuple[LanguageModel, LanguageModel]) -> None:
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


def test_codes_with_and_without_pitch_are_read_alike(both: tuple[LanguageModel, LanguageModel]) -> None:
    _, beside = both
    [clip] = recordings(beside.predicted.streams, count=1)
    np.testing.assert_array_equal(beside.log_probabilities(clip), beside.log_probabilities(clip.spectral))
    other = replace(clip.spectral.format, codebook="c2")
    with pytest.raises(InputError, match="c2"):
        beside.log_probabilities(replace(clip.spectral, format=other))


def test_a_continuation_keeps_the_height_and_the_voicing_of_its_prompt(
    both: tuple[LanguageModel, LanguageModel],
) -> None:
    _, beside = both
    unheard = recordings(beside.predicted.streams, count=46)[40:]
    errors = pitch_errors(beside, unheard)
    assert errors["predicted_voicing_error"] < 0.35  # three of seven codes have no voice
    assert 0 < errors["predicted_pitch_error"] < 100  # cents; heights differ by 450 (standard deviation)


def test_a_stream_has_the_pitch_of_the_whole(both: tuple[LanguageModel, LanguageModel]) -> None:
    _, beside = both
    [clip] = recordings(beside.predicted.streams, count=1)
    for prompt in (None, clip.crop(0, 7)):
        [whole] = beside.generate_batch([prompt], seconds=SECONDS, sampling=CodeSampling(), seed=2)
        parts = [*beside.stream(prompt, seconds=SECONDS, sampling=CodeSampling(), seed=2)]
        assert [len(part) for part in parts] == [1] * len(whole)
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)


def test_pitch_follows_from_the_seed_and_has_noise_only_with_a_temperature(
    both: tuple[LanguageModel, LanguageModel],
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


def test_a_saved_head_is_the_same_head(both: tuple[LanguageModel, LanguageModel], tmp_path: Path) -> None:
    _, beside = both
    beside.save_pretrained(tmp_path)
    loaded = LanguageModel.from_pretrained(tmp_path)
    assert loaded.pitch == beside.pitch
    assert loaded.format == beside.format
    [prompt] = recordings(beside.predicted.streams, count=1)
    one, other = (each.generate(prompt, seconds=SECONDS, seed=1) for each in (beside, loaded))
    np.testing.assert_array_equal(one.values, other.values)


def test_recordings_without_a_voice_give_a_silent_head() -> None:
    head = fit_pitch([(np.ones((5, 3)), np.zeros(5, np.int32))], PITCH, 3)
    assert head == PitchHead.silent(3)
    found = head.predict(np.ones((4, 3)), np.zeros(0, np.int32), PITCH, np.random.default_rng(0), temperature=1.0)
    assert not found.any()
