"""Ridge regression on pooled features: the least squares of targets 0 and 1, or of numbers, with an L2 penalty.

It has a closed form. With more features than clips it is solved in the space of the clips, otherwise in the space of
the features; either way the inner products are computed once, and a penalty costs one factorisation of their matrix.

Probes of numbers have the two steps of all other probes (`lm.probing.probe`): a candidate is chosen with a few
penalties, and a penalty for the chosen one among more. The squared error on validation chooses in both steps, and the
winner is fitted on train.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lstsq

from lm.options import ProbeConfig
from lm.probing.logistic import side_by_side, standardise
from lm.probing.task import RowArray, penalty_grid
from wordless.base.errors import InputError

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
DoubleArray = npt.NDArray[np.float64]

RIDGE_VERSION = 4  # of the results, in the keys of stored probes; raise it when they change
VALUES_AT_ONCE = 1 << 26  # of a block on a GPU: 0.8 GB in 32 and in 64 bits
CLIPS_AT_ONCE = 1 << 16  # clips of a block of the normal equations; fewer clips are one block


class RidgeProbe:
    """Regression of each class, with an intercept that has no penalty. The highest value is the answer."""

    def __init__(
        self, features: FloatArray, targets: BoolArray | FloatArray, *, device: torch.device | None = None
    ) -> None:
        """Prepare to fit ``(clips, dim)`` features to ``(clips, classes)`` targets, or to numbers ``(clips, 1)``.

        With a ``device``, PyTorch multiplies and factorises there, in 64 bits.

        Raises:
            InputError: a feature or a target is not finite.
        """
        self._centre = features.mean(0)
        self._shares = targets.mean(0)
        centred, wanted = features - self._centre, (targets - self._shares).astype(np.float64)
        self._by_clips = features.shape[1] > len(features)
        self._device = device
        # Read again only in the space of the clips. Without rows it is an array of its own: a slice keeps all clips.
        self._features = centred if self._by_clips else np.empty((0, features.shape[1]), np.float32)
        if self._by_clips:
            gram = (centred @ centred.T).astype(np.float64) if device is None else _gram(centred, device)
            self._products, self._answers = gram, wanted
        else:
            at_once = CLIPS_AT_ONCE if device is None else max(VALUES_AT_ONCE // features.shape[1], 1)
            self._products, self._answers = normal_equations(centred, wanted, at_once=at_once, device=device)
        # A NaN of any feature is in the diagonal, and factorisations do not look for it.
        if not (np.isfinite(self._products.trace()) and np.isfinite(self._answers).all()):
            raise InputError("a feature or a target of a linear probe is not finite; look for broken or silent clips")
        self._penalised = np.empty_like(self._products)
        self._weights: DoubleArray = np.zeros((0, 0))  # (dim, classes)

    def fit(self, penalty: float) -> None:
        """Fit with an inverse strength ``penalty`` (C) of the regularisation, as in `LogisticProbe`."""
        solution = self._solve(1 / penalty)
        if self._by_clips:  # the solution has a row for each clip
            weights = self._features.T @ solution.astype(np.float32)  # in 64 bits ten times as slow
            solution = weights.astype(np.float64)
        self._weights = solution

    def _solve(self, diagonal: float) -> DoubleArray:
        """Solve the equations with ``diagonal`` added on the diagonal of the products.

        `scipy.linalg.solve` allocates a new matrix for each penalty and estimates its condition number. With 1,500
        clips it took 2.6 times as long.
        """
        if self._device is not None:
            found = _solve_on(self._device, self._products, diagonal, self._answers)
            if found is not None:
                return found
        self._penalise(diagonal)
        try:  # the matrix is symmetric; LAPACK reads its transpose without a copy
            factor = cho_factor(self._penalised.T, lower=True, overwrite_a=True, check_finite=False)
            solution: DoubleArray = cho_solve(factor, self._answers, check_finite=False)
        except LinAlgError:  # rounded products of collinear features, with hardly any penalty
            self._penalise(diagonal)
            solution = lstsq(self._penalised, self._answers, cond=self._rounding())[0]
        return solution

    def _rounding(self) -> float:
        """Return the share of the largest eigenvalue below which one may be an error of rounding.

        In the space of the clips each product is a sum in 32 bits, and their errors add up over the clips.
        """
        return float(np.finfo(np.float32).eps) * (len(self._products) if self._by_clips else 1)

    def _penalise(self, diagonal: float) -> None:
        np.copyto(self._penalised, self._products)
        self._penalised.flat[:: len(self._penalised) + 1] += diagonal

    def linear(self) -> tuple[DoubleArray, DoubleArray]:
        """Return weights ``(dim, classes)`` and bias ``(classes,)`` of the `scores`."""
        return self._weights, self._shares - self._centre @ self._weights

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the value of each class ``(clips, classes)``, which is no probability: a fit to 1 or 0.

        Sums have 32 bits, which takes an eighth of the time of 64. The sums alone cost about 1e-7 with penalties of up
        to 10, and up to 0.004 with 1e6 and nearly collinear features. Where features outnumber clips and most of them
        are collinear, the rounded inner products of the clips cost more: up to 0.05 with a penalty of 10.
        """
        weights, bias = self.linear()
        return np.asarray(features @ weights.astype(np.float32) + bias, np.float32)


def _gram(features: FloatArray, device: torch.device) -> DoubleArray:
    """Compute ``features @ features.T`` of ``(clips, dim)`` on a device; in 32 bits a GPU might round to TF32."""
    there = torch.from_numpy(features).to(device).double()
    products: DoubleArray = (there @ there.T).cpu().numpy()
    return products


def _solve_on(device: torch.device, products: DoubleArray, diagonal: float, answers: DoubleArray) -> DoubleArray | None:
    """Solve ``(products + diagonal I) x = answers`` on a device in 64 bits; None if rounding made it indefinite."""
    matrix = torch.from_numpy(products).to(device, copy=True)
    matrix.diagonal().add_(diagonal)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed.item():
        return None
    solution: DoubleArray = torch.cholesky_solve(torch.from_numpy(answers).to(device), factor).cpu().numpy()
    return solution


def normal_equations(
    features: FloatArray,
    targets: DoubleArray,
    *,
    at_once: int = CLIPS_AT_ONCE,
    device: torch.device | None = None,
) -> tuple[DoubleArray, DoubleArray]:
    """Compute ``features.T @ features`` and ``features.T @ targets`` in 64 bits, ``at_once`` clips at a time.

    ``features`` are ``(clips, dim)``, ``targets`` ``(clips, classes)``. Only one block is in memory in 64 bits.
    """
    sizes = (features.shape[1],) * 2, (features.shape[1], targets.shape[1])
    if device is not None:
        sums = [torch.zeros(size, dtype=torch.float64, device=device) for size in sizes]
        for first in range(0, len(features), at_once):
            there = torch.from_numpy(features[first : first + at_once]).to(device).double()
            wanted = torch.from_numpy(targets[first : first + at_once]).to(device)
            sums[0].addmm_(there.T, there)
            sums[1].addmm_(there.T, wanted)
        return sums[0].cpu().numpy(), sums[1].cpu().numpy()
    products, answers = map(np.zeros, sizes)
    for first in range(0, len(features), at_once):
        block = features[first : first + at_once].astype(np.float64)
        products += block.T @ block
        answers += block.T @ targets[first : first + at_once]
    return products, answers


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
        standard = standardise(candidates[name], rows, power=config.power)
        ridge = RidgeProbe(standard["train"], values[rows["train"], None])
        found = []
        for penalty in penalty_grid(count, config):
            ridge.fit(penalty)
            held_out, predicted = (ridge.scores(standard[split]).reshape(-1) for split in ("validation", "test"))
            error = np.square(held_out - values[rows["validation"]]).mean()
            found.append(NumberProbe(of=name, validation_error=float(error), predicted=predicted))
        return min(found, key=lambda each: each.validation_error)

    judged = side_by_side(partial(probe_one, count=config.layer_penalties), candidates, threads=threads)
    chosen = min(judged, key=lambda each: each.validation_error).of
    return probe_one(chosen, config.penalties)
