"""The loudest stretch of a recording, and sounds of equal loudness."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.wordless.audio.conftest import Tone
from wordless.audio.excerpts import (
    PEAK,
    active_level,
    block_energies,
    equally_loud,
    half_energy,
    loudest_window,
    read_loudest,
)
from wordless.audio.reading import read
from wordless.audio.waveform import Part, Waveform

RATE, STEP = 8_000, 160


def word_in_noise(path: Path, *, at: float, seconds: float = 3.0, offset: float = 0.0) -> Path:
    """Soft noise with half a second of loud noise in it, which begins after ``at`` seconds."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.002, round(seconds * RATE)) + offset
    start = round(at * RATE)
    samples[start : start + RATE // 2] += rng.normal(0, 0.2, RATE // 2)
    soundfile.write(path, np.clip(samples, -1, 1), RATE)
    return path


@pytest.mark.parametrize("offset", [0.0, 0.3])
@pytest.mark.parametrize("at", [0.0, 0.7, 1.4, 2.5])
def test_an_excerpt_holds_the_word_and_leaves_it_room(tmp_path: Path, at: float, offset: float) -> None:
    path = word_in_noise(tmp_path / "a.wav", at=at, offset=offset)
    excerpt = read_loudest(path, RATE, 1.0, step=STEP)
    assert not excerpt.whole
    assert excerpt.start % STEP == 0
    assert np.array_equal(excerpt.waveform.samples, read(path, RATE).samples[excerpt.start :][:RATE])
    assert at - 0.5 - STEP / RATE <= excerpt.start_seconds <= at
    assert excerpt.start_seconds == pytest.approx(min(max(at - 0.25, 0), 2), abs=0.05)


def test_a_recording_that_is_not_longer_is_taken_whole(tone: Tone) -> None:
    path = tone("a.ogg", seconds=0.5)
    whole = read(path, 16_000)
    for seconds in (0.5, 3.0):
        excerpt = read_loudest(path, 16_000, seconds, step=STEP)
        assert (excerpt.whole, excerpt.start) == (True, 0)
        assert np.array_equal(excerpt.waveform.samples, whole.samples)
    assert not read_loudest(path, 16_000, 0.4, step=STEP).whole


def test_of_a_part_the_loudest_stretch_lies_within_it(tmp_path: Path) -> None:
    path = word_in_noise(tmp_path / "a.wav", at=0.2)
    part = Part(start=RATE, num_samples=RATE)
    excerpt = read_loudest(path, RATE, 0.5, step=STEP, part=part)
    assert np.array_equal(excerpt.waveform.samples, read(path, RATE).samples[RATE + excerpt.start :][: RATE // 2])
    assert excerpt.start + RATE // 2 <= RATE


def test_a_long_recording_is_not_held_in_memory(tmp_path: Path) -> None:
    path = word_in_noise(tmp_path / "a.wav", at=590, seconds=600.0)
    tracemalloc.start()
    try:
        excerpt = read_loudest(path, 16_000, 2.0, step=2 * STEP)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 588 < excerpt.start_seconds < 590
    assert peak < 3_000_000  # bytes; the whole would take 38 million


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 40), st.floats(0.001, 1000)
)
def test_the_window_is_one_of_the_loudest_however_loud_the_whole_is(
    energies: list[float], blocks: int, starts: int, gain: float
) -> None:
    blocks = min(blocks, len(energies))
    starts = min(starts, len(energies) - blocks + 1)
    sums = [sum(energies[place : place + blocks]) for place in range(starts)]
    found = loudest_window(np.array(energies), blocks, starts=starts)
    assert max(sums) - sums[found] <= 0.011 * (max(sums) - min(sums)) + 1e-6
    assert found == loudest_window(np.array(energies), blocks, starts=starts)
    louder = loudest_window(np.array(energies) * gain, blocks, starts=starts)
    assert max(sums) - sums[louder] <= 0.011 * (max(sums) - min(sums)) + 1e-6


@given(st.lists(st.integers(0, 5000), max_size=5), st.integers(1, 7))
def test_energies_do_not_depend_on_how_a_stream_is_cut(cuts: list[int], step: int) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, sum(cuts)).astype(np.float32)
    pieces = np.split(samples, np.cumsum(cuts)[:-1]) if cuts else []
    length, energies = block_energies(pieces, step)
    expected = [float(np.sum(samples[at : at + step].astype(np.float64) ** 2)) for at in range(0, len(samples), step)]
    assert length == len(samples)
    assert energies == pytest.approx(expected)


def test_half_of_the_energy_has_passed_in_the_middle_of_the_sound() -> None:
    assert half_energy(np.array([0.0, 0.0, 1.0, 1.0, 0.0])) == 2
    assert half_energy(np.array([0.0, 0.0, 0.0, 0.0, 1.0])) == 4
    assert half_energy(np.zeros(5)) == 2


def test_excerpts_of_real_words_are_as_loud_as_any_and_louder_than_beginnings(wake_words: Path) -> None:
    louder, files = 0, sorted(wake_words.rglob("*.ogg"))[::40]
    for path in files:
        whole = read(path, 16_000).samples
        excerpt = read_loudest(path, 16_000, 1.0, step=2 * STEP)
        starts = range(0, len(whole) - 16_000 + 1, 2 * STEP)
        powers = [float(np.sum(whole[start : start + 16_000] ** 2, dtype=np.float64)) for start in starts]
        found = powers[excerpt.start // (2 * STEP)]
        assert max(powers) - found <= 0.011 * (max(powers) - min(powers))
        louder += found > 2 * powers[0]
    assert len(files) > 30
    assert louder > len(files) / 2


LOW_RATE = 8000


def noise_of_level(level: float, seconds: float = 0.5, *, pause: float = 0.0) -> Waveform:
    samples = np.random.default_rng(1).normal(0, level, round(seconds * LOW_RATE)).astype(np.float32)
    return Waveform(samples=np.pad(samples, (0, round(pause * LOW_RATE))), sample_rate=LOW_RATE)


def test_a_pause_does_not_change_the_level() -> None:
    assert active_level(noise_of_level(0.1)) == pytest.approx(0.1, rel=0.05)
    assert active_level(noise_of_level(0.1, pause=2.0)) == pytest.approx(active_level(noise_of_level(0.1)), rel=0.01)
    assert active_level(Waveform(samples=np.zeros(100, np.float32), sample_rate=LOW_RATE)) == 0


def test_sounds_become_equally_loud_without_clipping() -> None:
    sounds = [
        noise_of_level(0.01),
        noise_of_level(0.3, pause=1.0),
        Waveform(samples=np.zeros(80, np.float32), sample_rate=LOW_RATE),
    ]
    quiet, loud, silent = equally_loud(sounds)
    assert active_level(quiet) == pytest.approx(active_level(loud), rel=1e-4)
    assert max(np.abs(quiet.samples).max(), np.abs(loud.samples).max()) == pytest.approx(PEAK, rel=1e-4)
    assert not silent.samples.any()
    assert equally_loud([]) == []
