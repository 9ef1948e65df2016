"""Files of feature vectors that another program computed: an array for each layer, with a row for each clip.

An array is named after its layer, or ``layer:pooling``, such as ``layer_6:mean``. The clips of the rows are named by
their paths relative to the folder of the corpus (segments: by clip name, ``a.wav#t=10,20``), in any order::

    .npz          paths: strings (clips,)            layer_6:mean: floats (clips, dims)    of numpy.savez
    .safetensors  metadata "paths": JSON list        layer_6:mean: floats (clips, dims)
    .parquet      column path: strings               column layer_6:mean: lists of dims floats, one for each clip

Floats have 16, 32 or 64 bits. No file is unpickled.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import save_file

from wordless.base.arrays import Array, FloatArray
from wordless.base.files import aside
from wordless.base.messages import InputError, counted, first_line

SUFFIXES = (".npz", ".safetensors", ".parquet")
PATHS, PATH = "paths", "path"
KEY = re.compile(r"[A-Za-z0-9][\w.-]*(:[A-Za-z0-9][\w.-]*)?", re.ASCII)
MOST_NAMED = 3  # clips in a message


@dataclass(frozen=True, kw_only=True, eq=False)
class FeaturesFile:
    """The vectors of a file, and the clips that they describe."""

    file: Path
    paths: tuple[str, ...]  # of the clips
    arrays: Mapping[str, FloatArray]  # (clips, dims) by layer or ``layer:pooling``

    def require_clips(self, names: Sequence[str]) -> None:
        """Refuse a file without a row for each of the clips, or with rows of other clips."""
        missing, extra = sorted({*names} - {*self.paths}), sorted({*self.paths} - {*names})
        if missing:
            raise InputError(
                f"{self.file} has no row for {len(missing)} of {len(names)} clips: {_listed(missing)}; name the clip "
                "of each row by its path relative to the folder of the corpus, as manifest.tsv does"
            )
        if extra:
            raise InputError(f"{self.file} has {len(extra)} rows of clips that the corpus lacks: {_listed(extra)}")

    def ordered(self, names: Sequence[str]) -> dict[str, FloatArray]:
        """Sort the rows of the arrays in the order of the clips."""
        places = {path: row for row, path in enumerate(self.paths)}
        rows = [places[name] for name in names]
        return {key: array[rows] for key, array in self.arrays.items()}


def read_features(file: Path) -> FeaturesFile:
    """Read a file of features whole, and refuse a file that is not as the module describes."""
    if file.suffix.lower() not in SUFFIXES or not file.is_file():
        raise InputError(f"{file} is no file of features; give one that ends in {', '.join(SUFFIXES)}")
    try:
        paths, arrays = _content(file)
    except Exception as error:  # damaged files raise exceptions of NumPy, zipfile, zlib, tokenize, PyArrow and others
        raise InputError(
            f"{file} cannot be read ({first_line(error)}); write it again without pickles, with paths as text, and "
            "with lists of one length in each column of Parquet"
        ) from error
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InputError(
            f"{file} does not name its clips; add the paths relative to the folder of the corpus: an array paths of "
            "strings (.npz), metadata paths with a JSON list (.safetensors), or a column path (.parquet)"
        )
    if twice := sorted(path for path, rows in Counter(paths).items() if rows > 1):
        raise InputError(f"{file} has several rows for {len(twice)} clips: {_listed(twice)}; keep one for each")
    if not arrays:
        raise InputError(f"{file} has no features beside the paths; add an array (clips, dims) for each layer")
    converted = {key: _floats(file, key, arrays[key], paths) for key in sorted(arrays)}
    return FeaturesFile(file=file, paths=tuple(paths), arrays=converted)


def _content(file: Path) -> tuple[object, dict[str, Array]]:
    """Read paths and arrays, as a file has them."""
    match file.suffix.lower():
        case ".npz":
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            paths = arrays.pop(PATHS, None)
            return (paths.tolist() if paths is not None and paths.dtype.kind == "U" else None), arrays
        case ".safetensors":
            with safe_open(file, framework="numpy") as content:
                arrays = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118  # it is no dictionary
                return json.loads((content.metadata() or {}).get(PATHS, "null")), arrays
        case _:
            table = pq.read_table(file)
            columns = {name: table.column(name) for name in table.column_names}
            named = columns.pop(PATH, None)
            lists = {name: [*column.to_numpy()] for name, column in columns.items()}  # an array for each row
            stacked = {name: np.stack(rows) if rows else np.zeros((0, 0)) for name, rows in lists.items()}
            return None if named is None else named.to_pylist(), stacked


def write_vectors(file: Path, paths: Sequence[str], arrays: Mapping[str, FloatArray]) -> None:
    """Write arrays ``(clips, dims)`` as `read_features` reads them, whole or not at all; the suffix is the format."""
    with aside(file) as beside:
        match file.suffix.lower():
            case ".npz":
                with beside.open("wb") as handle:  # NumPy would add its suffix to a name
                    np.savez(handle, allow_pickle=False, **{PATHS: np.array(paths, np.str_), **arrays})
            case ".safetensors":
                save_file(dict(arrays), beside, metadata={PATHS: json.dumps(list(paths))})
            case _:
                lists = {
                    key: pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
                    for key, array in arrays.items()
                }
                pq.write_table(pa.table({PATH: list(paths), **lists}), beside)


def _floats(file: Path, key: str, array: Array, paths: Sequence[str]) -> FloatArray:
    if not KEY.fullmatch(key):
        problem = f"{file} has an array {key!r}"
        raise InputError(f"{problem}; name each layer or layer:pooling, of letters, digits, '_', '.' and '-'")
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"{file}: {key} has the type {array.dtype}; it must be floats of 16, 32 or 64 bits")
    if array.ndim != 2 or len(array) != len(paths) or not array.size:
        raise InputError(f"{file}: {key} has the shape {array.shape}; it must be ({len(paths)} clips, dims)")
    with np.errstate(over="ignore"):
        values: FloatArray = array.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        names = [paths[row] for row in bad.tolist()]
        raise InputError(
            f"{file}: {key} is NaN or infinite for {counted(len(names), 'clip')}: {_listed(names)}; compute it again"
        )
    return values


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{', '.join(map(repr, names[:MOST_NAMED]))}{more}"
