"""Ridge regression beside scikit-learn's."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy.linalg import LinAlgError, cho_factor
from sklearn.linear_model import Ridge

from lm.probing.ridge import RidgeProbe, normal_equations
from wordless.base.errors import InputError


def _clips(clips: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features ``(clips, dim)`` and targets ``(clips, 3)``."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((clips, dim)).astype(np.float32)
    return features, np.eye(3, dtype=bool)[(features @ rng.standard_normal((dim, 3))).argmax(1)]


@pytest.mark.parametrize("device", [None, torch.device("cpu")], ids=["NumPy", "PyTorch"])
@pytest.mark.parametrize(("clips", "dim"), [(200, 12), (20, 50)], ids=["more clips", "more features"])
def test_every_penalty_has_the_solution_of_scikit_learn(clips: int, dim: int, device: torch.device | None) -> None:
    features, targets = _clips(clips, dim)
    others = _clips(7, dim)[0]
    ridge = RidgeProbe(features, targets, device=device)
    for penalty in (1e-3, 0.1, 10.0):
        ridge.fit(penalty)
        oracle = Ridge(alpha=1 / penalty).fit(features.astype(np.float64), targets.astype(np.float64))
        np.testing.assert_allclose(ridge.scores(others), oracle.predict(others), atol=1e-4)


@pytest.mark.parametrize(("clips", "dim"), [(200, 12), (20, 50)], ids=["more clips", "more features"])
def test_weights_and_bias_are_the_scores_of_the_axes_and_of_zero(clips: int, dim: int) -> None:
    features, targets = _clips(clips, dim)
    ridge = RidgeProbe(features + 3, targets)
    ridge.fit(10.0)
    weights, bias = ridge.linear()
    wanted = ridge.scores(np.zeros((1, dim), np.float32))
    np.testing.assert_allclose(bias, wanted[0], atol=1e-5)
    np.testing.assert_allclose(weights, ridge.scores(np.eye(dim, dtype=np.float32)) - wanted, atol=1e-5)


@pytest.mark.parametrize(("clips", "dim"), [(300, 120), (100, 120)], ids=["more clips", "more features"])
def test_nearly_collinear_features_are_scored_as_in_64_bits(clips: int, dim: int) -> None:
    rng = np.random.default_rng(0)
    few = rng.standard_normal((clips, 5)) @ rng.standard_normal((5, dim))
    features = (few + 1e-4 * rng.standard_normal((clips, dim))).astype(np.float32)
    targets = np.eye(3, dtype=bool)[few[:, :3].argmax(1)]
    ridge = RidgeProbe(features, targets)
    ridge.fit(10.0)
    weights, bias = ridge.linear()
    np.testing.assert_allclose(ridge.scores(features), features.astype(np.float64) @ weights + bias, atol=1e-5)


def test_normal_equations_in_blocks_are_those_of_all_clips() -> None:
    features, targets = _clips(100, 5)
    wanted = targets.astype(np.float64)
    products, answers = normal_equations(features, wanted, at_once=7)
    np.testing.assert_allclose(products, features.T.astype(np.float64) @ features, rtol=1e-5)
    np.testing.assert_allclose(answers, features.T.astype(np.float64) @ wanted, rtol=1e-5, atol=1e-9)


def test_a_probe_in_the_space_of_features_keeps_no_clip() -> None:
    features, targets = _clips(50_000, 4)
    tracemalloc.start()
    try:
        ridge = RidgeProbe(features, targets)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < features.nbytes / 4
    ridge.fit(1.0)


@pytest.mark.parametrize("directions", [1, 20])
def test_rounded_products_of_few_directions_are_no_weights(directions: int) -> None:
    """Clips that were not fitted are scored, because an error of rounding cannot hide there."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((directions, 2000))
    features, others = ((rng.standard_normal((clips, directions)) @ basis).astype(np.float32) for clips in (300, 200))
    others /= features.std(0)
    features /= features.std(0)
    targets = np.eye(3, dtype=bool)[(features @ rng.standard_normal((2000, 3))).argmax(1)]
    ridge = RidgeProbe(features, targets)
    ridge.fit(1e3)
    wanted = Ridge(alpha=1e-3).fit(features.astype(np.float64), targets.astype(np.float64)).predict(others)
    np.testing.assert_allclose(ridge.scores(others), wanted, atol=1e-4)


@pytest.mark.parametrize(("clips", "dim"), [(20, 5), (5, 20)], ids=["more clips", "more features"])
@pytest.mark.parametrize("broken", ["features", "targets"])
def test_what_is_not_finite_is_refused(clips: int, dim: int, broken: str) -> None:
    features, targets = np.ones((clips, dim), np.float32), np.ones((clips, 1), np.float32)
    (features if broken == "features" else targets)[3, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        RidgeProbe(features, targets)


@pytest.mark.parametrize(("clips", "dim"), [(60, 40), (40, 60)], ids=["more clips", "more features"])
def test_hardly_any_penalty_on_repeated_features_fits_the_clips(
    clips: int, dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, targets = _clips(clips, 10)
    refused = []

    def factor(*args: object, **options: object) -> object:
        try:
            return cho_factor(*args, **options)
        except LinAlgError:
            refused.append(args)
            raise

    monkeypatch.setattr("lm.probing.ridge.cho_factor", factor)
    ridge = RidgeProbe(np.tile(few, dim // 10), targets)
    ridge.fit(1e15)
    assert refused
    found = ridge.scores(np.tile(few, dim // 10))
    np.testing.assert_allclose(found, Ridge(alpha=1e-6).fit(few, targets.astype(float)).predict(few), atol=1e-3)
