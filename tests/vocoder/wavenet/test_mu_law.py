import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.vocoder.sounds import tiny_config
from vocoder.wavenet import mu_law
from wordless.base.errors import InputError


@given(st.lists(st.floats(-1, 1, width=32), min_size=1), st.sampled_from([16, 255, 256, 1024]))
def test_round_trip_stays_within_half_a_level(samples: list[float], levels: int) -> None:
    given_ = torch.tensor(samples)
    values = mu_law.encode(given_, levels=levels)
    low = mu_law.decode((values - 1).clamp(min=0), levels=levels)
    high = mu_law.decode((values + 1).clamp(max=levels - 1), levels=levels)
    assert values.dtype == torch.int64
    assert bool(((low <= given_ + 1e-6) & (given_ <= high + 1e-6)).all())


@pytest.mark.parametrize("levels", [2, 16, 255, 256, 4096])
def test_every_level_comes_back(levels: int) -> None:
    values = torch.arange(levels)
    samples = mu_law.decode(values, levels=levels)
    assert samples.dtype == torch.float32
    assert torch.equal(mu_law.encode(samples, levels=levels), values)


def test_formula_of_g711() -> None:
    x = np.array([-1.0, -0.3, -1e-3, 0.02, 0.5, 1.0])
    companded = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    values = mu_law.encode(torch.from_numpy(x))
    assert values.tolist() == np.floor((companded + 1) / 2 * 255 + 0.5).astype(int).tolist()


def test_clips_what_lies_outside() -> None:
    assert mu_law.encode(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_silence_is_inaudible() -> None:
    assert abs(float(mu_law.decode(torch.tensor([mu_law.silence()])))) < 1e-4


def test_refuses_too_few_levels() -> None:
    with pytest.raises(InputError, match=r"levels\b.*\b1\b"):
        tiny_config(levels=1)
