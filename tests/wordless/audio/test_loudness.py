"""Equally loud sounds have one level, none of them clips, and pauses do not count."""

import numpy as np
import pytest

from wordless.audio.excerpts import PEAK, active_level, equally_loud
from wordless.audio.waveform import Waveform

RATE = 8000


def noise(level: float, seconds: float = 0.5, *, pause: float = 0.0) -> Waveform:
    samples = np.random.default_rng(1).normal(0, level, round(seconds * RATE)).astype(np.float32)
    return Waveform(samples=np.pad(samples, (0, round(pause * RATE))), sample_rate=RATE)


def test_a_pause_does_not_change_the_level() -> None:
    assert active_level(noise(0.1)) == pytest.approx(0.1, rel=0.05)
    assert active_level(noise(0.1, pause=2.0)) == pytest.approx(active_level(noise(0.1)), rel=0.01)
    assert active_level(Waveform(samples=np.zeros(100, np.float32), sample_rate=RATE)) == 0


def test_sounds_become_equally_loud_without_clipping() -> None:
    sounds = [noise(0.01), noise(0.3, pause=1.0), Waveform(samples=np.zeros(80, np.float32), sample_rate=RATE)]
    quiet, loud, silent = equally_loud(sounds)
    assert active_level(quiet) == pytest.approx(active_level(loud), rel=1e-4)
    assert max(np.abs(quiet.samples).max(), np.abs(loud.samples).max()) == pytest.approx(PEAK, rel=1e-4)
    assert not silent.samples.any()
    assert equally_loud([]) == []
