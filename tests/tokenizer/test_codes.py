"""The contract of codes, and soft assignments of bottlenecks to codes."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.codes import (
    Codes,
    CodesFormat,
    LevelFormat,
    PitchFormat,
    join_codes,
    require_same_codebook,
)
from wordless.base.messages import InputError
from wordless.base.options import build

FORMAT = CodesFormat(
    codebook_size=16, streams=2, samples_per_code=160, sample_rate=16_000, tokenizer="front", codebook="book"
)


def codes(steps: int, num_samples: int | None = None) -> Codes:
    values = np.arange(steps * 2, dtype=np.int32).reshape(steps, 2) % 16
    return Codes(values=values, num_samples=steps * 160 if num_samples is None else num_samples, format=FORMAT)


@given(steps=st.integers(1, 9), missing=st.integers(0, 159), start=st.integers(0, 9), length=st.integers(0, 9))
def test_a_crop_keeps_its_samples(steps: int, missing: int, start: int, length: int) -> None:
    whole = codes(steps, steps * 160 - missing)
    start, stop = min(start, steps), min(start + length, steps)
    part = whole.crop(start, stop)
    assert np.array_equal(part.values, whole.values[start:stop])
    assert part.num_samples == max(min(stop * 160, whole.num_samples) - start * 160, 0)


def test_a_prompt_and_what_follows_are_one_sound() -> None:
    whole = join_codes(codes(2), codes(3, 400))
    assert np.array_equal(whole.values, np.concatenate([codes(2).values, codes(3).values]))
    assert whole.num_samples == 320 + 400
    assert FORMAT.bits_per_second == FORMAT.codes_per_second * 2 * 4 == 800


OTHER = replace(FORMAT, codebook="other")
PITCH = PitchFormat(levels=8, lowest=100.0, highest=200.0)
PITCHED = replace(FORMAT, pitch=PITCH)
LEVEL = LevelFormat(levels=30, lowest=-40.0, reference=-20.0)
BOTH = replace(PITCHED, streams=3, level=LEVEL)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Codes(values=np.full((1, 2), 16, np.int32), num_samples=160, format=FORMAT), r"\b0\b.*\b15\b"),
        (lambda: Codes(values=np.zeros((3, 1), np.int32), num_samples=480, format=FORMAT), r"\(time, 2\)"),
        (lambda: codes(3, 481), r"\b4 time steps"),
        (lambda: require_same_codebook(FORMAT, OTHER, owner="the model"), r"\bmodel\b.*\bbook\b.*\bother\b"),
        (lambda: join_codes(codes(2), replace(codes(3), format=OTHER)), r"prompt\b.*\bbook\b"),
        (lambda: join_codes(codes(2), [1, 2]), r"\blist\b.*\bCodes\b"),  # type: ignore[arg-type]
        (lambda: replace(PITCH, levels=2), "levels"),
        (lambda: replace(PITCH, lowest=200.0), "highest"),
        (lambda: replace(PITCH, highest=math.inf), "highest"),
        (lambda: replace(PITCHED, streams=1), "streams"),
        (lambda: replace(BOTH, streams=2), "streams"),
        (lambda: replace(LEVEL, reference=-50.0), r"level\b.*\breference"),
        (lambda: replace(LEVEL, lowest=math.nan), r"level\b.*\breference"),
        (lambda: Codes(values=np.array([[3, 30, 2]], np.int32), num_samples=1, format=BOTH), r"level has.*29"),
        (lambda: Codes(values=np.full((1, 2), 9, np.int32), num_samples=1, format=PITCHED), "pitch"),
        *(
            (lambda name=name: require_same_codebook(FORMAT, replace(FORMAT, **{name: 32}), owner="x"), rf"{name}\b")
            for name in ("codebook_size", "samples_per_code", "sample_rate")
        ),
    ],
)
def test_codes_that_break_their_contract_are_refused(make: Callable[[], object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        make()


def test_side_streams_are_taken_off_and_put_back() -> None:
    both = Codes(values=np.array([[3, 25, 0], [4, 26, 7]], np.int32), num_samples=320, format=BOTH)
    assert both.format.side_streams == (LEVEL, PITCH)
    assert [both.side_stream(each).tolist() for each in BOTH.side_streams] == [[25, 26], [0, 7]]
    plain = both.spectral
    assert (plain.values.tolist(), plain.format.side_streams, plain.spectral) == ([[3], [4]], (), plain)
    assert plain.with_side_streams(BOTH, {each: both.side_stream(each) for each in BOTH.side_streams}) == both
    assert plain.with_side_streams(BOTH).values.tolist() == [
        [3, 20, 0],
        [4, 20, 0],
    ]  # the reference level, and no voice
    other = both.with_side_streams(BOTH, {PITCH: np.array([5, 5])})
    assert other.values.tolist() == [[3, 25, 5], [4, 26, 5]]
    assert LEVEL.quantise(torch.tensor([-math.inf, -40.6, -30.4, 9.0])).tolist() == [0, 0, 10, 29]
    assert LEVEL.gains(torch.tensor([0, 20, 29])).tolist() == [-20, 0, 9]
    assert build(CodesFormat, BOTH.as_dict(), name="") == BOTH


def test_numpy_reads_codes_and_codes_are_compared_by_what_they_hold() -> None:
    own = codes(3)
    assert np.shares_memory(np.asarray(own), own.values)
    assert not np.shares_memory(np.array(own), own.values)
    assert np.asarray(own, np.int64).tolist() == own.values.tolist()
    assert codes(0)  # codes of no sound are not missing
    assert codes(3) == own != codes(2)
    assert len({own, codes(3)}) == 1
    with pytest.raises(ValueError, match="read-only"):
        own.values[0] = 10_000  # which the check of the codebook would refuse
    np.array(own)[0] = 10_000


@given(num_samples=st.integers(0, 2000))
def test_codes_and_their_times_cover_every_sample_and_no_more(num_samples: int) -> None:
    steps = FORMAT.steps(num_samples)
    assert steps * 160 >= num_samples > (steps - 1) * 160 or num_samples == steps == 0
    times = codes(steps, num_samples).times
    assert times.shape == (steps, 2)
    assert times[:, 1].tolist()[:-1] == times[:, 0].tolist()[1:]
    if steps:
        assert (times[0, 0], times[-1, 1]) == (0, num_samples / 16_000)
        assert (times[:, 1] > times[:, 0]).all()
