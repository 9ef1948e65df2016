"""The rows of ``results.json``: one figure each, in one frame from the stage that measured it to tables and charts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pandas import DataFrame

from pipelines.results.figures import COSTS, MEASURES
from pipelines.store.store import Entry
from wordless.audio.views import Noise
from wordless.base.saved_models import read_header

FoldSeed = tuple[str, int]  # the test fold, and the seed
Made = Mapping[FoldSeed, Mapping[str, Entry]]  # entries by their names in results.json
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation: no parameters


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure of a run or of a sweep. None: the column does not apply; docs/figures.md explains each."""

    stage: str
    name: str
    value: float
    artifact: str  # key of the entry in the store
    of: str | None = None
    against: str | None = None  # the other one of a difference or ratio
    layer: str | None = None
    pooling: str | None = None
    bound: float | None = None
    penalty: float | None = None
    low: float | None = None
    high: float | None = None
    over: str | None = None  # what interval and p are over
    over_count: int | None = None
    p: float | None = None
    fold_low: float | None = None
    fold_high: float | None = None
    seed_low: float | None = None
    seed_high: float | None = None
    protocol: str | None = None
    split: str | None = None
    count: int | None = None  # clips
    labels: float | None = None
    share: float | None = None
    noise: str | None = None
    noise_snr: float | None = None
    group: str | None = None
    fold: str | None = None
    seed: int | None = None
    seeds: int = 1  # that the value is a mean of

    @property
    def unit(self) -> str:
        """The unit of the value; what is not in the table is a ratio."""
        if self.name.endswith("_difference_clips"):
            return "clips"
        measure = MEASURES.get(self.name.removesuffix("_difference"))
        return measure.unit if measure else "ratio"

    @property
    def added(self) -> Noise | None:
        """The noise in the test clips; older records lack its kind."""
        return Noise(self.noise or "", self.noise_snr) if self.noise or self.noise_snr is not None else None

    @property
    def subject(self) -> str | None:
        """What it is of, in one name: ``gpt``, ``gpt - simclr`` or ``gpt/layer_2``."""
        if self.against is not None:
            return f"{self.of} {'/' if self.name.endswith('_ratio') else '-'} {self.against}"
        return f"{self.of}/{self.layer}" if self.layer and not self.pooling else self.of

    @property
    def candidate(self) -> str | None:
        """The chosen layer and pooling, as features are named; None where a probe chose nothing."""
        if self.layer:
            return f"{self.of}/{self.layer}:{self.pooling}"
        return f"{self.of}:{self.pooling}" if self.pooling else None

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval is on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


NAMES: Final = tuple(column.name for column in fields(Row))
# The columns that are empty in a row over all folds, seeds, groups and labels, and without added noise.
OVERALL: Final = MappingProxyType(dict.fromkeys(("fold", "seed", "group", "share", "noise", "noise_snr")))


def frame(rows: Iterable[Row]) -> DataFrame:
    """Put rows into a frame, with the unit of each in one more column."""
    table = [(*(getattr(row, name) for name in NAMES), row.unit) for row in rows]
    return DataFrame(table, columns=[*NAMES, "unit"], dtype=object)


def read_frame(records: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Build the frame from the list in ``results.json``; columns of other versions are left out."""
    found = [Row(**{name: record[name] for name in NAMES if name in record}) for record in records]
    if bad := [row for row in found if not isinstance(row.value, int | float)]:
        raise TypeError(f"the value of {bad[0].name!r} is {bad[0].value!r}, and no number")
    return frame(found)


def where(rows: DataFrame, **columns: object) -> list[Row]:
    """Select the rows with these values of columns; None stands for an empty one."""
    wanted = np.ones(len(rows), bool)
    for name, value in columns.items():
        wanted &= rows[name].to_numpy(object) == value
    return [Row(**dict(zip(NAMES, values, strict=True))) for values in rows.loc[wanted, [*NAMES]].to_numpy(object)]


def measured(rows: DataFrame, stage: str) -> list[Row]:
    """Select the overall rows of a stage, without its costs."""
    return [row for row in where(rows, stage=stage, **OVERALL) if row.name not in COSTS]


def find(
    rows: DataFrame, stage: str, name: str, of: str | None = None, *, against: str | None = None, **columns: object
) -> Row | None:
    """Return the first overall row of this name: of probes that of test, unless another split is asked for."""
    return next(iter(where(rows, stage=stage, name=name, of=of, against=against, **OVERALL, **columns)), None)


def value_of(rows: DataFrame, stage: str, name: str, of: str | None = None) -> float | None:
    found = find(rows, stage, name, of)
    return found.value if found else None


def values_by_name(rows: DataFrame) -> dict[str, float]:
    """Name the overall figures ``stage/name/of``, for trackers, without costs and single layers.

    Those of probes on validation end with that word.
    """
    found = {}
    for row in where(rows, **OVERALL):
        if row.name not in COSTS and (row.layer is None or row.pooling):  # with a pooling, a layer that was chosen
            split = "validation" if (row.stage, row.split) == ("probe", "validation") else ""
            found["/".join(filter(None, (row.stage, row.name, row.subject, split)))] = float(row.value)
    return found


def parameters(folder: Path) -> int:
    """Count the parameters of an entry's models, from the headers of its safetensors files."""
    return sum(
        prod(shape)
        for path in sorted(folder.glob("*.safetensors"))
        for name, (_, shape) in read_header(path).items()
        if not name.endswith(STATISTICS)
    )
