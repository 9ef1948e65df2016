"""Hearings: the same recording at other rates, begun later."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.wordless.audio.recordings.reference import radical_inverse
from wordless.audio.reading import read
from wordless.audio.recordings.hearings import AS_RECORDED, LATEST, RANGES, Hearing, hearings
from wordless.audio.recordings.manifest import Clip

RATE = 8000


def _clip(path: Path, samples: int, *, rate: int = RATE, start: int = 0) -> Clip:
    noise = np.random.default_rng(0).normal(0, 0.1, start + samples).astype(np.float32)
    soundfile.write(path, noise, rate, subtype="FLOAT")
    return Clip(path=path.name, start=start, num_samples=samples, sample_rate=rate, size=0, sha256="")


def test_hearings_follow_a_halton_sequence_after_the_recording_as_it_is() -> None:
    first, *others = hearings(12, spread=0.25)
    assert first == AS_RECORDED
    for number, hearing in enumerate(others, start=1):
        rate, skipped, share = (radical_inverse(number, base) for base in (2, 3, 5))
        assert hearing.rate == pytest.approx(1.25 ** (2 * rate - 1), abs=1e-6)
        assert hearing.skipped == pytest.approx(LATEST * skipped, abs=1e-6)
        assert hearing.dynamic_range == pytest.approx(RANGES[0] + (RANGES[1] - RANGES[0]) * share, abs=1e-6)
    assert hearings(4, spread=0.25) == (first, *others[:3]), "fewer hearings are the first ones"
    assert {each.rate for each in hearings(9, spread=0.0)} == {1.0}


def test_a_hearing_is_the_recording_at_another_rate_without_its_beginning(tmp_path: Path) -> None:
    clip, hearing = _clip(tmp_path / "a.wav", 3000, rate=16000), Hearing(rate=1.25, skipped=0.01)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    wanted = soxr.resample(samples, rate, 10_000, quality="HQ")[80:]
    found = np.concatenate([*hearing.blocks(tmp_path, clip, RATE)])
    assert len(found) == hearing.num_samples(clip, RATE) == 1875 - 80
    np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-5)
    np.testing.assert_array_equal(hearing.samples(tmp_path, clip, RATE), found)


@pytest.mark.parametrize("samples", [1, 2, 100, 161])
@pytest.mark.parametrize("hearing", hearings(5, spread=0.25))
def test_a_hearing_of_a_short_clip_has_a_sample_at_least(hearing: Hearing, samples: int, tmp_path: Path) -> None:
    clip = _clip(tmp_path / "a.wav", samples, start=7)
    found = np.concatenate([*hearing.blocks(tmp_path, clip, RATE)])
    assert len(found) == hearing.num_samples(clip, RATE) >= 1


def test_the_recording_as_it_is_is_read_as_ever(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "a.wav", 500, rate=11025)
    found = np.concatenate([*AS_RECORDED.blocks(tmp_path, clip, RATE)])
    np.testing.assert_array_equal(found, read(tmp_path / "a.wav", RATE).samples)


def test_a_range_is_a_share_of_the_front_ends_own() -> None:
    assert Hearing(dynamic_range=0.75).decibels(40.0) == 30.0
    assert Hearing(dynamic_range=0.75).decibels(None) is None
