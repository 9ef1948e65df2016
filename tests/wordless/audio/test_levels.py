"""Levels over time: silent ends and parts, the loudest stretch of a recording, and sounds of equal loudness."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pages.players import PEAK, active_level, equally_loud
from tests.wordless.audio.conftest import Tone, inspected, most_bytes
from wordless.audio import levels
from wordless.audio.levels import read_loudest
from wordless.audio.reading import read
from wordless.audio.recordings.inspection import measure_recording
from wordless.audio.waveform import Part, Waveform
from wordless.base.arrays import FloatArray

RATE = 8_000  # a block of 20 ms has 160 samples
LEVELS = st.lists(st.integers(-140, 0) | st.none(), min_size=1, max_size=60)  # dB of each block; None: digital silence


def at_levels(decibels: Sequence[float | None], rest: int = 0) -> FloatArray:
    amplitudes = np.repeat([0.0 if level is None else 10 ** (level / 20) for level in decibels], 160)
    samples = amplitudes[: len(amplitudes) - (160 - rest if rest else 0)]
    square: FloatArray = (samples * np.tile([1, -1], len(samples))[: len(samples)]).astype(np.float32)
    return square


@given(LEVELS, st.integers(0, 159), st.integers(1, 1200))
def test_the_part_is_from_the_first_to_the_last_loud_block(decibels: list[int | None], rest: int, tenths: int) -> None:
    """Against the definition, block by block. What lies at the threshold itself is left to rounding."""
    samples = at_levels(decibels, rest)
    samples -= np.float32(np.median([samples[at : at + 160].mean(dtype=float) for at in range(0, len(samples), 160)]))
    power = [float(np.mean(np.square(samples[at : at + 160], dtype=float))) for at in range(0, len(samples), 160)]
    edges = levels.find_edges(levels.Meter(RATE).add(samples).powers)
    part = levels.loud_part(edges, tenths / 10, len(samples), RATE)
    depths = [-10 * np.log10(each / max(power)) if each else np.inf for each in power] if max(power) else []
    loud = [block for block, depth in enumerate(depths) if depth < tenths / 10 - 1e-3]
    barely = [block for block, depth in enumerate(depths) if depth < tenths / 10 + 1e-3]
    if not barely:
        assert part == Part(start=0, num_samples=len(samples))
        return
    assert part.start in (160 * min(loud), 160 * min(barely))
    assert part.start + part.num_samples in (min(160 * (max(each) + 1), len(samples)) for each in (loud, barely))


@pytest.mark.parametrize("trim_db", [30.0, 60.0])
def test_a_waveform_is_trimmed_as_its_file_is(trim_db: float, tmp_path: Path) -> None:
    """A tone of -12 dB (RMS) after 0.31 s of noise of -62 dB, and before 0.213 s of it."""
    samples = np.random.default_rng(0).normal(0, 10 ** (-62 / 20), 8_184)
    samples[2_480:6_480] += 10 ** (-12 / 20) * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(4_000) / RATE)
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    found, _ = inspected(tmp_path)
    part = found["a.wav"].part(trim_db)
    assert (part.start, part.num_samples) == ((2_400, 4_160) if trim_db == 30 else (0, 8_184))
    whole = read(tmp_path / "a.wav")
    trimmed = levels.trim_ends(whole, trim_db)
    assert trimmed.sample_rate == RATE
    np.testing.assert_array_equal(trimmed.samples, whole.samples[part.start : part.start + part.num_samples])
    assert (len(trimmed.samples) < len(whole.samples)) == (trim_db == 30)


@pytest.mark.parametrize("offset", [0.0, 0.05, -0.3])
def test_a_constant_offset_is_no_sound(offset: float, tmp_path: Path) -> None:
    """Of a dead channel, a dead recording, silent ends and silent segments."""
    tones = [0.4 * np.sin(2 * np.pi * (200 + 10 * number) * np.arange(RATE) / RATE) for number in range(2)]
    still = np.full(RATE, 0.7 + offset)
    for number, tone in enumerate(tones):
        soundfile.write(tmp_path / f"stereo{number}.wav", np.stack([tone + offset, still], 1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "dead.wav", still, RATE)
    soundfile.write(tmp_path / "ends.wav", np.pad(tones[0], 2 * RATE) + offset, RATE)
    found, rejected = inspected(tmp_path)
    assert [(each.path, each.kind) for each in rejected] == [("dead.wav", "silent")]
    ends = found["ends.wav"]
    part = ends.part(40)
    assert (part.start, part.num_samples) == (2 * RATE, RATE)
    decibels = levels.of_text(ends.levels)
    assert levels.loudest(decibels, Part(start=0, num_samples=RATE), RATE) < 1e-4 < levels.loudest(decibels, part, RATE)
    assert {measure_recording(tmp_path, f"stereo{number}.wav", "loudest").channel for number in range(2)} == {0}  # type: ignore[union-attr]  # measured
    sound = np.pad(tones[0], RATE).astype(np.float32) + np.float32(offset)
    assert len(levels.trim_ends(Waveform(samples=sound, sample_rate=RATE), 40).samples) == RATE


def test_parts_overlap_where_they_share_a_sample() -> None:
    part = Part(start=10, num_samples=10)
    for start, count, overlaps in ((0, 10, False), (0, 11, True), (12, 3, True), (19, 5, True), (20, 5, False)):
        another = Part(start=start, num_samples=count)
        assert part.overlaps(another) is another.overlaps(part) is overlaps


LOW_RATE = 1_000


@given(
    st.lists(st.sampled_from([0.0, 1e-5, 1e-4, 0.003, 0.1, 1.0]), min_size=1, max_size=40),
    st.integers(0, 3_999),
    st.integers(1, 2_000),
    st.sampled_from([0.0, 0.25]),
)
def test_the_level_of_a_part_is_its_peak_or_near_it(peaks: list[float], start: int, count: int, offset: float) -> None:
    samples = np.repeat(np.array(peaks, np.float32), 100) + offset
    part = Part(start=min(start, len(samples) - 1), num_samples=count)
    decibels = levels.of_text(levels.as_text(levels.to_levels(levels.Meter(LOW_RATE).add(samples).swings)))
    samples = np.abs(samples - np.median(samples[::20]))  # blocks of 20 samples are constant
    assert len(decibels) == -(-len(samples) // levels.level_samples(LOW_RATE))
    found = levels.loudest(decibels, part, LOW_RATE)
    inside = samples[part.start : part.start + count].max()
    around = samples[part.start // 100 * 100 : -(-(part.start + count) // 100) * 100].max()
    assert inside * 0.999 <= found <= around * 10 ** (0.5 / 20) * 1.001


def test_levels_end_at_full_scale_and_text_that_holds_none_is_refused() -> None:
    assert levels.to_levels(np.array([3.0])).tolist() == [0]
    with pytest.raises(ValueError, match="base64"):
        levels.of_text("%%%")


STEP = 160


def word_in_noise(path: Path, *, at: float, seconds: float = 3.0, offset: float = 0.0) -> Path:
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
    with most_bytes(3_000_000):  # the whole would take 38 million
        excerpt = read_loudest(path, 16_000, 2.0, step=2 * STEP)
    assert 588 < excerpt.start_seconds < 590


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.integers(1, 40), st.integers(1, 40), st.floats(0.001, 1000)
)
def test_the_window_is_one_of_the_loudest_at_any_gain(
    energies: list[float], blocks: int, starts: int, gain: float
) -> None:
    blocks = min(blocks, len(energies))
    starts = min(starts, len(energies) - blocks + 1)
    sums = [sum(energies[place : place + blocks]) for place in range(starts)]
    found = levels.loudest_window(np.array(energies), blocks, starts=starts)
    assert max(sums) - sums[found] <= 0.011 * (max(sums) - min(sums)) + 1e-6
    assert found == levels.loudest_window(np.array(energies), blocks, starts=starts)
    louder = levels.loudest_window(np.array(energies) * gain, blocks, starts=starts)
    assert max(sums) - sums[louder] <= 0.011 * (max(sums) - min(sums)) + 1e-6


def test_half_of_the_energy_has_passed_in_the_middle_of_the_sound() -> None:
    assert levels.half_energy(np.array([0.0, 0.0, 1.0, 1.0, 0.0])) == 2
    assert levels.half_energy(np.array([0.0, 0.0, 0.0, 0.0, 1.0])) == 4
    assert levels.half_energy(np.zeros(5)) == 2


def noise_of_level(level: float, *, pause: float = 0.0) -> Waveform:
    samples = np.random.default_rng(1).normal(0, level, RATE // 2).astype(np.float32)
    return Waveform(samples=np.pad(samples, (0, round(pause * RATE))), sample_rate=RATE)


def test_sounds_become_equally_loud_without_clipping() -> None:
    sounds = [noise_of_level(0.01), noise_of_level(0.3, pause=1.0), noise_of_level(0)]
    assert active_level(sounds[1]) == pytest.approx(0.3, rel=0.05)  # a pause does not change the level
    assert active_level(sounds[2]) == 0
    quiet, loud, silent = equally_loud(sounds)
    assert active_level(quiet) == pytest.approx(active_level(loud), rel=1e-4)
    assert max(np.abs(quiet.samples).max(), np.abs(loud.samples).max()) == pytest.approx(PEAK, rel=1e-4)
    assert not silent.samples.any()
    assert equally_loud([]) == []
