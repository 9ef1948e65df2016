"""Samples as callers have them: each way of writing the same sound is the same sound, or is refused in one line."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from wordless.audio.mono import as_waveform, mono
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError

SOUND = (np.arange(-16, 16) / 32).astype(np.float32)


@pytest.mark.parametrize(
    "given",
    [
        SOUND,
        SOUND.astype(np.float64),
        SOUND.astype(np.float16),
        (SOUND * 2**15).astype(np.int16),
        (SOUND.astype(np.float64) * 2**31).astype(np.int32),
        SOUND.tolist(),
        tuple(SOUND),
        torch.from_numpy(SOUND),
        torch.from_numpy(SOUND).double().requires_grad_(),
        torch.from_numpy(SOUND).bfloat16(),
        SOUND[None],
        SOUND[:, None],
        np.stack([SOUND, SOUND]),
        np.stack([SOUND * 2, SOUND * 0], axis=1),
        SOUND[::-1][::-1],
    ],
    ids=str,
)
def test_all_ways_to_write_a_sound_are_the_same(given: object) -> None:
    found = mono(given)
    assert found.dtype == np.float32
    assert np.array_equal(found, SOUND)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (SOUND + 1j, "complex64"),
        (["a", "b"], "<U1|str"),
        ([1, 2, 3], "int64"),
        (SOUND > 0, "bool"),
        (None, "object"),
        ([[1.0, 2.0], [1.0]], "array"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([0.0, 1e300]), "not finite"),
        (np.array([0.0, -32768.0]), "3.28e\\+04"),
        (SOUND * 8000, "4e\\+03"),
        (Waveform(samples=SOUND * 8000, sample_rate=8_000), "4e\\+03"),
        (np.zeros((4, 5)), r"\(4, 5\)"),
        (np.zeros((40, 50)), r"\(40, 50\)"),
        (np.zeros((2, 2, 9)), "encode_batch"),
        *((np.zeros((rows, 900)), "encode_batch") for rows in range(3, 9)),
        (torch.zeros(4, 16_000), "encode_batch"),
        ([[0.0] * 90] * 3, "encode_batch"),
        (0.5, r"\(\)"),
    ],
    ids=str,
)
def test_what_could_be_meant_in_two_ways_is_refused(given: object, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        as_waveform(given, None if isinstance(given, Waveform) else 8_000)  # type: ignore[arg-type]  # wrong types, too
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("empty", [lambda: np.zeros(0), list, lambda: torch.zeros(0)])
def test_nothing_is_no_sound_and_no_error(empty: Callable[[], object]) -> None:
    assert mono(empty()).shape == (0,)


@pytest.mark.parametrize(
    "rate", [44_100, 44_100.0, np.float32(44_100), np.int64(44_100), np.array(44_100), torch.tensor(44_100.0)]
)
def test_a_whole_rate_of_any_type_is_the_rate(rate: int) -> None:
    waveform = as_waveform(SOUND, rate)
    assert (waveform.sample_rate, type(waveform.sample_rate)) == (44_100, int)
    assert as_waveform(waveform, None) is waveform
    assert isinstance(waveform, Waveform)
    assert as_waveform(waveform, rate) is waveform
    with pytest.raises(InputError, match=r"sample_rate\b.*\b16000 Hz\b.*\b44100 Hz\b"):
        as_waveform(waveform, 16_000)


@pytest.mark.parametrize(
    "rate", ["44100", 44_100.5, 0, 0.5, -8000, float("nan"), float("inf"), 2_000_000, True, [44_100], np.array([1])]
)
def test_other_rates_are_refused(rate: int) -> None:
    with pytest.raises(InputError, match="sample_rate") as error:
        as_waveform(SOUND, rate)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channels", range(2, 9))
def test_channels_last_are_channels(channels: int) -> None:
    stacked = np.stack([SOUND * number for number in range(channels)], axis=1)
    np.testing.assert_allclose(mono(stacked), SOUND * (channels - 1) / 2, atol=1e-6)
    assert np.array_equal(mono(stacked, channel=1), SOUND)
    assert np.array_equal(mono(stacked, channel="loudest"), SOUND * (channels - 1))
    with pytest.raises(InputError, match=rf"{channels} channels"):
        mono(stacked, channel=channels)


def test_the_only_channel_is_the_chosen_one() -> None:
    for one in (SOUND, SOUND[None], SOUND[:, None]):
        for channel in ("mean", 0, 1, "loudest"):
            assert np.array_equal(mono(one, channel=channel), SOUND)  # type: ignore[arg-type]  # plain text


def test_stereo_of_either_library_has_its_channels() -> None:
    first = np.stack([SOUND, -SOUND])
    for stereo in (first, first.T, torch.from_numpy(first)):
        assert not mono(stereo).any()
        assert np.array_equal(mono(stereo, channel=1), -SOUND)


@pytest.mark.parametrize("rate", [1, 10, 200, 999])
def test_low_rates_are_rates(rate: int) -> None:
    assert as_waveform(SOUND, rate).sample_rate == rate
