"""How many points k-means needs: the objective on held-out recordings, by the number of points that it clusters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from pipelines.benchmarks.sounds import random_tokenizer
from pipelines.benchmarks.timing import table
from tokenizer.codebook import fit_codebook, nearest
from tokenizer.tokenizer import Tokenizer
from wordless.audio.reading import read
from wordless.audio.recordings.recording_paths import Recordings
from wordless.audio.waveform import FloatArray
from wordless.base.errors import InputError

SEEDS = 3
ITERATIONS = 30
HELD_OUT = 5  # every so many-th recording
POINTS_PER_CODE = (4, 16, 64, 256, 1024, 4096)


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
    _show(sizes, codes, len(held_out), console)
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
        centroids = fit_codebook(chosen, codebook_size=codes, iterations=ITERATIONS, seed=seed)[0]
        objectives.append(float(((held - centroids[nearest(held, centroids)]) ** 2).sum(1).mean()))
    return Sufficiency(points=count, objectives=tuple(objectives))


def _show(sizes: Sequence[Sufficiency], codes: int, held: int, console: Console) -> None:
    best = float(np.mean(sizes[-1].objectives))
    title = f"objective on {held:,} held-out points, relative to the codebook of all points; {SEEDS} seeds"
    rows = table("points", "points per code", "mean", "lowest", "highest", title=title)
    for size in sizes:
        of_best = [each / best for each in size.objectives]
        figures = (float(np.mean(of_best)), min(of_best), max(of_best))
        rows.add_row(f"{size.points:,}", f"{size.points / codes:,.0f}", *(f"{each:.3f}" for each in figures))
    console.print(rows)
