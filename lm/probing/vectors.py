"""How a clip becomes a vector: frames are pooled over time, vectors are averaged over views, or a file has them.

Every method of a comparison has the same poolings and views:

- ``mean``: the mean over the whole recording.
- ``thirds``: the means over its three thirds, side by side.
- ``max``: of each feature, the largest magnitude over time. It finds what happens once, however short it is.
- ``thirds_max``: the three means, followed by the largest magnitudes.

A file of features, which another program computed, has an array for each layer, with a row for each clip. An array is
named after its layer, or ``layer:pooling``, such as ``layer_6:mean``. The clips of the rows are named by their paths
relative to the folder of the corpus (segments: by clip name, ``a.wav#t=10,20``), in any order::

    .npz          paths: strings (clips,)            layer_6:mean: floats (clips, dims)    of numpy.savez
    .safetensors  metadata "paths": JSON list        layer_6:mean: floats (clips, dims)
    .parquet      column path: strings               column layer_6:mean: lists of dims floats, one for each clip

Floats have 16, 32 or 64 bits. No file is unpickled.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, takewhile
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from tokenizer.codes import Codes
from wordless.base.arrays import Array, FloatArray, Floats
from wordless.base.devices import copy_to
from wordless.base.files import aside
from wordless.base.messages import InputError, counted, first_line
from wordless.base.options import Options, option

Means = Literal["mean", "thirds"]
Pooling = Literal["mean", "thirds", "max", "thirds_max"]
POOLINGS: tuple[Pooling, ...] = get_args(Means)  # of the default comparison
# vectors of features that a pooling lays side by side
PARTS: dict[Pooling, int] = {"mean": 1, "thirds": 3, "max": 1, "thirds_max": 4}
ALL_POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# equal parts of the time whose means a pooling has; one with more vectors (`PARTS`) has the largest magnitudes, too
MEANS: dict[Pooling, int] = {"mean": 1, "thirds": 3, "max": 0, "thirds_max": 3}


Layers = Literal["each", "last", "together"]
States = Literal["residual", "inner"]  # of each layer, which probes may read
RESIDUAL: tuple[States, ...] = ("residual",)
MOST_HEARINGS = 100  # each costs time


@dataclass(frozen=True, kw_only=True)
class VectorConfig(Options):
    """Poolings, layers and test-time augmentation."""

    poolings: tuple[Pooling, ...] = option(
        POOLINGS,
        "over time, for every method: mean | thirds (means of the thirds) | max (of magnitude) | thirds_max",
        filled=True,
        distinct=True,
    )
    layers: tuple[Layers, ...] = option(
        ("each", "together"),
        "layers of a network that are candidates: each (every layer by itself) | last | together (all layers side by "
        "side); AST has layers 4, 8 and 12",
        filled=True,
        distinct=True,
    )
    # Eight versions gave bags of codes 12.5 points and SimCLR 2.2 (docs/log.md, "How the probes read the models"), at
    # eight times the cost; so the default has one, and presets of few recordings have eight.
    test_time_augmentation: int = option(
        1,
        "test-time augmentation: number of versions of each clip, up to 25 % slower and faster, over which every "
        "method averages its features",
        least=1,
        most=MOST_HEARINGS,
    )

    def select(self, pooled: Mapping[str, FloatArray], *, layer: str, together: str) -> dict[str, FloatArray]:
        """Select candidates from vectors of all layers, ``layer_1:mean`` and so on; ``together``: side by side."""
        found: dict[str, FloatArray] = {}
        for pooling in self.poolings:
            numbered = (f"{layer}_{number}:{pooling}" for number in count(1))
            names = [*takewhile(pooled.__contains__, numbered)]
            alone = names if "each" in self.layers else names[-1:] if "last" in self.layers else []
            found |= {name: pooled[name] for name in alone}
            if "together" in self.layers:
                found[f"{together}:{pooling}"] = np.concatenate([pooled[name] for name in names], axis=-1)
        return found


VECTORS = VectorConfig()  # of the default comparison


def pooling_parts(steps: int, parts: int) -> list[range]:
    """Return the time steps of each part; thirds may share the step at their border, so that none is empty."""
    if steps < 1:
        raise InputError("a recording of 0 time steps has no mean; leave it out before pooling")
    return [range(part * steps // parts, -(-(part + 1) * steps // parts)) for part in range(parts)]


class RunningPools:
    """Pools of named sequences of frames that arrive in blocks; only sums and largest magnitudes are kept."""

    def __init__(
        self, steps: Mapping[str, int], poolings: Sequence[Pooling] = POOLINGS, *, frames_per_step: int = 1
    ) -> None:
        """Prepare for sequences of the given numbers of time steps, of ``frames_per_step`` frames each."""
        self._poolings, size = tuple(poolings), frames_per_step
        self._parts = {  # of each sequence, the frames of each part, by the number of parts and its own number
            name: {
                (parts, number): range(part.start * size, part.stop * size)
                for parts in {MEANS[pooling] for pooling in poolings}
                for number, part in enumerate(pooling_parts(count, parts))
            }
            for name, count in steps.items()
        }
        self._sums = {name: {key: np.zeros(()) for key in parts} for name, parts in self._parts.items()}
        self._largest = {name: np.zeros(()) for name in steps}
        self._seen = dict.fromkeys(steps, 0)

    def add(self, name: str, frames: Floats) -> None:
        """Add the next frames ``(frames, features)`` of one sequence."""
        seen, sums = self._seen[name], self._sums[name]
        for key, part in self._parts[name].items():
            own = frames[max(part.start - seen, 0) : max(part.stop - seen, 0)]
            sums[key] = sums[key] + own.sum(0, dtype=np.float64)
        if len(frames) and any(PARTS[pooling] > MEANS[pooling] for pooling in self._poolings):
            self._largest[name] = np.maximum(self._largest[name], np.abs(frames).max(0))
        self._seen[name] += len(frames)

    @property
    def pooled(self) -> dict[str, FloatArray]:
        """The vectors ``name:pooling`` -> ``(parts * features,)``, once all frames were added."""
        found: dict[str, FloatArray] = {}
        for name, parts in self._parts.items():
            for pooling in self._poolings:
                means = [self._sums[name][key] / len(part) for key, part in parts.items() if key[0] == MEANS[pooling]]
                largest = [self._largest[name]] if PARTS[pooling] > MEANS[pooling] else []
                found[f"{name}:{pooling}"] = np.concatenate([*means, *largest]).astype(np.float32)
        return found


def pool(frames: Floats, pooling: Pooling) -> FloatArray:
    """Pool ``(time, features)`` to ``(parts * features,)``."""
    pools = RunningPools({"": len(frames)}, [pooling])
    pools.add("", frames)
    return pools.pooled[f":{pooling}"]


Frames = tuple[Tensor, Tensor]  # states (batch, states, dim), and the number of states of each clip (batch,)
# of each row: the number of its recording, and its first state that counts; and the states of each layer
StatesOfBatch = tuple[Sequence[tuple[int, int]], Mapping[str, Frames]]


def pool_states(
    read: Iterable[StatesOfBatch],
    steps: Sequence[Sequence[int]],
    poolings: Sequence[Pooling],
    *,
    states_per_step: int = 1,
) -> list[dict[str, FloatArray]]:
    """Pool states of recordings that are read part by part: ``layer_1:mean`` and so on; ``steps`` by layer."""
    for length in {*chain(*steps)}:
        pooling_parts(length, 0)  # refuses a recording of no time steps
    pools = list[RunningPools]()
    for places, states in read:
        if not pools:
            named = [dict(zip(states, own, strict=True)) for own in steps]
            pools = [RunningPools(own, poolings, frames_per_step=states_per_step) for own in named]
        together = torch.cat([each.flatten() for each, _ in states.values()]).cpu()
        parts = torch.split(together, [each.numel() for each, _ in states.values()])
        for (name, (each, ends)), part in zip(states.items(), parts, strict=True):
            for (number, begin), own, end in zip(places, part.view(each.shape).numpy(), ends.tolist(), strict=True):
                pools[number].add(name, own[begin:end])
    return [own.pooled for own in pools]


def pool_batch(frames: Tensor, lengths: Tensor, pooling: Means) -> Tensor:
    """Apply `pool` to each clip's first ``lengths`` frames: ``(batch, time, dim)`` -> ``(batch, parts * dim)``.

    Keep ``lengths`` on the CPU: reading them from a GPU would wait for all its work.
    """
    weights = torch.zeros(len(frames), PARTS[pooling], frames.shape[1], dtype=torch.float32)
    for clip, length in enumerate(lengths.tolist()):
        for row, part in zip(weights[clip], pooling_parts(length, MEANS[pooling]), strict=True):
            row[part.start : part.stop] = 1 / len(part)
    return (copy_to(weights.to(frames.dtype), frames.device) @ frames).flatten(1)


def bags_of_codes(codes: Codes, poolings: Sequence[Pooling]) -> dict[Pooling, FloatArray]:
    """Compute each code's share of the time ``(parts * streams * codes,)``: pools of one-hot codes."""
    # Codes are counted: one-hot codes took a number for each code of the codebook and up to 800 times as long.
    streams, size = codes.format.spectral_streams, codes.format.codebook_size
    places = codes.spectral.values + size * np.arange(streams)  # (time, streams), among the codes of all streams
    counts, found = partial(np.bincount, minlength=streams * size), dict[Pooling, FloatArray]()
    for pooling in poolings:
        parts = pooling_parts(len(places), MEANS[pooling])
        shares = [counts(places[part.start : part.stop].ravel()) / len(part) for part in parts]
        shares += [np.minimum(counts(places.ravel()), 1.0)] if PARTS[pooling] > MEANS[pooling] else []
        found[pooling] = np.concatenate(shares).astype(np.float32)
    return found


CLASS_SCORES = "scores"  # beside the vectors of a network with a head: class probabilities ``(classes,)``


def average(vectors: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Average the arrays of each key over views, in float64; the arrays of a single view are returned as they are."""
    rows = [*vectors]
    if len(rows) == 1:
        return dict(rows[0])
    means = {key: np.mean([row[key] for row in rows], axis=0, dtype=np.float64) for key in rows[0]}
    return {key: np.asarray(mean, np.float32) for key, mean in means.items()}


VECTOR_SUFFIXES = (".npz", ".safetensors", ".parquet")
PATHS, _PATH = "paths", "path"
_KEY = re.compile(r"[A-Za-z0-9][\w.-]*(:[A-Za-z0-9][\w.-]*)?", re.ASCII)
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
    if file.suffix.lower() not in VECTOR_SUFFIXES or not file.is_file():
        raise InputError(f"{file} is no file of features; give one that ends in {', '.join(VECTOR_SUFFIXES)}")
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
            named = columns.pop(_PATH, None)
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
                pq.write_table(pa.table({_PATH: list(paths), **lists}), beside)


def _floats(file: Path, key: str, array: Array, paths: Sequence[str]) -> FloatArray:
    if not _KEY.fullmatch(key):
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
