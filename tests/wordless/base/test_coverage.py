"""What a training says that it read is what its batches contained."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.backbones.clips import ClipBatchConfig, ClipViews, LabelledBatches, StoredClips
from lm.backbones.wav2vec2 import as_read
from lm.tokens import BatchConfig, CodeSequences, TrainingBatches, Vocabulary
from tokenizer.autoencoder_training import PatchBatches
from wordless.base.coverage import Passages, TrainingSound, percent_below_whole

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=8)


@given(lengths=lengths, capacity=st.integers(2, 30), size=st.integers(1, 6), steps=st.integers(0, 12))
def test_a_gpt_s_share_is_that_of_the_codes_in_its_batches(
    lengths: list[int], capacity: int, size: int, steps: int
) -> None:
    # Every code of the training clips is another one, so that a batch says which of them it has.
    numbers = np.arange(sum(lengths), dtype=np.int32)
    views = [[each[:, None]] for each in np.split(numbers, np.cumsum(lengths)[:-1])]
    config = BatchConfig(batch_size=size, random_inputs=0.0)
    vocabulary = Vocabulary(per_stream=max(len(numbers), 2), streams=1)
    batches = TrainingBatches(CodeSequences(views=views), vocabulary, config, capacity=capacity)
    found = TrainingSound(lengths=np.array(lengths), unit_seconds=36.0, passages=batches.passages).coverage(steps)
    read = [batches.batch(step, 0, 1).targets.numpy() for step in range(steps)]
    seen = np.concatenate([each[each >= 0] for each in read]) if read else np.zeros(0, int)
    assert found["hours"] == pytest.approx(len(numbers) / 100)
    assert found["read_hours"] == pytest.approx(len(seen) / 100)
    assert found["passes"] == pytest.approx(len(seen) / len(numbers))
    assert found["share"] == pytest.approx(len({*seen.tolist()}) / len(numbers))
    owners = np.repeat(np.arange(len(lengths)), lengths)
    assert found["read_recordings"] == len({*owners[seen].tolist()})


@given(lengths=lengths, longest=st.integers(1, 30), size=st.integers(2, 6), steps=st.integers(0, 12))
def test_the_share_of_networks_of_clips_is_that_of_the_inputs_in_their_batches(
    lengths: list[int], longest: int, size: int, steps: int
) -> None:
    numbers = np.arange(1, sum(lengths) + 1, dtype=np.float32)[:, None]  # 0 is padding
    clips = StoredClips.of(numbers, np.cumsum([0, *lengths]))
    views = ClipViews(clips, ClipBatchConfig(batch_size=size, max_frames=longest), as_read)
    batches = LabelledBatches(views=views, targets=torch.arange(len(lengths)))
    found = TrainingSound(lengths=clips.lengths, unit_seconds=36.0, passages=batches.passages).coverage(steps)
    read = [batches.batch(step, 0, 1).inputs.numpy() for step in range(steps)]
    seen = np.concatenate([each[each > 0] for each in read]) if read else np.zeros(0)
    assert found["passes"] == pytest.approx(len(seen) / len(numbers))
    assert found["share"] == pytest.approx(len({*seen.tolist()}) / len(numbers))


@given(patches=st.integers(1, 60), of=st.integers(60, 500), size=st.integers(1, 16), steps=st.integers(0, 12))
def test_the_share_of_a_sample_of_patches_is_of_all_from_which_it_was_drawn(
    patches: int, of: int, size: int, steps: int
) -> None:
    batches = PatchBatches(patches=torch.arange(patches, dtype=torch.float32)[:, None], batch_size=size, seed=1)
    ones = np.ones(patches, np.int64)
    found = TrainingSound(lengths=ones, unit_seconds=0.01, passages=batches.passages, of_sample=of).coverage(steps)
    seen = [value for step in range(steps) for value in batches.batch(step, 0, 1).patches[:, 0].tolist()]
    assert found["passes"] == pytest.approx(len(seen) / of)
    assert found["share"] == pytest.approx(len({*seen}) / of)
    assert found["recordings"] is None


@given(
    lengths=lengths,
    pieces=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 45), st.integers(0, 45)), min_size=1, max_size=30),
)
def test_what_is_read_twice_is_covered_once(lengths: list[int], pieces: list[tuple[int, int, int]]) -> None:
    places = [(clip % len(lengths), min(one, other), max(one, other)) for clip, one, other in pieces]
    passages = Passages(*np.array(places).T)
    found = TrainingSound(lengths=np.array(lengths), unit_seconds=1.0, passages=lambda step: passages).coverage(2)
    read = {(clip, unit) for clip, start, stop in places for unit in range(start, min(stop, lengths[clip]))}
    assert found["share"] == pytest.approx(len(read) / sum(lengths))
    assert found["passes"] == pytest.approx(2 * sum(stop - start for _, start, stop in places) / sum(lengths))


@pytest.mark.parametrize(("size", "most"), [(512, 16e6), (16, 2e6)])
def test_what_a_long_training_has_read_is_counted_in_little_memory(size: int, most: float) -> None:
    """The passages of all steps at once would take 24 bytes for each piece, and as much again in sorting them."""
    patches, steps = 20_000, 3000
    batches = PatchBatches(patches=torch.zeros(patches, 1), batch_size=size, seed=0)
    sound = TrainingSound(lengths=np.ones(patches, np.int64), unit_seconds=0.01, passages=batches.passages)
    tracemalloc.start()
    try:
        found = sound.coverage(steps)
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()
    seen = np.unique(np.concatenate([batches.passages(step).recordings for step in range(steps)]))
    assert found["share"] == len(seen) / patches
    assert found["read_recordings"] == len(seen)
    assert found["passes"] == size * steps / patches


def test_less_than_all_is_less_than_100_percent() -> None:
    assert percent_below_whole(0.99999) == "99.9 %"
    assert percent_below_whole(1.0) == "100 %"
