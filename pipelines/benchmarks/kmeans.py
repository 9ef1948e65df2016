"""k-means at scale: clustering of points on disk beside bare FAISS, and how many points suffice."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import faiss
import numpy as np
import torch
from rich.console import Console

from pipelines.benchmarks.measurement import Timing, random_tokenizer, table, timed
from tokenizer.codebook import fit_codebook, nearest
from tokenizer.options import AutoencoderConfig
from tokenizer.sample import Reservoir
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.recording_paths import Recordings
from wordless.audio.waveform import FloatArray
from wordless.base.arrays import allocate
from wordless.base.errors import InputError

BOTTLENECK = AutoencoderConfig().bottleneck
PATCH = 160  # values of a patch of the default size, which the reservoir keeps
WRITTEN_TOGETHER = 1 << 18  # points
OFFERED_TOGETHER = 1_000  # patches: those of a recording of ten seconds
SEEDS = 3
ITERATIONS = 30
HELD_OUT = 5  # every so many-th recording
POINTS_PER_CODE = (4, 16, 64, 256, 1024, 4096)


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


def measure_kmeans(
    tokenizer_folder: Path | None,
    recordings: Recordings | None,
    *,
    points: Sequence[int],
    codes: int,
    iterations: int,
    repeats: int,
) -> dict[str, object]:
    """Measure the speed on random points, and print it; with recordings, also how many of their points suffice."""
    sizes: list[Sufficiency] = []
    if recordings is not None:  # first, because recordings may be refused
        sizes = measure_sample_sizes(tokenizer_folder, recordings, codes=codes, console=Console())
    speeds = [_speed(count, codes, iterations, repeats) for count in points]
    _show(speeds, codes, iterations, Console())
    return {
        "kmeans": [{**asdict(speed), "ratio": speed.ratio} for speed in speeds],
        "codes": codes,
        "iterations": iterations,
        "sample_sizes": [asdict(size) for size in sizes],
    }


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


@dataclass(frozen=True, kw_only=True)
class Sufficiency:
    """Codebooks of as many points, one for each seed."""

    points: int
    objectives: tuple[float, ...]  # mean squared distance of held-out points to their nearest centroid


def measure_sample_sizes(
    tokenizer_folder: Path | None, recordings: Recordings, *, codes: int, console: Console
) -> list[Sufficiency]:
    """Cluster samples of the bottlenecks of recordings, and measure the objective on the held-out ones.

    Raises:
        InputError: there are fewer points than codes, or none that are held out.
    """
    tokenizer = random_tokenizer() if tokenizer_folder is None else Tokenizer.from_pretrained(tokenizer_folder)
    files = [recordings.root / path for path in recordings.paths]
    held = [*_bottlenecks(tokenizer, files[::HELD_OUT])]
    if not held:
        seconds = tokenizer.config.samples_per_code / tokenizer.config.audio.sample_rate
        raise InputError(
            f"input={recordings.root}: every {HELD_OUT}th recording is held out, and each of these is shorter than a "
            f"patch of {seconds:g} s; add longer recordings"
        )
    held_out = np.concatenate(held)
    rest = [file for number, file in enumerate(files) if number % HELD_OUT]
    points = np.concatenate([np.zeros((0, held_out.shape[1]), np.float32), *_bottlenecks(tokenizer, rest)])
    if len(points) < codes:
        raise InputError(
            f"codes is {codes}, but {len(rest)} recordings of {recordings.root} give {len(points)} patches, and every "
            f"{HELD_OUT}th recording is held out; add recordings, or choose fewer codes"
        )
    counts = [count for each in POINTS_PER_CODE if (count := each * codes) < len(points)]
    sizes = [_at_size(points, held_out, count, codes) for count in (*counts, len(points))]
    _show_sizes(sizes, codes, len(held_out), console)
    return sizes


@torch.inference_mode()
def _bottlenecks(tokenizer: Tokenizer, files: Sequence[Path]) -> Iterator[FloatArray]:
    for file in files:
        samples = read(file, tokenizer.config.audio.sample_rate).samples
        if len(samples) >= tokenizer.config.samples_per_code:
            yield tokenizer.bottlenecks_of(samples).flatten(0, 2).numpy()  # (1, time, bands, dim) -> (points, dim)


def _at_size(points: FloatArray, held: FloatArray, count: int, codes: int) -> Sufficiency:
    objectives = []
    for seed in range(SEEDS):
        chosen = points[np.random.default_rng(seed).permutation(len(points))[:count]]
        centroids = fit_codebook(chosen, size=codes, iterations=ITERATIONS, seed=seed)[0]
        objectives.append(float(((held - centroids[nearest(held, centroids)]) ** 2).sum(1).mean()))
    return Sufficiency(points=count, objectives=tuple(objectives))


def _show_sizes(sizes: Sequence[Sufficiency], codes: int, held: int, console: Console) -> None:
    best = float(np.mean(sizes[-1].objectives))
    title = f"objective on {held:,} held-out points, relative to the codebook of all points; {SEEDS} seeds"
    rows = table("points", "points per code", "mean", "lowest", "highest", title=title)
    for size in sizes:
        of_best = [each / best for each in size.objectives]
        figures = (float(np.mean(of_best)), min(of_best), max(of_best))
        rows.add_row(f"{size.points:,}", f"{size.points / codes:,.0f}", *(f"{each:.3f}" for each in figures))
    console.print(rows)
