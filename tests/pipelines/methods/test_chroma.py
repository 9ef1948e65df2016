"""Chroma of tones whose pitch class is known."""

import numpy as np
import pytest

from pipelines.methods.chroma import chroma_frames


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
