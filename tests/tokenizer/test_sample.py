"""Statistics are exact, the sample is uniform, bounded and seeded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tokenizer.autoencoder import PatchBatch, reconstruction_loss
from tokenizer.fitting import (
    LogMelReader,
    PatchBatches,
    Reservoir,
    draw_sample,
    draw_states,
    normalised_patches,
    read_log_mel,
)
from wordless.audio.options import SpectrogramConfig
from wordless.audio.recordings.manifest import Clip
from wordless.base.pools import LOCAL, THIS_PROCESS, open_pool


def test_a_short_stream_is_kept_whole() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    reservoir = Reservoir(10, 2, seed=0)
    reservoir.add(rows[:1])
    reservoir.add(rows[1:])
    assert np.array_equal(reservoir.sample, rows)


def test_rows_of_any_shape_are_kept_as_one_row() -> None:
    frames = np.arange(200, dtype=np.float32).reshape(100, 2)
    windows = np.lib.stride_tricks.sliding_window_view(frames, 3, axis=0)  # (98, 2, 3), a view
    one, other = (Reservoir(7, 6, seed=1) for _ in range(2))
    one.add(windows)
    other.add(windows.reshape(98, 6))
    assert np.array_equal(one.sample, other.sample)


def test_every_row_has_the_same_chance() -> None:
    counts = np.zeros(200)
    for seed in range(400):
        reservoir = Reservoir(20, 1, seed=seed)
        for start in range(0, 200, 30):
            reservoir.add(np.arange(start, min(start + 30, 200), dtype=np.float32)[:, None])
        counts[reservoir.sample[:, 0].astype(int)] += 1
    assert counts.sum() == 400 * 20
    # 40 expected, standard deviation 6: neither the beginning nor the end of the stream is favoured
    assert abs(counts[:50].mean() - 40) < 4
    assert abs(counts[-50:].mean() - 40) < 4
    assert counts.min() > 12


def test_statistics_are_those_of_all_frames() -> None:
    parts = [torch.randn(n, 5) * 3 + 2 for n in (40, 1, 17)]
    sample = draw_sample(parts, frames=2, n_mels=5, capacity=10, seed=0)
    frames = torch.cat(parts)
    assert torch.allclose(sample.mean, frames.mean(0), atol=1e-5)
    assert torch.allclose(sample.std, frames.std(0, unbiased=False), atol=1e-4)
    assert sample.columns.shape == (10, 2, 5)
    assert sample.seen == 39 + 0 + 16


def test_columns_are_runs_of_frames_within_one_recording() -> None:
    first, second = torch.arange(10.0).reshape(5, 2), torch.arange(100.0, 106.0).reshape(3, 2)
    columns = draw_sample([first, second], frames=2, n_mels=2, capacity=100, seed=0).columns
    assert torch.equal(columns[0], first[:2])
    assert torch.equal(columns[-1], second[1:3])
    assert len(columns) == 4 + 2


def test_a_recording_shorter_than_a_state_gives_frames_alone() -> None:
    short, long = (torch.zeros(0, 5), torch.ones(1, 3)), (torch.ones(2, 5), torch.zeros(5, 3))
    found = draw_states([short, long], frames=2, n_mels=3, width=5, capacity=4, seed=0)
    assert (found.seen, found.columns.shape) == (2, (2, 2, 3))
    torch.testing.assert_close(found.mean, torch.full((3,), 1 / 6))


def test_a_silent_band_is_not_blown_up() -> None:
    sample = draw_sample([torch.zeros(50, 3)], frames=1, n_mels=3, capacity=10, seed=0)
    assert torch.equal(sample.std, torch.full((3,), 0.1))


def test_patches_are_normalised_per_mel() -> None:
    columns = torch.randn(500, 2, 4) * torch.tensor([1.0, 2.0, 3.0, 4.0]) + 5
    patches = normalised_patches(columns, columns.mean((0, 1)), columns.std((0, 1)), height=2)
    assert patches.shape == (1000, 4)
    assert patches.mean().abs() < 1e-5
    assert patches.std() == pytest.approx(1, abs=1e-3)


def test_parts_together_are_the_batch() -> None:
    batches = PatchBatches(patches=torch.arange(50.0)[:, None], batch_size=8, seed=3)
    whole = batches.batch(7, 0, 1).patches
    parts = torch.cat([batches.batch(7, part, 2).patches for part in range(2)])
    assert torch.equal(whole.sort(0).values, parts.sort(0).values)
    assert not torch.equal(whole, batches.batch(8, 0, 1).patches)


def test_patches_are_heard_shifted_and_wanted_as_they_are() -> None:
    patches = torch.randn(100, 3 * 20)
    batches = PatchBatches(patches=patches, batch_size=8, seed=3, frames=3, max_formants=0.3)
    batch, plain = batches.batch(7, 0, 1), PatchBatches(patches=patches, batch_size=8, seed=3).batch(7, 0, 1)
    assert torch.equal(batch.patches, plain.patches)
    assert plain.inputs is None
    assert batch.inputs is not None
    heard, wanted = batch.inputs.reshape(8, 3, 20), batch.patches.reshape(8, 3, 20)
    assert not torch.equal(heard, wanted)
    edges = wanted.amin(2) <= heard.amin(2) + 1e-6, heard.amax(2) <= wanted.amax(2) + 1e-6
    assert all(bool(each.all()) for each in edges)  # between bands, never beyond them
    assert torch.equal(batch.inputs, batches.batch(7, 0, 1).inputs)  # type: ignore[arg-type]  # it has inputs
    parts = [batches.batch(7, part, 2).inputs for part in range(2)]
    assert torch.equal(torch.stack(parts, 1).reshape(8, -1), batch.inputs)  # type: ignore[arg-type]  # all have inputs


def test_the_loss_is_of_what_was_wanted() -> None:
    batch = PatchBatch(patches=torch.ones(4, 6), inputs=torch.zeros(4, 6))
    assert reconstruction_loss(torch.nn.Identity(), batch)[0].item() == 24
    assert reconstruction_loss(torch.nn.Identity(), PatchBatch(patches=torch.ones(4, 6)))[0].item() == 0


@pytest.mark.parametrize("ranges", [pytest.param(None, marks=pytest.mark.slow), (20.0, 50.0)])
def test_a_pool_reads_the_frames_that_one_process_reads(ranges: tuple[float, float] | None, tmp_path: Path) -> None:
    rng, rate = np.random.default_rng(0), 11_025
    clips = []
    for number, length in enumerate((3_000, 9_000, 20_000, 400, 5_000)):
        soundfile.write(tmp_path / f"{number}.wav", rng.uniform(-0.5, 0.5, length), rate)
        clips.append(Clip(path=f"{number}.wav", num_samples=length, sample_rate=rate, size=0, sha256=""))
    audio = SpectrogramConfig(sample_rate=8_000, n_mels=24)
    reader = LogMelReader(root=tmp_path, audio=audio, ranges=ranges, seed=3)
    few = replace(reader, whole_bytes=5_000)  # less than the log-mel of a clip of 1.8 s
    assert [few(clip) is None for clip in clips] == [False, False, True, False, False]
    one_by_one = [piece for clip in clips for piece in reader.pieces(clip)]
    with open_pool(LOCAL, 2) as processes:
        for each in (reader, few):
            for pool in (THIS_PROCESS, processes):
                done: list[int] = []
                found = list(read_log_mel(each, clips, pool, progress=done.append))
                assert done == [1, 2, 3, 4, 5]
                assert all(torch.equal(one, other) for one, other in zip(found, one_by_one, strict=True))
