"""Views: the sound and the log-mel of a changed clip, lists of augmentations and of noisy clips, and their hash."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from tests.reference import radical_inverse
from wordless.audio.audio_options import SpectrogramConfig
from wordless.audio.reading import read
from wordless.audio.recordings.corpus import noise_recordings
from wordless.audio.recordings.manifest import SPLITS, Clip, Clips, Split
from wordless.audio.spectrogram import LogMel, limit_range, view_log_mel, warp
from wordless.audio.views import (
    AS_RECORDED,
    LATEST_BEGIN,
    LEARNED,
    LEARNED_SNR,
    RANGES,
    SPREAD,
    Change,
    Filter,
    Noise,
    View,
    Views,
    compared_views,
    fixed_augmentations,
)
from wordless.base.arrays import FloatArray

RATE = 8000


def clip_of(path: Path, samples: int, *, rate: int = RATE, start: int = 0, offset: float = 0.0) -> Clip:
    noise = np.random.default_rng(samples).normal(offset, 0.1, start + samples).astype(np.float32)
    soundfile.write(path, noise, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return Clip(path=path.name, start=start, num_samples=samples, sample_rate=rate)


def snr_of(clean: FloatArray, noise: FloatArray) -> float:
    """Power of a sound without its offset over that of a noise, in dB."""
    return float(10 * np.log10(np.var(clean) / np.mean(noise**2)))


def test_test_time_augmentations_follow_a_halton_sequence_after_the_recording_as_it_is() -> None:
    first, *others = fixed_augmentations(12, 40.0)
    assert first == AS_RECORDED
    for number, each in enumerate(others, start=1):
        rate, skipped, share = (radical_inverse(number, base) for base in (2, 3, 5))
        assert each.rate == pytest.approx((1 + SPREAD) ** (2 * rate - 1), abs=1e-6)
        assert each.skipped == pytest.approx(LATEST_BEGIN * skipped, abs=1e-6)
        assert each.dynamic_range == pytest.approx(40 * (RANGES[0] + (RANGES[1] - RANGES[0]) * share), abs=1e-4)
    assert fixed_augmentations(4, 40.0) == (first, *others[:3]), "fewer augmentations are the first ones"
    assert {each.dynamic_range for each in fixed_augmentations(4, None)} == {None}


def test_a_view_is_the_recording_at_another_rate_without_its_beginning(tmp_path: Path) -> None:
    view = View(clip_of(tmp_path / "a.wav", 3000, rate=16000), Change(rate=1.25, skipped=0.01))
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    wanted = soxr.resample(samples, rate, 10_000, quality="HQ")[80:]
    found = view.samples(tmp_path, RATE)
    assert len(found) == view.num_samples(RATE) == 1875 - 80
    np.testing.assert_allclose(found, wanted[: len(found)], atol=1e-5)
    plain = View(view.clip).samples(tmp_path, RATE)
    np.testing.assert_array_equal(plain, read(tmp_path / "a.wav", RATE).samples)


@pytest.mark.parametrize("samples", [1, 2, 100, 161])
@pytest.mark.parametrize("change", fixed_augmentations(5, None))
def test_a_test_time_augmentation_of_a_short_clip_has_a_sample_at_least(
    change: Change, samples: int, tmp_path: Path
) -> None:
    view = View(clip_of(tmp_path / "a.wav", samples, start=7), change)
    assert len(view.samples(tmp_path, RATE)) == view.num_samples(RATE) >= 1


@pytest.mark.parametrize("name", ["a.wav", "a.ogg"])
@pytest.mark.parametrize("snr", [30.0, 0.0, -10.0])
def test_noise_has_the_asked_level(name: str, snr: float, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / name, 40_000, start=1000)
    clean = View(clip).samples(tmp_path, RATE).astype(float)
    added = View(clip, Change(noise_snr=snr)).samples(tmp_path, RATE) - clean
    assert snr_of(clean, added) == pytest.approx(snr, abs=0.15)
    expected = np.random.default_rng([1_000, 40_000]).standard_normal(40_000, np.float32)
    assert np.corrcoef(added, expected)[0, 1] > 0.999
    soundfile.write(tmp_path / name, np.zeros(1000), RATE)
    silence = replace(clip, start=0, num_samples=1000)
    assert not View(silence, Change(noise_snr=snr)).samples(tmp_path, RATE).any()


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_a_seed_has_a_spectrum_of_its_own_and_the_asked_level(seed: int, tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "a.wav", 40_000, start=1000)
    clean = View(clip).samples(tmp_path, RATE).astype(float)
    noisy = View(clip, Change(seed=seed, noise_snr=10.0))
    added = noisy.samples(tmp_path, RATE) - clean
    assert snr_of(clean, added) == pytest.approx(10, abs=0.01)
    assert np.array_equal(noisy.samples(tmp_path, RATE), noisy.samples(tmp_path, RATE))
    other = View(clip, Change(seed=seed + 1, noise_snr=10.0)).samples(tmp_path, RATE) - clean
    of_tests = np.random.default_rng([1_000, 40_000]).standard_normal(40_000, np.float32)
    for noise in (other, of_tests):  # training hears no noise of a test
        assert abs(np.corrcoef(added, noise)[0, 1]) < 0.1


def test_every_spectrum_of_noise_is_drawn(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "a.wav", 32_768)
    clean, slopes = View(clip).samples(tmp_path, RATE), []
    for seed in range(12):
        added = View(clip, Change(seed=seed, noise_snr=0.0)).samples(tmp_path, RATE) - clean
        power = np.square(np.abs(np.fft.rfft(added)))
        octaves = [power[size : 2 * size].mean() for size in (1024, 2048, 4096, 8192)]  # from 250 Hz
        slopes.append(np.diff(10 * np.log10(octaves)))
    ranges = np.ptp(slopes, axis=1)
    assert any(np.abs(each).max() < 0.5 for each in slopes), "white"
    assert any(np.abs(each).min() > 1 and spread < 1.5 for each, spread in zip(slopes, ranges, strict=True)), "sloped"
    assert (ranges > 5).any(), "of any shape"


def test_blocks_are_filtered_as_a_whole_sound() -> None:
    rng = np.random.default_rng(0)
    response, sound = (rng.standard_normal(size).astype(np.float32) for size in (300, 5000))
    filtered, blocks = Filter(response), np.split(sound, [1, 7, 1000, 1100, 4990])
    found = np.concatenate([filtered(block) for block in blocks])
    np.testing.assert_allclose(found, np.convolve(sound, response)[:5000], atol=1e-4)


def test_babble_is_six_training_clips_at_equal_power_with_the_asked_level(tmp_path: Path) -> None:
    lengths = (900, 1000, 1100, 1200, 1300, 1400, 1500)
    train = [clip_of(tmp_path / f"{length}.wav", length, start=7, offset=0.2) for length in lengths]
    test = replace(clip_of(tmp_path / "test.wav", 4000), split="test")
    clips = Clips.from_rows(tmp_path, [*train, test])
    *_, soft, loud = compared_views(clips, noises=(Noise("babble", 20.0), Noise("babble", -5.0)))
    clean = View(test).samples(tmp_path, test.sample_rate).astype(float)
    added = {view.change.noise_snr: view.samples(tmp_path, test.sample_rate) - clean for view in (soft, loud)}
    for snr, noise in added.items():
        assert snr_of(clean, noise) == pytest.approx(snr, abs=0.01)
    voices = soft.change.voices
    assert loud.change.voices == voices
    assert len({voice.path for voice, _ in voices}) == len({first for _, first in voices}) == 6
    assert {voice.split for voice, _ in voices} == {"train"}
    samples = [np.roll(View(each).samples(tmp_path, RATE).astype(float), -first) for each, first in voices]
    wanted = sum(np.resize((each - each.mean()) / each.std(), 4000) for each in samples)
    assert np.corrcoef(wanted, added[-5.0])[0, 1] > 0.9999
    assert abs(added[-5.0].mean()) < 0.01 * added[-5.0].std()  # voices without their offsets
    white = compared_views(clips, noises=(Noise("white", 20.0),))[-1]
    assert len({tuple(view.key) for view in (soft, loud, white)}) == 3


def rain(folder: Path) -> tuple[Path, np.ndarray]:
    """A folder with a recording of 0.2 s of noise, in 3 s of silence."""
    folder.mkdir()
    noise = np.random.default_rng(1).normal(0.05, 0.2, 1600).astype(np.float32)
    soundfile.write(folder / "rain.wav", np.concatenate([np.zeros(8000), noise, np.zeros(16_000)]), RATE)
    return folder, noise


@pytest.mark.parametrize("samples", [500, 4000])
def test_a_recorded_noise_has_the_asked_level_in_clips_of_any_length(samples: int, tmp_path: Path) -> None:
    folder, noise = rain(tmp_path / "rain")
    test = replace(clip_of(tmp_path / "test.wav", samples), split="test")
    manifest = Clips.from_rows(tmp_path, [test, replace(test, path="b.wav")])
    wanted = Noise("rain", 20.0), Noise("rain", -5.0)
    views = compared_views(manifest, noises=wanted, recordings={"rain": noise_recordings(folder, "compare.noise")})
    *_, soft, other, loud, _ = views
    assert soft.change.recorded == loud.change.recorded != other.change.recorded
    clean = View(test).samples(tmp_path, RATE).astype(float)
    for view, snr in ((soft, 20.0), (loud, -5.0)):
        added = view.samples(tmp_path, RATE) - clean
        assert snr_of(clean, added) == pytest.approx(snr, abs=0.01)
        turned = np.roll(noise, -soft.change.recorded[1])  # without the silence around it
        assert np.corrcoef(added, np.resize(turned, samples))[0, 1] > 0.999
    moved, _ = rain(tmp_path / "moved")
    again = compared_views(manifest, noises=wanted, recordings={"rain": noise_recordings(moved, "compare.noise")})
    assert [view.key for view in again] == [view.key for view in views]
    assert len({tuple(view.key) for view in views}) == len(views)


def test_training_clips_alone_have_copies_to_learn_from_and_each_its_own_noise(tmp_path: Path) -> None:
    """Copies follow the clips, have the ratio that they name, and are the same whatever other clips there are."""
    splits: list[Split] = ["train", "test", "train", "validation"]
    clips = [replace(clip_of(tmp_path / f"{n}.wav", 4000 + n), split=split) for n, split in enumerate(splits)]
    manifest, noises = Clips.from_rows(tmp_path, clips), (LEARNED, Noise("white", 20.0))
    views = compared_views(manifest, noises=noises)
    copies = views[len(clips) : -1]
    assert [view.clip.path for view in copies] == ["0.wav", "2.wav"]
    assert [view.clip.path for view in views[-1:]] == ["1.wav"]
    ratios = [view.change.noise_snr for view in copies]
    assert all(ratio is not None and LEARNED_SNR[0] <= ratio <= LEARNED_SNR[1] for ratio in ratios)
    assert len({*ratios}) == len({view.change.seed for view in copies}) == 2
    for view, ratio in zip(copies, ratios, strict=True):
        clean = View(view.clip).samples(tmp_path, RATE)
        assert ratio is not None
        assert snr_of(clean, view.samples(tmp_path, RATE) - clean) == pytest.approx(ratio, abs=0.5)
    fewer = compared_views(Clips.from_rows(tmp_path, clips[2:]), noises=noises)
    assert [view for view in fewer if view.change.seed is not None] == copies[1:]


def test_all_clips_come_before_test_clips_with_noise_each_in_all_augmentations(tmp_path: Path) -> None:
    clip = clip_of(tmp_path / "a.wav", 100)
    clips = [replace(clip, path=f"{split}.wav", split=split) for split in SPLITS]
    manifest, heard = Clips.from_rows(tmp_path, clips), fixed_augmentations(2, 40.0)
    views = compared_views(manifest, heard, (Noise("white", 20.0), Noise("white", -2.5)))
    assert views[:6] == [View(each, change) for each in clips for change in heard]
    noisy = [replace(change, noise_snr=snr) for snr in (20.0, -2.5) for change in heard]
    assert views[6:] == [View(clips[SPLITS.index("test")], change) for change in noisy]
    assert compared_views(manifest) == [View(each) for each in clips]
    assert [view.key for view in compared_views(manifest)] == [clip.sound for clip in clips]
    noisy = [Change(noise_snr=20.0), Change(noise_snr=10.0), Change(noise_snr=20.0, seed=0)]
    changes = (*heard, *noisy)
    assert len({Views(root=tmp_path, views=[View(clip, each)]).key for each in changes}) == len(changes)


AUDIO = SpectrogramConfig(sample_rate=RATE, window_length=200, hop_length=80, n_mels=16, dynamic_range=40.0)


def test_log_mel_of_a_view_has_whole_patches_and_its_own_range(tmp_path: Path) -> None:
    clip, log_mel = clip_of(tmp_path / "a.wav", 1234), LogMel(replace(AUDIO, dynamic_range=None))

    def found(change: Change) -> torch.Tensor:
        return torch.cat([*view_log_mel(log_mel, View(clip, change), tmp_path, frames=9, whole=3)])

    def wanted(samples: np.ndarray, decibels: float) -> torch.Tensor:
        return next(limit_range([log_mel(torch.from_numpy(samples)[None])[0]], decibels))

    recorded = read(tmp_path / "a.wav", RATE).samples
    padded = np.pad(recorded, (0, 1440 - 1234))
    torch.testing.assert_close(found(AS_RECORDED), log_mel(torch.from_numpy(padded)[None])[0])
    played = Change(rate=0.9, skipped=0.01, dynamic_range=30.0)
    samples = View(clip, played).samples(tmp_path, RATE)  # 1031, which are 13 frames
    expected = wanted(np.pad(samples, (0, -len(samples) % 80)), 30.0)
    assert (len(samples), len(expected)) == (1031, 13)
    torch.testing.assert_close(found(played), torch.cat([expected, expected[-1:], expected[-1:]]), atol=0.01, rtol=0)
    warped = Change(speed=1.1, formants=1.2, dynamic_range=20.0, offset_frames=1)
    ratios = {"speeds": torch.tensor([1.1]), "formants": torch.tensor([1.2])}
    whole = wanted(recorded, 20.0)  # 15 frames, in pieces of 9 and 6
    parts = [warp(part[None], torch.tensor([len(part)]), **ratios)[0][0, 1:] for part in whole.split(9)]
    torch.testing.assert_close(found(warped), torch.cat([part[: len(part) // 3 * 3] for part in parts]))
