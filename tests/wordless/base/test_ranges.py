"""Checks of option values."""

import math

import pytest

from wordless.base.errors import InputError, samples_to_generate


def test_the_length_of_one_sample_is_a_sample_at_every_rate() -> None:
    assert all(samples_to_generate(1 / rate, rate) == 1 for rate in range(1000, 48_001, 100))


@pytest.mark.parametrize("seconds", [0, -1, 1e-9, math.inf, math.nan])
def test_no_length_is_refused(seconds: float) -> None:
    with pytest.raises(InputError, match=r"seconds\b.*\b0 seconds"):
        samples_to_generate(seconds, 16_000)
