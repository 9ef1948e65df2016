"""Batches of labelled clips."""

import numpy as np
import pytest
import torch

from lm.baselines.clip_batches import ClipViews, StoredClips, WaveformBatchConfig
from lm.baselines.labelled_batches import LabelledBatches, batches_by_length, validation_batches
from wordless.base.errors import InputError

LENGTHS = (3, 9, 1, 5, 7, 2, 8, 4)
# an input is the number of its clip and its own number in the clip
CLIPS = StoredClips.together(
    [np.stack([np.full(length, clip), np.arange(length)], 1).astype(np.int32) for clip, length in enumerate(LENGTHS)]
)
TARGETS = torch.arange(len(LENGTHS)) * 10


def unchanged(
    inputs: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    return inputs, lengths


def training() -> LabelledBatches:
    config = WaveformBatchConfig(batch_size=4, max_seconds=2, pool_batches=1).at_rate(50)
    return LabelledBatches(views=ClipViews(CLIPS, config, unchanged), targets=TARGETS)


def test_every_clip_comes_once_in_an_epoch_with_its_target() -> None:
    batches = [training().batch(step, 0, 1) for step in range(2)]
    clips = [int(clip) for batch in batches for clip in batch.inputs[:, 0, 0]]
    assert sorted(clips) == list(range(8))
    for batch in batches:
        for inputs, length, target in zip(batch.inputs, batch.lengths.tolist(), batch.targets.tolist(), strict=True):
            clip = int(inputs[0, 0])
            assert (length, target) == (LENGTHS[clip], 10 * clip)
            assert (inputs[:length, 0] == clip).all()
            assert (inputs[length:] == 0).all()


def test_parts_together_are_the_whole() -> None:
    whole, parts = training().batch(5, 0, 1), [training().batch(5, part, 2) for part in range(2)]
    for part, batch in enumerate(parts):
        assert batch.targets.tolist() == whole.targets[part::2].tolist()
        assert torch.equal(batch.inputs, whole.inputs[part::2, : batch.inputs.shape[1]])
    with pytest.raises(InputError, match=r"batches\.batch_size\b.*\b4\b.*\b3\b"):
        training().batch(0, 0, 3)


def test_codes_stay_whole_numbers_and_other_inputs_become_floats() -> None:
    assert CLIPS.read(np.array([1]), at_most=9)[0].dtype == torch.int64
    halves = StoredClips.together([np.full((3, 2), 0.5, np.float16)])
    assert halves.read(np.array([0]), at_most=9)[0].dtype == torch.float32


def test_validation_holds_every_clip_once_and_whole() -> None:
    batches = validation_batches(CLIPS, TARGETS, batch_size=3, most_inputs=27)
    assert [len(batch.targets) for batch in batches] == [3, 3, 2]
    fewer = validation_batches(CLIPS, TARGETS, batch_size=3, most_inputs=10)  # 3 * 3, 2 * 5, and longer ones alone
    assert [len(batch.targets) for batch in fewer] == [3, 2, 1, 1, 1]
    assert torch.cat([batch.lengths for batch in batches]).tolist() == sorted(LENGTHS)
    for batch in batches:
        assert (batch.targets == 10 * batch.inputs[:, 0, 0]).all()
    shorter = validation_batches(CLIPS, TARGETS, batch_size=8, at_most=4)
    assert [batch.lengths.tolist() for batch in shorter] == [[1, 2, 3, 4, 4, 4, 4, 4]]
    assert [rows.tolist() for rows, _, _ in batches_by_length(CLIPS.of_rows([1, 2]), batch_size=8)] == [[1, 0]]


def test_the_first_inputs_of_each_clip_alone_are_read() -> None:
    batches = list(batches_by_length(CLIPS, batch_size=3, at_most=4, most_inputs=8))
    assert [LENGTHS[row] for rows, _, _ in batches for row in rows] == sorted(LENGTHS)
    assert [lengths.tolist() for _, _, lengths in batches] == [[1, 2], [3, 4], [4, 4], [4, 4]]
    assert [inputs.shape[1] for _, inputs, _ in batches] == [2, 4, 4, 4]
    for _, inputs, lengths in batches:
        for own, length in zip(inputs[..., 1].tolist(), lengths.tolist(), strict=True):
            assert own[:length] == list(range(length))


def test_lengths_stay_on_the_host() -> None:
    moved = training().batch(0, 0, 1).to(torch.device("meta"))
    assert [each.device.type for each in (moved.inputs, moved.targets, moved.lengths)] == ["meta", "meta", "cpu"]


def test_clips_without_a_label_are_refused() -> None:
    views = ClipViews(CLIPS, WaveformBatchConfig(batch_size=4).at_rate(50), unchanged)
    with pytest.raises(InputError, match=r"\b8 train clips\b.*\b3 labels"):
        LabelledBatches(views=views, targets=TARGETS[:3])
    with pytest.raises(InputError, match=r"\b0 validation clips"):
        validation_batches(CLIPS.of_rows([]), TARGETS[:0], batch_size=4)


@pytest.mark.parametrize("most", [1, 4, 8, 15, 500])
def test_padding_does_not_fill_the_memory(most: int) -> None:
    batches = list(batches_by_length(CLIPS, batch_size=3, most_inputs=most))
    assert [LENGTHS[row] for rows, _, _ in batches for row in rows] == sorted(LENGTHS)
    for number, (rows, inputs, _) in enumerate(batches):
        assert len(rows) == 1 or inputs[..., 0].numel() <= most
        if len(rows) < 3 and number + 1 < len(batches):  # one more would have been too many
            longer = LENGTHS[batches[number + 1][0][0]]
            assert longer * (len(rows) + 1) > most
