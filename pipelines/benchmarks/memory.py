"""How much memory a long recording takes beyond a short one, to encode and to decode, each in a process of its own.

python -m pipelines.benchmarks.memory encode SECONDS TOKENIZER_FOLDER    prints the peak of encoding noise, in bytes
python -m pipelines.benchmarks.memory decode SECONDS TOKENIZER_FOLDER    the same of decoding codes by Griffin-Lim
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from pipelines.benchmarks.measurement import random_tokenizer, table, write_noise
from tokenizer.codes import Codes
from tokenizer.tokenizer import Tokenizer
from vocoder.kinds import GRIFFIN_LIM
from vocoder.options import Sampling
from vocoder.synthesis import create_synthesis
from wordless.audio.waveform import wav_file
from wordless.base.errors import InputError
from wordless.base.machine import peak_memory

SAMPLE_RATE = 16_000  # Hz, of 2 bytes for a sample
SHORT_SECONDS = 60.0
SHARE_DECODED = 0.1  # of the hours that are encoded: decoding takes so much longer
ALLOWED_BYTES = 100e6  # that the long recording may take beyond the short one


def measure_memory(tokenizer_folder: Path | None, *, hours: float) -> dict[str, object]:
    """Encode and decode a long and a short recording in fresh processes; print all peaks."""
    peaks, more = [], {}
    rows = table("work", "recording", "peak memory", "times real time, start included")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        needed, free = 1.1 * hours * 3600 * SAMPLE_RATE * 2, shutil.disk_usage(folder).free
        if free < needed:
            raise InputError(
                f"hours={hours:g} takes {needed / 1e9:.1f} GB of disk, {folder.parent} has {free / 1e9:.1f} free; "
                "choose fewer hours, or another temporary folder (TMPDIR=...)"
            )
        if tokenizer_folder is None:
            tokenizer_folder = folder / "tokenizer"
            random_tokenizer().save_pretrained(tokenizer_folder)
        lengths = {"encode": hours * 3600, "decode": max(SHARE_DECODED * hours * 3600, SHORT_SECONDS)}
        for work, longest in lengths.items():
            found = []
            for seconds in (SHORT_SECONDS, longest):
                words = [sys.executable, "-m", "pipelines.benchmarks.memory", work, str(seconds), str(tokenizer_folder)]
                began = time.perf_counter()
                done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                speed = seconds / (time.perf_counter() - began)
                found.append(int(done.stdout))
                peaks.append({"work": work, "seconds": seconds, "peak_bytes": found[-1], "times_real_time": speed})
                rows.add_row(work, f"{seconds / 3600:.2f} h", f"{found[-1] / 1e6:,.0f} MB", f"{speed:,.0f}")
            more[work] = found[1] - found[0]
    console = Console()
    console.print(rows)
    grown = ", ".join(f"{each / 1e6:,.0f} MB more to {work}" for work, each in more.items())
    console.print(f"the long one takes {grown}; {ALLOWED_BYTES / 1e6:,.0f} MB are allowed")
    within = all(each <= ALLOWED_BYTES for each in more.values())
    return {"memory": peaks, "more_bytes": more, "allowed_bytes": ALLOWED_BYTES, "within": within}


def _peak_of(work: str, seconds: float, tokenizer_folder: Path) -> int:
    """Measure the peak resident bytes of this process after encoding noise, or decoding codes by Griffin-Lim."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_pretrained(tokenizer_folder)
    format = tokenizer.format
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        if work == "encode":
            write_noise(sound, seconds=seconds, sample_rate=SAMPLE_RATE, format="WAV")
            tokenizer.encode_file(sound)
            return round(peak_memory())
        steps = round(seconds * format.codes_per_second)
        values = np.random.default_rng(0).integers(format.codebook_size, size=(steps, format.streams), dtype=np.int32)
        codes = Codes(values=values, num_samples=steps * format.samples_per_code, format=format)
        with wav_file(sound, format.sample_rate) as write:
            for piece in create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).stream(codes, None, name=""):
                write(piece.samples)
    return round(peak_memory())


if __name__ == "__main__":
    print(_peak_of(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
