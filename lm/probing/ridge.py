"""Ridge regression on pooled features: the least squares of targets 0 and 1, with an L2 penalty.

It has a closed form. With more features than clips it is solved in the space of the clips, otherwise in the space of
the features; either way the inner products are computed once, and a penalty costs one factorisation of their matrix.
"""

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve
from sklearn.kernel_ridge import KernelRidge

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
DoubleArray = npt.NDArray[np.float64]

RIDGE_VERSION = 2  # of the results, in the keys of stored probes; raise it when they change
CLIPS_AT_ONCE = 1 << 16  # clips of a block of the normal equations; fewer clips are one block


class RidgeProbe:
    """Regression of each class, with an intercept that has no penalty. The highest value is the answer."""

    def __init__(self, features: FloatArray, targets: BoolArray | FloatArray) -> None:
        """Prepare to fit ``(clips, dim)`` features to ``(clips, classes)`` targets, or to numbers ``(clips, 1)``."""
        self._centre = features.mean(0)
        self._shares = targets.mean(0)
        centred, wanted = features - self._centre, (targets - self._shares).astype(np.float64)
        self._by_clips = features.shape[1] > len(features)
        # Read again only in the space of the clips. Without rows it is an array of its own: a slice keeps all clips.
        self._features = centred if self._by_clips else np.empty((0, features.shape[1]), np.float32)
        if self._by_clips:
            self._products, self._answers = (centred @ centred.T).astype(np.float64), wanted
        else:
            self._products, self._answers = normal_equations(centred, wanted)
        self._weights: DoubleArray = np.zeros((0, 0))  # (dim, classes)

    def fit(self, penalty: float) -> None:
        """Fit with an inverse strength ``penalty`` (C) of the regularisation, as in `LogisticProbe`."""
        if self._by_clips:
            regression = KernelRidge(kernel="precomputed", alpha=1 / penalty).fit(self._products, self._answers)
            weights = self._features.T @ regression.dual_coef_.astype(np.float32)  # in 64 bits ten times as slow
            self._weights = weights.astype(np.float64)
        else:
            penalised = self._products.copy()
            penalised.flat[:: len(penalised) + 1] += 1 / penalty
            self._weights = solve(penalised, self._answers, assume_a="pos", overwrite_a=True)

    def linear(self) -> tuple[DoubleArray, DoubleArray]:
        """Return weights ``(dim, classes)`` and bias ``(classes,)`` of the `scores`."""
        return self._weights, self._shares - self._centre @ self._weights

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the value of each class ``(clips, classes)``, which is no probability: a fit to 1 or 0.

        Sums have 32 bits, which takes an eighth of the time of 64. Errors are about 1e-7 with penalties of up to 10,
        and reach 0.004 with 1e6 and nearly collinear features.
        """
        weights, bias = self.linear()
        return np.asarray(features @ weights.astype(np.float32) + bias, np.float32)


def normal_equations(
    features: FloatArray, targets: DoubleArray, *, at_once: int = CLIPS_AT_ONCE
) -> tuple[DoubleArray, DoubleArray]:
    """Compute ``features.T @ features`` and ``features.T @ targets`` in 64 bits, ``at_once`` clips at a time.

    ``features`` are ``(clips, dim)``, ``targets`` ``(clips, classes)``. Only one block is in memory in 64 bits.
    """
    products, answers = np.zeros((features.shape[1],) * 2), np.zeros((features.shape[1], targets.shape[1]))
    for first in range(0, len(features), at_once):
        block = features[first : first + at_once].astype(np.float64)
        products += block.T @ block
        answers += block.T @ targets[first : first + at_once]
    return products, answers
