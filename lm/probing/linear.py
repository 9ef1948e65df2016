"""Linear classifiers and regressions on pooled features, refitted quickly for a series of regularisation strengths.

Features are standardised with statistics of train, and clipped. Otherwise a code that one training clip has, and many
clips with noise have, would be an input of hundreds of deviations and would decide alone.

If there are many more features than training clips, those of logistic regression are first rotated into the row space
of the training clips. With an L2 penalty the best weights lie in that space: a part outside it changes no training
prediction and only costs, and a rotation changes neither inner products nor norms. So the fit is the same, with as many
dimensions as there are training clips.

Ridge regression is the least squares of targets 0 and 1, or of numbers, with an L2 penalty. It has a closed form. With
more features than clips it is solved in the space of the clips, otherwise in the space of the features; either way the
inner products are computed once, and a regularisation strength costs one factorisation of their matrix.

A regularisation strength is in units of the mean squared norm of the centred training clips: the trace of their Gram
matrix over their number, its mean eigenvalue. Otherwise the same regularisation strength would be a hundred times as
strong for 80 features as for 8,000, and a method's place would depend on the width of its features. So features side by
side with a copy of themselves, or in other units, have the same answers.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.linalg import LinAlgError, cho_factor, cho_solve, lstsq

from wordless.base.arrays import Array, BoolArray, DoubleArray, FloatArray, IndexArray
from wordless.base.threads import limit_pools

T = TypeVar("T")
R = TypeVar("R")

# scikit-learn's L-BFGS stops where no partial derivative of the mean loss is larger. With many training clips a looser
# limit is enough: their sampling error is larger than what remains, and fits take less than half as many iterations.
MANY_CLIPS = 20_000
_TOLERANCE, TOLERANCE_OF_MANY = 1e-4, 1e-3
# A fold of cross-validation only ranks regularisation strengths. With 3,384 training clips its accuracies differed by
# 0.2 points in the mean from those with a tenth of this limit, and fits took a quarter of the time.
TOLERANCE_OF_FOLDS = 1e-3
ROTATED = 2_000  # see `row_space`; from the numbers of operations of about 200 iterations for 30 classes

# Since these versions scikit-learn fits tensors of PyTorch, wherever they are.
COMPUTES_WITH_TENSORS = all(
    tuple(map(int, found.split(".")[:2])) >= least
    for found, least in ((version("scikit-learn"), (1, 9)), (version("scipy"), (1, 14)))
)

# Directions in which training clips vary by less than a millionth of their largest deviation are rounding errors.
_SMALLEST_VARIANCE = 1e-12
_CERTAIN = 40.0  # its sigmoid is 1 in float32
# A point of accuracy, or of R2: a larger clipping must gain more than this, and than a standard error.
LEAST_GAIN = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """What makes the inputs of a linear probe of features: a power of their magnitudes, and statistics of train."""

    mean: DoubleArray  # (dim,) of the powers of train's features
    deviation: DoubleArray  # (dim,), 1 for constant features
    power: float
    clipping: float  # in deviations

    @classmethod
    def of(cls, train: FloatArray, *, power: float, clipping: float) -> "Standardiser":
        """Measure features of training clips ``(clips, dim)``."""
        from sklearn.preprocessing import StandardScaler  # here, because its import takes a second

        scaler = StandardScaler().fit(_powered(train, power))
        return cls(mean=scaler.mean_, deviation=scaler.scale_, power=power, clipping=clipping)

    def unclipped(self, features: FloatArray) -> FloatArray:
        """Return features ``(clips, dim)`` in deviations from the mean of train."""
        inputs = _powered(features, self.power).astype(np.float32)  # a copy, which the next lines change
        inputs -= self.mean
        inputs /= self.deviation
        return inputs

    def __call__(self, features: FloatArray) -> FloatArray:
        """Return the inputs of a probe ``(clips, dim)``: deviations from the mean of train, within the clipping."""
        inputs = self.unclipped(features)
        return np.clip(inputs, -self.clipping, self.clipping, out=inputs)


def standardise(
    features: FloatArray, rows: Mapping[str, IndexArray], *, power: float, clipping: float
) -> tuple[Standardiser, dict[str, FloatArray]]:
    """Return the `Standardiser` of the rows of train, and the inputs ``(clips of the split, dim)`` of each split."""
    standard = Standardiser.of(features[rows["train"]], power=power, clipping=clipping)
    return standard, {split: standard(features[chosen]) for split, chosen in rows.items()}


def _powered(features: FloatArray, power: float) -> FloatArray:
    return features if power == 1 else (np.sign(features) * np.abs(features) ** power).astype(np.float32)


def row_space(features: FloatArray) -> FloatArray | None:
    """Return the matrix ``(dim, directions)`` that rotates training features ``(clips, dim)`` into their row space.

    None: there are not far fewer clips than dimensions. The rotation costs about ``clips ** 3``: it is worth its time
    where it saves ``clips ** 2 / ROTATED`` dimensions or more.
    """
    clips, dim = features.shape
    if dim - clips <= clips**2 / ROTATED:
        return None
    train = features.astype(np.float64)
    variances, left = np.linalg.eigh(train @ train.T)  # of a Gram matrix: squares of the singular values
    large = variances > _SMALLEST_VARIANCE * variances[-1]
    large[-1] = True  # constant features keep one direction, in which all clips are 0
    norms = np.sqrt(np.maximum(variances[large], np.finfo(np.float64).tiny))
    rotation: FloatArray = (train.T @ left[:, large] / norms).astype(np.float32)
    return rotation


def side_by_side(fit: Callable[[T], R], jobs: Iterable[T], *, threads: int) -> list[R]:
    """Return what ``fit`` makes of each job, several at a time, one thread each; no fit depends on those beside it."""
    with warnings.catch_warnings(), limit_pools(1):  # around all threads, because both belong to the process
        _ignore_expected_warnings()
        with ThreadPoolExecutor(threads, initializer=limit_pools, initargs=(1,)) as pool:
            return list(pool.map(fit, jobs))


def _ignore_expected_warnings() -> None:
    from sklearn.exceptions import ConvergenceWarning

    # A limit on iterations is part of the protocol: fits that have not converged are used.
    warnings.simplefilter("ignore", ConvergenceWarning)
    # One percent of the labels may well be a clip or two of each class.
    warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)


def tolerance_of(clips: int) -> float:
    """Return where a fit may stop in a task with so many training clips, also with a share of their labels."""
    return TOLERANCE_OF_MANY if clips > MANY_CLIPS else _TOLERANCE


class LogisticProbe:
    """Multinomial logistic regression, or one against the rest; each fit starts from the previous solution."""

    def __init__(
        self,
        features: FloatArray,
        targets: BoolArray,
        *,
        multi_label: bool,
        max_iterations: int,
        tolerance: float = _TOLERANCE,
        device_for: Callable[[FloatArray], torch.device | None] = lambda features: None,
    ) -> None:
        """Prepare to fit ``(clips, dim)`` features to ``(clips, classes)`` targets; see `tolerance_of`.

        ``device_for`` gives the device for features in their row space. With a device, scikit-learn computes losses and
        gradients there, and its L-BFGS remains on the host.
        """
        from sklearn.linear_model import LogisticRegression

        self._rotation = row_space(features)
        features = self.prepare(features)
        self._dim = features.shape[1]
        self._device = device_for(features) if COMPUTES_WITH_TENSORS else None
        if self._device is not None:
            os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it, though SciPy has been imported without it
        self._there = self._moved(features)
        self._unit = float(features.var(0, dtype=np.float64).sum()) or 1.0
        self._wanted = list(targets.T) if multi_label else [targets.argmax(1)]
        self._multi_label = multi_label
        self._classifiers = [  # None: every training clip has the label, so there is nothing to fit
            None
            if multi_label and wanted.all()
            else LogisticRegression(max_iter=max_iterations, tol=tolerance, warm_start=True)
            for wanted in self._wanted
        ]

    def fit(self, c: float) -> None:
        """Fit with C, the inverse strength of the regularisation, in units of the mean squared norm."""
        with warnings.catch_warnings(), self._dispatch():
            _ignore_expected_warnings()
            for classifier, wanted in zip(self._classifiers, self._wanted, strict=True):
                if classifier is not None:
                    classifier.set_params(C=c / self._unit).fit(self._there, wanted)

    def linear(self) -> tuple[DoubleArray, DoubleArray]:
        """Return weights ``(dim, classes)`` and bias ``(classes,)``, whose softmax or sigmoid are the `scores`."""
        parts = [
            (np.zeros((1, self._dim)), np.array([_CERTAIN]))
            if each is None
            else (_on_host(each.coef_), _on_host(each.intercept_))
            for each in self._classifiers
        ]
        weights, bias = (np.concatenate(side) for side in zip(*parts, strict=True))
        if len(bias) == 1 and not self._multi_label:  # of two classes, scikit-learn keeps the second
            weights, bias = (np.concatenate([np.zeros_like(side), side]) for side in (weights, bias))
        return (weights.T if self._rotation is None else self._rotation.astype(np.float64) @ weights.T), bias

    def prepare(self, features: FloatArray) -> FloatArray:
        """Rotate features ``(clips, dim)`` as those of training, once for all fits."""
        return features if self._rotation is None else features @ self._rotation

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the probability of each class ``(clips, classes)`` from features of `prepare`."""
        there = self._moved(features)
        with self._dispatch():
            found = [
                np.ones((len(features), 2), np.float32) if each is None else _on_host(each.predict_proba(there))
                for each in self._classifiers
            ]
        scores = np.stack([own[:, 1] for own in found], axis=1) if self._multi_label else found[0]
        return scores.astype(np.float32, copy=False)

    def _moved(self, features: FloatArray) -> FloatArray | torch.Tensor:
        return features if self._device is None else torch.from_numpy(features).to(self._device)

    def _dispatch(self) -> AbstractContextManager[object]:
        if self._device is None:
            return nullcontext()
        from sklearn import config_context

        dispatching: AbstractContextManager[object] = config_context(array_api_dispatch=True)
        return dispatching


def _on_host(values: Array | torch.Tensor) -> Array:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


_VALUES_AT_ONCE = 1 << 26  # of a block on a GPU: 0.8 GB in 32 and in 64 bits
_CLIPS_AT_ONCE = 1 << 16  # clips of a block of the normal equations; fewer clips are one block


class RidgeProbe:
    """Regression of each class, with an intercept that has no penalty. The highest value is the answer."""

    def __init__(
        self, features: FloatArray, targets: BoolArray | FloatArray, *, device: torch.device | None = None
    ) -> None:
        """Prepare to fit ``(clips, dim)`` to ``(clips, classes)``; a ``device`` computes products in 64 bits."""
        self._centre = features.mean(0)
        self._shares = targets.mean(0)
        centred, wanted = features - self._centre, (targets - self._shares).astype(np.float64)
        self._by_clips = features.shape[1] > len(features)
        self._device = device
        # Read again only in the space of the clips. Without rows it is an array of its own: a slice keeps all clips.
        self._features = centred if self._by_clips else np.empty((0, features.shape[1]), np.float32)
        if self._by_clips:
            if device is None:
                self._products = (centred @ centred.T).astype(np.float64)
            else:
                there = torch.from_numpy(centred).to(device).double()  # in 32 bits a GPU might round to TF32
                self._products = (there @ there.T).cpu().numpy()
            self._answers = wanted
        else:
            at_once = _CLIPS_AT_ONCE if device is None else max(_VALUES_AT_ONCE // features.shape[1], 1)
            self._products, self._answers = normal_equations(centred, wanted, at_once=at_once, device=device)
        self._unit = float(self._products.trace()) / len(features) or 1.0
        self._weights: DoubleArray = np.zeros((0, 0))  # (dim, classes)

    def fit(self, c: float) -> None:
        """Fit with C, the inverse strength of the regularisation, as in `LogisticProbe`."""
        solution = self._solve(self._unit / c)
        if self._by_clips:  # the solution has a row for each clip
            weights = self._features.T @ solution.astype(np.float32)  # in 64 bits ten times as slow
            solution = weights.astype(np.float64)
        self._weights = solution

    def _solve(self, diagonal: float) -> DoubleArray:
        """Add to the diagonal and solve; `scipy.linalg.solve` estimates a condition number: 2.6 times as long."""
        if self._device is not None:
            matrix = torch.from_numpy(self._products).to(self._device, copy=True)
            matrix.diagonal().add_(diagonal)
            there, failed = torch.linalg.cholesky_ex(matrix)
            if not failed.item():  # rounding did not make it indefinite
                return torch.cholesky_solve(torch.from_numpy(self._answers).to(self._device), there).cpu().numpy()
        penalised = self._products.copy()
        penalised.flat[:: len(penalised) + 1] += diagonal
        try:  # the matrix is symmetric, and its transpose is in LAPACK's order
            factor = cho_factor(penalised.T, lower=True, check_finite=False)
            solution: DoubleArray = cho_solve(factor, self._answers, check_finite=False)
        except LinAlgError:  # rounded products of collinear features, with hardly any regularisation
            # Smaller shares of the largest eigenvalue may be errors of rounding. In the space of the clips each product
            # is a sum in 32 bits, and their errors add up over the clips.
            smallest = float(np.finfo(np.float32).eps) * (len(self._products) if self._by_clips else 1)
            solution = lstsq(penalised, self._answers, cond=smallest)[0]
        return solution

    def linear(self) -> tuple[DoubleArray, DoubleArray]:
        """Return weights ``(dim, classes)`` and bias ``(classes,)`` of the `scores`."""
        return self._weights, self._shares - self._centre @ self._weights

    def prepare(self, features: FloatArray) -> FloatArray:
        """Return the features that `scores` reads, as in `LogisticProbe`: those that are given."""
        return features

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the value of each class ``(clips, classes)``, which is no probability: a fit to 1 or 0.

        Sums have 32 bits, which takes an eighth of the time of 64, and costs about 1e-7 with regularisation strengths
        of up to 10.
        """
        weights, bias = self.linear()
        return np.asarray(features @ weights.astype(np.float32) + bias, np.float32)


def normal_equations(
    features: FloatArray, targets: DoubleArray, *, at_once: int = _CLIPS_AT_ONCE, device: torch.device | None = None
) -> tuple[DoubleArray, DoubleArray]:
    """Compute ``features.T @ features`` and ``features.T @ targets`` in 64 bits, ``at_once`` clips at a time."""
    products: Any = 0.0
    answers: Any = 0.0
    for first in range(0, len(features), at_once):
        block: Any = features[first : first + at_once].astype(np.float64)
        wanted: Any = targets[first : first + at_once]
        if device is not None:
            block, wanted = torch.from_numpy(block).to(device), torch.from_numpy(wanted).to(device)
        products, answers = products + block.T @ block, answers + block.T @ wanted
    return _on_host(products), _on_host(answers)
