"""MFCC and chroma of sounds of which they are known."""

import numpy as np
import pytest

from pipelines.methods.signals import COEFFICIENTS, chroma_frames, mfcc_frames
from tests.pipelines.tiny import sweep

OPTIONS = {"sample_rate": 8000, "window_length": 200, "hop_length": 80}


@pytest.mark.parametrize("samples", [1, 200, 4000])
def test_there_is_a_frame_for_each_hop_even_in_short_clips(samples: int) -> None:
    frames = mfcc_frames(sweep(1, 8000)[:samples], **OPTIONS)
    assert frames.shape == (1 + max(samples, 256) // 80, 2 * COEFFICIENTS)
    assert frames.dtype == np.float32
    assert np.isfinite(frames).all()


def test_a_gain_moves_only_the_first_coefficient() -> None:
    sound = sweep(0.5, 8000) + 0.01 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    soft, loud = mfcc_frames(sound / 4, **OPTIONS), mfcc_frames(sound, **OPTIONS)
    np.testing.assert_allclose(loud[:, 1:], soft[:, 1:], atol=1e-2)
    assert (loud[:, 0] > soft[:, 0] + 1).all()


def test_deltas_are_the_slope_of_the_coefficients() -> None:
    """Least squares over nine frames, as HTK has it; the ends repeat."""
    frames = mfcc_frames(sweep(0.5, 8000), **OPTIONS)
    coefficients, deltas = frames[:, :COEFFICIENTS], frames[:, COEFFICIENTS:]
    offsets = np.arange(-4, 5)
    for frame in (10, 25):
        slope = (offsets[:, None] * coefficients[frame + offsets]).sum(0) / (offsets**2).sum()
        np.testing.assert_allclose(deltas[frame], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("hertz", "pitch_class"), [(440.0, 9), (880.0, 9), (261.63, 0), (659.26, 4)])
@pytest.mark.parametrize("sample_rate", [8000, 16_000])
def test_a_tone_is_loudest_in_its_pitch_class(hertz: float, pitch_class: int, sample_rate: int) -> None:
    time = np.arange(sample_rate) / sample_rate
    frames = chroma_frames(np.sin(2 * np.pi * hertz * time).astype(np.float32), sample_rate=sample_rate, hop_length=160)
    assert frames.shape == (1 + sample_rate // 160, 12)
    assert set(frames[5:-5].argmax(1).tolist()) == {pitch_class}  # C is 0, A is 9


@pytest.mark.parametrize("samples", [1, 3000])
def test_silence_and_short_clips_have_finite_frames(samples: int) -> None:
    frames = chroma_frames(np.zeros(samples, np.float32), sample_rate=8000, hop_length=80)
    assert np.isfinite(frames).all()
    assert not frames.any()
