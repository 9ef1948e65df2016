"""The rows of ``results.json``."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, overload

from pipelines.results.measures import unit_of

OF_LAYER: Final = "layer_"  # begin of the names of figures of single layers
COSTS = ("seconds", "peak_memory")  # figures of what a stage cost


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of ``results.json`` and of ``sweep.csv``; an empty column says that it does not apply."""

    stage: str
    name: str
    value: float
    artifact: str  # store key of the entry that it is about
    of: str | None = None  # method or kind of sound
    against: str | None = None  # of a difference or a ratio: the other method or kind of sound
    layer: str | None = None  # of the method's network: the chosen one, or the one that the figure is of
    pooling: str | None = None
    penalty: float | None = None  # of the probe, as it was chosen
    low: float | None = None  # interval over clips, or over what the protocol of the stage says
    high: float | None = None
    p: float | None = None  # two-sided, of a difference
    fold_low: float | None = None  # of a difference: paired t interval over the folds
    fold_high: float | None = None
    seed_low: float | None = None  # paired t interval over the seeds
    seed_high: float | None = None
    protocol: str | None = None  # how the clips were divided
    split: str | None = None
    count: int | None = None  # clips that the value is measured on
    labels: float | None = None  # labelled training clips of a learning curve, and their share of all
    share: float | None = None
    group: str | None = None  # None: clips of all groups
    fold: str | None = None  # None: all folds
    seed: int | None = None  # None: all seeds
    seeds: int = 1  # that the value is a mean of

    @property
    def unit(self) -> str:
        """The unit of the value."""
        return unit_of(self.name)

    @property
    def is_overall(self) -> bool:
        """Whether the value is over all folds, seeds, groups and labels."""
        return self.fold is None and self.seed is None and self.group is None and self.share is None

    @property
    def subject(self) -> str | None:
        """What the figure is of, in one name: ``gpt``, ``gpt - simclr`` or ``gpt/layer_2``."""
        if self.against is not None:
            return f"{self.of} {'/' if self.name.endswith('_ratio') else '-'} {self.against}"
        return f"{self.of}/{self.layer}" if self.layer and not self.pooling else self.of

    @property
    def candidate(self) -> str | None:
        """The chosen layer and pooling, as the features of the method are named; None where a probe chose nothing."""
        return (
            f"{self.of}/{self.layer}:{self.pooling}"
            if self.layer
            else f"{self.of}:{self.pooling}"
            if self.pooling
            else None
        )

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval is on one side of zero, so that a difference is more than chance."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def as_row(self) -> dict[str, object]:
        """Return the figure with its unit as plain values."""
        return {**asdict(self), "unit": self.unit}


class Figures(Sequence[Figure]):
    """The rows of one run."""

    def __init__(self, rows: Iterable[Figure]) -> None:
        """Store the rows in their order."""
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Figure: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Figure]: ...
    def __getitem__(self, place: int | slice) -> Figure | Sequence[Figure]:
        return self._rows[place]

    def where(self, **columns: object) -> "Figures":
        """Select the rows with these values of columns; None stands for an empty one."""
        wanted = tuple(columns.items())
        return Figures(row for row in self._rows if all(getattr(row, name) == value for name, value in wanted))

    def measured(self, stage: str) -> "Figures":
        """Select the rows of a stage, without its costs."""
        return Figures(row for row in self._rows if row.stage == stage and row.name not in COSTS)

    @property
    def overall(self) -> "Figures":
        """The rows over all folds, seeds, groups and labels."""
        return Figures(row for row in self._rows if row.is_overall)

    def find(
        self, stage: str, name: str, of: str | None = None, *, against: str | None = None, split: str | None = None
    ) -> Figure | None:
        """Return the first overall row of this name: of probes that of test, unless another split is asked for."""
        found = self.where(stage=stage, name=name, of=of, against=against)
        return next((row for row in found if row.is_overall and split in (None, row.split)), None)

    def value(self, stage: str, name: str, of: str | None = None) -> float | None:
        """Return the value of `find`."""
        found = self.find(stage, name, of)
        return found.value if found else None
