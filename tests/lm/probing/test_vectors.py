"""Vectors of clips: pooling over time, layers and hearings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.options import ONE_HEARING, PARTS, POOLINGS, Means, Pooling, VectorConfig
from lm.probing.vectors import ALL_POOLINGS, RunningPools, average, bags_of_codes, pool, pool_batch
from tests.lm.reference import pooled_by_loops
from tests.lm.tiny import random_codes
from tokenizer.codes import SoftCodes, soft_assignments, spacings_of
from wordless.base.errors import InputError


@given(steps=st.integers(1, 40), streams=st.integers(1, 3), pooling=st.sampled_from(ALL_POOLINGS))
def test_a_bag_of_codes_is_the_pool_of_one_hot_codes(steps: int, streams: int, pooling: Pooling) -> None:
    codes = random_codes(steps, streams=streams)
    one_hot = np.eye(7, dtype=np.float32)[codes.values].reshape(steps, -1)
    np.testing.assert_allclose(bags_of_codes(codes, [pooling])[pooling], pool(one_hot, pooling), atol=1e-6)


@pytest.mark.parametrize("pooling", ALL_POOLINGS)
@pytest.mark.parametrize("streams", [1, 3])
def test_a_bag_of_soft_codes_is_the_pool_of_their_shares(
    streams: int, pooling: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lm.probing.vectors.STEPS_AT_ONCE", 4)  # in three pieces
    rng = torch.Generator().manual_seed(0)
    bottlenecks, codebooks = torch.randn(10, streams, 4, generator=rng), torch.randn(1, 7, 4, generator=rng)
    codes, spacings = random_codes(10, streams=streams), spacings_of(codebooks)
    soft = SoftCodes(codes=codes, bottlenecks=bottlenecks, codebooks=codebooks, spacings=spacings)
    shares = soft_assignments(bottlenecks, codebooks, spacings).reshape(10, -1).numpy()
    np.testing.assert_allclose(bags_of_codes(soft, [pooling])[pooling], pool(shares, pooling), atol=1e-6)


@pytest.mark.parametrize("pooling", ALL_POOLINGS)
def test_nothing_cannot_be_pooled(pooling: Pooling) -> None:
    with pytest.raises(InputError, match="0 time steps"):
        pool(np.zeros((0, 3), np.float32), pooling)
    with pytest.raises(InputError, match="0 time steps"):
        RunningPools({"frames": 0}, [pooling])


@given(steps=st.integers(1, 40), pooling=st.sampled_from(ALL_POOLINGS))
def test_pooling_is_what_loops_find(steps: int, pooling: Pooling) -> None:
    frames = np.random.default_rng(steps).normal(size=(steps, 3)).astype(np.float32)
    found = pool(frames, pooling)
    np.testing.assert_allclose(found, pooled_by_loops(frames.tolist(), pooling), atol=1e-6)
    assert len(found) == 3 * PARTS[pooling]


@pytest.mark.parametrize("pooling", ALL_POOLINGS)
@pytest.mark.parametrize("steps", [1, 2, 7, 300])
def test_frames_in_blocks_are_pooled_as_the_whole(steps: int, pooling: Pooling) -> None:
    frames = np.random.default_rng(0).normal(size=(steps, 5)).astype(np.float32)
    running = RunningPools({"frames": steps}, ALL_POOLINGS)
    for start in range(0, steps, 4):
        running.add("frames", frames[start : start + 4])
    np.testing.assert_allclose(running.pooled[f"frames:{pooling}"], pool(frames, pooling), atol=1e-6)


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4), pooling=st.sampled_from(POOLINGS))
def test_a_batch_is_pooled_as_each_clip_is(lengths: list[int], pooling: Means) -> None:
    frames = torch.randn(len(lengths), 20, 3, generator=torch.Generator().manual_seed(0))
    found = pool_batch(frames, torch.tensor(lengths), pooling)
    wanted = [pool(clip[:length].numpy(), pooling) for clip, length in zip(frames, lengths, strict=True)]
    np.testing.assert_allclose(found.numpy(), np.stack(wanted), atol=1e-6)


def test_vectors_are_averaged_over_hearings_key_by_key() -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": rng.normal(size=3).astype(np.float32), "b": rng.normal(size=2).astype(np.float32)} for _ in range(5)]
    found = average(rows)
    for key in ("a", "b"):
        wanted = [sum(float(row[key][n]) for row in rows) / 5 for n in range(len(rows[0][key]))]
        np.testing.assert_allclose(found[key], wanted, rtol=1e-6)
    np.testing.assert_array_equal(average(rows[:1])["a"], rows[0]["a"])


def test_the_rates_of_a_single_hearing_are_in_no_key() -> None:
    assert set(ONE_HEARING.key) == {"poolings", "hearings"}
    several = VectorConfig(hearings=3, layers=("last",))
    assert set(several.key) == {"poolings", "hearings", "hearing_rates"}
    assert set(several.network_key) == {*several.key, "layers"}
    assert several.key != VectorConfig(hearings=3, layers=("last",), hearing_rates=0.1).key


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("each", "together"), ["layer_1", "layer_2", "layer_3", "all"]),
        (("last", "together"), ["layer_3", "all"]),
        (("together",), ["all"]),
        (("last",), ["layer_3"]),
        (("each", "last"), ["layer_1", "layer_2", "layer_3"]),
    ],
)
def test_layers_are_each_the_last_or_all_side_by_side(layers: tuple[str, ...], names: list[str]) -> None:
    config = VectorConfig(layers=layers, poolings=("max",))  # type: ignore[arg-type]  # any texts
    assert config.keys(3, layer="layer", together="all") == [f"{name}:max" for name in names]
