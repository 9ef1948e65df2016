"""FAISS k-means over bottlenecks: the codebook, and residual codebooks of further levels.

Points may be a `numpy.memmap`: FAISS reads them in place, block after block, so they need not fit into memory. It is
imported by those who cluster alone: autoencoders are trained on machines that lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from wordless.base.errors import InputError

FloatArray = npt.NDArray[np.float32]

BLOCK = 1 << 18  # points whose nearest centroids are found together


class KMeansReport(TypedDict):
    """Size and result of the k-means clustering of all levels: the content of ``kmeans.json``."""

    points: int  # number of clustered bottlenecks: all of them, never a silent subsample
    objective: list[float]  # mean squared distance to the nearest centroid, per iteration, level after level
    dead: int  # centroids that are the nearest of no point
    duplicates: int  # centroids equal to an earlier one of their level
    gpu: bool


def fit_residual_codebooks(
    points: FloatArray,
    *,
    levels: int,
    size: int,
    iterations: int,
    seed: int,
    gpus: Sequence[int] = (),
    overwrite: bool = False,
) -> tuple[FloatArray, KMeansReport]:
    """Cluster ``(n, bottleneck)`` points, then their residuals, and so on, coarse to fine.

    Residual vector quantisation (Zeghidour et al., 2021, "SoundStream: an end-to-end neural audio codec"). The result
    is centroids ``(levels, size, bottleneck)``, and a report of all levels. With ``overwrite`` the residuals
    replace the points, which saves memory. Each of several GPUs has all centroids, and finds the nearest ones of its
    share of the points.

    Raises:
        InputError: there are fewer points than centroids.
    """
    import faiss

    if len(points) < size:
        rule = f"each code needs a patch, and the training recordings give {len(points)} patches"
        raise InputError(option="codebook_size", value=size, rule=rule, remedy="choose fewer codes or add recordings")
    gpus = [gpu for gpu in gpus if gpu < faiss.get_num_gpus()]
    codebooks = list[FloatArray]()
    report = KMeansReport(points=len(points), objective=[], dead=0, duplicates=0, gpu=bool(gpus))
    points = points if overwrite or levels == 1 else points.copy()
    for level in range(levels):
        kmeans = faiss.Kmeans(
            points.shape[1],
            size,
            niter=iterations,
            # With a shared seed, the initial centroids would be the points that the last level chose.
            seed=(seed + level) % 2**31,  # FAISS keeps the seed in a signed 32-bit integer
            # By default FAISS subsamples to 256 points per centroid, and warns below 39.
            max_points_per_centroid=-(-len(points) // size),
            min_points_per_centroid=1,
        )
        if gpus:  # FAISS's own gpu option uses all GPUs, even those of other users
            kmeans.index = faiss.index_cpu_to_gpus_list(kmeans.index, gpus=gpus)
        kmeans.train(points)
        centroids: FloatArray = np.ascontiguousarray(kmeans.centroids, dtype=np.float32)
        codebooks.append(centroids)
        kmeans.index.reset()
        kmeans.index.add(centroids)
        used = np.zeros(size, bool)
        for start in range(0, len(points), BLOCK):
            block = points[start : start + BLOCK]
            found = kmeans.index.search(block, 1)[1][:, 0]
            used[found] = True
            if level < levels - 1:
                block -= centroids[found]
        report["objective"] += [float(stats["obj"]) / len(points) for stats in kmeans.iteration_stats or ()]
        report["dead"] += size - int(used.sum())
        report["duplicates"] += size - len(np.unique(centroids, axis=0))
    return np.stack(codebooks), report


def nearest(points: FloatArray, centroids: FloatArray) -> npt.NDArray[np.int64]:
    """Find the index of each point's nearest centroid, ``(n,)``."""
    import faiss

    index = faiss.IndexFlatL2(centroids.shape[1])
    index.add(centroids)
    found: npt.NDArray[np.int64] = index.search(points, 1)[1][:, 0]
    return found
