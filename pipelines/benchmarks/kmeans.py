"""k-means at scale: clustering of points on disk beside bare FAISS, and the reservoir that draws a sample."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
from rich.console import Console

from pipelines.benchmarks.measurement import Timing, table, timed
from tokenizer.codebook import fit_codebook
from tokenizer.options import AutoencoderConfig
from tokenizer.sample import Reservoir
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import allocate

BOTTLENECK = AutoencoderConfig().bottleneck
PATCH = 160  # values of a patch of the default size, which the reservoir keeps
WRITTEN_TOGETHER = 1 << 18  # points
OFFERED_TOGETHER = 1_000  # patches: those of a recording of ten seconds


@dataclass(frozen=True, kw_only=True)
class ClusteringSpeed:
    """Clustering of as many points by the project and by FAISS alone."""

    points: int
    own: Timing  # from a file, with the report of dead codes
    bare: Timing  # of an array in memory
    reservoir: Timing  # to draw as many patches from twice as many

    @property
    def ratio(self) -> float:
        """Processor time of the project over that of FAISS alone."""
        return self.own.cpu_seconds / self.bare.cpu_seconds


def measure_kmeans(*, points: Sequence[int], codes: int, iterations: int, repeats: int) -> dict[str, object]:
    """Measure the speed on random points, and print it."""
    speeds = [_speed(count, codes, iterations, repeats) for count in points]
    _show(speeds, codes, iterations, Console())
    rows = [{**asdict(speed), "ratio": speed.ratio} for speed in speeds]
    return {"kmeans": rows, "codes": codes, "iterations": iterations}


def _speed(count: int, codes: int, iterations: int, repeats: int) -> ClusteringSpeed:
    with tempfile.TemporaryDirectory() as folder:
        stored = _write_points(Path(folder) / "points", count)
        own = _timed(lambda: fit_codebook(stored, size=codes, iterations=iterations, seed=0), repeats)
        points = np.array(stored)
        bare = _timed(lambda: _bare(points, codes, iterations), repeats)
    return ClusteringSpeed(points=count, own=own, bare=bare, reservoir=_timed(lambda: _draw(count), 1))


def _write_points(path: Path, count: int) -> FloatArray:
    """Write normal points ``(count, bottleneck)`` to a ``.npy`` file, block after block, and map it."""
    random = np.random.default_rng(0)
    allocate(path, np.float32, (count, BOTTLENECK))
    points: FloatArray = np.lib.format.open_memmap(path, mode="r+")
    for start in range(0, count, WRITTEN_TOGETHER):
        block = points[start : start + WRITTEN_TOGETHER]
        block[:] = random.standard_normal(block.shape, np.float32)
    return points


def _bare(points: FloatArray, codes: int, iterations: int) -> None:
    """Cluster by FAISS alone, with the same sample, seed and iterations."""
    each = -(-len(points) // codes)
    kmeans = faiss.Kmeans(BOTTLENECK, codes, niter=iterations, seed=0, max_points_per_centroid=each)
    kmeans.train(points)


def _draw(capacity: int) -> None:
    reservoir, rows = Reservoir(capacity, PATCH, seed=0), np.ones((OFFERED_TOGETHER, PATCH), np.float32)
    for _ in range(-(-2 * capacity // OFFERED_TOGETHER)):
        reservoir.add(rows)


def _timed(work: Callable[[], object], repeats: int) -> Timing:
    return timed(work, repeats, warm_up=False)  # long work needs no run that warms up


def _show(speeds: Sequence[ClusteringSpeed], codes: int, iterations: int, console: Console) -> None:
    title = f"k-means of points on disk, {codes} codes, {iterations} iterations; seconds of processor time"
    rows = table("points", "on disk", "this project", "bare FAISS", "ratio", "reservoir", title=title)
    for speed in speeds:
        cpu = (f"{each.cpu_seconds:,.1f}" for each in (speed.own, speed.bare))
        size = f"{4 * BOTTLENECK * speed.points / 1e9:.2f} GB"
        rows.add_row(f"{speed.points:,}", size, *cpu, f"{speed.ratio:.2f}", f"{speed.reservoir.cpu_seconds:,.1f}")
    console.print(rows)
