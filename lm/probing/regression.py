"""Linear probes of numbers: ridge regression of pooled features, in the two steps of all other probes.

A candidate is chosen with a few penalties, and a penalty for the chosen one among more, as for classes
(`lm.probing.probe`). The squared error on validation chooses in both steps, and the winner is fitted on train.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from lm.probing.config import ProbeConfig, penalty_grid
from lm.probing.logistic import side_by_side, standardise
from lm.probing.ridge import RidgeProbe
from lm.probing.task import RowArray

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberProbe:
    """The best penalty for one candidate."""

    of: str  # the candidate
    validation_error: float  # mean squared error
    predicted: FloatArray  # (test clips,)


def probe_numbers(
    candidates: Mapping[str, FloatArray],
    values: FloatArray,
    rows: Mapping[str, RowArray],
    config: ProbeConfig,
    *,
    threads: int,
) -> NumberProbe:
    """Probe every candidate ``(clips, dim)`` for ``values (clips,)``; return the best one on validation.

    ``rows`` are the clips of train, validation and test.
    """

    def probe_one(name: str, count: int) -> NumberProbe:
        return _probe(candidates[name], values, rows, penalty_grid(count, config), of=name, power=config.power)

    judge = partial(probe_one, count=config.layer_penalties)
    judged = side_by_side(judge, candidates, threads=threads)
    chosen = min(judged, key=lambda each: each.validation_error).of
    return probe_one(chosen, config.penalties)


def _probe(
    features: FloatArray,
    values: FloatArray,
    rows: Mapping[str, RowArray],
    penalties: tuple[float, ...],
    *,
    of: str,
    power: float,
) -> NumberProbe:
    standard = standardise(features, rows, power=power)
    ridge = RidgeProbe(standard["train"], values[rows["train"], None])
    found = []
    for penalty in penalties:
        ridge.fit(penalty)
        held_out, predicted = (ridge.scores(standard[split]).reshape(-1) for split in ("validation", "test"))
        error = np.square(held_out - values[rows["validation"]]).mean()
        found.append(NumberProbe(of=of, validation_error=float(error), predicted=predicted))
    return min(found, key=lambda each: each.validation_error)
