"""Logistic regression on pooled features, refitted quickly for a series of penalties.

Features are standardised with statistics of train. If there are many more features than training clips, they are first
rotated into the row space of the training clips. With an L2 penalty the best weights lie in that space: a part outside
it changes no training prediction and only costs, and a rotation changes neither inner products nor norms. So the fit is
the same, with as many dimensions as there are training clips.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T")
R = TypeVar("R")

# scikit-learn's L-BFGS stops where no partial derivative of the mean loss is larger. With many training clips a looser
# limit is enough: their sampling error is larger than what remains, and fits take less than half as many iterations.
MANY_CLIPS = 20_000
TOLERANCE, TOLERANCE_OF_MANY = 1e-4, 1e-3
# A fold of cross-validation only ranks penalties. With 3,384 training clips its accuracies differed by 0.2 points in
# the mean from those with a tenth of this limit, and fits took a quarter of the time.
TOLERANCE_OF_FOLDS = 1e-3
ROTATED = 2_000  # see `rotate_to_row_space`; from the numbers of operations of about 200 iterations for 30 classes

# Since these versions scikit-learn fits tensors of PyTorch, wherever they are.
COMPUTES_WITH_TENSORS = all(
    tuple(map(int, version.split(".")[:2])) >= least
    for version, least in ((sklearn.__version__, (1, 9)), (scipy.__version__, (1, 14)))
)

# Directions in which training clips vary by less than a millionth of their largest deviation are rounding errors.
SMALLEST_VARIANCE = 1e-12
CERTAIN = 40.0  # its sigmoid is 1 in float32


def standardise(
    features: FloatArray, rows: Mapping[str, npt.NDArray[np.int64]], *, power: float = 1.0
) -> dict[str, FloatArray]:
    """Standardise ``(clips, dim)`` to ``(clips of the split, dim)`` by split: mean 0 and deviation 1 over train.

    ``rows`` are the clips of each split, ``(clips of the split,)``. Before it, ``power`` is applied to magnitudes:
    ``sign(x) |x|^power``.
    """
    features = powered(features, power)
    scaler = StandardScaler().fit(features[rows["train"]])
    parts = {split: features[chosen].astype(np.float32, copy=False) for split, chosen in rows.items()}
    return {split: scaler.transform(part, copy=False) for split, part in parts.items()}


def powered(features: FloatArray, power: float) -> FloatArray:
    """Raise the magnitudes of features to a power: ``sign(x) |x|^power``."""
    return features if power == 1 else (np.sign(features) * np.abs(features) ** power).astype(np.float32)


def rotate_to_row_space(features: Mapping[str, FloatArray]) -> tuple[dict[str, FloatArray], FloatArray | None]:
    """Rotate ``(clips, dim)`` to ``(clips, directions)`` in each split if train has far fewer clips than dimensions.

    The rotation itself costs about ``clips ** 3``: it is worth its time where it saves ``clips ** 2 / ROTATED``
    dimensions or more. For 3,384 clips of 3,456 dimensions it took three times as long as all fits without it.

    Returns:
        The features, and the matrix ``(dim, directions)`` that rotated them; None if they are unchanged.
    """
    clips, dim = features["train"].shape
    if dim - clips <= clips**2 / ROTATED:
        return dict(features), None
    train = features["train"].astype(np.float64)
    variances, left = np.linalg.eigh(train @ train.T)  # of a Gram matrix: squares of the singular values
    large = variances > SMALLEST_VARIANCE * variances[-1]
    large[-1] = True  # constant features keep one direction, in which all clips are 0
    norms = np.sqrt(np.maximum(variances[large], np.finfo(np.float64).tiny))
    right = (train.T @ left[:, large] / norms).astype(np.float32)  # (dim, directions)
    return {split: values @ right for split, values in features.items()}, right


def side_by_side(fit: Callable[[T], R], jobs: Iterable[T], *, threads: int) -> list[R]:
    """Return what ``fit`` makes of each job, in their order, several at a time.

    Each fit computes on one thread. Its result does not depend on the fits beside it.
    """
    with warnings.catch_warnings(), threadpool_limits(1):  # around all threads, because both belong to the process
        _ignore_expected_warnings()
        with ThreadPoolExecutor(threads, initializer=threadpool_limits, initargs=(1,)) as pool:
            return list(pool.map(fit, jobs))


def _ignore_expected_warnings() -> None:
    # A limit on iterations is part of the protocol: fits that have not converged are used.
    warnings.simplefilter("ignore", ConvergenceWarning)
    # One percent of the labels may well be a clip or two of each class.
    warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)


def tolerance_of(clips: int) -> float:
    """Return where a fit may stop in a task with so many training clips, also with a share of their labels."""
    return TOLERANCE_OF_MANY if clips > MANY_CLIPS else TOLERANCE


def tolerance_options(clips: int, *, logistic: bool) -> dict[str, object]:
    """Return what a recipe says of `tolerance_of`: nothing for smaller corpora and for other probes."""
    tolerance = tolerance_of(clips)
    return {"tolerance": tolerance} if logistic and tolerance != TOLERANCE else {}


class LogisticProbe:
    """Multinomial logistic regression; for clips of several labels, one against the rest for each class.

    Each fit starts from the previous solution. All classes must have a training clip.
    """

    def __init__(
        self,
        features: FloatArray,
        targets: BoolArray,
        *,
        multi_label: bool,
        max_iterations: int,
        tolerance: float = TOLERANCE,
        device: torch.device | None = None,
    ) -> None:
        """Prepare to fit ``(clips, dim)`` features to ``(clips, classes)`` targets; see `tolerance_of`.

        With a ``device``, scikit-learn computes losses and gradients there, and its L-BFGS remains on the host.
        """
        self._features = features
        self._device = device = device if COMPUTES_WITH_TENSORS else None
        self._there = features if device is None else torch.from_numpy(features).to(device)
        self._wanted = list(targets.T) if multi_label else [targets.argmax(1)]
        self._multi_label = multi_label
        self._classifiers = [
            LogisticRegression(max_iter=max_iterations, tol=tolerance, warm_start=True) for _ in self._wanted
        ]

    def fit(self, penalty: float) -> None:
        """Fit with an inverse strength ``penalty`` (C) of the regularisation."""
        for classifier, wanted in zip(self._classifiers, self._wanted, strict=True):
            if wanted.all() and self._multi_label:
                continue  # every training clip has the label: nothing to fit
            with warnings.catch_warnings(), self._dispatch():
                _ignore_expected_warnings()
                classifier.set_params(C=penalty).fit(self._there, wanted)

    def linear(self) -> tuple[FloatArray, FloatArray]:
        """Return weights ``(dim, classes)`` and bias ``(classes,)``, whose softmax or sigmoid are the `scores`."""
        parts = [
            (np.zeros((1, self._features.shape[1])), np.array([CERTAIN]))  # every training clip has the label
            if wanted.all() and self._multi_label
            else (_on_host(classifier.coef_), _on_host(classifier.intercept_))
            for classifier, wanted in zip(self._classifiers, self._wanted, strict=True)
        ]
        weights, bias = (np.concatenate(side) for side in zip(*parts, strict=True))
        if len(bias) == 1 and not self._multi_label:  # of two classes, scikit-learn keeps the second
            weights, bias = (np.concatenate([np.zeros_like(side), side]) for side in (weights, bias))
        return weights.T, bias

    def scores(self, features: FloatArray) -> FloatArray:
        """Compute the probability of each class ``(clips, classes)``."""
        there = features if self._device is None else torch.from_numpy(features).to(self._device)
        with self._dispatch():
            if not self._multi_label:
                return _on_host(self._classifiers[0].predict_proba(there)).astype(np.float32, copy=False)
            scores = np.ones((len(features), len(self._wanted)), np.float32)
            for number, (classifier, wanted) in enumerate(zip(self._classifiers, self._wanted, strict=True)):
                if not wanted.all():
                    scores[:, number] = _on_host(classifier.predict_proba(there))[:, 1]
        return scores

    def _dispatch(self) -> AbstractContextManager[object]:
        """Let scikit-learn compute with PyTorch's tensors, if there is a device."""
        return nullcontext() if self._device is None else _with_tensors()


@contextmanager
def _with_tensors() -> Iterator[None]:
    before = os.environ.get("SCIPY_ARRAY_API")
    os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn asks for it, though SciPy has been imported without it
    try:
        with sklearn.config_context(array_api_dispatch=True):
            yield
    finally:
        if before is None:
            del os.environ["SCIPY_ARRAY_API"]
        else:
            os.environ["SCIPY_ARRAY_API"] = before


def _on_host(values: npt.NDArray[Any] | torch.Tensor) -> npt.NDArray[Any]:
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values
