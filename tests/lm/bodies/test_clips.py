"""Clips read in place, the order in which training takes them, and labelled batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lm.bodies.clips import ClipViews, LabelledBatches, Order, StoredClips, batches_by_length, validation_batches
from lm.bodies.options import ClipBatchConfig, WaveformBatchConfig

LENGTHS = np.array([3, 8, 1, 5])


def _clips() -> StoredClips:
    """Clip c is filled with c + 1, and its first band counts its frames."""
    frames = np.repeat(np.arange(1, 5), LENGTHS)[:, None] * np.ones((1, 4))
    frames[:, 0] = np.concatenate([np.arange(length) for length in LENGTHS])
    return StoredClips.of(frames.astype(np.float16), np.cumsum([0, *LENGTHS]))


def test_clips_are_read_whole_with_zeros_beyond(tmp_path: Path) -> None:
    """Also some of them, followed by others that are mapped from a file."""
    np.save(tmp_path / "frames.npy", _clips().sources[0])
    mapped = StoredClips.of(np.load(tmp_path / "frames.npy", mmap_mode="r"), np.cumsum([0, *LENGTHS]))
    both = _clips().of_rows([3, 1]).followed_by(mapped.of_rows([2]))
    for clips, rows, numbers in ((_clips(), [1, 2, 0], [1, 2, 0]), (both, [0, 1, 2], [3, 1, 2])):
        found, lengths = clips.read(np.array(rows), at_most=100)
        assert lengths.tolist() == LENGTHS[numbers].tolist()
        assert found.shape == (3, 8, 4)
        for row, clip in enumerate(numbers):
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


def test_waveforms_are_read_on_their_scale() -> None:
    samples = StoredClips.of(np.array([0, 16384, -32768, 1], np.int16), np.array([0, 3, 4]))
    found, lengths = samples.read(np.array([1, 0]), at_most=2)
    assert lengths.tolist() == [1, 2]
    assert found.tolist() == [[1 / 32768, 0.0], [0.0, 0.5]]


@pytest.mark.parametrize("pool_batches", [1, 5])
def test_an_epoch_holds_each_clip_once_beside_clips_of_like_length(pool_batches: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 100, size=40)
    order = Order(lengths, ClipBatchConfig(batch_size=8, pool_batches=pool_batches))
    for epoch in range(3):
        batches = [order.clips(step) for step in range(5 * epoch, 5 * epoch + 5)]
        assert sorted(np.concatenate(batches).tolist()) == list(range(40))
        assert (np.mean([np.ptp(lengths[clips]) for clips in batches]) < 30) == (pool_batches == 5)
    assert order.clips(0).tolist() != order.clips(5).tolist()


LABELLED = (3, 9, 1, 5, 7, 2, 8, 4)
# an input is the number of its clip and its own number in the clip
CLIPS = StoredClips.together(
    [np.stack([np.full(length, clip), np.arange(length)], 1).astype(np.int32) for clip, length in enumerate(LABELLED)]
)
TARGETS = torch.arange(len(LABELLED)) * 10


def training() -> LabelledBatches:
    config = WaveformBatchConfig(batch_size=4, max_seconds=2, pool_batches=1).at_rate(50)
    unchanged = ClipViews(CLIPS, config, lambda inputs, lengths, generator: (inputs, lengths))
    return LabelledBatches(views=unchanged, targets=TARGETS)


def test_every_clip_comes_once_in_an_epoch_with_its_target() -> None:
    batches = [training().batch(step, 0, 1) for step in range(2)]
    clips = [int(clip) for batch in batches for clip in batch.inputs[:, 0, 0]]
    assert sorted(clips) == list(range(8))
    for batch in batches:
        for inputs, length, target in zip(batch.inputs, batch.lengths.tolist(), batch.targets.tolist(), strict=True):
            clip = int(inputs[0, 0])
            assert (length, target) == (LABELLED[clip], 10 * clip)
            assert (inputs[:length, 0] == clip).all()
            assert (inputs[length:] == 0).all()


def test_codes_stay_whole_numbers_and_lengths_stay_on_the_host() -> None:
    assert CLIPS.read(np.array([1]), at_most=9)[0].dtype == torch.int64
    moved = training().batch(0, 0, 1).to(torch.device("meta"))
    assert [each.device.type for each in (moved.inputs, moved.targets, moved.lengths)] == ["meta", "meta", "cpu"]


def test_validation_holds_every_clip_once_and_whole() -> None:
    batches = validation_batches(CLIPS, TARGETS, batch_size=3, most_inputs=10)  # 3 * 3, 2 * 5, and longer ones alone
    assert [len(batch.targets) for batch in batches] == [3, 2, 1, 1, 1]
    assert torch.cat([batch.lengths for batch in batches]).tolist() == sorted(LABELLED)
    for batch in batches:
        assert (batch.targets == 10 * batch.inputs[:, 0, 0]).all()


def test_the_first_inputs_of_each_clip_alone_are_read() -> None:
    batches = list(batches_by_length(CLIPS, batch_size=3, at_most=4, most_inputs=8))
    assert [LABELLED[row] for rows, _, _ in batches for row in rows] == sorted(LABELLED)
    assert [lengths.tolist() for _, _, lengths in batches] == [[1, 2], [3, 4], [4, 4], [4, 4]]
    assert [inputs.shape[1] for _, inputs, _ in batches] == [2, 4, 4, 4]
    for _, inputs, lengths in batches:
        for own, length in zip(inputs[..., 1].tolist(), lengths.tolist(), strict=True):
            assert own[:length] == list(range(length))
