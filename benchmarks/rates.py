"""Measurements of ``wordless bench vocoder``: engines and training."""

from dataclasses import dataclass


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


@dataclass(frozen=True, kw_only=True)
class TrainingRate:
    """Speed of training."""

    precision: str
    cores: int
    samples_per_second: float
