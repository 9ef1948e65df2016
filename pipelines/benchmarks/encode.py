"""Speed of encoding on one core, part by part, and of k-means on disk; the bare libraries in the same run."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import soundfile
import soxr
import torch
import torchaudio
from rich.console import Console
from rich.markup import escape

from pipelines.benchmarks.measurement import Timing, random_tokenizer, table, timed, write_noise
from tokenizer.codebook import fit_codebook
from tokenizer.fitting import Reservoir
from tokenizer.options import AutoencoderConfig
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.decoding import Recording, mono_blocks, read_all
from wordless.audio.reading import resample_blocks
from wordless.audio.recordings.corpus import Recordings
from wordless.audio.waveform import FloatArray, equal_blocks
from wordless.base.arrays import allocate
from wordless.base.errors import InputError


def measure_encoding(
    tokenizer_folder: Path | None, recordings: Recordings | None, *, seconds: float, repeats: int
) -> dict[str, object]:
    """Measure on synthesised sound and on given recordings; print a table for each.

    Raises:
        InputError: a speech model makes the codes, so encoding does not have the parts that are measured.
    """
    torch.set_num_threads(1)
    tokenizer = random_tokenizer() if tokenizer_folder is None else Tokenizer.from_pretrained(tokenizer_folder)
    if tokenizer.speech_layer is not None:
        assert tokenizer_folder is not None, "the random tokenizer has no speech model"
        problem = f"model={tokenizer_folder.parent}: a speech model makes the codes of this run"
        raise InputError(f"{problem}; choose a run whose codes come from the autoencoder, or leave model out")
    with tempfile.TemporaryDirectory() as folder:
        wav, ogg = Path(folder) / "noise.wav", Path(folder) / "noise.ogg"
        write_noise(wav, seconds=seconds, sample_rate=16_000, format="WAV")
        write_noise(ogg, seconds=seconds, sample_rate=44_100, format="OGG")
        sources = {"16 kHz WAV": [wav], "44.1 kHz Ogg Vorbis": [ogg]}
        if recordings is not None:
            sources[str(recordings.root)] = [recordings.root / path for path in recordings.paths]
        return {"encode": [_measure(name, files, tokenizer, repeats) for name, files in sources.items()]}


def _measure(source: str, files: Sequence[Path], tokenizer: Tokenizer, repeats: int) -> dict[str, object]:
    """Time the whole and its parts, each alone; the input of a part is the output of the previous one."""
    audio = tokenizer.config.audio
    total = timed(lambda: [tokenizer.encode_file(file) for file in files], repeats)
    parts: dict[str, Timing] = {}

    def read(file: Path) -> tuple[list[FloatArray], int]:
        """Decode and mix in blocks of 2 s, as `read_blocks` does."""
        with Recording(file) as recording:
            return list(mono_blocks(read_all(recording, 2 * recording.samplerate))), recording.samplerate

    parts["reading"] = timed(lambda: [read(file) for file in files], repeats)
    none = np.zeros(0, np.float32)
    sounds = [(np.concatenate([*blocks, none]), rate) for blocks, rate in map(read, files)]

    def resample(samples: FloatArray, rate: int) -> list[FloatArray]:
        return list(resample_blocks(equal_blocks([samples], 2 * rate), rate, audio.sample_rate))

    parts["resampling"] = timed(lambda: [resample(*sound) for sound in sounds], repeats)
    resampled = [np.concatenate([*resample(*sound), none]) for sound in sounds]

    # Mel, network and codebook search, on the tokenizer's own blocks; the last block is padded.
    size = PATCHES_PER_BLOCK * tokenizer.config.samples_per_code
    blocks = [
        torch.from_numpy(np.pad(block, (audio.left_context, size - len(block))))[None]
        for samples in resampled
        for block in equal_blocks([samples], size)
    ]
    with torch.inference_mode():
        frames = [tokenizer.normalise(tokenizer.log_mel.frames(block)) for block in blocks]
        bottlenecks = [tokenizer.bottlenecks(each) for each in frames]
        mel = timed(lambda: [tokenizer.normalise(tokenizer.log_mel.frames(block)) for block in blocks], repeats)
        network = timed(lambda: [tokenizer.bottlenecks(each) for each in frames], repeats)
        search = timed(lambda: [tokenizer.nearest(each) for each in bottlenecks], repeats)
        parts |= {"mel": mel, "network": network, "codebook search": search}

        # Only soundfile, soxr and torchaudio: whole recordings at once, no blocks, no logarithm.
        transform = torchaudio.transforms.MelSpectrogram(
            audio.sample_rate, n_fft=audio.window_length, hop_length=audio.hop_length, n_mels=audio.n_mels
        )
        tensors = [torch.from_numpy(samples)[None] for samples in resampled if len(samples) > audio.window_length]
        others = [(samples, rate, audio.sample_rate) for samples, rate in sounds if rate != audio.sample_rate]
        bare = {
            "reading": timed(lambda: [soundfile.read(file, dtype="float32") for file in files], repeats),
            "resampling": timed(lambda: [soxr.resample(*other) for other in others], repeats),
            "mel": timed(lambda: [transform(each) for each in tensors], repeats),
        }

    # Times real time in total, and the parts and the bare libraries by processor time.
    seconds = sum(len(samples) / rate for samples, rate in sounds)
    speed = seconds / total.seconds
    title = (
        f"{escape(source)}: {speed:,.0f} times real time, {seconds / total.cpu_seconds:,.0f} by processor time "
        f"({seconds:,.0f} s of sound)"
    )
    rows = table("part", "share", "times real time", "bare library", "part / bare", title=title)
    for name, part in parts.items():
        cells = ["-", "-", "-"]  # nothing to do, such as resampling to the rate that it has
        if part.cpu_seconds >= 1e-5 * seconds:
            alone = bare.get(name)
            compared = alone and [f"{seconds / alone.cpu_seconds:,.0f}", f"{part.cpu_seconds / alone.cpu_seconds:.2f}"]
            cells = [f"{seconds / part.cpu_seconds:,.0f}", *(compared or ["", ""])]
        rows.add_row(name, f"{part.cpu_seconds / total.cpu_seconds:.0%}", *cells)
    rest = total.cpu_seconds - sum(part.cpu_seconds for part in parts.values())
    rows.add_row("the rest", f"{rest / total.cpu_seconds:.0%}", "", "", "")
    Console().print(rows, "")
    return {
        "source": source,
        "sound_seconds": seconds,
        "total": asdict(total),
        "parts": {name: asdict(each) for name, each in parts.items()},
        "bare": {name: asdict(each) for name, each in bare.items()},
        "times_real_time": speed,
    }


BOTTLENECK = AutoencoderConfig().bottleneck
PATCH = 160  # values of a patch of the default size, which the reservoir keeps
WRITTEN_TOGETHER = 1 << 18  # points
OFFERED_TOGETHER = 1_000  # patches: those of a recording of ten seconds


def measure_kmeans(*, points: Sequence[int], codes: int, iterations: int, repeats: int) -> dict[str, object]:
    """Measure the speed on random points, and print it; ratios are of the project's processor time over FAISS's."""
    title = f"k-means of points on disk, {codes} codes, {iterations} iterations; seconds of processor time"
    rows = table("points", "on disk", "this project", "bare FAISS", "ratio", "reservoir", title=title)
    measured = []
    for count in points:
        with tempfile.TemporaryDirectory() as folder:
            # Normal points (count, bottleneck), written block after block, and mapped.
            path, random = Path(folder) / "points", np.random.default_rng(0)
            allocate(path, np.float32, (count, BOTTLENECK))
            stored: FloatArray = np.lib.format.open_memmap(path, mode="r+")
            for start in range(0, count, WRITTEN_TOGETHER):
                block = stored[start : start + WRITTEN_TOGETHER]
                block[:] = random.standard_normal(block.shape, np.float32)

            # Long work needs no run that warms up.
            work = partial(fit_codebook, stored, size=codes, iterations=iterations, seed=0)
            own = timed(work, repeats, warm_up=False)
            bare = timed(partial(_cluster, np.array(stored), codes, iterations), repeats, warm_up=False)
        reservoir = timed(partial(_draw, count), 1, warm_up=False)
        ratio, size = own.cpu_seconds / bare.cpu_seconds, f"{4 * BOTTLENECK * count / 1e9:.2f} GB"
        cpu = [f"{each.cpu_seconds:,.1f}" for each in (own, bare, reservoir)]
        rows.add_row(f"{count:,}", size, *cpu[:2], f"{ratio:.2f}", cpu[2])
        timings = {"own": asdict(own), "bare": asdict(bare), "reservoir": asdict(reservoir)}
        measured.append({"points": count, **timings, "ratio": ratio})
    Console().print(rows)
    return {"kmeans": measured, "codes": codes, "iterations": iterations}


def _cluster(points: FloatArray, codes: int, iterations: int) -> None:
    """Cluster by FAISS alone, with the same sample, seed and iterations."""
    each = -(-len(points) // codes)
    faiss.Kmeans(BOTTLENECK, codes, niter=iterations, seed=0, max_points_per_centroid=each).train(points)


def _draw(capacity: int) -> None:
    """Draw as many patches from twice as many."""
    reservoir, rows = Reservoir(capacity, PATCH, seed=0), np.ones((OFFERED_TOGETHER, PATCH), np.float32)
    for _ in range(-(-2 * capacity // OFFERED_TOGETHER)):
        reservoir.add(rows)
