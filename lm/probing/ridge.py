"""Ridge regression on pooled features: the least squares of targets 0 and 1, with an L2 penalty.

It has a closed form. With more features than clips it is solved in the space of the clips, so a penalty costs one
factorisation of a matrix of their inner products.
"""

import numpy as np
import numpy.typing as npt
from sklearn.kernel_ridge import KernelRidge

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class RidgeProbe:
    """Regression of each class, with an intercept that has no penalty. The highest value is the answer."""

    def __init__(self, features: FloatArray, targets: BoolArray) -> None:
        """Prepare to fit ``(clips, dim)`` features, of mean 0 over the clips, to ``(clips, classes)`` targets."""
        self._features = features
        self._shares = targets.mean(0)
        self._wanted = targets - self._shares
        self._products = (features @ features.T).astype(np.float64)
        self._regression = KernelRidge(kernel="precomputed")

    def fit(self, penalty: float) -> None:
        """Fit with an inverse strength ``penalty`` (C) of the regularisation, as in `LogisticProbe`."""
        self._regression.set_params(alpha=1 / penalty).fit(self._products, self._wanted)

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the value of each class ``(clips, classes)``: about 1 for the classes of a clip, 0 for others."""
        predicted = self._regression.predict((features @ self._features.T).astype(np.float64))
        return np.asarray(predicted + self._shares, np.float32)
