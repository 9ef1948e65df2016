"""Regression: a number for each clip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lm.batches import IndexArray
from lm.heads.head import ClipHead, Figure, Groups, PooledTask, Probed, Row, figure
from lm.heads.options import FigureConfig, RegressionOptions
from lm.options import ProbeConfig
from lm.probing.comparison import Predictions, Ratios
from lm.probing.ridge import probe_numbers
from lm.probing.vectors import FloatArray
from wordless.audio.recordings.manifest import number_of
from wordless.base.errors import require

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class RegressionTask(PooledTask):
    """The normalisation of the numbers. Outputs are normalised numbers ``(1, 1)``."""

    options: RegressionOptions
    mean: float
    std: float

    def __post_init__(self) -> None:
        require(self.std > 0, "std", self.std, "it must be above 0")

    @classmethod
    def of(cls, options: RegressionOptions, labels: Sequence[str]) -> "RegressionTask":
        """Normalise the labels of training clips; the spread of equal numbers is an error of rounding, not 0."""
        values = _numbers(labels)
        spread = float(values.std()) if np.ptp(values) else 1.0
        return cls(options=options, mean=float(values.mean()), std=spread)

    @property
    def summary(self) -> str:
        """Mean and standard deviation of the training labels."""
        return f"numbers of mean {self.mean:.4g} and standard deviation {self.std:.4g}"

    def create(self, dim: int, *, states_per_second: float) -> nn.Module:
        """Create the module."""
        return ClipHead(dim, 1, pooling=self.options.pooling, dropout=self.options.dropout)

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Normalise the labels ``(clips,)``."""
        return torch.from_numpy(self._normalised(labels))

    def loss(self, outputs: Tensor, lengths: Tensor, targets: Tensor, *, training: bool) -> tuple[Tensor, int]:
        """Sum the squared errors of the normalised numbers over the clips of a batch."""
        return (outputs[:, 0, 0] - targets).square().sum(), len(targets)

    def rows(self, outputs: Sequence[FloatArray]) -> list[Row]:
        """Give the number of each clip, in the units of the labels."""
        return [{"value": float(value)} for value in self._values(outputs)]

    def figures(
        self,
        outputs: Sequence[FloatArray],
        labels: Sequence[str],
        config: FigureConfig,
        groups: Groups | None = None,
    ) -> tuple[Figure, ...]:
        """Measure the coefficient of determination (R2) and the mean absolute error, in the units of the labels."""
        predicted, truth = self._values(outputs), _numbers(labels)
        fit = Predictions(truth=truth, predicted=predicted[None])
        errors = Ratios(parts=np.abs(predicted - truth)[None], wholes=np.ones(len(truth)))
        return figure("R2", fit, config, groups), figure("mean absolute error", errors, config, groups)

    def probe(
        self,
        candidates: Mapping[str, FloatArray],
        labels: Sequence[str],
        rows: Mapping[str, IndexArray],
        config: ProbeConfig,
        *,
        threads: int,
    ) -> Probed:
        """Fit ridge regressions on the rows of train; validation chooses layer, pooling and penalty."""
        best = probe_numbers(candidates, self._normalised(labels), rows, config, threads=threads)
        return Probed(outputs=list(best.predicted[:, None, None]), chosen=best.of)

    def constant(self, labels: Sequence[str]) -> FloatArray:
        """Return the mean of the labels, which is 0 after normalisation with these labels."""
        return np.full((1, 1), self._normalised(labels).mean(), np.float32)

    def _normalised(self, labels: Sequence[str]) -> FloatArray:
        return ((_numbers(labels) - self.mean) / self.std).astype(np.float32)

    def _values(self, outputs: Sequence[FloatArray]) -> Numbers:
        """Return the number of each clip ``(clips,)``, in 64 bits: 32 do not tell large ones apart, such as dates."""
        return np.array([each[0, 0] for each in outputs], np.float64) * self.std + self.mean


def _numbers(labels: Sequence[str]) -> Numbers:
    return np.array([number_of(label) for label in labels], np.float64)
