"""The log-mel front end: exact frames, no look-ahead, and the numbers of a slow reference."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import log_mel_frame
from wordless.audio.options import SMALLEST_FLOOR, SpectrogramConfig
from wordless.audio.spectrogram import LogMel
from wordless.audio.waveform import LOUDEST
from wordless.base.errors import InputError

CONFIG = SpectrogramConfig(sample_rate=8_000, window_length=200, hop_length=80, n_mels=20)


def noise(count: int) -> torch.Tensor:
    return torch.randn(1, count, generator=torch.Generator().manual_seed(count))


@given(st.integers(80, 2_000))
def test_one_frame_for_each_whole_hop(count: int) -> None:
    assert LogMel(CONFIG)(noise(count)).shape == (1, count // 80, 20)


@given(st.integers(1, 20), st.integers(0, 19))
def test_a_frame_sees_nothing_after_its_hop(frames: int, place: int) -> None:
    samples = noise(frames * 80)
    changed = samples.clone()
    changed[:, min(place, frames) * 80 :] += 1.0
    before, after = LogMel(CONFIG)(samples), LogMel(CONFIG)(changed)
    assert torch.equal(before[:, :place], after[:, :place])


def test_every_frame_is_that_of_the_slow_reference() -> None:
    samples = noise(800)
    frames = LogMel(CONFIG)(samples)[0]
    for number, frame in enumerate(frames):
        wanted = log_mel_frame(samples[0].numpy(), number, CONFIG)
        assert torch.allclose(frame, torch.from_numpy(wanted), atol=1e-4)


def test_history_in_front_gives_the_frames_of_the_whole() -> None:
    samples = noise(1_600)
    front = LogMel(CONFIG)
    tail = front.frames(samples[:, 800 - CONFIG.left_context :])
    assert torch.allclose(tail, front(samples)[:, 10:], atol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sample_rate": 0}, r"^sample_rate\b.*\b0\b"),
        ({"hop_length": 401}, r"^hop_length\b.*\b401\b.*\b400\b"),
        ({"f_max": 9_000.0}, r"\bf_max\b.*\b9000\b"),
        ({"n_mels": 201}, r"^n_mels\b.*\b201\b.*\b200\b"),
        ({"floor": 0.0}, r"^floor\b.*\b0\b"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SpectrogramConfig(**values)  # type: ignore[arg-type]  # what a user may give


@pytest.mark.parametrize("floor", [0.0, -1.0, 1e-46, float("nan"), float("inf")])
def test_a_floor_that_leaves_silence_without_a_logarithm_is_refused(floor: float) -> None:
    with pytest.raises(InputError, match=r"^floor\b"):
        SpectrogramConfig(floor=floor)


@pytest.mark.parametrize(
    "config",
    [
        SpectrogramConfig(floor=SMALLEST_FLOOR),
        SpectrogramConfig(sample_rate=1_000, window_length=20, hop_length=10, n_mels=4),
        SpectrogramConfig(window_length=8_000, hop_length=4_000, dynamic_range=40.0, remove_mean="clip"),
    ],
)
def test_the_loudest_sound_that_is_let_in_has_a_finite_spectrogram(config: SpectrogramConfig) -> None:
    loudest = torch.full((1, 16_000), LOUDEST)
    noise = LOUDEST * torch.empty(1, 16_000).uniform_(-1, 1, generator=torch.Generator().manual_seed(0)).sign()
    for samples in (loudest, noise, torch.zeros(1, 16_000), torch.full((1, 16_000), 1e-45)):
        assert LogMel(config)(samples).isfinite().all()
