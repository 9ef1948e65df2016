"""The sounds of a report: players that hold their sound, as many as the page has room for."""

import base64
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from markupsafe import Markup
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipelines.pages.charts import Picture, spectrogram_chart
from pipelines.pages.phrasing import full_name, heading
from pipelines.pages.run_charts import code_strip, sound_spectrograms
from pipelines.results.run_record import (
    CODE_SOUNDS,
    RESULTS,
    SAMPLE_SOUNDS,
    Pictures,
    Results,
    Section,
    is_cut,
)
from vocoder.kinds import KINDS, ORIGINAL, WAVENET
from wordless.audio.excerpts import equally_loud
from wordless.audio.waveform import Waveform
from wordless.base.errors import InputError
from wordless.base.files import open_regular
from wordless.base.json_values import shortened

TITLES = {ORIGINAL: "Original", **{kind.key: kind.heading for kind in KINDS}, "prompt": "Prompt"}
LAST = tuple(kind.key for kind in KINDS if not kind.played_first)  # whose players are the first to be left out
LISTENING, RATES = "listening", "rates"  # folders of a run
MAX_BYTES = 2_550_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures
MAX_RATE_BYTES = 2_000_000  # of those of several rates
MAX_RATE_SECONDS = 7.0  # of a continuation that are drawn
SPECTRUM_WIDTH, SPECTRUM_HEIGHT = 120.0, 30.0  # CSS pixels of the mean spectrum of a code
LEAST = 0.5  # span of a flat spectrum, in standard deviations
MOSTLY_SILENT = 0.5  # share of silent frames in the new part of a continuation


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound of a run."""

    title: str
    file: str  # in its folder
    folder: str = LISTENING  # of the run
    figures: dict[str, float]
    last: bool = False  # whether its kind leaves the room of the page to others

    @property
    def place(self) -> str:
        """The file's place in the run folder."""
        return f"{self.folder}/{self.file}"

    @property
    def mostly_silent(self) -> bool:
        """Whether most of the new part of a generated sound is silent."""
        return self.figures.get("silence", 0.0) > MOSTLY_SILENT


@dataclass(frozen=True, kw_only=True)
class ClipSounds:
    """The sounds of one clip."""

    name: str
    path: str = ""
    place: str | None = None  # where in the clip its excerpt begins; None: the whole clip is played
    sounds: list[Sound]  # of the clip itself
    continuations: list[Sound]


def clip_name(clip: Section | Section) -> str:
    """Name a clip by its label and group, or else by its path."""
    return " · ".join(part for part in (clip["label"], clip["group"]) if part) or clip["path"]


def clip_sounds(results: Results) -> list[ClipSounds]:
    """List the clips of a run with their sounds, and what the language model continued from them."""
    return [
        ClipSounds(
            name=clip_name(clip),
            path=clip["path"],
            place=f"from {clip['start']:.2f} s of {clip['clip_seconds']:.1f} s" if is_cut(clip) else None,
            sounds=[
                Sound(title=title, file=f"{number}_{kind}.wav", figures=clip["sounds"][kind], last=kind in LAST)
                for kind, title in sorted(TITLES.items(), key=lambda item: item[0] in LAST)
                if kind in clip["sounds"]
            ],
            continuations=said_sounds(results, number),
        )
        for number, clip in enumerate(results.get("listening", {}).get("clips", []))
    ]


def said_sounds(results: Results, clip: int | None) -> list[Sound]:
    """List the sounds of the language model that begin with a clip, or those without a prompt."""
    begin = "No prompt" if clip is None else "Continuation"
    return [
        Sound(title=f"{begin}, temperature {row['temperature']:g}", file=row["file"], figures=row["figures"])
        for row in results.get("listening", {}).get("said", [])
        if row["clip"] == clip
    ]


def sample_sounds(results: Results) -> list[ClipSounds]:
    """List the sounds of language models of samples: those of each prompt, then those that begin in silence."""
    if not (record := results.get("next_sample")):
        return []
    clips = [(number, clip_name(clip), clip["path"]) for number, clip in enumerate(record["clips"])]
    groups = [
        (
            name,
            path,
            [
                Sound(title=heading(row["of"]), file=row["file"], folder=SAMPLE_SOUNDS, figures=row["figures"])
                for row in record["sounds"]
                if row["clip"] == number
            ],
        )
        for number, name, path in [*clips, (None, "Without a prompt", "")]
    ]
    return [ClipSounds(name=name, path=path, sounds=found, continuations=[]) for name, path, found in groups if found]


def embedded(path: Path) -> str:
    """Read a WAV file as a data URI."""
    return f"data:audio/wav;base64,{base64.b64encode(path.read_bytes()).decode()}"


def embedded_sounds(
    folder: Path, clips: Sequence[ClipSounds], unconditional: Sequence[Sound], *, before: Iterable[str] = ()
) -> dict[str, str | None]:
    """Read the sounds of clips and the unconditional sounds as data URIs by place; None where the page has no room.

    Clips come first, one after the other; then the language model, then the kinds of sound that are played last.
    ``before`` are data URIs of other sounds of the page, which take room, too.

    Raises:
        InputError: a file is missing.
    """
    sounds = [*(sound for clip in clips for sound in clip.sounds), *unconditional]
    sounds += [sound for clip in clips for sound in clip.continuations]
    sources: dict[str, str | None] = {}
    left = MAX_BYTES - sum(len(source) for source in before) * 3 // 4  # base64 writes 3 bytes as 4 letters
    for sound in sorted(sounds, key=lambda sound: sound.last):
        path = sound_path(folder, sound.file, part=sound.folder)
        left -= path.stat().st_size
        sources[sound.place] = embedded(path) if left >= 0 else None
    return sources


def sound_path(folder: Path, file: str, *, part: str = LISTENING) -> Path:
    """Find a WAV file of a run. A foreign results.json may name any file; a page may hold the run's own sounds alone.

    Raises:
        InputError: the name leads out of the folder of sounds, or the file is missing or is no WAV file.
    """
    path = folder / part / file
    if Path(file).name != file:
        raise InputError(
            f"{folder / RESULTS} names the sound {shortened(file)}, which is no file name; repeat the run's "
            "command: it writes it again"
        )
    if not path.is_file():
        raise InputError(f"{path} is missing, but results.json names it; repeat the run's command: it writes it again")
    with open_regular(path) as descriptor:
        begin = os.pread(descriptor, 12, 0)
    if (begin[:4], begin[8:]) != (b"RIFF", b"WAVE"):
        raise InputError(f"{path} is no WAV file, but results.json names it; repeat the run's command")
    return path


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The first test clip that was decoded and continued: a recording, its codes as sound, and a continuation."""

    name: str
    players: list[tuple[Sound, str]]  # each with its data URI; equally loud
    picture: Markup


def headline(folder: Path, clips: Sequence[ClipSounds], pictures: Pictures, *, largest: int | None) -> Headline | None:
    """Make the players and the picture at the top of a report; None for a run without sounds.

    The clip and the continuation are the first ones of the run, so they are not chosen by how good they sound.
    """
    if not clips:
        return None
    files = [f"0_{kind}.wav" for kind in (ORIGINAL, WAVENET.key)]
    found = [sound for file in files for sound in clips[0].sounds if sound.file == file]
    sounds = {sound_path(folder, each.file): each for each in (*found, *clips[0].continuations[:1])}
    codes = pictures.get("0:codes")
    strip = code_strip(codes, next(iter(sounds)), largest) if codes is not None and largest is not None else None
    picture = sound_spectrograms("headline-0", sounds, title=clips[0].name, below_first=strip)
    waveforms = [
        Waveform(samples=samples, sample_rate=rate)
        for samples, rate in (soundfile.read(path, dtype="float32") for path in sounds)
    ]
    players = []
    for sound, waveform in zip(sounds.values(), equally_loud(waveforms), strict=True):
        written = io.BytesIO()
        soundfile.write(written, waveform.samples, waveform.sample_rate, subtype="PCM_16", format="WAV")
        players.append((sound, f"data:audio/wav;base64,{base64.b64encode(written.getvalue()).decode()}"))
    return Headline(name=clips[0].name, players=players, picture=picture)


@dataclass(frozen=True, kw_only=True)
class CodeSounds:
    """One code with its sounds."""

    row: Section
    spectrum: Markup
    players: list[tuple[str, str]]  # name of the clip, data URI


def code_sounds(folder: Path, results: Results) -> Iterator[CodeSounds]:
    """Give the codes that have sounds, the most frequent first.

    Raises:
        InputError: a sound is missing.
    """
    for row in sorted(results["codes"]["codes"] if "codes" in results else [], key=lambda row: -row["share"]):
        if row["code"] in results["codes"]["shown"]:
            players = [
                (each["clip"], embedded(sound_path(folder, each["file"], part=CODE_SOUNDS))) for each in row["nearest"]
            ]
            yield CodeSounds(row=row, spectrum=spectrum(row["spectrum"], row["code"]), players=players)


def spectrum(levels: Sequence[float], code: int) -> Markup:
    """Draw a mean spectrum as a line, low frequencies on the left."""
    low = min(levels)
    span = max(max(levels) - low, LEAST)
    step = SPECTRUM_WIDTH / max(len(levels) - 1, 1)
    points = " ".join(
        f"{place * step:.1f},{SPECTRUM_HEIGHT - 1 - (SPECTRUM_HEIGHT - 2) * (level - low) / span:.1f}"
        for place, level in enumerate(levels)
    )
    return Markup(
        '<svg class="spectrum" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="mean spectrum of code {}">'
        '<polyline points="{}"/></svg>'
    ).format(SPECTRUM_WIDTH, SPECTRUM_HEIGHT, code, points)


@dataclass(frozen=True, kw_only=True)
class RateClip:
    """The sounds of a clip at each rate, its continuations, and pictures of both."""

    name: str
    sounds: list[tuple[Sound, str | None]]  # each with its data URI; None where the page has no room
    rates: Markup  # spectrograms of the codes of each rate
    continued: Markup  # spectrograms of the first continuation by each model


def rate_clips(folder: Path, results: Results) -> Iterator[RateClip]:
    """Give the clips that a run with codes of several rates continued and shows.

    Raises:
        InputError: a sound or the pictures are missing or broken.
    """
    if (record := results.get("rates")) is None:
        return
    left = MAX_RATE_BYTES
    for number, name in enumerate(record["clips"]):
        rates = {n: f"{frames} frames" for n, frames in enumerate(record["frames"], 1)}
        files = {f"{number}_original.wav": "Original"}
        files |= {f"{number}_rate_{n}.wav": f"Rate {n}: {frames} per code" for n, frames in rates.items()}
        sounds = [Sound(title=title, file=file, folder=RATES, figures={}) for file, title in files.items()]
        continued: dict[str, Sound] = {}  # the first one by each model
        for said in record["said"]:
            if said["clip"] == number:
                model, prompt = full_name(said["of"]), {"prompt_seconds": said["prompt_seconds"]}
                of_model = Sound(title=model, file=said["file"], folder=RATES, figures=prompt)
                continued.setdefault(model, of_model)
                sounds.append(Sound(title=f"Continued by the {model}", file=said["file"], folder=RATES, figures={}))
        paths = [sound_path(folder, sound.file, part=RATES) for sound in sounds]
        sources = []
        for path in paths:
            left -= path.stat().st_size
            sources.append(embedded(path) if left >= 0 else None)

        # What the codes of each rate mean, and both models' continuations; a line marks the end of the prompt.
        place = folder / RATES / "pictures.safetensors"
        try:
            found = load_file(place)
            titles = {"original": "original", **{f"rate_{n}": f"codes of {frames}" for n, frames in rates.items()}}
            rows = {title: found[f"{number}:{key}"] for key, title in titles.items()}
        except (OSError, SafetensorError, KeyError) as error:
            raise InputError(f"{place} cannot be read ({error}); write it again: repeat the run's command") from error
        low, high = (float(value) for value in np.quantile(rows["original"], [0.01, 0.99]))
        seconds = soundfile.info(paths[0]).duration
        pictures = [
            Picture(title=title, values=values, seconds=seconds, limits=(low, high)) for title, values in rows.items()
        ]
        height, title = 60 + 75 * len(pictures), f"Codes of {name} at each rate"
        first = {sound_path(folder, sound.file, part=RATES): sound for sound in continued.values()}
        yield RateClip(
            name=name,
            sounds=list(zip(sounds, sources, strict=True)),
            rates=spectrogram_chart(pictures, name=f"rates-{number}", title=title, height=height),
            continued=sound_spectrograms(
                f"continued-{number}", first, title=f"continuations of {name}", most=MAX_RATE_SECONDS
            ),
        )
