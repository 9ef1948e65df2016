"""Vectors of clips: pooling over time, layers and test-time augmentation, and files of features."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lm.probing.vectors import (
    ALL_POOLINGS,
    PARTS,
    POOLINGS,
    VECTOR_SUFFIXES,
    Means,
    Pooling,
    RunningPools,
    VectorConfig,
    average,
    bags_of_codes,
    pool,
    pool_batch,
    read_features,
)
from tests.lm.reference import pooled_by_loops
from tests.lm.tiny import random_codes
from wordless.base.messages import InputError


@given(steps=st.integers(1, 40), streams=st.integers(1, 3), pooling=st.sampled_from(ALL_POOLINGS))
def test_a_bag_of_codes_is_the_pool_of_one_hot_codes(steps: int, streams: int, pooling: Pooling) -> None:
    codes = random_codes(steps, streams=streams)
    one_hot = np.eye(7, dtype=np.float32)[codes.values].reshape(steps, -1)
    np.testing.assert_allclose(bags_of_codes(codes, [pooling])[pooling], pool(one_hot, pooling), atol=1e-6)


@pytest.mark.parametrize("pooling", ALL_POOLINGS)
def test_nothing_cannot_be_pooled(pooling: Pooling) -> None:
    with pytest.raises(InputError, match="0 time steps"):
        pool(np.zeros((0, 3), np.float32), pooling)
    with pytest.raises(InputError, match="0 time steps"):
        RunningPools({"frames": 0}, [pooling])
    with pytest.raises(InputError, match="0 time steps"):
        bags_of_codes(random_codes(0), [pooling])


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


def test_vectors_are_averaged_over_augmentations_key_by_key() -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": rng.normal(size=3).astype(np.float32), "b": rng.normal(size=2).astype(np.float32)} for _ in range(5)]
    for key, found in average(rows).items():
        np.testing.assert_allclose(found, np.mean([row[key] for row in rows], axis=0), rtol=1e-6)
    np.testing.assert_array_equal(average(rows[:1])["a"], rows[0]["a"])


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        (("each", "together"), ["layer_1", "layer_2", "layer_3", "all"]),
        (("last", "together"), ["layer_3", "all"]),
        (("each", "last"), ["layer_1", "layer_2", "layer_3"]),
    ],
)
def test_layers_are_each_the_last_or_all_side_by_side(layers: tuple[str, ...], names: list[str]) -> None:
    config = VectorConfig(layers=layers, poolings=("max",))  # type: ignore[arg-type]  # any texts
    pooled = {f"layer_{number}:max": np.full((2, 1), number, np.float32) for number in (1, 2, 3)}
    found = config.select(pooled, layer="layer", together="all")
    assert [*found] == [f"{name}:max" for name in names]
    assert found.get("all:max", np.tile([1, 2, 3], (2, 1))).tolist() == [[1, 2, 3]] * 2


PATHS = ["b/1.wav", "a/2.wav", "c.wav#t=0,1.5"]
ARRAYS = {
    "layer_6:mean": np.arange(12, dtype=np.float32).reshape(3, 4),
    "last": np.linspace(-1, 1, 6, dtype=np.float64).reshape(3, 2),
    "half": np.ones((3, 1), np.float16),
}


def written(file: Path, paths: Any = PATHS, **arrays: Any) -> Path:
    """A file of features in the format of its suffix."""
    match file.suffix:
        case ".npz":
            np.savez(file, paths=np.array(paths), **arrays)
        case ".safetensors":
            save_file(arrays, file, metadata={"paths": json.dumps(paths)})
        case _:
            pq.write_table(pa.table({"path": paths, **{key: list(values) for key, values in arrays.items()}}), file)
    return file


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_all_formats_hold_the_same(tmp_path: Path, suffix: str) -> None:
    found = read_features(written(tmp_path / f"x{suffix}", **ARRAYS))
    assert found.paths == tuple(PATHS)
    assert set(found.arrays) == set(ARRAYS)
    ordered = found.ordered(sorted(PATHS))
    for key, values in ARRAYS.items():
        assert found.arrays[key].dtype == np.float32
        np.testing.assert_array_equal(ordered[key], values.astype(np.float32)[[1, 0, 2]])


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
@pytest.mark.parametrize(
    ("paths", "changes", "message"),
    [
        (["a", "b", "b"], {}, r"\b1 clips\b.*'b'"),
        ([1, 2, 3], {}, r"\bname"),
        (PATHS, {"layer": np.full((3, 2), np.nan, np.float32)}, r"layer\b.*NaN.*\b3 clips\b.*'b/1\.wav', 'a/2\.wav'"),
        (PATHS, {"layer": np.ones((3, 2), np.int64)}, "layer .* floats"),
        (PATHS, {"a/b": np.ones((3, 2))}, "layer:pooling"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, suffix: str, paths: list[object], changes: dict[str, Any], message: str
) -> None:
    file = written(tmp_path / f"x{suffix}", paths, last=ARRAYS["last"], **changes)
    with pytest.raises(InputError, match=message) as refused:
        read_features(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no features"),
        ({"x": np.ones((2, 4))}, r"\bx\b.*\(2, 4\).*\(3 clips, dims\)"),
        ({"x": np.ones((3, 0))}, r"\bx\b.*\(3, 0\)"),
        ({"x": np.array([[{}], [1], [None]], dtype=object)}, "pickle"),
    ],
)
def test_arrays_of_other_shapes_and_files_of_other_kinds_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_features(written(tmp_path / "x.npz", **arrays))
    (tmp_path / "folder.npz").mkdir()
    pq.write_table(pa.table({"path": PATHS, "x": [[1.0], [1.0, 2.0], [3.0]]}), tmp_path / "lists.parquet")
    for name in ("gone.npz", "folder.npz", "x.pkl", "lists.parquet"):
        with pytest.raises(InputError, match=name):
            read_features(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "message"),
    [([*PATHS, "d", "e"], r"\b2 of 5 clips\b.*'d', 'e'"), (PATHS[:1], r"\b2 rows\b.*'a/2\.wav', 'c\.wav#t=0,1\.5'")],
)
def test_missing_and_extra_clips_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    found = read_features(written(tmp_path / "x.npz", **ARRAYS))
    found.require_clips(PATHS[::-1])
    with pytest.raises(InputError, match=message):
        found.require_clips(names)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([*VECTOR_SUFFIXES]))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    """Bytes drawn at random, and whole files with a few bytes changed or the end cut off."""
    file = tmp_path / f"drawn{suffix}"
    whole = bytearray(written(tmp_path / f"whole{suffix}", **ARRAYS).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 9]))]
    file.write_bytes(data.draw(st.sampled_from([bytes(cut), data.draw(st.binary(max_size=60))])))
    try:
        found = read_features(file)
    except InputError:
        return
    assert all(np.isfinite(values).all() and len(values) == len(found.paths) for values in found.arrays.values())
