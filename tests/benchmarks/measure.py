"""Speed and memory that docs/log.md, docs/scale.md and docs/reliability.md print.

python -m tests.benchmarks.measure encode|kmeans|memory|vocoder [--model FOLDER]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
import soundfile
import torch

from pipelines.stages.voices import SHIPPED
from pipelines.store.store import peak_memory
from tests.benchmarks.default_tokenizer import random_tokenizer
from tokenizer.autoencoder import AutoencoderConfig
from tokenizer.codes import Codes
from tokenizer.kmeans import fit_codebook
from tokenizer.tokenizer import Tokenizer
from vocoder.generation import GenerationInput, generate
from vocoder.kinds import GRIFFIN_LIM
from vocoder.synthesis import create_synthesis
from vocoder.vocoder import Vocoder
from vocoder.vocoder_options import Sampling
from wordless.audio.waveform import wav_file

HOURS = 10


def timed(work: Callable[[], object], repeats: int = 3, clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds of the fastest of several runs, after one that warms up."""
    work()
    tries = []
    for _ in range(repeats):
        began = clock()
        work()
        tries.append(clock() - began)
    return min(tries)


def write_noise(path: Path, *, seconds: float, sample_rate: int, format: Literal["WAV", "OGG"]) -> None:
    """Write noise that falls by 6 dB per octave and swells like syllables, in constant memory."""
    white, frequencies = np.random.default_rng(0).standard_normal(sample_rate), np.fft.rfftfreq(sample_rate)
    falling = np.fft.irfft(np.fft.rfft(white) / np.maximum(frequencies, 100 / sample_rate))
    swelling = falling * np.sin(4 * np.pi * np.arange(sample_rate) / sample_rate) ** 2
    second = (0.5 * swelling / np.abs(swelling).max()).astype(np.float32)
    with soundfile.SoundFile(path, "w", samplerate=sample_rate, channels=1, format=format) as file:
        for _ in range(round(seconds)):
            file.write(second)


def encode(tokenizer: Tokenizer, folder: Path, *, seconds: float = 300) -> None:
    for rate, format in ((16_000, "WAV"), (44_100, "OGG")):
        write_noise(folder / "noise", seconds=seconds, sample_rate=rate, format=format)  # type: ignore[arg-type]  # of the loop
        took = timed(partial(tokenizer.encode_file, folder / "noise"))
        print(f"{rate} Hz {format}: {seconds / took:,.0f} times real time")


def kmeans(codes: int = 256, iterations: int = 10) -> None:
    for points in (1 << 20, 1 << 22):
        values = np.random.default_rng(0).standard_normal((points, AutoencoderConfig().bottleneck), np.float32)
        own = timed(partial(fit_codebook, values, size=codes, iterations=iterations, seed=0), 1)
        options = {"niter": iterations, "seed": 0, "max_points_per_centroid": -(-points // codes)}
        bare = timed(lambda: faiss.Kmeans(values.shape[1], codes, **options).train(values), 1)  # noqa: B023  # called here
        print(f"{points:,} points: {own:.1f} s, FAISS alone {bare:.1f} s")


def memory(folder: Path) -> None:
    """Measure each work in a process of its own."""
    for work, hours in (("encoding", HOURS), ("decoding", HOURS / 10)):
        for seconds in (60, 3600 * hours):
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                peak = process.submit(peak_of, work, seconds, folder).result()
            print(f"{work} {seconds / 3600:.2f} h: {peak / 1e6:,.0f} MB at most")


def peak_of(work: str, seconds: float, tokenizer_folder: Path) -> float:
    """Return the peak resident bytes of this process after encoding noise, or decoding codes by Griffin-Lim."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_pretrained(tokenizer_folder)
    format = tokenizer.format
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        if work == "encoding":
            write_noise(sound, seconds=seconds, sample_rate=16_000, format="WAV")
            tokenizer.encode_file(sound)
        else:
            shape = round(seconds * format.codes_per_second), format.streams
            values = np.random.default_rng(0).integers(format.codebook_size, size=shape, dtype=np.int32)
            codes = Codes(values=values, num_samples=shape[0] * format.samples_per_code, format=format)
            with wav_file(sound, format.sample_rate) as write:
                for piece in create_synthesis(GRIFFIN_LIM, tokenizer, Sampling()).stream(codes, None, name=""):
                    write(piece.samples)
    return peak_memory()


def vocoder(folder: Path, *, frames: int = 20) -> None:
    model = Vocoder.from_pretrained(folder).model.eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for engine in ("triton",) if device == "cuda" else ("numba", "numba_bf16", "torch"):
        for clips in (1, 32):
            inputs = [
                GenerationInput(spectrogram=torch.randn(frames, model.config.condition_inputs), seed=seed)
                for seed in range(clips)
            ]
            work = partial(generate, model.to(device), inputs, engine=engine)
            speed = clips * frames * model.config.hop_length / timed(work, clock=time.perf_counter)
            print(f"{engine}, {clips} clips: {speed / model.config.sample_rate:.2f} times real time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["encode", "kmeans", "memory", "vocoder"])
    parser.add_argument("--model", type=Path, help="folder of a tokenizer, or of a vocoder; else the default size")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = asked.model or Path(name) / "tokenizer"
        if asked.model is None:
            random_tokenizer().save_pretrained(folder)
        match asked.what:
            case "vocoder":
                vocoder(asked.model or SHIPPED / "16000")
            case "kmeans":
                kmeans()
            case "memory":
                memory(folder)
            case _:
                encode(Tokenizer.from_pretrained(folder), Path(name))


if __name__ == "__main__":
    main()
