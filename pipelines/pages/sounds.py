"""The sounds of pages: players that hold their sound, as many as there is room for, spectrograms, the page of hits."""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.mlab import specgram

from pipelines.pages.charts import Chart, Picture, code_picture, log_mel_pictures, spectrogram_chart
from pipelines.pages.phrasing import draw, full_name, heading
from pipelines.results.run_record import (
    CODE_SOUNDS,
    RESULTS,
    SAMPLE_SOUNDS,
    Pictures,
    Results,
    Section,
    is_cut,
    read_arrays,
)
from vocoder.kinds import KINDS, ORIGINAL, WAVENET
from wordless.audio.decoding import Recording
from wordless.audio.levels import equally_loud
from wordless.audio.reading import Channel, read_blocks
from wordless.audio.waveform import Part, Waveform, join_blocks
from wordless.base.errors import InputError
from wordless.base.files import open_regular, write_aside
from wordless.base.values import shortened

TITLES = {  # of the sounds of a clip, in the order of the page
    ORIGINAL: "Original",
    **{kind.key: kind.heading for kind in KINDS if kind.played_first},
    "prompt": "Prompt",
    **{kind.key: kind.heading for kind in KINDS if not kind.played_first},
}
LISTENING, RATES = "listening", "rates"  # folders of a run
MAX_BYTES = 2_050_000  # of WAV files; a third more in the page, which is to stay below 6 MB with its pictures
MAX_RATE_SECONDS = 7.0  # of a continuation that are drawn
MOSTLY_SILENT = 0.5  # share of silent frames in the new part of a continuation
MAX_SECONDS = 3.0  # of a sound that are drawn
MAX_COLUMNS = 220  # of a spectrogram; more would not be seen at this width and would make the page larger
WINDOW_SECONDS = 0.032  # resolves the harmonics of a voice, which mel bands blur
RANGE_DB = 70.0  # below the loudest point
MAX_FRAMES = 400  # of a reconstruction
RECONSTRUCTED = {"original": "original", "autoencoder": "before quantisation", "codebook": "through the codebook"}


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A sound of a run."""

    title: str
    file: str  # in its folder
    folder: str = LISTENING  # of the run
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def place(self) -> str:
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
    continuations: list[Sound] = field(default_factory=list)


class Room:
    """The room that a page has for the sounds of a run: those that come first are in the page."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, MAX_BYTES

    def embed(self, sound: Sound) -> str | None:
        """Read a sound as a data URI; None where the page has no room."""
        path = sound_path(self._folder, sound)
        self._left -= path.stat().st_size
        return _data_uri(path.read_bytes()) if self._left >= 0 else None


def clip_name(clip: Section) -> str:
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
                Sound(title=title, file=f"{number}_{kind}.wav", figures=clip["sounds"][kind])
                for kind, title in TITLES.items()
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
    found, record = [], results.get("next_sample", {"clips": [], "sounds": []})
    clips = [(number, clip_name(clip), clip["path"]) for number, clip in enumerate(record["clips"])]
    for clip, name, path in [*clips, (None, "Without a prompt", "")]:
        sounds = [
            Sound(title=heading(row["of"]), file=row["file"], folder=SAMPLE_SOUNDS, figures=row["figures"])
            for row in record["sounds"]
            if row["clip"] == clip
        ]
        found += [ClipSounds(name=name, path=path, sounds=sounds)] if sounds else []
    return found


def embedded_waveform(waveform: Waveform) -> str:
    """Write a sound, in 16 bits, as a data URI."""
    written = io.BytesIO()
    soundfile.write(written, waveform.samples, waveform.sample_rate, subtype="PCM_16", format="WAV")
    return _data_uri(written.getvalue())


def _data_uri(wav: bytes) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav).decode()}"


def sound_path(folder: Path, sound: Sound) -> Path:
    """Find a sound of a run. A foreign results.json may name any file; a page may hold the run's own sounds alone.

    Raises:
        InputError: the name leads out of the folder of sounds, or the file is missing or is no WAV file.
    """
    path, again = folder / sound.place, "repeat the run's command: it writes it again"
    if Path(sound.file).name != sound.file:
        raise InputError(f"{folder / RESULTS} names the sound {shortened(sound.file)}, which is no file name; {again}")
    if not path.is_file():
        raise InputError(f"{path} is missing, but {RESULTS} names it; {again}")
    with open_regular(path) as descriptor:
        begin = os.pread(descriptor, 12, 0)
    if (begin[:4], begin[8:]) != (b"RIFF", b"WAVE"):
        raise InputError(f"{path} is no WAV file, but {RESULTS} names it; {again}")
    return path


def headline(
    folder: Path, clips: Sequence[ClipSounds], pictures: Pictures, *, largest: int | None
) -> tuple[list[tuple[Sound, str]], Chart | None]:
    """Make the players at the top of a report, with their data URIs, and a picture of their sounds, equally loud.

    They are a recording, its codes as sound, and a continuation: the first ones of the run, so they are not chosen by
    how good they sound. A run without sounds has none.
    """
    if not clips:
        return [], None
    files = [f"0_{kind}.wav" for kind in (ORIGINAL, WAVENET.key)]
    sounds = [sound for file in files for sound in clips[0].sounds if sound.file == file] + clips[0].continuations[:1]
    read = [soundfile.read(sound_path(folder, sound), dtype="float32") for sound in sounds]
    codes, strip = pictures.get("0:codes"), None
    if codes is not None and largest is not None:
        seconds = len(read[0][0]) / read[0][1]  # as long as the sound that the codes were encoded from
        strip = code_picture(codes, seconds=seconds, largest=largest, height=0.1 + 0.1 * codes.shape[1])
    waveforms = equally_loud([Waveform(samples=samples, sample_rate=rate) for samples, rate in read])
    players = [(sound, embedded_waveform(waveform)) for sound, waveform in zip(sounds, waveforms, strict=True)]
    return players, sound_spectrograms(folder, sounds, name="headline-0", title=clips[0].name, below_first=strip)


def sound_spectrograms(
    folder: Path,
    sounds: Sequence[Sound],
    *,
    name: str,
    title: str,
    most: float = MAX_SECONDS,
    below_first: Picture | None = None,
) -> Chart:
    """Draw the sounds of a clip, ``most`` seconds of them.

    The loudest point of the first sound, the original, is the brightest. ``below_first`` is a picture below it, such as
    its codes.
    """
    read = [soundfile.read(sound_path(folder, sound), dtype="float32") for sound in sounds]
    longest = min(max(len(samples) / rate for samples, rate in read), most)
    pictures: list[Picture] = []
    for sound, (samples, rate) in zip(sounds, read, strict=True):
        window = 2 * round(rate * WINDOW_SECONDS / 2)
        hop = max(round(longest * rate / MAX_COLUMNS), 1)
        shown = samples[: round(longest * rate)]
        padded = np.pad(shown, (window // 2, window // 2 + max(window - len(shown), 0)))
        power, _, _ = specgram(padded, NFFT=window, Fs=rate, noverlap=max(window - hop, 0))
        levels = 10 * np.log10(np.asarray(power, np.float64).T + 1e-14)  # dB, (time, frequencies)
        loudest = pictures[0].limits[1] if pictures else float(levels.max(initial=-RANGE_DB))
        picture = Picture(
            title=sound.title,
            values=levels,
            seconds=len(shown) / rate,
            limits=(loudest - RANGE_DB, loudest),
            kilohertz=rate / 2000,
            marked=sound.figures.get("prompt_seconds"),  # the GPT goes on
        )
        pictures.append(picture)
    height = 40 + 85 * len(pictures)
    if below_first:
        height += round(30 + 85 * below_first.height)
        if below_first.seconds > longest:
            values = below_first.values[: round(len(below_first.values) * longest / below_first.seconds)]
            below_first = replace(below_first, values=values, seconds=longest)
        pictures.insert(1, below_first)
    return spectrogram_chart(pictures, name=name, title=f"Spectrograms of {title}", height=height)


def reconstruction(number: int, pictures: Pictures, *, seconds: float, largest: int) -> list[Picture]:
    """Return spectrograms of clip ``number`` before and after the tokenizer, and its codes, on one axis of time::

        frames  |   |   |   |   |   |   |   |   |
        codes   |   0   |   1   |   2   |   3   |     2 frames per code

    The clip spans ``seconds``; at most about `MAX_FRAMES` are drawn. The last code may reach beyond the clip's end.
    """
    codes = pictures[f"{number}:codes"]
    frames_per_code = max(len(pictures[f"{number}:original"]) // max(len(codes), 1), 1)
    shown = codes[: max(MAX_FRAMES // frames_per_code, 1)]
    seconds *= len(shown) / max(len(codes), 1)
    frames = max(MAX_FRAMES // frames_per_code, 1) * frames_per_code
    rows = {title: pictures[f"{number}:{kind}"][:frames] for kind, title in RECONSTRUCTED.items()}
    strip = code_picture(shown, seconds=seconds, largest=largest, height=0.5 + 0.5 * codes.shape[1])
    return [*log_mel_pictures(rows, seconds=seconds, height=4.0), strip]


def code_sounds(results: Results) -> list[tuple[Section, list[Sound]]]:
    """List the codes that have sounds, the most frequent first, each with its sounds by clip."""
    record: Section = results.get("codes", {"codes": [], "shown": []})
    return [
        (row, [Sound(title=each["clip"], file=each["file"], folder=CODE_SOUNDS) for each in row["nearest"]])
        for row in sorted(record["codes"], key=lambda row: -row["share"])
        if row["code"] in record["shown"]
    ]


def rate_clips(folder: Path, results: Results) -> Iterator[tuple[ClipSounds, Chart, Chart]]:
    """Give the clips that a run with codes of several rates continued and shows.

    Each has its sounds, spectrograms of the codes of each rate, and spectrograms of the first continuation by each
    model.

    Raises:
        InputError: a sound or the pictures are missing or broken.
    """
    record: Section = results.get("rates", {"clips": []})
    found = read_arrays(folder / RATES / "pictures.safetensors")
    for number, name in enumerate(record["clips"]):
        rates = {f"rate_{n}": f"{frames} frames" for n, frames in enumerate(record["frames"], 1)}
        titles = {"original": "Original"} | {key: f"{heading(key)}: {each} per code" for key, each in rates.items()}
        sounds = [Sound(title=title, file=f"{number}_{key}.wav", folder=RATES) for key, title in titles.items()]
        first: dict[str, Sound] = {}
        for said in (said for said in record["said"] if said["clip"] == number):
            model, prompt = full_name(said["of"]), {"prompt_seconds": said["prompt_seconds"]}
            first.setdefault(model, Sound(title=model, file=said["file"], folder=RATES, figures=prompt))
            sounds.append(Sound(title=f"Continued by the {model}", file=said["file"], folder=RATES))
        titles = {"original": "original"} | {key: f"codes of {frames}" for key, frames in rates.items()}
        rows = {title: found[f"{number}:{key}"] for key, title in titles.items() if f"{number}:{key}" in found}
        seconds = soundfile.info(sound_path(folder, sounds[0])).duration
        pictures = log_mel_pictures(rows, seconds=seconds, height=1.0)
        height, title = 60 + 75 * len(pictures), f"Codes of {name} at each rate"
        drawn = spectrogram_chart(pictures, name=f"rates-{number}", title=title, height=height)
        title = f"continuations of {name}"  # a line marks the end of the prompt
        of_models, chart = [*first.values()], f"continued-{number}"
        continued = sound_spectrograms(folder, of_models, name=chart, title=title, most=MAX_RATE_SECONDS)
        yield ClipSounds(name=name, sounds=sounds), drawn, continued


AROUND = 0.1  # seconds that are played before and after a place


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A place in a recording that sounds like a query."""

    query: str
    path: str  # of the recording, below the root
    start: float  # seconds
    end: float
    score: float  # mean cosine of the query's frames and those of the place: 1 if they are equal


def write_hits_page(
    page: Path, queries: Mapping[str, Waveform], hits: Sequence[Hit], *, root: Path, sample_rate: int, channel: Channel
) -> None:
    """Write the page with a table for each query, the best place first.

    ``queries`` has the sound of each query by its name. Sounds are written at ``sample_rate`` Hz into the page, first
    the best place of each query, then the second, as long as there is room.
    """
    tables = {name: [hit for hit in hits if hit.query == name] for name in queries}
    sources = {name: embedded_waveform(sound) for name, sound in queries.items()}
    players: dict[Hit, str] = {}
    left = MAX_BYTES - sum(len(source) for source in sources.values()) * 3 // 4
    most = max(map(len, tables.values()))
    for hit in (hit for rank in range(most) for of in tables.values() for hit in of[rank : rank + 1]):
        left -= round(2 * sample_rate * (hit.end - hit.start + 2 * AROUND))
        if left < 0:
            break
        players[hit] = embedded_waveform(_place(root / hit.path, hit, sample_rate, channel))
    write_aside(page, draw("hits.html.jinja", tables=tables, sources=sources, players=players))


def _place(path: Path, hit: Hit, sample_rate: int, channel: Channel) -> Waveform:
    """Read the sound of a place, and a little around it."""
    with Recording(path) as recording:
        rate = recording.samplerate
    start = max(round((hit.start - AROUND) * rate), 0)
    part = Part(start=start, num_samples=round((hit.end + AROUND) * rate) - start)
    blocks = read_blocks(path, sample_rate, part=part, channel=channel)
    return Waveform(samples=join_blocks(blocks), sample_rate=sample_rate)
