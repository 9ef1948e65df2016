"""The log-mel front end against a slow reference, its options and warps, and the pitch of a voice."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.calling import python
from tests.lm.reference import warped_by_loops
from tests.reference import levelled, log_mel_frame, tracked_pitch
from wordless.audio.audio_options import (
    SMALLEST_FLOOR,
    AudioSettings,
    Levelling,
    MeanRemoval,
    SpectrogramConfig,
    empty_bands,
)
from wordless.audio.pitch_contour import HOPS_TOGETHER, PitchTracker, peak_offset, resolves_pitch, track_pitch
from wordless.audio.spectrogram import LogMel, follow_level, limit_range, subtract_mean, warp
from wordless.audio.waveform import LOUDEST
from wordless.base.arrays import FloatArray
from wordless.base.messages import InputError
from wordless.base.options import build

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


def test_frames_are_those_of_the_slow_reference_with_any_history() -> None:
    samples = noise(800)
    frames = LogMel(CONFIG)(samples)[0]
    for number, frame in enumerate(frames):
        wanted = log_mel_frame(samples[0].numpy(), number, CONFIG)
        assert torch.allclose(frame, torch.from_numpy(wanted), atol=1e-4)
    samples = noise(1_600)
    front = LogMel(CONFIG)
    tail = front.frames(samples[:, 800 - CONFIG.left_context :])
    assert torch.allclose(tail, front(samples)[:, 10:], atol=1e-5)


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


FRAMES = torch.from_numpy(np.random.default_rng(0).normal(-3, 2, (37, 5)).astype(np.float32))


def removed(how: MeanRemoval, cuts: tuple[int, ...] = ()) -> torch.Tensor:
    return torch.cat(list(subtract_mean(torch.tensor_split(FRAMES, sorted(cuts)), how)))


@given(cuts=st.lists(st.integers(0, len(FRAMES)), max_size=5), how=st.sampled_from(["none", "clip", "running"]))
def test_pieces_give_what_the_whole_gives(cuts: list[int], how: MeanRemoval) -> None:
    torch.testing.assert_close(removed(how, tuple(cuts)), removed(how), rtol=0, atol=1e-5)


def test_the_mean_of_a_clip_or_of_the_frames_so_far_is_removed() -> None:
    """A fixed filter adds a constant to each band of the log-mel."""
    torch.testing.assert_close(removed("clip").mean(0), torch.zeros(5), rtol=0, atol=1e-6)
    wanted = torch.stack([FRAMES[t] - FRAMES[: t + 1].mean(0) for t in range(len(FRAMES))])
    torch.testing.assert_close(removed("running"), wanted, rtol=0, atol=1e-5)
    other = torch.cat([FRAMES[:20], FRAMES[20:] + 5])
    assert torch.equal(removed("running")[:20], next(iter(subtract_mean([other], "running")))[:20])
    coloured = FRAMES + torch.tensor([3.0, -1.0, 0.0, 2.0, 5.0])
    torch.testing.assert_close(next(iter(subtract_mean([coloured], "clip"))), removed("clip"), rtol=0, atol=1e-5)


def test_a_range_raises_what_lies_too_far_below_the_loud() -> None:
    frames = torch.linspace(-20, 0, 400).reshape(40, 10)
    (told,) = limit_range([frames], 40.0)
    floor = np.quantile(frames.numpy(), 0.99) - 4 * np.log(10)
    assert told.min().item() == pytest.approx(floor, abs=0.1)
    torch.testing.assert_close(told[-1], frames[-1], rtol=0, atol=1e-3)
    (louder,) = limit_range([frames + np.log(4.0)], 40.0)
    torch.testing.assert_close(louder, told + np.log(4.0), rtol=0, atol=1e-4)
    assert torch.equal(torch.cat(list(limit_range([frames[:7], frames[7:]], 40.0))), told)
    assert list(limit_range([], 40.0)) == list(subtract_mean([], "clip")) == []


LEVELLED = replace(CONFIG, levelling=Levelling(frames=3))


def speech_like(seconds: float = 2.0) -> FloatArray:
    """Soft noise, then noise in bursts of several levels, and digital silence."""
    rng, count = np.random.default_rng(0), round(seconds * CONFIG.sample_rate)
    bursts = np.repeat(rng.choice([0.005, 0.01, 0.1, 0.2], 10), -(-count // 10))[:count]
    bursts[: count // 10], bursts[-count // 5 :] = 3e-3, 0
    return (rng.normal(0, 1, count) * bursts).astype(np.float32)


def followed(samples: FloatArray, pieces: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    frames = LogMel(CONFIG)(torch.from_numpy(samples)[None])[0]
    cuts = [3 * cut for cut in np.linspace(0, len(frames) // 3, pieces + 1).astype(int)[1:-1]]
    given = zip(*follow_level(torch.tensor_split(frames, cuts), LEVELLED), strict=True)
    log_mel, levels = (torch.cat([*each]) for each in given)
    return log_mel, levels


@given(pieces=st.integers(1, 9), seconds=st.floats(0.03, 2.0))
def test_the_level_is_that_of_the_loudest_step_so_far_and_falls_slowly(pieces: int, seconds: float) -> None:
    samples = speech_like(seconds)
    log_mel, levels = followed(samples, pieces)
    frames, wanted = levelled(LogMel(CONFIG)(torch.from_numpy(samples)[None])[0], LEVELLED)
    torch.testing.assert_close(log_mel, frames, rtol=0, atol=1e-4)
    np.testing.assert_allclose(levels, wanted, atol=1e-6)
    whole = LogMel(LEVELLED)(torch.from_numpy(samples)[None])[0]
    torch.testing.assert_close(whole, log_mel, rtol=0, atol=1e-4)


@given(gain=st.floats(-12, 12))
def test_another_gain_changes_the_levels_and_nothing_else(gain: float) -> None:
    own, other = followed(speech_like()), followed(speech_like() * np.float32(10 ** (gain / 20)))
    np.testing.assert_allclose(other[1] - own[1], gain, atol=1e-3)
    torch.testing.assert_close(other[0], own[0], rtol=0, atol=2e-2)


def test_silence_stays_silence_and_the_softest_noise_is_not_brought_up() -> None:
    frames = torch.full((30, 20), math.log(CONFIG.floor))
    for piece, levels in follow_level([frames, frames[:7], frames[:0]], LEVELLED):
        torch.testing.assert_close(piece, frames[: len(piece)])
        assert (levels == Levelling(frames=3).lowest).all()
    own = speech_like() * np.float32(1e-4)
    assert followed(own)[0].max() < LogMel(CONFIG)(torch.from_numpy(own * 10**3)[None]).max()


OTHERS: dict[str, Any] = {
    "n_mels": 40, "f_min": 0.0, "f_max": None, "floor": 1e-4, "dynamic_range": None, "remove_mean": "none",
    "channel": "mean",
}  # fmt: skip


def spectrogram(**values: object) -> SpectrogramConfig:
    return build(AudioSettings, {"sample_rate": 16_000, **OTHERS, **values}, name="audio").spectrogram()


@pytest.mark.parametrize(
    ("values", "window", "hop"),
    [
        ({"sample_rate": 8_000}, 200, 80),
        ({"sample_rate": 22_050}, 551, 220),
        ({"sample_rate": 48_000}, 1200, 480),
        ({"window_length": 512}, 512, 160),  # samples take the place of the default
        ({"window_length": 512, "window_ms": None, "hop_length": 100}, 512, 100),
        ({"window_ms": 32.0, "hop_ms": 8}, 512, 128),
    ],
)
def test_a_window_is_as_long_at_every_rate(values: dict[str, object], window: int, hop: int) -> None:
    config = spectrogram(**values)
    assert (config.window_length, config.hop_length) == (window, hop)


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"window_ms": 32.0, "window_length": 512}, "window_ms"), ({"hop_ms": 5.0, "hop_length": 160}, "hop_ms"),
        ({"hop_ms": None}, "hop_ms"), ({"hop_ms": 30.0}, "hop_length"), ({"f_max": 9_000.0}, "f_max"),
        ({"floor": 1e-46}, "floor"),  # silence would have no logarithm
        ({"sample_rate": 1_000_000, "n_mels": 1025}, "n_mels"), ({"f_min": 8_000.0}, "f_min"),
    ],
)  # fmt: skip
def test_lengths_that_will_not_do_are_refused(values: dict[str, object], option: str) -> None:
    with pytest.raises(InputError) as refused:
        spectrogram(**values)
    assert option in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"sample_rate": 48_000, "window_length": 400, "hop_length": 160, "n_mels": 80},
        {"sample_rate": 200, "n_mels": 80},  # a window with too few frequencies for so many bands
    ],
)
def test_empty_bands_are_refused_with_what_would_do(values: dict[str, object]) -> None:
    with pytest.raises(InputError) as refused:
        spectrogram(**values)
    assert refused.value.option == "n_mels"
    remedies = dict(re.findall(r"\b(n_mels|window_ms)=([\d.]+)\b", str(refused.value)))
    assert spectrogram(sample_rate=values["sample_rate"], n_mels=80, window_ms=float(remedies["window_ms"]))
    if "n_mels" in remedies:
        assert spectrogram(**{**values, "n_mels": int(remedies["n_mels"])})


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
        pairs = zip(edges, edges[2:], strict=False)
        return sum(not any(low + slack < each < high - slack for each in bins) for low, high in pairs)

    assert empty(-0.01) <= empty_bands(config) <= empty(0.01)


def test_front_ends_of_low_rates_have_full_bands() -> None:
    lengths = {"window_ms": None, "hop_ms": None, "window_length": 64, "hop_length": 8}
    assert not empty_bands(spectrogram(sample_rate=200, window_ms=640.0, hop_ms=80.0, n_mels=40))
    assert not empty_bands(spectrogram(sample_rate=10, window_ms=8_000.0, hop_ms=1_000.0, n_mels=20))
    assert not empty_bands(spectrogram(sample_rate=2, n_mels=8, **lengths))


def _spectrograms(clips: int, time: int, mels: int) -> torch.Tensor:
    return torch.randn(clips, time, mels, generator=torch.Generator().manual_seed(0))


@given(
    passages=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), min_size=1, max_size=3),
    warps=st.tuples(st.floats(0.5, 2), st.floats(0.5, 2)),
    mels=st.integers(1, 6),
)
def test_points_lie_between_neighbours(passages: list[tuple[int, int]], warps: tuple[float, float], mels: int) -> None:
    spectrograms = _spectrograms(len(passages), 17, mels)
    starts, lengths = (torch.tensor(column) for column in zip(*passages, strict=True))
    speeds = torch.linspace(1, warps[0], len(passages), dtype=torch.float64)
    formants = torch.linspace(1, warps[1], len(passages), dtype=torch.float64)
    found, new = warp(spectrograms, lengths, speeds=speeds, formants=formants, starts=starts)
    for row, (start, length) in enumerate(passages):
        wanted = warped_by_loops(spectrograms[row].tolist(), start, length, float(speeds[row]), float(formants[row]))
        assert int(new[row]) == len(wanted)
        np.testing.assert_allclose(found[row, : len(wanted)].numpy(), wanted, atol=1e-5)
        assert not found[row, len(wanted) :].any()


RATE, HOP = 8_000, 80


def voice(hertz: float, seconds: float, rate: int = RATE) -> FloatArray:
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(sum(0.1 / n * np.sin(2 * np.pi * n * hertz * time + n) for n in range(1, 9)), np.float32)


def white_noise(seconds: float, rate: int = RATE) -> FloatArray:
    return np.random.default_rng(0).normal(0, 0.05, round(seconds * rate)).astype(np.float32)


MIXED = np.concatenate([white_noise(0.1), voice(130, 0.15), voice(210, 0.1), white_noise(0.05), voice(95, 0.121)])


@pytest.mark.parametrize(
    ("samples", "hop"), [(MIXED, HOP), (MIXED[:3000], 97), (MIXED[:3000], 300), (np.zeros(500, np.float32), HOP)]
)
def test_equals_the_reference(samples: FloatArray, hop: int) -> None:
    found = track_pitch(samples, RATE, hop)
    assert len(found) == -(-len(samples) // hop)
    np.testing.assert_allclose(found, tracked_pitch(samples, RATE, hop), atol=1e-7)


@pytest.mark.parametrize("peak", [-0.5, -0.2, 0.0, 0.3, 0.5])
def test_the_peak_of_a_parabola_lies_where_it_is(peak: float) -> None:
    values = 2 - 3 * (np.arange(5.0) - 2 - peak) ** 2
    assert peak_offset(values, 2) == pytest.approx(peak)
    assert [peak_offset(values, edge) for edge in (0, 4)] == [0, 0]
    assert peak_offset(-values, 2) == 0  # no peak


@pytest.mark.parametrize(
    "cuts", [[1, 79, 80], [HOPS_TOGETHER * HOP, 2 * HOPS_TOGETHER * HOP + 300], [5000, 5000, 8123]]
)
def test_pieces_of_any_size_give_the_pitch_of_the_whole(cuts: list[int]) -> None:
    whole = np.tile(MIXED, 3)
    tracker = PitchTracker(RATE, HOP)
    pieces = [tracker.add(piece) for piece in np.split(whole, cuts)]
    np.testing.assert_array_equal(np.concatenate([*pieces, tracker.finish()]), track_pitch(whole, RATE, HOP))


def test_without_numbas_compiler_the_pitch_is_the_same(tmp_path: Path) -> None:
    np.save(tmp_path / "sound.npy", MIXED[:2000])
    code = (
        "import numpy; from wordless.audio.pitch_contour import track_pitch; "
        "from vocoder.engines import choose_engine; "
        f"print(track_pitch(numpy.load('sound.npy'), {RATE}, {HOP}).tolist(), choose_engine('auto', 'cpu').engine)"
    )
    done = python("-c", code, cwd=tmp_path, NUMBA_DISABLE_JIT="1")
    assert done.stdout.strip() == f"{track_pitch(MIXED[:2000], RATE, HOP).tolist()} torch", done.stderr


@pytest.mark.parametrize("rate", [4_000, 16_000, 44_100])
@pytest.mark.parametrize("hertz", [75.0, 180.0, 333.0])
def test_tones_have_their_pitch(rate: int, hertz: float) -> None:
    found = track_pitch(voice(hertz, 0.5, rate), rate, rate // 100)
    inner = found[5:-5]
    assert np.abs(1200 * (inner - np.log2(hertz))).max() < 20  # cents


def test_noise_silence_and_low_rates_have_no_pitch() -> None:
    assert np.isnan(track_pitch(white_noise(0.6), RATE, HOP)).mean() > 0.9
    assert np.isnan(track_pitch(np.zeros(4000, np.float32), RATE, HOP)).all()
    assert not len(track_pitch(np.zeros(0, np.float32), RATE, HOP))
    assert (resolves_pitch(4_000), resolves_pitch(2_000)) == (True, False)
