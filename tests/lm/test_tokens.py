"""Tokens of codes, and what an upsampler reads of coarser codes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.tokens import CoarserRate, ConditionEmbedding, Conditions, Vocabulary
from tests.lm.tiny import rates_format
from tests.reference import covering_codes
from wordless.base.errors import InputError


@given(size=st.integers(2, 50), streams=st.integers(1, 4), steps=st.integers(0, 20), seed=st.integers(0, 100))
def test_tokens_and_codes_are_one_to_one(size: int, streams: int, steps: int, seed: int) -> None:
    vocabulary = Vocabulary(per_stream=size, streams=streams)
    values = np.random.default_rng(seed).integers(size, size=(steps, streams), dtype=np.int32)
    tokens = vocabulary.tokens(values)
    stream, code = np.divmod(tokens, size)
    np.testing.assert_array_equal(stream, np.arange(tokens.size) % streams)
    np.testing.assert_array_equal(code, values.reshape(-1))


def test_order_is_time_major_and_streams_have_tokens_of_their_own() -> None:
    vocabulary = Vocabulary(per_stream=10, streams=2)
    tokens = vocabulary.tokens(np.array([[1, 2], [3, 4]], np.int32))
    assert tokens.tolist() == [1, 12, 3, 14]
    assert (vocabulary.bos, vocabulary.pad, vocabulary.size) == (20, 21, 22)


def test_a_model_that_reads_both_ways_has_one_token_more() -> None:
    vocabulary = Vocabulary(per_stream=10, streams=2, backward=True)
    assert (vocabulary.bos, vocabulary.pad, vocabulary.end, vocabulary.size) == (20, 21, 22, 23)


def test_a_vocabulary_of_one_code_is_refused() -> None:
    with pytest.raises(InputError, match=r"per_stream\b.*\b1\b"):
        Vocabulary(per_stream=1, streams=1)


DRAWING = """
[               a0                  ][               a1                  ]
[       b0       ][       b1        ][       b2       ][       b3        ]
[  c0   ][  c1   ][   c2   ][  c3   ][  c4   ][  c5   ][   c6   ][  c7   ]
"""
ENDS_EARLY = """
[               a0                  ][               a1                  ]
[       b0       ][       b1        ][       b2       ]
[  c0   ][  c1   ][   c2   ][  c3   ][  c4   ]
"""
NAMES = {f"{rate}{number}": number for rate in "abc" for number in range(8)} | {"-": 7}


@pytest.mark.parametrize("drawing", [DRAWING, ENDS_EARLY])
@pytest.mark.parametrize("look_ahead", [0, 1, 2])
def test_alignment_is_that_of_the_drawing(drawing: str, look_ahead: int) -> None:
    conditions = Conditions(
        no_code=7,
        coarser=(CoarserRate(share=4, streams=1), CoarserRate(share=2, streams=1)),
        look_ahead=look_ahead,
    )
    counts = [drawing.count(rate) for rate in "abc"]
    coarser = [np.arange(count, dtype=np.int32)[:, None] for count in counts[:2]]
    expected = covering_codes(drawing, look_ahead)
    *codes, place = zip(*expected, strict=True)
    wanted = [[NAMES[name] for name in column] for column in codes] + [[int(each) for each in place]]
    assert conditions.align(coarser, counts[2]).T.tolist() == wanted


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
    assert conditions is not None
    assert conditions.coarser == (CoarserRate(share=4, streams=1), CoarserRate(share=2, streams=1))
    assert conditions.sizes == (8, 8, 8, 8, 4)
    assert Conditions.of(rates_format(2), look_ahead=1) is None
    with pytest.raises(InputError, match=r"look_ahead\b.*-1\b.*\b0\b"):
        Conditions.of(rates_format(2, 1), look_ahead=-1)


def test_embeddings_of_all_columns_are_summed() -> None:
    conditions = Conditions(no_code=2, coarser=(CoarserRate(share=2, streams=1),), look_ahead=0)
    embedding = ConditionEmbedding(conditions, 4, std=1.0)
    table = embedding.embed.weight  # rows: codes 0 and 1, none, places 0 and 1
    found = embedding(torch.tensor([[1, 0], [2, 1]]))
    torch.testing.assert_close(found, torch.stack([table[1] + table[3], table[2] + table[4]]))
