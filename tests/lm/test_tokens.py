"""Tokens of codes, training and validation batches of them, and the loss."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.rates import CoarserRate, ConditionEmbedding, Conditions
from lm.tokens import UNCOUNTED, BatchConfig, CodeBatch, CodeSequences, TrainingBatches, Vocabulary, validation_batches
from tests.lm.tiny import random_codes, rates_format
from wordless.base.arrays import IntArray
from wordless.base.messages import InputError

LENGTHS = (3, 12, 40, 7, 25, 1, 18, 9)  # time steps


def _sequences(streams: int = 1, views: int = 1) -> CodeSequences:
    def clip(length: int, number: int) -> list[IntArray]:
        return [random_codes(length, streams=streams, seed=10 * number + view).values for view in range(views)]

    return CodeSequences(views=[clip(length, number) for number, length in enumerate(LENGTHS)])


def _training(sequences: CodeSequences, *, capacity: int = 10, **config: float) -> TrainingBatches:
    vocabulary = Vocabulary(per_stream=7, streams=sequences.views[0][0].shape[1])
    settings = {"batch_size": 6, "random_inputs": 0.0, "pool_batches": 2, **config}
    return TrainingBatches(sequences, vocabulary, BatchConfig(**settings), capacity=capacity)  # type: ignore[arg-type]  # of several types


def _rows(batch: CodeBatch) -> Counter[tuple[int, ...]]:
    """Each row's inputs and targets without padding."""
    pairs = zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True)
    kept = ([(i, t) for i, t in zip(*pair, strict=True) if t != UNCOUNTED] for pair in pairs)
    return Counter(tuple(number for pair in row for number in pair) for row in kept)


@pytest.mark.parametrize("streams", [1, 2])
def test_shares_together_are_the_whole_batch_which_follows_from_the_step(streams: int) -> None:
    batches, other = (_training(_sequences(streams, views=2), random_inputs=0.3, seed=seed) for seed in (0, 1))
    for step in range(7):  # reaches into the third epoch
        shares = [batches.batch(step, part, 3) for part in range(3)]
        whole = batches.batch(step, 0, 1)
        assert sum((_rows(share) for share in shares), Counter()) == _rows(whole)
        assert sum(share.codes for share in shares) == whole.codes == int((whole.targets != UNCOUNTED).sum())
    again = _training(_sequences(streams, views=2), random_inputs=0.3).batch(6, 0, 1)
    assert torch.equal(again.inputs, whole.inputs)
    assert not torch.equal(other.batch(6, 0, 1).inputs, whole.inputs)


def test_an_epoch_has_each_clip_once_for_each_window_that_it_fills() -> None:
    sequences = _sequences()
    batches = _training(sequences, batch_size=5)  # 3 windows of 10 fit... 15 examples in an epoch
    rows = sum((_rows(batches.batch(step, 0, 1)) for step in range(3)), Counter())
    for clip, length in enumerate(LENGTHS):
        codes = sequences.views[clip][0].reshape(-1).tolist()
        crops = {tuple(codes[start : start + 10]) for start in range(max(length - 10, 0) + 1)}
        assert sum(count for row, count in rows.items() if row[1::2] in crops) == -(-length // 10)


def test_inputs_are_the_targets_one_step_later_behind_begin_of_sequence() -> None:
    batch = _training(_sequences(streams=2)).batch(0, 0, 1)
    vocabulary = Vocabulary(per_stream=7, streams=2)
    for inputs, targets in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        codes = targets[targets != UNCOUNTED]
        tokens = vocabulary.tokens(codes.astype(np.int32).reshape(-1, 2))
        assert inputs[: len(codes)].tolist() == [vocabulary.bos, *tokens[:-1].tolist()]
        assert (inputs[len(codes) :] == vocabulary.pad).all()


def test_random_inputs_leave_the_targets_alone() -> None:
    clean, noisy = (_training(_sequences(), random_inputs=share).batch(0, 0, 1) for share in (0.0, 0.5))
    assert torch.equal(clean.targets, noisy.targets)
    counted = clean.targets != UNCOUNTED
    counted[:, 0] = False  # begin-of-sequence stays
    changed = (clean.inputs != noisy.inputs)[counted].float().mean()
    assert 0.2 < changed < 0.6  # a random code may be the one it replaces
    assert torch.equal(clean.inputs[:, 0], noisy.inputs[:, 0])


def test_every_view_of_a_clip_is_seen() -> None:
    clips = CodeSequences(views=[[np.full((4, 1), view, np.int32) for view in range(3)]])
    batches = _training(clips, batch_size=1)
    assert {int(batches.batch(step, 0, 1).targets[0, 0]) for step in range(30)} == {0, 1, 2}


@settings(max_examples=20)
@given(capacity=st.integers(2, 30), batch_size=st.integers(1, 9), streams=st.integers(1, 2))
def test_validation_counts_every_code_once(capacity: int, batch_size: int, streams: int) -> None:
    sequences, vocabulary = _sequences(streams, views=2), Vocabulary(per_stream=7, streams=streams)
    batches = list(validation_batches(sequences, vocabulary, batch_size=batch_size, capacity=capacity))
    counted = Counter(code for batch in batches for code in batch.targets[batch.targets != UNCOUNTED].tolist())
    first_views = np.concatenate([sequences.views[clip][0] for clip in range(len(sequences.views))])
    assert counted == Counter(first_views.reshape(-1).tolist())
    assert sum(batch.codes for batch in batches) == first_views.size


def test_batches_that_cannot_be_shared_out_and_clips_without_codes_are_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size\b.*\b6\b.*\b4\b"):
        _training(_sequences()).batch(0, 0, 4)
    with pytest.raises(InputError, match="0 clips"):
        CodeSequences(views=[])
    with pytest.raises(InputError, match=r"1 of 2 clips\b.*code"):
        CodeSequences(views=[[random_codes(3).values], [random_codes(0).values]])


def test_validation_takes_a_few_windows_of_all_lengths_where_that_is_all_it_may() -> None:
    vocabulary = Vocabulary(per_stream=7, streams=1)
    whole, few = (
        sum(map(_rows, validation_batches(_sequences(), vocabulary, batch_size=2, capacity=4, at_most=most)), Counter())
        for most in (None, 5)
    )
    assert few.total() == 5 < whole.total()
    assert few <= whole


@given(size=st.integers(2, 50), streams=st.integers(1, 4), steps=st.integers(0, 20), seed=st.integers(0, 100))
def test_tokens_and_codes_are_one_to_one(size: int, streams: int, steps: int, seed: int) -> None:
    vocabulary = Vocabulary(per_stream=size, streams=streams)
    values = np.random.default_rng(seed).integers(size, size=(steps, streams), dtype=np.int32)
    tokens = vocabulary.tokens(values)
    stream, code = np.divmod(tokens, size)
    assert (vocabulary.bos, vocabulary.pad, vocabulary.size) == (size * streams, size * streams + 1, size * streams + 2)
    np.testing.assert_array_equal(stream, np.arange(tokens.size) % streams)
    np.testing.assert_array_equal(code, values.reshape(-1))


@given(
    shares=st.sampled_from([(4, 2), (6, 3), (3,), (8, 4, 2)]),
    streams=st.integers(1, 2),
    steps=st.integers(0, 30),
    look_ahead=st.integers(0, 2),
)
def test_every_code_is_read_where_it_sounds(shares: tuple[int, ...], streams: int, steps: int, look_ahead: int) -> None:
    rates = tuple(CoarserRate(share=share, streams=streams) for share in shares)
    conditions = Conditions(no_code=7, coarser=rates, look_ahead=look_ahead)
    rng = np.random.default_rng(steps)
    coarser = [rng.integers(7, size=(-(-steps // share), streams), dtype=np.int32) for share in shares]
    rows = conditions.align(coarser, steps)
    assert rows.shape == (steps, len(conditions.sizes))
    for step, row in enumerate(rows.tolist()):
        wanted: list[int] = []
        for share, codes in zip(shares, coarser, strict=True):
            for ahead in range(1 + look_ahead):
                covering = step // share + ahead
                wanted += codes[covering].tolist() if covering < len(codes) else [7] * streams
        assert row == [*wanted, step % shares[0]]
    assert (rows < np.array(conditions.sizes)).all()


def test_columns_are_those_of_the_rates() -> None:
    conditions = Conditions.of(rates_format(4, 2, 1), look_ahead=1)
    assert conditions.coarser == (CoarserRate(share=4, streams=1), CoarserRate(share=2, streams=1))
    assert conditions.sizes == (8, 8, 8, 8, 4)
    with pytest.raises(InputError, match=r"look_ahead\b.*-1\b.*\b0\b"):
        Conditions.of(rates_format(2, 1), look_ahead=-1)


def test_embeddings_of_all_columns_are_summed() -> None:
    conditions = Conditions(no_code=2, coarser=(CoarserRate(share=2, streams=1),), look_ahead=0)
    embedding = ConditionEmbedding(conditions, 4, std=1.0)
    table = embedding.embed.weight  # rows: codes 0 and 1, none, places 0 and 1
    found = embedding(torch.tensor([[1, 0], [2, 1]]))
    torch.testing.assert_close(found, torch.stack([table[1] + table[3], table[2] + table[4]]))
