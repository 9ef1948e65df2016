"""Sounds and spectrograms of codes at several rates, and of continuations by both models."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from markupsafe import Markup
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.pages.charts import Picture, spectrogram_chart
from pipelines.pages.phrasing import full_name
from pipelines.pages.report_sounds import Sound, embedded, sound_path
from pipelines.pages.sound_charts import sound_spectrograms
from pipelines.results.run_record import RatesRecord, Results
from wordless.base.errors import InputError

PART = "rates"  # folder in the folder of a run
PICTURES = "pictures.safetensors"
MAX_BYTES = 2_000_000  # of WAV files in the page
MAX_SECONDS = 7.0  # of a continuation that are drawn


@dataclass(frozen=True, kw_only=True)
class RateSound:
    """A sound, and its data URI; None where the page has no room."""

    title: str
    file: str
    source: str | None


@dataclass(frozen=True, kw_only=True)
class RateClip:
    """The sounds of a clip at each rate, its continuations, and pictures of both."""

    name: str
    sounds: list[RateSound]
    rates: Markup  # spectrograms of the codes of each rate
    continued: Markup  # spectrograms of the first continuation by each model


def rate_clips(folder: Path, results: Results) -> Iterator[RateClip]:
    """Give the clips that a run continued and shows.

    Raises:
        InputError: a sound or the pictures are missing or broken.
    """
    record = results.get("rates")
    left = MAX_BYTES
    for number, name in enumerate(record["clips"] if record else []):
        assert record is not None
        sounds = []
        for file, title in _files(record, number):
            path = sound_path(folder, file, part=PART)
            left -= path.stat().st_size
            sounds.append(RateSound(title=title, file=file, source=embedded(path) if left >= 0 else None))
        yield RateClip(
            name=name,
            sounds=sounds,
            rates=_of_rates(folder, record, number, name),
            continued=_of_continuations(folder, record, number, name),
        )


def _files(record: RatesRecord, clip: int) -> Iterator[tuple[str, str]]:
    """Give the files of a clip, with their titles: the original, each rate, and the continuations."""
    yield f"{clip}_original.wav", "Original"
    for number, frames in enumerate(record["frames"], 1):
        yield f"{clip}_rate_{number}.wav", f"Rate {number}: {frames} frames per code"
    for said in record["said"]:
        if said["clip"] == clip:
            yield said["file"], f"Continued by the {full_name(said['of'])}"


def _of_rates(folder: Path, record: RatesRecord, clip: int, name: str) -> Markup:
    """Draw the spectrogram of a clip, and those that the codes of each rate mean, on one axis of time."""
    path = folder / PART / PICTURES
    try:
        found = load_file(path)
        titles = {f"{clip}:rate_{n}": f"codes of {frames} frames" for n, frames in enumerate(record["frames"], 1)}
        rows = {title: found[key] for key, title in {f"{clip}:original": "original", **titles}.items()}
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path} cannot be read ({error}); write it again: repeat the run's command") from error
    original = rows["original"]
    low, high = (float(value) for value in np.quantile(original, [0.01, 0.99]))
    seconds = soundfile.info(sound_path(folder, f"{clip}_original.wav", part=PART)).duration
    pictures = [
        Picture(title=title, values=values, seconds=seconds, limits=(low, high)) for title, values in rows.items()
    ]
    height = 60 + 75 * len(pictures)
    return spectrogram_chart(pictures, name=f"rates-{clip}", title=f"Codes of {name} at each rate", height=height)


def _of_continuations(folder: Path, record: RatesRecord, clip: int, name: str) -> Markup:
    """Draw the first continuation by each model; a line marks the end of the prompt."""
    first: dict[str, Sound] = {}
    for said in record["said"]:
        if said["clip"] == clip and said["of"] not in first:
            figures = {"prompt_seconds": said["prompt_seconds"]}
            first[said["of"]] = Sound(title=full_name(said["of"]), file=said["file"], figures=figures)
    sounds = {sound_path(folder, sound.file, part=PART): sound for sound in first.values()}
    return sound_spectrograms(clip, sounds, name=f"continuations of {name}", chart="continued", most=MAX_SECONDS)
