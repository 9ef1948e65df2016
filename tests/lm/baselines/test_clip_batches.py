"""Clips read in place, and the order in which training takes them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lm.baselines.clip_batches import ClipBatchConfig, Order, StoredClips, WaveformBatchConfig, trim_rows
from wordless.base.errors import InputError

LENGTHS = np.array([3, 8, 1, 5])


def _clips() -> StoredClips:
    """Clip c is filled with c + 1, and its first band counts its frames."""
    frames = np.repeat(np.arange(1, 5), LENGTHS)[:, None] * np.ones((1, 4))
    frames[:, 0] = np.concatenate([np.arange(length) for length in LENGTHS])
    return StoredClips.of(frames.astype(np.float16), np.cumsum([0, *LENGTHS]))


def test_clips_are_read_whole_with_zeros_beyond() -> None:
    found, lengths = _clips().read(np.array([1, 2, 0]), at_most=100)
    assert found.shape == (3, 8, 4)
    assert lengths.tolist() == [8, 1, 3]
    for row, clip in enumerate([1, 2, 0]):
        assert (found[row, : LENGTHS[clip], 1:] == clip + 1).all()
        assert not found[row, LENGTHS[clip] :].any()


def test_of_a_long_clip_a_passage_is_read() -> None:
    firsts = set()
    for seed in range(30):
        found, lengths = _clips().read(np.array([1]), at_most=6, generator=torch.Generator().manual_seed(seed))
        assert lengths.tolist() == [6]
        firsts.add(int(found[0, 0, 0]))
        assert found[0, :, 0].diff().tolist() == [1] * 5
    assert firsts == {0, 1, 2}
    assert _clips().read(np.array([1]), at_most=6)[0][0, 0, 0] == 0


def test_some_clips_followed_by_others(tmp_path: Path) -> None:
    np.save(tmp_path / "frames.npy", _clips().sources[0])
    mapped = StoredClips.of(np.load(tmp_path / "frames.npy", mmap_mode="r"), np.cumsum([0, *LENGTHS]))
    both = _clips().of_rows([3, 0]).followed_by(mapped.of_rows([2]))
    assert both.lengths.tolist() == [5, 3, 1]
    found, _ = both.read(np.arange(3), at_most=100)
    assert found[:, 0, 1].tolist() == [4, 1, 3]


def test_waveforms_are_read_on_their_scale() -> None:
    samples = StoredClips.of(np.array([0, 16384, -32768, 1], np.int16), np.array([0, 3, 4]))
    found, lengths = samples.read(np.array([1, 0]), at_most=2)
    assert lengths.tolist() == [1, 2]
    assert found.tolist() == [[1 / 32768, 0.0], [0.0, 0.5]]


def test_offsets_must_cover_the_frames() -> None:
    with pytest.raises(InputError, match=r"offsets\b.*\b3\b.*\b5\b"):
        StoredClips.of(np.zeros((5, 2), np.float16), np.array([0, 3]))


@pytest.mark.parametrize("pool_batches", [1, 3])
def test_an_epoch_holds_each_clip_once(pool_batches: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=40)
    order = Order(lengths, ClipBatchConfig(batch_size=8, pool_batches=pool_batches))
    for epoch in range(3):
        seen = np.concatenate([order.clips(step) for step in range(5 * epoch, 5 * epoch + 5)])
        assert sorted(seen.tolist()) == list(range(40))
    assert order.clips(0).tolist() != order.clips(5).tolist()


def test_pools_bring_clips_of_like_length_together() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=400)
    spreads = [
        np.mean([np.ptp(lengths[order.clips(step)]) for step in range(40)])
        for order in (Order(lengths, ClipBatchConfig(batch_size=10, pool_batches=pools)) for pools in (1, 10))
    ]
    assert spreads[1] < 0.3 * spreads[0]


def test_rows_lose_the_frames_that_only_others_need() -> None:
    found, lengths = trim_rows(*_clips().read(np.arange(4), at_most=100), slice(0, None, 2))
    assert found.shape == (2, 3, 4)
    assert lengths.tolist() == [3, 1]


def test_batches_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size\b.*\b1\b"):
        ClipBatchConfig(batch_size=1)
    with pytest.raises(InputError, match=r"batch_size\b.*\b3\b"):
        ClipBatchConfig(batch_size=8).share(0, 3)
    for wrong, value in (("max_seconds", 0.0), ("max_seconds", float("nan")), ("batch_size", 1), ("seed", -1)):
        with pytest.raises(InputError, match=rf"batches\.{wrong}\b"):
            WaveformBatchConfig(**{wrong: value})  # type: ignore[arg-type]  # what a user may give


def test_seconds_become_samples() -> None:
    config = WaveformBatchConfig(batch_size=8, max_seconds=0.5, pool_batches=2, seed=3).at_rate(8000)
    assert config == ClipBatchConfig(batch_size=8, max_frames=4000, pool_batches=2, seed=3)
