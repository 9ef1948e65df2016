"""The measured rates under the machine's peaks: operations per second over operations per byte of weights read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from pipelines.benchmarks.timing import timed

MATRIX = 1536  # rows and columns
READ_BYTES = {"weights": 2_500_000, "memory": 400_000_000}  # a default WaveNet's weights; beyond every cache
REPEATS = 5
MARKERS = {"torch": "s", "numba": "o", "numba_bf16": "D"}
COLOURS = {1: "#1f6fb2", 2: "#c4601d"}  # by cores


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Peaks measured on some cores."""

    cores: int
    flops: float  # float32 operations per second of a matrix product, two for each multiply-add
    bytes_per_second: dict[str, float]  # read by all cores for a sum, each from an array of the sizes above


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Speed of generation with one engine, everything included. Figures of processors are None on a GPU."""

    engine: str
    clips: int  # side by side
    cores: int
    samples_per_second: float  # of all clips together
    times_real_time: float  # the same over the sample rate
    times_by_cpu: float | None  # the same by processor time, each core alone: what a busy machine does not change
    flops: float  # operations per second, two for each multiply-add
    flops_per_byte: float  # operations per byte of weights
    of_peak_flops: float | None  # ratio of the measured matrix product
    of_peak_bytes: float | None  # bytes of weights read, ratio of the measured reading from the cache that holds them


def measure_machine(cores: int) -> Machine:
    """Measure the peaks of float32 matrix products and of reading in PyTorch."""
    torch.set_num_threads(cores)
    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    out = torch.empty(MATRIX, MATRIX)
    product = timed(lambda: torch.mm(a, b, out=out), REPEATS)
    return Machine(
        cores=cores,
        flops=2 * MATRIX**3 / product.seconds,
        bytes_per_second={name: _reading(size, cores) for name, size in READ_BYTES.items()},
    )


def _reading(size: int, cores: int) -> float:
    """Measure bytes per second; several readings at a time if one takes hardly longer than the clock's resolution."""
    array, again = torch.rand(size // 4 * cores), max(20_000_000 // size, 1)

    def read() -> None:
        for _ in range(again):
            array.sum()

    return again * array.numel() * 4 / timed(read, REPEATS).seconds


def draw_roofline(path: Path, machines: Sequence[Machine], rates: Sequence[Rate]) -> None:
    """Write a picture; its format is that of the file's name."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    intensity = np.geomspace(0.25, 64, 100)
    for machine in machines:
        cores, colour = machine.cores, COLOURS[machine.cores]
        reading = machine.bytes_per_second["weights"]
        axes.plot(intensity, np.minimum(intensity * reading, machine.flops) / 1e9, color=colour,
                  label=f"{cores} core{'s' * (cores > 1)}: matrix product, weights from cache")  # fmt: skip
        axes.plot(intensity, np.minimum(intensity * machine.bytes_per_second["memory"], machine.flops) / 1e9,
                  color=colour, linestyle=":", label="from memory")  # fmt: skip
    for name, marker in MARKERS.items():
        axes.plot([], [], marker, color="black", markerfacecolor="none", label=f"{name}, by number of clips")
    for cores, engine, rows in _neighbours(rates):
        place = rows[0].flops_per_byte, max(row.flops for row in rows) / 1e9
        axes.plot([row.flops_per_byte for row in rows], [row.flops / 1e9 for row in rows], MARKERS[engine],
                  color=COLOURS[cores], markerfacecolor="none" if cores == 1 else COLOURS[cores])  # fmt: skip
        axes.annotate(", ".join(str(row.clips) for row in rows), place, xytext=(-6, 5) if cores == 1 else (7, -3),
                      ha="right" if cores == 1 else "left", textcoords="offset points", fontsize=8,
                      color=COLOURS[cores])  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="operations per byte of weights read", ylabel="GFLOP/s")
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16, 32, 64], labels=["¼", "½", "1", "2", "4", "8", "16", "32", "64"])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.set_title(
        "WaveNet generation by engine and number of clips; the roof is that of float32", loc="left", fontsize=10
    )
    figure.savefig(path, dpi=120)


def _neighbours(rates: Sequence[Rate]) -> Iterator[tuple[int, str, list[Rate]]]:
    """Group rates of one engine that share readings of the weights equally, for one label."""
    on_cpu = [row for row in rates if row.engine in MARKERS]  # a GPU has another roof
    for key in dict.fromkeys((row.cores, row.engine, row.flops_per_byte) for row in on_cpu):
        yield key[0], key[1], [row for row in on_cpu if (row.cores, row.engine, row.flops_per_byte) == key]
