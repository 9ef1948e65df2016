"""Feature tensors that arrive row by row, or block by block."""

import numpy as np

from pipelines.store.stored_features import ROWS_AT_ONCE, joined_rows, stacked_rows


def test_rows_are_stacked_in_their_order() -> None:
    values = np.random.default_rng(0).standard_normal((2 * ROWS_AT_ONCE + 3, 5)).astype(np.float32)
    stacked = stacked_rows({"a:mean": row, "a:thirds": np.repeat(row, 3)} for row in values)
    assert list(stacked) == ["a:mean", "a:thirds"]
    np.testing.assert_array_equal(stacked["a:mean"], values)
    np.testing.assert_array_equal(stacked["a:thirds"], np.repeat(values, 3, axis=1))


def test_blocks_are_joined() -> None:
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    joined = joined_rows({"a": block} for block in (values[:4], values[4:5], values[5:]))
    np.testing.assert_array_equal(joined["a"], values)
