"""Files of features: the three formats agree, and a file is read whole or refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lm.probing.features_file import READERS, read_features
from wordless.base.errors import InputError

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


@pytest.mark.parametrize("suffix", READERS)
def test_all_formats_hold_the_same(tmp_path: Path, suffix: str) -> None:
    found = read_features(written(tmp_path / f"x{suffix}", **ARRAYS))
    assert found.paths == tuple(PATHS)
    assert set(found.arrays) == set(ARRAYS)
    ordered = found.ordered(sorted(PATHS))
    for key, values in ARRAYS.items():
        assert found.arrays[key].dtype == np.float32
        np.testing.assert_array_equal(ordered[key], values.astype(np.float32)[[1, 0, 2]])


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": ["a", "b", "b"]}, r"\b1 clips\b.*'b'"),
        ({"paths": [1, 2, 3]}, r"\bname"),
        ({"layer": np.full((3, 2), np.nan, np.float32)}, r"layer\b.*NaN.*\b3 clips\b.*'b/1\.wav', 'a/2\.wav'"),
        ({"layer": np.full((3, 2), 1e300)}, r"layer\b.*NaN"),
        ({"layer": np.ones((3, 2), np.int64)}, "layer .* floats"),
        ({"a/b": np.ones((3, 2))}, "layer:pooling"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, suffix: str, changes: dict[str, Any], message: str) -> None:
    paths = changes.pop("paths", PATHS) if "paths" in changes else PATHS
    file = written(tmp_path / f"x{suffix}", paths, **({"last": ARRAYS["last"]} | changes))
    changes["paths"] = paths
    with pytest.raises(InputError, match=message) as refused:
        read_features(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no features"),
        ({"x": np.ones((2, 4))}, r"\bx\b.*\(2, 4\).*\(3 clips, dims\)"),
        ({"x": np.ones(3)}, r"\bx\b.*\(3,\)"),
        ({"x": np.ones((3, 0))}, r"\bx\b.*\(3, 0\)"),
        ({"x": np.array([[{}], [1], [None]], dtype=object)}, "pickle"),
        ({"x": np.ones((3, 2), complex)}, r"\bx\b.*complex128"),
    ],
)
def test_arrays_of_other_shapes_and_types_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_features(written(tmp_path / "x.npz", **arrays))


def test_rows_of_different_lengths_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": PATHS, "x": [[1.0], [1.0, 2.0], [3.0]]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"\bx\b.*list.*floats"):
        read_features(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("names", "message"),
    [([*PATHS, "d", "e"], r"\b2 of 5 clips\b.*'d', 'e'"), (PATHS[:1], r"\b2 rows\b.*'a/2\.wav', 'c\.wav#t=0,1\.5'")],
)
def test_missing_and_extra_clips_are_named(tmp_path: Path, names: list[str], message: str) -> None:
    found = read_features(written(tmp_path / "x.npz", **ARRAYS))
    found.require_clips(PATHS[::-1])
    with pytest.raises(InputError, match=message):
        found.require_clips(names)


@pytest.mark.parametrize("name", ["gone.npz", "folder.npz", "x.pkl"])
def test_what_is_no_file_of_features_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(InputError, match=name):
        read_features(tmp_path / name)


def _bytes_of(place: Path, suffix: str) -> bytes:
    return written(place / f"whole{suffix}", **ARRAYS).read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([*READERS]))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: st.DataObject, suffix: str) -> None:
    """Bytes drawn at random, and whole files with a few bytes changed or the end cut off."""
    file = tmp_path / f"drawn{suffix}"
    whole = bytearray(_bytes_of(tmp_path, suffix))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        whole[place] = data.draw(st.integers(0, 255))
    cut = whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 9]))]
    file.write_bytes(data.draw(st.sampled_from([bytes(cut), data.draw(st.binary(max_size=60))])))
    try:
        found = read_features(file)
    except InputError:
        return
    assert all(np.isfinite(values).all() and len(values) == len(found.paths) for values in found.arrays.values())
