"""The contract of codes, and soft assignments of bottlenecks to codes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tokenizer.codes import Codes, CodesFormat, join_codes, require_same_codebook, soft_assignments, spacings_of
from wordless.base.errors import InputError

FORMAT = CodesFormat(
    codebook_size=16, streams=2, samples_per_code=160, sample_rate=16_000, tokenizer="front", codebook="book"
)


def codes(steps: int, num_samples: int | None = None) -> Codes:
    values = np.arange(steps * 2, dtype=np.int32).reshape(steps, 2) % 16
    return Codes(values=values, num_samples=steps * 160 if num_samples is None else num_samples, format=FORMAT)


@given(num_samples=st.integers(0, 2000))
def test_steps_cover_every_sample_and_no_more(num_samples: int) -> None:
    steps = FORMAT.steps(num_samples)
    assert steps * 160 >= num_samples > (steps - 1) * 160 or num_samples == steps == 0


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
    with pytest.raises(InputError, match=r"prompt\b.*\bbook\b"):
        join_codes(codes(2), replace(codes(3), format=replace(FORMAT, codebook="other")))
    with pytest.raises(InputError, match=r"\blist\b.*\bCodes\b"):
        join_codes(codes(2), [1, 2])  # type: ignore[arg-type]


def test_rates() -> None:
    assert FORMAT.codes_per_second == 100
    assert FORMAT.bits_per_second == 100 * 2 * 4


def test_codes_that_break_their_contract_are_refused() -> None:
    with pytest.raises(InputError, match=r"\b0\b.*\b15\b"):
        Codes(values=np.full((1, 2), 16, np.int32), num_samples=160, format=FORMAT)
    with pytest.raises(InputError, match=r"\(time, 2\)"):
        Codes(values=np.zeros((3, 1), np.int32), num_samples=480, format=FORMAT)
    with pytest.raises(InputError, match=r"\b4 time steps"):
        codes(3, 481)
    with pytest.raises(InputError, match=r"\bmodel\b.*\bbook\b.*\bother\b.*wordless encode\b"):
        require_same_codebook(FORMAT, replace(FORMAT, codebook="other"), owner="the model")


def test_numpy_reads_codes_and_copies_as_it_is_told() -> None:
    own = codes(3)
    assert len(own) == 3
    assert np.shares_memory(np.asarray(own), own.values)
    assert not np.shares_memory(np.array(own), own.values)
    assert np.shares_memory(np.array(own, copy=None), own.values)
    assert np.asarray(own, np.int64).tolist() == own.values.tolist()
    assert np.asarray(own, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(own, np.int64, copy=False)
    assert np.array_equal(np.concatenate([own, own]), np.concatenate([own.values, own.values]))
    assert codes(0)  # codes of no sound are not missing


@given(steps=st.integers(0, 9), missing=st.integers(0, 159))
def test_times_of_codes_cover_the_sound(steps: int, missing: int) -> None:
    own = codes(steps, max(steps * 160 - missing, 0))
    assert own.times.shape == (steps, 2)
    assert own.times[:, 1].tolist()[:-1] == own.times[:, 0].tolist()[1:]
    if steps:
        assert (own.times[0, 0], own.times[-1, 1]) == (0, own.seconds)
        assert (own.times[:, 1] > own.times[:, 0]).all()


def by_loops(bottleneck: list[float], centroids: list[list[float]]) -> list[float]:
    """The softmax of minus the squared distance over the median squared distance to the nearest neighbour."""

    def squared(one: list[float], other: list[float]) -> float:
        return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))

    nearest = sorted(
        min(squared(one, other) for place, other in enumerate(centroids) if place != number)
        for number, one in enumerate(centroids)
    )
    median = nearest[(len(nearest) - 1) // 2]
    powers = [math.exp(-squared(bottleneck, each) / median) for each in centroids]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("codes", [2, 5, 8])
def test_assignments_are_what_loops_find(codes: int) -> None:
    generator = torch.Generator().manual_seed(codes)
    codebook = torch.randn(codes, 3, generator=generator)
    bottlenecks = torch.randn(4, 2, 3, generator=generator)  # (time, bands, bottleneck)
    found = soft_assignments(bottlenecks, codebook[None], spacings_of(codebook[None]))
    assert found.shape == (4, 2, codes)
    for time in range(4):
        for band in range(2):
            wanted = by_loops(bottlenecks[time, band].tolist(), codebook.tolist())
            torch.testing.assert_close(found[time, band], torch.tensor(wanted), atol=1e-5, rtol=1e-4)


def test_a_finer_level_is_assigned_what_the_nearest_coarser_centroid_leaves_over() -> None:
    generator = torch.Generator().manual_seed(0)
    codebooks = torch.randn(2, 6, 3, generator=generator)
    bottlenecks, spacings = torch.randn(4, 2, 3, generator=generator), spacings_of(codebooks)
    found = soft_assignments(bottlenecks, codebooks, spacings).unflatten(1, (2, 2))  # (time, bands, levels, codes)
    torch.testing.assert_close(found[:, :, 0], soft_assignments(bottlenecks, codebooks[:1], spacings[:1]))
    nearest = (bottlenecks[..., None, :] - codebooks[0]).square().sum(-1).argmin(-1)
    rest = bottlenecks - codebooks[0][nearest]
    torch.testing.assert_close(found[:, :, 1], soft_assignments(rest, codebooks[1:], spacings[1:]))
