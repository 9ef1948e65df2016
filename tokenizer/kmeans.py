"""k-means of bottlenecks by FAISS, whose centroids are ordered from quiet to loud.

FAISS is imported where points are clustered: autoencoders are trained on machines that lack it.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from tokenizer.autoencoder import Autoencoder, StateDecoder
from wordless.base.arrays import FloatArray, IndexArray, allocate
from wordless.base.messages import InputError
from wordless.base.threads import one_thread

_BLOCK = 1 << 18  # points whose nearest centroids are found together


class KMeansReport(TypedDict):
    """Size and result of the k-means clustering: the content of ``kmeans.json``."""

    points: int  # number of clustered bottlenecks: all of them, never a silent subsample
    objective: list[float]  # mean squared distance to the nearest centroid, per iteration
    dead: int  # centroids that are the nearest of no point
    duplicates: int  # centroids equal to an earlier one
    gpu: bool


def fit_codebook(
    points: FloatArray, *, size: int, iterations: int, seed: int, gpus: Sequence[int] = ()
) -> tuple[FloatArray, KMeansReport]:
    """Cluster ``(n, bottleneck)`` points with k-means to centroids ``(size, bottleneck)``.

    FAISS reads a `numpy.memmap` in place, and divides points and centroids among threads, never a sum, so its bytes do
    not depend on their number. Each of several GPUs has all centroids, and a share of the points. Fewer points than
    centroids are refused.
    """
    import faiss

    if len(points) < size:
        rule = f"each code needs a patch, and the training recordings give {len(points)} patches"
        raise InputError(option="codebook_size", value=size, rule=rule, remedy="choose fewer codes or add recordings")
    gpus = [gpu for gpu in gpus if gpu < faiss.get_num_gpus()]
    kmeans = faiss.Kmeans(
        points.shape[1],
        size,
        niter=iterations,
        seed=seed % 2**31,  # FAISS keeps the seed in a signed 32-bit integer
        # By default FAISS subsamples to 256 points per centroid, and warns below 39.
        max_points_per_centroid=-(-len(points) // size),
        min_points_per_centroid=1,
    )
    if gpus:  # FAISS's own gpu option uses all GPUs, even those of other users
        kmeans.index = faiss.index_cpu_to_gpus_list(kmeans.index, gpus=gpus)
    kmeans.train(points)
    centroids: FloatArray = np.ascontiguousarray(kmeans.centroids, dtype=np.float32)
    kmeans.index.reset()
    kmeans.index.add(centroids)
    used = np.zeros(size, bool)
    for start in range(0, len(points), _BLOCK):
        used[kmeans.index.search(points[start : start + _BLOCK], 1)[1][:, 0]] = True
    report = KMeansReport(
        points=len(points),
        objective=[float(stats["obj"]) / len(points) for stats in kmeans.iteration_stats or ()],
        dead=size - int(used.sum()),
        duplicates=size - len(np.unique(centroids, axis=0)),
        gpu=bool(gpus),
    )
    return centroids, report


def nearest(points: FloatArray, centroids: FloatArray) -> IndexArray:
    """Find the index of each point's nearest centroid, ``(n,)``."""
    import faiss

    found: IndexArray = faiss.knn(points, centroids, 1)[1][:, 0]
    return found


TOGETHER = 8192  # patches that are encoded in one call; their number decides how products are rounded


@one_thread()
@torch.no_grad()
def by_loudness(model: Autoencoder | StateDecoder, centroids: FloatArray) -> Tensor:
    """Sort centroids ``(codes, bottleneck)`` from the quietest to the loudest, so that a strip of codes can be read."""
    codebook = torch.from_numpy(centroids)
    return codebook[model.decoder(codebook).mean(1).argsort(stable=True)]  # bottlenecks themselves have no loudness


@one_thread()
@torch.inference_mode()
def write_bottlenecks(model: Autoencoder, patches: Iterable[Tensor], path: Path, shape: tuple[int, int]) -> FloatArray:
    """Write the bottlenecks of blocks of patches ``(n, patch)`` to a ``.npy`` file of ``shape``, and map it."""
    allocate(path, np.float32, shape)
    points: FloatArray = np.lib.format.open_memmap(path, mode="r+")
    written = 0
    for part in chain.from_iterable(torch.split(block, TOGETHER) for block in patches):
        points[written : written + len(part)] = model.encoder(part).numpy()
        written += len(part)
    return points
