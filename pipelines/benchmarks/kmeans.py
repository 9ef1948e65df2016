"""k-means at scale: clustering of points on disk beside bare FAISS, and the reservoir that draws a sample."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console

from pipelines.benchmarks.measurement import table, timed
from tokenizer.codebook import fit_codebook
from tokenizer.fitting import Reservoir
from tokenizer.options import AutoencoderConfig
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import allocate

BOTTLENECK = AutoencoderConfig().bottleneck
PATCH = 160  # values of a patch of the default size, which the reservoir keeps
WRITTEN_TOGETHER = 1 << 18  # points
OFFERED_TOGETHER = 1_000  # patches: those of a recording of ten seconds


def measure_kmeans(*, points: Sequence[int], codes: int, iterations: int, repeats: int) -> dict[str, object]:
    """Measure the speed on random points, and print it; ratios are of the project's processor time over FAISS's."""
    title = f"k-means of points on disk, {codes} codes, {iterations} iterations; seconds of processor time"
    rows = table("points", "on disk", "this project", "bare FAISS", "ratio", "reservoir", title=title)
    measured = []
    for count in points:
        with tempfile.TemporaryDirectory() as folder:
            # Normal points (count, bottleneck), written block after block, and mapped.
            path, random = Path(folder) / "points", np.random.default_rng(0)
            allocate(path, np.float32, (count, BOTTLENECK))
            stored: FloatArray = np.lib.format.open_memmap(path, mode="r+")
            for start in range(0, count, WRITTEN_TOGETHER):
                block = stored[start : start + WRITTEN_TOGETHER]
                block[:] = random.standard_normal(block.shape, np.float32)

            # Long work needs no run that warms up.
            work = partial(fit_codebook, stored, size=codes, iterations=iterations, seed=0)
            own = timed(work, repeats, warm_up=False)
            bare = timed(partial(_cluster, np.array(stored), codes, iterations), repeats, warm_up=False)
        reservoir = timed(partial(_draw, count), 1, warm_up=False)
        ratio, size = own.cpu_seconds / bare.cpu_seconds, f"{4 * BOTTLENECK * count / 1e9:.2f} GB"
        cpu = [f"{each.cpu_seconds:,.1f}" for each in (own, bare, reservoir)]
        rows.add_row(f"{count:,}", size, *cpu[:2], f"{ratio:.2f}", cpu[2])
        timings = {"own": asdict(own), "bare": asdict(bare), "reservoir": asdict(reservoir)}
        measured.append({"points": count, **timings, "ratio": ratio})
    Console().print(rows)
    return {"kmeans": measured, "codes": codes, "iterations": iterations}


def _cluster(points: FloatArray, codes: int, iterations: int) -> None:
    """Cluster by FAISS alone, with the same sample, seed and iterations."""
    each = -(-len(points) // codes)
    faiss.Kmeans(BOTTLENECK, codes, niter=iterations, seed=0, max_points_per_centroid=each).train(points)


def _draw(capacity: int) -> None:
    """Draw as many patches from twice as many."""
    reservoir, rows = Reservoir(capacity, PATCH, seed=0), np.ones((OFFERED_TOGETHER, PATCH), np.float32)
    for _ in range(-(-2 * capacity // OFFERED_TOGETHER)):
        reservoir.add(rows)
