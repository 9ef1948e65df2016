"""How much memory encoding a long recording takes beyond a short one, each in a process of its own.

python -m pipelines.benchmarks.memory RECORDING TOKENIZER_FOLDER    prints the peak of encoding one recording, in bytes
"""

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from audio.errors import InputError
from pipelines.benchmarks.sounds import random_tokenizer, write_noise
from tokenizer.tokenizer import Tokenizer

SAMPLE_RATE = 16_000  # Hz
BYTES_PER_SAMPLE = 2
SHORT_SECONDS = 60.0
ALLOWED_BYTES = 100e6  # that the long recording may take beyond the short one


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The memory that encoding one recording took."""

    seconds: float  # of sound
    peak_bytes: int  # of the process, imports and all
    times_real_time: float  # process start and imports included


def measure_memory(tokenizer_folder: Path | None, *, hours: float) -> dict[str, object]:
    """Encode a long and a short recording in fresh processes; print both peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _require_room(folder, hours)
        if tokenizer_folder is None:
            tokenizer_folder = folder / "tokenizer"
            random_tokenizer().save_pretrained(tokenizer_folder)
        peaks = [_peak(folder, tokenizer_folder, seconds) for seconds in (SHORT_SECONDS, hours * 3600)]
    more = peaks[1].peak_bytes - peaks[0].peak_bytes
    _show(peaks, more, Console())
    return {
        "memory": [asdict(peak) for peak in peaks],
        "more_bytes": more,
        "allowed_bytes": ALLOWED_BYTES,
        "within": more <= ALLOWED_BYTES,
    }


def _require_room(folder: Path, hours: float) -> None:
    needed = 1.1 * hours * 3600 * SAMPLE_RATE * BYTES_PER_SAMPLE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"hours={hours:g} takes {needed / 1e9:.1f} GB of disk, {folder.parent} has {free / 1e9:.1f} free; "
            "choose fewer hours, or another temporary folder (TMPDIR=...)"
        )


def _peak(folder: Path, tokenizer_folder: Path, seconds: float) -> Peak:
    recording = folder / "noise.wav"
    write_noise(recording, seconds=seconds, sample_rate=SAMPLE_RATE, format="WAV")
    words = [sys.executable, "-m", "pipelines.benchmarks.memory", str(recording), str(tokenizer_folder)]
    began = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return Peak(seconds=seconds, peak_bytes=int(done.stdout), times_real_time=seconds / (time.perf_counter() - began))


def _show(peaks: list[Peak], more: int, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("recording", "peak memory", "times real time, start included"):
        table.add_column(name, justify="right")
    for peak in peaks:
        table.add_row(
            f"{peak.seconds / 3600:.2f} h", f"{peak.peak_bytes / 1e6:,.0f} MB", f"{peak.times_real_time:,.0f}"
        )
    console.print(table)
    console.print(f"the long one takes {more / 1e6:,.0f} MB more; {ALLOWED_BYTES / 1e6:,.0f} MB are allowed")


def peak_of_encoding(recording: Path, tokenizer_folder: Path) -> int:
    """Peak resident bytes of this process, once it has encoded a recording."""
    torch.set_num_threads(1)
    Tokenizer.from_pretrained(tokenizer_folder).encode_file(recording)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    print(peak_of_encoding(Path(sys.argv[1]), Path(sys.argv[2])))
