"""Entries of every fold and seed, and the parameters of their models."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

from pipelines.store.store import Entry
from wordless.base.saved_models import read_header

FoldSeed = tuple[str, int]  # the test fold, and the seed
Made = Mapping[FoldSeed, Mapping[str, Entry]]  # entries by their names in results.json


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


def parameters(folder: Path) -> int:
    """Count the parameters of an entry's models, from the headers of its safetensors files."""
    return sum(
        prod(shape)
        for path in sorted(folder.glob("*.safetensors"))
        for name, (_, shape) in read_header(path).items()
        if not name.endswith(STATISTICS)
    )
