"""Feature tensors of artifacts of the store, each read on demand.

Keys are ``<method>[/<layer>]:<pooling>``, such as ``log_mel:mean`` or ``gpt/layer_3:thirds``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from lm.probing.vectors import CLASS_SCORES
from wordless.base.arrays import FloatArray
from wordless.base.files import aside
from wordless.base.messages import InputError

STORED_ROWS_AT_ONCE = 1024  # clips whose vectors are stacked at once
FEATURES = "features.safetensors"  # in an artifact
SCORES = "scores.safetensors"  # beside them, for methods with their own classifier: `CLASS_SCORES` ``(clips, classes)``
PROBE_RECORD = "probe.json"  # results of the probes, in their artifact
_ALL_LAYERS = re.compile(r"/all_\w+:")  # in a key: all layers of a network side by side
WITH_INPUT = "_with_input"  # in a key: with the input of the network beside them
MEAN_KEPT = "/as_recorded:"  # in a key of log-mel: before a mean is removed, which no network reads
GPT_METHOD: Final = "gpt"  # the method that all others are compared with


def stacked_rows(rows: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Stack the vectors ``(dim,)`` of the clips into tensors ``(clips, dim)``; every clip has the same keys."""
    rows = iter(rows)
    blocks = iter(lambda: [*islice(rows, STORED_ROWS_AT_ONCE)], [])
    return joined_rows({key: np.stack([row[key] for row in block]) for key in block[0]} for block in blocks)


def joined_rows(blocks: Iterable[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Join tensors ``(clips of a block, dim)`` to tensors ``(clips, dim)``, one after the other, of the same keys."""
    columns: dict[str, list[FloatArray]] = {}
    for block in blocks:
        for key, values in block.items():
            columns.setdefault(key, []).append(values)
    return {key: np.concatenate(columns.pop(key)) for key in [*columns]}


def write_features(
    folder: Path, tensors: Mapping[str, FloatArray], *, of: str | None = None, scores: FloatArray | None = None
) -> None:
    """Write tensors ``(clips, dim)`` by key into the folder of an artifact.

    With ``of``, keys ``layer:pooling`` become those of a method. ``scores (clips, classes)`` are class probabilities.
    """
    prefix = f"{of}/" if of else ""
    with aside(folder / FEATURES) as beside:
        save_file({f"{prefix}{key}": values for key, values in tensors.items()}, beside)
    if scores is not None:
        with aside(folder / SCORES) as beside:
            save_file({CLASS_SCORES: scores}, beside)


_Part = tuple[Path, str]  # a file, and the key of a tensor in it


class StoredFeatures(Mapping[str, FloatArray]):
    """Tensors ``(clips, dim)`` by key, some of several parts side by side; none is kept in memory."""

    def __init__(self, places: Mapping[str, Sequence[_Part]]) -> None:
        self._places = {key: tuple(parts) for key, parts in places.items()}

    @classmethod
    def of(cls, file: Path, method: str = "") -> "StoredFeatures":
        """Open the candidates of a method in natural order of their keys; "": all of the file."""
        with safe_open(file, framework="numpy") as opened:
            keys = sorted(opened.keys(), key=natural)
        if not (own := [key for key in keys if method in ("", method_of_key(key))]):
            problem = f"the features of the method {method} have the keys of {method_of_key(keys[0])}"
            raise InputError(f"{problem}: begin the keys with the method's own name, as in {method}:mean")
        return cls({key: [(file, key)] for key in own})

    def with_input(self, own: "StoredFeatures") -> "StoredFeatures":
        """Add candidates with the input of a network, the vectors ``own``, beside all layers of the same pooling."""
        inputs = own.widest
        places = dict[str, tuple[_Part, ...]]()
        for key, parts in self._places.items():
            beside = inputs.get(pooling_of(key), ()) if _ALL_LAYERS.search(key) else ()
            places |= {key: parts} | ({with_input(key): (*parts, *beside)} if beside else {})
        return StoredFeatures(places)

    @property
    def widest(self) -> dict[str, tuple[_Part, ...]]:
        """The parts of one candidate of each pooling: all layers of a network, else its last one."""
        ordered = sorted(self._places, key=lambda key: bool(_ALL_LAYERS.search(key)))
        return {pooling_of(key): self._places[key] for key in ordered if MEAN_KEPT not in key}

    def __getitem__(self, key: str) -> FloatArray:
        first, *others = self._places[key]
        if not others:
            return self._read(*first)
        return np.concatenate([self._read(*part) for part in (first, *others)], axis=1)

    @staticmethod
    def _read(place: Path, key: str) -> FloatArray:
        with safe_open(place, framework="numpy") as file:
            tensor: FloatArray = file.get_tensor(key)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def side_by_side_features(of: str, several: Sequence[StoredFeatures]) -> StoredFeatures:
    """Put all layers (else the last) of each method beside each other, by pooling; a single method is itself."""
    first, *others = several
    if not others:
        return first
    each = [features.widest for features in several]
    poolings = [pooling for pooling in each[0] if all(pooling in own for own in each)]
    return StoredFeatures({f"{of}/all_parts:{name}": [part for own in each for part in own[name]] for name in poolings})


def with_input(key: str) -> str:
    """Name the candidate that has a network's input beside ``key``: gpt/all_inner_with_input:thirds."""
    name, _, pooling = key.rpartition(":")
    return f"{name}{WITH_INPUT}:{pooling}"


def pooling_of(key: str) -> str:
    """Return the pooling of a key: the part after its last ":"."""
    return key.rpartition(":")[2]


def parts_of_key(key: str) -> tuple[str | None, str]:
    """Return layer and pooling of a key; None for a method without layers."""
    name, _, pooling = key.rpartition(":")
    return name.partition("/")[2] or None, pooling


def method_of_key(key: str) -> str:
    """Return the method of a key: the part before the first "/" or ":"."""
    return re.split("[/:]", key, maxsplit=1)[0]


def natural(key: str) -> list[tuple[int, str]]:
    """Return what sorts keys in natural order: layer 2 before layer 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", key)]
