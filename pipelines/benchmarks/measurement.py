"""What all benchmarks share: a clock, tables, synthesised recordings, and a tokenizer of the default size."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.table import Column, Table

from pipelines.stages.options import TokenizerSettings
from tokenizer.tokenizer import Tokenizer
from wordless.audio.options import SpectrogramConfig

TOKENIZER = TokenizerSettings().config(SpectrogramConfig())  # of the default size
_, CODEBOOK_SIZE = TOKENIZER.code_shape
SYLLABLES_PER_SECOND = 4


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The fastest of several tries at one piece of work."""

    seconds: float
    cpu_seconds: float  # of this process; other processes do not change it


def timed(work: Callable[[], object], repeats: int, *, warm_up: bool = True) -> Timing:
    """Time the fastest of ``repeats`` runs, by default after one that warms up."""
    if warm_up:
        work()
    tries = []
    for _ in range(repeats):
        began = time.perf_counter(), time.process_time()
        work()
        tries.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return Timing(seconds=min(wall for wall, _ in tries), cpu_seconds=min(cpu for _, cpu in tries))


def table(*columns: str, title: str | None = None) -> Table:
    """Make a table without lines; the first column is text, the others are numbers."""
    head = (Column(name, justify="left" if name == columns[0] else "right", no_wrap=True) for name in columns)
    return Table(*head, title=title, title_justify="left", box=None, pad_edge=False)


def random_tokenizer() -> Tokenizer:
    """Create a tokenizer of the default size with random weights, which do not change its speed."""
    mels = TOKENIZER.audio.n_mels
    torch.manual_seed(0)
    return Tokenizer(
        TOKENIZER,
        torch.full((mels,), -6.0),
        torch.full((mels,), 3.0),
        TOKENIZER.create_autoencoder(),
        torch.randn(TOKENIZER.codebook_shape),
    )


def write_noise(path: Path, *, seconds: float, sample_rate: int, format: Literal["WAV", "OGG"]) -> None:
    """Write a mono recording of noise in constant memory; it falls by 6 dB per octave and swells like syllables."""
    import soundfile  # networks alone need no libsndfile

    time, samples = np.arange(sample_rate) / sample_rate, round(seconds * sample_rate)
    white = np.random.default_rng(0).standard_normal(sample_rate)
    falling = np.fft.irfft(np.fft.rfft(white) / np.maximum(np.fft.rfftfreq(sample_rate, 1 / sample_rate), 100.0))
    swelling = falling * np.sin(np.pi * SYLLABLES_PER_SECOND * time) ** 2
    second = (0.5 * swelling / np.abs(swelling).max()).astype(np.float32)
    with soundfile.SoundFile(path, "w", samplerate=sample_rate, channels=1, format=format) as file:
        for start in range(0, samples, sample_rate):
            file.write(second[: samples - start])
