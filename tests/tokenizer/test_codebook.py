"""k-means uses every point it is given, and says what it did."""

import numpy as np
import pytest

from tests.reference import nearest_by_distance, nearest_by_level
from tokenizer.codebook import fit_codebook, fit_residual_codebooks, kmeans_summary, nearest
from wordless.base.errors import InputError


def clusters(points: int, centres: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return (random.integers(0, centres, points)[:, None] * 10 + random.normal(0, 0.1, (points, 4))).astype(np.float32)


def test_all_points_are_used_and_the_objective_is_theirs() -> None:
    points = clusters(6000, 4)  # more than the 256 points per centroid that FAISS draws by default
    centroids, report = fit_codebook(points, size=4, iterations=20, seed=0)
    distances = ((points - centroids[nearest_by_distance(points, centroids)]) ** 2).sum(1)
    assert report["points"] == 6000
    assert report["dead"] == report["duplicates"] == 0
    assert not report["gpu"]
    assert np.isclose(report["objective"][-1], distances.mean(), rtol=0.01)


def test_same_seed_same_bytes() -> None:
    points = np.random.default_rng(1).normal(size=(2000, 8)).astype(np.float32)
    first, second = (fit_codebook(points, size=16, iterations=5, seed=3)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_dead_and_duplicate_centroids_are_counted() -> None:
    points = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    _, report = fit_codebook(points, size=8, iterations=5, seed=0)
    assert report["dead"] >= 5  # three places, eight centroids


def test_too_few_points_are_refused() -> None:
    with pytest.raises(InputError, match=r"^codebook_size\b.*\b64\b.*\b10 patches"):
        fit_codebook(clusters(10, 2), size=64, iterations=5, seed=0)


def test_nearest_is_the_nearest() -> None:
    random = np.random.default_rng(0)
    points, centroids = (random.normal(size=(n, 6)).astype(np.float32) for n in (200, 20))
    assert np.array_equal(nearest(points, centroids), nearest_by_distance(points, centroids))


# Residual levels


def test_the_first_level_is_the_codebook_alone() -> None:
    points = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)
    alone, report = fit_codebook(points, size=8, iterations=5, seed=3)
    for levels in (1, 2):
        codebooks, reports = fit_residual_codebooks(points, levels=levels, size=8, iterations=5, seed=3)
        assert codebooks.shape == (levels, 8, 6)
        assert codebooks[0].tobytes() == alone.tobytes()
        assert reports[0] == report


def test_each_level_is_fitted_to_what_is_left_over() -> None:
    points = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)
    codebooks, reports = fit_residual_codebooks(points, levels=3, size=8, iterations=20, seed=0)
    codes = np.array([nearest_by_level(point, codebooks) for point in points])
    errors = [
        float(((points - sum(codebooks[each][codes[:, each]] for each in range(used))) ** 2).sum(1).mean())
        for used in (1, 2, 3)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert np.allclose([report["objective"][-1] for report in reports], errors, rtol=0.01)


def test_points_that_leave_nothing_over() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), 10, axis=0)
    codebooks, reports = fit_residual_codebooks(points, levels=2, size=4, iterations=20, seed=0)
    if not reports[0]["dead"]:  # each place has a centroid of its own
        assert not codebooks[1].any()
        assert reports[1]["dead"] == reports[1]["duplicates"] == 3
    assert np.isfinite(codebooks).all()


def test_the_record_of_levels_says_what_they_come_to() -> None:
    points = np.random.default_rng(1).normal(size=(500, 6)).astype(np.float32)
    _, (coarse, fine) = fit_residual_codebooks(points, levels=2, size=8, iterations=4, seed=0)
    assert kmeans_summary([coarse]) == coarse
    both = kmeans_summary([coarse, {**fine, "dead": 2, "duplicates": 1}])
    assert both["objective"] == coarse["objective"] + fine["objective"]
    assert (both["points"], both["dead"], both["duplicates"]) == (500, coarse["dead"] + 2, coarse["duplicates"] + 1)
    assert both["levels"] == [coarse, {**fine, "dead": 2, "duplicates": 1}]
