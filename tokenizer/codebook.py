"""FAISS k-means over bottlenecks: the codebook, and residual codebooks of further levels."""

import faiss
import numpy as np
import numpy.typing as npt

from foundation.ranges import require
from tokenizer.kmeans_report import KMeansReport

FloatArray = npt.NDArray[np.float32]


def fit_residual_codebooks(
    points: FloatArray, *, levels: int, codebook_size: int, iterations: int, seed: int, gpu: int | None = None
) -> tuple[FloatArray, tuple[KMeansReport, ...]]:
    """Cluster ``(n, bottleneck)`` points, then their residuals, and so on, coarse to fine.

    Residual vector quantisation (Zeghidour et al., 2021, "SoundStream: an end-to-end neural audio codec"). The result
    is centroids ``(levels, codebook_size, bottleneck)``, and one report per level.
    """
    codebooks, reports = [], []
    for level in range(levels):
        own = seed + level  # with a shared seed, the initial centroids would be the points that the last level chose
        centroids, report = fit_codebook(points, codebook_size=codebook_size, iterations=iterations, seed=own, gpu=gpu)
        points = points - centroids[nearest(points, centroids)]
        codebooks.append(centroids)
        reports.append(report)
    return np.stack(codebooks), tuple(reports)


def fit_codebook(
    points: FloatArray, *, codebook_size: int, iterations: int, seed: int, gpu: int | None = None
) -> tuple[FloatArray, KMeansReport]:
    """Cluster ``(n, bottleneck)`` points into ``(codebook_size, bottleneck)`` centroids, on the CPU or on GPU ``gpu``.

    Raises:
        InputError: there are fewer points than centroids.
    """
    given = f"{codebook_size}, but the training recordings give {len(points)} patches"
    rule = "each code needs at least one: choose fewer codes or add recordings"
    require(len(points) >= codebook_size, "tokenizer.codebook_size", given, rule)
    gpu = gpu if faiss.get_num_gpus() > 0 else None
    kmeans = faiss.Kmeans(
        points.shape[1],
        codebook_size,
        niter=iterations,
        seed=seed % 2**31,  # FAISS keeps the seed in a signed 32-bit integer
        # By default FAISS subsamples to 256 points per centroid, and warns below 39.
        max_points_per_centroid=-(-len(points) // codebook_size),
        min_points_per_centroid=1,
    )
    if gpu is not None:  # FAISS's own gpu option uses all GPUs, even those of other users
        resources = faiss.StandardGpuResources()
        kmeans.index = faiss.index_cpu_to_gpu(resources, gpu, kmeans.index)
    kmeans.train(points)
    centroids: FloatArray = np.ascontiguousarray(kmeans.centroids, dtype=np.float32)
    used = np.unique(nearest(points, centroids))
    report = KMeansReport(
        points=len(points),
        objective=[float(stats["obj"]) / len(points) for stats in kmeans.iteration_stats or ()],
        dead=codebook_size - len(used),
        duplicates=codebook_size - len(np.unique(centroids, axis=0)),
        gpu=gpu is not None,
    )
    return centroids, report


def nearest(points: FloatArray, centroids: FloatArray) -> npt.NDArray[np.int64]:
    """Find the index of each point's nearest centroid, ``(n,)``."""
    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    found: npt.NDArray[np.int64] = index.search(points, 1)[1][:, 0]
    return found
