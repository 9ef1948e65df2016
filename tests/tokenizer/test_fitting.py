"""Samples of patches, codebooks fitted to them, the make-up gain, and the health of a codebook."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch import Tensor

from pipelines.plugins.codes.code_table import CodeTable, chance, information, label_counts
from tests.reference import gain_of_patches, nearest_by_distance, nearest_patches
from tests.tokenizer.conftest import RATE, fitted, like, sound
from tests.tokenizer.test_codes import FORMAT
from tokenizer.augmentations import SoundChanges
from tokenizer.autoencoder import Autoencoder, AutoencoderConfig
from tokenizer.autoencoder_training import PatchBatches, normalised_patches
from tokenizer.codes import Codes
from tokenizer.frame_sample import LogMelReader, Reservoir, draw_sample, read_log_mel
from tokenizer.gain import PATCHES, measure_gain
from tokenizer.health import collapse, frequencies_of_codes, measure_variation, perplexity
from tokenizer.kmeans import by_loudness, fit_codebook, nearest, write_bottlenecks
from tokenizer.patches import from_patches, to_patches
from tokenizer.tokenizer import Tokenizer
from tokenizer.tokenizer_config import PatchConfig
from wordless.audio.audio_options import Levelling, SpectrogramConfig
from wordless.audio.recordings.manifest import Clip
from wordless.audio.spectrogram import mel_power
from wordless.audio.waveform import LOUDEST
from wordless.base.messages import InputError
from wordless.base.pools import LOCAL, THIS_PROCESS, open_pool

SIZES = AutoencoderConfig(hidden=8, bottleneck=4)


def test_blocks_on_disk_give_the_codebook_of_all_patches(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, patches = Autoencoder(SIZES, 12), torch.randn(900, 12)
    with torch.inference_mode():
        points = model.encoder(patches).numpy()
    wanted, report = fit_codebook(points, size=8, iterations=5, seed=3)
    stored = write_bottlenecks(model, torch.split(patches, 400), tmp_path / "points", (900, 4))
    np.testing.assert_allclose(stored, points, atol=1e-6)
    found, of_blocks = fit_codebook(stored, size=8, iterations=5, seed=3)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert of_blocks["points"] == report["points"] == 900
    with torch.inference_mode():
        codebook = by_loudness(model, wanted)
        loudness = model.decoder(codebook).mean(1)
    assert loudness.tolist() == sorted(loudness.tolist())
    assert sorted(codebook.tolist()) == sorted(wanted.tolist())


def test_all_bottlenecks_have_their_place_on_disk_before_they_are_written(tmp_path: Path) -> None:
    """A write through a memory map to a full disk would kill the process."""
    model, path = Autoencoder(SIZES, 12), tmp_path / "points"

    def blocks() -> Iterator[torch.Tensor]:
        assert path.stat().st_blocks * 512 >= 9_000 * 4 * 4
        yield torch.randn(9_000, 12)

    assert write_bottlenecks(model, blocks(), path, (9_000, 4)).shape == (9_000, 4)


def test_degenerate_points_give_dead_centroids_and_too_few_are_refused() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    _, report = fit_codebook(points, size=8, iterations=5, seed=0)
    assert report["dead"] >= 5  # three places, eight centroids
    with pytest.raises(InputError, match=r"^codebook_size\b.*\b64\b.*\b30 patches"):
        fit_codebook(points, size=64, iterations=5, seed=0)


def test_a_codebook_is_fitted_to_all_points() -> None:
    """FAISS alone would draw 256 points for each centroid."""
    points = np.random.default_rng(1).normal(size=(3000, 6)).astype(np.float32)
    centroids, report = fit_codebook(points, size=8, iterations=20, seed=0)
    codes = nearest_by_distance(points, centroids)
    assert np.isclose(report["objective"][-1], ((points - centroids[codes]) ** 2).sum(1).mean(), rtol=0.01)
    assert (report["points"], report["dead"], report["duplicates"], report["gpu"]) == (3000, 0, 0, False)
    assert np.array_equal(nearest(points, centroids), codes)


def test_every_row_has_the_same_chance() -> None:
    counts, rows = np.zeros(200), np.arange(200, dtype=np.float32)[:, None]
    for seed in range(400):
        reservoir = Reservoir(20, 1, seed=seed)
        for start in range(0, 200, 30):
            reservoir.add(rows[start : start + 30])
        counts[reservoir.sample[:, 0].astype(int)] += 1
    assert counts.sum() == 400 * 20
    # 40 expected, standard deviation 6: neither the beginning nor the end of the stream is favoured
    assert abs(counts[:50].mean() - 40) < 4
    assert abs(counts[-50:].mean() - 40) < 4
    assert counts.min() > 12


def test_statistics_are_those_of_all_frames_and_columns_are_runs_within_a_recording() -> None:
    parts = [torch.randn(n, 5) * 3 + 2 for n in (40, 1, 17)]
    sample = draw_sample([(part, None) for part in parts], frames=2, n_mels=5, capacity=10, seed=0)
    frames = torch.cat(parts)
    assert torch.allclose(sample.mean, frames.mean(0), atol=1e-5)
    assert torch.allclose(sample.std, frames.std(0, unbiased=False), atol=1e-4)
    assert sample.columns.shape == (10, 2, 5)
    assert sample.seen == 39 + 0 + 16
    first, second = torch.arange(10.0).reshape(5, 2), torch.arange(100.0, 106.0).reshape(3, 2)
    columns = draw_sample([(first, None), (second, None)], frames=2, n_mels=2, capacity=100, seed=0).columns
    assert torch.equal(columns[0], first[:2])
    assert torch.equal(columns[-1], second[1:3])
    assert len(columns) == 4 + 2  # a short stream is kept whole


def test_patches_are_normalised_per_mel_and_a_silent_band_is_not_blown_up() -> None:
    sample = draw_sample([(torch.zeros(50, 3), None)], frames=1, n_mels=3, capacity=10, seed=0)
    assert torch.equal(sample.std, torch.full((3,), 0.1))
    columns = torch.randn(500, 2, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0]) + 5
    patches = normalised_patches(columns, columns.mean((0, 1)), columns.std((0, 1)), height=2)
    assert patches.shape == (1000, 4)
    assert (float(patches.mean()), float(patches.std())) == pytest.approx((0, 1), abs=1e-3)


def test_parts_together_are_the_batch() -> None:
    batches = PatchBatches(patches=torch.arange(50.0)[:, None], batch_size=8, seed=3)
    whole = batches.batch(7, 0, 1).patches
    parts = torch.cat([batches.batch(7, part, 2).patches for part in range(2)])
    assert torch.equal(whole.sort(0).values, parts.sort(0).values)
    assert not torch.equal(whole, batches.batch(8, 0, 1).patches)


@pytest.mark.parametrize("ranges", [pytest.param(None, marks=pytest.mark.slow), (20.0, 50.0)])
def test_a_pool_reads_the_frames_that_one_process_reads(ranges: tuple[float, float] | None, tmp_path: Path) -> None:
    rng, rate = np.random.default_rng(0), 11_025
    clips = []
    for number, length in enumerate((3_000, 9_000, 20_000, 400, 5_000)):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, length), rate)
        clips.append(Clip(path=f"{number}.wav", num_samples=length, sample_rate=rate))
    audio = SpectrogramConfig(sample_rate=8_000, n_mels=24)
    changes = SoundChanges(dynamic_ranges=ranges, changed=0.0 if ranges is None else 0.7)
    reader = LogMelReader(root=tmp_path, audio=audio, views=partial(changes.input_of, seed=3))
    few = replace(reader, whole_bytes=5_000)  # less than the log-mel of a clip of 1.8 s
    assert [few(clip) is None for clip in clips] == [False, False, True, False, False]
    one_by_one = [piece for clip in clips for piece in reader.pieces(clip)]
    with open_pool(LOCAL, 2, threads=True) as threads:
        for each in (reader, few):
            for pool in (THIS_PROCESS, threads):
                done: list[int] = []
                found = list(read_log_mel(each, clips, pool, progress=done.append))
                assert done == [1, 2, 3, 4, 5]
                assert all(torch.equal(one, other) for one, other in zip(found, one_by_one, strict=True))


@given(steps=st.integers(0, 4), frames=st.integers(1, 4), streams=st.integers(1, 3), height=st.integers(1, 4))
def test_round_trip(steps: int, frames: int, streams: int, height: int) -> None:
    spectrogram = torch.arange(2.0 * steps * frames * streams * height).reshape(2, steps * frames, streams * height)
    patches = to_patches(spectrogram, frames=frames, height=height)
    assert patches.shape == (2, steps, streams, frames * height)
    assert torch.equal(from_patches(patches, frames=frames, height=height), spectrogram)


def test_a_patch_is_frames_of_one_band_which_divides_the_mels(banded: Tokenizer) -> None:
    spectrogram = torch.arange(12.0).reshape(1, 3, 4)  # frame f, mel m: 4 f + m
    patches = to_patches(spectrogram, frames=2, height=2)
    assert patches.tolist() == [[[[0, 1, 4, 5], [2, 3, 6, 7]]]]  # the third frame fills no patch
    with pytest.raises(InputError, match=r"\bpatch\.mels\b.*\b7\b.*\b24\b"):
        replace(banded.config, patch=PatchConfig(mels=7))
    assert (banded.config.height, replace(banded.config, patch=PatchConfig()).height) == (8, 24)


def columns_of(tokenizer: Tokenizer, samples: np.ndarray) -> Tensor:
    """Patches of all bands ``(n, frames, mels)``."""
    frames = tokenizer.log_mel(torch.from_numpy(np.float32(samples))[None])[0]
    whole = len(frames) // tokenizer.patch_frames * tokenizer.patch_frames
    return frames[:whole].unflatten(0, (-1, tokenizer.patch_frames))


@pytest.mark.parametrize("patch", [PatchConfig(frames=2), PatchConfig(frames=4, mels=8)])
def test_gain_is_the_power_that_decoded_patches_lack(patch: PatchConfig) -> None:
    tokenizer = fitted(patch, 16)
    columns = columns_of(tokenizer, sound(3.0, seed=1))
    gain = measure_gain(tokenizer, columns)
    assert gain == pytest.approx(gain_of_patches(tokenizer, columns), abs=0.01)
    assert gain > 0.2  # a mean of logarithms is below the logarithm of a mean
    many = columns.repeat(-(-3 * PATCHES // len(columns)), 1, 1)  # measured in part
    assert measure_gain(tokenizer, many) == pytest.approx(gain, abs=0.1)


def test_the_gain_is_that_of_patches_as_loud_as_they_were_recorded(tokenizer: Tokenizer) -> None:
    loud, soft = (columns_of(tokenizer, samples) for samples in (sound(2.0, seed=1), 0.5 * sound(2.0, seed=2)[::-1]))
    both, gains = torch.cat([loud, soft]), [gain_of_patches(tokenizer, each) for each in (loud, soft)]
    power = torch.cat([mel_power(each, tokenizer.front_end).sum((1, 2)) for each in (loud, soft)])
    assert abs(gains[0] - gains[1]) > 0.5
    for shares, wanted in (((1, 0), gains[0]), ((0, 1e4), gains[1])):
        recorded = power * torch.tensor(shares).repeat_interleave(len(loud))
        assert measure_gain(tokenizer, both, power=recorded) == pytest.approx(wanted, abs=0.01)


def test_log_mel_as_recorded_stands_beside_that_at_the_reference_level(tmp_path: Path) -> None:
    audio = SpectrogramConfig(sample_rate=RATE, n_mels=24, levelling=Levelling(frames=3))
    samples = np.concatenate([0.1 * sound(6.0), 0.01 * sound(9.0)])  # of more than one piece
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    clip = Clip(path="a.wav", num_samples=len(samples), sample_rate=RATE)
    both = torch.cat([*LogMelReader(root=tmp_path, audio=audio, beside_absolute=True).pieces(clip)])
    for front_end, found in ((audio, both[:, :24]), (audio.absolute, both[:, 24:])):
        wanted = torch.cat([*LogMelReader(root=tmp_path, audio=front_end).pieces(clip)])
        torch.testing.assert_close(found, wanted)


def test_where_levels_are_unknown_there_is_no_gain(tokenizer: Tokenizer) -> None:
    columns = columns_of(tokenizer, sound(1.0))
    for changes in ({"remove_mean": "clip"}, {"dynamic_range": 40.0}):
        audio = replace(tokenizer.config.audio, **changes)
        assert measure_gain(like(tokenizer, replace(tokenizer.config, audio=audio)), columns) == 0
    assert measure_gain(tokenizer, columns_of(tokenizer, np.zeros(RATE))) == 0  # silence
    assert measure_gain(tokenizer, columns[:0]) == 0


def test_the_gain_is_saved_with_the_codebook_and_changes_no_code(tokenizer: Tokenizer, tmp_path: Path) -> None:
    louder = like(tokenizer, tokenizer.config, gain=3.25)
    assert louder.format == tokenizer.format
    louder.save_pretrained(tmp_path)
    assert Tokenizer.from_pretrained(tmp_path).gain == 3.25
    with pytest.raises(InputError, match="gain"):
        like(tokenizer, tokenizer.config, gain=-21.0)


def test_usage_counts_all_streams_and_each_level_in_all_bands() -> None:
    codes = Codes(values=np.array([[0, 1], [1, 1]], np.int32), num_samples=320, format=replace(FORMAT, codebook_size=3))
    assert frequencies_of_codes([codes, codes], 3).tolist() == [2, 6, 0]


def test_the_same_sound_has_the_same_frequencies_of_codes(tokenizer: Tokenizer) -> None:
    clips = [sound(2.0)]
    still = measure_variation(tokenizer, clips, noise_snr_db=200, gain_db=0, shift_seconds=0, seed=0)
    assert still == {change: [0.0] * tokenizer.config.bands for change in ("noise", "gain", "shift")}
    loud = clips[0] * LOUDEST / np.abs(clips[0]).max()  # the gain makes its samples louder than any recording's
    assert measure_variation(tokenizer, [loud], gain_db=6.0, seed=0)["gain"][0] >= 0


def test_total_variation_is_that_of_all_clips_together_in_each_band(banded: Tokenizer) -> None:
    clips = [sound(1.0), np.ascontiguousarray(sound(1.5)[::-1])]
    found = measure_variation(banded, clips, gain_db=-20, seed=0)["gain"]
    softer = [[banded.encode_own([each * np.float32(gain)]).values for each in clips] for gain in (1, 0.1)]
    both = [[Counter(stream.tolist()) for stream in np.concatenate(codes).T] for codes in softer]
    moved = [sum(((own - other) + (other - own)).values()) / 2 / own.total() for own, other in zip(*both, strict=True)]
    np.testing.assert_allclose(found, moved)
    assert max(found) > 0.05


def test_a_collapse_is_found() -> None:
    fine, fallen = np.array([5, 5, 5, 5]), np.array([100, 1, 1, 0])
    assert (perplexity(fine), perplexity(np.array([2, 1, 1, 0]))) == pytest.approx((4, 2**1.5))
    counted = (fine, fallen, np.array([25, 5, 5, 5]))
    assert [collapse(each, least=0.5) is not None for each in counted] == [False, True, False]


def test_examples_counts_and_spectra_are_those_of_all_patches(tokenizer: Tokenizer) -> None:
    clips = [sound(0.5 + 0.1 * seed, seed=seed) for seed in range(4)]
    table = CodeTable(tokenizer=tokenizer, examples=2)
    for samples in (*clips, np.zeros(3, np.float32)):  # the last is shorter than a patch
        table.add(samples)
    wanted = nearest_patches(tokenizer, clips, examples=2)
    assert {code: [(at.clip, at.step) for at in places] for code, places in table.nearest.items()} == wanted
    assert [bool(each.any()) for each in table.histograms] == [True] * 4 + [False]
    whole = [tokenizer.normalise(tokenizer.log_mel(torch.from_numpy(clip)[None]))[0] for clip in clips]
    cut = torch.cat([each[: len(each) // tokenizer.patch_frames * tokenizer.patch_frames] for each in whole])
    mean = (table.spectra * table.counts[:, None]).sum(0) / table.counts.sum()  # that of all frames
    np.testing.assert_allclose(mean, cut.mean(0).numpy(), atol=1e-4)
    assert table.counts.sum() == len(cut) // tokenizer.patch_frames


def test_information_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    histograms = [random.integers(0, 5, 6) for _ in range(7)]
    labels = [0, 1, 2, 0, 1, 2, 2]
    counts = label_counts(histograms, labels, 3)
    codes = [code for each in histograms for code in range(6) for _ in range(each[code])]
    classes = [label for each, label in zip(histograms, labels, strict=True) for _ in range(each.sum())]
    found = information(counts)
    assert found["mutual_information"] == pytest.approx(mutual_info_score(codes, classes) / math.log(2))
    pairs = Counter(zip(codes, classes, strict=True))
    frequent = sum(max(pairs[code, label] for label in range(3)) for code in range(6))
    assert found["purity"] == pytest.approx(frequent / len(codes))
    shuffled = chance(20 * histograms, 20 * labels, 3, seed=0)
    assert shuffled == chance(20 * histograms, 20 * labels, 3, seed=0)
    assert 0 < shuffled["mutual_information"] < 0.5 * found["mutual_information"]
