"""Peak rates of this machine: multiply-adds of large matrix products, and bytes read from its memories."""

from dataclasses import dataclass

import torch

from benchmarks.timing import timed

MATRIX = 1536  # rows and columns
READ_BYTES = {"weights": 2_500_000, "memory": 400_000_000}  # a default WaveNet's weights; beyond every cache
REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Peaks measured on some cores."""

    cores: int
    flops: float  # float32 operations per second of a matrix product, two for each multiply-add
    bytes_per_second: dict[str, float]  # read by all cores for a sum, each from an array of the sizes above


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
