"""Ridge regression on pooled features: the least squares of targets 0 and 1, with an L2 penalty.

It has a closed form. With more features than clips it is solved in the space of the clips, otherwise in the space of
the features; either way a penalty costs one factorisation of a matrix of their inner products.
"""

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class RidgeProbe:
    """Regression of each class, with an intercept that has no penalty. The highest value is the answer."""

    def __init__(self, features: FloatArray, targets: BoolArray | FloatArray) -> None:
        """Prepare to fit ``(clips, dim)`` features to ``(clips, classes)`` targets, or to numbers ``(clips, 1)``."""
        self._centre = features.mean(0)
        self._features = features - self._centre
        self._shares = targets.mean(0)
        self._wanted = targets - self._shares
        self._by_clips = features.shape[1] > len(features)
        self._products = (self._features @ self._features.T).astype(np.float64) if self._by_clips else None
        self._regression = (
            KernelRidge(kernel="precomputed") if self._by_clips else Ridge(fit_intercept=False, solver="cholesky")
        )

    def fit(self, penalty: float) -> None:
        """Fit with an inverse strength ``penalty`` (C) of the regularisation, as in `LogisticProbe`."""
        known = self._features.astype(np.float64) if self._products is None else self._products
        self._regression.set_params(alpha=1 / penalty).fit(known, self._wanted)

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the value of each class ``(clips, classes)``, which is no probability: a fit to 1 or 0."""
        centred = features - self._centre
        known = centred if self._products is None else centred @ self._features.T
        return np.asarray(self._regression.predict(known.astype(np.float64)) + self._shares, np.float32)
