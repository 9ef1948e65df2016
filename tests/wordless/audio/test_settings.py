"""Window and hop in milliseconds or in samples, and mel bands that hold something."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wordless.audio.options import AudioSettings, SpectrogramConfig, empty_bands
from wordless.base.configuration import build
from wordless.base.errors import InputError

OTHERS: dict[str, Any] = {
    "n_mels": 40,
    "f_min": 0.0,
    "f_max": None,
    "floor": 1e-4,
    "dynamic_range": None,
    "remove_mean": "none",
    "channel": "mean",
}


def spectrogram(**values: object) -> SpectrogramConfig:
    return build(AudioSettings, {"sample_rate": 16_000, **OTHERS, **values}, name="audio").spectrogram()


@pytest.mark.parametrize(
    ("rate", "window", "hop"),
    [(8_000, 200, 80), (16_000, 400, 160), (22_050, 551, 220), (44_100, 1102, 441), (48_000, 1200, 480)],
)
def test_a_window_is_as_long_at_every_rate(rate: int, window: int, hop: int) -> None:
    config = spectrogram(sample_rate=rate)
    assert (config.window_length, config.hop_length) == (window, hop)


def test_samples_take_the_place_of_the_default() -> None:
    assert spectrogram(window_length=512).window_length == 512
    assert spectrogram(window_length=512, window_ms=None).hop_length == 160
    assert spectrogram(hop_length=100).hop_length == 100
    assert spectrogram(window_ms=32.0, hop_ms=8).window_length == 512


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"window_ms": 32.0, "window_length": 512}, r"audio\.window_ms\b.*\b32\b.*audio\.window_length\b.*\b512\b"),
        ({"hop_ms": 5.0, "hop_length": 160}, r"audio\.hop_ms=null\b.*audio\.hop_length=null"),
        ({"hop_ms": None}, r"audio\.hop_ms\b.*audio\.hop_length\b.*null.*audio\.hop_ms=10\b"),
        ({"window_ms": 0}, r"audio\.window_ms\b.*\b0\b"),
        ({"window_ms": float("inf")}, r"audio\.window_ms=inf\b"),
        ({"hop_ms": 30.0}, r"audio\.hop_length\b.*\b480\b.*audio\.window_length\b.*\b400 samples"),
        ({"window_length": 1_000_000_000}, r"audio\.window_length\b.*\b1000000000 samples\b.*\b65536\b"),
        ({"sample_rate": 10**12}, r"audio\.sample_rate\b.*\b1000000000000\b"),
        ({"sample_rate": 1_000_000, "n_mels": 1025}, r"audio\.n_mels\b.*\b1025\b.*\b1024\b"),
    ],
)
def test_lengths_that_will_not_do_are_refused(values: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        spectrogram(**values)
    assert "\n" not in str(refused.value)


def test_empty_bands_are_refused_with_what_would_do() -> None:
    told = (
        r"audio\.n_mels\b.*\b80\b.*\b5 bands\b.*\b400 samples\b.*\b8\.333 ms\b.*\b120 Hz\b.*"
        r"\baudio\.n_mels=(\d+)\b.*\baudio\.window_ms=([\d.]+)\b"
    )
    values: dict[str, object] = {"sample_rate": 48_000, "window_length": 400, "hop_length": 160, "n_mels": 80}
    with pytest.raises(InputError, match=told) as refused:
        spectrogram(**values)
    found = re.search(told, str(refused.value))
    assert found
    fewer, window = found.groups()
    assert spectrogram(**{**values, "n_mels": int(fewer)})
    assert spectrogram(sample_rate=48_000, n_mels=80, window_ms=float(window))


@given(st.sampled_from([4_000, 8_000, 16_000, 48_000]), st.integers(20, 1_000), st.integers(1, 100))
def test_a_band_is_empty_where_no_bin_lies_between_its_edges(rate: int, window: int, bands: int) -> None:
    """The bins of torchaudio's filters, at which LogMel looks; floating point decides where a bin lies on an edge."""
    if bands > window // 2:
        return
    config = SpectrogramConfig(sample_rate=rate, window_length=window, hop_length=10, n_mels=bands)
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = [700 * (10 ** (top * number / (bands + 1) / 2595) - 1) for number in range(bands + 2)]
    bins = [number * (rate / 2) / (window // 2) for number in range(window // 2 + 1)]

    def empty(slack: float) -> int:
        inside = [
            any(low + slack < each < high - slack for each in bins) for low, high in zip(edges, edges[2:], strict=False)
        ]
        return inside.count(False)

    assert empty(-0.01) <= empty_bands(config) <= empty(0.01)


@pytest.mark.parametrize(
    "values",
    [
        {"sample_rate": 200, "window_ms": 640.0, "hop_ms": 80.0, "n_mels": 40},
        {"sample_rate": 10, "window_ms": 8_000.0, "hop_ms": 1_000.0, "n_mels": 20},
        {"sample_rate": 2, "window_ms": None, "hop_ms": None, "window_length": 64, "hop_length": 8, "n_mels": 8},
    ],
)
def test_front_ends_of_low_rates_have_full_bands(values: dict[str, object]) -> None:
    assert not empty_bands(spectrogram(**values))


def test_a_window_with_too_few_frequencies_for_a_low_rate_names_one_that_has_enough() -> None:
    with pytest.raises(InputError, match=r"audio\.window_ms=800") as refused:
        spectrogram(sample_rate=200, n_mels=80)
    assert "audio.n_mels" in str(refused.value)
