"""How much memory a long recording takes beyond a short one, to encode and to decode, each in a process of its own.

python -m pipelines.benchmarks.memory encode SECONDS TOKENIZER_FOLDER    prints the peak of encoding noise, in bytes
python -m pipelines.benchmarks.memory decode SECONDS TOKENIZER_FOLDER    the same of decoding codes by Griffin-Lim
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from rich.console import Console

from pipelines.benchmarks.measurement import random_tokenizer, table, write_noise
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.sampling import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.waveform import wav_file
from wordless.base.errors import InputError
from wordless.base.memory import peak_memory

Work = Literal["encode", "decode"]
SAMPLE_RATE = 16_000  # Hz
BYTES_PER_SAMPLE = 2
SHORT_SECONDS = 60.0
SHARE_DECODED = 0.1  # of the hours that are encoded: decoding takes so much longer
ALLOWED_BYTES = 100e6  # that the long recording may take beyond the short one


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The memory that encoding or decoding one recording took."""

    work: Work
    seconds: float  # of sound
    peak_bytes: int  # of the process, imports and all
    times_real_time: float  # process start and imports included


def measure_memory(tokenizer_folder: Path | None, *, hours: float) -> dict[str, object]:
    """Encode and decode a long and a short recording in fresh processes; print all peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _require_room(folder, hours)
        if tokenizer_folder is None:
            tokenizer_folder = folder / "tokenizer"
            random_tokenizer().save_pretrained(tokenizer_folder)
        lengths = {"encode": hours * 3600, "decode": max(SHARE_DECODED * hours * 3600, SHORT_SECONDS)}
        peaks = [
            _peak(work, tokenizer_folder, seconds)
            for work in get_args(Work)
            for seconds in (SHORT_SECONDS, lengths[work])
        ]
    more = {long.work: long.peak_bytes - short.peak_bytes for short, long in zip(peaks[::2], peaks[1::2], strict=True)}
    _show(peaks, more, Console())
    return {
        "memory": [asdict(peak) for peak in peaks],
        "more_bytes": more,
        "allowed_bytes": ALLOWED_BYTES,
        "within": all(each <= ALLOWED_BYTES for each in more.values()),
    }


def _require_room(folder: Path, hours: float) -> None:
    needed = 1.1 * hours * 3600 * SAMPLE_RATE * BYTES_PER_SAMPLE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"hours={hours:g} takes {needed / 1e9:.1f} GB of disk, {folder.parent} has {free / 1e9:.1f} free; "
            "choose fewer hours, or another temporary folder (TMPDIR=...)"
        )


def _peak(work: Work, tokenizer_folder: Path, seconds: float) -> Peak:
    words = [sys.executable, "-m", "pipelines.benchmarks.memory", work, str(seconds), str(tokenizer_folder)]
    began = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    passed = time.perf_counter() - began
    return Peak(work=work, seconds=seconds, peak_bytes=int(done.stdout), times_real_time=seconds / passed)


def _show(peaks: list[Peak], more: dict[Work, int], console: Console) -> None:
    rows = table("work", "recording", "peak memory", "times real time, start included")
    for peak in peaks:
        length, memory = f"{peak.seconds / 3600:.2f} h", f"{peak.peak_bytes / 1e6:,.0f} MB"
        rows.add_row(peak.work, length, memory, f"{peak.times_real_time:,.0f}")
    console.print(rows)
    grown = ", ".join(f"{each / 1e6:,.0f} MB more to {work}" for work, each in more.items())
    console.print(f"the long one takes {grown}; {ALLOWED_BYTES / 1e6:,.0f} MB are allowed")


def peak_of(work: Work, seconds: float, tokenizer_folder: Path) -> int:
    """Measure the peak resident bytes of this process after encoding noise, or decoding codes by Griffin-Lim."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_pretrained(tokenizer_folder)
    with tempfile.TemporaryDirectory() as folder:
        work_on = {"encode": _encode, "decode": _decode}[work]
        work_on(tokenizer, seconds, Path(folder) / "sound.wav")
    return round(peak_memory())


def _encode(tokenizer: Tokenizer, seconds: float, recording: Path) -> None:
    write_noise(recording, seconds=seconds, sample_rate=SAMPLE_RATE, format="WAV")
    tokenizer.encode_file(recording)


def _decode(tokenizer: Tokenizer, seconds: float, sound: Path) -> None:
    format = tokenizer.format
    steps = round(seconds * format.codes_per_second)
    values = np.random.default_rng(0).integers(format.largest + 1, size=(steps, format.streams), dtype=np.int32)
    codes = Codes(values=values, num_samples=steps * format.samples_per_code, format=format)
    with wav_file(sound, format.sample_rate) as file:
        for piece in create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).stream(codes, None, name=""):
            file.write(piece.samples)


if __name__ == "__main__":
    work, seconds, tokenizer_folder = sys.argv[1:]
    print(peak_of("decode" if work == "decode" else "encode", float(seconds), Path(tokenizer_folder)))
