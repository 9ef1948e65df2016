"""The pitch of a voice: the definition, known tones, and sound that arrives in pieces."""

import numpy as np
import pytest

from tests.reference import tracked_pitch
from wordless.audio.pitch import HOPS_TOGETHER, PitchTracker, resolves_pitch, track_pitch
from wordless.audio.waveform import FloatArray

RATE, HOP = 8_000, 80


def voice(hertz: float, seconds: float, rate: int = RATE) -> FloatArray:
    """A tone with overtones, as a voice has."""
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(sum(0.1 / n * np.sin(2 * np.pi * n * hertz * time + n) for n in range(1, 9)), np.float32)


def noise(seconds: float, rate: int = RATE) -> FloatArray:
    return np.random.default_rng(0).normal(0, 0.05, round(seconds * rate)).astype(np.float32)


MIXED = np.concatenate([noise(0.1), voice(130, 0.15), voice(210, 0.1), noise(0.05), voice(95, 0.121)])


@pytest.mark.parametrize(("samples", "hop"), [(MIXED, HOP), (MIXED[:3000], 97), (np.zeros(500, np.float32), HOP)])
def test_equals_the_reference(samples: FloatArray, hop: int) -> None:
    found = track_pitch(samples, RATE, hop)
    assert len(found) == -(-len(samples) // hop)
    np.testing.assert_allclose(found, tracked_pitch(samples, RATE, hop), atol=1e-7)


@pytest.mark.parametrize(
    "cuts", [[1, 79, 80], [HOPS_TOGETHER * HOP, 2 * HOPS_TOGETHER * HOP + 300], [5000, 5000, 8123]]
)
def test_pieces_of_any_size_give_the_pitch_of_the_whole(cuts: list[int]) -> None:
    whole = np.tile(MIXED, 3)
    tracker = PitchTracker(RATE, HOP)
    pieces = [tracker.add(piece) for piece in np.split(whole, cuts)]
    np.testing.assert_array_equal(np.concatenate([*pieces, tracker.finish()]), track_pitch(whole, RATE, HOP))


@pytest.mark.parametrize("rate", [4_000, 16_000, 44_100])
@pytest.mark.parametrize("hertz", [75.0, 180.0, 333.0])
def test_tones_have_their_pitch(rate: int, hertz: float) -> None:
    found = track_pitch(voice(hertz, 0.5, rate), rate, rate // 100)
    inner = found[5:-5]
    assert np.abs(1200 * (inner - np.log2(hertz))).max() < 20  # cents


def test_noise_and_silence_have_none() -> None:
    assert np.isnan(track_pitch(noise(0.6), RATE, HOP)).mean() > 0.9
    assert np.isnan(track_pitch(np.zeros(4000, np.float32), RATE, HOP)).all()
    assert not len(track_pitch(np.zeros(0, np.float32), RATE, HOP))


def test_low_rates_resolve_no_pitch() -> None:
    assert resolves_pitch(4_000)
    assert not resolves_pitch(2_000)
