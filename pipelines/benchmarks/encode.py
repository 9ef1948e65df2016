"""Speed of encoding on one core: the whole, its parts, and the bare libraries in the same run."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torchaudio
from rich.console import Console
from rich.markup import escape

from pipelines.benchmarks.measurement import Timing, random_tokenizer, table, timed, write_noise
from tokenizer.tokenizer import PATCHES_PER_BLOCK, Tokenizer
from wordless.audio.decoding import mono_blocks, open_recording
from wordless.audio.reading import resample_blocks
from wordless.audio.recordings.recording_paths import Recordings
from wordless.audio.waveform import FloatArray, equal_blocks
from wordless.base.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Measurements with one source of sound."""

    source: str
    sound_seconds: float
    total: Timing
    parts: dict[str, Timing]  # parts of the total, each measured alone on the same blocks
    bare: dict[str, Timing]  # the same work by the libraries alone, on whole recordings

    @property
    def times_real_time(self) -> float:
        """Seconds of sound per second of time."""
        return self.sound_seconds / self.total.seconds


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
        speeds = [measure(name, files, tokenizer, repeats) for name, files in sources.items()]
    for speed in speeds:
        show(speed, Console())
    return {"encode": [{**asdict(speed), "times_real_time": speed.times_real_time} for speed in speeds]}


def measure(name: str, files: Sequence[Path], tokenizer: Tokenizer, repeats: int) -> Speed:
    """Time the whole and its parts, each alone; the input of a part is the output of the previous one."""
    rate = tokenizer.config.audio.sample_rate
    total = timed(lambda: [tokenizer.encode_file(file) for file in files], repeats)
    reading, sounds = _reading(files, repeats)
    resampling, resampled = _resampling(sounds, rate, repeats)
    return Speed(
        source=name,
        sound_seconds=sum(len(samples) / own_rate for samples, own_rate in sounds),
        total=total,
        parts={"reading": reading, "resampling": resampling, **_network(resampled, tokenizer, repeats)},
        bare=_bare(files, sounds, resampled, tokenizer, repeats),
    )


def _reading(files: Sequence[Path], repeats: int) -> tuple[Timing, list[tuple[FloatArray, int]]]:
    """Decode and mix in blocks of 2 s, as `read_blocks` does."""

    def read(file: Path) -> tuple[list[FloatArray], int]:
        with open_recording(file) as recording:
            return list(mono_blocks(recording, 2 * recording.samplerate)), recording.samplerate

    timing = timed(lambda: [read(file) for file in files], repeats)
    return timing, [(np.concatenate([*blocks, np.zeros(0, np.float32)]), rate) for blocks, rate in map(read, files)]


def _resampling(sounds: Sequence[tuple[FloatArray, int]], rate: int, repeats: int) -> tuple[Timing, list[FloatArray]]:
    def resample(samples: FloatArray, own_rate: int) -> list[FloatArray]:
        return list(resample_blocks(equal_blocks([samples], 2 * own_rate), own_rate, rate))

    timing = timed(lambda: [resample(*sound) for sound in sounds], repeats)
    return timing, [np.concatenate([*resample(*sound), np.zeros(0, np.float32)]) for sound in sounds]


def _network(sounds: Sequence[FloatArray], tokenizer: Tokenizer, repeats: int) -> dict[str, Timing]:
    """Time mel, network and codebook search on the tokenizer's own blocks; the last block is padded."""
    size = PATCHES_PER_BLOCK * tokenizer.config.samples_per_code
    context = tokenizer.config.audio.left_context
    blocks = [
        torch.from_numpy(np.pad(block, (context, size - len(block))))[None]
        for samples in sounds
        for block in equal_blocks([samples], size)
    ]
    with torch.inference_mode():
        mel = timed(lambda: [tokenizer.normalise(tokenizer.log_mel.frames(block)) for block in blocks], repeats)
        spectrograms = [tokenizer.normalise(tokenizer.log_mel.frames(block)) for block in blocks]
        network = timed(lambda: [tokenizer.bottlenecks(spectrogram) for spectrogram in spectrograms], repeats)
        bottlenecks = [tokenizer.bottlenecks(spectrogram) for spectrogram in spectrograms]
        search = timed(lambda: [tokenizer.nearest(each) for each in bottlenecks], repeats)
    return {"mel": mel, "network": network, "codebook search": search}


def _bare(
    files: Sequence[Path],
    sounds: Sequence[tuple[FloatArray, int]],
    resampled: Sequence[FloatArray],
    tokenizer: Tokenizer,
    repeats: int,
) -> dict[str, Timing]:
    """Time only soundfile, soxr and torchaudio: whole recordings at once, no blocks, no logarithm."""
    audio = tokenizer.config.audio
    transform = torchaudio.transforms.MelSpectrogram(
        audio.sample_rate, n_fft=audio.window_length, hop_length=audio.hop_length, n_mels=audio.n_mels
    )
    tensors = [torch.from_numpy(samples)[None] for samples in resampled if len(samples) > audio.window_length]
    others = [(samples, rate, audio.sample_rate) for samples, rate in sounds if rate != audio.sample_rate]
    with torch.inference_mode():
        return {
            "reading": timed(lambda: [soundfile.read(file, dtype="float32") for file in files], repeats),
            "resampling": timed(lambda: [soxr.resample(*other) for other in others], repeats),
            "mel": timed(lambda: [transform(each) for each in tensors], repeats),
        }


def show(speed: Speed, console: Console) -> None:
    """Print times real time in total, and the parts and the bare libraries by processor time."""
    by_cpu = speed.sound_seconds / speed.total.cpu_seconds
    title = (
        f"{escape(speed.source)}: {speed.times_real_time:,.0f} times real time, {by_cpu:,.0f} by processor time "
        f"({speed.sound_seconds:,.0f} s of sound)"
    )
    rows = table("part", "share", "times real time", "bare library", "part / bare", title=title)
    for name, part in speed.parts.items():
        rows.add_row(name, _share(part.cpu_seconds, speed), *_columns(part, speed.bare.get(name), speed.sound_seconds))
    rest = speed.total.cpu_seconds - sum(part.cpu_seconds for part in speed.parts.values())
    rows.add_row("the rest", _share(rest, speed), "", "", "")
    console.print(rows, "")


def _share(cpu_seconds: float, speed: Speed) -> str:
    return f"{cpu_seconds / speed.total.cpu_seconds:.0%}"


def _columns(part: Timing, bare: Timing | None, sound_seconds: float) -> tuple[str, str, str]:
    if part.cpu_seconds < 1e-5 * sound_seconds:  # nothing to do, such as resampling to the rate that it has
        return "-", "-", "-"
    own = f"{sound_seconds / part.cpu_seconds:,.0f}"
    if bare is None:
        return own, "", ""
    return own, f"{sound_seconds / bare.cpu_seconds:,.0f}", f"{part.cpu_seconds / bare.cpu_seconds:.2f}"
